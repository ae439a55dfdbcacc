# SPDX-License-Identifier: GPL-2.0
"""Attributes of the null disk that limit its requests, or how they are submitted."""

import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from guest import counters, devices, file_disks, files, fio, large_blocks
from guest.memory import aligned, pattern

BLOCK = 512
PAGE = os.sysconf("SC_PAGE_SIZE")
LARGE = 1 << 20
# In ms; long, because the host may be busy
LATENCY = 200
ROUNDS = 3


def flags(device: Path) -> set[str]:
    """Returns the flags of the first hardware queue."""
    text = files.read(Path("/sys/kernel/debug/block") / device.name / "hctx0/flags")
    return set(text.split("|"))


def writes(device: Path, buffers: list[memoryview]) -> int:
    """Writes, and reads back. Returns how many requests the write took."""
    with files.opened(device) as fd:
        before = counters.disk(device)["write"]
        expected = b"".join(bytes(buffer) for buffer in buffers)
        assert os.pwritev(fd, buffers, 0) == len(expected)
        assert files.pread(fd, len(expected), 0) == expected
        return counters.disk(device)["write"] - before


@pytest.mark.parametrize(("sectors", "requests"), [(0, 1), (8, 256), (2047, 2), (1 << 12, 1)])
def test_requests_are_limited(sectors, requests, null_disk):
    device = null_disk(memory_backed=1, size=16, blocksize=BLOCK, max_sectors=sectors)
    # The block layer has a lower limit by default, which the user may raise.
    queue = Path("/sys/block") / device.name / "queue"
    files.write(queue / "max_sectors_kb", files.read(queue / "max_hw_sectors_kb"))
    assert writes(device, [memoryview(pattern(LARGE))]) == requests


def test_a_limit_is_rounded_down_to_blocks(null_disk):
    device = null_disk(size=16, blocksize=4096, max_sectors=15)
    assert files.read(Path("/sys/block") / device.name / "queue/max_hw_sectors_kb") == "4"


def test_blocks_larger_than_a_page_need_huge_pages():
    with file_disks.directory() as where:
        files.write(where / "blocksize", 2 * PAGE)
        if large_blocks.has_them():
            files.write(where / "power", 1)
            assert devices.queue_limit(where, "logical_block_size") == 2 * PAGE
        else:
            reason = "blocksize is more than a page, which needs a kernel with "
            assert file_disks.refused(where, errno.EINVAL).startswith(reason)


@pytest.mark.parametrize(("boundary", "requests"), [(0, 1), (1, 3)])
def test_requests_without_gaps(boundary, requests, null_disk):
    device = null_disk(memory_backed=1, size=16, blocksize=BLOCK, virt_boundary=boundary)
    memory = aligned(3 * PAGE)
    memory[:] = pattern(3 * PAGE)[:]
    # In the middle of each of three pages
    gaps = [memoryview(memory)[at + BLOCK :][:BLOCK] for at in range(0, 3 * PAGE, PAGE)]
    assert writes(device, gaps) == requests
    # Only the first and the last one are a part of a page.
    assert writes(device, [memoryview(memory)[BLOCK:-BLOCK]]) == 1


def test_flags_of_queues(null_disk):
    names = {
        "blocking": "BLOCKING",
        "shared_tag_bitmap": "TAG_HCTX_SHARED",
        "no_sched": "NO_SCHED_BY_DEFAULT",
    }
    others = dict.fromkeys(names, 0)
    assert not flags(null_disk(size=16, **others)) & {*names.values()}
    for attribute, name in names.items():
        device = null_disk(attribute, size=16, **(others | {attribute: 1}))
        assert flags(device) & {*names.values()} == {name}


def test_memory_makes_a_disk_blocking(null_disk):
    assert "BLOCKING" in flags(null_disk(memory_backed=1, size=16))


def read_again_and_again(device: Path, cpu: int) -> None:
    os.sched_setaffinity(0, {cpu})
    with files.opened(device) as fd:
        for _ in range(ROUNDS):
            files.pread(fd, BLOCK, 0)


def two_tasks(device: Path) -> float:
    """Has a task on each of two CPUs read. Returns how long that took, in s."""
    begin = time.monotonic()
    with ThreadPoolExecutor() as pool:
        for task in [pool.submit(read_again_and_again, device, cpu) for cpu in (0, 1)]:
            task.result()
    return time.monotonic() - begin


def test_requests_that_queues_share(null_disk):
    """Two tasks have a queue each, and these a request each, or one in all."""
    disk = {
        "size": 16,
        "blocksize": BLOCK,
        "irqmode": 2,
        "completion_nsec": LATENCY * 1_000_000,
        "submit_queues": 2,
        "hw_queue_depth": 1,
    }
    separate = null_disk("own", **disk)
    # Any of them may pause for as long as requests that share one take.
    own = min(two_tasks(separate) for _ in range(3))
    shared = two_tasks(null_disk("shared", **disk, shared_tag_bitmap=1))
    # One after the other
    assert shared >= 2 * ROUNDS * LATENCY / 1000
    assert own < shared


def test_queues_of_nodes(null_disk):
    """The guest has one NUMA node."""
    for per_node, queues in ((0, 2), (1, 1)):
        name = f"nodes{per_node}"
        null_disk(name, size=16, submit_queues=2, use_per_node_hctx=per_node, home_node=0)
        assert len(list((Path("/sys/block") / name / "mq").iterdir())) == queues


def test_data_comes_back(null_disk):
    for attributes in (
        {"blocking": 1},
        {"shared_tag_bitmap": 1, "submit_queues": 2, "poll_queues": 1},
        {"no_sched": 0},
        {"max_sectors": 8},
        {"virt_boundary": 1},
    ):
        name = next(iter(attributes))
        device = null_disk(name, memory_backed=1, size=16, blocksize=BLOCK, **attributes)
        job = fio.run(
            device,
            rw="randwrite",
            verify="crc32c",
            bsrange="512-256k",
            iodepth=8,
            iomem_align=BLOCK,
            ioengine="libaio",
        )
        assert job["error"] == 0, name
