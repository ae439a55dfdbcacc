# SPDX-License-Identifier: GPL-2.0
"""fio's tests of zoned disks: its script for null_blk, on that, and below tools/as-null-blk, which
has it make disks of the module. Each test has the same outcome on both."""

import re
import shutil
from pathlib import Path

import pytest

from guest import suites, system

AS_NULL_BLK = system.SOURCE / "tools/as-null-blk"
ZBD = suites.BUILT / "fio/t/zbd"
NUMBERS = re.findall(r"^test(\d+)\(\)", (ZBD / "test-zbd-support").read_text(), re.MULTILINE)

# That of the script in which zones cannot be filled, and some are conventional
SECTION = 5
SIDES = {"kernel": [], "module": [AS_NULL_BLK]}
SECONDS = 600


@pytest.fixture(scope="module")
def script(module: None, tmp_path_factory) -> Path:  # noqa: ARG001
    """A copy of the script, which writes logs beside itself, and of the fio that it runs."""
    copy = tmp_path_factory.mktemp("zbd") / "fio"
    shutil.copytree(suites.BUILT / "fio", copy)
    return copy / "t/zbd/run-tests-against-nullb"


def run(side: str, script: Path, number: str) -> tuple[str, str]:
    """Returns the outcome of a test, and the output."""
    words = ["timeout", SECONDS, *SIDES[side], script, "-s", SECTION, "-t", number]
    output = system.run(*words, check=False).stdout
    # The disk, and null_blk, would be left otherwise.
    system.run(*SIDES[side], script, "-r", check=False)
    system.run("modprobe", "--quiet", "--remove", "null_blk", check=False)
    outcome = re.search(r"^Running test \d+ \.\.\. ([A-Z]+)", output, re.MULTILINE)
    return outcome[1] if outcome else "none", output


@pytest.mark.parametrize("number", NUMBERS)
def test_outcome(number, script, record_property):
    found = {side: run(side, script, number) for side in SIDES}
    outcomes = {side: outcome for side, (outcome, _) in found.items()}
    # The table has them, see conftest.py.
    record_property("test", f"fio zbd {number}")
    record_property("outcomes", outcomes)
    assert outcomes["module"] == outcomes["kernel"] != "none", found
