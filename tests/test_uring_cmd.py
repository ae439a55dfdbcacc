# SPDX-License-Identifier: GPL-2.0
"""Commands of io_uring: data, wrong input, and what ends a command early."""

import ctypes
import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import lab
import pytest
import uring

SAMPLE = lab.SAMPLES / "uring_cmd"
DEADLOCK = lab.SAMPLES / "deadlock"

RINGS = {
    "plain": (),
    "polled": ("--poll",),
    "sqpoll": ("--sqpoll",),
    "sqpoll-polled": ("--sqpoll", "--poll"),
    "defer": ("--defer",),
    "defer-polled": ("--defer", "--poll"),
}


@pytest.fixture
def slow(null_disk):
    """A disk on which a command takes long enough to do something else meanwhile."""
    return null_disk(
        memory_backed=1,
        size=64,
        blocksize=512,
        irqmode=2,
        completion_nsec=300_000_000,
        poll_queues=1,
    )


@pytest.fixture
def disk(null_disk):
    return null_disk(memory_backed=1, size=64, blocksize=512, irqmode=2, poll_queues=1)


# Data


@pytest.mark.parametrize("ring", RINGS)
def test_data_comes_back(ring, device, diofs):
    data = diofs(device)
    lab.run(SAMPLE, "--rounds=50", *RINGS[ring], data)
    routes = lab.routes(device)
    assert sum(routes.values()) == 50 * 2 * 2 * 8
    if "--poll" in RINGS[ring]:
        assert routes["reaper"] == 50 * 2 * 2 * 8
    else:
        assert routes["reaper"] == 0
    assert routes["worker"] == 0


@pytest.mark.parametrize("ring", ["plain", "polled"])
def test_blocks_of_many_sizes(ring, device, diofs):
    data = diofs(device)
    for block in (512, 3 * 512, 65536, 1 << 20):
        lab.run(SAMPLE, "--rounds=2", "--depth=4", f"--block={block}", *RINGS[ring], data)


def test_deep_queues(device, diofs):
    data = diofs(device)
    for ring in ("plain", "polled"):
        lab.run(SAMPLE, "--rounds=4", "--depth=512", *RINGS[ring], data)


@pytest.mark.parametrize("completion", ["auto", "workqueue", "defer", "inline"])
def test_every_policy(completion, disk, diofs):
    data = diofs(disk, "-o", f"completion={completion}")
    for ring in ("plain", "polled", "defer"):
        before = lab.routes(disk)["issuer"]
        lab.run(SAMPLE, "--rounds=20", *RINGS[ring], data)
        issuer = lab.routes(disk)["issuer"] - before
        # What this policy has the writes wait for: a task of the issuer's.
        assert issuer == (20 * 2 * 8 if completion == "defer" and ring != "polled" else 0)


@pytest.mark.parametrize(("fua", "counted"), [(0, "flush"), (1, "fua")])
def test_durable_writes(fua, counted, null_disk, diofs):
    device = null_disk(memory_backed=1, size=64, irqmode=2, poll_queues=1, write_cache=1, fua=fua)
    data = diofs(device)
    for ring in ("plain", "polled", "defer"):
        before = lab.disk_counters(device)
        lab.run(SAMPLE, "--rounds=20", "--dsync", *RINGS[ring], data)
        grown = lab.grown(lab.disk_counters(device), before)
        assert {"flush", "fua"} & grown.keys() == {counted}


def test_polling_for_what_cannot_be_polled(null_disk, diofs):
    # As for reads and writes.
    device = null_disk(memory_backed=1, size=64, irqmode=2)
    with lab.opened(diofs(device)) as fd, uring.Ring(uring.IOPOLL) as ring:
        assert ring.run(uring.READ, fd, lab.aligned(4096)) == -errno.EOPNOTSUPP


def test_several_rings_poll_one_queue(device, diofs):
    # Each finds what the others have issued: commands, and reads behind what they write to.
    data = diofs(device)
    with subprocess.Popen([SAMPLE, "--poll", data], stdout=subprocess.DEVNULL) as commands:
        job = lab.fio(
            data, rw="randread", ioengine="io_uring", hipri=1, iodepth=8, offset="16M", numjobs=2
        )
        assert job["error"] == 0
        assert commands.wait(timeout=300) == 0


def test_forced_to_sleep(device, diofs):
    # Issued by a worker of io_uring, which may sleep.
    with lab.opened(diofs(device)) as fd:
        for flags in (0, uring.IOPOLL, uring.DEFER_TASKRUN):
            with uring.Ring(flags) as ring:
                memory = lab.pattern(65536, seed=flags)
                assert ring.run(uring.WRITE, fd, memory, 4096, flags=uring.ASYNC) == 65536
                back = lab.aligned(65536)
                assert ring.run(uring.READ, fd, back, 4096, flags=uring.ASYNC) == 65536
                assert back[:] == memory[:]


