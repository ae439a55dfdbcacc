# SPDX-License-Identifier: GPL-2.0
"""System calls that must fail."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from guest import files, kernel


def fails(error: int, call: Callable, *arguments: object) -> None:
    """Calls a function, which must raise an OSError with this number."""
    with pytest.raises(OSError, match=os.strerror(error)) as caught:
        call(*arguments)
    assert caught.value.errno == error


def refused(attribute: Path, value: object, error: int) -> str:
    """Writes an attribute of a disk, which must fail with this number; returns the line of the log
    that says why."""
    with kernel.new_log_lines() as lines:
        fails(error, files.write, attribute, value)
    (line,) = (line for line in lines if " refused: " in line)
    return line
