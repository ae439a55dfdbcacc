# SPDX-License-Identifier: GPL-2.0
"""Block devices with logical blocks that are larger than a page: their data."""

import os
from pathlib import Path

from guest import files, fio
from guest.memory import pattern

SIZES = [8192, 16384, 65536]
LARGEST = 65536
# Patterns of data
OLD, NEW = 1, 2
ENGINES = {
    "psync": {"ioengine": "psync"},
    "libaio": {"ioengine": "libaio", "iodepth": 8},
    "io_uring": {"ioengine": "io_uring", "iodepth": 8},
    "polled": {"ioengine": "io_uring", "iodepth": 8, "hipri": 1},
}


def has_them() -> bool:
    """Returns whether the block layer has such blocks, which need huge pages."""
    return Path("/sys/kernel/mm/transparent_hugepage").exists()


def write(device: Path, length: int, seed: int, offset: int = 0, flags: int = 0) -> None:
    with files.opened(device) as fd:
        assert os.pwritev(fd, [pattern(length, seed)], offset, flags) == length


def read(device: Path, length: int, offset: int = 0) -> bytes:
    with files.opened(device, os.O_RDONLY | os.O_DIRECT) as fd:
        return files.pread(fd, length, offset)


def verify(path: Path, blocksize: int, **options: object) -> None:
    job = fio.run(
        path,
        rw="randwrite",
        verify="crc32c",
        bsrange=f"{blocksize}-256k",
        serialize_overlap=1,
        **options,
    )
    assert job["error"] == 0
    assert job["read"]["total_ios"] > 0
