#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""summary.py DIRECTORY: adds up the results of test.sh.

kunit.json is from KUnit, *.xml are from pytest, and each line of "problems" is one more failure.
Prints the tests that failed or were skipped, and "N passed, N failed" at the end.
"""

import json
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
KUNIT_STATES = {"PASS": PASSED, "SKIP": SKIPPED}

Case = tuple[str, str]


def kunit_cases(group: dict, path: str = "kunit") -> Iterator[Case]:
    for case in group.get("test_cases", []):
        yield f"{path}.{case['name']}", KUNIT_STATES.get(case["status"], FAILED)
    for sub_group in group.get("sub_groups", []):
        yield from kunit_cases(sub_group, f"{path}.{sub_group['name']}")


def pytest_cases(path: Path) -> Iterator[Case]:
    for case in ET.parse(path).iter("testcase"):
        name = f"{path.stem}.{case.get('classname')}.{case.get('name')}"
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            yield name, FAILED
        else:
            yield name, SKIPPED if "skipped" in kinds else PASSED


def all_cases(directory: Path) -> Iterator[Case]:
    kunit = directory / "kunit.json"
    if kunit.exists():
        yield from kunit_cases(json.loads(kunit.read_text()))
    for path in sorted(directory.glob("*.xml")):
        yield from pytest_cases(path)
    for line in (directory / "problems").read_text().splitlines():
        yield line, FAILED


def main() -> int:
    cases = list(all_cases(Path(sys.argv[1])))
    for state in (SKIPPED, FAILED):
        for name in (name for name, its_state in cases if its_state == state):
            print(f"{state}: {name}")
    count = {state: sum(1 for _, its in cases if its == state) for state in (PASSED, FAILED)}
    print(f"{count[PASSED]} passed, {count[FAILED]} failed")
    return 1 if count[FAILED] or not count[PASSED] else 0


if __name__ == "__main__":
    sys.exit(main())
