# SPDX-License-Identifier: GPL-2.0
"""Data is right on attached file systems of every format: sizes of blocks and sectors, shared
blocks, and what ext4 does by buffered I/O.

In each file system, every issuer writes and verifies files of every kind of block.
"""

import dataclasses
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest import counters, files, filesystems, fio, kernel, live
from guest.memory import pattern

SIZE = kernel.fewer(256 << 10, least=128 << 10)
LARGE = 4 << 20


@dataclasses.dataclass(frozen=True)
class Format:
    """A file system: arguments of mkfs and of mount, and the logical block size of its device."""

    kind: str
    mkfs: str = ""
    options: tuple[str, ...] = ()
    sector: int = 512
    reflink: bool = False
    # ext4 writes to a file by buffered I/O if it journals the data.
    direct: bool = True


FORMATS = {
    "xfs-shared": Format("xfs", "-m reflink=1", reflink=True),
    "xfs-shared-1k": Format("xfs", "-m reflink=1 -b size=1k", reflink=True),
    "xfs-shared-4k-sectors": Format("xfs", "-m reflink=1", reflink=True, sector=4096),
    "xfs-1k": Format("xfs", "-m reflink=0 -b size=1k"),
    "xfs-4k-sectors": Format("xfs", "-m reflink=0", sector=4096),
    "ext4": Format("ext4", "-b 4096"),
    "ext4-1k": Format("ext4", "-b 1024"),
    "ext4-4k-sectors": Format("ext4", "-b 4096", sector=4096),
    "ext4-journal": Format("ext4", "-b 4096", ("-o", "data=journal"), direct=False),
    "ext4-journal-1k": Format("ext4", "-b 1024", ("-o", "data=journal"), direct=False),
    "ext4-inline": Format("ext4", "-O inline_data -I 1024 -b 4096"),
    "ext4-inline-1k": Format("ext4", "-O inline_data -I 512 -b 1024"),
}


def prepare(blocks: str, path: Path) -> None:
    """Makes a file of blocks of one kind; a file that shares blocks has a twin."""
    with files.opened(path, os.O_RDWR | os.O_CREAT) as fd:
        if blocks == "unwritten":
            os.posix_fallocate(fd, 0, SIZE)
        elif blocks == "holes":
            os.ftruncate(fd, SIZE)
        elif blocks not in ("growth", "large"):
            os.pwrite(fd, pattern(SIZE), 0)
            os.fsync(fd)
    if blocks.startswith("shared"):
        files.clone(path, twin(path))


def twin(path: Path) -> Path:
    return path.with_suffix(".twin")


def jobs_on(mount: Path, layout: Format) -> Iterator[tuple[str, fio.Options]]:
    """Makes a file for each kind of block and each issuer; gives the job for it."""
    sizes = {"blocksize_unaligned": 0, "bsrange": f"{layout.sector}-3M", "size": LARGE}
    parts = {"bsrange": f"{layout.sector}-20k", "blocksize_unaligned": 0}
    kinds: dict[str, fio.Options] = {
        "overwrite": {},
        "unwritten": {},
        "holes": {},
        "growth": {"rw": "write", "file_append": 1, "fallocate": "none"},
        "large": {"allow_file_create": 1, **sizes},
        "parts-of-holes": parts,
    }
    if layout.reflink:
        # The second half stays shared.
        kinds |= {"shared": {"size": SIZE // 2}, "shared-parts": {"size": SIZE // 2, **parts}}
    for issuer, how in live.LOADS.items():
        for blocks, options in kinds.items():
            path = mount / f"{blocks}-{issuer}"
            prepare("holes" if blocks == "parts-of-holes" else blocks, path)
            # The issuers take turns.
            turn = {"stonewall": 1} if blocks == next(iter(kinds)) else {}
            yield path.name, {"filename": path, **how, **options, **turn}


def digests(mount: Path, flags: int) -> dict[str, str]:
    found = {}
    for path in sorted(mount.iterdir()):
        if path.is_file():
            with files.opened(path, flags) as fd:
                found[path.name] = hashlib.sha256(files.pread(fd, LARGE, 0)).hexdigest()
    return found


def check_shared(mount: Path) -> None:
    """Checks that writes to a file have not changed its twin, and what was not written."""
    twins = list(mount.glob("*.twin"))
    assert len(twins) == 2 * len(live.LOADS)
    for path in twins:
        assert path.read_bytes() == pattern(SIZE)[:]
        written = path.with_suffix("").read_bytes()
        assert written[SIZE // 2 :] == pattern(SIZE)[SIZE // 2 :]
        assert written[: SIZE // 2] != pattern(SIZE)[: SIZE // 2]


@pytest.mark.parametrize("name", FORMATS)
def test_every_issuer_verifies_every_kind_of_block(name, null_disk):
    layout = FORMATS[name]
    disk = null_disk(memory_backed=1, size=512, blocksize=layout.sector, irqmode=2, poll_queues=1)
    with live.on_device(layout.kind, disk, layout.mkfs.split(), layout.options) as mount:
        jobs = dict(jobs_on(mount, layout))
        before = live.routes()
        common = {"rw": "randwrite", "size": SIZE, "verify": "crc32c"}
        results = fio.run_jobs(common, jobs)
        assert results.keys() == jobs.keys()
        for job, result in results.items():
            writes, reads = result["write"]["total_ios"], result["read"]["total_ios"]
            assert writes == reads > 0, job
            if "bsrange" not in jobs[job]:
                assert writes == jobs[job].get("size", SIZE) // 4096, job
        taken = sum(counters.grown(live.routes(), before).values())
        if layout.direct:
            assert taken > sum(result["write"]["total_ios"] for result in results.values())
        else:
            assert taken == 0
        assert live.passed() == {}
        if layout.reflink:
            check_shared(mount)
        contents = digests(mount, os.O_RDONLY | os.O_DIRECT)
    # The same data is on the device.
    with filesystems.mounted(layout.kind, disk, *layout.options) as mount:
        assert digests(mount, os.O_RDONLY) == contents


@pytest.mark.parametrize("size", [100, 512, 700])
def test_data_in_the_inode(size, disk):
    """ext4 reads and writes such files by buffered I/O, until they are too large."""

    def attempt(path: Path) -> list[object]:
        with files.buffered(path, os.O_CREAT) as fd:
            assert os.pwrite(fd, b"x" * size, 0) == size
            os.fsync(fd)
        with files.opened(path) as fd:
            found = [files.pread(fd, 4096, 0)]
            for offset, length in (0, 512), (512, 512), (4096, 8192), (0, 4096):
                found.append(os.pwrite(fd, pattern(length, offset), offset))
                found.append(files.pread(fd, 16384, 0))
        return [*found, path.read_bytes()]

    layout = FORMATS["ext4-inline"]
    with filesystems.mainline(layout.kind, disk, layout.mkfs.split()) as mount:
        expected = attempt(mount / "mainline")
        with live.attached(mount):
            assert attempt(mount / "live") == expected
            assert live.passed() == {}
        assert expected[0] == b"x" * size
        assert expected[-1] == pattern(4096, 0)[:] + pattern(8192, 4096)[:]
    live.check(layout.kind, disk)
