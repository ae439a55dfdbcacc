# SPDX-License-Identifier: GPL-2.0
"""A little of what "make stress" does for long."""

from tests.stress import stress


def test_diofs():
    stress.run(["diofs"], 45)


def test_attached_file_systems():
    stress.run(["xfs", "ext4"], 45)
