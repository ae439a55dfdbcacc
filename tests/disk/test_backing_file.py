# SPDX-License-Identifier: GPL-2.0
"""Disks whose data is in a file or on a block device."""

import contextlib
import errno
import fcntl
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest import (
    counters,
    devices,
    file_disks,
    files,
    filesystems,
    fio,
    kernel,
    live,
    system,
    tracing,
)
from guest.devices import SECTOR, capacity, queue_limit
from guest.file_disks import SIZE, backing, file_disk, refused
from guest.memory import aligned, pattern
from guest.tasks import PATIENCE, Call

MIB = 1 << 20
BLOCK = 4096

WRITES = 8

BACKINGS = ("block device", "diofs", "xfs", "ext4", "xfs attached", "ext4 attached")

# From <linux/fs.h> and <linux/blkdev.h>: XFS_IOC_GOINGDOWN without a flush of its log, BLKDISCARD,
# BLKZEROOUT
GOINGDOWN, NO_LOG_FLUSH = 0x8004587D, 2
BLKDISCARD, BLKZEROOUT = 0x1277, 0x127F

# From <linux/gfp_types.h>
GFP_IO, GFP_FS = 0x40, 0x80


@pytest.fixture
def image(tmp_path) -> Path:
    """A file on a tmpfs."""
    return file_disks.sparse(tmp_path / "image")


@pytest.fixture
def directory() -> Iterator[Path]:
    with file_disks.directory() as where:
        yield where


@pytest.mark.parametrize("direct_io", [1, 0])
@pytest.mark.parametrize("kind", BACKINGS)
def test_data_comes_back(kind, direct_io, below):
    attributes = {"direct_io": direct_io, "blocksize": SECTOR, "size": 16, "fua": 1}
    with backing(kind, below) as path, file_disk(path, **attributes) as disk:
        assert files.read(devices.CONFIGFS / "filedisk/backing_file") == str(path)
        before = counters.disk(disk)
        job = fio.run(
            disk,
            rw="randwrite",
            ioengine="io_uring",
            iodepth=16,
            bsrange="512-64k",
            blockalign=SECTOR,
            verify="crc32c",
            serialize_overlap=1,
            fsync=32,
        )
        assert job["error"] == 0
        grown = counters.grown(counters.disk(disk), before)
        assert grown["write"] > 0
        assert grown["flush"] > 0
        with files.opened(disk) as fd:
            assert os.pwritev(fd, [pattern(3 * BLOCK)], BLOCK, os.RWF_DSYNC) == 3 * BLOCK
            content = files.pread(fd, MIB, 0)
        # The file has the same data, at the same place.
        with files.opened(path, os.O_RDONLY) as fd:
            assert os.pread(fd, MIB, 0) == content


@pytest.fixture
def volatile(null_disk) -> Path:
    """A device with a write cache."""
    return null_disk("belowdisk", memory_backed=1, size=320, blocksize=SECTOR, write_cache=1)


@contextlib.contextmanager
def laid_out_on(device: Path, fua: int) -> Iterator[tuple[Path, int]]:
    """Gives a file on XFS, all of whose blocks are written, and an open disk in it."""
    with backing("xfs", device) as path:
        fio.lay_out(path, SIZE)
        with file_disk(path, fua=fua) as disk, files.opened(disk) as fd:
            yield path, fd


@pytest.mark.parametrize("fua", [1, 0])
def test_durable_writes_reach_the_device_below(fua, volatile):
    with laid_out_on(volatile, fua) as (_, fd):
        for durably in (
            lambda: os.pwritev(fd, [pattern(BLOCK)], 0, os.RWF_DSYNC),
            lambda: os.fsync(fd),
        ):
            assert os.pwrite(fd, pattern(BLOCK), BLOCK) == BLOCK
            before = counters.disk(volatile)["flush"]
            durably()
            assert counters.disk(volatile)["flush"] > before


