# SPDX-License-Identifier: GPL-2.0
"""Fixtures of the tests of Linux AIO: each runs with the kernel's own code and the module's."""

import contextlib
import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guest import aio, files, kernel, tasks
from guest.memory import address, aligned, pattern, protect
from guest.outcomes import Row, table

# How long requests of the slow disk take
DELAY = 0.4

# What the kernel does is tested on the stock kernel only.
SIDES = ["module"] if kernel.IS_DEBUG else ["kernel", "module"]

# Files with tests of programs, whose outcomes are printed as a table
TESTS_OF_PROGRAMS = {"test_harness", "test_fio", "test_qemu", "test_mariadb"}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """Ends what a failed test has left, before fixtures remove the disks that it uses. They would
    not, if this raised anything."""
    for child in tuple(tasks.children):
        with contextlib.suppress(OSError, AssertionError):
            child.kill()
            child.wait()
    for context in tuple(aio.alive):
        # In a thread, because it waits for requests, which may not end.
        tasks.Call(context.destroy).join(tasks.PATIENCE)


@pytest.fixture(params=SIDES, scope="module", autouse=True)
def side(request: pytest.FixtureRequest) -> Iterator[str]:
    """Whose AIO the contexts of a test belong to."""
    with aio.taken_over() if request.param == "module" else contextlib.nullcontext():
        yield request.param


@pytest.fixture
def context(side) -> Iterator[aio.Context]:  # noqa: ARG001
    with aio.Context(16) as made:
        yield made


@pytest.fixture
def disk(null_disk: Callable[..., Path]) -> Iterator[int]:
    """A null disk with a pattern, open for direct I/O."""
    path = null_disk(memory_backed=1, size=16, blocksize=512, irqmode=2)
    fd = os.open(path, os.O_RDWR | os.O_DIRECT)
    assert os.pwrite(fd, pattern(1 << 20), 0) == 1 << 20
    yield fd
    os.close(fd)


@pytest.fixture
def slow_disk(null_disk: Callable[..., Path]) -> Iterator[int]:
    """A null disk whose requests take DELAY seconds, open for direct I/O."""
    delay = {"completion_nsec": int(DELAY * 1e9)}
    path = null_disk("slowdisk", size=16, irqmode=2, hw_queue_depth=1024, **delay)
    fd = os.open(path, os.O_RDWR | os.O_DIRECT)
    yield fd
    os.close(fd)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    """A regular file with a pattern of 64 KiB, open for buffered I/O."""
    path = tmp_path / "file"
    path.write_bytes(pattern(1 << 16)[:])
    fd = os.open(path, os.O_RDWR)
    yield fd
    os.close(fd)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The ends of a pipe that does not block."""
    ends = os.pipe2(os.O_NONBLOCK)
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
def nowhere() -> Iterator[int]:
    """The address of memory that cannot be accessed, behind a page that can."""
    memory = aligned(2 * mmap.PAGESIZE)
    where = address(memory) + mmap.PAGESIZE
    protect(where, mmap.PAGESIZE, 0)
    yield where
    protect(where, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE)


@pytest.fixture
def max_nr() -> Iterator[Path]:
    """The file with the limit of all contexts together, which a test may change."""
    path = Path("/proc/sys/fs/aio-max-nr")
    before = files.read(path)
    yield path
    files.write(path, before)


def outcomes_of(reports: list[pytest.TestReport]) -> dict[str, Row]:
    """Returns what the tests of programs have reported: for each test, the outcome on each side. A
    test may have recorded one as a property."""
    found: dict[str, Row] = {}
    for report in reports:
        path, _, name = report.location
        if Path(path).stem in TESTS_OF_PROGRAMS and (report.when == "call" or report.failed):
            test, _, parameters = name.removesuffix("]").removeprefix("test_").partition("[")
            side, _, variant = parameters.partition("-")
            row = found.setdefault(f"{test.replace('_', ' ')} {variant}", {})
            row[side] = dict(report.user_properties).get("outcome", report.outcome)
    return found


def pytest_terminal_summary(terminalreporter) -> None:
    """Prints the outcomes of the tests of programs, the sides beside each other."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    if not (outcomes := outcomes_of(reports)):
        return
    terminalreporter.section("programs that use Linux AIO")
    for line in table(outcomes, SIDES):
        terminalreporter.line(line)
