# SPDX-License-Identifier: GPL-2.0
"""Durable writes by several issuers, and the check of what is left of them after a power cut."""

import contextlib
import itertools
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from guest import files, filesystems, generations, live, system, uring
from guest.filesystems import BLOCK
from guest.issuers import ALL_ISSUERS, Issuer
from guest.memory import filled

BLOCKS = 128
DEPTH = 8

MIB = 1 << 20

# What the device has before the file system is made
STALE = b"stale " * 3 + b"data: "

# The generation of each block of the files, by their names
Generations = dict[str, list[int]]

KINDS = ("growth", "unwritten", "holes", "overwrites")
WAYS = ("dsync", "fdatasync")


class File:
    """Blocks of a file from START on, in bytes, and the generation of each for which a write was
    begun, and was acknowledged as durable last. Each block is written once, and then
    overwritten."""

    def __init__(self, path: Path, name: str, way: str, start: int = 0):
        self.path, self.name, self.way, self.start = path, name, way, start
        self.begun, self.acknowledged = [0] * BLOCKS, [0] * BLOCKS
        self.order = list(range(BLOCKS))
        self.written = 0

    @classmethod
    def made(cls, path: Path, kind: str, way: str) -> Self:
        """Makes a file of a certain kind."""
        made = cls(path, path.name, way)
        with files.opened(path, os.O_RDWR | os.O_CREAT) as fd:
            if kind == "unwritten":
                os.posix_fallocate(fd, 0, BLOCKS * BLOCK)
            elif kind == "holes":
                os.ftruncate(fd, BLOCKS * BLOCK)
            elif kind == "overwrites":
                os.pwrite(fd, bytes(BLOCKS * BLOCK), 0)
        if kind != "growth":
            random.Random(kind + way).shuffle(made.order)
        return made

    def write_some(self, issuer: Issuer, fd: int) -> bool:
        """Writes some blocks at the same time. Returns whether all writes have succeeded."""
        memories = {}
        for _ in range(DEPTH):
            number = self.order[self.written % BLOCKS]
            self.written += 1
            generation = self.begun[number] = self.begun[number] + 1
            memory = memories[number] = filled(generations.content(number, generation))
            rw_flags = os.RWF_DSYNC if self.way == "dsync" else 0
            position = self.start + number * BLOCK
            issuer.queue_file(uring.WRITE_FILE, fd, memory, position, rw_flags, number)
        issuer.submit()
        written = [number for number, result in self.reap(issuer) if result == BLOCK]
        if self.way == "fdatasync":
            os.fdatasync(fd)
            for number in written:
                self.acknowledged[number] = self.begun[number]
        return len(written) == DEPTH

    def reap(self, issuer: Issuer) -> Iterator[tuple[int, int]]:
        """Gives the number of each block whose write has ended, and the result."""
        for number, result in issuer.completions(DEPTH):
            if self.way == "dsync" and result == BLOCK:
                self.acknowledged[number] = self.begun[number]
            yield number, result


class Writer(threading.Thread):
    """Writes to files by one issuer, until it is stopped or a write fails."""

    def __init__(self, issuer: str, to: list[File]):
        super().__init__(daemon=True)
        self.issuer, self.files = issuer, to
        self.stopped = threading.Event()
        self.failed = False

    def run(self) -> None:
        with contextlib.ExitStack() as stack:
            fds = [stack.enter_context(files.opened(file.path)) for file in self.files]
            requests = stack.enter_context(ALL_ISSUERS[self.issuer]())
            try:
                while not self.stopped.is_set() and not self.failed:
                    for file, fd in zip(self.files, fds, strict=True):
                        self.failed = self.failed or not file.write_some(requests, fd)
            except OSError:
                self.failed = True


def of_every_kind(mount: Path, *issuers: str) -> list[Writer]:
    """Makes files of every kind for several issuers, on XFS or ext4."""
    writers = []
    for issuer in issuers:
        kinds = [(kind, way) for kind in KINDS for way in WAYS]
        made = [File.made(mount / f"{issuer}-{kind}-{way}", kind, way) for kind, way in kinds]
        writers.append(Writer(issuer, made))
    # The files are durable before the first write.
    system.run("sync", "--file-system", mount)
    return writers


def of_a_diofs(data: Path, *issuers: str) -> list[Writer]:
    """Gives parts of the file of a diofs to several issuers."""
    starts = itertools.count(step=BLOCKS * BLOCK)
    return [
        Writer(issuer, [File(data, f"{issuer}-{way}", way, next(starts)) for way in WAYS])
        for issuer in issuers
    ]


@contextlib.contextmanager
def writing(writers: list[Writer]) -> Iterator[None]:
    """Keeps writing."""
    for writer in writers:
        writer.start()
    try:
        yield
    finally:
        for writer in writers:
            writer.stopped.set()
        for writer in writers:
            writer.join(120)
            assert not writer.is_alive()


def acknowledged(writers: list[Writer]) -> Generations:
    """Returns what is durable."""
    return {file.name: list(file.acknowledged) for each in writers for file in each.files}


def begun(writers: list[Writer]) -> Generations:
    """Returns what may be there."""
    return {file.name: list(file.begun) for each in writers for file in each.files}


def writes(writers: list[Writer]) -> int:
    """Returns how many writes were acknowledged as durable."""
    return sum(map(sum, acknowledged(writers).values()))


def fill_with_stale_data(device: Path) -> None:
    """Fills a device with data that no file may show later."""
    memory = filled((STALE * (4 * MIB // len(STALE) + 1))[: 4 * MIB])
    with files.opened(device) as fd:
        for at in range(0, int(system.run("blockdev", "--getsize64", device).stdout), 4 * MIB):
            assert os.pwrite(fd, memory, at) == len(memory)


def complaints_about(name: str, data: bytes, oldest: list[int], newest: list[int]) -> Iterator[str]:
    """Gives what is wrong with the data of a file whose blocks should have these generations."""
    durable = [number for number in range(BLOCKS) if oldest[number]]
    if len(data) < BLOCK * (max(durable, default=-1) + 1):
        yield f"{name}: has only {len(data)} bytes"
    for at in range(0, len(data), BLOCK):
        number = at // BLOCK
        block = data[at : at + BLOCK].ljust(BLOCK, b"\0")
        if complaint := generations.complaint(number, block, oldest[number], newest[number]):
            yield f"{name}: {complaint}"


def complaints(mount: Path, oldest: Generations, newest: Generations) -> list[str]:
    """Returns what is wrong with the files after a power cut."""
    return [
        complaint
        for name in oldest
        for complaint in complaints_about(
            name, (mount / name).read_bytes(), oldest[name], newest[name]
        )
    ]


def check_diofs(device: Path, writers: list[Writer]) -> None:
    """Checks what the device of a diofs has after a power cut."""
    found = []
    for file in itertools.chain.from_iterable(writer.files for writer in writers):
        data = filesystems.on_device(device, BLOCKS * BLOCK, file.start)
        found += complaints_about(file.name, data, file.acknowledged, file.begun)
    assert found == [], "\n".join(found)


def check(kind: str, device: Path, oldest: Generations, newest: Generations) -> None:
    """Mounts a file system after a power cut, and checks the files, and the file system itself."""
    with filesystems.mounted(kind, device) as mount:
        found = complaints(mount, oldest, newest)
        assert found == [], "\n".join(found)
    live.check(kind, device)
