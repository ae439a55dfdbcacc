# SPDX-License-Identifier: GPL-2.0
"""Flags and priorities of reads and writes."""

import ctypes
import errno
import os

from guest import aio, files
from guest.memory import aligned, pattern
from guest.tasks import run_in_child

# Flags RWF_* that Python does not have
RWF_NOAPPEND = 0x20
RWF_ATOMIC = 0x40
UNKNOWN_FLAG = 1 << 30

# Values of aio_reqprio: a class in 3 bits, a level in the others
REALTIME = 1 << 13
BEST_EFFORT = 2 << 13
IDLE = 3 << 13
NO_SUCH_CLASS = 5 << 13


def test_flags_of_reads_and_writes(context, file, disk):
    memory = pattern(512)
    for opcode, rw_flags, error in (
        (aio.PREAD, UNKNOWN_FLAG, "EOPNOTSUPP"),
        (aio.PWRITE, -1, "EOPNOTSUPP"),
        (aio.PREAD, RWF_ATOMIC, "EOPNOTSUPP"),
        (aio.PWRITE, os.RWF_APPEND | RWF_NOAPPEND, "EINVAL"),
    ):
        for fd in (file, disk):
            iocb = aio.request(opcode, fd, memory, rw_flags=rw_flags)
            assert context.io_submit(iocb) == error
    for rw_flags in (os.RWF_DSYNC, os.RWF_SYNC, os.RWF_HIPRI, os.RWF_NOWAIT, RWF_NOAPPEND):
        iocb = aio.request(aio.PWRITE, disk, memory, 4096, rw_flags=rw_flags)
        assert context.io_submit(iocb) == 1
        assert context.io_getevents(1, 1)[0].res == 512
    assert files.pread(disk, 512, 4096) == memory[:]


def test_append(context, file, tmp_path):
    memory = pattern(512, seed=5)
    iocb = aio.request(aio.PWRITE, file, memory, 0, rw_flags=os.RWF_APPEND)
    assert context.io_submit(iocb) == 1
    assert context.io_getevents(1, 1)[0].res == 512
    content = (tmp_path / "file").read_bytes()
    assert content == pattern(1 << 16)[:] + memory[:]


def test_nowait_where_nothing_is_there(context, pipe):
    memory = aligned(512)
    iocb = aio.request(aio.PREAD, pipe[0], memory, rw_flags=os.RWF_NOWAIT)
    assert context.io_submit(iocb) == 1
    assert context.io_getevents(1, 1)[0].res == -errno.EAGAIN
    with files.opened("/proc/self/comm", os.O_RDONLY) as fd:
        iocb = aio.request(aio.PREAD, fd, memory, rw_flags=os.RWF_NOWAIT)
        assert context.io_submit(iocb) == "EOPNOTSUPP"


def test_priorities(context, disk):
    memory = aligned(512)
    for priority in (0, REALTIME | 3, BEST_EFFORT | 7, IDLE):
        iocb = aio.request(aio.PREAD, disk, memory, flags=aio.IOPRIO, reqprio=priority)
        assert context.io_submit(iocb) == 1
        assert context.io_getevents(1, 1)[0].res == 512
    for priority in (NO_SUCH_CLASS, 7 << 13, 1):
        iocb = aio.request(aio.PREAD, disk, memory, flags=aio.IOPRIO)
        iocb.reqprio = ctypes.c_int16(priority).value
        assert context.io_submit(iocb) == "EINVAL"
        # Without the flag, the field means nothing.
        iocb.flags = 0
        assert context.io_submit(iocb) == 1
        assert context.io_getevents(1, 1)[0].res == 512


def test_priorities_without_privileges(disk):
    def child(_):
        with aio.Context(4) as context:
            os.seteuid(65534)
            iocb = aio.request(
                aio.PREAD, disk, aligned(512), flags=aio.IOPRIO, reqprio=REALTIME | 1
            )
            assert context.io_submit(iocb) == "EPERM"
            iocb.reqprio = BEST_EFFORT
            assert context.io_submit(iocb) == 1
            assert context.io_getevents(1, 1)[0].res == 512

    run_in_child(child)
