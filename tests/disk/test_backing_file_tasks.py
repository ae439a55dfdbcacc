# SPDX-License-Identifier: GPL-2.0
"""The threads that serve disks in files: whose cgroup their I/O and memory are of, and when they
are frozen."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest import cgroups, file_disks, files, fio, system
from guest.file_disks import backing, file_disk
from guest.memory import pattern

MIB = 1 << 20

POWER = Path("/sys/power")
TEST_SECONDS = Path("/sys/module/suspend/parameters/pm_test_delay")

# From <linux/sched.h>
PF_NOFREEZE = 0x8000


@pytest.fixture
def hierarchy(tmp_path) -> Iterator[Path]:
    """The cgroups of version 2."""
    with cgroups.mounted(tmp_path):
        if not cgroups.has(tmp_path, "io", "memory"):
            pytest.skip("the kernel has no cgroups of I/O and memory")
        yield tmp_path


def write(disk: Path, length: int) -> None:
    with files.opened(disk) as fd:
        assert os.pwrite(fd, pattern(length), 0) == length


def test_whose_io_it_is(below, hierarchy):
    """The device below sees I/O of the cgroup whose task uses the disk."""
    with (
        backing("xfs", below) as path,
        file_disk(path) as disk,
        cgroups.group(hierarchy, "io") as group,
    ):
        cgroups.run_inside(group, lambda: write(disk, MIB))
        device = below.stat().st_rdev
        number = f"{os.major(device)}:{os.minor(device)}"
        stat = files.read(group / "io.stat").splitlines()
        (counts,) = (line for line in stat if line.split()[0] == number)
        assert f"wbytes={MIB}" in counts.split()


@pytest.mark.parametrize("kind", ["xfs", "block device"])
def test_whose_page_cache_it_is(kind, below, hierarchy):
    """What the task of a cgroup writes is charged to that, and what others write is not."""
    with (
        backing(kind, below) as path,
        file_disk(path, direct_io=0, size=16) as disk,
        cgroups.group(hierarchy, "io", "memory") as group,
    ):

        def charged() -> int:
            return cgroups.statistics(group / "memory.stat")["file"]

        write(disk, 8 * MIB)
        assert charged() < MIB
        with files.opened(path, os.O_RDONLY) as fd:
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        cgroups.run_inside(group, lambda: write(disk, 8 * MIB))
        # The kernel adds up the statistics of CPUs late.
        system.wait_for(lambda: 8 * MIB <= charged() < 9 * MIB)
        write(disk, 16 * MIB)
        system.wait_for(lambda: 8 * MIB <= charged() < 9 * MIB)


def flags(task: int) -> int:
    """Returns the flags of a task, PF_*."""
    return int(Path(f"/proc/{task}/stat").read_text().rpartition(")")[2].split()[6])


def test_threads_are_frozen_with_the_system(below):
    if not TEST_SECONDS.exists():
        pytest.skip("the kernel cannot suspend, or cannot test how it does")
    with backing("ext4", below) as path, file_disk(path, submit_queues=2) as disk:
        # One for each queue, and one for what always sleeps
        system.wait_for(
            lambda: [flags(task) & PF_NOFREEZE for task in file_disks.threads()] == [0, 0, 0]
        )
        before = files.read(TEST_SECONDS)
        files.write(TEST_SECONDS, 1)
        files.write(POWER / "pm_test", "freezer")
        try:
            with fio.verifying(disk, ioengine="io_uring", iodepth=16, fsync=16) as load:
                fio.wait_for_verifying(load)
                # Returns when all tasks have been frozen for a second, and thawed.
                files.write(POWER / "state", "freeze")
                fio.stop_verifying(load)
        finally:
            files.write(POWER / "pm_test", "none")
            files.write(TEST_SECONDS, before)
