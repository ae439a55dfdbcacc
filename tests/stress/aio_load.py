# SPDX-License-Identifier: GPL-2.0
"""Linux AIO under stress: it is switched on and off while programs use it, which are short-lived,
and so have contexts of both sides. The contexts of fio's jobs are of one side."""

import functools
import signal
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from guest import aio, counters, files, system
from tests.stress.disturbances import GRACE, MACHINE, Disturbance

SIDES = ("kernel", "module")
WAYS = ("reap", "destroy", "exit", "exec", "kill", "kill-early")


def switch(side: str) -> None:
    """Chooses the side of new contexts."""
    files.write(aio.ENABLED, int(side == "module"))


def switch_again() -> None:
    files.write(aio.ENABLED, 1 - int(files.read(aio.ENABLED)))


def switching() -> Disturbance:
    # Longer than most programs live
    return Disturbance(MACHINE, "AIO", 2, switch_again)


@functools.cache
def kernel_device() -> int:
    """Returns the minor number of the device of the kernel's rings. At the first call, AIO must be
    switched off."""
    with aio.Context(1):
        (device,) = aio.ring_devices()
    return device


def sides_of(pid: int) -> list[str]:
    """Returns the sides of a process's contexts."""
    kernel = kernel_device()
    return ["kernel" if device == kernel else "module" for device in aio.ring_devices(pid)]


def unused(before: dict[str, int], side: str) -> Iterator[str]:
    """Gives a line for each of the module's counters that has not grown, although it should have if
    fio's contexts were of SIDE."""
    # While the module has no context, the system calls of the kernel's side are not redirected.
    names = ("contexts", "requests", "sleeps", *(["passed"] if side == "module" else []))
    grown = counters.grown(aio.events(), before)
    for name in names:
        if name not in grown:
            yield f"AIO: the counter {name} has not grown"


@dataclass
class Programs:
    """Programs that use AIO in a part of a file, see samples/aio_programs.c."""

    name: str
    work: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self, data: Path, offset: int, length: int) -> None:
        part = [f"--offset={offset}", f"--length={length}", f"--kernel={kernel_device()}"]
        with (
            (self.work / "programs").open("ab") as ended,
            (self.work / "programs-messages").open("wb") as messages,
        ):
            self.process = subprocess.Popen(
                [system.SAMPLES / "aio_programs", *part, data], stdout=ended, stderr=messages
            )

    def ended(self) -> Counter[str]:
        """Returns how many programs of each side have ended in each way."""
        return Counter((self.work / "programs").read_text().splitlines())

    def has_ended(self) -> bool:
        """Returns whether they have ended, which they do by themselves only after a failure."""
        return self.process.poll() is not None

    def finish(self) -> Iterator[str]:
        """Stops them. Gives a line for each failure."""
        if not self.process:
            yield f"{self.name}: no program that uses AIO has been started"
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            yield f"{self.name}: a program that uses AIO does not end"
            yield system.run("ps", "-eLo", "pid,lwp,stat,wchan:32,args", check=False).stdout
            self.process.kill()
            return
        if status:
            yield f"{self.name}: programs that use AIO: status {status}"
            yield (self.work / "programs-messages").read_text().strip()

    def report(self) -> str:
        return f"programs that use AIO: {dict(sorted(self.ended().items()))}"


def missing(all_programs: Iterable[Programs], every_way: bool) -> Iterator[str]:
    """Gives the targets on which no program has ended, the sides that no program has used, and if
    EVERY_WAY, the ways in which none has ended."""
    ended: Counter[str] = Counter()
    for programs in all_programs:
        of_target = programs.ended()
        if not of_target:
            yield f"{programs.name}: programs that use AIO"
        ended += of_target
    words = {word for kind in ended for word in kind.split()}
    for word in (*SIDES, *(WAYS if every_way else ())):
        if word not in words:
            yield f"programs that use AIO: {word}"
