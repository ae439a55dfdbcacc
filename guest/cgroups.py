# SPDX-License-Identifier: GPL-2.0
"""Cgroups of version 2."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from guest import files, system
from guest.tasks import Child, run_in_child


@contextlib.contextmanager
def mounted(where: Path) -> Iterator[Path]:
    """Mounts the hierarchy at WHERE."""
    system.run("mount", "-t", "cgroup2", "none", where)
    try:
        yield where
    finally:
        system.run_until_it_succeeds("umount", where)


def has(hierarchy: Path, *controllers: str) -> bool:
    """Returns whether the kernel has these controllers, for version 2."""
    return set(controllers) <= set(files.read(hierarchy / "cgroup.controllers").split())


@contextlib.contextmanager
def group(hierarchy: Path, *controllers: str) -> Iterator[Path]:
    """Makes a group with these controllers."""
    files.write(hierarchy / "cgroup.subtree_control", " ".join(f"+{each}" for each in controllers))
    where = hierarchy / "group"
    where.mkdir()
    try:
        yield where
    finally:
        system.wait_for(lambda: "populated 0" in files.read(where / "cgroup.events"))
        where.rmdir()


def run_inside(where: Path, function: Callable[[], None]) -> None:
    """Runs FUNCTION in a process of the group; fails if it does."""

    def child(_: Child) -> None:
        files.write(where / "cgroup.procs", os.getpid())
        function()

    run_in_child(child)


def statistics(path: Path) -> dict[str, int]:
    """Returns the numbers in a file with lines of a name and a number."""
    return {name: int(value) for name, value in map(str.split, path.read_text().splitlines())}
