# SPDX-License-Identifier: GPL-2.0
"""Jobs of fio, one after another, with the kernel's counters after each."""

import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from guest import fio

WORK = Path("/run/rnull-dio")

FILE_SIZE = 4 << 20
# How many requests a job measures, and one that waits for each request before the next
COUNT = 512
COUNT_QD1 = 256

ISSUERS: dict[str, fio.Options] = {
    "psync": {"ioengine": "psync"},
    "libaio": {"ioengine": "libaio"},
    "io_uring": {"ioengine": "io_uring"},
    "io_uring polled": {"ioengine": "io_uring", "hipri": "1"},
}

# Issuers and depths of jobs
KINDS = (
    ("psync", 1),
    ("libaio", 16),
    ("io_uring", 16),
    ("io_uring polled", 1),
    ("io_uring polled", 16),
)

# A job before all others, so that the first read finds data to verify
LAYOUT = "layout"

GLOBAL: fio.Options = fio.COMMON | {
    "size": FILE_SIZE,
    "direct": 1,
    "fallocate": "none",
    "verify": "crc32c",
    "verify_fatal": 1,
    "verify_interval": "4k",
}

# A line of a file with counters, of the module or of a trace buffer
COUNTER = re.compile(r"^ *([\w ]+): *(\d+)$", re.MULTILINE)


@dataclass
class Job:
    """A job, and its results once it has run."""

    issuer: str
    rw: str
    depth: int
    # Bytes of a request
    size: int = 4096
    # What is written to, or where, if it is not a file of mapped blocks without cached pages
    what: str = ""
    options: fio.Options = field(default_factory=dict)
    iops: float = 0.0
    switches: float = 0.0
    # How many requests are measured; the reads that verify writes are counted in `ios` only.
    measured: int = 0
    ios: int = 0
    # By how much each counter has grown
    counters: Counter[str] = field(default_factory=Counter)
    verified: bool = False

    @property
    def slug(self) -> str:
        words = f"{self.issuer} {self.rw} {self.depth} {self.what}"
        return words.strip().replace(" ", "-")


def run(jobs: list[Job], file: Path, counters: Iterable[Path]) -> None:
    """Runs jobs on a file, which is written first, and reads these files after each."""
    WORK.mkdir(exist_ok=True)
    # fio leaves the output in JOB.postrun.txt.
    snapshot = {"exec_postrun": " ".join(["cat", *map(str, counters)])}
    (WORK / "jobs.fio").write_text(fio.job_file(sections(jobs, file, snapshot)))
    output = WORK / "fio.json"
    output.unlink(missing_ok=True)
    command = ["fio", "--output-format=json", f"--output={output}", "jobs.fio"]
    subprocess.run(command, cwd=WORK, check=False)
    results = {job["jobname"]: job for job in fio.job_output(output.read_text())["jobs"]}
    before = read_snapshot(LAYOUT)
    for job in jobs:
        after = read_snapshot(job.slug)
        job.counters = after.copy()
        job.counters.subtract(before)
        before = after
        if job.slug in results:
            fill_in(job, results[job.slug])


def sections(
    jobs: list[Job], file: Path, snapshot: fio.Options
) -> Iterator[tuple[str, fio.Options]]:
    yield "global", GLOBAL
    # A file name in the global section would be one more file of each job that has its own.
    layout = {"filename": file, "ioengine": "psync", "rw": "write", "bs": "64k", "do_verify": 0}
    yield LAYOUT, layout | snapshot
    for job in jobs:
        options = {
            "stonewall": 1,
            "filename": file,
            "rw": job.rw,
            "iodepth": job.depth,
            "bs": job.size,
            "io_size": (COUNT if job.depth > 1 else COUNT_QD1) * job.size,
        }
        yield job.slug, options | ISSUERS[job.issuer] | job.options | snapshot


def read_snapshot(name: str) -> Counter[str]:
    """Returns the sums of the counters after a job; files may have counters of the same name."""
    path = WORK / f"{name}.postrun.txt"
    found: Counter[str] = Counter()
    if path.exists():
        for counter, value in COUNTER.findall(path.read_text()):
            found[counter] += int(value)
        path.unlink()
    return found


def fill_in(job: Job, result: dict) -> None:
    measured = result["read" if job.rw == "randread" else "write"]
    job.iops = measured["iops"]
    job.measured = measured["total_ios"]
    job.ios = result["read"]["total_ios"] + result["write"]["total_ios"]
    job.switches = result["ctx"] / job.ios if job.ios else 0.0
    # Each write is verified by a read.
    job.verified = result["error"] == 0 and result["read"]["total_ios"] > 0
