# SPDX-License-Identifier: GPL-2.0
"""Effect of patches/ on an NVMe drive; no figure of a drive is exact."""

from collections.abc import Iterator

from points import Point

from guest import devices
from sets import series

row, COLUMNS, figures = series.row, series.COLUMNS, series.figures
TABLES = {"": series.table}


def points() -> Iterator[Point]:
    yield from series.points(devices.drive("bench"), is_drive=True)
