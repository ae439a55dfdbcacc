#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The main job, in the guest.

fio reads and writes files on diofs by every interface for direct I/O, first on an NVMe drive, then
on a null disk, and verifies all that it reads. Prints one table of the results. The exit status is
0 only if every job ran and verified.
"""

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from guest import counters, devices, filesystems, fio, kernel

WORK = Path("/run/rnull-dio")

FILE_SIZE = 16 << 20
IO_SIZE = "4M"

ISSUERS: dict[str, fio.Options] = {
    "psync": {"ioengine": "psync"},
    "libaio": {"ioengine": "libaio"},
    "io_uring": {"ioengine": "io_uring"},
    "io_uring polled": {"ioengine": "io_uring", "hipri": "1"},
}

# A job before all others, so that the first read finds data to verify
LAYOUT = "layout"

GLOBAL: fio.Options = fio.COMMON | {
    "size": FILE_SIZE,
    "bs": "4k",
    "direct": 1,
    "fallocate": "none",
    "verify": "crc32c",
    "verify_fatal": 1,
}


@dataclass
class Job:
    """One row of the table."""

    issuer: str
    rw: str
    depth: int
    iops: float = 0.0
    switches: float = 0.0
    ios: int = 0
    routes: dict[str, int] = field(default_factory=dict)
    verified: bool = False

    @property
    def name(self) -> str:
        return f"{self.issuer} {self.rw} QD{self.depth}"

    @property
    def slug(self) -> str:
        return self.name.replace(" ", "-")


def all_jobs() -> list[Job]:
    return [
        Job(issuer, rw, depth)
        for issuer in ISSUERS
        for depth in ((1,) if issuer == "psync" else (1, 16))
        for rw in ("randread", "randwrite")
    ]


# fio


def sections(jobs: list[Job], file: Path, routes: Path) -> Iterator[tuple[str, fio.Options]]:
    snapshot = snapshot_option(routes)
    yield "global", GLOBAL | {"filename": file}
    layout = {"ioengine": "psync", "rw": "write", "bs": "64k", "verify_interval": "4k"}
    yield LAYOUT, layout | {"do_verify": 0} | snapshot
    for job in jobs:
        options = {"stonewall": 1, "rw": job.rw, "iodepth": job.depth, "io_size": IO_SIZE}
        yield job.slug, options | ISSUERS[job.issuer] | snapshot


def snapshot_option(routes: Path) -> fio.Options:
    """Has fio leave the counters after a job in JOB.postrun.txt."""
    return {"exec_postrun": f"cat {routes}"} if routes.exists() else {}


def read_snapshot(name: str) -> dict[str, int]:
    path = WORK / f"{name}.postrun.txt"
    return counters.parse(path.read_text()) if path.exists() else {}


def run_fio(jobs: list[Job], file: Path, routes: Path) -> None:
    (WORK / "jobs.fio").write_text(fio.job_file(sections(jobs, file, routes)))
    output = WORK / "fio.json"
    output.unlink(missing_ok=True)
    command = ["fio", "--output-format=json", f"--output={output}", "jobs.fio"]
    subprocess.run(command, cwd=WORK, check=False)
    results = {job["jobname"]: job for job in fio.job_output(output.read_text())["jobs"]}
    before = read_snapshot(LAYOUT)
    for job in jobs:
        after = read_snapshot(job.slug)
        job.routes = {name: value - before.get(name, 0) for name, value in after.items()}
        before = after
        if job.slug in results:
            fill_in(job, results[job.slug])


def fill_in(job: Job, result: dict) -> None:
    measured = result["read" if job.rw == "randread" else "write"]
    job.iops = measured["iops"]
    job.ios = result["read"]["total_ios"] + result["write"]["total_ios"]
    job.switches = result["ctx"] / job.ios if job.ios else 0.0
    # Each write is verified by a read.
    job.verified = result["error"] == 0 and result["read"]["total_ios"] > 0


def run_target(filesystem: str, device: Path) -> list[Job]:
    jobs = all_jobs()
    with filesystems.filesystem(filesystem, device) as file:
        if not file.exists():
            file.touch()
            os.truncate(file, FILE_SIZE)
        run_fio(jobs, file, counters.diofs_directory(device) / "routes")
    return jobs


# The table


def print_table(tables: dict[str, list[Job]]) -> None:
    rows = [job for jobs in tables.values() for job in jobs]
    routes = [name for name in rows[0].routes if any(job.routes.get(name) for job in rows)]
    print(f"\n{platform.release()}, {os.cpu_count()} CPUs, emulated: compare rows, not machines")
    width = {name: max(len(name), 6) for name in routes}
    titles = "".join(f" {name:>{width[name]}}" for name in routes)
    print(f"{'job':<32} {'IOPS':>6} {'ctx/IO':>6}{titles} verify")
    for target, jobs in tables.items():
        print(f"{target}:")
        for job in jobs:
            counts = "".join(f" {job.routes.get(name, 0):>{width[name]}}" for name in routes)
            verdict = "ok" if job.verified else "FAILED"
            print(f"  {job.name:<30} {job.iops:>6.0f} {job.switches:>6.2f}{counts} {verdict}")


def run_all(filesystem: str) -> dict[str, list[Job]]:
    """Runs all jobs; returns them by the title of their part of the table."""
    device = devices.drive("nvme")
    tables = {f"{filesystem} on an NVMe drive": run_target(filesystem, device)}
    if filesystem == "diofs":
        attributes = {"size": 64, "memory_backed": 1, "irqmode": 2, "poll_queues": 1}
        with devices.null_disk(**attributes) as device:
            tables["diofs on a null disk"] = run_target(filesystem, device)
    return tables


def main() -> int:
    parser = argparse.ArgumentParser(description="main job")
    parser.add_argument("--filesystem", default="diofs", help="xfs or ext4, to compare with")
    filesystem = parser.parse_args().filesystem
    WORK.mkdir(exist_ok=True)
    if filesystem == "diofs":
        kernel.load_module()
    tables = run_all(filesystem)
    if filesystem == "diofs":
        kernel.unload_module()
    print_table(tables)
    return 0 if all(job.verified for jobs in tables.values() for job in jobs) else 1


if __name__ == "__main__":
    sys.exit(main())
