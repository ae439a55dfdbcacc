# SPDX-License-Identifier: GPL-2.0
"""io_submit(): what it refuses, and requests that are refused in part."""

import ctypes
import errno
import mmap
import os
import select

import pytest

from guest import aio, files
from guest.memory import aligned, pattern, protected


def test_bad_contexts(context, nowhere):
    with aio.Context(1) as other:
        gone = other.id
    iocb = aio.request(aio.PREAD, 0)
    for wrong in (0, 1, nowhere, gone, context.id + 32, context.id + mmap.PAGESIZE):
        assert aio.result_of(aio.IO_SUBMIT, wrong, 1, aio.pointers([iocb])) == "EINVAL"
        assert aio.result_of(aio.IO_SUBMIT, wrong, 0, None) == "EINVAL"


def test_bad_numbers(context, nowhere):
    assert context.io_submit(nr=-1) == "EINVAL"
    assert context.io_submit(nr=-(1 << 63)) == "EINVAL"
    assert context.io_submit(nr=0) == 0
    assert aio.result_of(aio.IO_SUBMIT, context.context, 0, nowhere) == 0


def test_pointers_that_cannot_be_read(context, file, nowhere):
    iocb = aio.request(aio.PREAD, file, aligned(512))
    assert aio.result_of(aio.IO_SUBMIT, context.context, 1, nowhere) == "EFAULT"
    assert context.io_submit(None) == "EFAULT"
    # The request, and the array of pointers, end where memory does.
    for where in (nowhere, nowhere - 32):
        array = (ctypes.c_void_p * 1)(where)
        assert aio.result_of(aio.IO_SUBMIT, context.context, 1, array) == "EFAULT"
    ctypes.c_void_p.from_address(nowhere - 8).value = ctypes.addressof(iocb)
    assert aio.result_of(aio.IO_SUBMIT, context.context, 2, nowhere - 8) == 1
    assert context.io_submit(iocb, None, iocb) == 1
    assert [event.res for event in context.io_getevents(2, 3, timeout=0)] == [512, 512]


def test_a_request_that_cannot_be_written(context, file):
    memory = aligned(mmap.PAGESIZE)
    iocb = aio.Iocb.from_buffer(memory)
    iocb.fildes, iocb.lio_opcode = file, aio.PREAD
    with protected(memory, mmap.PROT_READ) as where:
        array = (ctypes.c_void_p * 1)(where)
        # The kernel writes aio_key.
        assert aio.result_of(aio.IO_SUBMIT, context.context, 1, array) == "EFAULT"
    assert context.io_getevents(0, 1, timeout=0) == []


def test_the_key_is_written(context, file):
    iocb = aio.request(aio.PREAD, file, aligned(512), key=77)
    assert context.io_submit(iocb) == 1
    assert iocb.key == 0
    (event,) = context.io_getevents(1, 1)
    assert (event.obj, event.res, event.res2) == (ctypes.addressof(iocb), 512, 0)


def test_the_key_is_written_before_the_operation_is_known(context, file):
    iocb = aio.request(99, file, key=77)
    assert context.io_submit(iocb) == "EINVAL"
    assert iocb.key == 0
    iocb = aio.request(99, 1000, key=77)
    assert context.io_submit(iocb) == "EBADF"
    assert iocb.key == 77


# POKE and NOOP have numbers, and nothing behind them.
@pytest.mark.parametrize("opcode", [4, aio.NOOP, 9, 0xFFFF])
def test_unknown_operations(context, file, opcode):
    assert context.io_submit(aio.request(opcode, file)) == "EINVAL"
    assert context.io_submit(aio.request(opcode, 1000)) == "EBADF"


@pytest.mark.parametrize("opcode", [aio.PREAD, aio.PWRITE, aio.PREADV, aio.FSYNC, aio.POLL])
def test_descriptors_that_are_not_open(context, opcode):
    for fd in (1000, 0xFFFFFFFF):
        assert context.io_submit(aio.request(opcode, fd)) == "EBADF"


