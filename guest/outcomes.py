# SPDX-License-Identifier: GPL-2.0
"""Outcomes of programs on both sides, and a table of them."""

# The outcomes of a program, by the side
Row = dict[str, str]


def table(rows: dict[str, Row], sides: list[str]) -> list[str]:
    """Returns the lines of a table, the sides beside each other."""
    width = max(map(len, rows)) + 2

    def line(title: str, row: Row) -> str:
        columns = (row.get(side, "not run") for side in sides)
        return (f"{title:<{width}}" + "".join(f"{text:<16}" for text in columns)).rstrip()

    return [line("", {side: side for side in sides}), *(line(*each) for each in rows.items())]
