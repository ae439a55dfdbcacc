# SPDX-License-Identifier: GPL-2.0
"""System calls of 32-bit programs, executed by code that this process writes."""

import ctypes
import errno
import mmap
import select

import pytest

from guest import aio
from guest.memory import address, pattern
from guest.tasks import Child, run_in_child

# System calls of i386
SETUP, DESTROY, GETEVENTS, SUBMIT, CANCEL = range(245, 250)
PGETEVENTS_TIME64 = 416

# A system call of x86-64 that Python does not have, and its flags
MREMAP = 25
MAYMOVE, FIXED = 1, 2

# In the first 2 GiB
MAP_32BIT = 0x40
LOW = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_32BIT

# A function of six arguments, which it moves to eax, ebx, ecx, edx, esi and edi. It clears ebp, the
# last argument of the system call, and executes int 0x80.
CODE = bytes.fromhex("53 55 89f8 89f3 87d1 4489c6 4489cf 31ed cd80 5d 5b c3")


class Caller:
    """Executes system calls of i386. Everything that they point to is in `memory`."""

    def __init__(self):
        everything = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
        self.code = mmap.mmap(-1, mmap.PAGESIZE, LOW, everything)
        self.code[: len(CODE)] = CODE
        self.function = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_uint] * 6)(address(self.code))
        self.memory = mmap.mmap(-1, 4 * mmap.PAGESIZE, LOW)

    def at(self, kind: type, offset: int) -> object:
        return kind.from_buffer(self.memory, offset)

    def call(self, number: int, *arguments: int) -> int:
        return self.function(number, *arguments, *[0] * (5 - len(arguments)))

    def submit(self, context: int, iocb: aio.Iocb) -> int:
        pointer = self.at(ctypes.c_uint32, 64)
        pointer.value = ctypes.addressof(iocb)
        return self.call(SUBMIT, context, 1, ctypes.addressof(pointer))


def check(caller: Caller, context: int, fd: int) -> None:
    """Reads and polls, reaps and cancels."""
    iocb, event = caller.at(aio.Iocb, 128), caller.at(aio.Event, 256)
    data = address(caller.memory) + mmap.PAGESIZE
    ctypes.memmove(
        ctypes.addressof(iocb), bytes(aio.request(aio.PREAD, fd, (data, 512), 512, data=7)), 64
    )
    for number in (GETEVENTS, PGETEVENTS_TIME64):
        assert caller.submit(context, iocb) == 1
        assert caller.call(number, context, 1, 1, ctypes.addressof(event), 0) == 1
        assert (event.data, event.obj, event.res) == (7, ctypes.addressof(iocb), 512)
        assert caller.memory[mmap.PAGESIZE :][:512] == pattern(1 << 16)[512:1024]
        ctypes.memset(data, 0, 512)
    # No event comes within 200 ms; the fields of this timeout have 32 bits.
    timeout = caller.at(ctypes.c_uint32 * 2, 320)
    timeout[:] = [0, 200_000_000]
    where = ctypes.addressof(timeout)
    assert caller.call(GETEVENTS, context, 1, 1, ctypes.addressof(event), where) == 0


@pytest.fixture
def int_0x80() -> None:
    """Skips the test if the kernel does not execute such calls."""

    def child(_) -> None:
        # getpid()
        assert Caller().call(20) > 0

    if Child(child).wait() != 0:
        pytest.skip("the kernel has no system calls of i386")


def test_contexts_of_32_bits(int_0x80, file, pipe):  # noqa: ARG001
    def child(_) -> None:
        caller = Caller()
        context = caller.at(ctypes.c_uint32, 0)
        assert caller.call(SETUP, 8, 0) == -errno.EFAULT
        assert caller.call(SETUP, 0, ctypes.addressof(context)) == -errno.EINVAL
        assert caller.call(SETUP, 8, ctypes.addressof(context)) == 0
        assert aio.Header.from_address(context.value).magic == aio.MAGIC
        check(caller, context.value, file)
        iocb = caller.at(aio.Iocb, 512)
        iocb.lio_opcode, iocb.fildes, iocb.buf = aio.POLL, pipe[0], select.EPOLLIN
        assert caller.submit(context.value, iocb) == 1
        assert caller.call(CANCEL, context.value, ctypes.addressof(iocb), 0) == -errno.EINPROGRESS
        assert caller.submit(context.value + 32, iocb) == -errno.EINVAL
        # The calls of x86-64 know the context, too.
        event = aio.Event()
        assert aio.call(aio.IO_GETEVENTS, context.value, 1, 1, event, None) == 1
        assert (event.obj, event.res) == (ctypes.addressof(iocb), 0)
        assert caller.call(DESTROY, context.value) == 0
        assert caller.call(DESTROY, context.value) == -errno.EINVAL

    run_in_child(child)


def test_contexts_of_64_bits(int_0x80, file, side):  # noqa: ARG001
    # The module leaves all calls of i386 to the kernel, which does not know its contexts.
    def child(_) -> None:
        caller = Caller()
        context = aio.Context(8)
        length = 32 + 32 * context.header.nr
        # An address that has 32 bits
        low = address(mmap.mmap(-1, length, LOW))
        moved = aio.call(MREMAP, context.id, length, length, MAYMOVE | FIXED, low)
        assert moved == low
        if side == "module":
            assert caller.call(DESTROY, low) == -errno.EINVAL
            assert aio.result_of(aio.IO_DESTROY, low) == 0
            return
        check(caller, low, file)
        assert caller.call(DESTROY, low) == 0

    run_in_child(child)
