# SPDX-License-Identifier: GPL-2.0
"""Commands of io_uring: data, wrong input, and commands whose issuer or device goes away."""

import ctypes
import errno
import fcntl
import os
import signal
import subprocess
import sys

import pytest

from guest import counters, devices, files, fio, kernel, system, tracing, uring
from guest.filesystems import DATA_START
from guest.memory import address, aligned, pattern

SAMPLE = system.SAMPLES / "uring_cmd"
DEADLOCK = system.SAMPLES / "deadlock"

# How often it writes and reads
ROUNDS = kernel.fewer(50)

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
    """A disk so slow that its device or its issuer can go away during a command."""
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
    system.run(SAMPLE, f"--rounds={ROUNDS}", *RINGS[ring], data)
    routes = counters.routes(device)
    assert sum(routes.values()) == ROUNDS * 2 * 2 * 8
    if "--poll" in RINGS[ring]:
        assert routes["reaper"] == ROUNDS * 2 * 2 * 8
    else:
        assert routes["reaper"] == 0
    assert routes["worker"] == 0


@pytest.mark.parametrize("ring", ["plain", "polled"])
def test_blocks_of_many_sizes(ring, device, diofs):
    data = diofs(device)
    for block in (512, 3 * 512, 65536, 1 << 20):
        system.run(SAMPLE, "--rounds=2", "--depth=4", f"--block={block}", *RINGS[ring], data)


def test_deep_queues(device, diofs):
    data = diofs(device)
    for ring in ("plain", "polled"):
        system.run(SAMPLE, "--rounds=4", "--depth=512", *RINGS[ring], data)


@pytest.mark.parametrize("completion", ["auto", "workqueue", "defer", "inline"])
def test_every_policy(completion, disk, diofs):
    data = diofs(disk, "-o", f"completion={completion}")
    for ring in ("plain", "polled", "defer"):
        before = counters.routes(disk)["issuer"]
        system.run(SAMPLE, "--rounds=20", *RINGS[ring], data)
        issuer = counters.routes(disk)["issuer"] - before
        # Under "defer", writes are completed by the issuer's task.
        assert issuer == (20 * 2 * 8 if completion == "defer" and ring != "polled" else 0)


@pytest.mark.parametrize(("fua", "counted"), [(0, "flush"), (1, "fua")])
def test_durable_writes(fua, counted, null_disk, diofs):
    device = null_disk(memory_backed=1, size=64, irqmode=2, poll_queues=1, write_cache=1, fua=fua)
    data = diofs(device)
    for ring in ("plain", "polled", "defer"):
        before = counters.disk(device)
        system.run(SAMPLE, "--rounds=20", "--dsync", *RINGS[ring], data)
        grown = counters.grown(counters.disk(device), before)
        assert {"flush", "fua"} & grown.keys() == {counted}


def test_polling_for_what_cannot_be_polled(null_disk, diofs):
    # The same result as for reads and writes.
    device = null_disk(memory_backed=1, size=64, irqmode=2)
    with files.opened(diofs(device)) as fd, uring.Ring(uring.IOPOLL) as ring:
        assert ring.run(uring.READ, fd, aligned(4096)) == -errno.EOPNOTSUPP


def test_several_rings_poll_one_queue(device, diofs):
    # Each ring reaps requests of the others: commands, and reads of another part of the file.
    data = diofs(device)
    with subprocess.Popen([SAMPLE, "--poll", data], stdout=subprocess.DEVNULL) as commands:
        job = fio.run(
            data, rw="randread", ioengine="io_uring", hipri=1, iodepth=8, offset="16M", numjobs=2
        )
        assert job["error"] == 0
        assert commands.wait(timeout=300) == 0


