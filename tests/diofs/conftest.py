# SPDX-License-Identifier: GPL-2.0
"""Fixtures of the tests of diofs."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from guest import files
from guest.memory import pattern


@pytest.fixture
def pattern_file(device: Path, diofs: Callable[..., Path]) -> Callable[[int], Path]:
    """Makes a file that begins with a pattern."""

    def make(length: int) -> Path:
        path = diofs(device)
        with files.opened(path) as fd:
            assert os.pwritev(fd, [pattern(length)], 0) == length
        return path

    return make
