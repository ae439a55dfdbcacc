# SPDX-License-Identifier: GPL-2.0
"""The load of the stress test: fio jobs on a file, each with an area of the file of its own."""

import abc
import contextlib
import errno
import os
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from guest import files, fio
from guest.fio import Options
from tests.stress import aio_load
from tests.stress.disturbances import GRACE, Disturbance

RESULT = "result.json"

# The areas are adjacent, so that a large folio may hold blocks of two of them.
AREA = 4 << 20

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

# fio maps the beginning of the file, whatever the job's offset is.
MAPPED: dict[str, Options] = {"mapped": {"ioengine": "mmap", "direct": 0, "bssplit": "4k/100"}}

BUFFERED: dict[str, Options] = {
    "buffered": {"ioengine": "psync", "direct": 0},
    "buffered-io_uring": {"ioengine": "io_uring", "direct": 0},
}

# Jobs that read all areas, and do not verify what they read, as it changes
READERS: dict[str, Options] = {
    "mapped-reader": {"ioengine": "mmap", "direct": 0, "rw": "randread", "rate_iops": 10},
}

# Jobs in areas of bad blocks
FAILING: dict[str, Options] = {
    "failing-psync": {"ioengine": "psync"},
    "failing-libaio": {"ioengine": "libaio"},
    "failing-io_uring": {"ioengine": "io_uring"},
    "failing-io_uring-polled": {"ioengine": "io_uring", "hipri": 1},
}

GLOBAL: Options = fio.COMMON | {
    "size": AREA,
    "direct": 1,
    "iodepth": 4,
    # finish() ends the jobs.
    "time_based": 1,
    "runtime": 360000,
    "exitall_on_error": 1,
    # There are more jobs than CPUs; the disturbances have priority.
    "nice": 10,
}

VERIFIED: Options = {
    "rw": "randwrite",
    # The largest writes take several bios.
    "bssplit": "4k/80:64k/18:2m/2",
    "verify": "crc32c",
    # Writes and verifying reads take turns.
    "verify_backlog": 4,
    "verify_fatal": 1,
}

# The rate is limited because most errors are a line in the kernel's log.
ONLY_EIO: Options = {
    "rw": "randrw",
    "rate_iops": 10,
    "ignore_error": f"{errno.EIO},{errno.EIO}",
}


@dataclass
class Target(abc.ABC):
    """A file system, and the fio process that works on a file of it."""

    kind: str
    device: Path
    data: Path
    work: Path
    jobs: dict[str, Options] = field(default_factory=dict)
    readers: dict[str, Options] = field(default_factory=dict)
    fio: subprocess.Popen[bytes] | None = None
    # Jobs that have not read anything yet, or have not got errors from bad blocks
    idle: set[str] = field(default_factory=set)
    programs: aio_load.Programs = field(init=False)

    def __post_init__(self) -> None:
        self.programs = aio_load.Programs(self.name, self.work)

    @property
    def name(self) -> str:
        return f"{self.kind} on {self.device.name}"

    def without_result(self, every_job: bool) -> list[str]:
        """Returns the jobs that are idle; if not EVERY_JOB, only if no job has verified data."""
        verified = self.jobs.keys() - FAILING.keys() - self.idle
        if verified and not every_job:
            return []
        return [f"{self.name}: {job}" for job in self.idle]

    def offset(self, job: str) -> int:
        return list(self.jobs).index(job) * AREA

    def offset_of_programs(self) -> int:
        """Returns where the area of the programs that use AIO begins, which is the last one."""
        return len(self.jobs) * AREA

    def end(self) -> int:
        """Returns where the last area ends."""
        return self.offset_of_programs() + AREA

    @abc.abstractmethod
    def routes(self) -> dict[str, int]:
        """Returns how many requests took each route."""

    def requests(self) -> int:
        return sum(self.routes().values())

    def has_ended(self) -> bool:
        """Returns whether fio or the programs have ended, which they do by themselves only after a
        failure."""
        return self.fio.poll() is not None or self.programs.has_ended()

    def is_under_way(self) -> bool:
        """Returns whether fio does I/O and has its contexts of AIO, or has ended already."""
        return self.fio.poll() is not None or (self.requests() > 0 and self.has_contexts())

    def has_contexts(self) -> bool:
        """Returns whether fio has the contexts of all jobs that use AIO."""
        users = [job for job in self.jobs.values() if job["ioengine"] == "libaio"]
        return len(aio_load.sides_of(self.fio.pid)) == len(users)

    def report(self) -> str:
        return f"{self.name}: requests by route: {self.routes()}; {self.programs.report()}"

    def disturbance(self, name: str, pause: float, step: Callable[[], None]) -> Disturbance:
        return Disturbance(self.name, name, pause, step)

    def disturbances(self) -> Iterator[Disturbance]:
        yield self.disturbance("fsync", 0.5, self.sync_data)
        if self.jobs.keys() & BUFFERED:
            yield self.disturbance("cache", 0.1, self.fill_cache)

    def sync_data(self) -> None:
        with files.opened(self.data) as fd:
            os.fsync(fd)

    def fill_cache(self) -> None:
        """Reads the area of a direct job into the cache. The data is not checked, as it changes."""
        name = random.choice([name for name in self.jobs if name in DIRECT])
        with files.opened(self.data, os.O_RDONLY) as fd:
            os.pread(fd, AREA, self.offset(name))


