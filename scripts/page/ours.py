# SPDX-License-Identifier: GPL-2.0
"""An extension of Sphinx that marks columns of tables that are this module's, and rows of
comparisons that have changed."""

from collections.abc import Iterator

from docutils import nodes

# The headings of these columns, or their last words
OURS = {"attached", "auto", "diofs", "module", "rnull_dio"}
# What the last column of a comparison says about rows that have not changed
UNCHANGED = {"noise", "same"}


def cells(row: nodes.row) -> list[nodes.entry]:
    return list(row.findall(nodes.entry))


def is_ours(title: str) -> bool:
    return title.startswith("tree-") or bool(OURS & set(title.split()[-1:]))


def rows(table: nodes.table) -> Iterator[nodes.row]:
    for body in table.findall(nodes.tbody):
        yield from body.findall(nodes.row)


def mark_columns(table: nodes.table) -> None:
    for head in table.findall(nodes.thead):
        titles = [entry.astext() for entry in cells(next(head.findall(nodes.row)))]
        # The kernel that is measured is the last one, which may be compared with another tree.
        trees = [index for index, title in enumerate(titles) if title.startswith("tree-")]
        ours = {index for index, title in enumerate(titles) if is_ours(title)} - set(trees[:-1])
        for row in [*head.findall(nodes.row), *rows(table)]:
            for index, entry in enumerate(cells(row)):
                if index in ours:
                    entry["classes"].append("ours")


def mark_rows(table: nodes.table) -> None:
    heads = [entry.astext() for head in table.findall(nodes.thead) for entry in cells(head)]
    if "change" not in heads:
        return
    table["classes"].append("comparison")
    for row in rows(table):
        unchanged = cells(row)[-1].astext() in UNCHANGED
        row["classes"].append("noise" if unchanged else "changed")


def mark(_app: object, document: nodes.document, _name: str) -> None:
    for table in document.findall(nodes.table):
        mark_columns(table)
        mark_rows(table)


def setup(app: object) -> dict[str, bool]:
    app.connect("doctree-resolved", mark)
    return {"parallel_read_safe": True}
