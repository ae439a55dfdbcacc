# SPDX-License-Identifier: GPL-2.0
"""All kinds of I/O at once, while the machine changes under them.

Each issuer reads and writes an area of its own, on diofs and on attached XFS and ext4, on several
devices at the same time, and what it reads is verified. CPUs go offline and online, memory is
short, the page cache is filled and dropped, the policy of completions changes, file systems are
detached and frozen, the module's AIO is switched on and off, and so on: see disturbances.py, and
disturbances() of each kind of target.
"make stress" runs this for long, the end-to-end tests for less than a minute.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from guest import aio, counters, devices, files, memory, system
from tests.stress import aio_load, attached, diofs, disturbances, load, raw
from tests.stress.disturbances import GRACE, MACHINE, Disturbance
from tests.stress.load import Target

Say = Callable[[str], None]

REPORT_EVERY = 30

# Periods in seconds after the first one; on a slow machine, a job may have done little in one.
MORE = (60,) * 8

HUNG_TASK_TIMEOUT = Path("/proc/sys/kernel/hung_task_timeout_secs")


class StressError(AssertionError):
    """The failures, a line each."""


@contextlib.contextmanager
def made(kinds: Iterable[str], say: Say) -> Iterator[list[Target]]:
    """Makes the file systems of KINDS; there are two diofs."""
    with contextlib.ExitStack() as stack:
        # A remount waits for the task that drops all caches.
        stack.enter_context(longer(HUNG_TASK_TIMEOUT))
        scratch, spare = devices.drive("scratch"), devices.spare_drive()
        disk = stack.enter_context(null_disk("stressdisk"))
        # Blocks are smaller than those of the file system.
        live_disk = stack.enter_context(null_disk("livedisk", blocksize=512))
        for device in (scratch, spare, disk, live_disk):
            # A polled request waits until fio polls, which is late if most CPUs are offline.
            io_timeout = Path("/sys/block") / device.name / "queue" / "io_timeout"
            stack.enter_context(longer(io_timeout, 1000))
        targets: list[Target] = []
        if "xfs" in kinds:
            targets.append(stack.enter_context(attached.made_on("xfs", spare)))
        if "ext4" in kinds:
            targets.append(stack.enter_context(attached.made_on("ext4", live_disk)))
        if "diofs" in kinds:
            targets += [stack.enter_context(diofs.made_on(each, say)) for each in (scratch, disk)]
            diofs.add_failing(targets[-1])
        if "raw" in kinds:
            targets.append(stack.enter_context(raw.made()))
        yield targets


def null_disk(name: str, **attributes: object) -> contextlib.AbstractContextManager[Path]:
    return devices.null_disk(
        name,
        memory_backed=1,
        size=512,
        irqmode=2,
        submit_queues=os.cpu_count(),
        poll_queues=2,
        write_cache=1,
        **attributes,
    )


@contextlib.contextmanager
def longer(timeout: Path, units: int = 1) -> Iterator[None]:
    """Sets a timeout to GRACE; UNITS is how many of its units make a second."""
    before = files.read(timeout)
    files.write(timeout, GRACE * units)
    yield
    files.write(timeout, before)


def watch(seconds: float, targets: list[Target], running: list[Disturbance], say: Say) -> None:
    """Reports the progress until the time is over, or something has failed."""
    begin = time.monotonic()
    report = begin + REPORT_EVERY
    while (now := time.monotonic()) < begin + seconds:
        if any(target.has_ended() for target in targets):
            return
        if any(disturbance.failure for disturbance in running):
            return
        if now >= report:
            report += REPORT_EVERY
            say(f"{now - begin:.0f} of {seconds:.0f} s:{progress(targets, running)}")
        time.sleep(1)


def progress(targets: list[Target], running: list[Disturbance]) -> str:
    """Returns a line for the machine, and one for each target."""
    lines = {MACHINE: f"{memory.available() >> 20} MiB left"}
    for target in targets:
        programs = target.programs.ended().total()
        lines[target.name] = f"requests {target.requests()}, programs {programs}"
    for each in running:
        lines[each.where] += f", {each.name} {each.count}"
    return "".join(f"\n  {where}: {line}" for where, line in lines.items())


def run(
    kinds: Iterable[str], side: str, seconds: float, say: Say = print, every_job: bool = True
) -> None:
    """Runs the load and the disturbances, and again for at most MORE while there is a job that has
    not verified anything, or if not EVERY_JOB, a target with no job that has, or while the programs
    that use AIO have not done all, see aio_load.missing(). The contexts of fio's jobs are of SIDE.
    Raises StressError if anything fails or does not end."""
    aio_load.kernel_device()
    before = aio.events()
    with made(kinds, say) as targets:
        for target in targets:
            target.idle = {*target.jobs, *target.readers}
        for period in (seconds, *MORE):
            if failures := run_on(targets, side, period, say):
                raise StressError("\n".join(failures))
            idle = [name for target in targets for name in target.without_result(every_job)]
            idle += aio_load.missing([target.programs for target in targets], every_job)
            if not idle:
                break
        else:
            raise StressError("not verified anything: " + ", ".join(idle))
        for target in targets:
            say(target.report())
    say(f"AIO: {counters.grown(aio.events(), before)}")
    if unused := [*aio_load.unused(before, side)]:
        raise StressError("\n".join(unused))


def run_on(targets: list[Target], side: str, seconds: float, say: Say) -> list[str]:
    """Returns what has failed."""
    failures: list[str] = []
    running = [*disturbances.of_machine(), aio_load.switching()]
    for target in targets:
        running += target.disturbances()
    try:
        aio_load.switch(side)
        for target in targets:
            load.start(target)
        system.wait_for(lambda: all(target.is_under_way() for target in targets), GRACE)
        # Not before, because fio starts slowly beside others.
        for target in targets:
            load.start_programs(target)
        for disturbance in running:
            disturbance.thread.start()
        watch(seconds, targets, running, say)
    finally:
        for disturbance in running:
            failures += disturbance.finish()
        disturbances.all_cpus_online()
        disturbances.no_tracing()
        for target in targets:
            failures += load.finish(target)
        aio_load.switch("kernel")
    return failures
