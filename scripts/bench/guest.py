#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Measures the points of a set, in the guest. Leaves the results in /results/points.json, one JSON
object a line: the labels of the point, and what an I/O has cost. Says what it is at."""

import json
import statistics
import sys
import time
from pathlib import Path

from meter import CONTEXT_SWITCH, DEFERRED, FLUSH, WORK_ITEM, Meter, Window, lab
from points import Point
from sets import SETS

RESULTS = Path("/results/points.json")

# How often a point is taken, and how far the figures may be apart that are said to be exact
TAKES_EXACT = 2
TAKES = 5
TOLERANCE = 0.001
# A take that something else got into, such as a kernel thread, is taken again: so many at most.
ATTEMPTS = 12


def values(window: Window, ios: int) -> dict[str, float]:
    """What an I/O has cost."""
    return {
        "user": window.user / ios,
        "kernel": window.kernel.total() / ios,
        "switches": window.calls[CONTEXT_SWITCH] / ios,
        "work": max(window.calls[name] for name in WORK_ITEM) / ios,
        "flushes": window.calls[FLUSH] / ios,
        "deferred": window.calls[DEFERRED] / ios,
        "nanoseconds": window.nanoseconds / ios,
    }


def median(dictionaries: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(one[name] for one in dictionaries) for name in dictionaries[0]}


def apart(dictionaries: list[dict[str, float]]) -> dict[str, float]:
    """By what part of the smallest figure the largest one is more."""
    return {
        name: max(one[name] for one in dictionaries) / low - 1
        for name in dictionaries[0]
        if (low := min(one[name] for one in dictionaries))
    }


class Taker:
    """Takes a point as often as it has to be."""

    def __init__(self, meter: Meter, point: Point) -> None:
        self.meter, self.point = meter, point
        self.takes: list[Window] = []

    def take(self) -> None:
        window = self.meter.watch(self.point.command, self.point.window)
        if not self.ios(window):
            raise RuntimeError(f"{' '.join(self.point.command)}: no I/O")
        self.takes.append(window)

    def ios(self, window: Window) -> int:
        return window.calls[self.point.counted_by]

    def values(self) -> list[dict[str, float]]:
        return [values(window, self.ios(window)) for window in self.takes]

    def told(self) -> list[dict[str, float]]:
        return [window.told for window in self.takes]

    def spread(self) -> float:
        """How far the instructions of the kernel are apart."""
        return apart(self.values())["kernel"]

    def take_all(self) -> None:
        for _ in range(TAKES_EXACT if self.point.exact else TAKES):
            self.take()
        attempts = len(self.takes)
        while self.point.exact and self.spread() > TOLERANCE:
            if attempts == ATTEMPTS:
                raise SystemExit(f"{self.point.labels}: {self.spread():.2%} between two takes")
            self.takes.pop(0)
            self.take()
            attempts += 1

    def result(self) -> dict:
        last = self.takes[-1]
        return {
            "labels": self.point.labels,
            "exact": self.point.exact,
            "ios": [self.ios(window) for window in self.takes],
            "values": median(self.values()),
            "told": median(self.told()),
            "spread": apart(self.values()) | apart(self.told()),
            "functions": {
                name: count / self.ios(last) for name, count in last.kernel.most_common()
            },
        }


def main() -> None:
    name = sys.argv[1]
    lab.run("insmod", lab.MODULE)
    meter = Meter()
    begin = time.time()
    with RESULTS.open("w") as results:
        for point in SETS[name].points():
            taker = Taker(meter, point)
            taker.take_all()
            result = taker.result()
            results.write(json.dumps(result) + "\n")
            results.flush()
            figures = result["values"]
            words = " ".join(str(value) for value in point.labels.values())
            print(
                f"{words}: {figures['kernel']:.0f} instructions,"
                f" {figures['switches']:.2f} context switches, {figures['work']:.2f} work items",
                flush=True,
            )
    lab.run("rmmod", "rnull_dio")
    print(f"{name}: {time.time() - begin:.0f} s of the guest's time")


if __name__ == "__main__":
    main()
