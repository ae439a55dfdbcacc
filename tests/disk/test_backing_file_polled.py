# SPDX-License-Identifier: GPL-2.0
"""Disks whose data is in a file that is polled."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

from guest import counters, devices, file_disks, files, filesystems, fio, kernel, system
from guest.devices import SECTOR
from guest.file_disks import SIZE, backing
from guest.memory import pattern
from guest.polled import BELOW, BLOCK, MIB, POLLED, grown, polled_disk, run

MAINLINE = ("block device", "xfs", "ext4")
KINDS = (*MAINLINE, "xfs attached", "ext4 attached")
NEW = os.O_RDWR | os.O_DIRECT | os.O_CREAT


@pytest.fixture
def drive() -> Path:
    """An NVMe drive with a queue for polled I/O."""
    return devices.drive("scratch")


def interrupts(drive: Path) -> int:
    """Returns how many interrupts of its queues an NVMe drive has had."""
    controller = drive.name.partition("n1")[0]
    lines = files.read(Path("/proc/interrupts")).splitlines()
    cpus = len(lines[0].split())
    # The first queue is for the administration of the drive.
    rows = [line.split() for line in lines if f" {controller}q" in line]
    rows = [row for row in rows if row[-1] != f"{controller}q0"]
    assert rows
    return sum(int(number) for row in rows for number in row[1 : 1 + cpus])


def wakeups() -> int:
    """Returns how often the threads of the disks in files have slept."""
    found = 0
    for thread in file_disks.threads():
        status = files.read(Path(f"/proc/{thread}/status"))
        found += int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    return found


@pytest.mark.parametrize("depth", [1, 16])
@pytest.mark.parametrize("kind", KINDS)
def test_data_comes_back(kind, depth, drive):
    with backing(kind, drive) as path, polled_disk(path, blocksize=SECTOR, fua=1) as disk:
        job = {"rw": "randwrite", "iodepth": depth, "verify": "crc32c", "serialize_overlap": 1}
        sizes = {"bsrange": "512-64k", "blockalign": SECTOR}
        grew = grown(disk, lambda: run(disk, **job, **sizes))
        assert grew["polled"] > 0
        assert grew["error"] == 0
        if kind != "block device":
            # The file had no blocks.
            assert grew["not_polled"] > 0
        with files.opened(disk) as fd, files.opened(path, os.O_RDONLY | os.O_DIRECT) as file:
            assert os.pwritev(fd, [pattern(3 * BLOCK)], BLOCK, os.RWF_DSYNC) == 3 * BLOCK
            assert files.pread(file, MIB, 0) == files.pread(fd, MIB, 0)


@pytest.mark.parametrize("depth", [1, 16])
@pytest.mark.parametrize("rw", ["randread", "randwrite"])
@pytest.mark.parametrize("kind", MAINLINE)
def test_without_interrupts_and_threads(kind, rw, depth, drive):
    with backing(kind, drive) as path:
        if kind != "block device":
            fio.lay_out(path, SIZE)
        with polled_disk(path) as disk:
            # One write a second updates the time stamps.
            some = 0 if rw == "randread" else 20

            def job() -> None:
                before = interrupts(drive), wakeups()
                run(disk, rw=rw, iodepth=depth, iodepth_batch_submit=depth)
                after = interrupts(drive), wakeups()
                # A file system may write its log, too.
                assert after[0] - before[0] <= some + 20
                assert after[1] - before[1] <= some

            # Fewer than what is transferred, because adjacent requests are merged.
            grew = grown(disk, job)
            requests = grew["read"] + grew["write"]
            assert requests > fio.SIZE // BLOCK // 2
            # If the poller does not run for a while, the kernel polls in its place.
            late = requests // 10 + 2 * depth
            assert grew["polled"] >= requests - some - late
            assert requests - late <= grew["polled"] + grew["not_polled"] <= requests


@pytest.mark.parametrize("kind", ["block device", "xfs"])
def test_several_tasks_poll(kind, drive):
    with backing(kind, drive) as path, polled_disk(path) as disk:
        jobs = {"numjobs": 3, "size": SIZE // 4, "offset_increment": SIZE // 4, "iodepth": 8}
        command = fio.command(disk, rw="randwrite", verify="crc32c", **POLLED, **jobs)
        result = system.run(*command)
        output = fio.json.loads(result.stdout[result.stdout.index("{") :])
        assert [job["error"] for job in output["jobs"]] == [0, 0, 0]
        assert counters.disk(disk)["polled"] > 0


@pytest.mark.parametrize("kind", ["block device", "xfs"])
def test_disk_is_removed_under_load(kind, drive):
    with backing(kind, drive) as path:
        for _ in range(3):
            with polled_disk(path) as disk:
                options = {"rw": "randrw", "iodepth": 16, "size": SIZE, "time_based": 1}
                command = fio.command(disk, **POLLED, **options, runtime=600)
                with system.running(command, stdout=subprocess.DEVNULL) as load:
                    system.wait_for(lambda disk=disk: counters.disk(disk)["polled"] > 100)
                    files.write(devices.CONFIGFS / disk.name / "power", 0)
                    assert load.wait(60)


def test_the_poller_is_killed(drive):
    with backing("xfs", drive) as path, polled_disk(path) as disk:
        for _ in range(3):
            with fio.verifying(disk, iodepth=16, **POLLED) as load:
                before = counters.disk(disk)["polled"]
                system.wait_for(lambda before=before: counters.disk(disk)["polled"] > before)
                load.kill()
                load.wait(60)
        system.wait_for(lambda: devices.requests(disk) == 0)


def test_queues_change_under_load(drive):
    directory = devices.CONFIGFS / "filedisk"
    with backing("xfs", drive) as path, polled_disk(path) as disk:
        with fio.verifying(disk, iodepth=16, **POLLED) as load:
            for number in (2, 1, 2, 1):
                fio.wait_for_verifying(load)
                files.write(directory / "poll_queues", number)
            fio.stop_verifying(load)
        files.write(directory / "poll_queues", 0)
        assert fio.run(disk, rw="randread", **POLLED)["error"] == errno.EOPNOTSUPP
        # The disk would have to be one that may sleep in ->queue_rq.
        with pytest.raises(OSError, match="Invalid argument"):
            files.write(directory / "poll_queues", 1)


def test_errors_of_the_file(null_disk):
    below = null_disk("belowdisk", **BELOW)
    with backing("block device", below) as path, polled_disk(path, size=16) as disk:
        devices.set_bad(below, MIB + 2 * BLOCK)
        for rw in ("read", "write"):
            area = {"offset": MIB, "size": 4 * BLOCK}
            assert fio.run(disk, rw=rw, **POLLED, **area)["error"] == errno.EIO
        devices.set_bad(disk, 2 * MIB)
        area = {"offset": 2 * MIB, "size": BLOCK}
        assert fio.run(disk, rw="read", **POLLED, **area)["error"] == errno.EIO
        assert counters.disk(disk)["error"] == 3


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
def test_readers_of_the_page_cache(kind, drive):
    """Writes must make what they have read invalid, which a work item does after the transfer."""
    with backing(kind, drive) as path, polled_disk(path) as disk:
        fio.lay_out(path, SIZE)
        with fio.verifying(disk, iodepth=16, **POLLED) as load:
            with files.opened(path, os.O_RDONLY) as file:
                for _ in range(kernel.fewer(40)):
                    assert len(os.pread(file, SIZE, 0)) == SIZE
            fio.stop_verifying(load)
        assert counters.disk(disk)["polled"] > 0
        with files.opened(disk, os.O_RDONLY | os.O_DIRECT) as fd:
            assert path.read_bytes() == files.pread(fd, SIZE, 0)


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
def test_a_fragmented_image(kind, drive):
    """A transfer of several extents has several bios, and is not polled."""
    size, content = MIB, pattern(MIB)
    with backing(kind, drive) as path:
        os.truncate(path, 0)
        with files.opened(path) as fd, files.opened(path.parent / "other", NEW) as other:
            for at in range(0, size, BLOCK):
                for file in (fd, other):
                    assert os.pwrite(file, memoryview(content)[at : at + BLOCK], at) == BLOCK
                    os.fsync(file)
        extents = int(system.run("filefrag", path).stdout.rpartition(": ")[2].split()[0])
        assert extents > 8
        with polled_disk(path, size=size // MIB) as disk:
            with files.opened(disk, os.O_RDONLY | os.O_DIRECT) as fd:
                assert files.pread(fd, size, 0) == bytes(content)
            for bs in ("64k", "4k"):
                job = {"rw": "randwrite", "iodepth": 8, "verify": "crc32c", "bs": bs}
                grew = grown(disk, lambda job=job: run(disk, size=size, **job))
                assert grew["error"] == 0
            assert grew["polled"] > 0


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
def test_errors_below_a_file_system(kind, null_disk):
    below = null_disk("belowdisk", **BELOW)
    with backing(kind, below) as path:
        fio.lay_out(path, SIZE)
        start = filesystems.data_start(path)
        with polled_disk(path) as disk:
            devices.set_bad(below, start + MIB)
            for rw in ("read", "write"):
                area = {"offset": MIB, "size": BLOCK, "rw": rw}
                assert fio.run(disk, **POLLED, **area)["error"] == errno.EIO
            assert counters.disk(disk)["error"] == 2
            devices.set_good(below, start + MIB)
            run(disk, rw="randrw", iodepth=8, size=MIB // 2, verify="crc32c")
            with files.opened(disk, os.O_RDONLY | os.O_DIRECT) as fd:
                assert files.pread(fd, SIZE - MIB, MIB) == bytes(memoryview(pattern(SIZE))[MIB:])


def test_a_file_that_becomes_shorter(drive):
    with backing("xfs", drive) as path, polled_disk(path) as disk:
        fio.lay_out(path, SIZE)
        os.truncate(path, SIZE - BLOCK)
        area = {"offset": SIZE - 2 * BLOCK, "size": BLOCK}
        run(disk, rw="read", **area)
        for offset, size in ((SIZE - BLOCK, BLOCK), (SIZE - 2 * BLOCK, 2 * BLOCK)):
            area = {"offset": offset, "size": size, "bs": size}
            assert fio.run(disk, rw="read", **POLLED, **area)["error"] == errno.EIO
        assert counters.disk(disk)["error"] == 2
        assert counters.disk(disk)["resumed"] == 1


@pytest.mark.parametrize("upper", ["xfs", "ext4", "block device"])
def test_a_disk_on_a_disk(upper, drive):
    with (
        backing("xfs", drive, 512 * MIB) as path,
        polled_disk(path, size=512) as first,
        backing(upper, first) as image,
        polled_disk(image, "filedisk2") as second,
    ):
        run(second, rw="randwrite", iodepth=8, verify="crc32c")
        for rw in ("randread", "randwrite"):
            assert grown(first, lambda rw=rw: run(second, rw=rw))["polled"] > 0
        assert counters.disk(second)["polled"] > 0


def test_a_file_system_on_the_disk(drive):
    with (
        backing("xfs", drive, 512 * MIB) as path,
        polled_disk(path, size=512) as disk,
        filesystems.mainline("ext4", disk) as mount,
    ):
        fio.lay_out(mount / "file", SIZE)
        job = {"rw": "randrw", "iodepth": 16, "verify": "crc32c"}
        assert grown(disk, lambda: run(mount / "file", **job))["polled"] > 0


@pytest.mark.parametrize("durably", [True, False])
@pytest.mark.parametrize("kind", ["xfs", "ext4"])
def test_times_of_the_file(kind, durably, drive):
    """They are updated by the first write, by a flush, and when the disk is powered off."""
    with backing(kind, drive) as path:
        fio.lay_out(path, SIZE)
        with polled_disk(path) as disk:
            os.utime(path, (0, 0))
            grew = grown(disk, lambda: run(disk, rw="randread", size=MIB))
            assert grew["not_polled"] == 0
            assert path.stat().st_atime == path.stat().st_mtime == 0
            grew = grown(disk, lambda: run(disk, rw="randwrite", size=MIB))
            assert grew["polled"] > grew["not_polled"] > 0
            assert path.stat().st_mtime > 0
            # At most one of these does it.
            os.utime(path, (0, 0))
            grew = grown(disk, lambda: run(disk, rw="randwrite", size=64 * BLOCK))
            assert grew["polled"] > 0
            if durably:
                with files.opened(disk) as fd:
                    os.fsync(fd)
                assert path.stat().st_mtime > 0
        assert path.stat().st_mtime > 0
