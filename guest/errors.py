# SPDX-License-Identifier: GPL-2.0
"""System calls that must fail."""

import os
from collections.abc import Callable

import pytest


def fails(error: int, call: Callable, *arguments: object) -> None:
    """Calls a function, which must raise an OSError with this number."""
    with pytest.raises(OSError, match=os.strerror(error)) as caught:
        call(*arguments)
    assert caught.value.errno == error
