# SPDX-License-Identifier: GPL-2.0
"""Programs of which scripts/lab/host/programs.sh has unpacked the packages."""

import os
import subprocess
from pathlib import Path

from guest import system

PROGRAMS = system.SAMPLES / "programs"
USR = PROGRAMS / "usr"
ENVIRONMENT = os.environ | {"LD_LIBRARY_PATH": str(USR / "lib/x86_64-linux-gnu")}

# What a server may take to start, under emulation
PATIENCE = 300


def start(program: Path, *words: object, **more: object) -> subprocess.Popen[str]:
    command = [str(program), *map(str, words)]
    return subprocess.Popen(command, env=ENVIRONMENT, text=True, **more)


def run(program: Path, *words: object, **more: object) -> str:
    """Runs a program to its end; returns its output, and raises AssertionError if it fails."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with start(program, *words, **(pipes | more)) as process:
        output, _ = process.communicate()
    assert process.returncode == 0, f"{program.name} {words}: {process.returncode}\n{output}"
    return output
