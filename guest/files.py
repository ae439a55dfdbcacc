# SPDX-License-Identifier: GPL-2.0
"""Files: attributes of the kernel, direct reads, what the page cache holds."""

import contextlib
import ctypes
import fcntl
import mmap
import os
import time
from collections.abc import Iterator
from pathlib import Path

from guest import system
from guest.memory import address, aligned

# From <linux/fs.h>
FICLONE = 0x40049409

# From <linux/falloc.h>
KEEP_SIZE = 0x01
PUNCH_HOLE = 0x02
COLLAPSE_RANGE = 0x08
ZERO_RANGE = 0x10
INSERT_RANGE = 0x20
UNSHARE_RANGE = 0x40

# From <linux/time.h>: the clock of time stamps, which only ticks
CLOCK_REALTIME_COARSE = 5

libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_longlong, ctypes.c_longlong)


def write(path: Path, value: object) -> None:
    """Writes an attribute with one system call, so that a refusal is an OSError."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, f"{value}\n".encode())
    finally:
        os.close(fd)


def read(path: Path) -> str:
    """Returns the value of an attribute."""
    return path.read_text().strip()


@contextlib.contextmanager
def opened(path: Path, flags: int = os.O_RDWR | os.O_DIRECT) -> Iterator[int]:
    fd = os.open(path, flags)
    try:
        yield fd
    finally:
        os.close(fd)


def buffered(path: Path, flags: int = 0) -> contextlib.AbstractContextManager[int]:
    """Opens a file for buffered I/O."""
    return opened(path, os.O_RDWR | flags)


@contextlib.contextmanager
def mapped(path: Path, length: int) -> Iterator[mmap.mmap]:
    """Maps the beginning of a file."""
    with buffered(path) as fd, mmap.mmap(fd, length) as memory:
        yield memory


def pread(fd: int, length: int, offset: int) -> bytes:
    """Reads up to LENGTH bytes into memory that is aligned for direct I/O."""
    memory = aligned(length)
    return memory[: os.preadv(fd, [memory], offset)]


def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
    """Calls fallocate(2); os.posix_fallocate() has no modes."""
    if libc.fallocate(fd, mode, offset, length):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def wait_for_tick(stat: os.stat_result) -> None:
    """Waits until a change of a file with this STAT would give it a later time stamp."""
    system.wait_for(lambda: time.clock_gettime_ns(CLOCK_REALTIME_COARSE) > stat.st_mtime_ns)


def clone(source: Path, target: Path) -> None:
    """Makes a file that shares all blocks of another one."""
    with opened(source, os.O_RDONLY) as shared, opened(target, os.O_RDWR | os.O_CREAT) as fd:
        fcntl.ioctl(fd, FICLONE, shared)


def read_into_cache(path: Path, offset: int, length: int = 65536) -> None:
    with opened(path, os.O_RDONLY) as fd:
        assert len(os.pread(fd, length, offset)) == length


def cached_pages(path: Path) -> int:
    """Returns how many pages of a file are in the page cache."""
    length = path.stat().st_size
    found = (ctypes.c_ubyte * -(-length // mmap.PAGESIZE))()
    with mapped(path, length) as memory:
        where = ctypes.c_void_p(address(memory))
        assert libc.mincore(where, ctypes.c_size_t(length), found) == 0
    return sum(each & 1 for each in found)


def set_cache(path: Path, offset: int | None) -> None:
    """Leaves pages of the file in the page cache at OFFSET and nowhere else, or none at all."""
    with opened(path, os.O_RDWR) as fd:
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    if offset is not None:
        read_into_cache(path, offset)
