#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""main.py write|check: runs in a guest.

"write" writes to attached file systems until QEMU is stopped, at once and without a warning.
"check", in another guest, checks what is on the drives.
"""

import contextlib
import json
import sys
import time
from pathlib import Path

from guest import devices, durable, filesystems, kernel, live, system
from guest.issuers import ISSUERS

KINDS = ("xfs", "ext4")
# What the host keeps
REPORT = Path("/results/acknowledged")

WRITES = 2000

# The writes that were begun after the report are not known.
ANY = 1 << 62


def drive(kind: str) -> Path:
    return devices.drive(f"cut-{kind}")


def write() -> None:
    kernel.load_module()
    with contextlib.ExitStack() as stack:
        writers = {}
        for kind in KINDS:
            durable.fill_with_stale_data(drive(kind))
            mount = stack.enter_context(filesystems.mainline(kind, drive(kind)))
            stack.enter_context(live.attached(mount, name=kind))
            writers[kind] = durable.of_every_kind(mount, *ISSUERS)
            stack.enter_context(durable.writing(writers[kind]))
        system.wait_for(lambda: min(map(durable.writes, writers.values())) > WRITES, 120)
        REPORT.write_text(json.dumps({kind: durable.acknowledged(writers[kind]) for kind in KINDS}))
        with contextlib.suppress(AssertionError):
            devices.monitor("quit")
        time.sleep(60)


def check() -> None:
    report = json.loads(REPORT.read_text())
    assert report.keys() == set(KINDS)
    for kind, acknowledged in report.items():
        total = sum(map(sum, acknowledged.values()))
        assert total > WRITES
        anything = {name: [ANY] * durable.BLOCKS for name in acknowledged}
        durable.check(kind, drive(kind), acknowledged, anything)
        print(f"{kind}: all of {total} acknowledged writes are there")


if __name__ == "__main__":
    {"write": write, "check": check}[sys.argv[1]]()
