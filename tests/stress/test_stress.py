# SPDX-License-Identifier: GPL-2.0
"""A little of what "make stress" does for long. In this time, not every job gets far enough to
verify something."""

from tests.stress import stress


def test_diofs():
    stress.run(["diofs"], 45, every_job=False)


def test_attached_file_systems():
    stress.run(["xfs", "ext4"], 45, every_job=False)
