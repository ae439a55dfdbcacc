# SPDX-License-Identifier: GPL-2.0
"""The hardware queues of a disk, which can be changed while it is on."""

import errno
from pathlib import Path

import pytest

from guest import counters, devices, file_disks, files, fio, kernel, system
from guest.errors import refused
from guest.tasks import Call

# Numbers of queues for I/O that is not polled, and that is: up and down, each alone and both, and
# such that the total does not change. The first ones must do for debugging kernels.
CHANGES = [(2, 0), (1, 1), (2, 2), (1, 1), (1, 0), (1, 2), (2, 1), (1, 1), (1, 0)]
POLLED_CHANGES = [(2, 1), (1, 2), (2, 2), (1, 1), (2, 2), (1, 2), (1, 1)]
# With data in a file, a disk that was powered on without queues for polled I/O cannot have any.
FILE_CHANGES = [(2, 0), (1, 0), (2, 0), (1, 0)]

# The test kernel has no other, and would skip the one variant of a test that it runs.
SCHEDULERS = ["none"] if kernel.IS_DEBUG else ["none", "mq-deadline"]


def directory(device: Path) -> Path:
    return devices.CONFIGFS / device.name


def queues(device: Path) -> tuple[int, int]:
    """Returns how many queues the attributes say there are; the block layer must have as many."""
    submit, poll = (
        int(files.read(directory(device) / name)) for name in ("submit_queues", "poll_queues")
    )
    block = Path("/sys/block") / device.name
    assert len(list((block / "mq").iterdir())) == submit + poll
    assert files.read(block / "queue/io_poll") == str(int(poll > 0))
    return submit, poll


def set_queues(device: Path, submit: int, poll: int) -> None:
    files.write(directory(device) / "submit_queues", submit)
    if int(files.read(directory(device) / "poll_queues")) != poll:
        files.write(directory(device) / "poll_queues", poll)
    assert queues(device) == (submit, poll)


def change_under_load(device: Path, changes: list[tuple[int, int]], **job: object) -> None:
    with fio.verifying(device, iodepth=16, **job) as load:
        for submit, poll in changes[: kernel.fewer(len(changes), least=5)]:
            fio.wait_for_verifying(load)
            set_queues(device, submit, poll)
        fio.stop_verifying(load)
    assert counters.disk(device)["error"] == counters.disk(device)["timeout"] == 0


def unchanged(device: Path, attribute: str, value: object) -> str:
    """Writes an attribute, which must fail and change nothing; returns what the log says."""
    before = queues(device)
    line = refused(directory(device) / attribute, value, errno.EINVAL)
    assert queues(device) == before
    return line


@pytest.mark.parametrize("irqmode", [0, 1, 2])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_queues_change_under_load(scheduler, irqmode, null_disk):
    device = null_disk(memory_backed=1, size=64, irqmode=irqmode)
    selected = Path("/sys/block") / device.name / "queue/scheduler"
    if scheduler not in files.read(selected):
        pytest.skip(f"the kernel has no {scheduler}")
    files.write(selected, scheduler)
    change_under_load(device, CHANGES, ioengine="libaio")
    assert f"[{scheduler}]" in files.read(selected)


def test_queues_change_under_polled_load(null_disk):
    device = null_disk(memory_backed=1, size=64, poll_queues=1)
    change_under_load(device, POLLED_CHANGES, ioengine="io_uring", hipri=1)
    assert counters.disk(device)["polled"] > 0


@pytest.mark.parametrize("setting", [{"shared_tag_bitmap": 1}, {"mbps": 200}, {"cache_size": 1}])
def test_queues_change_with(setting, null_disk):
    device = null_disk(memory_backed=1, size=16, **setting)
    change_under_load(device, CHANGES, ioengine="libaio")


def test_queues_for_polling_come_and_go(null_disk):
    device = null_disk(memory_backed=1, size=16)
    files.write(Path("/sys/block") / device.name / "queue/io_timeout", devices.IO_TIMEOUT)
    for poll in (1, 2, 0, 1):
        set_queues(device, 1, poll)
        before = counters.disk(device)["polled"]
        job = fio.run(device, rw="randwrite", ioengine="io_uring", hipri=1, size="256k", bs="4k")
        assert job["error"] == (0 if poll else errno.EOPNOTSUPP)
        assert (counters.disk(device)["polled"] > before) == (poll > 0)


@pytest.mark.parametrize("direct_io", [0, 1])
def test_queues_change_of_a_disk_in_a_file(direct_io, tmp_path, null_disk):
    image = tmp_path / "image"
    fio.lay_out(image, 16 << 20)
    device = null_disk(backing_file=image, direct_io=direct_io)
    change_under_load(device, FILE_CHANGES, ioengine="libaio", size="16m")
    for submit in (2, 1):
        set_queues(device, submit, 0)
        # One for each queue, and one for the disk. A thread has stopped before it is gone.
        system.wait_for(lambda submit=submit: len(file_disks.threads()) == submit + 1)
    assert "cannot be changed from 0" in unchanged(device, "poll_queues", 1)


def test_refused_numbers_leave_the_old_ones(null_disk):
    device = null_disk(submit_queues=2, poll_queues=1)
    for attribute, value in [
        ("submit_queues", 0),
        ("submit_queues", -1),
        ("submit_queues", 100000),
        ("poll_queues", 100000),
        ("poll_queues", "x"),
    ]:
        assert "it is not" in unchanged(device, attribute, value)


def test_a_number_that_is_not_used_is_refused(null_disk):
    directory = devices.CONFIGFS / null_disk(use_per_node_hctx=1).name
    line = refused(directory / "submit_queues", 2, errno.EINVAL)
    assert "not used with use_per_node_hctx" in line
    files.write(directory / "poll_queues", 1)
    assert files.read(Path("/sys/block") / directory.name / "queue/io_poll") == "1"


def test_several_tasks_change_queues(null_disk):
    device = null_disk(memory_backed=1, size=64)

    def change(attribute: str, values: tuple[int, int]) -> None:
        for _ in range(kernel.fewer(10)):
            for value in values:
                files.write(directory(device) / attribute, value)

    with fio.verifying(device, ioengine="libaio", iodepth=16) as load:
        fio.wait_for_verifying(load)
        tasks = [
            Call(change, "submit_queues", (1, 2)),
            Call(change, "submit_queues", (2, 1)),
            Call(change, "poll_queues", (1, 0)),
        ]
        for task in tasks:
            task.result()
        fio.stop_verifying(load)
    assert queues(device)[1] == 0


def test_a_disk_is_removed_after_changes(null_disk):
    device = null_disk(memory_backed=1, size=64, irqmode=2)
    with fio.verifying(device, ioengine="libaio", iodepth=16) as load:
        fio.wait_for_verifying(load)
        set_queues(device, 2, 2)
        set_queues(device, 2, 1)
        files.write(directory(device) / "power", 0)
        assert load.wait(60) != 0
    # The numbers are kept, as other attributes are.
    files.write(directory(device) / "power", 1)
    system.wait_for(device.exists)
    assert queues(device) == (2, 1)
