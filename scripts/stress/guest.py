#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""guest.py MINUTES: the stress test, as it runs in the guest; what it does is in tests/stress.py.

Everything has to be gone when it is over: mounts, disks, pins on pages, the module, its memory.
"""

import sys
import time
from pathlib import Path

import lab
import stress

KMEMLEAK = Path("/sys/kernel/debug/kmemleak")

# How old an object has to be before kmemleak speaks of it, in seconds.
AGE = 6


def say(text: str) -> None:
    print(text, flush=True)


def leaks() -> str:
    """What kmemleak has found; an object has to be seen in two scans."""
    time.sleep(AGE)
    lab.write(KMEMLEAK, "scan")
    lab.write(KMEMLEAK, "scan")
    return KMEMLEAK.read_text()


def main() -> int:
    lab.write(KMEMLEAK, "clear")
    pins = lab.pins()
    lab.run("insmod", lab.MODULE)
    try:
        stress.run(float(sys.argv[1]) * 60, say)
    except stress.StressError as failure:
        say(str(failure))
        return 1
    lab.wait_for(lambda: lab.pins() == pins)
    # What the module still points to is found only when it is gone; who has allocated it, before.
    found = leaks()
    lab.run("rmmod", "rnull_dio")
    found += leaks()
    say(found or "no pages pinned, no memory leaked")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
