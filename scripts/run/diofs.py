# SPDX-License-Identifier: GPL-2.0
"""The table of diofs: jobs by every issuer, and who completed the requests."""

from collections.abc import Iterable
from pathlib import Path

import jobs
from jobs import Job

from guest import counters, devices, filesystems

NULL_DISK = {"size": 64, "memory_backed": 1, "irqmode": 2, "poll_queues": 1}

# Jobs by their targets
Table = dict[str, list[Job]]


def run_target(device: Path, kinds: Iterable[tuple[str, int]]) -> list[Job]:
    todo = [Job(issuer, rw, depth) for issuer, depth in kinds for rw in ("randread", "randwrite")]
    with filesystems.diofs(device) as file:
        jobs.run(todo, file, [counters.diofs_directory(device) / "routes"])
    return todo


def run_all() -> Table:
    table = {"diofs on the NVMe drive": run_target(devices.drive("nvme"), jobs.KINDS)}
    with devices.null_disk(**NULL_DISK) as device:
        deep = [(issuer, depth) for issuer, depth in jobs.KINDS if depth > 1]
        table["diofs on a null disk"] = run_target(device, deep)
    return table


def show(table: Table) -> None:
    rows = [job for done in table.values() for job in done]
    routes = [name for name in counters.ROUTES if any(job.counters[name] for job in rows)]
    width = {name: max(len(name), 6) for name in routes}
    titles = "".join(f" {name:>{width[name]}}" for name in routes)
    print(f"{'job':<32} {'IOPS':>6} {'ctx/IO':>6}{titles} verify")
    for target, done in table.items():
        print(f"{target}:")
        for job in done:
            name = f"{job.issuer} {job.rw} QD{job.depth}"
            counts = "".join(f" {job.counters[route]:>{width[route]}}" for route in routes)
            verdict = "ok" if job.verified else "FAILED"
            print(f"  {name:<30} {job.iops:>6.0f} {job.switches:>6.2f}{counts} {verdict}")


def is_good(table: Table) -> bool:
    return all(job.verified for done in table.values() for job in done)
