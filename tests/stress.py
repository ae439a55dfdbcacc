# SPDX-License-Identifier: GPL-2.0
"""Every kind of I/O at once, on a machine that does not keep still.

Each issuer reads and writes an area of its own, on diofs on several devices at the same time, and
all that is read is verified. Meanwhile CPUs come and go, memory is short, the page cache is filled
and dropped, the policy of completions changes, and so on: see the disturbances. "make stress" runs
this for long, the end-to-end tests for a minute.
"""

import contextlib
import errno
import mmap
import os
import random
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import lab

# Areas are far enough from each other that not even large folios lie in two of them.
AREA = 4 << 20
STRIDE = 2 * AREA

# What fio and the disturbances may take to end when the time is over, in seconds.
GRACE = 240
REPORT_EVERY = 30

# A machine that is emulated takes long to fill its memory.
SQUEEZE_TIME = 5
SQUEEZE_PIECE = 4 << 20

Options = dict[str, object]

DIRECT: dict[str, Options] = {
    "psync": {"ioengine": "psync"},
    "pvsync2-polled": {"ioengine": "pvsync2", "hipri": 1},
    "libaio": {"ioengine": "libaio"},
    "libaio-dsync": {"ioengine": "libaio", "sync": "dsync"},
    "io_uring": {"ioengine": "io_uring"},
    "io_uring-dsync": {"ioengine": "io_uring", "sync": "dsync"},
    "io_uring-registered": {"ioengine": "io_uring", "fixedbufs": 1, "registerfiles": 1},
    "io_uring-sqpoll": {"ioengine": "io_uring", "sqthread_poll": 1},
    "io_uring-forced-async": {"ioengine": "io_uring", "force_async": 1},
    "io_uring-polled": {"ioengine": "io_uring", "hipri": 1},
    "io_uring-polled-dsync": {"ioengine": "io_uring", "hipri": 1, "sync": "dsync"},
    "io_uring-polled-registered": {"ioengine": "io_uring", "hipri": 1, "fixedbufs": 1},
    "io_uring-polled-sqpoll": {"ioengine": "io_uring", "hipri": 1, "sqthread_poll": 1},
}

# fio maps the beginning of the file, whatever its offset is.
MAPPED: dict[str, Options] = {"mapped": {"ioengine": "mmap", "direct": 0, "bssplit": "4k/100"}}

BUFFERED: dict[str, Options] = {
    "buffered": {"ioengine": "psync", "direct": 0},
    "buffered-io_uring": {"ioengine": "io_uring", "direct": 0},
}

# In an area in which nothing can be read or written.
FAILING: dict[str, Options] = {
    "failing-psync": {"ioengine": "psync"},
    "failing-libaio": {"ioengine": "libaio"},
    "failing-io_uring": {"ioengine": "io_uring"},
    "failing-io_uring-polled": {"ioengine": "io_uring", "hipri": 1},
}

GLOBAL: Options = {
    "size": AREA,
    "direct": 1,
    "iodepth": 4,
    "time_based": 1,
    "thread": 1,
    "allow_file_create": 0,
    "exitall_on_error": 1,
    # There are more jobs than CPUs, and the disturbances shall not wait for them.
    "nice": 10,
}

VERIFIED: Options = {
    "rw": "randwrite",
    # The largest take several bios.
    "bssplit": "4k/80:64k/18:2m/2",
    "verify": "crc32c",
    # Writes and reads take turns.
    "verify_backlog": 16,
    "verify_fatal": 1,
    "verify_state_save": 0,
}

# Each error is a line in the kernel's log, more or less.
ONLY_EIO: Options = {
    "rw": "randrw",
    "rate_iops": 10,
    "ignore_error": f"{errno.EIO},{errno.EIO}",
}


class StressError(AssertionError):
    """What went wrong, a line each."""


# The load


@dataclass
class Target:
    """A diofs, and the fio that works on it."""

    device: Path
    data: Path
    work: Path
    buffered: bool
    jobs: dict[str, Options] = field(default_factory=dict)
    fio: subprocess.Popen[bytes] | None = None

    def offset(self, job: str) -> int:
        return list(self.jobs).index(job) * STRIDE

    def requests(self) -> int:
        return sum(lab.routes(self.device).values())

    def is_under_way(self) -> bool:
        """Does fio do I/O, or has it ended already?"""
        return self.requests() > 0 or self.fio.poll() is not None


def start(target: Target, seconds: float) -> None:
    common = GLOBAL | {"filename": target.data, "runtime": int(seconds)}
    sections = [section("global", common)]
    for name, options in target.jobs.items():
        sections.append(section(name, options | {"offset": target.offset(name)}))
    (target.work / "jobs.fio").write_text("\n".join(sections))
    with (target.work / "messages").open("wb") as messages:
        target.fio = subprocess.Popen(
            ["fio", "--output-format=json", "--output=result.json", "jobs.fio"],
            cwd=target.work,
            stdout=messages,
            stderr=messages,
        )


