# SPDX-License-Identifier: GPL-2.0
"""Fault injection by the groups in the directory of a disk."""

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from guest import counters, devices, files, fio, kernel, system, uring
from guest.errors import fails
from guest.memory import aligned, pattern
from guest.tasks import Call

DISK = "nulldisk"
DIRECTORY = devices.CONFIGFS / DISK
BLOCK = 4096

GROUPS = ("timeout_inject", "requeue_inject", "init_hctx_fault_inject")
# The files of a group that has not been set up, as in null_blk
DEFAULTS = {
    "probability": "0",
    "interval": "1",
    "times": "1",
    "space": "0",
    "verbose": "2",
    "verbose_ratelimit_interval_ms": "0",
    "verbose_ratelimit_burst": "10",
    "task-filter": "0",
}

# In ms, so that a test does not wait for long. The block layer looks once in a second.
TIMEOUT = 500


@pytest.fixture(autouse=True)
def _groups() -> None:
    if GROUPS[0] not in files.read(devices.CONFIGFS / "features").split(","):
        assert not kernel.IS_DEBUG
        pytest.skip("this kernel has no CONFIG_FAULT_INJECTION_CONFIGFS")


def in_memory(**attributes: object) -> AbstractContextManager[Path]:
    return devices.null_disk(DISK, memory_backed=1, size=16, **attributes)


@contextlib.contextmanager
def in_a_file(path: Path, **attributes: object) -> Iterator[Path]:
    """Makes a disk whose data is in a file on a tmpfs."""
    path.touch()
    os.truncate(path, 16 << 20)
    with devices.null_disk(DISK, backing_file=path, direct_io=0, **attributes) as disk:
        yield disk


@pytest.fixture
def kinds(tmp_path) -> dict[str, Callable[..., AbstractContextManager[Path]]]:
    """What makes a disk, by where its data is."""
    return {"memory": in_memory, "file": lambda **options: in_a_file(tmp_path / "image", **options)}


def inject(group: str, **values: object) -> None:
    """Sets a group up. What is not given remains as it is, but nothing is logged."""
    for name, value in {"verbose": 0, **values}.items():
        # Last, because faults are injected from then on.
        if name != "probability":
            files.write(DIRECTORY / group / name, value)
    files.write(DIRECTORY / group / "probability", values.get("probability", 100))


def set_timeout(disk: Path, timeout: int = TIMEOUT) -> None:
    files.write(Path("/sys/block") / disk.name / "queue/io_timeout", timeout)


def verify(disk: Path, **options: object) -> dict:
    """Writes at random, and reads and verifies what was written."""
    defaults = {"rw": "randwrite", "verify": "crc32c", "ioengine": "libaio", "iodepth": 16}
    defaults["size"] = kernel.fewer(2 << 20)
    return fio.run(disk, **(defaults | options))


def test_the_files_of_the_groups(kinds):
    for make in kinds.values():
        with make():
            for group in GROUPS:
                directory = DIRECTORY / group
                assert {path.name for path in directory.iterdir()} >= set(DEFAULTS)
                assert {name: files.read(directory / name) for name in DEFAULTS} == DEFAULTS
                fails(errno.EINVAL, files.write, directory / "probability", "often")


def test_values_are_kept_while_the_disk_is_off():
    with in_memory() as disk:
        # Nothing is injected by the search for partitions at power-on, which takes fewer requests.
        inject("requeue_inject", times=7, interval=1000)
        for power in (0, 1):
            files.write(DIRECTORY / "power", power)
            names = ("times", "interval", "probability", "verbose")
            values = [files.read(DIRECTORY / "requeue_inject" / name) for name in names]
            assert values == ["7", "1000", "100", "0"]
        files.write(DIRECTORY / "requeue_inject/interval", 3)
        with files.opened(disk) as fd:
            files.pread(fd, BLOCK, 0)
            files.pread(fd, BLOCK, 0)
            files.pread(fd, BLOCK, 0)
        assert counters.disk(disk)["requeue"] > 0


def test_requests_are_requeued(kinds):
    """By the block layer, and by the driver."""
    for make in kinds.values():
        with make() as disk, files.opened(disk) as fd:
            before = counters.disk(disk)
            with kernel.new_log_lines() as lines:
                inject("requeue_inject", times=2)
                assert os.pwrite(fd, pattern(BLOCK), 0) == BLOCK
                assert files.pread(fd, BLOCK, 0) == pattern(BLOCK)[:]
            grown = counters.grown(counters.disk(disk), before)
            assert {name: grown.get(name) for name in ("requeue", "read", "write")} == {
                "requeue": 2,
                "read": 1,
                "write": 1,
            }
            assert files.read(DIRECTORY / "requeue_inject/times") == "0"
            assert kernel.about_disks(lines, DISK) == []


