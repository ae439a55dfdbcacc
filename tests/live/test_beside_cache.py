# SPDX-License-Identifier: GPL-2.0
"""Buffered and mapped reads beside direct writes on attached file systems.

A read that begins after the end of a direct write returns the data of that write, or later data.
"""

import contextlib
import mmap
import multiprocessing
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guest import files, generations, kernel, live, uring
from guest.filesystems import BLOCK
from guest.issuers import ISSUERS, Issuer
from guest.memory import filled
from guest.tasks import PATIENCE

# The first half of the file begins as data, the second as unwritten blocks. Blocks are few, so that
# writes often hit what is cached.
BLOCKS = 32
LENGTH = BLOCKS * BLOCK
# How long writes go on at least, and how many there are at least, and reads by each reader
SECONDS = 6 if kernel.IS_DEBUG else 2
WRITES = 100
READS = 10

# How many writes are in flight at a time; each has a part of the blocks.
DEPTH = 4
PART = BLOCKS // DEPTH

Read = Callable[[int, int], bytes]

# Readers are processes, because threads of Python would take turns.
FORK = multiprocessing.get_context("fork")

# How the readers read
WAYS = ("pread", "mapped")


class File:
    """A file, and, in memory that all processes share, the generation of each block for which a
    write was begun, and was acknowledged last, and the number of reads of each reader."""

    def __init__(self, path: Path):
        self.path = path
        words = memoryview(mmap.mmap(-1, 3 * 8 * BLOCKS)).cast("Q")
        self.begun, self.acknowledged = words[:BLOCKS], words[BLOCKS : 2 * BLOCKS]
        self.stopped, self.reads = words[2 * BLOCKS :], words[-len(WAYS) :]
        with files.opened(path, os.O_RDWR | os.O_CREAT) as fd:
            os.posix_fallocate(fd, 0, LENGTH)
            os.pwrite(fd, bytes(LENGTH // 2), 0)
            os.fsync(fd)


def read_once(file: File, read: Read, choose: random.Random) -> Iterator[str]:
    """Reads some blocks, and gives what is wrong with them."""
    first = choose.randrange(BLOCKS)
    count = min(choose.choice([1, 1, 2, 8]), BLOCKS - first)
    oldest = file.acknowledged[first : first + count].tolist()
    data = read(first * BLOCK, count * BLOCK)
    for index in range(count):
        block = data[index * BLOCK : (index + 1) * BLOCK]
        newest = file.begun[first + index]
        yield generations.complaint(first + index, block, oldest[index], newest)


def keep_reading(file: File, how: str, results: multiprocessing.SimpleQueue) -> None:
    """Reads until the writes are over. Puts what is wrong into a queue."""
    choose = random.Random(how)
    complaints = []
    with files.buffered(file.path) as fd, files.mapped(file.path, LENGTH) as memory:
        ways: dict[str, Read] = {
            "pread": lambda offset, length: os.pread(fd, length, offset),
            "mapped": lambda offset, length: memory[offset : offset + length],
        }
        while not file.stopped[0]:
            complaints += filter(None, read_once(file, ways[how], choose))
            file.reads[WAYS.index(how)] += 1
    results.put(complaints[:5])


@contextlib.contextmanager
def readers(file: File) -> Iterator[None]:
    """Keeps reading the file in other processes, buffered and by a mapping."""
    results = FORK.SimpleQueue()
    processes = [FORK.Process(target=keep_reading, args=(file, how, results)) for how in WAYS]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        file.stopped[0] = 1
        for process in processes:
            process.join(PATIENCE)
            process.kill()
    print(f"{file.reads.tolist()} reads")
    assert [process.exitcode for process in processes] == [0, 0]
    assert [results.get() for _ in processes] == [[], []]
    assert min(file.reads) > READS


def keep_writing(file: File, issuer: Issuer, fd: int) -> int:
    """Writes for some time; returns how many writes were acknowledged."""
    choose = random.Random(2)
    start = time.monotonic()
    writes = {}
    generation = 0

    def is_enough() -> bool:
        seconds = time.monotonic() - start
        enough = seconds > SECONDS and generation >= WRITES and min(file.reads) > READS
        # A reader may have failed.
        return enough or seconds > PATIENCE

    def begin(part: int) -> None:
        nonlocal generation
        generation += 1
        first = part * PART + choose.randrange(PART)
        blocks = range(first, choose.randint(first, part * PART + PART - 1) + 1)
        memory = filled(generations.contents(blocks, generation))
        writes[part] = (blocks, generation, memory)
        for number in blocks:
            file.begun[number] = generation
        issuer.queue_file(uring.WRITE_FILE, fd, memory, first * BLOCK, user_data=part)
        issuer.submit()

    for part in range(DEPTH):
        begin(part)
    while writes:
        ((part, result),) = issuer.completions(1)
        blocks, written, memory = writes.pop(part)
        assert result == len(memory)
        for number in blocks:
            file.acknowledged[number] = written
        if not is_enough():
            begin(part)
    return generation


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
@pytest.mark.parametrize("issuer", ISSUERS)
def test_reads_see_what_was_acknowledged(issuer, kind, disk):
    with live.on_device(kind, disk) as mount:
        file = File(mount / "data")
        with readers(file), ISSUERS[issuer]() as requests, files.opened(file.path) as fd:
            writes = keep_writing(file, requests, fd)
        print(f"{writes} writes, {live.routes()}")
        expected = b"".join(map(generations.content, range(BLOCKS), file.acknowledged.tolist()))
        with files.opened(file.path) as fd, files.buffered(file.path) as cached:
            assert files.pread(fd, LENGTH, 0) == expected
            assert os.pread(cached, LENGTH, 0) == expected
        assert live.passed() == {}
