# SPDX-License-Identifier: GPL-2.0
"""The page of the main job: page.py RESULTS OUT writes OUT/index.rst, and a picture of each table
beside it."""

import json
import sys
from pathlib import Path

from matplotlib import pyplot as plt

from scripts.page import rst

MAINLINE_COLOUR, OUR_COLOUR = "#969696", "#d55e00"
WHAT = """Compare the rows of a table and counts, not machines: the guest is emulated. Columns of
this module have a colour.

"""


def bars(axes: plt.Axes, table: dict) -> None:
    """A bar for each column of IOPS of a job."""
    header, rows = table["header"], table["rows"]
    columns = [index for index, title in enumerate(header) if title.startswith("IOPS")]
    height = 0.8 / len(columns)
    for place, index in enumerate(columns):
        is_mainline = header[index].endswith("mainline")
        axes.barh(
            [line + (place - (len(columns) - 1) / 2) * height for line in range(len(rows))],
            [float(row[index]) for row in rows],
            height,
            color=MAINLINE_COLOUR if is_mainline else OUR_COLOUR,
            label="mainline" if is_mainline else "this module",
        )
    axes.set_yticks(range(len(rows)), [row[0] for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("IOPS (more is better)")
    axes.spines[["top", "right"]].set_visible(False)


def picture(table: dict, file: Path) -> None:
    lines = len(table["rows"])
    figure, axes = plt.subplots(figsize=(7, 0.3 * lines + 1), layout="constrained")
    bars(axes, table)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)


def section(table: dict, name: str, out: Path) -> str:
    picture(table, out / name)
    return (
        rst.heading(table["title"])
        + rst.table(table["header"], table["rows"])
        + rst.picture(name, f"IOPS of {table['title']}, as in the table")
    )


def main() -> None:
    results, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(exist_ok=True)
    lines = (results / "identity").read_text().splitlines()
    identity = dict(line.split("=", 1) for line in lines)
    parts = [rst.heading("The main job", "="), WHAT, rst.fields(identity)]
    tables = json.loads((results / "tables.json").read_text())
    parts += [section(table, f"{index}.svg", out) for index, table in enumerate(tables)]
    (out / "index.rst").write_text("".join(parts))


if __name__ == "__main__":
    main()
