# SPDX-License-Identifier: GPL-2.0
"""A page of results: page.py RESULTS OUT [--base BASE] SET... writes OUT/index.rst, and pictures
beside it. With BASE, the results of another kernel, the comparisons are first."""

import argparse
import shutil
from pathlib import Path

import compare
import plot_change
import report
from sets import SETS

from scripts.page import rst

WHAT = """Figures are instructions of the kernel per I/O (less is better) or IOPS of the guest's
time (more is better). Columns of this module have a colour.

"""


def tables(results: Path, name: str) -> list[str]:
    """The tables of a set, each after its title."""
    files = {f"{name}{suffix}": results / f"{name}{suffix}.txt" for suffix in SETS[name].TABLES}
    return [f"{title}:\n\n{file.read_text()}\n" for title, file in files.items()]


def pictures(results: Path, name: str, out: Path, kernel: str) -> str:
    file = results / f"{name}.svg"
    if not file.exists():
        return ""
    shutil.copy(file, out / f"{name}-{kernel}.svg")
    return rst.picture(f"{name}-{kernel}.svg", f"The set {name}, as in the table")


def measured(results: Path, name: str, out: Path) -> str:
    """The results of a set on one kernel."""
    document = report.load(results / f"{name}.json")
    kernel = document["identity"]["kernel"]
    body = "".join(tables(results, name)) + pictures(results, name, out, kernel)
    return (
        rst.heading(f"{name}, {kernel}")
        + f"{SETS[name].__doc__}\n\n"
        + rst.fields(document["identity"])
        + body
    )


def compared(base: Path, results: Path, name: str, out: Path) -> str:
    before, after = (report.load(where / f"{name}.json") for where in (base, results))
    rows = [compare.row(*pair) for pair in compare.pairs(before, after)]
    figure = plot_change.picture(before, after)
    figure.set_layout_engine("constrained")
    figure.savefig(out / f"{name}-change.svg", metadata={"Date": None})
    return (
        rst.heading(f"{name}, side by side")
        + rst.table(compare.header(before, after), rows)
        + rst.picture(f"{name}-change.svg", "The changes in percent, as in the table")
    )


def page(options: argparse.Namespace) -> str:
    parts = [rst.heading("Cost of I/O", "="), WHAT]
    if options.base:
        found = (options.base, options.results)
        parts += [compared(*found, name, options.out) for name in options.sets]
    for name in options.sets:
        parts += [
            measured(where, name, options.out) for where in (options.results, options.base) if where
        ]
    return "".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--base", type=Path)
    parser.add_argument("sets", nargs="+")
    options = parser.parse_args()
    options.out.mkdir(exist_ok=True)
    (options.out / "index.rst").write_text(page(options))


if __name__ == "__main__":
    main()