@pytest.mark.parametrize("fua", [1, 0])
def test_durable_overwrites_do_not_log_the_times_of_the_file(fua, volatile):
    with laid_out_on(volatile, fua) as (path, fd):
        before, times = counters.disk(volatile)["write"], path.stat().st_mtime_ns
        for _ in range(WRITES):
            # Longer than a tick, so that each write changes the times
            time.sleep(0.02)
            assert os.pwritev(fd, [pattern(BLOCK)], 0, os.RWF_DSYNC) == BLOCK
            os.fsync(fd)
        assert path.stat().st_mtime_ns > times
        # The log is written at other times, too.
        assert WRITES <= counters.disk(volatile)["write"] - before < 2 * WRITES


def test_requests_with_several_bios(below):
    with backing("xfs", below) as path, file_disk(path) as disk:
        before = counters.disk(disk)["write"]
        job = fio.run(
            disk,
            rw="write",
            ioengine="io_uring",
            iodepth=16,
            iodepth_batch_submit=16,
            iodepth_batch_complete_min=16,
            size=MIB,
            verify="crc32c",
        )
        assert job["error"] == 0
        # Adjacent writes are merged.
        assert 0 < counters.disk(disk)["write"] - before < MIB // BLOCK // 4


def test_where_the_disk_begins(below):
    with backing("ext4", below) as path:
        fio.lay_out(path, SIZE)
        with file_disk(path, backing_offset=3 * BLOCK) as disk, files.opened(disk) as fd:
            assert capacity(disk) == SIZE - 3 * BLOCK
            assert files.pread(fd, BLOCK, BLOCK) == pattern(SIZE)[4 * BLOCK : 5 * BLOCK]
            assert os.pwrite(fd, pattern(BLOCK, 7), 0) == BLOCK
        with files.opened(path) as fd:
            content = files.pread(fd, 5 * BLOCK, 0)
        assert content[: 3 * BLOCK] == pattern(SIZE)[: 3 * BLOCK]
        assert content[3 * BLOCK : 4 * BLOCK] == pattern(BLOCK, 7)[:]
        assert content[4 * BLOCK :] == pattern(SIZE)[4 * BLOCK : 5 * BLOCK]


@pytest.mark.parametrize("length", [SIZE - 1, SIZE + SECTOR, 5 * BLOCK + 7])
def test_capacity_is_whole_blocks(length, image):
    os.truncate(image, length)
    with file_disk(image) as disk:
        assert capacity(disk) == length // BLOCK * BLOCK


def test_files_that_are_refused(directory, image, tmp_path):
    with pytest.raises(OSError, match=r"Invalid argument"):
        files.write(directory / "backing_file", "image")
    assert files.read(directory / "backing_file") == ""
    missing = refused(directory, errno.ENOENT, backing_file=tmp_path / "missing")
    assert missing == "backing_file: there is no such file"
    for other in (tmp_path, Path("/dev/null"), Path("/proc/version")):
        assert "backing_file" in refused(
            directory, errno.EISDIR if other == tmp_path else errno.EINVAL, backing_file=other
        )
    bytes_of = "the file has 16777216 bytes from backing_offset on"
    assert bytes_of in refused(directory, errno.EINVAL, backing_file=image, size=17)
    none = refused(directory, errno.EINVAL, size=0, backing_offset=SIZE)
    assert "the file has 0 bytes" in none
    files.write(directory / "backing_offset", 0)
    # Empty again: a null disk.
    files.write(directory / "backing_file", "")
    files.write(directory / "power", 1)
    assert capacity(Path("/dev/filedisk")) == 4096 * MIB
    with pytest.raises(OSError, match=r"busy"):
        files.write(directory / "backing_file", image)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("memory_backed", 1),
        ("mbps", 1),
        ("irqmode", 2),
        ("shared_tags", 1),
        ("badblocks_partial_io", 1),
    ],
)
def test_attributes_that_do_not_go_with_it(attribute, value, directory, image):
    said = refused(directory, errno.EINVAL, backing_file=image, **{attribute: value})
    assert said == f"{attribute} does not go with backing_file"