def section(name: str, options: Options) -> str:
    return "\n".join([f"[{name}]", *(f"{key}={value}" for key, value in options.items()), ""])


def finish(target: Target, early: bool) -> Iterator[str]:
    """Waits for fio, or ends it early. What it has to complain about, and we about it."""
    stopped = early and target.fio.poll() is None
    if stopped:
        target.fio.send_signal(signal.SIGINT)
    try:
        status = target.fio.wait(GRACE)
    except subprocess.TimeoutExpired:
        # It may not even be killed, if it waits for I/O.
        target.fio.kill()
        yield f"{target.device.name}: fio does not end"
        return
    if status and not stopped:
        yield f"{target.device.name}: fio: status {status}"
        yield (target.work / "messages").read_text().strip()
    for name, result in fio_results(target).items():
        for what in judge(name, result, early):
            yield f"{target.device.name}: {name}: {what}"


def fio_results(target: Target) -> dict[str, dict]:
    """What fio tells of each job; nothing if it did not like them."""
    result = target.work / "result.json"
    text = result.read_text() if result.exists() else ""
    jobs = lab.told(text)["jobs"] if "{" in text else []
    return {job["jobname"]: job for job in jobs}


def judge(name: str, job: dict, early: bool) -> Iterator[str]:
    # A job that shall fail goes on when it gets EIO, and ends with any other error.
    if job["error"] and (name not in FAILING or job["error"] != errno.EIO):
        yield f"error {job['error']} ({os.strerror(job['error'])})"
    if early:
        return
    if name in FAILING and job["total_err"] < 2:
        yield "has not met with errors"
    if name not in FAILING and not job["read"]["total_ios"]:
        yield "has not verified anything"


# Disturbances: each is a function that is called again and again, with a pause in between.


class Disturbance:
    """Calls STEP every PAUSE seconds, until it fails."""

    def __init__(self, name: str, pause: float, step: Callable[[], None]):
        self.name, self.pause, self.step = name, pause, step
        self.count = 0
        self.failure: Exception | None = None
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, name=name, daemon=True)

    def run(self) -> None:
        try:
            while not self.stopped.wait(self.pause):
                self.step()
                self.count += 1
        except Exception as failure:  # whatever it is, it is told at the end
            self.failure = failure

    def finish(self) -> Iterator[str]:
        self.stopped.set()
        if self.thread.ident:
            self.thread.join(GRACE)
        if self.thread.is_alive():
            yield f"{self.name}: does not end"
        if self.failure:
            yield f"{self.name}: {self.failure!r}"
        elif not self.count:
            yield f"{self.name}: did not happen"


def cpu_switches() -> list[Path]:
    """The files that put CPUs online, but for the first CPU's."""
    return sorted(Path("/sys/devices/system/cpu").glob("cpu[1-9]*/online"))


def switch_a_cpu() -> None:
    switch = random.choice(cpu_switches())
    lab.write(switch, 1 - int(lab.read(switch)))


def all_cpus_online() -> None:
    for switch in cpu_switches():
        lab.write(switch, 1)


def squeeze_memory() -> None:
    """Takes up to half of the memory that can be had, as far as SQUEEZE_TIME goes."""
    wanted = available_memory() * random.uniform(0.2, 0.5)
    deadline = time.monotonic() + SQUEEZE_TIME
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    pieces = []
    while len(pieces) * SQUEEZE_PIECE < wanted and time.monotonic() < deadline:
        pieces.append(mmap.mmap(-1, SQUEEZE_PIECE, flags=flags))


def available_memory() -> int:
    meminfo = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(meminfo["MemAvailable"].split()[0]) * 1024


def drop_caches() -> None:
    """Pages, other objects, or both."""
    lab.write(Path("/proc/sys/vm/drop_caches"), random.choice((1, 2, 3)))


def switch_tracing() -> None:
    enable = lab.TRACING / "events" / "rnull_dio" / "enable"
    lab.write(enable, int(lab.read(enable) == "0"))


def no_tracing() -> None:
    lab.write(lab.TRACING / "events" / "rnull_dio" / "enable", 0)


def sync_data(target: Target) -> None:
    with lab.opened(target.data) as fd:
        os.fsync(fd)


def fill_cache(target: Target) -> None:
    """Reads where direct I/O goes. What it finds is not known: it looks between two writes."""
    name = random.choice([name for name in target.jobs if name in DIRECT])
    with lab.opened(target.data, os.O_RDONLY) as fd:
        os.pread(fd, AREA, target.offset(name))


