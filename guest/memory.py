# SPDX-License-Identifier: GPL-2.0
"""Memory for I/O, and the count of pinned pages."""

import contextlib
import ctypes
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

HUGE_PAGE = 2 << 20
LIBC = ctypes.CDLL(None, use_errno=True)
STAT_REFRESH = Path("/proc/sys/vm/stat_refresh")


def aligned(length: int) -> mmap.mmap:
    """Returns zeroed memory that begins at a page boundary."""
    return mmap.mmap(-1, length)


def filled(data: bytes) -> mmap.mmap:
    """Returns aligned memory with this content."""
    memory = aligned(len(data))
    memory[:] = data
    return memory


def pattern(length: int, seed: int = 0) -> mmap.mmap:
    """Returns aligned memory of which every block of 512 bytes is different."""
    memory = aligned(length)
    for at in range(0, length, 512):
        memory[at : at + 512] = f"{seed:>16}{at:>16}".encode() * 16
    return memory


def huge(length: int) -> memoryview:
    """Returns memory of huge pages, as far as the kernel has any: few segments describe it."""
    memory = mmap.mmap(-1, length + HUGE_PAGE)
    with contextlib.suppress(OSError):
        memory.madvise(mmap.MADV_HUGEPAGE)
    offset = -address(memory) % HUGE_PAGE
    return memoryview(memory)[offset : offset + length]


def address(memory: mmap.mmap | memoryview) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def protect(where: int, length: int, protection: int) -> None:
    """Calls mprotect(2); PROTECTION is 0 or a sum of mmap.PROT_*."""
    arguments = ctypes.c_void_p(where), ctypes.c_size_t(length), protection
    if LIBC.mprotect(*arguments):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@contextlib.contextmanager
def protected(memory: mmap.mmap, protection: int) -> Iterator[int]:
    """Restricts the access to MEMORY for the time of the with statement; gives its address."""
    where = address(memory)
    protect(where, len(memory), protection)
    try:
        yield where
    finally:
        protect(where, len(memory), mmap.PROT_READ | mmap.PROT_WRITE)


def pins() -> int:
    """Returns how many pages are pinned, according to /proc/vmstat, which each CPU adds to with a
    delay unless a refresh is requested."""
    STAT_REFRESH.write_text("1")
    stat = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    return int(stat["nr_foll_pin_acquired"]) - int(stat["nr_foll_pin_released"])


def available() -> int:
    """Returns how many bytes the kernel estimates to be available for allocation."""
    meminfo = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(meminfo["MemAvailable"].split()[0]) * 1024
