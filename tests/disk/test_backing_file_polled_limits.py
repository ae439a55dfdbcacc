# SPDX-License-Identifier: GPL-2.0
"""Files that cannot be polled, and polled requests that are not polled for."""

import errno
import os
import resource
import subprocess
from pathlib import Path

import pytest

from guest import counters, devices, file_disks, files, filesystems, fio, kernel, system
from guest.file_disks import SIZE, backing, refused
from guest.memory import pattern
from guest.polled import BELOW, BLOCK, MIB, POLLED, endless, grown, polled_disk, run

CANNOT = "poll_queues: the file cannot be polled, or its device has no poll queues"


@pytest.fixture
def drive() -> Path:
    """An NVMe drive with a queue for polled I/O."""
    return devices.drive("scratch")


@pytest.fixture
def where():
    """The directory of a disk that is off, with a queue for polled I/O."""
    with file_disks.directory() as directory:
        files.write(directory / "poll_queues", 1)
        yield directory


def test_buffered_io_is_refused(where, tmp_path):
    image = file_disks.sparse(tmp_path / "image")
    said = refused(where, errno.EINVAL, direct_io=0, backing_file=image)
    assert said == "poll_queues needs direct_io with backing_file"


def test_files_without_a_device_to_poll_are_refused(where, null_disk, tmp_path):
    image = file_disks.sparse(tmp_path / "image")
    below = null_disk("belowdisk", **(BELOW | {"poll_queues": 0}))
    for path in (image, below):
        assert refused(where, errno.EOPNOTSUPP, backing_file=path) == CANNOT
    with backing("xfs", below) as path:
        assert refused(where, errno.EOPNOTSUPP, backing_file=path) == CANNOT


@pytest.mark.skipif(kernel.IS_DEBUG, reason="has no device mapper")
@pytest.mark.parametrize("kind", ["block device", "xfs"])
def test_device_mapper_is_refused(kind, where, drive):
    """The bios of such devices must have one poller only."""
    with (
        devices.mapped("linear", "dm-mod", "linear", drive, 0) as below,
        backing(kind, below) as path,
    ):
        assert refused(where, errno.EOPNOTSUPP, backing_file=path) == CANNOT


@pytest.mark.parametrize("kind", ["diofs"] if kernel.IS_DEBUG else ["diofs", "btrfs", "f2fs"])
def test_file_systems_whose_device_is_not_known_are_refused(kind, where, drive):
    with backing(kind, drive) as path:
        assert refused(where, errno.EOPNOTSUPP, backing_file=path) == CANNOT


@pytest.mark.skipif(kernel.IS_DEBUG, reason="its XFS has no real-time devices")
def test_xfs_with_a_realtime_device_is_refused(where, drive, null_disk):
    """A file may move to that device while it is empty."""
    device = null_disk("realtime", **BELOW)
    options = {"mkfs": ["-r", f"rtdev={device}"], "options": ["-o", f"rtdev={device}"]}
    with filesystems.mainline("xfs", drive, **options) as mount:
        image = file_disks.sparse(mount / "image")
        assert refused(where, errno.EOPNOTSUPP, backing_file=image) == CANNOT


def test_the_queues_below_go_away(null_disk):
    below = null_disk("belowdisk", **BELOW)
    job = {"rw": "randwrite", "iodepth": 4, "verify": "crc32c", "size": MIB}
    for kind in ("block device", "xfs"):
        files.write(devices.CONFIGFS / below.name / "poll_queues", 1)
        with backing(kind, below) as path, polled_disk(path) as disk:
            run(disk, **job)
            files.write(devices.CONFIGFS / below.name / "poll_queues", 0)
            grew = grown(disk, lambda disk=disk: run(disk, **job))
            assert grew["polled"] == grew["error"] == 0
            assert grew["not_polled"] == grew["write"] + grew["read"]


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
def test_the_device_below_goes_away(kind, null_disk):
    """Its set of tags is freed then, but its file system stays mounted."""
    below = null_disk("belowdisk", **BELOW)
    with backing(kind, below) as path, polled_disk(path) as disk:
        fio.lay_out(disk, SIZE)
        with system.running(endless(disk, rw="randread", iodepth=8)) as load:
            system.wait_for(lambda: counters.disk(disk)["polled"] > 100)
            files.write(devices.CONFIGFS / below.name / "power", 0)
            assert load.wait(60)
        grew = grown(disk, lambda: fio.run(disk, rw="randread", **POLLED))
        assert grew["polled"] == 0
        assert grew["not_polled"] == grew["read"] == grew["error"] > 0


def test_a_file_system_that_is_frozen(drive):
    with backing("xfs", drive) as path, polled_disk(path) as disk:
        fio.lay_out(path, SIZE)
        command = fio.command(disk, **POLLED, rw="randwrite", iodepth=4, size=MIB)
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


def test_one_bio_too_many_for_the_list_of_the_task(drive):
    """It is submitted by a task that may hold any lock."""
    with backing("block device", drive) as path, polled_disk(path, hw_queue_depth=256) as disk:
        fio.lay_out(disk, SIZE)
        # The list takes 32.
        for batch, too_many in ((16, False), (64, True)):
            job = {"iodepth": 64, "iodepth_batch_submit": batch}
            job |= {"iodepth_batch_complete_min": batch}
            grew = grown(disk, lambda job=job: run(disk, rw="randread", **job))
            assert grew["polled"] > 0
            assert (grew["not_polled"] > 0) == too_many


@pytest.mark.skipif(kernel.IS_DEBUG, reason="has no scheduler")
def test_threads_of_the_kernel_do_not_issue(drive):
    """They run the queues of disks with a scheduler."""
    with backing("block device", drive) as path, polled_disk(path) as disk:
        fio.lay_out(disk, SIZE)
        files.write(Path("/sys/block") / disk.name / "queue/scheduler", "mq-deadline")
        grew = grown(disk, lambda: run(disk, rw="randread", iodepth=4))
        assert grew["not_polled"] > 0
        with files.opened(disk, os.O_RDONLY | os.O_DIRECT) as fd:
            assert files.pread(fd, SIZE, 0) == bytes(pattern(SIZE))


def test_fua_is_not_polled(drive):
    with backing("block device", drive) as path, polled_disk(path, fua=1) as disk:
        job = {"rw": "randwrite", "verify": "crc32c", "size": MIB, "sync": "dsync"}
        grew = grown(disk, lambda: run(disk, **job, do_verify=0))
        assert grew["fua"] == grew["write"] > 0
        assert grew["polled"] == 0
