# SPDX-License-Identifier: GPL-2.0
"""The same job on diofs and on XFS and ext4, on the same device in the same boot.

Under emulation, times mean nothing and their ratios little. Each ratio compares the best of several
runs, which alternate between the file systems.
"""

import os
from pathlib import Path

import pytest

from guest import counters, devices, files, filesystems, fio

# Other load on the machine falsifies the ratios.
pytestmark = pytest.mark.skipif(
    "COMPARE" not in os.environ, reason="only for make compare, on an idle machine"
)

# Other load makes a turn slower and never faster, so that the best one counts.
TURNS = 8
DURABLE_TURNS = 6
SIZE = 16 << 20
CACHED_AT = 12 << 20


def overwrite(data: Path, **options: object) -> dict[str, float]:
    """Overwrites blocks at random; returns the cost."""
    job = fio.run(data, rw="randwrite", ioengine="io_uring", size="8M", **options)
    assert job["error"] == 0
    ios = job["write"]["total_ios"]
    return {"iops": job["write"]["iops"], "switches": job["ctx"] / ios, "ios": ios}


def polled(data: Path, depth: int, turns: int) -> dict[str, dict[str, float]]:
    """Returns the best of some polled overwrites without cached pages, and with them."""
    best: dict[str, dict[str, float]] = {}
    for _ in range(turns):
        for name, cached_at in ("uncached", None), ("cached", CACHED_AT):
            files.set_cache(data, cached_at)
            size = "2M" if depth == 1 else "16M"
            result = overwrite(data, iodepth=depth, hipri=1, io_size=size)
            if name not in best or result["iops"] > best[name]["iops"]:
                best[name] = result
    return best


@pytest.mark.parametrize(("depth", "times_xfs"), [(1, 4), (16, 2)])
def test_polled_overwrites_of_a_file_with_cached_pages(record_property, depth, times_xfs):
    device = devices.drive("scratch")
    results = {}
    for filesystem, turns in ("xfs", 2), ("diofs", TURNS):
        with filesystems.filesystem(filesystem, device) as data:
            fio.lay_out(data, SIZE)
            results[filesystem] = polled(data, depth, turns)
    print(results)
    record_property("results", results)
    cached, uncached = results["diofs"]["cached"], results["diofs"]["uncached"]
    assert cached["iops"] >= 0.9 * uncached["iops"]
    assert cached["switches"] <= uncached["switches"] + 0.1
    assert cached["iops"] >= times_xfs * results["xfs"]["cached"]["iops"]


def test_durable_overwrites_of_a_device_that_has_to_be_flushed(null_disk, record_property):
    device = null_disk(
        memory_backed=1, size=512, irqmode=2, completion_nsec=10000, write_cache=1, fua=0
    )
    results: dict[str, dict[str, float]] = {}
    for _ in range(DURABLE_TURNS):
        for filesystem in ("diofs", "xfs", "ext4"):
            with filesystems.filesystem(filesystem, device) as data:
                fio.lay_out(data, SIZE)
                before = counters.disk(device)["flush"]
                result = overwrite(data, iodepth=32, sync="dsync")
                flushes = counters.disk(device)["flush"] - before
                result["flushes"] = flushes / result["ios"]
            if filesystem not in results or result["iops"] > results[filesystem]["iops"]:
                results[filesystem] = result
    print(results)
    record_property("results", results)
    assert results["diofs"]["flushes"] <= 0.1
    assert results["diofs"]["iops"] > results["xfs"]["iops"]
    assert results["diofs"]["iops"] > results["ext4"]["iops"]
