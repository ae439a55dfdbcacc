# SPDX-License-Identifier: GPL-2.0
"""Who completes a request, under every policy."""

import contextlib
import errno
import mmap
import os
import re
import subprocess
import threading
import time
from pathlib import Path

import lab
import pytest
import uring

POLICIES = ["auto", "workqueue", "defer", "inline"]

IO_URING = {"ioengine": "io_uring", "iodepth": 8}
ISSUERS = {
    "libaio": {"ioengine": "libaio", "iodepth": 8},
    "io_uring": IO_URING,
    "io_uring-sqpoll": {**IO_URING, "sqthread_poll": 1},
    "io_uring-forced-async": {**IO_URING, "force_async": 1},
    "io_uring-polled": {**IO_URING, "hipri": 1},
}

# Who completes writes under a policy, if their submitter does not: of issuers that defer, of those
# that do not, and of those that poll.
WRITES = {
    "auto": ("inline", "inline", "reaper"),
    "workqueue": ("worker", "worker", "worker"),
    "defer": ("issuer", "worker", "reaper"),
    "inline": ("inline", "inline", "reaper"),
}

# The same for writes of which the page cache has pages elsewhere in the file.
CACHED_WRITES = {**WRITES, "inline": ("worker", "worker", "worker")}

# How often a task waits for its own writes; "make deadlock" has it do so more often.
ROUNDS = int(os.environ.get("ROUNDS", "200"))

WRITTEN = 256 << 10
COUNT = WRITTEN // lab.BLOCK
CACHED = 4 << 20


def timer_disk(null_disk, nsec):
    return null_disk(
        memory_backed=1, size=64, blocksize=512, irqmode=2, completion_nsec=nsec, poll_queues=1
    )


@pytest.fixture
def slow_disk(null_disk):
    """A disk that takes its time, so that submitters are gone when a request ends."""
    return timer_disk(null_disk, 2_000_000)


@pytest.fixture
def very_slow_disk(null_disk):
    """A disk that lets tasks exit while their requests are under way."""
    return timer_disk(null_disk, 20_000_000)


def write_all(data, policy, **options):
    """Writes at random with fio under POLICY, and returns how many requests took which route."""
    lab.run("mount", "-o", f"remount,completion={policy}", data.parent)
    before = lab.routes_of(data)
    job = lab.fio(data, rw="randwrite", size=WRITTEN, **options)
    assert job["error"] == 0
    return lab.grown(lab.routes_of(data), before)


def column(issuer):
    if issuer.endswith("polled"):
        return 2
    # Without dio_complete, io_uring's threads belong to nobody.
    defers = issuer == "io_uring" or (issuer.endswith("async") and lab.HAS_DIO_COMPLETE)
    return 0 if defers else 1


def check(routes, expected):
    assert sum(routes.values()) == COUNT
    # Whoever submits it completes what has ended by then.
    routes.pop("submitter", None)
    assert set(routes) == {expected}


@pytest.mark.parametrize("issuer", ISSUERS)
def test_writes(issuer, slow_disk, diofs):
    data = diofs(slow_disk)
    for policy in POLICIES:
        routes = write_all(data, policy, **ISSUERS[issuer])
        check(routes, WRITES[policy][column(issuer)])


@contextlib.contextmanager
def pages_in_cache(data):
    """Keeps pages of the file in the page cache, behind those that are written."""
    lab.read_into_cache(data, CACHED)
    with lab.opened(data, os.O_RDONLY) as fd:
        yield
        # They still are, as nobody has written to them.
        assert os.preadv(fd, [bytearray(4096)], CACHED, os.RWF_NOWAIT) == 4096


@pytest.mark.parametrize("issuer", ["libaio", "io_uring", "io_uring-polled"])
def test_writes_to_a_file_with_cached_pages(issuer, device, diofs):
    data = diofs(device)
    for policy in POLICIES:
        with pages_in_cache(data):
            routes = write_all(data, policy, **ISSUERS[issuer])
        check(routes, CACHED_WRITES[policy][column(issuer)])


