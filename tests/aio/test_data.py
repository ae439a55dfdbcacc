# SPDX-License-Identifier: GPL-2.0
"""Reads, writes and fsync: what they transfer, and what their events say."""

import ctypes
import errno
import os
import select
import signal

import pytest

from guest import aio, counters, files
from guest.memory import address, aligned, filled, pattern
from guest.tasks import Call

# Fields that fsync does not have
OTHER_FIELDS = ("buf", "offset", "nbytes", "rw_flags")


@pytest.fixture(params=["disk", "file"])
def target(request: pytest.FixtureRequest) -> int:
    """A null disk with O_DIRECT, and a regular file without, with the same pattern."""
    return request.getfixturevalue(request.param)


def vector(*pieces) -> ctypes.Array:
    """Returns an array of struct iovec."""
    words = [word for piece in pieces for word in (address(piece), len(piece))]
    return (ctypes.c_uint64 * len(words))(*words)


def vectored(opcode: int, fd: int, pieces: list, offset: int) -> aio.Iocb:
    array = vector(*pieces)
    iocb = aio.request(opcode, fd, (ctypes.addressof(array), len(pieces)), offset)
    iocb.memory = (array, pieces)
    return iocb


def result(context: aio.Context, iocb: aio.Iocb) -> int:
    """Executes one request and returns its result."""
    assert context.io_submit(iocb) == 1
    (event,) = context.io_getevents(1, 1)
    assert (event.data, event.obj, event.res2) == (iocb.data, ctypes.addressof(iocb), 0)
    return event.res


def test_reads_and_writes(context, target):
    for offset, length in ((0, 512), (4096, 16384), (49152, 8192)):
        memory = pattern(length, seed=offset + 1)
        iocb = aio.request(aio.PWRITE, target, memory, offset, data=1 << 63 | offset)
        assert result(context, iocb) == length
        assert files.pread(target, length, offset) == memory[:]
        back = aligned(length)
        assert result(context, aio.request(aio.PREAD, target, back, offset, data=7)) == length
        assert back[:] == memory[:]
    # Nothing else has changed.
    assert files.pread(target, 3584, 512) == pattern(1 << 16)[512:4096]


def test_vectors_of_reads_and_writes(context, target):
    pieces = [pattern(512 * count, seed=count) for count in (1, 3, 2, 8)]
    assert result(context, vectored(aio.PWRITEV, target, pieces, 8192)) == 14 * 512
    assert files.pread(target, 14 * 512, 8192) == b"".join(piece[:] for piece in pieces)
    back = [aligned(512 * count) for count in (2, 1, 7, 4)]
    assert result(context, vectored(aio.PREADV, target, back, 8192)) == 14 * 512
    assert b"".join(piece[:] for piece in back) == b"".join(piece[:] for piece in pieces)


def test_many_requests_at_a_time(context, target):
    memories = [pattern(2048, seed=number) for number in range(16)]
    writes = [
        aio.request(aio.PWRITE, target, memory, 2048 * number, data=number)
        for number, memory in enumerate(memories)
    ]
    assert context.io_submit(*writes) == 16
    events = context.io_getevents(16, 16)
    assert sorted((event.data, event.res) for event in events) == [(n, 2048) for n in range(16)]
    backs = [aligned(2048) for _ in memories]
    reads = [
        aio.request(aio.PREAD, target, back, 2048 * number) for number, back in enumerate(backs)
    ]
    assert context.io_submit(*reads) == 16
    assert len(context.io_getevents(16, 16)) == 16
    assert [back[:] for back in backs] == [memory[:] for memory in memories]


def test_end_of_file(context, target):
    size = os.lseek(target, 0, os.SEEK_END)
    assert result(context, aio.request(aio.PREAD, target, aligned(4096), size - 512)) == 512
    assert result(context, aio.request(aio.PREAD, target, aligned(4096), size)) == 0
    assert result(context, aio.request(aio.PREAD, target, aligned(4096), size + 4096)) == 0
    assert result(context, aio.request(aio.PREAD, target, None, 0)) == 0
    assert result(context, aio.request(aio.PWRITE, target, None, 0)) == 0


def test_end_of_a_disk(context, disk):
    size = os.lseek(disk, 0, os.SEEK_END)
    assert result(context, aio.request(aio.PWRITE, disk, pattern(4096), size - 512)) == 512
    assert result(context, aio.request(aio.PWRITE, disk, pattern(512), size)) == -errno.ENOSPC


def test_a_file_grows(context, file):
    assert result(context, aio.request(aio.PWRITE, file, pattern(512), 1 << 17)) == 512
    assert os.fstat(file).st_size == (1 << 17) + 512
    assert files.pread(file, 1 << 18, 1 << 16) == bytes(1 << 16) + pattern(512)[:]


def test_the_offset_of_the_file_stays(context, file):
    os.lseek(file, 100, os.SEEK_SET)
    assert result(context, aio.request(aio.PREAD, file, aligned(512), 4096)) == 512
    assert os.lseek(file, 0, os.SEEK_CUR) == 100


