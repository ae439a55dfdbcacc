# SPDX-License-Identifier: GPL-2.0
"""The null disk: its attributes, its data, and its end."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

from guest import counters, devices, files, filesystems, fio, system
from guest.errors import refused
from guest.memory import pattern

# Every set-up attribute, with its default, another valid value, and an invalid one.
ATTRIBUTES = {
    "size": ("0", "64", ["8796093022208", "-1", "x", "", "99999999999999999999"]),
    "blocksize": ("4096", "512", ["0", "511", "513", "12288", "131072", "x"]),
    "max_sectors": ("0", "8", ["1", "7", "8388608", "-1", "x"]),
    "virt_boundary": ("0", "1", ["2", "maybe"]),
    "rotational": ("0", "1", ["2", "maybe"]),
    "memory_backed": ("0", "1", ["2", "maybe"]),
    "backing_file": ("", "/run/image", ["image", "./image"]),
    "backing_offset": ("0", "4096", ["-1", "9223372036854775808", "x"]),
    "direct_io": ("1", "0", ["2", "maybe"]),
    "queue_mode": ("2", "2", ["0", "1", "3", "x"]),
    "blocking": ("0", "1", ["2", "maybe"]),
    "irqmode": ("0", "2", ["3", "-1", "x"]),
    "completion_nsec": ("10000", "50000", ["-1", "x"]),
    "mbps": ("0", "100", ["40961", "-1", "x"]),
    "submit_queues": ("1", "2", ["0", "-1", "x"]),
    "use_per_node_hctx": ("0", "1", ["2", "maybe"]),
    "home_node": ("-1", "0", ["1", "-2", "4294967295", "x"]),
    "poll_queues": ("0", "1", ["-1", "x"]),
    "hw_queue_depth": ("64", "16", ["0", "-1", "x"]),
    "shared_tag_bitmap": ("0", "1", ["2", "maybe"]),
    "shared_tags": ("0", "1", ["2", "maybe"]),
    "no_sched": ("1", "0", ["2", "maybe"]),
    "write_cache": ("0", "1", ["2", "maybe"]),
    "cache_size": ("0", "1", ["-1", "x"]),
    "fua": ("0", "1", ["2", "maybe"]),
    "badblocks_once": ("0", "1", ["2", "maybe"]),
    "badblocks_partial_io": ("0", "1", ["2", "maybe"]),
    "discard": ("0", "1", ["2", "maybe"]),
    "zoned": ("0", "1", ["2", "maybe"]),
    "zone_size": ("256", "4", ["0", "3", "2097152", "x"]),
    "zone_capacity": ("0", "3", ["1048577", "-1", "x"]),
    "zone_nr_conv": ("0", "4", ["16777217", "-1", "x"]),
    "zone_max_open": ("0", "4", ["16777217", "-1", "x"]),
    "zone_max_active": ("0", "4", ["16777217", "-1", "x"]),
    "zone_append_max_sectors": ("2147483647", "0", ["4294967296", "-1", "x"]),
    "zone_full": ("0", "1", ["2", "maybe"]),
    "index": ("0", "0", ["-1", "4294967296", "x"]),
}
# Directories for fault injection
GROUPS = {"timeout_inject", "requeue_inject", "init_hctx_fault_inject"}
# Those that test_queues.py changes while a disk is on
CHANGEABLE = {"submit_queues", "poll_queues"}
NAME = "nulldisk"
DIRECTORY = devices.CONFIGFS / NAME


@pytest.fixture
def directory():
    DIRECTORY.mkdir()
    yield DIRECTORY
    if DIRECTORY.exists():
        DIRECTORY.rmdir()


def queue(name):
    return devices.queue(Path(NAME), name)


def test_features_lists_the_attributes(directory):
    features = set(files.read(devices.CONFIGFS / "features").split(","))
    assert features == {path.name for path in directory.iterdir()}
    always = {"badblocks", "power", "zone_offline", "zone_readonly"}
    assert features - GROUPS == set(ATTRIBUTES) | always
    # All of them, or none: it depends on the configuration of the kernel.
    assert features & GROUPS in (GROUPS, set())


def test_the_documentation_lists_the_attributes():
    documented = (system.SOURCE / "Documentation/use/disk.rst").read_text()
    listed = (counters.DEBUGFS / "attributes").read_text()
    features = files.read(devices.CONFIGFS / "features").split(",")
    names = [name for name in features if name not in GROUPS]
    assert [line.split("``")[1] for line in listed.splitlines() if line[0] != " "] == names
    assert listed in documented


def test_the_log_says_what_the_limits_are(directory):
    line = refused(directory / "hw_queue_depth", 10241, errno.EINVAL)
    assert f"{NAME}: hw_queue_depth: '10241' refused: it is not 1 to 10240" in line
    line = refused(directory / "blocksize", 131072, errno.EINVAL)
    assert "it is not a power of two from 512 to 65536" in line


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_attributes(directory, attribute):
    default, good, bad = ATTRIBUTES[attribute]
    path = directory / attribute
    assert files.read(path) == default
    for value in bad:
        assert f"{NAME}: {attribute}: " in refused(path, value, errno.EINVAL)
        assert files.read(path) == default
    files.write(path, good)
    assert files.read(path) == good


@pytest.mark.parametrize("attribute", [name for name in ATTRIBUTES if name not in CHANGEABLE])
def test_attributes_are_fixed_while_on(directory, attribute):
    _, good, bad = ATTRIBUTES[attribute]
    files.write(directory / attribute, good)
    if attribute == "cache_size":
        files.write(directory / "memory_backed", 1)
    if attribute == "backing_file":
        Path(good).write_bytes(bytes(4096))
    files.write(directory / "power", 1)
    for value in (good, ATTRIBUTES[attribute][0], bad[0]):
        refused(directory / attribute, value, errno.EBUSY)
    assert files.read(directory / attribute) == good
    files.write(directory / "power", 0)
    files.write(directory / attribute, good)


def test_the_block_layer_sees_the_attributes(null_disk):
    device = null_disk(
        size=32,
        blocksize=512,
        rotational=1,
        memory_backed=1,
        submit_queues=2,
        poll_queues=1,
        write_cache=1,
        fua=1,
        discard=1,
    )
    assert system.run("blockdev", "--getsize64", device).stdout.strip() == str(32 << 20)
    values = {
        "logical_block_size": "512",
        "rotational": "1",
        "io_poll": "1",
        "write_cache": "write back",
        "fua": "1",
    }
    assert {name: queue(name) for name in values} == values
    assert int(queue("discard_max_bytes")) > 0
    assert int(queue("write_zeroes_max_bytes")) > 0
    assert len(list((Path("/sys/block") / NAME / "mq").iterdir())) == 3


def test_a_plain_disk(null_disk):
    null_disk()
    assert (queue("io_poll"), queue("write_cache"), queue("fua")) == ("0", "write through", "0")
    assert queue("discard_max_bytes") == "0"


@pytest.mark.parametrize("name", ["nvme0n1", "a" * 32, "a!b"])
def test_bad_names(name):
    with pytest.raises(OSError, match=r"\w") as caught:
        (devices.CONFIGFS / name).mkdir()
        files.write(devices.CONFIGFS / name / "power", 1)
    if (devices.CONFIGFS / name).exists():
        (devices.CONFIGFS / name).rmdir()
    assert caught.value.errno in (errno.EINVAL, errno.EEXIST, errno.EBUSY, errno.ENAMETOOLONG)


@pytest.mark.parametrize("irqmode", [0, 1, 2])
@pytest.mark.parametrize("queues", [1, 2])
def test_data_comes_back(irqmode, queues, null_disk):
    device = null_disk(
        memory_backed=1, size=64, irqmode=irqmode, submit_queues=queues, poll_queues=1
    )
    for engine in ({"ioengine": "libaio"}, {"ioengine": "io_uring", "hipri": 1}):
        job = fio.run(
            device, rw="randwrite", verify="crc32c", bsrange="4k-256k", iodepth=8, **engine
        )
        assert job["error"] == 0
    assert counters.disk(device)["polled"] > 0
    assert counters.disk(device)["timeout"] == 0


def test_what_was_never_written_is_zero(null_disk):
    device = null_disk(memory_backed=1, size=64)
    with files.opened(device) as fd:
        os.pwritev(fd, [pattern(4096)], 1 << 20)
        assert files.pread(fd, 3 * 4096, (1 << 20) - 4096) == (
            bytes(4096) + pattern(4096)[:] + bytes(4096)
        )


@pytest.mark.parametrize("option", [[], ["--zeroout"]], ids=["discard", "write-zeroes"])
def test_discard_and_write_zeroes(option, null_disk):
    device = null_disk(memory_backed=1, size=64, blocksize=512, discard=1)
    with files.opened(device) as fd:
        os.pwritev(fd, [pattern(1 << 20)], 0)
        pages = counters.disk(device)["pages"]
        # Neither its beginning nor its end is at a page boundary.
        system.run("blkdiscard", "--force", *option, "--offset", 512, "--length", 65536, device)
        expected = bytearray(pattern(1 << 20)[:])
        expected[512 : 512 + 65536] = bytes(65536)
        assert files.pread(fd, 1 << 20, 0) == expected
        assert counters.disk(device)["pages"] < pages


def test_power_off_and_on_again(directory):
    files.write(directory / "memory_backed", 1)
    files.write(directory / "size", 16)
    for _ in range(3):
        files.write(directory / "power", 1)
        files.write(directory / "power", 1)
        assert Path(f"/dev/{NAME}").exists()
        files.write(directory / "power", 0)
        files.write(directory / "power", 0)
        system.wait_for(lambda: not Path(f"/sys/block/{NAME}").exists())


@pytest.mark.parametrize("how", ["power off", "remove"])
def test_the_end_of_a_disk_that_is_open_and_busy(how, directory):
    for attribute, value in {
        "memory_backed": 1,
        "size": 64,
        "irqmode": 2,
        "completion_nsec": 1_000_000,
        "poll_queues": 1,
    }.items():
        files.write(directory / attribute, value)
    files.write(directory / "power", 1)
    loads = [
        subprocess.Popen(
            [
                "fio",
                "--name=load",
                f"--filename=/dev/{NAME}",
                "--direct=1",
                "--rw=randrw",
                "--time_based=1",
                "--runtime=300",
                "--iodepth=8",
                *engine,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for engine in (["--ioengine=libaio"], ["--ioengine=io_uring", "--hipri"])
    ]
    system.wait_for(lambda: counters.disk(Path(NAME))["polled"] > 100)
    with files.opened(Path(f"/dev/{NAME}")) as fd:
        if how == "power off":
            files.write(directory / "power", 0)
        else:
            directory.rmdir()
        for load in loads:
            assert load.wait(timeout=120) != 0
        # The size of a removed disk is 0.
        assert files.pread(fd, 4096, 0) == b""
        with pytest.raises(OSError, match=r"No space left|Input/output error"):
            os.pwritev(fd, [pattern(4096)], 0)


def test_disks_are_removed_under_a_file_system(null_disk):
    # With a cache, because fsync() does not reach a device without one.
    device = null_disk(memory_backed=1, size=64, irqmode=2, write_cache=1)
    with filesystems.diofs(device) as data, files.opened(data) as fd:
        assert os.pwritev(fd, [pattern(4096)], 0) == 4096
        files.write(DIRECTORY / "power", 0)
        for attempt in (
            lambda: files.pread(fd, 4096, 0),
            lambda: os.pwritev(fd, [pattern(4 << 20)], 0),
            lambda: os.fsync(fd),
        ):
            with pytest.raises(OSError, match=r"Input/output error|No such device"):
                attempt()


def test_synchronous_polled_requests_do_not_time_out(null_disk):
    # A synchronous request is not polled, so it must not be sent to a queue that has to be polled.
    device = null_disk(memory_backed=1, size=64, poll_queues=1)
    job = fio.run(device, rw="randwrite", ioengine="pvsync2", hipri=1, size="64k", verify="crc32c")
    assert job["error"] == 0
    assert counters.disk(device)["timeout"] == 0
