# SPDX-License-Identifier: GPL-2.0
"""The module's counters in debugfs, as dictionaries."""

import os
from pathlib import Path

from guest import system

DEBUGFS = Path("/sys/kernel/debug/rnull_dio")

# In the order of the module's files
ROUTES = ("submitter", "waiter", "reaper", "inline", "issuer", "worker")


def parse(text: str) -> dict[str, int]:
    """Parses lines of the form "name: value"."""
    pairs = (line.split(":") for line in text.splitlines())
    return {name.strip(): int(value) for name, value in pairs}


def diofs_directory(device: Path) -> Path:
    """Returns the debugfs directory of the diofs on DEVICE, which has the number of the device."""
    number = device.stat().st_rdev
    return DEBUGFS / "diofs" / f"{os.major(number)}:{os.minor(number)}"


def routes(device: Path) -> dict[str, int]:
    """Returns how many requests of the diofs on DEVICE took each route."""
    return parse((diofs_directory(device) / "routes").read_text())


def total(device: Path) -> int:
    """Returns how many requests of the diofs on DEVICE are complete."""
    return sum(routes(device).values())


def routes_of(data: Path) -> dict[str, int]:
    """Returns the routes of the diofs that contains the file DATA."""
    device = system.run("findmnt", "--noheadings", "--output=SOURCE", data.parent).stdout.strip()
    return routes(Path(device))


def events(device: Path) -> dict[str, int]:
    """Returns the counters of rare events of the diofs on DEVICE."""
    return parse((diofs_directory(device) / "events").read_text())


def disk(device: Path) -> dict[str, int]:
    """Returns the counters of a null disk."""
    return parse((DEBUGFS / "disk" / device.name / "counters").read_text())


def grown(after: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    """Returns the counters that have grown, and by how much."""
    return {name: after[name] - before[name] for name in after if after[name] > before[name]}
