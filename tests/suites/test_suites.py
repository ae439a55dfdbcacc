# SPDX-License-Identifier: GPL-2.0
"""Tests that liburing and fio come with: each has the same outcome on the module's things as on the
kernel's, on one kernel and in one boot."""

import contextlib

import pytest

from guest import aio, suites

# The places where a test runs, by the section that it is in
PLACES = {
    "file": ("disk", "xfs", "ext4", "diofs"),
    "disk": ("disk",),
    "directory": ("xfs", "ext4"),
}
CASES = [
    (suite, name, place)
    for suite in suites.SUITES
    for name, section in suites.listed(suite).items()
    for place in PLACES.get(section, ())
]

NOT_BUILT = "is not built, because it needs a C++ compiler or an address sanitizer"

# How often a test runs on both sides if its outcomes differ, because some depend on time
ROUNDS = 3


def aio_of(side: str) -> contextlib.AbstractContextManager[None]:
    """Has new contexts of Linux AIO belong to that side within the with statement."""
    return aio.taken_over() if side == "module" else contextlib.nullcontext()


@pytest.mark.parametrize("suite", suites.SUITES)
def test_every_test_is_listed(suite):
    """The list has all tests that the source has, and only those that are not built beside them."""
    listed, there = set(suites.listed(suite)), suites.names(suite)
    assert not there - listed
    assert {suites.not_run(suite)[name] for name in listed - there} <= {NOT_BUILT}


@pytest.mark.parametrize(("suite", "name", "place"), CASES)
def test_outcome(suite, name, place, places, record_property):
    """A test that other projects have written."""
    found: dict[str, list[str]] = {side: [] for side in places}
    outputs = []
    for _ in range(ROUNDS):
        for side, of_side in places.items():
            where = of_side[place]
            path = None if suites.listed(suite)[name] == "directory" else where.file
            with aio_of(side) if suite == "fio" else contextlib.nullcontext():
                outcome, output = suites.run(suites.command(suite, name, path), where.directory)
            found[side].append(outcome)
            outputs.append(f"{side}: {outcome}\n{output[-2000:]}")
        if found["module"] == found["kernel"]:
            break
    # The table has them, see conftest.py.
    record_property("test", f"{suite} {name} {place}")
    different = {side: ", ".join(dict.fromkeys(each)) for side, each in found.items()}
    record_property("outcomes", different)
    # The module may pass what the kernel does not.
    assert set(found["module"]) <= {"passed", *found["kernel"]}, "\n".join(outputs)
    if found["kernel"] != ["passed"]:
        print("\n".join(outputs))
