# SPDX-License-Identifier: GPL-2.0
"""io_setup(): what it refuses, what it makes, and what is counted."""

import ctypes
import mmap
import resource
from pathlib import Path

import pytest

from guest import aio, files
from guest.memory import aligned, protected
from guest.tasks import run_in_child

PROC = Path("/proc/sys/fs")
POSSIBLE_CPUS = Path("/sys/devices/system/cpu/possible")

# The largest number of requests that io_setup() may accept: twice as many events are 256 MiB.
LIMIT = (1 << 28) // 32 // 2


def setup(nr: int, pointer: object = None) -> int | str:
    """Calls io_setup(); a context that it makes remains."""
    return aio.result_of(aio.IO_SETUP, nr, pointer or ctypes.byref(ctypes.c_ulong()))


def rings() -> list[str]:
    """Returns the lines of /proc/self/maps that are about rings."""
    return [line for line in Path("/proc/self/maps").read_text().splitlines() if "[aio]" in line]


def nr_slots(nr: int) -> int:
    """Returns how many events the ring for NR requests has."""
    cpus = int(POSSIBLE_CPUS.read_text().strip().split("-")[-1]) + 1
    length = 32 + 32 * (2 * max(nr, 4 * cpus) + 2)
    pages = -(-length // mmap.PAGESIZE)
    return (pages * mmap.PAGESIZE - 32) // 32


@pytest.mark.parametrize("nr", [0, 1 << 32, -1, LIMIT + 1, 1 << 31 | 1 << 30])
def test_bad_numbers_of_requests(nr):
    # Only 32 bits count.
    assert setup(nr) == "EINVAL"


@pytest.mark.parametrize("nr", [LIMIT, 65537, 1 << 31, (1 << 31) + 1])
def test_more_requests_than_the_system_allows(nr, max_nr):
    # Twice 2^31 is 0 in 32 bits, which the kernel refuses as too much.
    files.write(max_nr, 65536)
    assert setup(nr) == "EAGAIN"


def test_a_context_that_exists_already(context):
    for value in (1, context.id):
        for nr in (1, 1 << 31):
            existing = ctypes.c_ulong(value)
            assert setup(nr, ctypes.byref(existing)) == "EINVAL"
            assert existing.value == value


def test_pointers_that_cannot_be_read(nowhere):
    assert setup(1, nowhere) == "EFAULT"
    assert setup(1, nowhere - 4) == "EFAULT"
    assert aio.result_of(aio.IO_SETUP, 1, 0) == "EFAULT"
    assert setup(0, nowhere) == "EFAULT"


def test_a_pointer_that_cannot_be_written(max_nr):
    files.write(max_nr, int(files.read(PROC / "aio-nr")) + 100)
    before = rings()
    with protected(aligned(mmap.PAGESIZE), mmap.PROT_READ) as where:
        # The context that is made goes away again, so that the limit is not reached.
        for _ in range(3):
            assert setup(60, where) == "EFAULT"
    assert rings() == before
    with aio.Context(60):
        pass


@pytest.mark.parametrize("nr", [1, 8, 62, 63, 64, 126, 1000, 5000])
def test_header(nr):
    with aio.Context(nr) as context:
        header = context.header
        assert header.magic == 0xA10A10A1
        assert (header.compat_features, header.incompat_features) == (1, 0)
        assert header.header_length == 32
        assert (header.head, header.tail) == (0, 0)
        assert header.nr == nr_slots(nr)
        assert not any(bytes(context.slots(header.nr)))
        assert context.id % mmap.PAGESIZE == 0


def test_mapping():
    before = rings()
    with aio.Context(1000) as context:
        (line,) = set(rings()) - set(before)
        addresses, access, offset, _, _, name = line.split(maxsplit=5)
        first, last = (int(word, 16) for word in addresses.split("-"))
        assert first == context.id
        assert last - first == 32 + 32 * context.header.nr
        assert (access, int(offset, 16)) == ("rw-s", 0)
        # CRIU recognizes rings by this name.
        assert name == "/[aio] (deleted)"
    assert rings() == before


def test_ids_are_the_places_in_the_table(side):
    # The module has a table by addresses.
    def child(_):
        contexts = [aio.Context(1) for _ in range(6)]
        ids = [0, 1, 2, 3, 4, 5] if side == "kernel" else [0] * 6
        assert [context.header.id for context in contexts] == ids
        for index in (1, 4):
            assert contexts[index].destroy() == 0
        ids = [1, 4, 6] if side == "kernel" else [0] * 3
        assert [aio.Context(1).header.id for _ in range(3)] == ids

    run_in_child(child)


def test_many_contexts(file):
    def child(_):
        contexts = [aio.Context(1) for _ in range(30)]
        for number, context in enumerate(contexts):
            memory = aligned(512)
            iocb = aio.request(aio.PREAD, file, memory, 512 * number % 65536, data=number)
            assert context.io_submit(iocb) == 1
        for number, context in reversed(list(enumerate(contexts))):
            (event,) = context.io_getevents(1, 1)
            assert (event.data, event.res) == (number, 512)
            assert context.destroy() == 0

    run_in_child(child)


def test_limit_of_all_contexts(max_nr):
    files.write(max_nr, int(files.read(PROC / "aio-nr")) + 100)
    with aio.Context(60) as first:
        assert setup(41) == "EAGAIN"
        with aio.Context(40) as second:
            assert setup(1) == "EAGAIN"
            assert second.destroy() == 0
        with aio.Context(40):
            assert first.destroy() == 0
            with aio.Context(60):
                assert setup(1) == "EAGAIN"


def test_more_memory_than_the_process_may_have(max_nr):
    files.write(max_nr, 1 << 20)

    def child(_) -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * mmap.PAGESIZE + (4 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for _ in range(3):
            assert setup(100_000) == "ENOMEM"
        with aio.Context(1000):
            pass

    run_in_child(child)
    with aio.Context((1 << 20) - int(files.read(PROC / "aio-nr"))):
        pass


def test_limit_after_exit(max_nr):
    files.write(max_nr, int(files.read(PROC / "aio-nr")) + 100)
    for _ in range(3):
        run_in_child(lambda _: aio.Context(60))
    with aio.Context(100):
        assert setup(1) == "EAGAIN"


def test_contexts_belong_to_the_side(side):
    def number() -> int:
        return int(files.read(PROC / "aio-nr"))

    before = number()
    with aio.Context(77):
        # The kernel counts what was asked for, of its own contexts.
        assert number() == before + (77 if side == "kernel" else 0)
    assert number() == before
