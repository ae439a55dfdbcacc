# SPDX-License-Identifier: GPL-2.0
"""Vectored requests, by the number of their segments, of which the kernel has several cases."""

import ctypes
import mmap

import pytest

from guest import aio
from guest.memory import address, aligned, pattern

BLOCK = mmap.PAGESIZE


class Iovec(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def vectored(opcode: int, fd: int, memory, segments: int) -> aio.Iocb:
    """Returns a request for equal parts of MEMORY, whose segments are as many."""
    length = len(memory) // max(segments, 1)
    vector = (Iovec * max(segments, 1))(
        *(Iovec(address(memory) + n * length, length) for n in range(segments))
    )
    iocb = aio.request(opcode, fd, (ctypes.addressof(vector), segments))
    iocb.vector = (vector, memory)
    return iocb


@pytest.mark.parametrize("segments", [0, 1, 2, 8])
@pytest.mark.parametrize("where", ["disk", "file"])
def test_segments(segments, where, context, request):
    fd = request.getfixturevalue(where)
    memory = aligned(8 * BLOCK)
    assert context.io_submit(vectored(aio.PREADV, fd, memory, segments)) == 1
    (event,) = context.io_getevents(1, 1)
    assert event.res == (len(memory) if segments else 0)
    assert memory[: event.res] == pattern(len(memory))[: event.res]

    memory[:] = bytes(range(256)) * (len(memory) // 256)
    assert context.io_submit(vectored(aio.PWRITEV, fd, memory, segments)) == 1
    (event,) = context.io_getevents(1, 1)
    assert event.res == (len(memory) if segments else 0)
    again = aligned(len(memory))
    assert context.io_submit(aio.request(aio.PREAD, fd, again)) == 1
    assert context.io_getevents(1, 1)[0].res == len(again)
    assert (again[:] == memory[:]) == bool(segments)


def test_too_many_segments(context, disk):
    iocb = aio.request(aio.PREADV, disk, (address(aligned(BLOCK)), 1025))
    assert context.io_submit(iocb) == "EINVAL"


def test_segments_that_cannot_be_read(context, disk, nowhere):
    for count in (1, 2):
        assert context.io_submit(aio.request(aio.PREADV, disk, (nowhere, count))) == "EFAULT"
