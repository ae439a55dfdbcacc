# SPDX-License-Identifier: GPL-2.0
"""The same operations have the same results as with the kernel's own code, file by file."""

import errno
import os
import random
from pathlib import Path

import pytest

from guest import files, filesystems, issuers, kernel, live, system, uring
from guest.issuers import ISSUERS
from guest.memory import aligned, pattern

BLOCK = 512
OPERATIONS = kernel.fewer(600)
LENGTH = 1 << 20

# How the file begins: the size of each part, and what is in it
PARTS = 8


def prepare(path: Path, seed: int) -> None:
    """Makes a file of holes, unwritten blocks and data."""
    choose = random.Random(seed)
    part = LENGTH // PARTS
    with files.opened(path, os.O_RDWR | os.O_CREAT) as fd:
        for at in range(0, LENGTH, part):
            kind = choose.choice(["hole", "unwritten", "data"])
            if kind == "unwritten":
                os.posix_fallocate(fd, at, part)
            elif kind == "data":
                os.pwrite(fd, pattern(part, at), at)
        os.ftruncate(fd, choose.choice([LENGTH, LENGTH - 700, LENGTH + 5000]))
        os.fsync(fd)


def operation(fd: int, choose: random.Random, number: int) -> tuple[str, object]:
    """Carries out an operation; returns what it is and its result."""
    what = choose.choice(["read", "write", "write", "cached", "cached-write", "truncate", "fsync"])
    # Some are not aligned, and fail.
    unit = choose.choice([BLOCK, 4096, 4096, 100 if number % 50 == 0 else 4096])
    at = choose.randrange(0, LENGTH + 65536, unit)
    length = choose.choice([1, 2, 8, 40]) * unit
    flags = choose.choice([0, 0, 0, os.RWF_DSYNC, os.RWF_SYNC])
    name = f"{what} {at}+{length} {flags:#x}"
    try:
        if what == "read":
            memory = aligned(max(length, 4096))
            count = os.preadv(fd, [memoryview(memory)[:length]], at)
            return name, memory[:count]
        if what == "write":
            data = pattern(max(length, 4096), number)
            return name, os.pwritev(fd, [memoryview(data)[:length]], at, flags)
        if what == "truncate":
            os.ftruncate(fd, choose.randrange(LENGTH // 2, LENGTH + 65536, 100))
            return name, None
        if what == "fsync":
            return name, os.fsync(fd)
        with files.buffered(f"/proc/self/fd/{fd}") as cached:
            if what == "cached":
                return name, os.pread(cached, length, at)
            return name, os.pwrite(cached, pattern(max(length, 4096), number)[:length], at)
    except OSError as error:
        return name, error.errno


def results(path: Path, seed: int) -> list[tuple[str, object]]:
    prepare(path, seed)
    choose = random.Random(seed)
    with files.opened(path) as fd:
        return [operation(fd, choose, number) for number in range(OPERATIONS)]


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
@pytest.mark.parametrize("seed", range(4))
def test_same_results(seed, kind, disk):
    with filesystems.mainline(kind, disk) as mount:
        expected = results(mount / "mainline", seed)
        with live.attached(mount):
            got = results(mount / "live", seed)
            assert sum(live.routes().values()) > 0
            assert set(live.passed()) <= {"fill"}
        for number, (one, other) in enumerate(zip(expected, got, strict=True)):
            assert one == other, f"operation {number}"
        system.run("cmp", mount / "mainline", mount / "live")
    live.check(kind, disk)


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
@pytest.mark.parametrize("issuer", ISSUERS)
def test_requests_that_must_not_sleep(issuer, kind, disk):
    """Reads go through; what has to allocate blocks does not. An overwrite may fail because of the
    time stamps, which file systems update before they call the engine."""

    def attempt(path: Path) -> list[int]:
        with (
            files.opened(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT) as fd,
            ISSUERS[issuer]() as requests,
        ):

            def nowait(opcode: int, memory, offset: int) -> int:
                return issuers.run(requests, opcode, fd, memory, offset, os.RWF_NOWAIT)

            os.pwrite(fd, pattern(LENGTH), 0)
            os.ftruncate(fd, 2 * LENGTH)
            os.fsync(fd)
            back = aligned(16384)
            # Such a request may fail because of a lock that is held for a moment.
            system.wait_for(lambda: nowait(uring.READ_FILE, back, 8192) == 16384)
            assert back[:] == pattern(LENGTH)[8192:24576]
            assert nowait(uring.WRITE_FILE, pattern(4096, 1), 8192) in (4096, -errno.EAGAIN)
            return [
                nowait(uring.WRITE_FILE, pattern(4096), LENGTH),
                nowait(uring.WRITE_FILE, pattern(4096), 2 * LENGTH),
            ]

    with filesystems.mainline(kind, disk) as mount:
        expected = attempt(mount / "mainline")
        with live.attached(mount):
            assert attempt(mount / "live") == expected == [-errno.EAGAIN] * 2
    live.check(kind, disk)
