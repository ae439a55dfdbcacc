# SPDX-License-Identifier: GPL-2.0
"""Parts of a page, as reStructuredText."""

from collections.abc import Iterable

Row = Iterable[object]


def heading(text: str, rule: str = "-") -> str:
    return f"{text}\n{rule * len(text)}\n\n"


def fields(values: dict[str, str]) -> str:
    """A list of names with values."""
    return "".join(f":{name}: {escaped(value)}\n" for name, value in values.items()) + "\n"


def table(header: Row, rows: Iterable[Row]) -> str:
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in (header, *rows):
        marks = ("*", *(" " for _ in list(row)[1:]))
        lines += [f"   {mark} - {escaped(cell)}" for mark, cell in zip(marks, row, strict=True)]
    return "\n".join(lines) + "\n\n"


def escaped(cell: object) -> str:
    """A cell in which nothing is markup."""
    return (
        str(cell).replace("\\", "\\\\").replace("*", "\\*").replace("`", "\\`").replace("_", "\\_")
    )


def picture(name: str, what: str) -> str:
    """A picture that scrolls if the window is narrow."""
    return f".. container:: picture\n\n   .. image:: {name}\n      :alt: {what}\n\n"
