# SPDX-License-Identifier: GPL-2.0
"""Durable writes to attached file systems, and freezing of these."""

import contextlib
import os
import threading
import time
from pathlib import Path

import pytest

from guest import counters, files, filesystems, fio, issuers, kernel, live, system, uring
from guest.issuers import ISSUERS
from guest.memory import pattern

BLOCK = 4096
COUNT = 8
LENGTH = COUNT * BLOCK

# How a write is made durable: flags of open() and of the request
DURABLE = {
    "O_DSYNC": (os.O_DSYNC, 0),
    "O_SYNC": (os.O_SYNC, 0),
    "RWF_DSYNC": (0, os.RWF_DSYNC),
    "RWF_SYNC": (0, os.RWF_SYNC),
}


def make_file(path: Path, blocks: str) -> None:
    with files.opened(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT) as fd:
        if blocks == "unwritten":
            os.posix_fallocate(fd, 0, LENGTH)
        elif blocks == "overwrite":
            os.pwrite(fd, pattern(LENGTH), 0)
        os.fsync(fd)


def flushes(disk: Path, path: Path, issuer: str, how: str) -> list[int]:
    """Writes all of a file, a block at a time; returns how many flushes and how many writes with
    FUA the disk got."""
    open_flags, rw_flags = DURABLE[how]
    with (
        files.opened(path, os.O_RDWR | os.O_DIRECT | open_flags) as fd,
        ISSUERS[issuer]() as requests,
    ):
        before = counters.disk(disk)
        for offset in range(0, LENGTH, BLOCK):
            memory = pattern(BLOCK, offset)
            assert issuers.run(requests, uring.WRITE_FILE, fd, memory, offset, rw_flags) == BLOCK
        after = counters.disk(disk)
        for offset in range(0, LENGTH, BLOCK):
            assert files.pread(fd, BLOCK, offset) == pattern(BLOCK, offset)[:]
    return [after[name] - before[name] for name in ("flush", "fua")]


def flushes_of_all(disk: Path, directory: Path, issuer: str) -> dict[tuple[str, str], list[int]]:
    """Writes files of each kind of block in DIRECTORY, made durable in each way; returns what the
    disk got."""
    directory.mkdir()
    found = {}
    for how in DURABLE if issuer == "psync" else ("RWF_DSYNC",):
        for blocks in ("overwrite", "unwritten", "growth"):
            path = directory / f"{how}-{blocks}"
            make_file(path, blocks)
            found[how, blocks] = flushes(disk, path, issuer, how)
    return found


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
@pytest.mark.parametrize("issuer", ISSUERS)
@pytest.mark.parametrize("fua", [0, 1], ids=["flush", "fua"])
def test_durable_writes_flush_as_in_mainline(fua, issuer, kind, null_disk):
    disk = null_disk(memory_backed=1, size=512, irqmode=2, poll_queues=1, write_cache=1, fua=fua)
    with filesystems.mainline(kind, disk) as mount:
        mainline = flushes_of_all(disk, mount / "mainline", issuer)
        with live.attached(mount):
            attached = flushes_of_all(disk, mount / "live", issuer)
            assert sum(live.routes().values()) >= COUNT * len(attached)
        for (how, blocks), expected in mainline.items():
            found = attached[how, blocks]
            print(how, blocks, expected, found)
            # Each write needs at least one.
            assert min(sum(expected), sum(found)) >= COUNT
            # The journal may be written at any time. Whether a write changes the time stamps, which
            # are synced by the flags SYNC, depends on the clock.
            changes = blocks == "overwrite" and "DSYNC" not in how
            for one, other in zip(expected, found, strict=True):
                assert abs(one - other) <= (COUNT if changes else 2)
    live.check(kind, disk)


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
def test_freezing(kind, disk):
    """A frozen file system gets no writes, can be detached and attached, and writes go on when it
    is thawed."""
    with (
        filesystems.mainline(kind, disk) as mount,
        live.attached(mount) as name,
        contextlib.ExitStack() as stack,
    ):
        attached = live.CONFIGFS / name / "attached"
        loads = []
        for issuer, options in live.LOADS.items():
            fio.lay_out(mount / issuer, 1 << 20)
            loads.append(stack.enter_context(fio.verifying(mount / issuer, size="1M", **options)))
        for turn in range(kernel.fewer(3, least=2)):
            for load in loads:
                fio.wait_for_verifying(load)
            with filesystems.frozen(mount):
                before = writes(disk)
                for value in [(), (0,), (0, 1)][turn % 3]:
                    within_a_minute(lambda value=value: files.write(attached, value))
                time.sleep(0.5)
                assert writes(disk) == before
            files.write(attached, 1)
            before = sum(live.routes().values())
            system.wait_for(lambda before=before: sum(live.routes().values()) > before + 100)
        for load in loads:
            fio.stop_verifying(load)
        assert live.passed() == {}
    live.check(kind, disk)


def writes(disk: Path) -> int:
    return counters.disk(disk)["write"]


def within_a_minute(what) -> None:
    thread = threading.Thread(target=what, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
