# SPDX-License-Identifier: GPL-2.0
"""A minute of what "make stress" does for long."""

from tests.stress import stress


def test_everything_at_once():
    stress.run(60)
