# SPDX-License-Identifier: GPL-2.0
"""Where the tests of other projects run, and the table of their outcomes; for make suites only."""

import contextlib
import dataclasses
import functools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest import devices, filesystems, fio, live, suites, system
from guest.outcomes import Row, table

collect_ignore_glob = [] if "SUITES" in os.environ else ["test_*"]

RESULTS = Path("/results/suites.txt")
SIDES = ["kernel", "module"]

DISK = {
    "memory_backed": 1,
    "blocksize": 512,
    "irqmode": 2,
    "submit_queues": 2,
    "poll_queues": 1,
    "discard": 1,
}
# Sizes in MiB; XFS needs 300, and one of the tests writes 128.
SMALL, LARGE = 160, 512
FILE_SIZE = 16 << 20


@dataclasses.dataclass
class Place:
    """A file or a disk, and a directory."""

    file: Path
    directory: Path


@contextlib.contextmanager
def filesystem(side: str, kind: str, device: Path) -> Iterator[Path]:
    """Makes a file system, which is checked at the end; that of the module is attached."""
    if side == "module":
        with live.on_device(kind, device, name=kind) as mount:
            yield mount
            assert sum(live.routes(kind).values()) > 0
        return
    with filesystems.mainline(kind, device) as mount:
        yield mount
    live.check(kind, device)


@contextlib.contextmanager
def places_of(side: str) -> Iterator[dict[str, Place]]:
    """Gives the places of a side. In place of a diofs, the kernel has another file on XFS."""
    mainline = functools.partial(devices.mainline_disk, "nullb")
    make = devices.null_disk if side == "module" else mainline
    outside = Path("/run/suites") / side
    with contextlib.ExitStack() as stack:

        def disk(name: str, size: int) -> Path:
            return stack.enter_context(make(f"{side}-{name}", size=size, **DISK))

        places = {"disk": Place(disk("disk", SMALL), outside)}
        for kind in ("xfs", "ext4"):
            mount = stack.enter_context(filesystem(side, kind, disk(kind, LARGE)))
            fio.lay_out(mount / "data", FILE_SIZE)
            places[kind] = Place(mount / "data", mount)
        if side == "module":
            data = stack.enter_context(filesystems.diofs(disk("diofs", SMALL)))
        else:
            data = places["xfs"].directory / "other"
        fio.lay_out(data, FILE_SIZE)
        places["diofs"] = Place(data, outside)
        yield places


@pytest.fixture(scope="session")
def places(module: None) -> Iterator[dict[str, dict[str, Place]]]:  # noqa: ARG001
    """The places of both sides, in one boot."""
    system.run("modprobe", "null_blk", "nr_devices=0")
    with contextlib.ExitStack() as stack:
        yield {side: stack.enter_context(places_of(side)) for side in SIDES}
    system.run("rmmod", "null_blk")


def rows(reports: list[pytest.TestReport]) -> dict[str, Row]:
    """Returns the outcomes on both sides, and the reasons of tests that are not run."""
    found = {}
    for report in reports:
        properties = dict(report.user_properties)
        if report.when == "call" and "test" in properties:
            found[properties["test"]] = properties["outcomes"]
    for suite in suites.SUITES:
        for name, reason in suites.not_run(suite).items():
            found[f"{suite} {name}"] = {"kernel": "not run", "module": reason}
    return found


def pytest_terminal_summary(terminalreporter) -> None:
    """Prints the table, and writes it to a file."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    if not any("test" in dict(report.user_properties) for report in reports):
        return
    terminalreporter.section("tests of other projects")
    lines = table(rows(reports), SIDES)
    for line in lines:
        terminalreporter.line(line)
    RESULTS.write_text("\n".join(lines) + "\n")
