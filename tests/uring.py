# SPDX-License-Identifier: GPL-2.0
"""Requests of io_uring, one by one: commands as no library would make them, reads and writes on
rings that fio cannot make."""

import ctypes
import os
import struct
from collections.abc import Iterator

# From include/uapi/rnull_dio.h.
READ = 0xC010D180
WRITE = 0xC010D181
DSYNC = 1

IOPOLL = 1 << 0
DEFER_TASKRUN = 1 << 12 | 1 << 13
HYBRID_IOPOLL = 1 << 17

ASYNC = 1 << 4
BUFFER_SELECT = 1 << 5
READ_FILE = 22
WRITE_FILE = 23
URING_CMD = 46
FIXED = 1
MULTISHOT = 2


class Sqe(ctypes.Structure):
    _fields_ = (
        ("opcode", ctypes.c_uint8),
        ("flags", ctypes.c_uint8),
        ("ioprio", ctypes.c_uint16),
        ("fd", ctypes.c_int32),
        ("cmd_op", ctypes.c_uint32),
        ("pad", ctypes.c_uint32),
        ("addr", ctypes.c_uint64),
        ("len", ctypes.c_uint32),
        ("uring_cmd_flags", ctypes.c_uint32),
        ("user_data", ctypes.c_uint64),
        ("buf_index", ctypes.c_uint16),
        ("personality", ctypes.c_uint16),
        ("file_index", ctypes.c_uint32),
        ("cmd", ctypes.c_char * 16),
    )


class Cqe(ctypes.Structure):
    _fields_ = (
        ("user_data", ctypes.c_uint64),
        ("res", ctypes.c_int32),
        ("flags", ctypes.c_uint32),
    )


liburing = ctypes.CDLL("liburing-ffi.so.2")
liburing.io_uring_get_sqe.restype = ctypes.POINTER(Sqe)


def check(result: int) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


def address(memory) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


class Ring:
    """A ring that is gone when it is closed, whatever is under way."""

    def __init__(self, flags: int = 0, entries: int = 128):
        # More than the structure takes.
        self.ring = ctypes.create_string_buffer(1024)
        check(liburing.io_uring_queue_init(entries, self.ring, flags))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        liburing.io_uring_queue_exit(self.ring)

    def next_sqe(self, opcode: int, fd: int, memory) -> Sqe:
        """An entry of the queue; MEMORY is an object, or an address and a length."""
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
        payload = struct.pack("=QII", pos, more.pop("cmd_flags", 0), more.pop("reserved", 0))
        # As an array of characters, it would end at the first zero.
        ctypes.memmove(ctypes.addressof(sqe) + Sqe.cmd.offset, payload, len(payload))
        sqe.cmd_op = op
        for field, value in more.items():
            setattr(sqe, field, value)

    def queue_file(self, opcode: int, fd: int, memory, pos: int) -> None:
        """Puts a read or a write into the queue."""
        sqe = self.next_sqe(opcode, fd, memory)
        sqe.cmd_op, sqe.pad = pos & 0xFFFFFFFF, pos >> 32

    def submit(self) -> None:
        check(liburing.io_uring_submit(self.ring))

    def results(self, count: int) -> Iterator[int]:
        for _ in range(count):
            cqe = ctypes.POINTER(Cqe)()
            check(liburing.io_uring_wait_cqe(self.ring, ctypes.byref(cqe)))
            result = cqe.contents.res
            liburing.io_uring_cqe_seen(self.ring, cqe)
            yield result

    def pending(self) -> bool:
        """Is no result there yet?"""
        cqe = ctypes.POINTER(Cqe)()
        return liburing.io_uring_peek_cqe(self.ring, ctypes.byref(cqe)) != 0

    def run(self, *args, **more) -> int:
        """Carries out one command; returns its result."""
        self.queue(*args, **more)
        self.submit()
        return next(self.results(1))
