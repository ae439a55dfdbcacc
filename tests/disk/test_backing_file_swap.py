# SPDX-License-Identifier: GPL-2.0
"""Swap on a disk in a file, for tasks that have less memory than they use."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest import cgroups, counters, devices, file_disks, files, fio, system
from guest.file_disks import file_disk
from guest.memory import aligned

MIB = 1 << 20
PAGE = 4096

# What a task uses, and what it has
USED, LIMIT = 28 * MIB, 16 * MIB
SWAP = 64 * MIB

# So few and small requests that most pages of the task are not being written at any time.
# Otherwise the kernel may find no page to free, and kill the task.
DISK = {"discard": 1, "hw_queue_depth": 8, "max_sectors": 256}


@pytest.fixture
def hierarchy(tmp_path) -> Iterator[Path]:
    """The cgroups of version 2."""
    with cgroups.mounted(tmp_path):
        if not cgroups.has(tmp_path, "io", "memory"):
            pytest.skip("the kernel has no cgroups of I/O and memory")
        yield tmp_path


@contextlib.contextmanager
def swap_on(disk: Path) -> Iterator[None]:
    """Swaps to a disk, for the time of the with statement."""
    system.run("mkswap", disk)
    # Before any other
    system.run("swapon", "--priority", 100, disk)
    try:
        yield
    finally:
        system.run("swapoff", disk)


def content(number: int, turn: int) -> bytes:
    """Returns a page that no other one, and no other turn, has."""
    return f"{number:>16}{turn:>16}".encode() * (PAGE // 32)


def fill_and_check() -> None:
    """Writes more memory than there is, and finds the same in it, in two turns."""
    memory = aligned(USED)
    for turn in range(2):
        for number in range(USED // PAGE):
            memory[number * PAGE : (number + 1) * PAGE] = content(number, turn)
        for number in range(USED // PAGE):
            assert memory[number * PAGE : (number + 1) * PAGE] == content(number, turn)


@pytest.mark.parametrize("kind", ["xfs", "ext4 attached"])
def test_swap_under_memory_pressure(kind, hierarchy):
    drive = devices.drive("scratch")
    with (
        file_disks.backing(kind, drive, SWAP) as path,
        cgroups.group(hierarchy, "io", "memory") as group,
    ):
        fio.lay_out(path, SWAP)
        with file_disk(path, **DISK) as disk, swap_on(disk):
            files.write(group / "memory.max", LIMIT)
            before = counters.disk(disk)
            cgroups.run_inside(group, fill_and_check)
            grown = counters.grown(counters.disk(disk), before)
            assert cgroups.statistics(group / "memory.events")["oom_kill"] == 0
            # Adjacent pages are swapped by one request.
            assert grown["write"] > 100
            assert grown["read"] > 100
            assert "error" not in grown
