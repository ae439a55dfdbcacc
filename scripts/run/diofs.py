# SPDX-License-Identifier: GPL-2.0
"""The table of diofs: jobs by every issuer, and who completed the requests."""

from collections.abc import Iterable, Iterator
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


def routes_of(table: Table) -> list[str]:
    """Returns the names of the contexts in which requests of any job were completed."""
    rows = [job for done in table.values() for job in done]
    return [name for name in counters.ROUTES if any(job.counters[name] for job in rows)]


def cells(job: Job, routes: list[str]) -> list[str]:
    name = f"{job.issuer} {job.rw} QD{job.depth}"
    counts = [str(job.counters[route]) for route in routes]
    verdict = "ok" if job.verified else "FAILED"
    return [name, f"{job.iops:.0f}", f"{job.switches:.2f}", *counts, verdict]


def tables(table: Table) -> Iterator[dict]:
    """Gives a table for each target, for the page."""
    routes = routes_of(table)
    header = ["job", "IOPS module", "ctx/IO module", *routes, "verify"]
    for title, done in table.items():
        yield {"title": title, "header": header, "rows": [cells(job, routes) for job in done]}


def show(table: Table) -> None:
    routes = routes_of(table)
    width = {name: max(len(name), 6) for name in routes}
    titles = "".join(f" {name:>{width[name]}}" for name in routes)
    print(f"{'job':<32} {'IOPS':>6} {'ctx/IO':>6}{titles} verify")
    for target, done in table.items():
        print(f"{target}:")
        for job in done:
            name, iops, switches, *figures, verdict = cells(job, routes)
            counts = "".join(
                f" {count:>{width[route]}}" for route, count in zip(routes, figures, strict=True)
            )
            print(f"  {name:<30} {iops:>6} {switches:>6}{counts} {verdict}")


def is_good(table: Table) -> bool:
    return all(job.verified for done in table.values() for job in done)
