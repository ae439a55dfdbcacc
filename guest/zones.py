# SPDX-License-Identifier: GPL-2.0
"""Zones of block devices: their reports, and what is done with them."""

import fcntl
import struct
from collections.abc import Callable
from typing import NamedTuple

from guest.devices import SECTOR

# From <linux/blkzoned.h>
BLKREPORTZONE = 0xC0101282
BLKRESETZONE, BLKOPENZONE, BLKCLOSEZONE, BLKFINISHZONE = (0x40101283 + n for n in (0, 3, 4, 5))
CONDITIONS = {
    0x0: "conventional",
    0x1: "empty",
    0x2: "implicitly open",
    0x3: "explicitly open",
    0x4: "closed",
    0xD: "read-only",
    0xE: "full",
    0xF: "offline",
}
HEADER = struct.Struct("=QII")
ZONE = struct.Struct("=QQQBBBB4xQ24x")


class Zone(NamedTuple):
    """A zone; the start, the lengths and the write pointer are in bytes, the latter from the
    start."""

    start: int
    length: int
    capacity: int
    written: int
    condition: str


def report(fd: int, first: int = 0, limit: int = 4096) -> list[Zone]:
    """Returns the zones from the one with byte FIRST on."""
    memory = bytearray(HEADER.size + limit * ZONE.size)
    HEADER.pack_into(memory, 0, first // SECTOR, limit, 0)
    fcntl.ioctl(fd, BLKREPORTZONE, memory)
    _, count, _ = HEADER.unpack_from(memory)
    return [parsed(memory, HEADER.size + index * ZONE.size) for index in range(count)]


def parsed(memory: bytearray, at: int) -> Zone:
    start, length, pointer, kind, condition, _, _, capacity = ZONE.unpack_from(memory, at)
    assert (kind == 1) == (condition == 0)
    return Zone(
        start * SECTOR,
        length * SECTOR,
        capacity * SECTOR,
        (pointer - start) * SECTOR,
        CONDITIONS[condition],
    )


def operation(request: int) -> Callable[[int, Zone], None]:
    """Returns a function that does this to a zone."""

    def change(fd: int, zone: Zone) -> None:
        span = struct.pack("=QQ", zone.start // SECTOR, zone.length // SECTOR)
        fcntl.ioctl(fd, request, span)

    return change


reset = operation(BLKRESETZONE)
open_ = operation(BLKOPENZONE)
close = operation(BLKCLOSEZONE)
finish = operation(BLKFINISHZONE)


def reset_all(fd: int, device_bytes: int) -> None:
    fcntl.ioctl(fd, BLKRESETZONE, struct.pack("=QQ", 0, device_bytes // SECTOR))
