#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The main job, as it runs in the guest.

Files on diofs are read and written by fio, in every way that there is to issue direct I/O, first on
an NVMe drive, then on a null disk of ours. Everything that is read is verified. One table tells
the result; the exit status is 0 only if all of it ran and verified.
"""

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

MODULE = Path("/build/rnull_dio.ko")
CONFIGFS = Path("/sys/kernel/config/rnull_dio")
DEBUGFS = Path("/sys/kernel/debug/rnull_dio")
MOUNT = Path("/mnt")
WORK = Path("/run/rnull-dio")

FILE_SIZE = "16M"
IO_SIZE = "4M"

ISSUERS = {
    "psync": {"ioengine": "psync"},
    "libaio": {"ioengine": "libaio"},
    "io_uring": {"ioengine": "io_uring"},
    "io_uring polled": {"ioengine": "io_uring", "hipri": "1"},
}

# Written to the file before all else, so that the first read finds something to verify.
LAYOUT = "layout"


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


def run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)


# Counters


def routes_file(device: str) -> Path | None:
    """The module's counters for the diofs on DEVICE: "name: value" lines."""
    path = DEBUGFS / "diofs" / device / "routes"
    return path if path.exists() else None


def parse_routes(text: str) -> dict[str, int]:
    pairs = (line.split(":") for line in text.splitlines() if ":" in line)
    return {name.strip(): int(value) for name, value in pairs}


def since(now: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    return {name: value - before.get(name, 0) for name, value in now.items()}


# fio


def section(name: str, options: dict[str, object]) -> str:
    lines = [f"[{name}]", *(f"{key}={value}" for key, value in options.items())]
    return "\n".join(lines) + "\n"


def fio_sections(jobs: list[Job], file: Path, counters: Path | None) -> Iterator[str]:
    yield section(
        "global",
        {
            "filename": file,
            "size": FILE_SIZE,
            "bs": "4k",
            "direct": 1,
            "fallocate": "none",
            "allow_file_create": 0,
            "verify": "crc32c",
            "verify_state_save": 0,
            "verify_fatal": 1,
            "thread": 1,
        },
    )
    layout = {"ioengine": "psync", "rw": "write", "bs": "64k", "verify_interval": "4k"}
    yield section(LAYOUT, layout | {"do_verify": 0} | snapshot(counters))
    for job in jobs:
        options = {"stonewall": 1, "rw": job.rw, "iodepth": job.depth, "io_size": IO_SIZE}
        yield section(job.slug, options | ISSUERS[job.issuer] | snapshot(counters))


def snapshot(counters: Path | None) -> dict[str, object]:
    """Makes fio keep the counters as they are after a job, in JOB.postrun.txt."""
    return {"exec_postrun": f"cat {counters}"} if counters else {}


def run_fio(jobs: list[Job], file: Path, counters: Path | None) -> None:
    (WORK / "jobs.fio").write_text("\n".join(fio_sections(jobs, file, counters)))
    output = WORK / "fio.json"
    output.unlink(missing_ok=True)
    command = ["fio", "--output-format=json", f"--output={output}", "jobs.fio"]
    subprocess.run(command, cwd=WORK, check=False)
    text = output.read_text()
    results = {job["jobname"]: job for job in json.loads(text[text.index("{") :])["jobs"]}
    before = read_snapshot(LAYOUT)
    for job in jobs:
        after = read_snapshot(job.slug)
        job.routes = since(after, before)
        before = after
        if job.slug in results:
            fill_in(job, results[job.slug])


def read_snapshot(name: str) -> dict[str, int]:
    path = WORK / f"{name}.postrun.txt"
    return parse_routes(path.read_text()) if path.exists() else {}


def fill_in(job: Job, result: dict) -> None:
    measured = result["read" if job.rw == "randread" else "write"]
    job.iops = measured["iops"]
    job.ios = result["read"]["total_ios"] + result["write"]["total_ios"]
    job.switches = result["ctx"] / job.ios if job.ios else 0.0
    # A write is verified by reading it again, so there are as many reads.
    job.verified = result["error"] == 0 and result["read"]["total_ios"] > 0


# Devices and file systems


def drive(serial: str) -> Path:
    for path in Path("/sys/block").glob("nvme*/device/serial"):
        if path.read_text().strip() == serial:
            return Path("/dev") / path.parents[1].name
    raise SystemExit(f"no NVMe drive with serial {serial}")


@contextlib.contextmanager
def null_disk(name: str) -> Iterator[Path]:
    """A null disk of ours that keeps its data in memory and completes by a timer."""
    directory = CONFIGFS / name
    directory.mkdir()
    attributes = {"size": 64, "memory_backed": 1, "irqmode": 2, "poll_queues": 1, "power": 1}
    for attribute, value in attributes.items():
        (directory / attribute).write_text(f"{value}\n")
    try:
        yield Path("/dev") / name
    finally:
        (directory / "power").write_text("0\n")
        directory.rmdir()


@contextlib.contextmanager
def mounted(filesystem: str, device: Path) -> Iterator[Path]:
    """A file on a new file system on DEVICE."""
    if filesystem == "diofs":
        run("/src/scripts/mkfs.diofs", device)
    else:
        run(f"mkfs.{filesystem}", "-q", device)
    run("mount", "-t", filesystem, device, MOUNT)
    try:
        file = MOUNT / "data"
        if filesystem != "diofs":
            file.touch()
            os.truncate(file, 16 << 20)
        yield file
    finally:
        run("umount", MOUNT)


def run_target(filesystem: str, device: Path) -> list[Job]:
    jobs = all_jobs()
    with mounted(filesystem, device) as file:
        run_fio(jobs, file, routes_file(device.name))
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


def main() -> int:
    parser = argparse.ArgumentParser(description="main job")
    parser.add_argument("--filesystem", default="diofs", help="another one to compare with")
    filesystem = parser.parse_args().filesystem
    WORK.mkdir(exist_ok=True)
    tables = {}
    if filesystem == "diofs":
        run("insmod", MODULE)
    device = drive("nvme")
    tables[f"{filesystem} on an NVMe drive"] = run_target(filesystem, device)
    if filesystem == "diofs":
        with null_disk("nulldisk") as device:
            tables["diofs on a null disk"] = run_target(filesystem, device)
        run("rmmod", "rnull_dio")
    print_table(tables)
    return 0 if all(job.verified for jobs in tables.values() for job in jobs) else 1


if __name__ == "__main__":
    sys.exit(main())
