# SPDX-License-Identifier: GPL-2.0
"""Devices that fail, and devices that go away, below attached file systems."""

import contextlib
import errno
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from guest import (
    counters,
    devices,
    fanotify,
    files,
    filesystems,
    fio,
    issuers,
    kernel,
    live,
    system,
    uring,
)
from guest.issuers import ISSUERS
from guest.memory import aligned, pattern

LENGTH = 1 << 20

# Where the bad sector of a file is
BAD = 8192

# Requests beside the bad sector, at it, and across it, as (offset, length)
REQUESTS = (0, 4096), (8192, 4096), (4096, 16384), (0, 262144), (32768, 4096)


def make_file(path: Path, blocks: str) -> None:
    with files.opened(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT) as fd:
        os.posix_fallocate(fd, 0, LENGTH)
        if blocks == "data":
            os.pwrite(fd, pattern(LENGTH), 0)
        os.fsync(fd)


@contextlib.contextmanager
def bad_sector(disk: Path, path: Path):
    """Makes a sector of a file bad for the time of the with statement."""
    position = filesystems.data_start(path) + BAD
    devices.set_bad(disk, position)
    try:
        yield
    finally:
        devices.set_good(disk, position)


def attempt(path: Path, issuer: str) -> list[object]:
    """Returns the result of each request, and what the file has at the end."""
    found: list[object] = []
    with files.opened(path) as fd, ISSUERS[issuer]() as requests:
        for offset, length in REQUESTS:
            back = aligned(length)
            result = issuers.run(requests, uring.READ_FILE, fd, back, offset)
            found += [result, back[: max(result, 0)]]
            memory = pattern(length, offset + 1)
            found.append(issuers.run(requests, uring.WRITE_FILE, fd, memory, offset))
    return found


def results(disk: Path, directory: Path, issuer: str) -> list[object]:
    """Returns the results for a file of data and for one of unwritten blocks, and what is in them
    afterwards."""
    directory.mkdir()
    found: list[object] = []
    for blocks in ("data", "unwritten"):
        path = directory / blocks
        make_file(path, blocks)
        with bad_sector(disk, path):
            found += attempt(path, issuer)
        # What failed has not been converted; what was written is there.
        with files.buffered(path) as fd:
            found += [os.pread(fd, 4096, at) for at in (0, 32768)]
            if blocks == "unwritten":
                found.append(os.pread(fd, LENGTH, 0))
    return found


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
@pytest.mark.parametrize("issuer", ISSUERS)
def test_a_bad_sector(issuer, kind, disk):
    """It fails the requests that touch it, with the same results as in mainline."""
    with filesystems.mainline(kind, disk) as mount:
        expected = results(disk, mount / "mainline", issuer)
        with live.attached(mount):
            found = results(disk, mount / "live", issuer)
        for one, other in zip(expected, found, strict=True):
            assert one == other
        # Unwritten blocks are not read from the device.
        assert expected.count(-errno.EIO) == 6 + 3
    live.check(kind, disk)


@pytest.mark.skipif(kernel.IS_DEBUG, reason="has no fanotify")
@pytest.mark.parametrize("kind", ["xfs", "ext4"])
@pytest.mark.parametrize("issuer", ISSUERS)
def test_errors_are_reported_to_fanotify(issuer, kind, disk):
    def reports(path: Path) -> list[object]:
        found: list[object] = []
        with (
            fanotify.watched(path.parent) as watch,
            files.opened(path) as fd,
            ISSUERS[issuer]() as requests,
        ):
            for offset, length in REQUESTS:
                for opcode in uring.READ_FILE, uring.WRITE_FILE:
                    memory = pattern(length)
                    result = issuers.run(requests, opcode, fd, memory, offset)
                    found.append(watch.next_reports(60 if result < 0 else 0.05))
        return found

    with filesystems.mainline(kind, disk) as mount:
        path = mount / "data"
        make_file(path, "data")
        with bad_sector(disk, path):
            expected = reports(path)
            with live.attached(mount):
                assert reports(path) == expected
        (number, count, handle) = expected[2][0]
        assert (number, count) == (errno.EIO, 1)
        assert len(handle) > 8
        assert [len(found) for found in expected] == [0, 0, 1, 1, 1, 1, 1, 1, 0, 0]
    live.check(kind, disk)