def test_units_of_direct_io(directory, null_disk):
    below = null_disk("belowdisk", memory_backed=1, size=320, blocksize=BLOCK)
    with backing("xfs", below) as path:
        said = refused(directory, errno.EINVAL, backing_file=path, blocksize=SECTOR)
        assert said == "blocksize is less than the 4096 bytes in which the file takes direct I/O"
        said = refused(directory, errno.EINVAL, blocksize=BLOCK, backing_offset=SECTOR)
        assert said == (
            "backing_offset is no multiple of the 4096 bytes in which the file takes direct I/O"
        )
        files.write(directory / "direct_io", 0)
        files.write(directory / "power", 1)
        with files.opened(Path("/dev/filedisk")) as fd:
            assert os.pwrite(fd, pattern(BLOCK), 0) == BLOCK
            os.fsync(fd)
        files.write(directory / "power", 0)
        with files.opened(path, os.O_RDONLY) as fd:
            assert files.pread(fd, 2 * BLOCK, 0)[SECTOR : SECTOR + BLOCK] == pattern(BLOCK)[:]


def test_a_block_device_that_is_in_use(directory, below):
    with filesystems.mainline("ext4", below):
        said = refused(directory, errno.EBUSY, backing_file=below)
        assert said == "backing_file: the block device is in use"
    files.write(directory / "power", 1)
    result = system.run("mkfs.ext4", "-q", "-F", below, check=False)
    assert result.returncode
    assert "in use" in result.stderr


def test_files_that_can_only_be_read(below):
    with backing("ext4", below) as path:
        fio.lay_out(path, MIB)
        system.run("mount", "-o", "remount,ro", path.parent)
        with file_disk(path, size=1) as disk:
            assert files.read(Path("/sys/block/filedisk/ro")) == "1"
            with files.opened(disk, os.O_RDONLY | os.O_DIRECT) as fd:
                assert files.pread(fd, MIB, 0) == pattern(MIB)[:]
            with files.opened(disk, os.O_RDONLY) as fd, pytest.raises(OSError, match=r"\w"):
                os.write(fd, b"x")


@pytest.mark.parametrize("kind", ["xfs", "ext4", "block device"])
def test_discards_free_space(kind, below):
    def used() -> int:
        """Returns how much space the file takes, in bytes."""
        if kind == "block device":
            return counters.disk(below)["pages"] * BLOCK
        return path.stat().st_blocks * SECTOR

    with backing(kind, below) as path, file_disk(path, size=16, discard=1) as disk:
        assert queue_limit(disk, "discard_max_bytes") > 0
        with files.opened(disk) as fd:
            assert os.pwrite(fd, pattern(4 * MIB), 0) == 4 * MIB
            os.fsync(fd)
            full = used()
            assert full >= 4 * MIB
            discard(fd, BLKDISCARD, MIB, 2 * MIB)
            assert used() <= full - 2 * MIB
            content = files.pread(fd, 4 * MIB, 0)
            assert content[MIB : 3 * MIB] == bytes(2 * MIB)
            assert content[:MIB] == pattern(4 * MIB)[:MIB]
            assert content[3 * MIB :] == pattern(4 * MIB)[3 * MIB :]
            # Zeroes keep their space, and are there whatever the file system can do.
            discard(fd, BLKZEROOUT, 0, MIB)
            assert files.pread(fd, MIB, 0) == bytes(MIB)


def discard(fd: int, request: int, start: int, length: int) -> None:
    fcntl.ioctl(fd, request, start.to_bytes(8, "little") + length.to_bytes(8, "little"))


def test_zeroes_are_written_where_the_file_cannot_have_holes(below):
    """Once that is known, the file is not asked any more, and no error is logged."""
    system.run("mkfs.ext4", "-q", "-F", "-O", "^extents,^64bit", below)
    with filesystems.mounted("ext4", below) as mount:
        path = file_disks.sparse(mount / "image")
        with file_disk(path) as disk, files.opened(disk) as fd:
            assert os.pwrite(fd, pattern(MIB), 0) == MIB
            with kernel.new_log_lines() as lines:
                discard(fd, BLKZEROOUT, BLOCK, 8 * BLOCK)
                assert queue_limit(disk, "write_zeroes_max_bytes") == 0
                discard(fd, BLKZEROOUT, 9 * BLOCK, BLOCK)
            assert kernel.about_disks(lines, disk.name, below.name) == []
            assert counters.disk(disk)["write_zeroes"] == 1
            content = files.pread(fd, MIB, 0)
        assert content[BLOCK : 10 * BLOCK] == bytes(9 * BLOCK)
        assert content[10 * BLOCK :] == pattern(MIB)[10 * BLOCK :]


