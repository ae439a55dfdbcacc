# SPDX-License-Identifier: GPL-2.0
"""A diofs under stress."""

import contextlib
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from guest import counters, devices, files, filesystems, policies, system
from tests.stress import load
from tests.stress.disturbances import Disturbance
from tests.stress.load import Target


@dataclass
class Diofs(Target):
    takes_policies: bool = False

    def routes(self) -> dict[str, int]:
        return counters.routes(self.device)

    def disturbances(self) -> Iterator[Disturbance]:
        yield from super().disturbances()
        if self.takes_policies:
            yield self.disturbance("policy", 0.5, self.change_policy)

    def change_policy(self) -> None:
        assert self.remount(random.choice(policies.NAMES))

    def remount(self, policy: str) -> bool:
        """Changes the policy. Returns whether that has succeeded."""
        options = f"remount,completion={policy}"
        return not system.run("mount", "-o", options, self.data.parent, check=False).returncode


@contextlib.contextmanager
def made_on(device: Path, say: Callable[[str], None]) -> Iterator[Diofs]:
    """Makes and mounts a diofs; gives it with its jobs."""
    with filesystems.diofs(device) as data, tempfile.TemporaryDirectory(dir="/run") as work:
        target = Diofs("diofs", device, data, Path(work))
        target.takes_policies = target.remount("auto")
        if not target.takes_policies:
            say(f"{target.name}: no policies to change: the mount option completion= is refused")
        jobs = load.DIRECT
        if takes_buffered(data):
            jobs = load.MAPPED | load.BUFFERED | load.DIRECT
        else:
            say(f"{target.name}: no buffered I/O: it cannot be opened without O_DIRECT")
        target.jobs |= {name: load.VERIFIED | options for name, options in jobs.items()}
        yield target


def takes_buffered(data: Path) -> bool:
    try:
        with files.opened(data, os.O_RDONLY):
            return True
    except OSError:
        return False


def add_failing(target: Diofs) -> None:
    """Adds areas of bad blocks, each with a job that has to get EIO."""
    target.jobs |= {name: load.ONLY_EIO | options for name, options in load.FAILING.items()}
    for name in load.FAILING:
        pos = filesystems.DATA_START + target.offset(name)
        devices.set_bad(target.device, pos, load.AREA)
