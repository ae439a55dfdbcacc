# SPDX-License-Identifier: GPL-2.0
"""The null disk: its attributes, its data, and its end."""

import errno
import os
import subprocess
from pathlib import Path

import lab
import pytest

# Every set-up attribute, with what it is in a new directory, another good value, and nonsense.
ATTRIBUTES = {
    "size": ("4096", "64", ["0", "-1", "x", "", "99999999999999999999"]),
    "blocksize": ("4096", "512", ["0", "511", "513", "8192", "x"]),
    "rotational": ("0", "1", ["2", "maybe"]),
    "memory_backed": ("0", "1", ["2", "maybe"]),
    "irqmode": ("0", "2", ["3", "-1", "x"]),
    "completion_nsec": ("10000", "50000", ["-1", "x"]),
    "submit_queues": ("1", "2", ["0", "-1", "x"]),
    "poll_queues": ("0", "1", ["-1", "x"]),
    "hw_queue_depth": ("64", "16", ["0", "-1", "x"]),
    "write_cache": ("0", "1", ["2", "maybe"]),
    "fua": ("0", "1", ["2", "maybe"]),
    "discard": ("0", "1", ["2", "maybe"]),
}
NAME = "nulldisk"
DIRECTORY = lab.CONFIGFS / NAME


@pytest.fixture
def directory():
    DIRECTORY.mkdir()
    yield DIRECTORY
    if DIRECTORY.exists():
        DIRECTORY.rmdir()


def refused(path, value, error):
    with lab.new_log_lines() as lines, pytest.raises(OSError, match=r"\w") as caught:
        lab.write(path, value)
    assert caught.value.errno == error
    return lines


def queue(name):
    return lab.read(Path("/sys/block") / NAME / "queue" / name)


def test_features_lists_the_attributes(directory):
    features = set(lab.read(lab.CONFIGFS / "features").split(","))
    assert features >= set(ATTRIBUTES)
    assert features == {path.name for path in directory.iterdir()} - {"power"} or (
        features == {path.name for path in directory.iterdir()}
    )


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_attributes(directory, attribute):
    default, good, bad = ATTRIBUTES[attribute]
    path = directory / attribute
    assert lab.read(path) == default
    for value in bad:
        lines = refused(path, value, errno.EINVAL)
        assert any(NAME in line and attribute in line for line in lines), (value, lines)
        assert lab.read(path) == default
    lab.write(path, good)
    assert lab.read(path) == good


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_attributes_are_fixed_while_on(directory, attribute):
    _, good, bad = ATTRIBUTES[attribute]
    lab.write(directory / attribute, good)
    lab.write(directory / "power", 1)
    for value in (good, ATTRIBUTES[attribute][0], bad[0]):
        refused(directory / attribute, value, errno.EBUSY)
    assert lab.read(directory / attribute) == good
    lab.write(directory / "power", 0)
    lab.write(directory / attribute, good)


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
    assert lab.run("blockdev", "--getsize64", device).stdout.strip() == str(32 << 20)
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
        (lab.CONFIGFS / name).mkdir()
        lab.write(lab.CONFIGFS / name / "power", 1)
    if (lab.CONFIGFS / name).exists():
        (lab.CONFIGFS / name).rmdir()
    assert caught.value.errno in (errno.EINVAL, errno.EEXIST, errno.EBUSY, errno.ENAMETOOLONG)


@pytest.mark.parametrize("irqmode", [0, 1, 2])
@pytest.mark.parametrize("queues", [1, 2])
def test_data_comes_back(irqmode, queues, null_disk):
    device = null_disk(
        memory_backed=1, size=64, irqmode=irqmode, submit_queues=queues, poll_queues=1
    )
    for engine in ({"ioengine": "libaio"}, {"ioengine": "io_uring", "hipri": 1}):
        job = lab.fio(
            device, rw="randwrite", verify="crc32c", bsrange="4k-256k", iodepth=8, **engine
        )
        assert job["error"] == 0
    assert lab.disk_counters(device)["polled"] > 0
    assert lab.disk_counters(device)["timeout"] == 0


