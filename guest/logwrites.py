# SPDX-License-Identifier: GPL-2.0
"""A device that logs all writes in the order in which they became durable (dm-log-writes), and the
state of the device after a power cut at any time."""

import contextlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from guest import devices, files, system

# struct log_write_super: magic, version, nr_entries, sectorsize
SUPER = struct.Struct("<QQQI")
# struct log_write_entry: sector, nr_sectors, flags, data_len
ENTRY = struct.Struct("<QQQQ")
DISCARD = 1 << 2
MARK = 1 << 3

NAME = "logged"


def logged(device: Path, log: Path) -> contextlib.AbstractContextManager[Path]:
    """Logs the writes to DEVICE in LOG; gives the device to write to."""
    return devices.mapped(NAME, "dm-log-writes", "log-writes", device, log)


def mark(name: str) -> None:
    """Puts a mark into the log, behind what is durable already."""
    system.run("dmsetup", "message", NAME, "0", "mark", name)


def entries(log: Path) -> Iterator[tuple[int, int, bytes]]:
    """Gives the flags of each entry, the position, and the data or the name of the mark."""
    with files.opened(log, os.O_RDONLY) as fd:
        _, _, count, size = SUPER.unpack(os.pread(fd, SUPER.size, 0))
        assert size == devices.SECTOR
        at = size
        for _ in range(count):
            header = os.pread(fd, size, at)
            sector, sectors, flags, length = ENTRY.unpack_from(header)
            at += size
            if flags & MARK:
                yield flags, 0, header[ENTRY.size : ENTRY.size + length]
            elif not flags & DISCARD:
                yield flags, sector * size, os.pread(fd, sectors * size, at)
                at += sectors * size


def replay(log: Path, device: Path, name: str, more: int = 0) -> None:
    """Writes to DEVICE what was durable at a mark, and MORE entries behind it."""
    found, left = False, more
    with files.opened(device, os.O_RDWR) as fd:
        for flags, offset, data in entries(log):
            if flags & MARK:
                found = found or data == name.encode()
            else:
                os.pwrite(fd, data, offset)
                left -= found
            if found and left <= 0:
                break
        os.fsync(fd)
    assert found
