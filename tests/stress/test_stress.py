# SPDX-License-Identifier: GPL-2.0
"""A little of what "make stress" does for long. In this time, not every job gets far enough to
verify something."""

from tests.stress import stress


def test_diofs_and_raw_disk():
    stress.run(["diofs", "raw"], "module", 45, every_job=False)


def test_attached_file_systems():
    stress.run(["xfs", "ext4"], "module", 45, every_job=False)
