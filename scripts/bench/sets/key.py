# SPDX-License-Identifier: GPL-2.0
"""The set that every test run measures: the disk alone, the most common I/O on diofs, and a write
by mainline's engine, which is the only point that a change of fs/iomap changes."""

from collections.abc import Iterator

import report
from points import Point, filesystem, job, timer_disk

from sets.path import ISSUERS


def points() -> Iterator[Point]:
    with timer_disk(irqmode=0) as device:
        yield Point(
            {"job": "null disk, io_uring, randread"}, job(device, "randread", ioengine="io_uring")
        )
        with filesystem("diofs", device) as path:
            for issuer in ("libaio", "io_uring", "io_uring-polled"):
                for rw in ("randread", "randwrite"):
                    if (issuer, rw) != ("io_uring-polled", "randread"):
                        name = f"diofs, {issuer}, {rw}"
                        yield Point({"job": name}, job(path, rw, **ISSUERS[issuer]))
        with filesystem("xfs", device) as path:
            overwrite = job(path, "randwrite", ioengine="io_uring")
            yield Point({"job": "xfs, io_uring, randwrite"}, overwrite)


def row(labels: dict[str, object]) -> str:
    return labels["job"]


def column(_labels: dict[str, object]) -> str:
    return "instructions"


def table(points: list[dict]) -> str:
    return report.grid(points, row, column, report.cost)


TABLES = {"": table}
