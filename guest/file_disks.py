# SPDX-License-Identifier: GPL-2.0
"""Disks whose data is in a file or on a block device, and what they can be on."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from guest import devices, errors, files, filesystems, live

# The size of a file, by default
SIZE = 16 << 20


@contextlib.contextmanager
def backing(kind: str, below: Path, size: int = SIZE) -> Iterator[Path]:
    """Gives a sparse file of SIZE on the device BELOW, or BELOW itself. KIND is a file system,
    which is made anew, perhaps with the word "attached", or "block device"."""
    name, _, attached = kind.partition(" ")
    if kind == "block device":
        yield below
    elif kind == "diofs":
        with filesystems.diofs(below) as data:
            yield data
    else:
        with filesystems.mainline(name, below) as mount:
            image = sparse(mount / "image", size)
            with live.attached(mount) if attached else contextlib.nullcontext():
                yield image


def sparse(path: Path, size: int = SIZE) -> Path:
    """Makes a file without data."""
    path.touch()
    os.truncate(path, size)
    return path


def file_disk(
    path: Path, name: str = "filedisk", **attributes: object
) -> contextlib.AbstractContextManager[Path]:
    """Makes a disk whose data is in the file."""
    return devices.null_disk(name, backing_file=path, **attributes)


@contextlib.contextmanager
def directory(name: str = "filedisk") -> Iterator[Path]:
    """Makes the directory of a disk that is off."""
    where = devices.CONFIGFS / name
    where.mkdir()
    try:
        yield where
    finally:
        where.rmdir()


def refused(where: Path, error: int, **attributes: object) -> str:
    """Powers a disk on, which must fail; returns what the log says."""
    for name, value in attributes.items():
        files.write(where / name, value)
    return errors.refused(where / "power", 1, error).partition("refused: ")[2]


def threads() -> list[int]:
    """Returns the threads of all disks in files: one for each disk and each hardware queue."""
    found = []
    for comm in Path("/proc").glob("[0-9]*/comm"):
        # Any task may exit in the meantime.
        with contextlib.suppress(OSError):
            if comm.read_text().startswith("rnull_dio_s"):
                found.append(int(comm.parent.name))
    return found
