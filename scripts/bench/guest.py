#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Measures the points of a set, in the guest. Leaves the results in /results/points.json, one JSON
object a line: the labels of the point, and what an I/O has cost. Says what it is at."""

import json
import statistics
import sys
import time
from pathlib import Path

import sets
from meter import CONTEXT_SWITCH, SUBMISSION, WORK_ITEM, Meter, Window, lab

RESULTS = Path("/results/points.json")

# How often a point is taken, and how far the figures may be apart that are said to be exact
TAKES_EXACT = 2
TAKES = 5
TOLERANCE = 0.001
# A take that something else got into, such as a kernel thread, is taken again: so many at most.
ATTEMPTS = 12

FUNCTIONS_KEPT = 15


def values(window: Window) -> dict[str, float]:
    """What an I/O has cost."""
    ios = window.calls[SUBMISSION]
    return {
        "user": window.user / ios,
        "kernel": window.kernel.total() / ios,
        "switches": window.calls[CONTEXT_SWITCH] / ios,
        "work": window.calls[WORK_ITEM] / ios,
        "nanoseconds": window.nanoseconds / ios,
    }


def shares(window: Window) -> dict[str, float]:
    """The kernel's instructions an I/O, by function."""
    ios = window.calls[SUBMISSION]
    return {name: count / ios for name, count in window.kernel.most_common(FUNCTIONS_KEPT)}


def spread(takes: list[Window]) -> float:
    """How far the instructions of the kernel are apart, as a part of them."""
    figures = [values(take)["kernel"] for take in takes]
    return max(figures) / min(figures) - 1


def take(meter: Meter, point: sets.Point) -> list[Window]:
    count = TAKES_EXACT if point.exact else TAKES
    takes = [meter.watch(point.options, point.window) for _ in range(count)]
    if not point.exact:
        return takes
    while spread(takes[-TAKES_EXACT:]) > TOLERANCE:
        if len(takes) == ATTEMPTS:
            raise SystemExit(
                f"{point.labels}: {spread(takes[-TAKES_EXACT:]):.2%} between two takes"
            )
        takes.append(meter.watch(point.options, point.window))
    return takes[-TAKES_EXACT:]


def measure(meter: Meter, point: sets.Point) -> dict:
    takes = take(meter, point)
    figures = [values(window) for window in takes]
    return {
        "labels": point.labels,
        "exact": point.exact,
        "ios": [window.calls[SUBMISSION] for window in takes],
        "values": {name: statistics.median(f[name] for f in figures) for name in figures[0]},
        "spread": spread(takes),
        "functions": shares(takes[-1]),
    }


def main() -> None:
    name = sys.argv[1]
    lab.run("insmod", lab.MODULE)
    meter = Meter()
    begin = time.time()
    with RESULTS.open("w") as results:
        for point in sets.SETS[name]():
            result = measure(meter, point)
            results.write(json.dumps(result) + "\n")
            results.flush()
            figures = result["values"]
            words = " ".join(str(value) for value in point.labels.values())
            print(
                f"{words}: {figures['user'] + figures['kernel']:.0f} instructions,"
                f" {figures['switches']:.2f} context switches, {figures['work']:.2f} work items",
                flush=True,
            )
    lab.run("rmmod", "rnull_dio")
    print(f"{name}: {time.time() - begin:.0f} s of the guest's time")


if __name__ == "__main__":
    main()
