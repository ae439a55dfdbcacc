#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""main.py MINUTES: runs the stress test, tests/stress/, in the guest.

Afterwards, mounts and disks must be gone, no page may be pinned, the module must unload, and
kmemleak must find nothing.
"""

import sys

from guest import kernel, memory, system
from tests.stress import aio_load, stress

# Which file systems are tested at the same time. All of them would leave a job too little time.
GROUPS = (("diofs", "raw"), ("xfs", "ext4"))

# The parts of a run: a group, and the side that the contexts of fio's jobs are of
PARTS = [(kinds, side) for kinds in GROUPS for side in aio_load.SIDES]


def say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    kernel.forget_leaks()
    pins = memory.pins()
    kernel.load_module()
    try:
        for kinds, side in PARTS:
            say(f"{', '.join(kinds)}; fio's contexts of AIO are of the {side}")
            stress.run(kinds, side, float(sys.argv[1]) * 60 / len(PARTS), say)
    except stress.StressError as failure:
        say(str(failure))
        return 1
    system.wait_for(lambda: memory.pins() == pins)
    # Memory that only the module points to is a leak once the module is gone, but the report names
    # functions of the module only while it is loaded.
    found = kernel.leaks()
    kernel.unload_module()
    found += kernel.leaks()
    say(found or "no pages pinned, no memory leaked")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
