# SPDX-License-Identifier: GPL-2.0
"""QEMU's block layer with aio=native: qemu-io writes and verifies images, qemu-img bench overwrites
a part of them, and qemu-img convert copies them to a null disk. qemu-img compare compares all with
what they must contain."""

import contextlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guest import aio, filesystems, live, system

SIZE = 2 << 20
# Requests that are in flight at the same time are in different slots.
SLOT = 64 << 10
SLOTS = SIZE // SLOT

# What qemu-img bench overwrites: BENCH pieces of half a STEP, from the middle of the image
BENCH, STEP, FILL = 48, 16 << 10, 0xA5

# The least number of requests for an image: most of the writes and reads of two rounds, those of
# qemu-img bench, and a read and a write of qemu-img convert for each MiB
REQUESTS = 3 * SLOTS + BENCH + 4

DISK = {"memory_backed": 1, "blocksize": 512, "irqmode": 2, "submit_queues": 2}
# In MiB; the metadata of qcow2 need space, too.
DISK_SIZE = 8

PLACES = ["disk", "xfs", "xfs-attached", "ext4"]

# System calls by which QEMU's threads write: pwrite64, pwritev, pwritev2. They may have to write
# the only entry of qcow2's table L1, because it is not aligned in memory.
BY_THREADS = 'comm ~ "qemu-*" && (id == 18 || id == 296 || id == 328)'


@contextlib.contextmanager
def place_for_images(place: str, null_disk: Callable[..., Path]) -> Iterator[Path]:
    """Gives a directory, or a null disk, which has one image after the other."""
    kind, _, attached = place.partition("-")
    device = null_disk(size=DISK_SIZE if kind == "disk" else 512, **DISK)
    if kind == "disk":
        yield device
    elif attached:
        with live.on_device(kind, device) as mount:
            yield mount
            assert sum(live.routes().values()) > SLOTS
    else:
        with filesystems.mainline(kind, device) as mount:
            yield mount
        live.check(kind, device)


def qemu_io(image: Path, form: str, commands: list[str]) -> None:
    """Has one qemu-io execute these commands, which are quiet unless they fail."""
    options = [word for command in [*commands, "aio_flush"] for word in ("-c", command)]
    words = ["qemu-io", "-n", "-i", "native", "-d", "unmap", "-f", form, *options, image]
    result = system.run(*words)
    assert (result.stdout, result.stderr) == ("", "")


def round_of(rng: random.Random, content: bytearray) -> list[str]:
    """Returns commands that change CONTENT in each slot and read it, and changes it as well. Some
    slots are freed before, while writes to others are in flight."""
    writes, reads = [], []
    for slot in range(SLOTS):
        start, length = slot * SLOT, SLOT
        fill = rng.choice([0, rng.randrange(1, 256), rng.randrange(1, 256)])
        if slot % 8 == 7:
            writes.append(f"discard -q {start} {length}")
        else:
            unit = rng.choice([512, 4096])
            start += rng.randrange(0, SLOT // 2, unit)
            length = rng.randrange(unit, SLOT // 2, unit)
        content[start : start + length] = bytes([fill]) * length
        how = f"-P {fill}" if fill else "-z -u"
        writes.append(f"aio_write -q {how} {start} {length}")
        reads.append(f"aio_read -q -P {fill} {start} {length}")
    return [*writes, "aio_flush", "flush", *reads]


def bench(image: Path, form: str, content: bytearray) -> None:
    """Overwrites a part of the image, with a flush after each 16 requests."""
    pieces = ("-c", BENCH, "-s", STEP // 2, "-S", STEP, "-o", SIZE // 2, "-d", 16)
    writes = ("-w", f"--pattern={FILL}", "--flush-interval=16")
    system.run(
        "qemu-img", "bench", "-t", "none", "-i", "native", "-f", form, *pieces, *writes, image
    )
    for start in range(SIZE // 2, SIZE // 2 + BENCH * STEP, STEP):
        content[start : start + STEP // 2] = bytes([FILL]) * (STEP // 2)


def convert(image: Path, form: str, target: Path) -> None:
    """Copies an image to a disk by requests that are in flight in any order."""
    options = "file.cache.direct=on,file.aio=native"
    source = f"driver={form},file.driver={driver_of(image)},file.filename={image},{options}"
    copy = f"driver=raw,file.driver=host_device,file.filename={target},{options}"
    where = ("-n", "-m", "8", "-W", "--image-opts", "--target-image-opts", source, copy)
    system.run("qemu-img", "convert", "-t", "none", "-T", "none", *where)


def driver_of(image: Path) -> str:
    return "host_device" if image.is_block_device() else "file"


@pytest.mark.long
@pytest.mark.parametrize("place", PLACES)
def test_qemu_verifies(place, side, null_disk, tmp_path):
    rng = random.Random(place)
    expected = tmp_path / "expected"
    target = null_disk("target", size=DISK_SIZE, **DISK)
    with place_for_images(place, null_disk) as where:
        for form in ("raw", "qcow2"):
            image = where / form if where.is_dir() else where
            content = bytearray(SIZE)
            system.run("qemu-img", "create", "-q", "-f", form, image, SIZE)
            with aio.used(side, BY_THREADS, most=int(form == "qcow2")) as use:
                qemu_io(image, form, [*round_of(rng, content), *round_of(rng, content)])
                bench(image, form, content)
                convert(image, form, target)
            assert side == "kernel" or use.requests >= REQUESTS
            expected.write_bytes(content)
            for copy, copy_form in (image, form), (target, "raw"):
                system.run("qemu-img", "compare", "-f", "raw", "-F", copy_form, expected, copy)
        system.run("qemu-img", "check", "-q", "-f", "qcow2", image)