def test_what_was_never_written_is_zero(null_disk):
    device = null_disk(memory_backed=1, size=64)
    with lab.opened(device) as fd:
        os.pwritev(fd, [lab.pattern(4096)], 1 << 20)
        assert lab.pread(fd, 3 * 4096, (1 << 20) - 4096) == (
            bytes(4096) + lab.pattern(4096)[:] + bytes(4096)
        )


@pytest.mark.parametrize("option", [[], ["--zeroout"]], ids=["discard", "write-zeroes"])
def test_discard_and_write_zeroes(option, null_disk):
    device = null_disk(memory_backed=1, size=64, blocksize=512, discard=1)
    with lab.opened(device) as fd:
        os.pwritev(fd, [lab.pattern(1 << 20)], 0)
        pages = lab.disk_counters(device)["pages"]
        # Neither its beginning nor its end is that of a page.
        lab.run("blkdiscard", "--force", *option, "--offset", 512, "--length", 65536, device)
        expected = bytearray(lab.pattern(1 << 20)[:])
        expected[512 : 512 + 65536] = bytes(65536)
        assert lab.pread(fd, 1 << 20, 0) == expected
        assert lab.disk_counters(device)["pages"] < pages


def test_power_off_and_on_again(directory):
    lab.write(directory / "memory_backed", 1)
    lab.write(directory / "size", 16)
    for _ in range(3):
        lab.write(directory / "power", 1)
        lab.write(directory / "power", 1)
        assert Path(f"/dev/{NAME}").exists()
        lab.write(directory / "power", 0)
        lab.write(directory / "power", 0)
        lab.wait_for(lambda: not Path(f"/sys/block/{NAME}").exists())


@pytest.mark.parametrize("how", ["power off", "remove"])
def test_the_end_of_a_disk_that_is_open_and_busy(how, directory):
    for attribute, value in {
        "memory_backed": 1,
        "size": 64,
        "irqmode": 2,
        "completion_nsec": 1_000_000,
        "poll_queues": 1,
    }.items():
        lab.write(directory / attribute, value)
    lab.write(directory / "power", 1)
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
    lab.wait_for(lambda: lab.disk_counters(Path(NAME))["polled"] > 100)
    with lab.opened(Path(f"/dev/{NAME}")) as fd:
        if how == "power off":
            lab.write(directory / "power", 0)
        else:
            directory.rmdir()
        for load in loads:
            assert load.wait(timeout=120) != 0
        # It has no size any more.
        assert lab.pread(fd, 4096, 0) == b""
        with pytest.raises(OSError, match=r"No space left|Input/output error"):
            os.pwritev(fd, [lab.pattern(4096)], 0)


def test_disks_go_under_a_file_system(null_disk):
    # With a cache: fsync() has nothing to ask the device otherwise.
    device = null_disk(memory_backed=1, size=64, irqmode=2, write_cache=1)
    with lab.mounted(device) as data, lab.opened(data) as fd:
        assert os.pwritev(fd, [lab.pattern(4096)], 0) == 4096
        lab.write(DIRECTORY / "power", 0)
        for attempt in (
            lambda: lab.pread(fd, 4096, 0),
            lambda: os.pwritev(fd, [lab.pattern(4 << 20)], 0),
            lambda: os.fsync(fd),
        ):
            with pytest.raises(OSError, match=r"Input/output error|No such device"):
                attempt()


def test_polled_requests_that_nobody_polls_time_out(null_disk):
    # Nobody polls for a synchronous request, so it must not be sent to a queue that needs it.
    device = null_disk(memory_backed=1, size=64, poll_queues=1)
    job = lab.fio(device, rw="randwrite", ioengine="pvsync2", hipri=1, size="64k", verify="crc32c")
    assert job["error"] == 0
    assert lab.disk_counters(device)["timeout"] == 0