@contextlib.contextmanager
def pages_that_come_back(data):
    """Reads the pages that are written back into the page cache, again and again."""
    stop = threading.Event()

    def read_on():
        with lab.opened(data, os.O_RDONLY) as fd:
            while not stop.is_set():
                os.pread(fd, WRITTEN, 0)

    reader = threading.Thread(target=read_on)
    reader.start()
    try:
        yield
    finally:
        stop.set()
        reader.join()


@pytest.mark.parametrize("issuer", ["io_uring", "io_uring-polled"])
def test_writes_to_pages_that_come_back_into_the_cache(issuer, slow_disk, diofs):
    data = diofs(slow_disk)
    for policy in POLICIES:
        with pages_that_come_back(data):
            routes = write_all(data, policy, **ISSUERS[issuer], verify="crc32c")
        # What the cache has is what was written.
        with lab.opened(data) as direct, lab.opened(data, os.O_RDONLY) as buffered:
            assert os.pread(buffered, WRITTEN, 0) == lab.pread(direct, WRITTEN, 0)
        if issuer == "io_uring-polled" and policy in ("auto", "defer"):
            assert "worker" not in routes
        # io_uring issues a write that has to wait for pages from a thread of its own, to which
        # nothing can be handed over. All others of its requests go to the task.
        assert routes.keys() & {"issuer", "reaper", "worker"}


