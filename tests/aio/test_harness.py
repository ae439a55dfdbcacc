# SPDX-License-Identifier: GPL-2.0
"""The programs that libaio is tested with (harness/ in its source): each must have the same outcome
with the kernel's own code and the module's. conftest.py prints a table of them."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest import devices, files, filesystems, system

HARNESS = Path("/build/samples/harness")
# The programs, by their numbers; these take many times as long as the others.
LONG = [14, 18]
CASES = [
    *(case for case in range(2, 24) if case not in (9, *LONG)),
    *(pytest.param(case, marks=pytest.mark.long) for case in LONG),
]

# Files that the programs expect, with their modes
EXPECTED_FILES = {"rofile": 0o400, "wofile": 0o200, "rwfile": 0o600}

# Exit statuses, see harness/main.c
OUTCOMES = {0: "passed", 3: "skipped"}

SECONDS = 300


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    """A directory with what the programs need: an ext4 file system, one with ext2's format, and one
    that is full after 64 KiB."""
    disk = {"memory_backed": 1, "blocksize": 512, "irqmode": 2}
    with contextlib.ExitStack() as stack:
        main = stack.enter_context(devices.null_disk("harness", size=128, **disk))
        where = stack.enter_context(filesystems.mainline("ext4", main))
        testdir = where / "testdir"
        testdir.mkdir()
        for name, mode in EXPECTED_FILES.items():
            (testdir / name).write_text("test\n")
            (testdir / name).chmod(mode)
        large = stack.enter_context(devices.null_disk("harness-ext2", size=16, **disk))
        system.run("mke2fs", "-q", "-F", "-b", "4096", large)
        (where / "testdir.ext2").symlink_to(stack.enter_context(filesystems.mounted("ext4", large)))
        small = stack.enter_context(devices.null_disk("harness-full", size=1, **disk))
        with files.buffered(small) as fd:
            image = (HARNESS / "ext2-enospc.img").read_bytes()
            assert os.pwrite(fd, image, 0) == len(image)
        (where / "testdir.enospc").symlink_to(
            stack.enter_context(filesystems.mounted("ext4", small))
        )
        yield where


@pytest.fixture(scope="session")
def outcomes() -> dict[tuple[int, str], str]:
    """The outcomes by the number of the program and by the side."""
    return {}


@pytest.mark.parametrize("case", CASES)
def test_programs_of_libaio(case, side, scratch, outcomes, max_nr, record_property):
    # Case 20 makes as many contexts as that.
    files.write(max_nr, 4096)
    program = HARNESS / "cases" / f"{case}.p"
    result = subprocess.run(
        [program], check=False, cwd=scratch, capture_output=True, text=True, timeout=SECONDS
    )
    outcome = OUTCOMES.get(result.returncode, f"failed: {result.returncode}")
    outcomes[case, side] = outcome
    record_property("outcome", outcome)
    assert outcome == outcomes.get((case, "kernel"), "passed"), result.stdout + result.stderr
    assert result.returncode in OUTCOMES, result.stdout + result.stderr
