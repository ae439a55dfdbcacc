# SPDX-License-Identifier: GPL-2.0
"""io_uring requests, one by one: commands with any field wrong, and rings that fio cannot make."""

import ctypes
import os
import struct
from collections.abc import Iterator

from guest.memory import address

# struct rnull_dio_uring_cmd: pos, flags, reserved
COMMAND = struct.Struct("=QII")


def iowr(magic: int, number: int, size: int) -> int:
    """Returns what the C macro _IOWR() does."""
    both_directions = 3
    return both_directions << 30 | size << 16 | magic << 8 | number


# As in include/uapi/rnull_dio.h
MAGIC = 0xD1
READ = iowr(MAGIC, 0x80, COMMAND.size)
WRITE = iowr(MAGIC, 0x81, COMMAND.size)
DSYNC = 1 << 0

# Flags of a ring, IORING_SETUP_*
IOPOLL = 1 << 0
SINGLE_ISSUER = 1 << 12
DEFER_TASKRUN = SINGLE_ISSUER | 1 << 13
HYBRID_IOPOLL = 1 << 17

# Flags of an entry, IOSQE_*
ASYNC = 1 << 4
BUFFER_SELECT = 1 << 5

# Operations, IORING_OP_*
READ_FILE = 22
WRITE_FILE = 23
URING_CMD = 46

# Flags of a command, IORING_URING_CMD_*
FIXED = 1 << 0
MULTISHOT = 1 << 1


class CommandOp(ctypes.Structure):
    """Which command it is, for URING_CMD."""

    _fields_ = (("cmd_op", ctypes.c_uint32), ("pad", ctypes.c_uint32))


class Target(ctypes.Union):
    """Where a read or a write begins in the file, or which command it is."""

    _anonymous_ = ("command",)
    _fields_ = (("off", ctypes.c_uint64), ("command", CommandOp))


class OpFlags(ctypes.Union):
    """Flags of a read or a write, or of a command."""

    _fields_ = (("rw_flags", ctypes.c_uint32), ("uring_cmd_flags", ctypes.c_uint32))


class Sqe(ctypes.Structure):
    """struct io_uring_sqe, as far as the tests use it."""

    _anonymous_ = ("target", "op_flags")
    _fields_ = (
        ("opcode", ctypes.c_uint8),
        ("flags", ctypes.c_uint8),
        ("ioprio", ctypes.c_uint16),
        ("fd", ctypes.c_int32),
        ("target", Target),
        ("addr", ctypes.c_uint64),
        ("len", ctypes.c_uint32),
        ("op_flags", OpFlags),
        ("user_data", ctypes.c_uint64),
        ("buf_index", ctypes.c_uint16),
        ("personality", ctypes.c_uint16),
        ("file_index", ctypes.c_uint32),
        ("cmd", ctypes.c_uint8 * COMMAND.size),
    )


class Cqe(ctypes.Structure):
    """struct io_uring_cqe."""

    _fields_ = (
        ("user_data", ctypes.c_uint64),
        ("res", ctypes.c_int32),
        ("flags", ctypes.c_uint32),
    )


liburing = ctypes.CDLL("liburing-ffi.so.2")
liburing.io_uring_get_sqe.restype = ctypes.POINTER(Sqe)

# More than struct io_uring takes
RING_SIZE = 1024


def check(result: int) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


class Ring:
    """A ring that is torn down at the end of the with statement, with requests under way or not."""

    def __init__(self, flags: int = 0, entries: int = 128):
        self.ring = ctypes.create_string_buffer(RING_SIZE)
        check(liburing.io_uring_queue_init(entries, self.ring, flags))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        liburing.io_uring_queue_exit(self.ring)

    def next_sqe(self, opcode: int, fd: int, memory) -> Sqe:
        """Takes an entry of the queue; MEMORY is an object, or an address and a length."""
        if not isinstance(memory, tuple):
            memory = (address(memory), len(memory))
        sqe = liburing.io_uring_get_sqe(self.ring).contents
        ctypes.memset(ctypes.byref(sqe), 0, ctypes.sizeof(sqe))
        sqe.opcode, sqe.fd = opcode, fd
        sqe.addr, sqe.len = memory
        return sqe

    def queue(self, op: int, fd: int, memory, pos: int = 0, **more: int) -> None:
        """Puts a command into the queue."""
        sqe = self.next_sqe(URING_CMD, fd, memory)
        fields = pos, more.pop("cmd_flags", 0), more.pop("reserved", 0)
        sqe.cmd[:] = COMMAND.pack(*fields)
        sqe.cmd_op = op
        for field, value in more.items():
            setattr(sqe, field, value)

    def queue_file(
        self, opcode: int, fd: int, memory, pos: int, rw_flags: int = 0, user_data: int = 0
    ) -> None:
        """Puts a read or a write with flags RWF_* into the queue."""
        sqe = self.next_sqe(opcode, fd, memory)
        sqe.off, sqe.rw_flags, sqe.user_data = pos, rw_flags, user_data

    def submit(self) -> None:
        check(liburing.io_uring_submit(self.ring))

    def completions(self, count: int) -> Iterator[tuple[int, int]]:
        """Waits for COUNT completions; gives user_data and the result of each."""
        for _ in range(count):
            cqe = ctypes.POINTER(Cqe)()
            check(liburing.io_uring_wait_cqe(self.ring, ctypes.byref(cqe)))
            completion = cqe.contents.user_data, cqe.contents.res
            liburing.io_uring_cqe_seen(self.ring, cqe)
            yield completion

    def results(self, count: int) -> Iterator[int]:
        """Waits for COUNT completions and gives the result of each."""
        return (result for _, result in self.completions(count))

    def pending(self) -> bool:
        """Returns whether no completion has arrived yet."""
        cqe = ctypes.POINTER(Cqe)()
        return liburing.io_uring_peek_cqe(self.ring, ctypes.byref(cqe)) != 0

    def run(self, *args, **more) -> int:
        """Executes one command and returns its result."""
        self.queue(*args, **more)
        self.submit()
        return next(self.results(1))
