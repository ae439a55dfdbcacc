# SPDX-License-Identifier: GPL-2.0
"""Two results of a set side by side: compare.py [--limit PERCENT] BEFORE.json AFTER.json

These are the instructions of the kernel per I/O, or in a set without them, the accesses to shared
memory. A change that is larger than the differences between runs and between boots has a mark, and
beside it the layers that it is in. With a limit, the exit status is not 0 if the figures of any
point have grown by more than that.
"""

import argparse
import math
import sys
from pathlib import Path

import report

# Results are comparable only if all of these are the same.
COMPARABLE = ("kernel", "release", "compiler", "qemu", "machine")
# By how much a figure differs between two boots of one kernel, at most; 0.11% has been seen.
BOOTS = 0.002
# A layer is named if it has this share of a change, and at least one instruction of it.
SHARE = 0.2
LAYERS_NAMED = 3


def compared(point: dict) -> str:
    """The name of the figure that is compared."""
    return "kernel" if "kernel" in point["values"] else "accesses"


def figure(point: dict) -> float:
    return point["values"][compared(point)]


def change(before: dict, after: dict) -> float:
    """In percent."""
    if figure(before) == 0:
        return 0 if figure(after) == 0 else math.inf
    return 100 * (figure(after) / figure(before) - 1)


def is_noise(before: dict, after: dict) -> bool:
    spread = max(point["spread"].get(compared(point), 0) for point in (before, after))
    return abs(change(before, after)) <= 100 * max(spread, BOOTS)


def words(point: dict) -> str:
    """The labels of a point; a flag is its name, if it is set."""
    labels = point["labels"].items()
    return " ".join(name if value is True else str(value) for name, value in labels if value)


def where(before: dict, after: dict) -> str:
    """The layers that a change is in, and by how much each has changed; the largest first."""
    old, new = before.get("layers", {}), after.get("layers", {})
    changes = {name: new.get(name, 0) - old.get(name, 0) for name in old | new}
    least = max(1, SHARE * max(map(abs, changes.values()), default=0))
    large = [name for name in changes if abs(changes[name]) >= least]
    large.sort(key=lambda name: -abs(changes[name]))
    return "; ".join(f"{name} {changes[name]:+.0f}" for name in large[:LAYERS_NAMED])


def row(before: dict, after: dict) -> list[str]:
    figures = [f"{figure(point):.0f}" for point in (before, after)]
    row = [words(before), *figures, f"{change(before, after):+.2f}%"]
    if figure(before) == figure(after):
        return [*row, "", "same"]
    return [*row, *(("", "noise") if is_noise(before, after) else ("*", where(before, after)))]


def header(before: dict, after: dict) -> list[str]:
    """With the names of the kernels, if they are not the same."""
    names = [document["identity"]["kernel"] for document in (before, after)]
    names = ["before", "after"] if names[0] == names[1] else names
    return ["job", *names, "change", "", "where"]


def pairs(before: dict, after: dict) -> list[tuple[dict, dict]]:
    """The points of both documents."""
    old, new = report.by_labels(before), report.by_labels(after)
    found = [(old[key], new[key]) for key in old if key in new]
    if not found or len(found) < len(old):
        sys.exit("points are missing")
    return found


def differences(before: dict, after: dict) -> list[str]:
    """In what the two were not measured alike."""
    return [name for name in COMPARABLE if before["identity"][name] != after["identity"][name]]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--limit", type=float)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    options = parser.parse_args()
    documents = report.load(options.before), report.load(options.after)
    if different := differences(*documents):
        for name in different:
            print(f"{name}: {' / '.join(document['identity'][name] for document in documents)}")
        if options.limit is not None:
            print("not comparable, so the limit is not applied")
    found = pairs(*documents)
    print(report.table(header(*documents), [row(*pair) for pair in found]), end="")
    if options.limit is not None and not different:
        worse = [pair for pair in found if change(*pair) > options.limit]
        sys.exit(f"more than {options.limit}% worse" if worse else 0)


if __name__ == "__main__":
    main()