@pytest.mark.skipif(kernel.IS_DEBUG, reason="has no vfat")
def test_discards_on_a_file_system_that_cannot_free_space(below):
    """The first one does nothing, and the disk has none from then on."""
    system.run("busybox", "mkdosfs", below)
    with filesystems.mounted("vfat", below) as mount:
        path = file_disks.sparse(mount / "image")
        with file_disk(path, direct_io=0, discard=1) as disk, files.opened(disk) as fd:
            assert queue_limit(disk, "discard_max_bytes") > 0
            assert os.pwrite(fd, pattern(MIB), 0) == MIB
            with kernel.new_log_lines() as lines:
                discard(fd, BLKDISCARD, 0, MIB)
                assert queue_limit(disk, "discard_max_bytes") == 0
                with pytest.raises(OSError, match=r"not supported"):
                    discard(fd, BLKDISCARD, 0, MIB)
                system.run("blkdiscard", "--zeroout", "--length", MIB // 2, disk)
            assert kernel.about_disks(lines, disk.name, below.name) == []
            assert counters.disk(disk)["discard"] == 1
            content = files.pread(fd, MIB, 0)
        assert content[: MIB // 2] == bytes(MIB // 2)
        assert content[MIB // 2 :] == pattern(MIB)[MIB // 2 :]


def test_a_file_that_becomes_shorter(below):
    with (
        backing("xfs", below) as path,
        file_disk(path) as disk,
        files.opened(disk) as fd,
        files.opened(path) as file,
    ):
        assert os.pwrite(file, pattern(SIZE), 0) == SIZE
        os.truncate(path, SIZE - BLOCK)
        before = counters.disk(disk)
        assert files.pread(fd, BLOCK, SIZE - 2 * BLOCK) == pattern(SIZE)[-2 * BLOCK : -BLOCK]
        for start in (SIZE - BLOCK, SIZE - 2 * BLOCK):
            with pytest.raises(OSError, match=r"Input/output error"):
                os.preadv(fd, [aligned(SIZE - start)], start)
        grown = counters.grown(counters.disk(disk), before)
        assert (grown["error"], grown["resumed"]) == (2, 1)
        # A write makes it longer again.
        assert os.pwrite(fd, pattern(2 * BLOCK, 9), SIZE - 2 * BLOCK) == 2 * BLOCK
        assert files.pread(fd, 2 * BLOCK, SIZE - 2 * BLOCK) == pattern(2 * BLOCK, 9)[:]


def test_a_file_that_is_removed(below):
    with backing("ext4", below) as path, file_disk(path) as disk:
        path.unlink()
        with files.opened(disk) as fd:
            assert os.pwrite(fd, pattern(MIB), 0) == MIB
            assert files.pread(fd, MIB, 0) == pattern(MIB)[:]


@pytest.mark.parametrize("direct_io", [1, 0])
def test_errors_of_the_device_below(direct_io, below):
    attributes = {"direct_io": direct_io, "size": 16}
    with backing("block device", below) as path, file_disk(path, **attributes) as disk:
        # The search for partitions has put the beginning into the page cache.
        devices.set_bad(below, MIB + 2 * BLOCK)
        before = counters.disk(disk)
        with files.opened(disk) as fd:
            with pytest.raises(OSError, match=r"Input/output error"):
                os.preadv(fd, [aligned(4 * BLOCK)], MIB)
            assert files.pread(fd, BLOCK, MIB + 3 * BLOCK) == bytes(BLOCK)
            # Without the page cache, a write fails at once, otherwise the flush.
            with pytest.raises(OSError, match=r"Input/output error"):
                write_durably(fd, 4 * BLOCK, MIB)
            devices.set_good(below, MIB + 2 * BLOCK)
            write_durably(fd, 4 * BLOCK, MIB)
            assert files.pread(fd, 4 * BLOCK, MIB) == pattern(4 * BLOCK)[:]
        assert counters.disk(disk)["error"] >= before["error"] + 2


def write_durably(fd: int, length: int, start: int) -> None:
    assert os.pwrite(fd, pattern(length), start) == length
    os.fsync(fd)


def test_bad_blocks(image):
    with file_disk(image, badblocks_once=1) as disk, files.opened(disk) as fd:
        devices.set_bad(disk, BLOCK)
        assert os.pwrite(fd, pattern(BLOCK), 0) == BLOCK
        with pytest.raises(OSError, match=r"Input/output error"):
            os.pwrite(fd, pattern(BLOCK), BLOCK)
        assert files.pread(fd, BLOCK, BLOCK) == bytes(BLOCK)


def test_a_file_system_that_is_full(null_disk):
    below = null_disk("belowdisk", memory_backed=1, size=320, blocksize=SECTOR)
    with backing("xfs", below) as path:
        os.truncate(path, 1 << 30)
        found = os.statvfs(path)
        with files.opened(path.parent / "filler", os.O_RDWR | os.O_CREAT) as fd:
            os.posix_fallocate(fd, 0, found.f_bavail * found.f_frsize - SIZE)
        with file_disk(path) as disk, files.opened(disk) as fd:
            with pytest.raises(OSError, match=r"No space left"):
                for start in range(0, 1 << 30, MIB):
                    os.pwrite(fd, pattern(MIB, start), start)
            # What was written is there.
            assert start >= SIZE // 2
            for done in range(0, start, MIB):
                assert files.pread(fd, MIB, done) == pattern(MIB, done)[:]


@pytest.mark.parametrize("kind", ["xfs", "xfs attached"])
def test_a_file_system_that_shuts_down(kind, below):
    with backing(kind, below) as path, file_disk(path) as disk:
        options = {"rw": "randrw", "iodepth": 16, "size": SIZE, "time_based": 1, "runtime": 600}
        command = fio.command(disk, ioengine="io_uring", **options)
        with system.running(command, stdout=subprocess.DEVNULL) as load:
            system.wait_for(lambda: counters.disk(disk)["write"] > 100)
            with files.opened(path.parent, os.O_RDONLY) as fd:
                fcntl.ioctl(fd, GOINGDOWN, NO_LOG_FLUSH.to_bytes(4, "little"))
            assert load.wait(60)
        assert counters.disk(disk)["error"] > 0


def test_a_disk_on_a_disk_on_a_disk(below):
    with (
        backing("xfs", below) as path,
        file_disk(path) as first,
        file_disk(first, "filedisk2", backing_offset=BLOCK, discard=1) as second,
    ):
        with filesystems.mainline("ext4", second) as mount:
            image = mount / "image"
            fio.lay_out(image, 4 * MIB)
            with file_disk(image, "filedisk3", direct_io=0) as third, files.opened(third) as fd:
                assert files.pread(fd, 4 * MIB, 0) == pattern(4 * MIB)[:]
                assert os.pwrite(fd, pattern(MIB, 3), MIB) == MIB
                os.fsync(fd)
            with files.opened(image) as fd:
                assert files.pread(fd, MIB, MIB) == pattern(MIB, 3)[:]
        live.check("ext4", second)


def test_cpus_go_offline_while_the_file_is_frozen(below):
    """Requests in flight do not end before the file system is thawed."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("there is one CPU")
    online = Path("/sys/devices/system/cpu/cpu1/online")
    with backing("xfs", below) as path, file_disk(path, submit_queues=2) as disk:
        write = ["dd", "if=/dev/zero", f"of={disk}", "bs=4k", "count=1", "oflag=direct"]
        with filesystems.frozen(path.parent):
            load = subprocess.Popen(["taskset", "--cpu-list", "1", *write], stderr=subprocess.PIPE)
            system.wait_for(lambda: devices.requests(disk) > 0)
            switch = Call(files.write, online, 0)
            # Otherwise it waits until the file system is thawed.
            switch.join(PATIENCE)
            went_offline = not switch.is_alive()
        assert load.wait(PATIENCE) == 0
        switch.result()
        files.write(online, 1)
        assert went_offline


def test_blocks_that_are_smaller_than_those_below(null_disk):
    below = null_disk("belowdisk", memory_backed=1, size=16, blocksize=BLOCK)
    attributes = {"direct_io": 0, "blocksize": SECTOR, "backing_offset": SECTOR}
    with file_disk(below, **attributes) as disk, files.opened(disk) as fd:
        assert os.pwrite(fd, pattern(MIB), 0) == MIB
        discard(fd, BLKZEROOUT, 3 * SECTOR, 5 * SECTOR)
        content = files.pread(fd, MIB, 0)
    assert content[3 * SECTOR : 8 * SECTOR] == bytes(5 * SECTOR)
    assert content[8 * SECTOR :] == pattern(MIB)[8 * SECTOR :]
    assert content[: 3 * SECTOR] == pattern(MIB)[: 3 * SECTOR]


def test_any_path(tmp_path):
    path = tmp_path / "Bild \u00fc"
    path.touch()
    os.truncate(path, SIZE)
    with file_disk(path):
        assert files.read(devices.CONFIGFS / "filedisk/backing_file") == str(path)


@pytest.mark.parametrize("kind", ["xfs attached", "ext4", "diofs"])
def test_a_file_system_on_it(kind, below):
    with backing(kind, below) as path, file_disk(path, discard=int(kind != "diofs")) as disk:
        with filesystems.mainline("ext4", disk) as mount:
            job = fio.run(
                mount / "data",
                rw="randwrite",
                ioengine="libaio",
                iodepth=8,
                size=kernel.fewer(4 * MIB),
                verify="crc32c",
                allow_file_create=1,
            )
            assert job["error"] == 0
            system.run("fstrim", mount, check=kind != "diofs")
        live.check("ext4", disk)


def test_the_page_cache_is_not_used(below):
    with backing("ext4", below) as path, file_disk(path) as disk:
        with files.opened(disk) as fd:
            assert os.pwrite(fd, pattern(MIB), 0) == MIB
            assert files.pread(fd, MIB, 0) == pattern(MIB)[:]
        assert files.cached_pages(path) == 0


def test_power_off_and_on_under_load(below):
    turns = int(os.environ.get("TURNS", kernel.fewer(20)))
    with backing("xfs", below) as path, file_disk(path, submit_queues=2) as disk:
        power = devices.CONFIGFS / "filedisk/power"
        for turn in range(turns):
            load = ["dd", f"if={disk}", "of=/dev/null", "bs=64k", "iflag=direct"]
            with system.running(load, stderr=subprocess.DEVNULL), files.opened(disk) as fd:
                # The counters begin at 0 when the disk is powered on.
                system.wait_for(lambda: counters.disk(disk)["read"] > SIZE // BLOCK // 64)
                assert os.pwrite(fd, pattern(BLOCK, turn), turn % 256 * BLOCK) == BLOCK
                files.write(power, 0)
            files.write(power, 1)
            with files.opened(disk) as fd:
                assert files.pread(fd, BLOCK, turn % 256 * BLOCK) == pattern(BLOCK, turn)[:]


@pytest.mark.skipif(not tracing.PROBES.exists(), reason="the kernel has no events of kprobes")
@pytest.mark.parametrize("order", [("one", "two"), ("two", "one")])
def test_page_cache_is_allocated_without_io(order, below):
    """As long as there is a disk, and as before afterwards, whichever is powered off first."""

    def masks() -> set[int]:
        """Returns what the page cache of the file is allocated with, of the bits for I/O. That of
        the device below, which has metadata, is allocated without FS only."""
        mine = f"common_pid == {threading.get_native_id()}"
        with (
            files.buffered(path) as fd,
            tracing.probed("filemap_alloc_folio_noprof", "%di", mine) as found,
        ):
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            assert len(os.pread(fd, BLOCK, 0)) == BLOCK
        return {mask & (GFP_IO | GFP_FS) for mask in found} - {GFP_IO}

    with backing("ext4", below) as path:
        assert masks() == {GFP_IO | GFP_FS}
        with file_disk(path, "one"), file_disk(path, "two"):
            assert masks() == {0}
            first, second = (devices.CONFIGFS / name / "power" for name in order)
            files.write(first, 0)
            assert masks() == {0}
            files.write(first, 1)
            files.write(second, 0)
            assert masks() == {0}
            files.write(first, 0)
            assert masks() == {GFP_IO | GFP_FS}
