# SPDX-License-Identifier: GPL-2.0
"""Effect of patches/ on a null disk."""

from collections.abc import Iterator

from points import Point, timer_disk

from sets import series

row, COLUMNS, figures = series.row, series.COLUMNS, series.figures
TABLES = {"": series.table}


def points() -> Iterator[Point]:
    with timer_disk() as device:
        yield from series.points(device, is_drive=False)
