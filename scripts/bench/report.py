# SPDX-License-Identifier: GPL-2.0
"""Tables of what was measured, as text that is reStructuredText as well."""

import json
from pathlib import Path

Labels = tuple[tuple[str, object], ...]


def load(path: Path) -> dict:
    return json.loads(path.read_text())


def by_labels(document: dict) -> dict[Labels, dict]:
    return {tuple(point["labels"].items()): point for point in document["points"]}


def instructions(point: dict) -> float:
    return point["values"]["user"] + point["values"]["kernel"]


def table(header: list[str], rows: list[list[str]]) -> str:
    """A simple table; all but the first column are numbers."""
    widths = [max(len(row[index]) for row in [header, *rows]) for index in range(len(header))]
    rule = "  ".join("=" * width for width in widths)

    def line(row: list[str]) -> str:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return "  ".join(cells).rstrip()

    return "\n".join([rule, line(header), rule, *(line(row) for row in rows), rule]) + "\n"
