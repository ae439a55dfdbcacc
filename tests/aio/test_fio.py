# SPDX-License-Identifier: GPL-2.0
"""fio's libaio engine verifies what it has written, on a null disk and on XFS and ext4 that are not
attached."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from guest import filesystems, fio, live

# Requests of the libaio engine: one by one, in batches, reaped from the ring, and buffered
WAYS = {
    "single": {"iodepth": 1},
    "batch": {"iodepth": 32, "iodepth_batch_submit": 16, "iodepth_batch_complete_min": 8},
    "userspace-reap": {"iodepth": 16, "userspace_reap": 1},
    "vectored": {"iodepth": 16, "libaio_vectored": 1},
    "buffered": {"iodepth": 16, "direct": 0, "fsync": 64},
    "threads": {"iodepth": 8, "numjobs": 4, "offset_increment": "128k", "size": "128k"},
}


@pytest.mark.parametrize("kind", ["disk", "xfs", "ext4"])
def test_fio_verifies(kind: str, null_disk: Callable[..., Path]):
    """All ways are jobs of one fio, because a process starts slowly."""
    device = null_disk(memory_backed=1, size=512, blocksize=512, irqmode=2, submit_queues=2)
    with contextlib.ExitStack() as stack:
        if kind == "disk":
            where = device
        else:
            mount = stack.enter_context(filesystems.mainline(kind, device))
            where = mount / "data"
        common = {
            "filename": where,
            "ioengine": "libaio",
            "rw": "randwrite",
            "bsrange": "8k-64k",
            "size": "512k",
            "verify": "crc32c",
            "allow_file_create": 1,
            "stonewall": 1,
            "group_reporting": 1,
        }
        jobs = {name: {"offset": f"{n}m"} | way for n, (name, way) in enumerate(WAYS.items())}
        results = fio.run_jobs(common, jobs)
        for name in WAYS:
            assert results[name]["error"] == 0
            assert (
                results[name]["read"]["io_bytes"] == results[name]["write"]["io_bytes"] >= 1 << 19
            )
        if kind != "disk":
            # Writes that are complete do not hold a freeze off.
            with filesystems.frozen(mount):
                pass
    if kind != "disk":
        live.check(kind, device)
