# SPDX-License-Identifier: GPL-2.0
"""Two results of a set side by side: compare.py [--limit PERCENT] BEFORE.json AFTER.json

These are the instructions of the kernel per I/O, or in a set without them, the accesses to shared
memory. With a limit, the exit status is not 0 if those of any point have grown by more than that.
"""

import argparse
import math
import sys
from pathlib import Path

import report

# Results are comparable only if all of these are the same.
COMPARABLE = ("kernel", "release", "compiler", "qemu", "machine")


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
    return abs(change(before, after)) <= 100 * spread


def row(before: dict, after: dict) -> list[str]:
    words = " ".join(str(value) for value in before["labels"].values())
    figures = [f"{figure(point):.0f}" for point in (before, after)]
    return [
        words,
        *figures,
        f"{change(before, after):+.2f}%",
        "noise" if is_noise(before, after) else "",
    ]


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
    before, after = (report.by_labels(document) for document in documents)
    pairs = [(before[key], after[key]) for key in before if key in after]
    if not pairs or len(pairs) < len(before):
        sys.exit("points are missing")
    print(
        report.table(["job", "before", "after", "change", ""], [row(*pair) for pair in pairs]),
        end="",
    )
    if options.limit is not None and not different:
        worse = [pair for pair in pairs if change(*pair) > options.limit]
        sys.exit(f"more than {options.limit}% worse" if worse else 0)


if __name__ == "__main__":
    main()
