# SPDX-License-Identifier: GPL-2.0
"""Null disks with zones."""

import contextlib
import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest import counters, devices, files, fio, kernel, zones
from guest.errors import fails, refused
from guest.memory import aligned, pattern

MIB = 1 << 20
BLOCK = 4096
LAYOUT = {"zoned": 1, "size": 64, "zone_size": 4}
NAME = "zoneddisk"
# Writes during which a zone is emptied.
ROUNDS = 20
DIRECTORY = devices.CONFIGFS / NAME


@contextlib.contextmanager
def opened(**attributes: object) -> Iterator[tuple[Path, int]]:
    """Makes a disk with zones, and opens it."""
    with (
        devices.null_disk(NAME, **({"memory_backed": 1} | LAYOUT | attributes)) as device,
        files.opened(device) as fd,
    ):
        yield device, fd


def conditions(fd: int) -> list[str]:
    return [zone.condition for zone in zones.report(fd)]


def put(fd: int, zone: zones.Zone, offset: int = 0, length: int = BLOCK, seed: int = 0) -> None:
    assert os.pwrite(fd, pattern(length, seed), zone.start + offset) == length


def queue(name: str) -> int:
    return devices.queue_limit(Path(NAME), name)


def test_layout():
    layout = {"size": 62, "zone_nr_conv": 3, "zone_max_open": 4, "zone_max_active": 6}
    with opened(**layout) as (device, fd):
        found = zones.report(fd)
        assert [zone.start for zone in found] == list(range(0, 62 * MIB, 4 * MIB))
        assert [zone.length for zone in found] == [4 * MIB] * 15 + [2 * MIB]
        assert [zone.capacity for zone in found] == [zone.length for zone in found]
        assert [zone.condition for zone in found] == ["conventional"] * 3 + ["empty"] * 13
        assert zones.report(fd, 5 * MIB, 2) == found[1:3]
        assert zones.report(fd, 62 * MIB) == []
        assert files.read(Path("/sys/block", device.name, "queue/zoned")) == "host-managed"
        assert (queue("nr_zones"), queue("chunk_sectors")) == (16, 4 * MIB // 512)
        assert (queue("max_open_zones"), queue("max_active_zones")) == (4, 6)


def test_zones_with_less_capacity():
    with opened(zone_capacity=3) as (_, fd):
        zone = zones.report(fd)[2]
        assert (zone.length, zone.capacity) == (4 * MIB, 3 * MIB)
        for offset in range(0, 3 * MIB, MIB):
            put(fd, zone, offset, MIB, seed=offset)
        zone = zones.report(fd)[2]
        # The write pointer of a full zone is at its end, whatever the capacity is.
        assert (zone.condition, zone.written) == ("full", 4 * MIB)
        fails(errno.EIO, put, fd, zone, 3 * MIB)
        for offset in range(0, 3 * MIB, MIB):
            assert files.pread(fd, MIB, zone.start + offset) == pattern(MIB, offset)[:]


@pytest.mark.parametrize(
    ("sectors", "limit"),
    [
        # The block layer makes writes of them, which can be as long as a zone.
        (0, 4 * MIB),
        # Whole blocks
        (15, BLOCK),
        # The capacity
        (2**31 - 1, 3 * MIB),
    ],
)
def test_limit_of_zone_append(sectors, limit):
    with opened(zone_append_max_sectors=sectors, blocksize=BLOCK, zone_capacity=3):
        assert queue("max_hw_sectors_kb") << 10 > 4 * MIB
        assert queue("zone_append_max_bytes") == limit


def test_writes_move_the_write_pointer():
    with opened() as (device, fd):
        first, second = zones.report(fd)[:2]
        put(fd, first, 0, 2 * BLOCK)
        put(fd, first, 2 * BLOCK, BLOCK, seed=1)
        for offset in (0, BLOCK, 2 * BLOCK, 4 * BLOCK):
            fails(errno.EIO, put, fd, first, offset)
        fails(errno.EIO, put, fd, second, BLOCK)
        assert zones.report(fd)[0].written == 3 * BLOCK
        assert conditions(fd)[:2] == ["implicitly open", "empty"]
        # What lies behind the write pointer is zero.
        data = files.pread(fd, 4 * BLOCK, first.start)
        assert data == pattern(2 * BLOCK)[:] + pattern(BLOCK, 1)[:] + bytes(BLOCK)
        assert counters.disk(device)["zone_append"] == 0


def test_operations():
    with opened() as (device, fd):
        zone = zones.report(fd)[1]

        def now() -> zones.Zone:
            return zones.report(fd)[1]

        fails(errno.EIO, zones.close, fd, zone)
        for operation, condition in (
            (zones.open_, "explicitly open"),
            (zones.open_, "explicitly open"),
            (zones.close, "empty"),
            (lambda *_: put(fd, zone), "implicitly open"),
            (zones.open_, "explicitly open"),
            (zones.close, "closed"),
            (zones.close, "closed"),
            (lambda *_: put(fd, zone, BLOCK), "implicitly open"),
            (zones.finish, "full"),
            (zones.finish, "full"),
            (zones.reset, "empty"),
            (zones.reset, "empty"),
            (zones.finish, "full"),
        ):
            operation(fd, zone)
            assert now().condition == condition
            if condition == "full":
                assert now().written == 4 * MIB
        fails(errno.EIO, zones.open_, fd, zone)
        fails(errno.EIO, zones.close, fd, zone)
        assert counters.disk(device)["zone_management"] > 0


def test_conventional_zones_take_no_operation():
    with opened(zone_nr_conv=2) as (_, fd):
        zone = zones.report(fd)[1]
        for operation in (zones.open_, zones.close, zones.finish, zones.reset):
            fails(errno.EIO, operation, fd, zone)
        put(fd, zone, 8 * BLOCK, seed=1)
        put(fd, zone, 2 * BLOCK, seed=2)
        data = files.pread(fd, 9 * BLOCK, zone.start)
        assert data[2 * BLOCK :][:BLOCK] == pattern(BLOCK, 2)[:]
        assert data[8 * BLOCK :] == pattern(BLOCK, 1)[:]
        assert conditions(fd)[1] == "conventional"


def test_a_reset_frees_the_data():
    with opened() as (device, fd):
        for zone in zones.report(fd)[:3]:
            put(fd, zone, 0, MIB)
        assert counters.disk(device)["pages"] == 3 * MIB // BLOCK
        zones.reset(fd, zones.report(fd)[0])
        assert counters.disk(device)["pages"] == 2 * MIB // BLOCK
        assert files.pread(fd, BLOCK, 0) == bytes(BLOCK)
        zones.reset_all(fd, 64 * MIB)
        assert conditions(fd) == ["empty"] * 16
        assert counters.disk(device)["pages"] == 0


def test_limit_of_open_zones():
    with opened(zone_max_open=2) as (_, fd):
        for zone in zones.report(fd)[:4]:
            put(fd, zone)
        # The first that were opened implicitly are closed to make room.
        assert conditions(fd)[:4] == ["closed"] * 2 + ["implicitly open"] * 2
        for zone in zones.report(fd)[:2]:
            zones.open_(fd, zone)
        assert conditions(fd)[:4] == ["explicitly open"] * 2 + ["closed"] * 2
        fails(errno.ETOOMANYREFS, zones.open_, fd, zones.report(fd)[2])
        fails(errno.ETOOMANYREFS, zones.finish, fd, zones.report(fd)[2])
        fails(errno.ETOOMANYREFS, put, fd, zones.report(fd)[5])
        zones.close(fd, zones.report(fd)[0])
        put(fd, zones.report(fd)[5])
        assert conditions(fd)[:6] == [
            "closed",
            "explicitly open",
            "closed",
            "closed",
            "empty",
            "implicitly open",
        ]


def test_limit_of_active_zones():
    with opened(zone_max_active=3, zone_max_open=2) as (_, fd):
        for zone in zones.report(fd)[:3]:
            put(fd, zone)
        fails(errno.EOVERFLOW, put, fd, zones.report(fd)[3])
        fails(errno.EOVERFLOW, zones.open_, fd, zones.report(fd)[3])
        # A closed zone is active, so that it can be opened.
        put(fd, zones.report(fd)[0], BLOCK)
        zones.finish(fd, zones.report(fd)[0])
        put(fd, zones.report(fd)[3])
        zones.reset(fd, zones.report(fd)[1])
        put(fd, zones.report(fd)[4])
        fails(errno.EOVERFLOW, put, fd, zones.report(fd)[5])


def test_limits_that_cannot_be_reached_are_none():
    with opened(zone_nr_conv=13, zone_max_active=3, zone_max_open=3):
        assert (queue("max_open_zones"), queue("max_active_zones")) == (0, 0)


@pytest.mark.parametrize("condition", ["readonly", "offline"])
def test_zones_fail_and_come_back(condition):
    attribute = DIRECTORY / f"zone_{condition}"
    with opened(zone_nr_conv=1) as (_, fd):
        zone = zones.report(fd)[2]
        put(fd, zone)
        assert files.read(attribute) == ""
        files.write(attribute, (zone.start + BLOCK) // 512)
        assert files.read(attribute) == str(zone.start // 512)
        shown = {"readonly": "read-only"}.get(condition, condition)
        assert conditions(fd)[2] == shown
        fails(errno.EIO, put, fd, zone, BLOCK)
        for operation in (zones.open_, zones.close, zones.finish, zones.reset):
            fails(errno.EIO, operation, fd, zone)
        if condition == "readonly":
            assert files.pread(fd, BLOCK, zone.start) == pattern(BLOCK)[:]
        else:
            fails(errno.EIO, files.pread, fd, BLOCK, zone.start)
        # A reset of all zones leaves them out.
        zones.reset_all(fd, 64 * MIB)
        assert conditions(fd)[2] == shown
        other = zones.report(fd)[4]
        files.write(attribute, other.start // 512)
        assert files.read(attribute) == f"{zone.start // 512} {other.start // 512}"
        assert conditions(fd) == ["conventional", "empty", shown, "empty", shown] + ["empty"] * 11
        files.write(attribute, zone.start // 512)
        assert files.read(attribute) == str(other.start // 512)
        assert conditions(fd)[2] == "empty"
        put(fd, zone, seed=3)
        assert files.pread(fd, BLOCK, zone.start) == pattern(BLOCK, 3)[:]


def empty_by_reset(fd: int, zone: zones.Zone) -> None:
    zones.reset(fd, zone)


def empty_by_failure(_fd: int, zone: zones.Zone) -> None:
    """Takes the zone offline, and makes it empty again."""
    for _ in range(2):
        files.write(DIRECTORY / "zone_offline", zone.start // 512)


def empty_all(fd: int, _zone: zones.Zone) -> None:
    zones.reset_all(fd, 64 * MIB)


@pytest.mark.parametrize("empty", [empty_by_reset, empty_by_failure, empty_all])
def test_a_zone_is_emptied_during_writes(empty):
    """A write that began before has all its data in the zone by then, and the others begin anew."""
    with opened() as (device, fd):
        zone = zones.report(fd)[1]
        began = time.monotonic()
        put(fd, zone, 0, zone.length)
        took = time.monotonic() - began
        zones.reset(fd, zone)
        for seed in range(ROUNDS):
            data = pattern(zone.length, seed)

            def write(data=data) -> None:
                # Fails at the write pointer of an empty zone, unless it begins there.
                with contextlib.suppress(OSError):
                    os.pwrite(fd, data, zone.start)

            writer = threading.Thread(target=write)
            writer.start()
            time.sleep(took * seed / ROUNDS)
            empty(fd, zone)
            writer.join()
            # There are no data behind the write pointer, where the writes would be that came late.
            written = zones.report(fd)[1].written
            assert counters.disk(device)["pages"] * BLOCK == written
            zones.finish(fd, zone)
            found = files.pread(fd, zone.length, zone.start)
            assert found == data[:written] + bytes(zone.length - written)
            zones.reset(fd, zone)


def test_zones_that_cannot_fail():
    with opened(zone_nr_conv=1):
        for sector in (0, 64 * MIB // 512, "x", -1):
            fails(errno.EINVAL, files.write, DIRECTORY / "zone_offline", sector)
        files.write(DIRECTORY / "power", 0)
        fails(errno.EINVAL, files.write, DIRECTORY / "zone_offline", 4 * MIB // 512)
    with devices.null_disk(NAME):
        fails(errno.EINVAL, files.write, DIRECTORY / "zone_readonly", 0)


def test_zones_are_kept_while_the_disk_is_off():
    with opened(zone_max_open=4) as (device, fd):
        (first, second, third, fourth) = zones.report(fd)[:4]
        put(fd, first)
        zones.open_(fd, second)
        put(fd, third)
        zones.finish(fd, third)
        files.write(DIRECTORY / "zone_offline", fourth.start // 512)
        files.write(DIRECTORY / "power", 0)
        files.write(DIRECTORY / "power", 1)
        with files.opened(device) as again:
            assert conditions(again)[:5] == ["closed", "empty", "full", "offline", "empty"]
            put(again, first, BLOCK, seed=1)
            assert files.pread(again, 2 * BLOCK, 0) == pattern(BLOCK)[:] + pattern(BLOCK, 1)[:]
        # With other zones, it begins anew.
        files.write(DIRECTORY / "power", 0)
        files.write(DIRECTORY / "zone_size", 8)
        files.write(DIRECTORY / "power", 1)
        with files.opened(device) as again:
            assert conditions(again) == ["empty"] * 8
            assert files.pread(again, 2 * BLOCK, 0) == bytes(2 * BLOCK)


def test_zones_that_are_full_at_first():
    with opened(zone_full=1, zone_nr_conv=1) as (_, fd):
        assert conditions(fd) == ["conventional"] + ["full"] * 15
        zone = zones.report(fd)[1]
        fails(errno.EIO, put, fd, zone)
        assert files.pread(fd, BLOCK, zone.start) == bytes(BLOCK)
        zones.reset(fd, zone)
        put(fd, zone)


@pytest.mark.parametrize("memory_backed", [0, 1])
@pytest.mark.parametrize("partial", [0, 1])
def test_bad_sectors(partial, memory_backed):
    with opened(badblocks_partial_io=partial, memory_backed=memory_backed) as (device, fd):
        zone = zones.report(fd)[1]
        put(fd, zone)
        devices.set_bad(device, zone.start + 3 * BLOCK)
        fails(errno.EIO, put, fd, zone, BLOCK, 4 * BLOCK, 1)
        devices.set_good(device, zone.start + 3 * BLOCK)
        # The write pointer stays behind what has been written.
        written = BLOCK + partial * 2 * BLOCK
        assert zones.report(fd)[1].written == written
        put(fd, zone, written, BLOCK, seed=2)
        assert zones.report(fd)[1].written == written + BLOCK
        if not memory_backed:
            return
        found = files.pread(fd, written + 2 * BLOCK, zone.start)
        expected = pattern(BLOCK)[:] + pattern(4 * BLOCK, 1)[: written - BLOCK]
        assert found == expected + pattern(BLOCK, 2)[:] + bytes(BLOCK)


def test_a_bad_sector_behind_the_write_pointer():
    with opened() as (device, fd):
        zone = zones.report(fd)[1]
        put(fd, zone)
        devices.set_bad(device, zone.start + 3 * BLOCK)
        fails(errno.EIO, files.pread, fd, BLOCK, zone.start + 3 * BLOCK)
        fails(errno.EIO, files.pread, fd, 4 * BLOCK, zone.start)
        assert files.pread(fd, 3 * BLOCK, zone.start) == pattern(BLOCK)[:] + bytes(2 * BLOCK)


def test_flushes():
    with opened(write_cache=1) as (device, fd):
        zone = zones.report(fd)[1]
        put(fd, zone)
        os.fsync(fd)
        assert counters.disk(device)["flush"] > 0
        assert files.pread(fd, BLOCK, zone.start) == pattern(BLOCK)[:]


def test_reads_without_memory_leave_the_buffer_alone():
    with opened(memory_backed=0) as (_, fd):
        zone = zones.report(fd)[0]
        put(fd, zone)
        fails(errno.EIO, put, fd, zone)
        memory = aligned(BLOCK)
        memory[:] = b"x" * BLOCK
        assert os.preadv(fd, [memory], 0) == BLOCK
        assert memory[:] == b"x" * BLOCK


REFUSED = {
    "zone_size is more than the size": {"zone_size": 128},
    "zone_capacity is more than zone_size": {"zone_capacity": 5},
    "zone_capacity needs a size that is a multiple of zone_size": {"zone_capacity": 3, "size": 62},
    "zone_nr_conv leaves no other zone": {"zone_nr_conv": 16},
    "zone_max_open is more than zone_max_active": {"zone_max_open": 3, "zone_max_active": 2},
    "zoned does not go with discard": {"discard": 1},
    "zoned does not go with cache_size": {"cache_size": 1, "memory_backed": 1},
    "zoned does not go with backing_file": {"backing_file": "/run/image"},
}


@pytest.mark.parametrize("reason", REFUSED)
def test_attributes_that_do_not_go_together(reason):
    DIRECTORY.mkdir()
    try:
        for attribute, value in (LAYOUT | REFUSED[reason]).items():
            files.write(DIRECTORY / attribute, value)
        assert refused(DIRECTORY / "power", 1, errno.EINVAL).endswith(reason)
    finally:
        DIRECTORY.rmdir()


@pytest.mark.parametrize("rw", ["write", "randwrite"])
@pytest.mark.parametrize("engine", ["psync", "libaio", "io_uring"])
@pytest.mark.parametrize("irqmode", [0, 1, 2])
def test_fio_verifies(irqmode, engine, rw):
    attributes = {"irqmode": irqmode, "zone_nr_conv": 2, "zone_capacity": 3, "zone_max_open": 4}
    with opened(**attributes) as (device, fd):
        job = fio.run(
            device,
            rw=rw,
            ioengine=engine,
            iodepth=8,
            zonemode="zbd",
            max_open_zones=3,
            offset=8 * MIB,
            size=32 * MIB,
            io_size=kernel.fewer(16 * MIB),
            bsrange="4k-64k",
            verify="crc32c",
            do_verify=1,
        )
        assert job["error"] == 0
        assert job["write"]["total_ios"] > 0
        assert job["read"]["total_ios"] > 0
        assert sum(zone.written for zone in zones.report(fd)[2:]) > 0


def test_polled_writes():
    with opened(poll_queues=1) as (device, _):
        job = fio.run(
            device,
            rw="write",
            ioengine="io_uring",
            hipri=1,
            iodepth=4,
            zonemode="zbd",
            size=4 * MIB,
            verify="crc32c",
        )
        assert job["error"] == 0
        assert counters.disk(device)["polled"] > 0


def test_threads_that_write_zones_at_once():
    """The limit of open zones makes the writers close each other's zones."""
    zone = kernel.fewer(4)
    disk = {"size": 16 * zone, "zone_size": zone, "zone_max_open": 2, "submit_queues": 2}
    with opened(**disk) as (device, fd):
        job = fio.run(
            device,
            rw="write",
            bs="64k",
            ioengine="io_uring",
            iodepth=4,
            numjobs=4,
            zonemode="zbd",
            ignore_zone_limits=1,
            size=4 * zone * MIB,
            offset_increment=4 * zone * MIB,
            verify="crc32c",
            group_reporting=1,
        )
        assert job["error"] == 0
        assert conditions(fd) == ["full"] * 16