def test_forced_to_sleep(device, diofs):
    # A worker thread of io_uring issues the commands, and may sleep.
    with files.opened(diofs(device)) as fd:
        for flags in (0, uring.IOPOLL, uring.DEFER_TASKRUN):
            with uring.Ring(flags) as ring:
                memory = pattern(65536, seed=flags)
                assert ring.run(uring.WRITE, fd, memory, 4096, flags=uring.ASYNC) == 65536
                back = aligned(65536)
                assert ring.run(uring.READ, fd, back, 4096, flags=uring.ASYNC) == 65536
                assert back[:] == memory[:]


def test_end_of_file(device, diofs):
    data = diofs(device)
    size = data.stat().st_size
    with files.opened(data) as fd, uring.Ring() as ring:
        memory = pattern(8192)
        assert ring.run(uring.WRITE, fd, memory, size - 4096) == 4096
        assert ring.run(uring.WRITE, fd, memory, size) == -errno.ENOSPC
        assert ring.run(uring.READ, fd, memory, size - 4096) == 4096
        assert ring.run(uring.READ, fd, memory, size) == 0
        for op in (uring.READ, uring.WRITE):
            assert ring.run(op, fd, (address(memory), 0), 0) == 0


def test_device_errors(null_disk, diofs):
    disk = null_disk(
        memory_backed=1,
        size=64,
        blocksize=512,
        irqmode=2,
        completion_nsec=20_000_000,
        poll_queues=1,
    )
    devices.set_bad(disk, DATA_START + 4096)
    with files.opened(diofs(disk)) as fd:
        for flags in (0, uring.IOPOLL, uring.DEFER_TASKRUN):
            with uring.Ring(flags) as ring:
                for op in (uring.READ, uring.WRITE):
                    assert ring.run(op, fd, pattern(8192)) == -errno.EIO
                    assert ring.run(op, fd, pattern(4096)) == 4096
    # The issuer's task completes requests that fail. A submitter that pauses until a request has
    # ended completes it.
    routes = counters.routes(disk)
    assert routes["worker"] == 0
    assert routes["issuer"] in (3, 4)


# Wrong input


def test_unknown_commands(disk, diofs):
    memory = pattern(4096)
    with files.opened(diofs(disk)) as fd, uring.Ring() as ring:
        for op in (0, 1, uring.READ + 2, uring.READ ^ 1 << 31, 0xFFFFFFFF):
            assert ring.run(op, fd, memory) == -errno.EOPNOTSUPP


@pytest.mark.parametrize("flags", [0, uring.IOPOLL], ids=["plain", "polled"])
def test_wrong_fields(flags, device, diofs):
    memory = pattern(8192)
    start = address(memory)
    with files.opened(diofs(device)) as fd, uring.Ring(flags) as ring:
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
            # Invalid positions in the file.
            (uring.READ, memory, 1 << 63, {}),
            (uring.WRITE, memory, (1 << 64) - 4096, {}),
            (uring.WRITE, memory, (1 << 63) - 4096, {}),
        ):
            assert ring.run(op, fd, where, pos, **more) == -errno.EINVAL, (op, where, pos, more)


def test_memory_that_is_not_there(device, diofs):
    with files.opened(diofs(device)) as fd, uring.Ring() as ring:
        for where in ((0, 4096), (0x1000, 4096), (1 << 63, 4096), ((1 << 64) - 4096, 8192)):
            for op in (uring.READ, uring.WRITE):
                assert ring.run(op, fd, where) == -errno.EFAULT


def test_registered_memory_that_is_not_there(disk, diofs):
    memory = pattern(8192)
    start = address(memory)
    fixed = {"uring_cmd_flags": uring.FIXED}
    iovec = (ctypes.c_uint64 * 2)(start, 4096)
    with files.opened(diofs(disk)) as fd, uring.Ring() as ring:
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
    memory = pattern(4096)
    with uring.Ring() as ring:
        with files.opened(data, os.O_RDONLY | os.O_DIRECT) as fd:
            assert ring.run(uring.WRITE, fd, memory) == -errno.EBADF
            assert ring.run(uring.READ, fd, memory) == 4096
        with files.opened(data, os.O_WRONLY | os.O_DIRECT) as fd:
            assert ring.run(uring.READ, fd, memory) == -errno.EBADF
            assert ring.run(uring.WRITE, fd, memory) == 4096
        with files.opened(data) as fd:
            fcntl.fcntl(fd, fcntl.F_SETFL, 0)
            for op in (uring.READ, uring.WRITE):
                assert ring.run(op, fd, memory) == -errno.EINVAL
        with files.opened(data.parent, os.O_RDONLY) as fd:
            assert ring.run(uring.READ, fd, memory) == -errno.EOPNOTSUPP


