# SPDX-License-Identifier: GPL-2.0
"""Disks that share their requests, and the numbers of disks."""

import contextlib
import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest import devices, files, fio, kernel, system
from guest.memory import aligned
from guest.tasks import Call

DEPTH = 4
READERS = 2 * DEPTH
BLOCK = 4096
# How long a request takes, in s
DELAY = 0.25
SLOW = {
    "size": 16,
    "hw_queue_depth": DEPTH,
    "irqmode": 2,
    "completion_nsec": int(DELAY * 1e9),
}
NAMES = ("one", "two", "three")


def read(device: Path, times: int) -> None:
    with files.opened(device, os.O_RDONLY | os.O_DIRECT) as fd:
        for _ in range(times):
            assert len(files.pread(fd, BLOCK, 0)) == BLOCK


def has_free_request(device: Path) -> bool:
    """Reads from a device. Returns whether that was possible without waiting for a request."""
    with files.opened(device, os.O_RDONLY | os.O_DIRECT) as fd:
        try:
            assert os.preadv(fd, [aligned(BLOCK)], 0, os.RWF_NOWAIT) == BLOCK
        except BlockingIOError:
            return False
        return True


@contextlib.contextmanager
def all_requests_used(device: Path) -> Iterator[None]:
    """Has more tasks read from the device than it has requests."""
    over = threading.Event()

    def read_on() -> None:
        while not over.is_set():
            read(device, 1)

    readers = [Call(read_on) for _ in range(READERS)]
    try:
        yield
    finally:
        over.set()
        for reader in readers:
            reader.join()
    for reader in readers:
        reader.result()


def test_two_disks_have_the_requests_of_one(null_disk):
    disks = [null_disk(name, shared_tags=1, **SLOW) for name in NAMES[:2]]
    times = 3
    begin = time.monotonic()
    readers = [Call(read, disk, times) for disk in disks * READERS]
    for reader in readers:
        reader.result()
    # Without sharing, it would take half of this.
    assert time.monotonic() - begin >= len(readers) * times / DEPTH * DELAY


def test_a_disk_uses_the_requests_of_another(null_disk):
    first, second = (null_disk(name, shared_tags=1, **SLOW) for name in NAMES[:2])
    with all_requests_used(first):
        system.wait_for(lambda: not has_free_request(second))
    system.wait_for(lambda: has_free_request(second))


@pytest.mark.parametrize(
    "difference",
    [
        {"shared_tags": 0},
        {"hw_queue_depth": DEPTH + 1},
        {"submit_queues": 2},
        {"poll_queues": 1},
        {"blocking": 1},
        {"no_sched": 0},
        {"shared_tag_bitmap": 1},
        # Without one, memory is of any node.
        {"home_node": 0},
    ],
    ids=str,
)
def test_disks_that_are_set_up_otherwise_do_not_share(difference, null_disk):
    first = null_disk("one", shared_tags=1, **SLOW)
    alike = null_disk("two", shared_tags=1, **SLOW)
    other = null_disk("three", **({"shared_tags": 1} | SLOW | difference))
    with all_requests_used(first):
        system.wait_for(lambda: not has_free_request(alike))
        for _ in range(3):
            assert has_free_request(other)


def test_disks_verify_data_with_few_requests(null_disk):
    names = NAMES[: kernel.fewer(len(NAMES), least=2)]
    disks = [
        null_disk(
            name, shared_tags=1, memory_backed=1, size=16, hw_queue_depth=DEPTH, submit_queues=2
        )
        for name in names
    ]
    with contextlib.ExitStack() as stack:
        loads = [
            stack.enter_context(fio.verifying(disk, ioengine="libaio", iodepth=16))
            for disk in disks
        ]
        for load in loads:
            fio.wait_for_verifying(load)
        for load in loads:
            fio.stop_verifying(load)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)], ids=str)
def test_disks_come_and_go(order, null_disk):
    devices_on = {
        name: null_disk(name, shared_tags=1, memory_backed=1, size=16, hw_queue_depth=DEPTH)
        for name in NAMES
    }
    *gone, last = (NAMES[index] for index in order)
    job = {"ioengine": "libaio", "iodepth": 16}
    with fio.verifying(devices_on[last], **job) as load:
        for name in gone:
            files.write(devices.CONFIGFS / name / "power", 0)
            fio.wait_for_verifying(load)
        for name in gone:
            files.write(devices.CONFIGFS / name / "power", 1)
            system.wait_for(devices_on[name].exists)
            result = fio.run(devices_on[name], rw="randwrite", verify="crc32c", **job)
            assert result["error"] == 0
        fio.stop_verifying(load)


@pytest.mark.parametrize("attribute", ["submit_queues", "poll_queues"])
def test_shared_queues_do_not_change(attribute, null_disk):
    path = devices.CONFIGFS / null_disk(shared_tags=1).name / attribute
    before = files.read(path)
    with kernel.new_log_lines() as lines, pytest.raises(OSError, match=r"\w") as caught:
        files.write(path, 1 + int(before))
    assert caught.value.errno == errno.EINVAL
    assert any("cannot be changed with shared_tags" in line for line in lines)
    assert files.read(path) == before


def test_the_number_of_a_disk_is_the_lowest_that_is_free(null_disk):
    def index(name: str) -> int:
        return int(files.read(devices.CONFIGFS / name / "index"))

    for name in NAMES:
        null_disk(name)
    assert [index(name) for name in NAMES] == [0, 1, 2]

    files.write(devices.CONFIGFS / "two/power", 0)
    assert index("two") == 1
    # As with null_blk, what is written says nothing.
    files.write(devices.CONFIGFS / "two/index", 77)
    assert index("two") == 77
    null_disk("four", index=99)
    assert index("four") == 1
    files.write(devices.CONFIGFS / "two/power", 1)
    assert index("two") == 3
    with pytest.raises(OSError, match="busy"):
        files.write(devices.CONFIGFS / "two/index", 1)
