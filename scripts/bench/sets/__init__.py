# SPDX-License-Identifier: GPL-2.0
"""The sets of measurements. Each has points(), for the guest, and TABLES of the results, by the
suffix of their files. row() returns the row of a point in a table or a picture, and column() its
column, unless the columns are COLUMNS, with the values of figures()."""

from sets import (
    aio,
    apps,
    classes,
    disk,
    file,
    file_polled,
    key,
    live,
    live_cached,
    live_files,
    live_writes,
    path,
    policies,
    reactor,
    series_null,
    series_nvme,
    series_readback,
    sharing,
)

SETS = {
    "aio": aio,
    "apps": apps,
    "classes": classes,
    "disk": disk,
    "file": file,
    "file-polled": file_polled,
    "key": key,
    "live": live,
    "live-cached": live_cached,
    "live-files": live_files,
    "live-writes": live_writes,
    "path": path,
    "policies": policies,
    "reactor": reactor,
    "series-null": series_null,
    "series-nvme": series_nvme,
    "series-readback": series_readback,
    "sharing": sharing,
}
