# SPDX-License-Identifier: GPL-2.0
"""Disks whose data is in a file that is polled."""

import collections
import contextlib
import errno
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guest import counters, devices, file_disks, files, filesystems, fio, system
from guest.devices import SECTOR
from guest.file_disks import SIZE, backing, file_disk, refused
from guest.memory import pattern

MIB = 1 << 20
BLOCK = 4096
MAINLINE = ("block device", "xfs", "ext4")
KINDS = (*MAINLINE, "xfs attached", "ext4 attached")
POLLED = {"ioengine": "io_uring", "hipri": 1}


@pytest.fixture
def drive() -> Path:
    """An NVMe drive with a queue for polled I/O."""
    return devices.drive("scratch")


@contextlib.contextmanager
def polled_disk(path: Path, name: str = "filedisk", **attributes: object) -> Iterator[Path]:
    """Makes a disk of SIZE in a file, which is polled."""
    attributes = {"size": SIZE // MIB, "poll_queues": 1} | attributes
    with file_disk(path, name, **attributes) as disk:
        yield disk


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


def grown(disk: Path, function: Callable[[], object]) -> collections.Counter[str]:
    """Returns by how much the counters of the disk grow while a function runs."""
    before = counters.disk(disk)
    function()
    return collections.Counter(counters.grown(counters.disk(disk), before))


def run(disk: Path, **options: object) -> None:
    assert fio.run(disk, **(POLLED | options))["error"] == 0


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
            assert grew["polled"] >= requests - some
            assert grew["polled"] + grew["not_polled"] == requests


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
    below = null_disk("belowdisk", memory_backed=1, size=320, blocksize=SECTOR, poll_queues=1)
    with backing("block device", below) as path, polled_disk(path, size=16) as disk:
        devices.set_bad(below, MIB + 2 * BLOCK)
        for rw in ("read", "write"):
            area = {"offset": MIB, "size": 4 * BLOCK}
            assert fio.run(disk, rw=rw, **POLLED, **area)["error"] == errno.EIO
        devices.set_bad(disk, 2 * MIB)
        area = {"offset": 2 * MIB, "size": BLOCK}
        assert fio.run(disk, rw="read", **POLLED, **area)["error"] == errno.EIO
        assert counters.disk(disk)["error"] == 3


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


def test_the_queues_below_go_away(null_disk):
    below = null_disk("belowdisk", memory_backed=1, size=320, blocksize=SECTOR, poll_queues=1)
    job = {"rw": "randwrite", "iodepth": 4, "verify": "crc32c", "size": MIB}
    for kind in ("block device", "xfs"):
        files.write(devices.CONFIGFS / below.name / "poll_queues", 1)
        with backing(kind, below) as path, polled_disk(path) as disk:
            run(disk, **job)
            files.write(devices.CONFIGFS / below.name / "poll_queues", 0)
            grew = grown(disk, lambda disk=disk: run(disk, **job))
            assert grew["polled"] == grew["error"] == 0
            assert grew["not_polled"] == grew["write"] + grew["read"]


def test_a_file_system_that_is_frozen(drive):
    with backing("xfs", drive) as path, polled_disk(path) as disk:
        fio.lay_out(path, SIZE)
        job = {"rw": "randwrite", "iodepth": 4, "size": MIB}
        command = fio.command(disk, **POLLED, **job)
        with filesystems.frozen(path.parent):
            with system.running(command, stdout=subprocess.DEVNULL) as load:
                system.wait_for(lambda: counters.disk(disk)["not_polled"] == 4)
                assert load.poll() is None
                subprocess.run(["fsfreeze", "--unfreeze", path.parent], check=True)
                assert load.wait(60) == 0
            subprocess.run(["fsfreeze", "--freeze", path.parent], check=True)


def test_the_limit_of_the_size_of_files_is_not_that_of_the_task(drive):
    with backing("xfs", drive) as path, polled_disk(path) as disk:
        fio.lay_out(path, SIZE)
        command = fio.command(disk, rw="randwrite", size=MIB, **POLLED)

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (BLOCK, BLOCK))

        def write() -> None:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, preexec_fn=limit)

        assert grown(disk, write)["polled"] < 2


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


def test_files_that_are_refused(drive, null_disk, tmp_path):
    below = null_disk("belowdisk", memory_backed=1, size=320, blocksize=SECTOR)
    image = file_disks.sparse(tmp_path / "image")
    cannot = "poll_queues: the file cannot be polled, or its device has no poll queues"
    with file_disks.directory() as where:
        said = refused(where, errno.EINVAL, poll_queues=1, direct_io=0, backing_file=image)
        assert said == "poll_queues needs direct_io with backing_file"
        files.write(where / "direct_io", 1)
        for path in (image, below):
            assert refused(where, errno.EOPNOTSUPP, backing_file=path) == cannot
        # Its ->iopoll may sleep.
        with backing("diofs", drive) as path:
            assert refused(where, errno.EOPNOTSUPP, backing_file=path) == cannot


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
