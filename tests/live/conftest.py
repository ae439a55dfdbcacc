# SPDX-License-Identifier: GPL-2.0
"""Fixtures of the tests of attached file systems."""

from collections.abc import Callable
from pathlib import Path

import pytest

from guest import devices


@pytest.fixture(params=["nvme", "null"])
def device(request: pytest.FixtureRequest, null_disk: Callable[..., Path]) -> Path:
    """The NVMe drive, and a null disk that completes by a timer; both can be polled. XFS needs 300
    MiB."""
    if request.param == "nvme":
        return devices.drive("scratch")
    return null_disk(memory_backed=1, size=512, blocksize=512, irqmode=2, poll_queues=1)


@pytest.fixture
def disk(null_disk: Callable[..., Path]) -> Path:
    """A null disk, for tests that need one device only."""
    return null_disk(memory_backed=1, size=512, blocksize=512, irqmode=2, poll_queues=1)