def load_of(
    mount: Path, issuer: fio.Options
) -> contextlib.AbstractContextManager[subprocess.Popen]:
    """Runs reads and writes of data, and writes of unwritten blocks."""
    fio.lay_out(mount / "data", 4 << 20)
    with files.opened(mount / "unwritten", os.O_RDWR | os.O_CREAT) as fd:
        os.posix_fallocate(fd, 0, 64 << 20)
    common = {"size": "4M", "time_based": 1, "runtime": 600}
    command = fio.command(mount / "data", rw="randrw", **common, **issuer)
    second = {"filename": mount / "unwritten", "size": "64M", "rw": "randwrite", "bs": "4k"}
    second |= {"direct": 1, "time_based": 1, "runtime": 600, **fio.COMMON, **issuer}
    return system.running(
        [*command, "--name=second", *fio.words(second)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def goes_away_under_load(kind: str, device: Path, issuer: str, go_away: Callable[[], None]) -> None:
    """Checks that all requests end when the device goes away, and that the file system can be
    detached and unmounted afterwards."""
    with (
        filesystems.mainline(kind, device) as mount,
        live.attached(mount),
        load_of(mount, live.LOADS[issuer]) as load,
    ):
        before = live.routes()
        system.wait_for(lambda: sum(counters.grown(live.routes(), before).values()) > 200)
        with files.opened(mount / "data") as fd:
            go_away()
            # fio exits at its first error, unless a request hangs.
            assert load.wait(timeout=120) != 0
            for request in (
                lambda: files.pread(fd, 16384, 0),
                lambda: os.pwritev(fd, [pattern(4096)], 0),
                lambda: os.pwritev(fd, [pattern(4 << 20)], 0),
            ):
                with pytest.raises(OSError, match=r"Input/output error|No such device"):
                    request()


@pytest.mark.parametrize(
    ("kind", "issuer"),
    [("xfs", "psync"), ("ext4", "libaio"), ("xfs", "io_uring"), ("ext4", "io_uring-polled")],
)
@pytest.mark.skipif(not devices.MAY_PULL_OUT, reason="PULL is not set")
def test_drive_pulled_out_under_load(kind, issuer):
    goes_away_under_load(kind, devices.spare_drive(), issuer, devices.pull_out_spare)
    system.wait_for(lambda: not devices.has_drive("spare"))
    kernel.unload_module()
    kernel.load_module()


@pytest.mark.parametrize(
    ("kind", "issuer"),
    [("ext4", "psync"), ("xfs", "libaio"), ("ext4", "io_uring"), ("xfs", "io_uring-polled")],
)
def test_disk_powered_off_under_load(kind, issuer):
    attributes = {"memory_backed": 1, "size": 512, "blocksize": 512, "irqmode": 2}
    with devices.null_disk(**attributes, poll_queues=1) as disk:
        power = devices.CONFIGFS / disk.name / "power"
        goes_away_under_load(kind, disk, issuer, lambda: files.write(power, 0))
    kernel.unload_module()
    kernel.load_module()


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
def test_errors_of_a_writeback_are_reported(kind, disk):
    """The next request reports that a writeback has failed, although no page is cached any more."""

    def attempt(path: Path) -> list[object]:
        found = []
        with files.opened(path) as fd, files.buffered(path) as cached:
            with bad_sector(disk, path):
                os.pwrite(cached, b"x" * 4096, BAD)
                # Neither of these clears the error.
                os.sync()
                os.posix_fadvise(cached, 0, 0, os.POSIX_FADV_DONTNEED)
            for _ in range(2):
                try:
                    found.append(len(files.pread(fd, 8192, LENGTH // 2)))
                except OSError as error:
                    found.append(error.errno)
        return found

    with filesystems.mainline(kind, disk) as mount:
        make_file(mount / "mainline", "data")
        make_file(mount / "live", "data")
        expected = attempt(mount / "mainline")
        with live.attached(mount):
            assert attempt(mount / "live") == expected == [errno.EIO, 8192]
    live.check(kind, disk)
