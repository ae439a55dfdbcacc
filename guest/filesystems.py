# SPDX-License-Identifier: GPL-2.0
"""File systems: each is made anew on a device and mounted."""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from guest import files, kernel, system, tools

# Where on its device the data of a diofs begins
DATA_START = 64 * 1024
# The block size of a diofs, and the size of a page
BLOCK = 4096

# From <linux/fs.h>
FIFREEZE = 0xC0045877
FITHAW = 0xC0045878

FORCE = {"xfs": "-f", "ext4": "-F", "btrfs": "-f", "f2fs": "-f"}


def on_device(device: Path, length: int, offset: int = 0) -> bytes:
    """Returns what the device of a diofs has at OFFSET of the file."""
    with files.opened(device, os.O_RDONLY | os.O_DIRECT) as fd:
        return files.pread(fd, length, DATA_START + offset)


def data_start(path: Path) -> int:
    """Returns where on its device a file of XFS or ext4 begins, in bytes."""
    table = system.run("filefrag", "-e", "-b512", path).stdout
    first = re.search(r"^\s+0:\s+0\.\.\s*\d+:\s+(\d+)\.\.", table, re.MULTILINE)[1]
    return int(first) * 512


def enough_for(kind: str) -> int:
    """Returns the size of a device that a file system of this kind can be on, in MiB. XFS needs at
    least 300."""
    return 320 if kind == "xfs" else kernel.fewer(320)


@contextlib.contextmanager
def mounted(kind: str, device: Path, *options: str) -> Iterator[Path]:
    """Mounts DEVICE; gives the mount point."""
    where = Path("/run") / f"mnt-{kind}-{device.name}"
    where.mkdir(exist_ok=True)
    system.run("mount", "-t", kind, *options, device, where)
    try:
        yield where
    finally:
        # The kernel may put the files of a ring of io_uring later than its program ends.
        system.run_until_it_succeeds("umount", where)


@contextlib.contextmanager
def frozen(where: Path) -> Iterator[None]:
    """Freezes the file system that is mounted there, for the time of the with statement."""
    with files.opened(where, os.O_RDONLY) as fd:
        fcntl.ioctl(fd, FIFREEZE, 0)
        try:
            yield
        finally:
            fcntl.ioctl(fd, FITHAW, 0)


@contextlib.contextmanager
def diofs(device: Path, *options: str) -> Iterator[Path]:
    """Makes and mounts a diofs; gives its one file."""
    tools.mkfs_diofs("--force", device)
    with mounted("diofs", device, *options) as where:
        yield where / "data"


@contextlib.contextmanager
def mainline(
    kind: str, device: Path, mkfs: Iterable[str] = (), options: Iterable[str] = ()
) -> Iterator[Path]:
    """Makes and mounts a file system that is not a diofs; gives the mount point. MKFS and OPTIONS
    are arguments of mkfs and of mount."""
    system.run(f"mkfs.{kind}", "-q", FORCE[kind], *mkfs, device)
    with mounted(kind, device, *options) as where:
        yield where


@contextlib.contextmanager
def filesystem(kind: str, device: Path, *options: str) -> Iterator[Path]:
    """Makes and mounts a file system of any kind; gives the path of a file "data" on it, which
    exists on a diofs only."""
    if kind == "diofs":
        with diofs(device, *options) as data:
            yield data
        return
    with mainline(kind, device) as where:
        yield where / "data"
