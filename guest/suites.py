# SPDX-License-Identifier: GPL-2.0
"""The tests of liburing and fio, which scripts/lab/host/suites.sh has built: their lists, and how
they are run."""

import configparser
import functools
import os
import shutil
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from guest import system

BUILT = system.SAMPLES / "suites"
LISTS = system.SOURCE / "tests/suites"
SUITES = ("liburing", "fio")
NOT_RUN = "not run: "

# Under emulation
SECONDS = 600

# Exit statuses of the tests
OUTCOMES = {0: "passed", 77: "skipped"}

# The programs of fio that take a file, and their options
TOOLS = {
    "io_uring": ("io_uring", "-r2", "-p0"),
    "io_uring-aio": ("io_uring", "-r2", "-p0", "-a1"),
    "io_uring-polled": ("io_uring", "-r2", "-p1"),
    "io_uring-sync": ("io_uring", "-r2", "-p0", "-S1"),
    "dedupe": ("fio-dedupe", "-o1", "-p0"),
}


@functools.cache
def listed(suite: str) -> dict[str, str]:
    """Returns the section of each test in the list of the suite."""
    parser = configparser.ConfigParser(allow_no_value=True, delimiters="=")
    parser.read(LISTS / f"{suite}.ini")
    return {
        name: section
        for section in parser.sections()
        for names in parser[section]
        for name in names.split()
    }


def not_run(suite: str) -> dict[str, str]:
    """Returns the tests that are not run, with the reasons."""
    return {
        name: section.removeprefix(NOT_RUN)
        for name, section in listed(suite).items()
        if section.startswith(NOT_RUN)
    }


@functools.cache
def numbers() -> dict[str, int]:
    """Returns the tests that run-fio-tests.py runs by a number: jobs, and programs."""
    sys.path.append(str(BUILT / "fio/t"))
    try:
        tests = import_module("run-fio-tests").TEST_LIST
    finally:
        sys.path.pop()
    return {Path(test.get("job") or test["exe"]).stem: test["test_id"] for test in tests}


def names(suite: str) -> set[str]:
    """Returns the names of all tests that the source of the suite has."""
    if suite == "liburing":
        return {path.stem for path in (BUILT / suite).glob("*.t")}
    programs = (BUILT / suite / "t").glob("*.[cp]*")
    return {path.stem for path in programs} | set(numbers()) | set(TOOLS)


def command(suite: str, name: str, path: Path | None) -> list[str]:
    """Returns the command line of a test, for a file or for files in the current directory."""
    if suite == "liburing":
        return [f"{BUILT}/liburing/{name}.t", *([str(path)] if path else [])]
    fio = BUILT / "fio"
    if name in TOOLS:
        program, *options = TOOLS[name]
        return [f"{fio}/t/{program}", *options, str(path)]
    options = f"-r {fio} -f {fio}/fio -a artefacts --skip-req -o {numbers()[name]}".split()
    return ["python3", f"{fio}/t/run-fio-tests.py", *options]


def run(words: list[str], directory: Path) -> tuple[str, str]:
    """Runs a test in a new directory in DIRECTORY, which is /tmp as well, because some tests make
    files there. Returns its outcome and output."""
    where = directory / "run"
    where.mkdir(parents=True)
    inside = ["unshare", "--mount", "sh", "-c", 'mount --bind . /tmp && exec "$@"', "sh", *words]
    output = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = subprocess.Popen(
        inside, cwd=where, text=True, errors="replace", start_new_session=True, **output
    )
    try:
        text, _ = process.communicate(timeout=SECONDS)
        status = process.returncode
        outcome = OUTCOMES.get(status, f"failed: {status}")
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        text, outcome = process.communicate()[0], "timed out"
    shutil.rmtree(where)
    return outcome, text