def transfer(ring, opcode, fd, memory):
    """Reads or writes all of MEMORY, from the beginning of the file on, a block a request."""
    for pos in range(0, len(memory), lab.BLOCK):
        ring.queue_file(opcode, fd, (uring.address(memory) + pos, lab.BLOCK), pos)
    ring.submit()
    assert set(ring.results(len(memory) // lab.BLOCK)) == {lab.BLOCK}


@pytest.mark.parametrize("cached", [False, True], ids=["uncached", "cached"])
def test_hybrid_polling(cached, device, diofs):
    # The ring sleeps for half of the time that its requests take, and only then polls.
    data = diofs(device)
    flags = uring.IOPOLL | uring.HYBRID_IOPOLL
    with contextlib.ExitStack() as stack:
        if cached:
            stack.enter_context(pages_in_cache(data))
        ring = stack.enter_context(uring.Ring(flags))
        fd = stack.enter_context(lab.opened(data))
        before = lab.routes(device)
        for seed in range(8):
            memory, back = lab.pattern(WRITTEN, seed), lab.aligned(WRITTEN)
            transfer(ring, uring.WRITE_FILE, fd, memory)
            transfer(ring, uring.READ_FILE, fd, back)
            assert back[:] == memory[:]
        routes = lab.grown(lab.routes(device), before)
    assert routes["reaper"] + routes.get("submitter", 0) == 8 * 2 * COUNT


def huge_memory(length):
    """Memory of huge pages, as far as there are any, so that few segments describe it."""
    huge = 2 << 20
    memory = mmap.mmap(-1, length + huge)
    with contextlib.suppress(OSError):
        memory.madvise(mmap.MADV_HUGEPAGE)
    offset = -uring.address(memory) % huge
    view = memoryview(memory)[offset : offset + length]
    view[:] = lab.pattern(length)[:]
    return view


def test_polled_requests_that_the_block_layer_splits(diofs):
    # It does not poll for them, though those that are submitted along with them are polled for.
    data = diofs(lab.drive("scratch"))
    size = 2 << 20
    memory = huge_memory(size)
    with lab.opened(data) as fd, uring.Ring(uring.IOPOLL) as ring:
        for length in (4096, 4096, size, 4096):
            ring.queue_file(uring.WRITE_FILE, fd, (uring.address(memory), length), 0)
        begin = time.monotonic()
        ring.submit()
        assert sorted(ring.results(4)) == [4096, 4096, 4096, size]
        # Not by the driver's timeout.
        assert time.monotonic() - begin < 20
        assert lab.pread(fd, size, 0) == bytes(memory)


@contextlib.contextmanager
def overlaid(data):
    """The file in an overlayfs on top of its file system, which passes on copies of kiocbs."""
    where, empty = Path("/run/overlay"), Path("/run/empty")
    for directory in where, empty:
        directory.mkdir(exist_ok=True)
    layers = f"lowerdir={data.parent}:{empty}"
    lab.run("mount", "-t", "overlay", "-o", layers, "overlay", where)
    try:
        yield where / data.name
    finally:
        lab.run("umount", where)


def read_bad_block(path, device):
    """Has a ring read a block that cannot be read; who has completed that."""
    before, memory = lab.routes(device), lab.aligned(lab.BLOCK)
    with lab.opened(path, os.O_RDONLY | os.O_DIRECT) as fd, uring.Ring() as ring:
        ring.queue_file(uring.READ_FILE, fd, memory, 0)
        ring.submit()
        assert list(ring.results(1)) == [-errno.EIO]
    return list(lab.grown(lab.routes(device), before))


@pytest.mark.skipif(lab.IS_DEBUG_KERNEL and not lab.HAS_DIO_COMPLETE, reason="has no overlayfs")
def test_copies_of_kiocbs_do_not_defer(very_slow_disk, diofs):
    # Whoever has made the copy knows nothing of us.
    data = diofs(very_slow_disk)
    memory = lab.pattern(WRITTEN)
    with lab.opened(data) as fd:
        os.pwritev(fd, [memory], 0)
    with overlaid(data) as copy:
        with lab.opened(copy, os.O_RDONLY | os.O_DIRECT) as fd, uring.Ring() as ring:
            back = lab.aligned(WRITTEN)
            transfer(ring, uring.READ_FILE, fd, back)
            assert back[:] == memory[:]
        sector = lab.DATA_START // 512
        lab.write(lab.CONFIGFS / very_slow_disk.name / "badblocks", f"+{sector}-{sector}")
        assert read_bad_block(copy, very_slow_disk) == ["worker"]
    assert read_bad_block(data, very_slow_disk) == ["issuer"]


@pytest.mark.parametrize("how", ["exit", "kill", "exec", "close", "thread"])
def test_issuers_that_go_away(how, very_slow_disk, diofs):
    data = diofs(very_slow_disk)
    events = lab.DEBUGFS / "diofs" / very_slow_disk.name / "events"
    for policy in POLICIES:
        lab.run("mount", "-o", f"remount,completion={policy}", data.parent)
        before = lab.counters(events)["refused"]
        # The program compares what it has written.
        for options in [], ["--defer-taskrun"]:
            lab.run(lab.SAMPLES / "abandon", "--rounds=5", f"--how={how}", *options, data)
        refused = lab.counters(events)["refused"] - before
        # io_uring itself takes care of what has been left in dio_complete.
        if policy == "defer" and how in ("exit", "kill") and not lab.HAS_DIO_COMPLETE:
            assert refused > 0
        elif policy != "defer" or lab.HAS_DIO_COMPLETE:
            assert refused == 0


@pytest.mark.parametrize(
    "options",
    [[], ["--depth=8"], ["--ftruncate"], ["--dirty-cache", "--depth=4"], ["--freeze"]],
    ids=" ".join,
)
def test_a_task_that_waits_for_its_own_writes(options, null_disk, diofs):
    # Long enough for the task to be asleep by the time that a write ends.
    device = timer_disk(null_disk, 200_000)
    data = diofs(device)
    for policy in POLICIES:
        lab.run("mount", "-o", f"remount,completion={policy}", data.parent)
        before = lab.routes(device)
        begin = time.monotonic()
        lab.run(lab.SAMPLES / "deadlock", f"--rounds={ROUNDS}", *options, data)
        print(f"{policy}: {ROUNDS} rounds in {time.monotonic() - begin:.0f} s, ", end="")
        print(lab.grown(lab.routes(device), before))
    assert lab.routes(device)["issuer"] > ROUNDS / 2


def test_which_contract_io_uring_is_deferred_by(slow_disk, diofs):
    data = diofs(slow_disk)
    check(write_all(data, "defer", **IO_URING), "issuer")
    native = lab.counters(lab.DEBUGFS / "diofs" / slow_disk.name / "events")["native"]
    assert native == (lab.routes(slow_disk)["issuer"] if lab.HAS_DIO_COMPLETE else 0)


def test_watchers_are_told_of_deferred_writes(slow_disk, diofs):
    # As they are of any other, though the super block's write count has been given back early.
    data = diofs(slow_disk, "-o", "completion=defer")
    with lab.watched(data) as events:
        lab.fio(data, rw="randwrite", size=WRITTEN, **IO_URING)
    assert lab.routes(slow_disk)["issuer"] > 0
    assert events.count("modify") > 0
    assert events.count("access") == 0


def test_errors_go_to_the_issuer(very_slow_disk, diofs):
    data = diofs(very_slow_disk)
    sector = lab.DATA_START // 512
    lab.write(lab.CONFIGFS / very_slow_disk.name / "badblocks", f"+{sector}-{sector}")
    for rw in ("read", "write"):
        job = lab.fio(data, rw=rw, size=16384, continue_on_error="io", **IO_URING)
        assert job["total_err"] == 1
    routes = lab.routes(very_slow_disk)
    assert (routes["issuer"], routes["worker"]) == (2, 0)


@pytest.mark.skipif(
    lab.IS_DEBUG_KERNEL, reason="a submission takes longer than a flush there; KUnit has this"
)
def test_durable_writes_share_flushes(null_disk, diofs):
    disk = null_disk(
        memory_backed=1, size=64, irqmode=2, completion_nsec=10000, write_cache=1, fua=0
    )
    data = diofs(disk)
    for engine in ("io_uring", "libaio"):
        before = lab.disk_counters(disk)["flush"]
        job = lab.fio(
            data,
            rw="randwrite",
            sync="dsync",
            size="2M",
            ioengine=engine,
            iodepth=32,
            verify="crc32c",
        )
        assert job["error"] == 0
        flushes = lab.disk_counters(disk)["flush"] - before
        # How many share one depends on how fast they are submitted; make compare has a figure.
        assert flushes < 0.5 * job["write"]["total_ios"]


def test_remounting_changes_the_policy(null_disk, diofs):
    disk = null_disk(memory_backed=1, size=64)
    data = diofs(disk)

    def mounted_with():
        (line,) = (
            line for line in Path("/proc/mounts").read_text().splitlines() if disk.name in line
        )
        return re.search(r"completion=(\w+)", line)[1]

    assert mounted_with() == "auto"
    for policy in POLICIES:
        lab.run("mount", "-o", f"remount,completion={policy}", data.parent)
        assert mounted_with() == policy
    # What is not mentioned stays as it is.
    lab.run("mount", "-o", "remount,noatime", data.parent)
    assert mounted_with() == POLICIES[-1]


@pytest.mark.parametrize(
    "option", ["completion=worker", "completion=", "completion", "policy=auto"]
)
def test_wrong_options_are_refused(option, null_disk, diofs):
    disk = null_disk(memory_backed=1, size=64)
    lab.run(lab.MKFS, "--force", disk)
    where = Path("/run/mnt")
    where.mkdir(exist_ok=True)
    result = lab.run("mount", "-t", "diofs", "-o", option, disk, where, check=False)
    assert result.returncode != 0
    # It is told which option, and if that is known, what it can be.
    assert option.partition("=")[0] in result.stderr
    if option.startswith("completion"):
        assert "auto, workqueue, defer, inline" in result.stderr
    data = diofs(disk)
    result = lab.run("mount", "-o", f"remount,{option}", data.parent, check=False)
    assert result.returncode != 0


def test_the_documentation_has_the_table_of_the_code():
    documented = Path("/src/Documentation/completion.rst").read_text()
    table = (lab.DEBUGFS / "routing").read_text()
    assert table.count("=====") > 10
    assert table.strip() in documented


@pytest.mark.parametrize(
    "options",
    [[], ["--poll"], ["--read"], ["--command"], ["--command", "--read", "--poll"]],
    ids=" ".join,
)
def test_a_thread_that_never_sleeps_sees_completions(options, slow_disk, diofs):
    data = diofs(slow_disk)
    command = [lab.SAMPLES / "reactor", "--depth=4", "--compute=5000", *options, data]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as reactor:
        lab.wait_for(lambda: sum(lab.routes(slow_disk).values()) > COUNT)
        reactor.terminate()
        told = lab.told(reactor.communicate()[0].decode())
    assert reactor.returncode == 0
    assert told["seen"] > COUNT
    # No transfer takes less than the disk, which does not wait for its timer if it is polled.
    assert (0 if "--poll" in options else 2_000_000) <= told["mean"] <= told["max"]
