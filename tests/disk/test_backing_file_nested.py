# SPDX-License-Identifier: GPL-2.0
"""Disks in files that are on disks in files."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest import file_disks, files, filesystems, fio, kernel, tracing
from guest.devices import SECTOR
from guest.file_disks import backing, file_disk, refused
from guest.memory import pattern

MIB = 1 << 20
BLOCK = 4096
# How many there may be on top of each other
LEVELS = 8
# What interrupts have on x86-64, in bytes, without KASAN
STACK = 16 << 10

# So that requests end where those of the disk below do
DISK = {"submit_queues": os.cpu_count(), "backing_offset": BLOCK}


@pytest.fixture
def below(request, null_disk) -> Path:
    """The lowest disk, which is in no file. A parameter is further attributes."""
    attributes = {"size": 320, "blocksize": SECTOR, "irqmode": 2, "submit_queues": os.cpu_count()}
    attributes |= getattr(request, "param", {})
    return null_disk("belowdisk", memory_backed=1, **attributes)


@contextlib.contextmanager
def stacked(below: Path, levels: int, *kinds: str) -> Iterator[Path]:
    """Makes disks on top of each other, on what KINDS say in turn; gives the highest one."""
    with contextlib.ExitStack() as stack:
        top = below
        for level in range(levels):
            size = (256 - 16 * level) * MIB
            on = stack.enter_context(backing(kinds[level % len(kinds)], top, size))
            top = stack.enter_context(file_disk(on, f"level{level + 1}", **DISK))
        yield top


@pytest.mark.parametrize("kinds", [("block device",), ("ext4", "block device")])
def test_as_many_as_there_may_be(kinds, below):
    with stacked(below, LEVELS, *kinds) as top:
        job = fio.run(
            top,
            rw="randwrite",
            size=kernel.fewer(2 * MIB),
            ioengine="io_uring",
            iodepth=16,
            bsrange="4k-64k",
            blockalign=BLOCK,
            verify="crc32c",
            serialize_overlap=1,
            fsync=16,
        )
        assert job["error"] == 0
        with files.opened(top) as fd:
            assert os.pwrite(fd, pattern(MIB), 0) == MIB
            os.fsync(fd)
        if set(kinds) == {"block device"}:
            with files.opened(below, os.O_RDONLY | os.O_DIRECT) as fd:
                assert files.pread(fd, MIB, LEVELS * BLOCK) == pattern(MIB)[:]


def test_one_more_is_refused(below):
    limit = f"backing_file: it is on {LEVELS} disks in files, which is the limit"
    with stacked(below, LEVELS - 1, "block device") as second, file_disks.directory() as where:
        with file_disk(second, "highest") as highest:
            assert refused(where, errno.ELOOP, backing_file=highest) == limit
            with filesystems.mainline("ext4", highest) as mount:
                image = file_disks.sparse(mount / "image")
                assert refused(where, errno.ELOOP, backing_file=image) == limit
        # Without that one
        files.write(where / "backing_file", second)
        files.write(where / "power", 1)
        with files.opened(Path("/dev/filedisk")) as fd:
            assert os.pwrite(fd, pattern(BLOCK), 0) == BLOCK


def test_a_disk_cannot_be_on_itself(below):
    itself = Path("/dev/filedisk")
    with file_disks.directory() as where:
        assert "no such file" in refused(where, errno.ENOENT, backing_file=itself)
        files.write(where / "backing_file", below)
        files.write(where / "power", 1)
        with filesystems.mainline("ext4", itself) as mount:
            image = file_disks.sparse(mount / "image")
            files.write(where / "power", 0)
            # The file system is that of a disk which is gone for good.
            assert "cannot be opened" in refused(where, errno.EIO, backing_file=image)


def nested(pointers: list[int]) -> Iterator[list[int]]:
    """Gives the stack pointers of calls that are within each other."""
    chain: list[int] = []
    for pointer in pointers:
        if chain and not 0 < chain[-1] - pointer < STACK:
            yield chain
            chain = []
        chain.append(pointer)
    yield chain


# So slow that each issuer is ready to know when a request of the lowest disk ends
@pytest.mark.parametrize("below", [{"completion_nsec": 10_000_000}], indirect=True, ids=["slow"])
@pytest.mark.skipif(not tracing.PROBES.exists(), reason="the kernel has no events of kprobes")
def test_stack_that_the_end_of_a_request_takes(below):
    with stacked(below, LEVELS, "block device") as top, files.opened(top) as fd:
        # A request ends on the CPU that has issued it.
        cpus = os.sched_getaffinity(0)
        try:
            for task in [0, *file_disks.threads()]:
                os.sched_setaffinity(task, {0})
            with tracing.probed("blk_mq_end_request", "%sp") as found:
                for _ in range(16):
                    files.pread(fd, BLOCK, 0)
        finally:
            os.sched_setaffinity(0, cpus)
    # Some may nevertheless have ended before.
    chains = [chain for chain in nested(found) if len(chain) >= LEVELS]
    taken = max(chain[0] - chain[-1] for chain in chains)
    print(f"{taken} bytes for {LEVELS} levels")
    # The rest is for what has been interrupted, and for what the issuer does.
    assert taken < STACK // 4
