# SPDX-License-Identifier: GPL-2.0
"""What is measured: each set has points(), for the guest, and TABLES of the results, by the suffix
of their files. row() tells where in a table or a picture a point is, and column() too, unless the
columns are COLUMNS, of its figures()."""

from sets import (
    classes,
    disk,
    key,
    path,
    policies,
    reactor,
    series_null,
    series_nvme,
    series_readback,
)

SETS = {
    "classes": classes,
    "disk": disk,
    "key": key,
    "path": path,
    "policies": policies,
    "reactor": reactor,
    "series-null": series_null,
    "series-nvme": series_nvme,
    "series-readback": series_readback,
}
