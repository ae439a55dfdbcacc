# SPDX-License-Identifier: GPL-2.0
"""File systems whose direct I/O the module takes over."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from guest import counters, files, filesystems, system

CONFIGFS = Path("/sys/kernel/config/rnull_dio_live")

# Issuers that do I/O while something happens to the file system: options of fio
LOADS = {
    "psync": {"ioengine": "psync"},
    "libaio": {"ioengine": "libaio", "iodepth": 16},
    "io_uring": {"ioengine": "io_uring", "iodepth": 16},
    "io_uring-polled": {"ioengine": "io_uring", "iodepth": 4, "hipri": 1},
}

FSCK = {
    "xfs": ("xfs_repair", "-n"),
    "ext4": ("e2fsck", "-fn"),
    "btrfs": ("btrfs", "check", "--readonly"),
    "f2fs": ("fsck.f2fs", "--dry-run"),
}


@contextlib.contextmanager
def directory(name: str = "live") -> Iterator[Path]:
    """Makes the directory of a file system that is not attached yet."""
    where = CONFIGFS / name
    where.mkdir()
    try:
        yield where
    finally:
        where.rmdir()


@contextlib.contextmanager
def attached(mount: Path, name: str = "live", completion: str = "auto") -> Iterator[str]:
    """Attaches the file system that is mounted at MOUNT; gives the name."""
    with directory(name) as where:
        files.write(where / "path", mount)
        files.write(where / "completion", completion)
        files.write(where / "attached", 1)
        yield name


@contextlib.contextmanager
def on_device(
    kind: str,
    device: Path,
    mkfs: Iterable[str] = (),
    options: Iterable[str] = (),
    **attributes: str,
) -> Iterator[Path]:
    """Makes, mounts and attaches a file system; gives the mount point. Checks the file system
    at the end."""
    with (
        filesystems.mainline(kind, device, mkfs, options) as mount,
        attached(mount, **attributes),
    ):
        yield mount
    check(kind, device)


def items() -> list[str]:
    """Returns the names of all file systems that have a directory."""
    return [path.name for path in CONFIGFS.iterdir()] if CONFIGFS.exists() else []


def check(kind: str, device: Path) -> None:
    """Checks an unmounted file system."""
    system.run(*FSCK[kind], device)


def routes(name: str = "live") -> dict[str, int]:
    """Returns how many requests of an attached file system took each route."""
    return read(name, "routes")


def passed(name: str = "live") -> dict[str, int]:
    """Returns how many requests were passed on to the kernel's own code, by their reasons."""
    return {why: count for why, count in read(name, "passed").items() if count}


def read(name: str, file: str) -> dict[str, int]:
    return counters.parse((counters.DEBUGFS / "live" / name / file).read_text())