def requeue_under_load(disk: Path, **options: object) -> None:
    inject("requeue_inject", probability=10, times=-1)
    assert verify(disk, **options)["error"] == 0
    assert counters.disk(disk)["requeue"] > 1
    assert counters.disk(disk)["error"] == 0


def test_requests_are_requeued_under_load(tmp_path):
    with in_memory(irqmode=2, submit_queues=2, mbps=64) as disk:
        requeue_under_load(disk, numjobs=2, offset_increment="4m", group_reporting=1)
    with in_a_file(tmp_path / "image", fua=1) as disk:
        requeue_under_load(disk, fsync=8)


def test_polled_requests_are_requeued_under_load():
    with in_memory(poll_queues=1) as disk:
        requeue_under_load(disk, ioengine="io_uring", hipri=1)
        assert counters.disk(disk)["polled"] > 0
        assert counters.disk(disk)["timeout"] == 0


def test_a_request_times_out(kinds):
    """It is not carried out; the next one is."""
    for make in kinds.values():
        with make() as disk, files.opened(disk) as fd:
            set_timeout(disk)
            assert os.pwrite(fd, pattern(BLOCK), 0) == BLOCK
            inject("timeout_inject")
            with kernel.new_log_lines() as lines:
                fails(errno.ETIMEDOUT, os.pwrite, fd, aligned(BLOCK), 0)
            assert files.pread(fd, BLOCK, 0) == pattern(BLOCK)[:]
            assert counters.disk(disk)["timeout"] == 1
            assert counters.disk(disk)["error"] == 0
            # What the block layer says of any error
            assert all("timeout error, dev" in line for line in kernel.about_disks(lines, DISK))


def test_a_flush_times_out(kinds):
    for kind, make in kinds.items():
        with make(**({"write_cache": 1} if kind == "memory" else {})) as disk:
            set_timeout(disk)
            with files.opened(disk) as fd:
                os.pwrite(fd, pattern(BLOCK), 0)
                # The flush is the next request.
                inject("timeout_inject")
                fails(errno.ETIMEDOUT, os.fsync, fd)
                assert counters.disk(disk)["timeout"] == 1


def test_a_polled_request_times_out():
    """Although it is polled."""
    with in_memory(poll_queues=1) as disk, contextlib.ExitStack() as stack:
        fd = stack.enter_context(files.opened(disk))
        ring = stack.enter_context(uring.Ring(uring.IOPOLL))
        set_timeout(disk)
        inject("timeout_inject")
        memory = aligned(BLOCK)
        for result, timeout, polled in ((-errno.ETIMEDOUT, 1, 0), (BLOCK, 1, 1)):
            ring.queue_file(uring.READ_FILE, fd, memory, 0)
            ring.submit()
            assert list(ring.results(1)) == [result]
            counted = counters.disk(disk)
            assert (counted["timeout"], counted["polled"]) == (timeout, polled)
            # The next one may be polled late.
            set_timeout(disk, devices.IO_TIMEOUT)


def test_a_request_of_a_throttled_disk_times_out():
    with in_memory(mbps=1) as disk, files.opened(disk) as fd:
        set_timeout(disk)
        inject("timeout_inject")
        fails(errno.ETIMEDOUT, files.pread, fd, BLOCK, 0)


def test_requests_time_out_under_load(kinds):
    """What has not timed out is right."""
    for make in kinds.values():
        with make() as disk:
            set_timeout(disk)
            inject("timeout_inject", probability=10, times=5)
            inject("requeue_inject", probability=10, times=-1)
            assert verify(disk, continue_on_error="io")["error"] == errno.ETIMEDOUT
            counted = counters.disk(disk)
            assert counted["timeout"] == 5 - int(files.read(DIRECTORY / "timeout_inject/times")) > 0
            assert counted["requeue"] > 0
            assert counted["error"] == 0


def test_power_off_waits_for_a_timeout(kinds):
    for make in kinds.values():
        with make() as disk, files.opened(disk) as fd:
            before = counters.disk(disk)["read"]
            inject("timeout_inject")
            call = Call(files.pread, fd, BLOCK, 0)
            system.wait_for(lambda disk=disk, before=before: counters.disk(disk)["read"] > before)
            files.write(DIRECTORY / "power", 0)
            fails(errno.ETIMEDOUT, call.result)


