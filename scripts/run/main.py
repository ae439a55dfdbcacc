#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The main job, in the guest.

fio reads and writes files by every interface for direct I/O, and verifies all that it reads: on XFS
and ext4 on an NVMe drive, with mainline's engine and then with the module's, and on diofs on the
drive and on a null disk. Prints a table of each, and writes all to /results/tables.json. The exit
status is 0 only if every job ran and verified, and the module passed no request on to the kernel.
"""

import json
import os
import platform
import sys
from pathlib import Path

import diofs
import engines

from guest import kernel

TABLES = Path("/results/tables.json")


def main() -> int:
    kernel.load_module()
    beside, alone = engines.run_all(), diofs.run_all()
    kernel.unload_module()
    print(f"\n{platform.release()}, {os.cpu_count()} CPUs, emulated: compare rows, not machines\n")
    engines.show(beside)
    print()
    diofs.show(alone)
    TABLES.write_text(json.dumps([*engines.tables(beside), *diofs.tables(alone)]))
    return 0 if engines.is_good(beside) and diofs.is_good(alone) else 1


if __name__ == "__main__":
    sys.exit(main())
