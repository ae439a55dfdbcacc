# SPDX-License-Identifier: GPL-2.0
"""Fixtures of the tests of null disks."""

from collections.abc import Callable
from pathlib import Path

import pytest

from guest.devices import SECTOR


@pytest.fixture
def below(null_disk) -> Path:
    """The disk below a file, or below the file system of one."""
    return null_disk("belowdisk", memory_backed=1, size=320, blocksize=SECTOR, irqmode=2, discard=1)


@pytest.fixture
def make_blocks(null_disk) -> Callable[..., Path]:
    """Makes a disk with data and blocks of a size."""

    def make_disk(blocksize: int, **attributes: object) -> Path:
        defaults = {"memory_backed": 1, "size": 16, "blocksize": blocksize}
        return null_disk(**(defaults | attributes))

    return make_disk
