# SPDX-License-Identifier: GPL-2.0
"""What all end-to-end tests share. They run in a guest, as root."""

import contextlib
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import lab
import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves each test a few of its variants on a debugging kernel, which takes its time."""
    if not lab.IS_DEBUG_KERNEL:
        return
    variants: dict[tuple, list[pytest.Item]] = {}
    for item in items:
        variants.setdefault((item.path, item.originalname), []).append(item)
    kept = {item for same in variants.values() for item in few_of(same)}
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


def few_of(items: list[pytest.Item]) -> list[pytest.Item]:
    """One in four, in an order that has nothing to do with what they are."""
    return sorted(items, key=lambda item: zlib.crc32(item.nodeid.encode()))[::4]


@pytest.fixture(autouse=True, scope="session")
def module() -> Iterator[None]:
    """The module; that it can be unloaded shows that no test has left anything behind."""
    lab.run("insmod", lab.MODULE)
    yield
    lab.run("rmmod", "rnull_dio")


@pytest.fixture(autouse=True)
def no_page_stays_pinned() -> Iterator[None]:
    before = lab.pins()
    yield
    lab.wait_for(lambda: lab.pins() == before)


@pytest.fixture
def null_disk() -> Iterator[Callable[..., Path]]:
    """Makes null disks that go when the test is over."""
    with contextlib.ExitStack() as stack:

        def make(name: str = "nulldisk", **attributes: object) -> Path:
            return stack.enter_context(lab.null_disk(name, **attributes))

        yield make


@pytest.fixture
def diofs() -> Iterator[Callable[..., Path]]:
    """Makes and mounts file systems, to be unmounted when the test is over."""
    with contextlib.ExitStack() as stack:

        def mount(device: Path, *options: str) -> Path:
            return stack.enter_context(lab.mounted(device, *options))

        yield mount


@pytest.fixture(params=["nvme", "null"])
def device(request: pytest.FixtureRequest, null_disk: Callable[..., Path]) -> Path:
    """The NVMe drive, and a null disk that completes by a timer; both can be polled."""
    if request.param == "nvme":
        return lab.drive("scratch")
    return null_disk(memory_backed=1, size=64, blocksize=512, irqmode=2, poll_queues=1)
