# SPDX-License-Identifier: GPL-2.0
"""Fixtures of all end-to-end tests, which run in a guest, as root."""

import contextlib
import os
import zlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from guest import devices, filesystems, kernel, memory, system

# COMPARE is set by make compare.
FULL = "FULL" in os.environ or "COMPARE" in os.environ
# One in so many variants of each test is run. A debugging kernel is slow.
SHARE = (4 if FULL else 6) if kernel.IS_DEBUG else (1 if FULL else 2)

# How long a test has taken so far, in seconds
elapsed = pytest.StashKey[float]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "long: takes long on a debugging kernel, where only make test-all runs it"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Drops variants of each test."""
    variants: dict[tuple, list[pytest.Item]] = {}
    for item in items:
        variants.setdefault((item.path, item.originalname), []).append(item)
    kept = {item for same in variants.values() for item in few_of(same)}
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


def few_of(items: list[pytest.Item]) -> list[pytest.Item]:
    """Returns one in SHARE, chosen by a hash of their names; all of a test with both sides of Linux
    AIO, because these are quick."""
    if kernel.IS_DEBUG and not FULL:
        items = [item for item in items if not item.get_closest_marker("long")]
    if items and "side" in items[0].fixturenames and not kernel.IS_DEBUG:
        return items
    return sorted(items, key=lambda item: zlib.crc32(item.name.encode()))[::SHARE]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds to the report how long the test has taken, and the first line of its description."""
    report = yield
    item.stash[elapsed] = item.stash.get(elapsed, 0.0) + call.duration
    report.elapsed = item.stash[elapsed]
    report.purpose = (item.function.__doc__ or "").strip().split("\n")[0]
    return report


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Says both after the name of a test that has passed."""
    if report.when != "call" or not report.passed:
        return None
    return "passed", ".", f"PASSED {report.elapsed:.1f} s {report.purpose}".rstrip()


@pytest.fixture(autouse=True, scope="session")
def module() -> Iterator[None]:
    """Loads the module. Unloading it succeeds only if no test has left a disk or a mount."""
    kernel.load_module()
    yield
    kernel.unload_module()


@pytest.fixture(autouse=True)
def no_page_stays_pinned() -> Iterator[None]:
    before = memory.pins()
    yield
    # Pages of the test before may have been pinned for longer.
    system.wait_for(lambda: memory.pins() <= before)


@pytest.fixture
def null_disk() -> Iterator[Callable[..., Path]]:
    """Makes null disks, which are removed at the end of the test."""
    with contextlib.ExitStack() as stack:

        def make(name: str = "nulldisk", **attributes: object) -> Path:
            return stack.enter_context(devices.null_disk(name, **attributes))

        yield make


@pytest.fixture
def diofs() -> Iterator[Callable[..., Path]]:
    """Makes and mounts file systems, which are unmounted at the end of the test."""
    with contextlib.ExitStack() as stack:

        def mount(device: Path, *options: str) -> Path:
            return stack.enter_context(filesystems.diofs(device, *options))

        yield mount


@pytest.fixture(params=["nvme", "null"])
def device(request: pytest.FixtureRequest, null_disk: Callable[..., Path]) -> Path:
    """The NVMe drive, and a null disk that completes by a timer; both can be polled."""
    if request.param == "nvme":
        return devices.drive("scratch")
    return null_disk(memory_backed=1, size=64, blocksize=512, irqmode=2, poll_queues=1)
