# SPDX-License-Identifier: GPL-2.0
"""What patches/ change, on an NVMe drive. No drive is the same every time."""

from collections.abc import Iterator

from meter import lab
from points import Point

from sets import series

row, COLUMNS, figures = series.row, series.COLUMNS, series.figures
TABLES = {"": series.table}


def points() -> Iterator[Point]:
    yield from series.points(lab.drive("bench"), is_drive=True)