def test_unaligned_direct_io(context, disk):
    memory = aligned(1024)
    assert result(context, aio.request(aio.PREAD, disk, memory, 100)) == -errno.EINVAL
    assert result(context, aio.request(aio.PREAD, disk, (address(memory), 100))) == -errno.EINVAL


def test_bad_sectors(context, null_disk):
    path = null_disk("badblocks", memory_backed=1, size=16, blocksize=512, irqmode=2)
    with files.opened(path) as fd:
        files.write(f"/sys/kernel/config/rnull_dio/{path.name}/badblocks", "+16-16")
        assert result(context, aio.request(aio.PREAD, fd, aligned(512), 8192)) == -errno.EIO
        assert result(context, aio.request(aio.PWRITE, fd, pattern(512), 8192)) == -errno.EIO
        assert result(context, aio.request(aio.PREAD, fd, aligned(512), 4096)) == 512


def test_pipes(context, pipe):
    receive, send = pipe
    # The offset does not matter.
    assert result(context, aio.request(aio.PWRITE, send, filled(b"some words"), 4096)) == 10
    back = aligned(512)
    assert result(context, aio.request(aio.PREAD, receive, back, 8192)) == 10
    assert back[:11] == b"some words\0"
    assert result(context, aio.request(aio.PREAD, receive, back)) == -errno.EAGAIN


def test_a_pipe_whose_writers_are_gone(context):
    receive, send = os.pipe()
    os.close(send)
    assert result(context, aio.request(aio.PREAD, receive, aligned(512))) == 0
    os.close(receive)


def test_a_pipe_whose_readers_are_gone(context):
    receive, send = os.pipe()
    os.close(receive)
    # Python ignores SIGPIPE.
    assert result(context, aio.request(aio.PWRITE, send, pattern(512))) == -errno.EPIPE
    os.close(send)


def test_a_blocking_read_blocks_the_submission(context):
    receive, send = os.pipe()
    try:
        back = aligned(512)
        call = Call(context.io_submit, aio.request(aio.PREAD, receive, back))
        call.wait_until_in(aio.IO_SUBMIT)
        assert context.io_getevents(0, 1, timeout=0) == []
        os.write(send, b"later")
        assert call.result() == 1
        assert context.io_getevents(1, 1)[0].res == 5
        assert back[:6] == b"later\0"
    finally:
        # The context could not be destroyed while the read blocks.
        os.close(send)
        os.close(receive)


def test_a_signal_ends_a_blocking_read(context):
    receive, send = os.pipe()
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        call = Call(context.io_submit, aio.request(aio.PREAD, receive, aligned(512)))
        call.wait_until_in(aio.IO_SUBMIT)
        signal.pthread_kill(call.ident, signal.SIGUSR1)
        # The call is not restarted, because other requests may have been submitted.
        assert call.result() == 1
        assert context.io_getevents(1, 1)[0].res == -errno.EINTR
    finally:
        signal.signal(signal.SIGUSR1, before)
        # The context could not be destroyed while the read blocks.
        os.close(send)
        os.close(receive)


@pytest.mark.parametrize("opcode", [aio.FSYNC, aio.FDSYNC])
def test_fsync(context, opcode, null_disk, file, pipe):
    path = null_disk("cached", memory_backed=1, size=16, write_cache=1)
    with files.opened(path) as fd:
        before = counters.disk(path)["flush"]
        assert result(context, aio.request(opcode, fd, data=5)) == 0
        assert counters.disk(path)["flush"] == before + 1
    assert result(context, aio.request(opcode, file)) == 0
    assert context.io_submit(aio.request(opcode, pipe[0])) == "EINVAL"
    for field in OTHER_FIELDS:
        assert context.io_submit(aio.request(opcode, file, **{field: 1})) == "EINVAL"


def test_fsync_of_a_file_that_is_only_read(context, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"words")
    with files.opened(path, os.O_RDONLY) as fd:
        assert result(context, aio.request(aio.FSYNC, fd)) == 0


def test_durable_writes_flush(context, null_disk):
    path = null_disk("cached", memory_backed=1, size=16, write_cache=1)
    with files.opened(path) as fd:
        before = counters.disk(path)["flush"]
        iocb = aio.request(aio.PWRITE, fd, pattern(4096), rw_flags=os.RWF_DSYNC)
        assert result(context, iocb) == 4096
        assert counters.disk(path)["flush"] == before + 1
        assert result(context, aio.request(aio.PWRITE, fd, pattern(4096))) == 4096
        assert counters.disk(path)["flush"] == before + 1


def test_the_file_may_be_closed_in_between(context, slow_disk):
    fd = os.dup(slow_disk)
    assert context.io_submit(aio.request(aio.PREAD, fd, aligned(4096))) == 1
    os.close(fd)
    assert context.io_getevents(1, 1)[0].res == 4096


def test_order_of_events(context, pipe, file):
    receive, send = pipe
    slow = aio.request(aio.POLL, receive, (select.EPOLLIN, 0))
    quick = aio.request(aio.PREAD, file, aligned(4096))
    assert context.io_submit(slow, quick) == 2
    os.write(send, b"x")
    assert [event.obj for event in context.io_getevents(2, 2)] == [
        ctypes.addressof(quick),
        ctypes.addressof(slow),
    ]
