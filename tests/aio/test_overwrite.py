# SPDX-License-Identifier: GPL-2.0
"""Rings that their owners have overwritten, protected or unmapped."""

import ctypes
import mmap
from pathlib import Path

from guest import aio
from guest.memory import aligned, protect
from guest.tasks import run_in_child

READ_WRITE = mmap.PROT_READ | mmap.PROT_WRITE

# System calls that Python does not have for any address, and a flag
MMAP = 9
MUNMAP = 11
MAP_FIXED = 0x10


def read(fd: int, data: int = 0, **more: int) -> aio.Iocb:
    return aio.request(aio.PREAD, fd, aligned(512), 512 * (data % 128), data=data, **more)


def check_not_found(context: aio.Context, iocb: aio.Iocb) -> None:
    assert context.io_submit(iocb) == "EINVAL"
    assert context.io_getevents(0, 1) == "EINVAL"
    assert context.io_cancel(iocb) == "EINVAL"
    assert aio.result_of(aio.IO_DESTROY, context.context) == "EINVAL"


def check_reads(context: aio.Context, fd: int, data: int) -> None:
    assert context.io_submit(read(fd, data)) == 1
    assert aio.data_of(context.io_getevents(1, 1)) == [data]


def test_another_id(context, file, side):
    # The kernel finds its contexts by the id in the ring, and the module by the address only.
    with aio.Context(4) as other:
        good = context.header.id
        for wrong in (other.header.id, good + 1, good + 4, 1 << 31, (1 << 32) - 1):
            context.header.id = wrong
            if side == "module":
                check_reads(context, file, 3)
            else:
                check_not_found(context, read(file))
            context.header.id = good
            check_reads(context, file, 4)


def test_fields_that_the_kernel_does_not_read(context, file):
    before = context.header.nr
    for value in (0, 1, (1 << 32) - 1):
        header = context.header
        header.nr = header.magic = header.compat_features = value
        header.incompat_features = header.header_length = value
        assert context.io_submit(*(read(file, n) for n in range(9))) == 9
        assert aio.data_of(context.io_getevents(9, 9)) == list(range(9))
        assert header.nr == header.magic == header.header_length == value
    context.header.nr = before


def test_another_tail(context, file):
    assert context.io_submit(read(file, 1)) == 1
    context.header.tail = context.header.head
    assert context.io_getevents(0, 8) == []
    # The next completion says how many events there really are.
    assert context.io_submit(read(file, 2)) == 1
    assert context.header.tail == 2
    assert aio.data_of(context.io_getevents(1, 8)) == [1, 2]


def test_a_tail_behind_the_ring(context, file):
    assert context.io_submit(read(file, 1)) == 1
    nr = context.header.nr
    context.header.tail += 3 * nr
    assert aio.data_of(context.io_getevents(1, 8)) == [1]
    assert (context.header.head, context.header.tail) == (1, 1 + 3 * nr)
    # Both are the same modulo the number of slots.
    assert context.io_getevents(0, 8) == []
    assert context.io_submit(read(file, 2)) == 1
    assert context.header.tail == 2
    assert aio.data_of(context.io_getevents(1, 8)) == [2]


def test_another_head(context, file):
    nr = context.header.nr
    assert context.io_submit(read(file, 1), read(file, 2)) == 2
    context.header.head = 5 * nr + 1
    assert aio.data_of(context.io_getevents(1, 8)) == [2]
    assert context.header.head == 2
    # Events that were taken already are taken again.
    context.header.head = 0
    assert aio.data_of(context.io_getevents(1, 8)) == [1, 2]
    # Behind the tail, all of the ring is there.
    context.header.head = 3
    assert len(context.io_getevents(1, 2 * nr)) == nr - 1
    assert context.header.head == context.header.tail == 2


def test_exit_with_a_ring_that_is_overwritten(slow_disk):
    def child(_) -> None:
        context = aio.Context(60)
        length = aio.length_of(context)
        assert context.io_submit(*(read(slow_disk, n) for n in range(4))) == 4
        ctypes.memset(context.id, 0xFF, length)

    run_in_child(child)


def test_a_protected_ring(context, file, side):
    length = aio.length_of(context)
    protect(context.id, length, 0)
    if side == "module":
        # Nothing is read from user space in order to find the context.
        check_reads(context, file, 4)
    else:
        check_not_found(context, read(file))
    protect(context.id, length, mmap.PROT_READ)
    # The kernel writes through a mapping of its own.
    check_reads(context, file, 5)
    protect(context.id, length, READ_WRITE)


def test_an_unmapped_ring(slow_disk):
    def child(_) -> None:
        context = aio.Context(16)
        length = aio.length_of(context)
        iocb = read(slow_disk)
        assert context.io_submit(iocb) == 1
        assert aio.call(MUNMAP, context.id, length) == 0
        assert context.io_submit(iocb) == "EINVAL"
        assert context.destroy() == "EINVAL"

    run_in_child(child)


def test_another_mapping_in_place_of_the_ring(file, side):
    # The kernel reads the id from the owner's memory, and events from the ring itself. A context of
    # the module ends when its ring is not mapped any more.
    def child(_) -> None:
        context = aio.Context(16)
        good, length = context.header.id, aio.length_of(context)
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_FIXED
        where = aio.call(MMAP, context.id, length, READ_WRITE, flags, -1, 0)
        assert where == context.id
        if side == "module":
            assert context.io_submit(read(file)) == "EINVAL"
            assert context.destroy() == "EINVAL"
            return
        assert context.io_submit(read(file)) == ("EINVAL" if good else 1)
        context.header.id = good
        assert context.io_submit(read(file, 1), read(file, 2)) == 2
        assert context.header.tail == 0
        assert aio.data_of(context.io_getevents(2, 8)[-2:]) == [1, 2]
        assert context.destroy() == 0
        # What was mapped there goes away.
        assert f"{where:x}-" not in Path("/proc/self/maps").read_text()

    run_in_child(child)