def test_hardware_queues_that_cannot_be_made(kinds):
    """Neither the first nor, after the first has been made, the second. Then they can."""
    for make in kinds.values():
        with make(submit_queues=2) as disk:
            files.write(DIRECTORY / "power", 0)
            for space in (0, 2):
                inject("init_hctx_fault_inject", times=1, space=space)
                with kernel.new_log_lines() as lines:
                    fails(errno.ENOMEM, files.write, DIRECTORY / "power", 1)
                (line,) = kernel.about_disks(lines, DISK)
                assert "power: '1' refused: " in line
                assert files.read(DIRECTORY / "power") == "0"
                assert not disk.exists()
                files.write(DIRECTORY / "power", 1)
                if space:
                    assert verify(disk)["error"] == 0
                files.write(DIRECTORY / "power", 0)


def test_a_hardware_queue_that_cannot_be_added(kinds):
    """The number stays as it was. Then it can."""
    for make in kinds.values():
        with make(submit_queues=1) as disk:
            inject("init_hctx_fault_inject", times=1)
            with kernel.new_log_lines() as lines:
                fails(errno.EFAULT, files.write, DIRECTORY / "submit_queues", 2)
            (line,) = kernel.about_disks(lines, DISK)
            assert "submit_queues: '2' refused: " in line
            queues = Path("/sys/block") / disk.name / "mq"
            assert files.read(DIRECTORY / "submit_queues") == "1"
            assert len(list(queues.iterdir())) == 1
            files.write(DIRECTORY / "submit_queues", 2)
            assert files.read(DIRECTORY / "submit_queues") == "2"
            assert len(list(queues.iterdir())) == 2
            assert verify(disk)["error"] == 0


def test_the_log_says_what_is_injected():
    """At most as often as was set up."""
    with in_memory() as disk, files.opened(disk) as fd:
        limit = {"verbose_ratelimit_interval_ms": 3_600_000, "verbose_ratelimit_burst": 1}
        with kernel.new_log_lines() as lines:
            inject("requeue_inject", times=4, verbose=1, **limit)
            assert len(files.pread(fd, BLOCK, 0)) == BLOCK
        assert counters.disk(disk)["requeue"] == 4
        assert sum("FAULT_INJECTION: forcing a failure" in line for line in lines) == 1


def test_groups_are_removed_with_the_disk_only():
    with in_memory():
        for group in GROUPS:
            fails(errno.EPERM, (DIRECTORY / group).rmdir)
            fails(errno.EPERM, (DIRECTORY / group / "another").mkdir)
    assert not DIRECTORY.exists()


def test_a_disk_that_requeues_without_end_can_be_removed():
    """Nothing else can end that once the directory is being removed."""
    with in_memory() as disk:
        fd = os.open(disk, os.O_RDONLY | os.O_DIRECT)
        inject("requeue_inject", times=-1)
        read = Call(lambda: files.pread(fd, 4096, 0))
        system.wait_for(lambda: counters.disk(disk)["requeue"] > 4)
    assert len(read.result()) == 4096
    os.close(fd)


def test_an_open_file_of_a_removed_group():
    """It has nothing to read or write, also if there is a disk of the same name again. It does not
    keep the module, which it does not need."""
    path = DIRECTORY / "timeout_inject/probability"
    # The files are closed before the module is loaded again.
    with contextlib.ExitStack() as unloaded, contextlib.ExitStack() as stack:
        with in_memory():
            fd = stack.enter_context(files.opened(path, os.O_RDWR))
            read = stack.enter_context(files.opened(path, os.O_RDWR))
            assert os.pread(read, 16, 0) == b"0\n"
        for again in (contextlib.nullcontext, in_memory):
            with again():
                fails(errno.ENOENT, os.pread, fd, 16, 0)
                for each in (fd, read):
                    fails(errno.ENOENT, os.pwrite, each, b"100\n", 0)
                if path.exists():
                    assert files.read(path) == "0"
        unloaded.enter_context(kernel.unloaded())
        fails(errno.ENOENT, os.pread, fd, 16, 0)


def test_groups_in_use_while_disks_come_and_go():
    stop = threading.Event()

    def use() -> int:
        used = 0
        while not stop.is_set():
            with contextlib.suppress(FileNotFoundError):
                for group in GROUPS:
                    files.write(DIRECTORY / group / "interval", 2)
                    used += files.read(DIRECTORY / group / "interval") == "2"
        return used

    users = [Call(use) for _ in range(2)]
    try:
        for turn in range(100):
            DIRECTORY.mkdir()
            if turn % 10 == 0:
                files.write(DIRECTORY / "power", 1)
            DIRECTORY.rmdir()
        # Once they surely find one
        with in_memory():
            system.wait_for(lambda: files.read(DIRECTORY / GROUPS[-1] / "interval") == "2")
    finally:
        stop.set()
    assert sum(user.result() for user in users) > 0
