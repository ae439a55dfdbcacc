# SPDX-License-Identifier: GPL-2.0
"""Several tasks at once write to the same files: they fill holes, convert unwritten blocks, and
make the files grow."""

import contextlib
import os
import threading
from pathlib import Path

import pytest

from guest import files, filesystems, live, uring
from guest.issuers import ISSUERS
from guest.memory import pattern

FILES = 4
UNITS = 64
DEPTH = 8


def prepare(paths: list[Path], blocks: str, length: int) -> None:
    for path in paths:
        with files.opened(path, os.O_RDWR | os.O_CREAT) as fd:
            if blocks == "unwritten":
                os.posix_fallocate(fd, 0, length)
            elif blocks == "holes":
                os.ftruncate(fd, length)


def write_share(paths: list[Path], unit: int, issuer: str, failures: list[str]) -> None:
    """Writes every fourth unit of all files, by one of the four issuers."""
    with contextlib.ExitStack() as stack:
        fds = [stack.enter_context(files.opened(path)) for path in paths]
        requests = stack.enter_context(ISSUERS[issuer]())
        in_flight = {}

        def reap() -> None:
            ((number, result),) = requests.completions(1)
            if result != len(in_flight.pop(number)):
                failures.append(f"{issuer}: {number}: {result}")

        for index in range(list(ISSUERS).index(issuer), UNITS, len(ISSUERS)):
            for place, fd in enumerate(fds):
                number = index * FILES + place
                memory = in_flight[number] = pattern(unit, number)
                requests.queue_file(uring.WRITE_FILE, fd, memory, index * unit, user_data=number)
                requests.submit()
                if len(in_flight) == DEPTH:
                    reap()
        while in_flight:
            reap()


def check(paths: list[Path], unit: int) -> None:
    for place, path in enumerate(paths):
        data = path.read_bytes()
        assert len(data) == UNITS * unit
        for index in range(UNITS):
            expected = pattern(unit, index * FILES + place)[:]
            assert data[index * unit : (index + 1) * unit] == expected, (path, index)


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
@pytest.mark.parametrize("unit", [4096, 1536])
@pytest.mark.parametrize("blocks", ["holes", "unwritten", "growth"])
def test_tasks_that_write_to_the_same_files(blocks, unit, kind, disk):
    """Units of 1536 bytes share blocks of the file system, whose other parts are zeroed."""
    with live.on_device(kind, disk) as mount:
        paths = [mount / f"data{number}" for number in range(FILES)]
        prepare(paths, blocks, UNITS * unit)
        failures: list[str] = []
        tasks = [
            threading.Thread(target=write_share, args=(paths, unit, issuer, failures))
            for issuer in ISSUERS
        ]
        for task in tasks:
            task.start()
        for task in tasks:
            task.join()
        assert failures == []
        check(paths, unit)
        assert live.passed() == {}
        assert sum(live.routes().values()) >= FILES * UNITS
    with filesystems.mounted(kind, disk):
        check(paths, unit)