def start(target: Target) -> None:
    common = GLOBAL | {"filename": target.data}
    jobs = {name: job | {"offset": target.offset(name)} for name, job in target.jobs.items()}
    readers = {name: job | {"size": target.end()} for name, job in target.readers.items()}
    text = fio.job_file([("global", common), *jobs.items(), *readers.items()])
    (target.work / "jobs.fio").write_text(text)
    (target.work / RESULT).unlink(missing_ok=True)
    with (target.work / "messages").open("wb") as messages:
        target.fio = subprocess.Popen(
            ["fio", "--output-format=json", f"--output={RESULT}", "jobs.fio"],
            cwd=target.work,
            stdout=messages,
            stderr=messages,
        )


def start_programs(target: Target) -> None:
    """Starts the programs that use AIO."""
    target.programs.start(target.data, target.offset_of_programs(), AREA)


def finish(target: Target) -> Iterator[str]:
    """Stops fio and the programs, unless they have ended. Gives a line for each failure."""
    yield from target.programs.finish()
    stopped = target.fio.poll() is None
    if stopped:
        # fio may hang if it is interrupted while it writes its status, so it is not asked for that.
        target.fio.send_signal(signal.SIGINT)
    try:
        status = target.fio.wait(GRACE)
    except subprocess.TimeoutExpired:
        yield f"{target.name}: fio does not end"
        yield from waiting_threads(target.fio.pid)
        # A task that waits for I/O in the kernel ignores this, too.
        target.fio.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            target.fio.wait(GRACE)
        return
    if not stopped:
        yield f"{target.name}: fio has ended: status {status}"
        yield (target.work / "messages").read_text().strip()
    for name, job in results(target).items():
        # A job on bad blocks continues after EIO, and ends with any other error.
        if job["error"] and (name not in FAILING or job["error"] != errno.EIO):
            yield f"{target.name}: {name}: error {job['error']} ({os.strerror(job['error'])})"
        if job["total_err"] > 1 if name in FAILING else job["read"]["total_ios"]:
            target.idle.discard(name)
    if not target.requests():
        yield f"{target.name}: no request was taken"


def waiting_threads(pid: int) -> Iterator[str]:
    """Gives a line for each thread of a process: the system call, and the kernel's stack."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # The thread has ended.
            name, call, stack = (files.read(task / what) for what in ("comm", "syscall", "stack"))
            yield f"  {name}: system call {call}\n    " + stack.replace("\n", "\n    ")


def results(target: Target) -> dict[str, dict]:
    """Returns fio's result of each job, by name; empty if it has written none."""
    output = target.work / RESULT
    text = output.read_text() if output.exists() else ""
    return {job["jobname"]: job for job in fio.job_output(text)["jobs"]} if "{" in text else {}
