# SPDX-License-Identifier: GPL-2.0
"""Devices, mounts and I/O for the tests."""

import contextlib
import ctypes
import dataclasses
import json
import mmap
import os
import platform
import re
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

MODULE = Path("/build/rnull_dio.ko")
CONFIGFS = Path("/sys/kernel/config/rnull_dio")
DEBUGFS = Path("/sys/kernel/debug/rnull_dio")
TRACING = Path("/sys/kernel/tracing")
SAMPLES = Path("/build/samples")
MKFS = Path("/src/scripts/mkfs.diofs")
MONITOR = Path("/results/monitor")

# Where the data of a diofs begins on its device.
DATA_START = 64 * 1024
BLOCK = 4096

# A debugging kernel takes its time.
IS_DEBUG_KERNEL = "-rnull-dio-test" in platform.release()

# Does the kernel have our patches, and so kiocb->dio_complete?
HAS_DIO_COMPLETE = Path("/usr/src/linux/Documentation/filesystems/dio-completion.rst").exists()

# How much fio reads or writes unless told otherwise.
SIZE = (1 if IS_DEBUG_KERNEL else 4) << 20


def run(*command: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    result = subprocess.run(words, check=False, capture_output=True, text=True)
    if check and result.returncode:
        raise AssertionError(f"{' '.join(words)}: {result.returncode}\n{result.stderr}")
    return result


def kernel_log() -> str:
    return run("dmesg").stdout


@contextlib.contextmanager
def new_log_lines() -> Iterator[list[str]]:
    """Collects the lines that the kernel logs meanwhile."""
    lines: list[str] = []
    before = len(kernel_log().splitlines())
    yield lines
    lines += kernel_log().splitlines()[before:]


# Devices


def drive(serial: str) -> Path:
    """The NVMe drive with that serial number."""
    for path in Path("/sys/block").glob("nvme*/device/serial"):
        if path.read_text().strip() == serial:
            return Path("/dev") / path.parents[1].name
    raise LookupError(f"no NVMe drive {serial}")


def write(path: Path, value: object) -> None:
    """Writes an attribute, which the kernel may refuse with an OSError."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, f"{value}\n".encode())
    finally:
        os.close(fd)


def read(path: Path) -> str:
    return path.read_text().strip()


@contextlib.contextmanager
def null_disk(name: str = "nulldisk", **attributes: object) -> Iterator[Path]:
    directory = CONFIGFS / name
    directory.mkdir()
    try:
        for attribute, value in attributes.items():
            write(directory / attribute, value)
        write(directory / "power", 1)
        yield Path("/dev") / name
    finally:
        directory.rmdir()


@contextlib.contextmanager
def mounted(device: Path, *options: str) -> Iterator[Path]:
    """A new diofs on DEVICE, mounted; gives the file on it."""
    run(MKFS, "--force", device)
    where = Path("/run") / f"mnt-{device.name}"
    where.mkdir(exist_ok=True)
    run("mount", "-t", "diofs", *options, device, where)
    try:
        yield where / "data"
    finally:
        run("umount", where)


@contextlib.contextmanager
def other_filesystem(kind: str, device: Path) -> Iterator[Path]:
    """A new file system of Linux on DEVICE, mounted; gives its directory."""
    force = {"xfs": "-f", "ext4": "-F"}[kind]
    run(f"mkfs.{kind}", "-q", force, device)
    where = Path("/run") / f"mnt-{kind}-{device.name}"
    where.mkdir(exist_ok=True)
    run("mount", "-t", kind, device, where)
    try:
        yield where
    finally:
        run("umount", where)


@contextlib.contextmanager
def filesystem(kind: str, device: Path, *options: str) -> Iterator[Path]:
    """A new file system of any kind on DEVICE, mounted; gives the name of a file on it, which is
    there on a diofs only."""
    if kind == "diofs":
        with mounted(device, *options) as data:
            yield data
        return
    with other_filesystem(kind, device) as where:
        yield where / "data"


def counters(path: Path) -> dict[str, int]:
    pairs = (line.split(":") for line in path.read_text().splitlines())
    return {name.strip(): int(value) for name, value in pairs}


def routes(device: Path) -> dict[str, int]:
    """Who completed the requests of the diofs on DEVICE."""
    return counters(DEBUGFS / "diofs" / device.name / "routes")


def routes_of(data: Path) -> dict[str, int]:
    """Who completed the requests of the diofs that DATA is on."""
    device = run("findmnt", "--noheadings", "--output=SOURCE", data.parent).stdout.strip()
    return routes(Path(device))


def grown(after: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    """Which counters have grown, and by how much."""
    return {name: after[name] - before[name] for name in after if after[name] > before[name]}


def disk_counters(device: Path) -> dict[str, int]:
    return counters(DEBUGFS / "disk" / device.name / "counters")


# I/O


def aligned(length: int) -> mmap.mmap:
    """Memory that begins with a page."""
    return mmap.mmap(-1, length)


def pattern(length: int, seed: int = 0) -> mmap.mmap:
    """Memory that tells which of its blocks is which."""
    memory = aligned(length)
    for at in range(0, length, 512):
        memory[at : at + 512] = f"{seed:>16}{at:>16}".encode() * 16
    return memory


@contextlib.contextmanager
def opened(path: Path, flags: int = os.O_RDWR | os.O_DIRECT) -> Iterator[int]:
    fd = os.open(path, flags)
    try:
        yield fd
    finally:
        os.close(fd)


def read_into_cache(path: Path, offset: int, length: int = 65536) -> None:
    with opened(path, os.O_RDONLY) as fd:
        assert len(os.pread(fd, length, offset)) == length


def set_cache(path: Path, offset: int | None) -> None:
    """Has pages in the page cache at OFFSET of the file, or none at all, and no others."""
    with opened(path, os.O_RDWR) as fd:
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    if offset is not None:
        read_into_cache(path, offset)


def pread(fd: int, length: int, offset: int) -> bytes:
    """Reads directly: as much as there is, up to LENGTH bytes."""
    memory = aligned(length)
    return memory[: os.preadv(fd, [memory], offset)]


def lay_out(path: Path, size: int) -> None:
    """Has all of a file written, which is created if need be."""
    job = fio(path, rw="write", size=size, bs="1M", ioengine="psync", allow_file_create=1)
    assert job["error"] == 0


def fio_command(path: Path, **options: object) -> list[str]:
    defaults = {
        "filename": path,
        "direct": 1,
        "bs": "4k",
        "size": SIZE,
        "allow_file_create": 0,
        "verify_state_save": 0,
        "thread": 1,
    }
    words = [f"--{key}={value}" for key, value in (defaults | options).items()]
    return ["fio", "--name=job", "--output-format=json", *words]


def told(output: str) -> dict:
    """What a program has told in JSON, among what it has said besides."""
    return json.loads(output[output.index("{") : output.rindex("}") + 1])


def fio(path: Path, **options: object) -> dict:
    """Runs one fio job and returns its result; the job's own failure is for the caller to judge."""
    result = run(*fio_command(path, **options), check=False)
    return told(result.stdout)["jobs"][0]


# Tracepoints


@dataclasses.dataclass
class Event:
    """A line of the trace: the event's name, and the words that name its values."""

    name: str
    values: dict[str, str]

    def __getitem__(self, name: str) -> str | int:
        value = self.values[name]
        return int(value, 0) if re.fullmatch(r"-?(0x)?[0-9a-f]+", value) else value


@contextlib.contextmanager
def traced(*events: str) -> Iterator[list[Event]]:
    """Collects these events of the module, or all of them, in the order in which they happen."""
    collected: list[Event] = []
    instance = TRACING / "instances" / "rnull_dio"
    instance.mkdir()
    try:
        write(instance / "trace_clock", "global")
        group = instance / "events" / "rnull_dio"
        for event in events or [""]:
            write(group / event / "enable", 1)
        yield collected
        write(group / "enable", 0)
        lines = (instance / "trace").read_text().splitlines()
        collected += (parse_event(line) for line in lines if not line.startswith("#"))
    finally:
        instance.rmdir()


def parse_event(line: str) -> Event:
    name, text = re.search(r": (rnull_dio_\w+): (.*)", line).groups()
    words = text.split()
    return Event(name, dict(zip(words[::2], words[1::2], strict=True)))


@contextlib.contextmanager
def watched(path: Path) -> Iterator[list[str]]:
    """Collects what inotify tells of a file meanwhile."""
    names = {1: "access", 2: "modify"}
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_NONBLOCK)
    assert libc.inotify_add_watch(fd, str(path).encode(), sum(names)) >= 0
    events: list[str] = []
    yield events
    with contextlib.suppress(BlockingIOError):
        while data := os.read(fd, 65536):
            # A watch, a mask, and two words more; the file itself has no name.
            events += [names[mask] for _, mask, _, _ in struct.iter_unpack("iIII", data)]
    os.close(fd)


def pins() -> int:
    """How many pages are pinned, as far as the kernel counts them."""
    stat = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    return int(stat["nr_foll_pin_acquired"]) - int(stat["nr_foll_pin_released"])


def monitor(command: str, timeout: float = 60) -> None:
    """Has QEMU carry out a command of its monitor."""
    before = MONITOR.read_text().count("\n") if MONITOR.exists() else 0
    Path("/dev/kmsg").write_text(f"lab: monitor {command}\n")
    wait_for(lambda: MONITOR.exists() and MONITOR.read_text().count("\n") > before, timeout)


def wait_for(condition, timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