def test_descriptors_of_the_wrong_mode(context, tmp_path, pipe):
    path = tmp_path / "file"
    path.write_bytes(bytes(512))
    memory = aligned(512)
    with (
        files.opened(path, os.O_RDONLY) as reader,
        files.opened(path, os.O_WRONLY) as writer,
        files.opened(path, os.O_PATH) as neither,
        files.opened(tmp_path, os.O_RDONLY) as directory,
    ):
        for opcode in (aio.PREAD, aio.PREADV):
            assert context.io_submit(aio.request(opcode, writer, memory)) == "EBADF"
            assert context.io_submit(aio.request(opcode, pipe[1], memory)) == "EBADF"
        for opcode in (aio.PWRITE, aio.PWRITEV):
            assert context.io_submit(aio.request(opcode, reader, memory)) == "EBADF"
            assert context.io_submit(aio.request(opcode, pipe[0], memory)) == "EBADF"
            assert context.io_submit(aio.request(opcode, directory, memory)) == "EBADF"
        assert context.io_submit(aio.request(aio.PREAD, neither, memory)) == "EBADF"
        assert context.io_submit(aio.request(aio.FSYNC, neither)) == "EBADF"


def test_files_that_cannot_be_read_this_way(context):
    # epoll has neither reads nor writes.
    with select.epoll() as epoll:
        for opcode in (aio.PREAD, aio.PWRITE):
            assert context.io_submit(aio.request(opcode, epoll.fileno(), aligned(512))) == "EINVAL"


def test_reserved_fields_and_lengths(context, file):
    memory = aligned(512)
    for field, value in (("reserved2", 1), ("nbytes", 1 << 63), ("nbytes", (1 << 64) - 1)):
        iocb = aio.request(aio.PREAD, file, memory)
        setattr(iocb, field, value)
        assert context.io_submit(iocb) == "EINVAL"
        # These come before everything else.
        iocb.fildes, iocb.key = 1000, 77
        assert context.io_submit(iocb) == "EINVAL"
        assert iocb.key == 77


@pytest.mark.parametrize("offset", [-1, -512, -(1 << 63), (1 << 63) - 100])
def test_bad_offsets(context, file, disk, offset):
    memory = aligned(512)
    for opcode in (aio.PREAD, aio.PWRITE):
        for fd in (file, disk):
            # The end must not overflow either.
            assert context.io_submit(aio.request(opcode, fd, memory, offset)) == "EINVAL"


def test_memory_of_the_kernel(context, file):
    for opcode in (aio.PREAD, aio.PWRITE):
        iocb = aio.request(opcode, file, (0xFFFF800000000000, 512))
        assert context.io_submit(iocb) == "EFAULT"


def test_memory_that_is_not_there(context, file, disk, nowhere):
    for opcode in (aio.PREAD, aio.PWRITE):
        for fd in (file, disk):
            assert context.io_submit(aio.request(opcode, fd, (nowhere, 512))) == 1
            (event,) = context.io_getevents(1, 1)
            assert event.res == -errno.EFAULT


def test_vectors(context, file, nowhere):
    good = (ctypes.c_uint64 * 2)(nowhere - 512, 512)
    many = (ctypes.c_uint64 * 2050)()
    where = ctypes.addressof(good)
    assert context.io_submit(aio.request(aio.PREADV, file, (nowhere, 1))) == "EFAULT"
    assert context.io_submit(aio.request(aio.PREADV, file, (0, 1))) == "EFAULT"
    array = (ctypes.addressof(many), 1025)
    assert context.io_submit(aio.request(aio.PREADV, file, array)) == "EINVAL"
    good[1] = 1 << 63
    assert context.io_submit(aio.request(aio.PREADV, file, (where, 1))) == "EINVAL"
    # No vector, and a thousand empty ones
    for count, pointer in ((0, 0), (1024, ctypes.addressof(many))):
        assert context.io_submit(aio.request(aio.PREADV, file, (pointer, count))) == 1
        assert context.io_getevents(1, 1)[0].res == 0


def test_the_third_of_five_is_bad(context, file):
    memories = [aligned(512) for _ in range(5)]
    iocbs = [aio.request(aio.PREAD, file, memory, 512) for memory in memories]
    iocbs[2].fildes = 1000
    assert context.io_submit(*iocbs) == 2
    assert context.io_submit(*iocbs[2:]) == "EBADF"
    assert context.io_submit(*iocbs[3:]) == 2
    assert sorted(event.obj for event in context.io_getevents(4, 5, timeout=0)) == sorted(
        ctypes.addressof(iocb) for iocb in iocbs[:2] + iocbs[3:]
    )
    assert memories[2][:] == bytes(512)
    for memory in memories[:2] + memories[3:]:
        assert memory[:] == pattern(1 << 16)[512:1024]
