# SPDX-License-Identifier: GPL-2.0
"""Samples of a point, in the guest: how many are taken, and what is reported of them."""

import statistics

from meter import CONTEXT_SWITCH, DEFERRED, FLUSH, TRANSACTION, WORK_ITEM, Meter, Window
from points import Point

# How many samples of a point are taken, and the largest spread of figures that are called exact
SAMPLES_EXACT = 2
SAMPLES = 5
TOLERANCE = 0.001
# A sample that a kernel thread has disturbed is replaced; this limits the number of attempts.
ATTEMPTS = 12


def cost(window: Window, ios: int) -> dict[str, float]:
    """Returns the cost of an I/O."""
    return {
        "user": window.user / ios,
        "kernel": window.kernel.total() / ios,
        "switches": window.calls[CONTEXT_SWITCH] / ios,
        "work": max(window.calls[name] for name in WORK_ITEM) / ios,
        "flushes": window.calls[FLUSH] / ios,
        "transactions": max(window.calls[name] for name in TRANSACTION) / ios,
        "deferred": window.calls[DEFERRED] / ios,
        "nanoseconds": window.nanoseconds / ios,
    }


def median(dictionaries: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(one[name] for one in dictionaries) for name in dictionaries[0]}


def spread(dictionaries: list[dict[str, float]]) -> dict[str, float]:
    """Returns the relative spread of each figure: max / min - 1."""
    return {
        name: max(one[name] for one in dictionaries) / low - 1
        for name in dictionaries[0]
        if (low := min(one[name] for one in dictionaries))
    }


class Sampler:
    """Takes samples of a point until there are enough."""

    METER = Meter

    def __init__(self, meter: Meter, point: Point) -> None:
        self.meter, self.point = meter, point
        self.samples: list[Window] = []

    def sample(self) -> None:
        window = self.meter.watch(self.point.command, self.point.window)
        if not self.ios(window):
            raise RuntimeError(f"{' '.join(self.point.command)}: no I/O")
        self.samples.append(window)

    def ios(self, window: Window) -> int:
        return window.calls[self.point.counted_by]

    def cost(self, window: Window) -> dict[str, float]:
        return cost(window, self.ios(window))

    def values(self) -> list[dict[str, float]]:
        return [self.cost(window) for window in self.samples]

    def times(self) -> list[dict[str, float]]:
        return [window.times for window in self.samples]

    def kernel_spread(self) -> float:
        """Returns the spread of the kernel's instructions."""
        return spread(self.values())["kernel"]

    def sample_all(self) -> None:
        for _ in range(SAMPLES_EXACT if self.point.exact else SAMPLES):
            self.sample()
        attempts = len(self.samples)
        while self.point.exact and self.kernel_spread() > TOLERANCE:
            if attempts == ATTEMPTS:
                raise SystemExit(f"{self.point.labels}: a spread of {self.kernel_spread():.2%}")
            self.samples.pop(0)
            self.sample()
            attempts += 1

    def result(self) -> dict:
        last = self.samples[-1]
        return {
            "labels": self.point.labels,
            "exact": self.point.exact,
            "ios": [self.ios(window) for window in self.samples],
            "values": median(self.values()),
            "told": median(self.times()),
            "spread": spread(self.values()) | spread(self.times()),
            "functions": {
                name: count / self.ios(last) for name, count in last.kernel.most_common()
            },
        }

    def summary(self, figures: dict[str, float]) -> str:
        return (
            f"{figures['kernel']:.0f} instructions,"
            f" {figures['switches']:.2f} context switches, {figures['work']:.2f} work items"
        )