def test_end_of_file(device, diofs):
    data = diofs(device)
    size = data.stat().st_size
    with lab.opened(data) as fd, uring.Ring() as ring:
        memory = lab.pattern(8192)
        assert ring.run(uring.WRITE, fd, memory, size - 4096) == 4096
        assert ring.run(uring.WRITE, fd, memory, size) == -errno.ENOSPC
        assert ring.run(uring.READ, fd, memory, size - 4096) == 4096
        assert ring.run(uring.READ, fd, memory, size) == 0
        for op in (uring.READ, uring.WRITE):
            assert ring.run(op, fd, (uring.address(memory), 0), 0) == 0


def test_device_errors(null_disk, diofs):
    disk = null_disk(
        memory_backed=1,
        size=64,
        blocksize=512,
        irqmode=2,
        completion_nsec=20_000_000,
        poll_queues=1,
    )
    sector = lab.DATA_START // 512 + 8
    lab.write(lab.CONFIGFS / disk.name / "badblocks", f"+{sector}-{sector}")
    with lab.opened(diofs(disk)) as fd:
        for flags in (0, uring.IOPOLL, uring.DEFER_TASKRUN):
            with uring.Ring(flags) as ring:
                for op in (uring.READ, uring.WRITE):
                    assert ring.run(op, fd, lab.pattern(8192)) == -errno.EIO
                    assert ring.run(op, fd, lab.pattern(4096)) == 4096
    # An error is for a task to tell.
    assert lab.routes(disk)["issuer"] == 4


# Wrong input


def test_unknown_commands(disk, diofs):
    memory = lab.pattern(4096)
    with lab.opened(diofs(disk)) as fd, uring.Ring() as ring:
        for op in (0, 1, uring.READ + 2, uring.READ ^ 1 << 31, 0xFFFFFFFF):
            assert ring.run(op, fd, memory) == -errno.EOPNOTSUPP


@pytest.mark.parametrize("flags", [0, uring.IOPOLL], ids=["plain", "polled"])
def test_wrong_fields(flags, device, diofs):
    memory = lab.pattern(8192)
    start = uring.address(memory)
    with lab.opened(diofs(device)) as fd, uring.Ring(flags) as ring:
        for op, where, pos, more in (
            (uring.READ, memory, 0, {"cmd_flags": uring.DSYNC}),
            (uring.READ, memory, 0, {"cmd_flags": 2}),
            (uring.WRITE, memory, 0, {"cmd_flags": 1 << 31}),
            (uring.WRITE, memory, 0, {"reserved": 1}),
            (uring.WRITE, memory, 0, {"file_index": 1}),
            (uring.WRITE, memory, 0, {"ioprio": 1}),
            (uring.WRITE, memory, 0, {"uring_cmd_flags": 1 << 7}),
            (
                uring.WRITE,
                memory,
                0,
                {"uring_cmd_flags": uring.MULTISHOT, "flags": uring.BUFFER_SELECT},
            ),
            # Alignment: of the position, the length, the memory.
            (uring.READ, memory, 256, {}),
            (uring.WRITE, memory, 1, {}),
            (uring.READ, (start, 511), 0, {}),
            (uring.WRITE, (start + 1, 4096), 0, {}),
            # Positions that there are not.
            (uring.READ, memory, 1 << 63, {}),
            (uring.WRITE, memory, (1 << 64) - 4096, {}),
            (uring.WRITE, memory, (1 << 63) - 4096, {}),
        ):
            assert ring.run(op, fd, where, pos, **more) == -errno.EINVAL, (op, where, pos, more)


def test_memory_that_is_not_there(device, diofs):
    with lab.opened(diofs(device)) as fd, uring.Ring() as ring:
        for where in ((0, 4096), (0x1000, 4096), (1 << 63, 4096), ((1 << 64) - 4096, 8192)):
            for op in (uring.READ, uring.WRITE):
                assert ring.run(op, fd, where) == -errno.EFAULT


def test_registered_memory_that_is_not_there(disk, diofs):
    memory = lab.pattern(8192)
    start = uring.address(memory)
    fixed = {"uring_cmd_flags": uring.FIXED}
    iovec = (ctypes.c_uint64 * 2)(start, 4096)
    with lab.opened(diofs(disk)) as fd, uring.Ring() as ring:
        assert ring.run(uring.WRITE, fd, memory, **fixed) == -errno.EFAULT
        uring.check(uring.liburing.io_uring_register_buffers(ring.ring, iovec, 1))
        assert ring.run(uring.WRITE, fd, (start, 4096), **fixed) == 4096
        for where, index in (
            ((start, 8192), 0),
            ((start + 4096, 4096), 0),
            ((start - 4096, 4096), 0),
            ((start, 4096), 1),
        ):
            assert ring.run(uring.WRITE, fd, where, buf_index=index, **fixed) == -errno.EFAULT


