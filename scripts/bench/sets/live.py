# SPDX-License-Identifier: GPL-2.0
"""Cost of an attached file system beside the kernel's own code: on one file of one file system, on
a device that completes at once. "elsewhere" is the kernel's own code while another file system is
attached."""

from collections.abc import Iterator
from pathlib import Path

import report
from points import SIZE, Point, engine, job, timer_disk

from guest import filesystems
from guest.fio import lay_out
from sets.path import ISSUERS, ram_disk

# XFS and ext4 leave reads of one block to a function that is not redirected.
JOBS = {
    "randwrite 4k": ("randwrite", "4k"),
    "randread 4k": ("randread", "4k"),
    "randread 8k": ("randread", "8k"),
}

ENGINES = ("kernel", "elsewhere", "attached")


def points() -> Iterator[Point]:
    with (
        timer_disk() as spare,
        filesystems.mainline("ext4", spare) as other,
        ram_disk() as device,
    ):
        for kind in ("xfs", "ext4"):
            with filesystems.mainline(kind, device) as mount:
                lay_out(mount / "data", SIZE)
                for name in ENGINES:
                    with engine(name, mount, other):
                        yield from on(kind, name, mount / "data")


def on(kind: str, name: str, data: Path) -> Iterator[Point]:
    for issuer in ("psync", "libaio", "io_uring"):
        for title, (rw, size) in JOBS.items():
            labels = {"filesystem": kind, "issuer": issuer, "job": title, "engine": name}
            yield Point(labels, job(data, rw, bs=size, **ISSUERS[issuer]))


def row(labels: dict[str, object]) -> str:
    return f"{labels['filesystem']} {labels['issuer']} {labels['job']}"


def column(labels: dict[str, object]) -> str:
    return labels["engine"]


def table(points: list[dict]) -> str:
    return report.grid(points, row, column, report.cost)


TABLES = {"": table}
