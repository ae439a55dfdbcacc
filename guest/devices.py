# SPDX-License-Identifier: GPL-2.0
"""Block devices: NVMe drives by serial number, null disks, and QEMU's monitor."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from guest import files, system

CONFIGFS = Path("/sys/kernel/config/rnull_dio")
MONITOR = Path("/results/monitor")
SECTOR = 512
# QEMU may end with an assertion when a drive is pulled out (iotlb_to_section).
MAY_PULL_OUT = bool(os.environ.get("PULL"))

# In ms; a task that polls may pause for longer than the 5 s that a null disk has by default.
IO_TIMEOUT = 30_000


def drive(serial: str) -> Path:
    """Returns the NVMe drive with that serial number."""
    for path in Path("/sys/block").glob("nvme*/device/serial"):
        # Any drive may go away in the meantime.
        with contextlib.suppress(OSError):
            if path.read_text().strip() == serial:
                return Path("/dev") / path.parents[1].name
    raise LookupError(f"no NVMe drive {serial}")


def has_drive(serial: str) -> bool:
    """Returns whether there is an NVMe drive with that serial number."""
    try:
        return drive(serial).exists()
    except LookupError:
        return False


def spare_drive() -> Path:
    """Returns a drive that may be pulled out; plugs it in again if need be."""
    if not has_drive("spare"):
        image = "drive_add 0 if=none,id=spare-image,format=raw,file=/run/spare.img"
        plug = "device_add nvme,id=spare,serial=spare,drive=spare-image,bus=slot2,max_ioqpairs=4"

        def plug_in() -> bool:
            # QEMU may still have the image, or the drive that was removed.
            monitor(image)
            return monitor(plug).endswith(": done")

        system.wait_for(plug_in)
        system.wait_for(lambda: has_drive("spare"))
    return drive("spare")


def pull_out_spare() -> None:
    """Begins to remove the spare drive."""
    monitor("device_del spare")


@contextlib.contextmanager
def null_disk(name: str = "nulldisk", **attributes: object) -> Iterator[Path]:
    """Makes a null disk with these attributes and powers it on."""
    directory = CONFIGFS / name
    directory.mkdir()
    try:
        for attribute, value in attributes.items():
            files.write(directory / attribute, value)
        files.write(directory / "power", 1)
        if attributes.get("poll_queues"):
            files.write(Path("/sys/block") / name / "queue/io_timeout", IO_TIMEOUT)
        yield Path("/dev") / name
    finally:
        directory.rmdir()


@contextlib.contextmanager
def mainline_disk(driver: str, name: str = "mainline", **attributes: object) -> Iterator[Path]:
    """Makes a null disk of one of the kernel's own drivers, by the driver's name in configfs."""
    directory = Path("/sys/kernel/config") / driver / name
    directory.mkdir()
    try:
        for attribute, value in attributes.items():
            files.write(directory / attribute, value)
        files.write(directory / "power", 1)
        yield Path("/dev") / name
    finally:
        files.write(directory / "power", 0)
        directory.rmdir()


def queue(device: Path, name: str) -> str:
    """Returns what the block layer has in a file of the queue of a disk."""
    return files.read(Path("/sys/block", device.name, "queue", name))


def queue_limit(device: Path, name: str) -> int:
    return int(queue(device, name))


def capacity(device: Path) -> int:
    """Returns how many bytes a disk has."""
    return int(files.read(Path("/sys/block", device.name, "size"))) * SECTOR


def set_bad(device: Path, pos: int, length: int = SECTOR) -> None:
    """Makes accesses to these bytes of a null disk fail."""
    change_bad_blocks(device, "+", pos, length)


def set_good(device: Path, pos: int, length: int = SECTOR) -> None:
    change_bad_blocks(device, "-", pos, length)


def change_bad_blocks(device: Path, sign: str, pos: int, length: int) -> None:
    first, last = pos // SECTOR, (pos + length - 1) // SECTOR
    files.write(CONFIGFS / device.name / "badblocks", f"{sign}{first}-{last}")


def requests(device: Path) -> int:
    """Returns how many requests the block layer and the driver of a device have."""
    tables = Path("/sys/kernel/debug/block", device.name).glob("hctx*/tags")
    lines = [line for table in tables for line in table.read_text().splitlines()]
    return sum(int(line.removeprefix("busy=")) for line in lines if line.startswith("busy="))


def monitor(command: str, timeout: float = 60) -> str:
    """Has QEMU execute a command of its monitor, and waits for the reply. Returns its line, see
    monitor.py."""
    before = len(replies())
    Path("/dev/kmsg").write_text(f"lab: monitor {command}\n")
    system.wait_for(lambda: len(replies()) > before, timeout)
    return replies()[before]


def replies() -> list[str]:
    """Returns the lines of all replies, without one that is not complete yet."""
    return MONITOR.read_text().split("\n")[:-1] if MONITOR.exists() else []


@contextlib.contextmanager
def mapped(name: str, module: str, target: str, device: Path, *options: object) -> Iterator[Path]:
    """Makes a device of device mapper over DEVICE, by a TARGET of MODULE."""
    sectors = system.run("blockdev", "--getsz", device).stdout.strip()
    system.run("modprobe", module)
    table = " ".join(map(str, [0, sectors, target, device, *options]))
    system.run("dmsetup", "create", name, "--table", table)
    try:
        system.run("dmsetup", "mknodes")
        yield Path("/dev/mapper") / name
    finally:
        system.run("dmsetup", "remove", "--retry", name)


class Suspendable:
    """A device that can be made to hold all I/O back."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def suspend(self) -> None:
        system.run("dmsetup", "suspend", "--noflush", "--nolockfs", self.path.name)

    def resume(self) -> None:
        system.run("dmsetup", "resume", self.path.name)


@contextlib.contextmanager
def suspendable(device: Path) -> Iterator[Suspendable]:
    """Makes such a device over DEVICE."""
    with mapped("held", "dm-mod", "linear", device, 0) as path:
        held = Suspendable(path)
        try:
            yield held
        finally:
            held.resume()