def test_how_the_file_was_opened(disk, diofs):
    data = diofs(disk)
    memory = lab.pattern(4096)
    with uring.Ring() as ring:
        with lab.opened(data, os.O_RDONLY | os.O_DIRECT) as fd:
            assert ring.run(uring.WRITE, fd, memory) == -errno.EBADF
            assert ring.run(uring.READ, fd, memory) == 4096
        with lab.opened(data, os.O_WRONLY | os.O_DIRECT) as fd:
            assert ring.run(uring.READ, fd, memory) == -errno.EBADF
            assert ring.run(uring.WRITE, fd, memory) == 4096
        with lab.opened(data) as fd:
            fcntl.fcntl(fd, fcntl.F_SETFL, 0)
            for op in (uring.READ, uring.WRITE):
                assert ring.run(op, fd, memory) == -errno.EINVAL
        with lab.opened(data.parent, os.O_RDONLY) as fd:
            assert ring.run(uring.READ, fd, memory) == -errno.EOPNOTSUPP


# What else the kernel does about transfers


def test_watchers_are_told(disk, diofs):
    access, modify = 0x1, 0x2
    libc = ctypes.CDLL(None)
    data = diofs(disk)
    memory = lab.pattern(4096)
    with lab.opened(data) as fd, uring.Ring() as ring:
        watch = uring.check(libc.inotify_init1(os.O_NONBLOCK))
        uring.check(libc.inotify_add_watch(watch, os.fsencode(data), access | modify))
        for op, event in ((uring.WRITE, modify), (uring.READ, access)):
            assert ring.run(op, fd, memory) == 4096
            assert int.from_bytes(os.read(watch, 4096)[4:8], "little") == event
        os.close(watch)


def test_writes_wait_while_frozen(device, diofs):
    data = diofs(device)
    memory = lab.pattern(4096)
    with lab.opened(data) as fd:
        for flags in (0, uring.IOPOLL):
            with uring.Ring(flags) as ring:
                lab.run("fsfreeze", "--freeze", data.parent)
                try:
                    ring.queue(uring.WRITE, fd, memory)
                    ring.submit()
                    back = lab.aligned(4096)
                    with uring.Ring() as other:
                        assert other.run(uring.READ, fd, back) == 4096
                    assert back[:] != memory[:]
                    if not flags:
                        assert ring.pending()
                finally:
                    lab.run("fsfreeze", "--unfreeze", data.parent)
                assert list(ring.results(1)) == [4096]
                assert lab.pread(fd, 4096, 0) == memory[:]
                os.pwritev(fd, [lab.aligned(4096)], 0)


@pytest.mark.parametrize("completion", ["auto", "defer", "workqueue"])
def test_a_task_that_waits_for_its_own_commands(completion, disk, diofs):
    # With "defer", the task is left something to do for each.
    data = diofs(disk, "-o", f"completion={completion}")
    for wait in ([], ["--ftruncate"], ["--freeze"]):
        for more in ([], ["--dsync"]):
            lab.run(DEADLOCK, "--command", "--rounds=200", "--depth=4", *wait, *more, data)


# Ends

LEAVE = """
import os, sys
sys.path.insert(0, sys.argv[1])
import lab, uring
fd = os.open(sys.argv[2], os.O_RDWR | os.O_DIRECT)
ring = uring.Ring(int(sys.argv[3]))
memory = lab.pattern(4096)
for i in range(64):
    ring.queue(uring.WRITE if i & 1 else uring.READ, fd, memory, i * 4096)
ring.submit()
print("submitted", flush=True)
if sys.argv[4] == "wait":
    sys.stdin.read()
if sys.argv[4] == "close":
    uring.liburing.io_uring_queue_exit(ring.ring)
os._exit(0)
"""


def leave(data, flags, how):
    """Has a process issue 64 commands and go."""
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            LEAVE,
            Path(__file__).parent,
            data,
            str(flags),
            "wait" if how == "kill" else how,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout.readline() == b"submitted\n"
    if how == "kill":
        child.send_signal(signal.SIGKILL)
    assert child.wait(timeout=60) == (-signal.SIGKILL if how == "kill" else 0)
    child.stdin.close()
    child.stdout.close()


@pytest.mark.parametrize("completion", ["auto", "defer"])
@pytest.mark.parametrize("how", ["exit", "close", "kill"])
def test_who_issued_them_goes(how, completion, slow, diofs):
    data = diofs(slow, "-o", f"completion={completion}")
    for flags in (0, uring.IOPOLL, uring.DEFER_TASKRUN):
        before = sum(lab.routes(slow).values())
        leave(data, flags, how)
        # All of them end nevertheless, after which nobody has the file open.
        lab.wait_for(lambda before=before: sum(lab.routes(slow).values()) == before + 64)


def test_the_disk_goes(slow, diofs):
    data = diofs(slow)
    memory = lab.pattern(4096)
    with lab.opened(data) as fd, uring.Ring() as ring:
        for i in range(32):
            ring.queue(uring.WRITE, fd, memory, i * 4096)
        ring.submit()
        lab.write(lab.CONFIGFS / slow.name / "power", 0)
        assert set(ring.results(32)) <= {4096, -errno.EIO}
        assert ring.run(uring.READ, fd, memory) == -errno.EIO
