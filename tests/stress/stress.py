# SPDX-License-Identifier: GPL-2.0
"""All kinds of I/O at once, while the machine changes under them.

Each issuer reads and writes an area of its own, on diofs on several devices at the same time, and
all that is read is verified. CPUs go offline and online, memory is short, the page cache is filled
and dropped, the policy of completions changes, and so on: see disturbances.py. "make stress" runs
this for long, the end-to-end tests for a minute.
"""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from guest import counters, devices, files, filesystems, memory, system
from tests.stress import disturbances, load
from tests.stress.disturbances import Disturbance, Say
from tests.stress.load import GRACE, Target

REPORT_EVERY = 30

HUNG_TASK_TIMEOUT = Path("/proc/sys/kernel/hung_task_timeout_secs")


class StressError(AssertionError):
    """The failures, a line each."""


@contextlib.contextmanager
def all_targets(say: Say) -> Iterator[list[Target]]:
    with contextlib.ExitStack() as stack:
        disk = devices.null_disk(
            "stressdisk",
            memory_backed=1,
            size=512,
            irqmode=2,
            submit_queues=os.cpu_count(),
            poll_queues=2,
            write_cache=1,
        )
        # A remount waits for the task that drops all caches.
        stack.enter_context(longer(HUNG_TASK_TIMEOUT))
        targets = []
        for device in (devices.drive("scratch"), stack.enter_context(disk)):
            # A polled request waits until fio polls, which is late if most CPUs are offline.
            io_timeout = Path("/sys/block") / device.name / "queue" / "io_timeout"
            stack.enter_context(longer(io_timeout, 1000))
            targets.append(make_target(device, stack, say))
        add_failing(targets[-1])
        yield targets


def make_target(device: Path, stack: contextlib.ExitStack, say: Say) -> Target:
    data = stack.enter_context(filesystems.diofs(device))
    work = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/run")))
    target = Target(device, data, work, takes_buffered(data))
    jobs = load.MAPPED | load.BUFFERED | load.DIRECT if target.buffered else load.DIRECT
    target.jobs |= {name: load.VERIFIED | options for name, options in jobs.items()}
    if not target.buffered:
        say(f"{device.name}: no buffered I/O: it cannot be opened without O_DIRECT")
    return target


def takes_buffered(data: Path) -> bool:
    try:
        with files.opened(data, os.O_RDONLY):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def longer(timeout: Path, units: int = 1) -> Iterator[None]:
    """Sets a timeout to GRACE; UNITS is how many of its units make a second."""
    before = files.read(timeout)
    files.write(timeout, GRACE * units)
    yield
    files.write(timeout, before)


def add_failing(target: Target) -> None:
    """Adds areas of bad blocks, each with a job that has to get EIO."""
    target.jobs |= {name: load.ONLY_EIO | options for name, options in load.FAILING.items()}
    for name in load.FAILING:
        pos = filesystems.DATA_START + target.offset(name)
        devices.set_bad(target.device, pos, load.AREA)


def watch(seconds: float, targets: list[Target], running: list[Disturbance], say: Say) -> bool:
    """Reports the progress. Returns whether the time is over; otherwise something has failed."""
    begin = time.monotonic()
    report = begin + REPORT_EVERY
    while (now := time.monotonic()) < begin + seconds:
        if any(target.fio.poll() for target in targets):
            return False
        if any(disturbance.failure for disturbance in running):
            return False
        if now >= report:
            report += REPORT_EVERY
            say(f"{now - begin:.0f} of {seconds:.0f} s: {progress(targets, running)}")
        time.sleep(1)
    return True


def progress(targets: list[Target], running: list[Disturbance]) -> str:
    requests = ", ".join(f"{each.device.name} {counters.total(each.device)}" for each in targets)
    counts = ", ".join(f"{each.name} {each.count}" for each in running)
    return f"requests: {requests}; {counts}; {memory.available() >> 20} MiB left"


def run(seconds: float, say: Say = print) -> None:
    """Runs the load and the disturbances; raises StressError if anything fails or does not end."""
    with all_targets(say) as targets:
        if failures := run_on(targets, seconds, say):
            raise StressError("\n".join(failures))
        for target in targets:
            say(f"{target.device.name}: requests by route: {counters.routes(target.device)}")


def run_on(targets: list[Target], seconds: float, say: Say) -> list[str]:
    """Returns what has failed."""
    failures: list[str] = []
    running = list(disturbances.all_disturbances(targets, say))
    over = False
    try:
        for target in targets:
            load.start(target, seconds)
        system.wait_for(lambda: all(target.is_under_way() for target in targets), GRACE)
        for disturbance in running:
            disturbance.thread.start()
        over = watch(seconds, targets, running, say)
    finally:
        for disturbance in running:
            failures += disturbance.finish()
        disturbances.all_cpus_online()
        disturbances.no_tracing()
        for target in targets:
            failures += load.finish(target, early=not over)
    return failures
