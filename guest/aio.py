# SPDX-License-Identifier: GPL-2.0
"""Linux AIO requests, one by one, as libaio issues them."""

import ctypes
import os
from collections.abc import Iterator

from guest import uring
from guest.memory import address

LIBC = ctypes.CDLL(None, use_errno=True)

# System calls of x86-64
IO_SETUP = 206
IO_DESTROY = 207
IO_GETEVENTS = 208
IO_SUBMIT = 209

# IOCB_CMD_*, by the operation of io_uring
OPCODES = {uring.READ_FILE: 0, uring.WRITE_FILE: 1}


class Iocb(ctypes.Structure):
    """struct iocb."""

    _fields_ = (
        ("data", ctypes.c_uint64),
        ("key", ctypes.c_uint32),
        ("rw_flags", ctypes.c_int32),
        ("lio_opcode", ctypes.c_uint16),
        ("reqprio", ctypes.c_int16),
        ("fildes", ctypes.c_uint32),
        ("buf", ctypes.c_uint64),
        ("nbytes", ctypes.c_uint64),
        ("offset", ctypes.c_int64),
        ("reserved2", ctypes.c_uint64),
        ("flags", ctypes.c_uint32),
        ("resfd", ctypes.c_uint32),
    )


class Event(ctypes.Structure):
    """struct io_event."""

    _fields_ = (
        ("data", ctypes.c_uint64),
        ("obj", ctypes.c_uint64),
        ("res", ctypes.c_int64),
        ("res2", ctypes.c_int64),
    )


def call(*arguments: object) -> int:
    result = LIBC.syscall(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


class Context:
    """An AIO context with the methods of uring.Ring; it is destroyed at the end of the with
    statement."""

    def __init__(self, entries: int = 128):
        self.context = ctypes.c_ulong()
        self.queued: list[Iocb] = []
        call(IO_SETUP, ctypes.c_long(entries), ctypes.byref(self.context))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        call(IO_DESTROY, self.context)

    def queue_file(
        self, opcode: int, fd: int, memory, pos: int, rw_flags: int = 0, user_data: int = 0
    ) -> None:
        """Puts a read or a write into the queue; submit() submits it."""
        self.queued.append(
            Iocb(
                data=user_data,
                rw_flags=rw_flags,
                lio_opcode=OPCODES[opcode],
                fildes=fd,
                buf=address(memory),
                nbytes=len(memory),
                offset=pos,
            )
        )

    def submit(self) -> None:
        pointers = [ctypes.pointer(iocb) for iocb in self.queued]
        array = (ctypes.POINTER(Iocb) * len(pointers))(*pointers)
        done = 0
        while done < len(pointers):
            left = ctypes.byref(array, done * ctypes.sizeof(ctypes.c_void_p))
            done += call(IO_SUBMIT, self.context, ctypes.c_long(len(pointers) - done), left)
        self.queued = []

    def completions(self, count: int) -> Iterator[tuple[int, int]]:
        """Waits for COUNT completions; gives user_data and the result of each."""
        event = Event()
        one = ctypes.c_long(1)
        for _ in range(count):
            assert call(IO_GETEVENTS, self.context, one, one, ctypes.byref(event), None) == 1
            yield event.data, event.res