# Notification, freezing, and waiting for direct I/O


def test_watchers_are_notified(disk, diofs):
    data = diofs(disk)
    memory = pattern(4096)
    with files.opened(data) as fd, uring.Ring() as ring:
        for op, event in ((uring.WRITE, "modify"), (uring.READ, "access")):
            with tracing.watched(data) as events:
                assert ring.run(op, fd, memory) == 4096
            assert events == [event]


def test_writes_wait_while_frozen(device, diofs):
    data = diofs(device)
    memory = pattern(4096)
    with files.opened(data) as fd:
        for flags in (0, uring.IOPOLL):
            with uring.Ring(flags) as ring:
                system.run("fsfreeze", "--freeze", data.parent)
                try:
                    ring.queue(uring.WRITE, fd, memory)
                    ring.submit()
                    back = aligned(4096)
                    with uring.Ring() as other:
                        assert other.run(uring.READ, fd, back) == 4096
                    assert back[:] != memory[:]
                    if not flags:
                        assert ring.pending()
                finally:
                    system.run("fsfreeze", "--unfreeze", data.parent)
                assert list(ring.results(1)) == [4096]
                assert files.pread(fd, 4096, 0) == memory[:]
                os.pwritev(fd, [aligned(4096)], 0)


@pytest.mark.parametrize("completion", ["auto", "defer", "workqueue"])
def test_a_task_that_waits_for_its_own_commands(completion, disk, diofs):
    # Under "defer", each completion needs the task itself.
    data = diofs(disk, "-o", f"completion={completion}")
    for wait in ([], ["--ftruncate"], ["--freeze"]):
        for more in ([], ["--dsync"]):
            system.run(DEADLOCK, "--command", "--rounds=200", "--depth=4", *wait, *more, data)


# Issuers and disks that go away

LEAVE = """
import os, sys
from guest import uring
from guest.memory import pattern
fd = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
ring = uring.Ring(int(sys.argv[2]))
memory = pattern(4096)
for i in range(64):
    ring.queue(uring.WRITE if i & 1 else uring.READ, fd, memory, i * 4096)
ring.submit()
print("submitted", flush=True)
if sys.argv[3] == "wait":
    sys.stdin.read()
if sys.argv[3] == "close":
    uring.liburing.io_uring_queue_exit(ring.ring)
os._exit(0)
"""


def leave(data, flags, how):
    """Starts a process that issues 64 commands and exits."""
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            LEAVE,
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
def test_issuers_that_go_away(how, completion, slow, diofs):
    data = diofs(slow, "-o", f"completion={completion}")
    for flags in (0, uring.IOPOLL, uring.DEFER_TASKRUN):
        before = counters.total(slow)
        leave(data, flags, how)
        # All of them complete, and with the last one the file is closed.
        system.wait_for(lambda before=before: counters.total(slow) == before + 64)


def test_a_disk_that_is_removed(slow, diofs):
    data = diofs(slow)
    memory = pattern(4096)
    with files.opened(data) as fd, uring.Ring() as ring:
        for i in range(32):
            ring.queue(uring.WRITE, fd, memory, i * 4096)
        ring.submit()
        files.write(devices.CONFIGFS / slow.name / "power", 0)
        assert set(ring.results(32)) <= {4096, -errno.EIO}
        assert ring.run(uring.READ, fd, memory) == -errno.EIO