def change_policy(target: Target) -> None:
    policy = random.choice(("auto", "workqueue", "defer", "inline"))
    lab.run("mount", "-o", f"remount,completion={policy}", target.data.parent)


def disturbances(targets: list[Target], say: Callable[[str], None]) -> Iterator[Disturbance]:
    yield Disturbance("CPUs", 0.5, switch_a_cpu)
    yield Disturbance("memory", 1, squeeze_memory)
    yield Disturbance("caches", 5, drop_caches)
    yield Disturbance("tracing", 2, switch_tracing)
    for target in targets:

        def of(step: Callable[[Target], None], target: Target = target) -> Callable[[], None]:
            return lambda: step(target)

        yield Disturbance(f"fsync {target.device.name}", 0.5, of(sync_data))
        if target.buffered:
            yield Disturbance(f"cache {target.device.name}", 0.1, of(fill_cache))
        if takes_policies(target):
            yield Disturbance(f"policy {target.device.name}", 0.5, of(change_policy))
        else:
            say(f"{target.device.name}: no policies to change: it does not take completion=")


def takes_policies(target: Target) -> bool:
    options = "remount,completion=auto"
    return not lab.run("mount", "-o", options, target.data.parent, check=False).returncode


def takes_buffered(data: Path) -> bool:
    try:
        with lab.opened(data, os.O_RDONLY):
            return True
    except OSError:
        return False


# All of it


@contextlib.contextmanager
def all_targets(say: Callable[[str], None]) -> Iterator[list[Target]]:
    with contextlib.ExitStack() as stack:
        disk = lab.null_disk(
            "stressdisk",
            memory_backed=1,
            size=512,
            irqmode=2,
            submit_queues=os.cpu_count(),
            poll_queues=2,
            write_cache=1,
        )
        # Who remounts waits for those who drop all caches.
        stack.enter_context(patience(Path("/proc/sys/kernel/hung_task_timeout_secs")))
        targets = []
        for device in (lab.drive("scratch"), stack.enter_context(disk)):
            # A request that is polled for waits for fio, which is long in coming if CPUs are few.
            io_timeout = Path("/sys/block") / device.name / "queue" / "io_timeout"
            stack.enter_context(patience(io_timeout, 1000))
            data = stack.enter_context(lab.mounted(device))
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/run")))
            target = Target(device, data, work, takes_buffered(data))
            jobs = MAPPED | BUFFERED | DIRECT if target.buffered else DIRECT
            target.jobs |= {name: VERIFIED | options for name, options in jobs.items()}
            if not target.buffered:
                say(f"{device.name}: no buffered I/O: it cannot be opened without O_DIRECT")
            targets.append(target)
        add_failing(targets[-1])
        yield targets


@contextlib.contextmanager
def patience(timeout: Path, units: int = 1) -> Iterator[None]:
    """Has a timeout wait for GRACE, if it is one in so many units a second."""
    before = lab.read(timeout)
    lab.write(timeout, GRACE * units)
    yield
    lab.write(timeout, before)


def add_failing(target: Target) -> None:
    """Makes areas fail, each with a job that has to find out."""
    target.jobs |= {name: ONLY_EIO | options for name, options in FAILING.items()}
    badblocks = lab.CONFIGFS / target.device.name / "badblocks"
    for name in FAILING:
        first = (lab.DATA_START + target.offset(name)) // 512
        lab.write(badblocks, f"+{first}-{first + AREA // 512 - 1}")


def watch(
    seconds: float,
    targets: list[Target],
    running: list[Disturbance],
    say: Callable[[str], None],
) -> bool:
    """Tells how it goes. Returns whether the time is over, and not something else."""
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
    requests = ", ".join(f"{target.device.name} {target.requests()}" for target in targets)
    counts = ", ".join(f"{each.name} {each.count}" for each in running)
    return f"requests: {requests}; {counts}; {available_memory() >> 20} MiB left"


def run(seconds: float, say: Callable[[str], None] = print) -> None:
    """Has it all go on for SECONDS.

    Raises StressError if anything has failed, or has not ended.
    """
    failures: list[str] = []
    with all_targets(say) as targets:
        running = list(disturbances(targets, say))
        over = False
        try:
            for target in targets:
                start(target, seconds)
            lab.wait_for(lambda: all(target.is_under_way() for target in targets), GRACE)
            for disturbance in running:
                disturbance.thread.start()
            over = watch(seconds, targets, running, say)
        finally:
            for disturbance in running:
                failures += disturbance.finish()
            all_cpus_online()
            no_tracing()
            for target in targets:
                failures += finish(target, early=not over)
        if failures:
            raise StressError("\n".join(failures))
        for target in targets:
            say(f"{target.device.name}: requests by route: {lab.routes(target.device)}")
