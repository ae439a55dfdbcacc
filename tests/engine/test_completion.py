# SPDX-License-Identifier: GPL-2.0
"""Routes of completions, under every policy."""

import contextlib
import errno
import os
import re
import subprocess
import threading
import time
from pathlib import Path

import pytest

from guest import counters, devices, files, fio, kernel, system, tools, tracing, uring
from guest.filesystems import BLOCK, DATA_START
from guest.memory import address, aligned, huge, pattern
from guest.policies import NAMES as POLICIES
from guest.policies import ROUNDS

IO_URING = {"ioengine": "io_uring", "iodepth": 8}
ISSUERS = {
    "libaio": {"ioengine": "libaio", "iodepth": 8},
    "io_uring": IO_URING,
    "io_uring-sqpoll": {**IO_URING, "sqthread_poll": 1},
    "io_uring-forced-async": {**IO_URING, "force_async": 1},
    "io_uring-polled": {**IO_URING, "hipri": 1},
}

# The route of writes under a policy, unless their submitter completes them: for issuers that defer,
# for issuers that do not defer, and for issuers that poll.
WRITES = {
    "auto": ("inline", "inline", "reaper"),
    "workqueue": ("worker", "worker", "worker"),
    "defer": ("issuer", "worker", "reaper"),
    "inline": ("inline", "inline", "reaper"),
}

# The same for a file that has cached pages outside of what is written.
CACHED_WRITES = {**WRITES, "inline": ("worker", "worker", "worker")}

WRITTEN = 256 << 10
COUNT = WRITTEN // BLOCK
CACHED = 4 << 20


def timer_disk(null_disk, nsec):
    return null_disk(
        memory_backed=1, size=64, blocksize=512, irqmode=2, completion_nsec=nsec, poll_queues=1
    )


@pytest.fixture
def slow_disk(null_disk):
    """A disk so slow that the submitter has returned when a request ends."""
    return timer_disk(null_disk, 2_000_000)


@pytest.fixture(params=["nvme", "null"])
def slow_device(request):
    """The NVMe drive, and such a disk."""
    if request.param == "nvme":
        return devices.drive("scratch")
    return request.getfixturevalue("slow_disk")


@pytest.fixture
def very_slow_disk(null_disk):
    """A disk so slow that tasks can exit while their requests are under way."""
    return timer_disk(null_disk, 20_000_000)


def write_all(data, policy, **options):
    """Writes at random with fio under POLICY; returns how many requests took each route."""
    system.run("mount", "-o", f"remount,completion={policy}", data.parent)
    before = counters.routes_of(data)
    job = fio.run(data, rw="randwrite", size=WRITTEN, **options)
    assert job["error"] == 0
    return counters.grown(counters.routes_of(data), before)


def column(issuer):
    if issuer.endswith("polled"):
        return 2
    # Without dio_complete, requests of io_uring's worker threads are not deferred.
    defers = issuer == "io_uring" or (issuer.endswith("async") and kernel.HAS_DIO_COMPLETE)
    return 0 if defers else 1


def check(routes, expected):
    assert sum(routes.values()) == COUNT
    # The submitter completes requests whose bios end during submission.
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
    """Keeps pages of the file in the page cache, behind the pages that are written."""
    files.read_into_cache(data, CACHED)
    with files.opened(data, os.O_RDONLY) as fd:
        yield
        # They are still cached, because no write touches them.
        assert os.preadv(fd, [bytearray(4096)], CACHED, os.RWF_NOWAIT) == 4096


@pytest.mark.parametrize("issuer", ["libaio", "io_uring", "io_uring-polled"])
def test_writes_to_a_file_with_cached_pages(issuer, slow_device, diofs):
    data = diofs(slow_device)
    for policy in POLICIES:
        with pages_in_cache(data):
            routes = write_all(data, policy, **ISSUERS[issuer])
        check(routes, CACHED_WRITES[policy][column(issuer)])


@contextlib.contextmanager
def pages_that_come_back(data):
    """Keeps reading the pages that are written, so that they are cached again."""
    stop = threading.Event()

    def read_on():
        with files.opened(data, os.O_RDONLY) as fd:
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

        def is_left_to_a_task(policy: str = policy) -> bool:
            with pages_that_come_back(data):
                routes = write_all(data, policy, **ISSUERS[issuer], verify="crc32c")
            # The page cache agrees with the device.
            with files.opened(data) as direct, files.opened(data, os.O_RDONLY) as buffered:
                assert os.pread(buffered, WRITTEN, 0) == files.pread(direct, WRITTEN, 0)
            if issuer == "io_uring-polled" and policy in ("auto", "defer"):
                assert "worker" not in routes
            # io_uring issues a write that has to wait for pages from a worker thread, to which
            # nothing can be handed over. All other requests go to the task.
            return bool(routes.keys() & {"issuer", "reaper", "worker"})

        # Pages may not have come back in time for any write.
        system.wait_for(is_left_to_a_task)


def transfer(ring, opcode, fd, memory):
    """Reads or writes all of MEMORY at the beginning of the file, one block a request."""
    for pos in range(0, len(memory), BLOCK):
        ring.queue_file(opcode, fd, (address(memory) + pos, BLOCK), pos)
    ring.submit()
    assert set(ring.results(len(memory) // BLOCK)) == {BLOCK}


@pytest.mark.parametrize("cached", [False, True], ids=["uncached", "cached"])
def test_hybrid_polling(cached, device, diofs):
    # The ring sleeps for half of the time that requests take on average, and then polls.
    data = diofs(device)
    flags = uring.IOPOLL | uring.HYBRID_IOPOLL
    with contextlib.ExitStack() as stack:
        if cached:
            stack.enter_context(pages_in_cache(data))
        ring = stack.enter_context(uring.Ring(flags))
        fd = stack.enter_context(files.opened(data))
        before = counters.routes(device)
        for seed in range(8):
            memory, back = pattern(WRITTEN, seed), aligned(WRITTEN)
            transfer(ring, uring.WRITE_FILE, fd, memory)
            transfer(ring, uring.READ_FILE, fd, back)
            assert back[:] == memory[:]
        routes = counters.grown(counters.routes(device), before)
    assert routes["reaper"] + routes.get("submitter", 0) == 8 * 2 * COUNT


def test_polled_requests_that_the_block_layer_splits(diofs):
    # A bio that is split is not polled, but bios of the same batch are.
    data = diofs(devices.drive("scratch"))
    size = 2 << 20
    memory = huge(size)
    memory[:] = pattern(size)[:]
    with files.opened(data) as fd, uring.Ring(uring.IOPOLL) as ring:
        for length in (4096, 4096, size, 4096):
            ring.queue_file(uring.WRITE_FILE, fd, (address(memory), length), 0)
        begin = time.monotonic()
        ring.submit()
        assert sorted(ring.results(4)) == [4096, 4096, 4096, size]
        # The driver's timeout, 30 s, would take longer.
        assert time.monotonic() - begin < 28
        assert files.pread(fd, size, 0) == bytes(memory)


@contextlib.contextmanager
def overlaid(data):
    """Gives the file through an overlayfs, which issues requests with kiocbs of its own."""
    where, empty = Path("/run/overlay"), Path("/run/empty")
    for directory in where, empty:
        directory.mkdir(exist_ok=True)
    layers = f"lowerdir={data.parent}:{empty}"
    system.run("mount", "-t", "overlay", "-o", layers, "overlay", where)
    try:
        yield where / data.name
    finally:
        system.run("umount", where)


def read_bad_block(path, device):
    """Reads a bad block by io_uring; returns the routes that were taken."""
    before, memory = counters.routes(device), aligned(BLOCK)
    with files.opened(path, os.O_RDONLY | os.O_DIRECT) as fd, uring.Ring() as ring:
        ring.queue_file(uring.READ_FILE, fd, memory, 0)
        ring.submit()
        assert list(ring.results(1)) == [-errno.EIO]
    return list(counters.grown(counters.routes(device), before))


@pytest.mark.skipif(kernel.IS_DEBUG and not kernel.HAS_DIO_COMPLETE, reason="has no overlayfs")
def test_copies_of_kiocbs_do_not_defer(very_slow_disk, diofs):
    # Only the issuer of the original kiocb could run what is deferred.
    data = diofs(very_slow_disk)
    memory = pattern(WRITTEN)
    with files.opened(data) as fd:
        os.pwritev(fd, [memory], 0)
    with overlaid(data) as copy:
        with files.opened(copy, os.O_RDONLY | os.O_DIRECT) as fd, uring.Ring() as ring:
            back = aligned(WRITTEN)
            transfer(ring, uring.READ_FILE, fd, back)
            assert back[:] == memory[:]
        devices.set_bad(very_slow_disk, DATA_START)
        # A submitter that pauses until the request has ended completes it.
        assert read_bad_block(copy, very_slow_disk) in (["worker"], ["submitter"])
    assert read_bad_block(data, very_slow_disk) in (["issuer"], ["submitter"])


@pytest.mark.parametrize("how", ["exit", "kill", "exec", "close", "thread"])
def test_issuers_that_go_away(how, very_slow_disk, diofs):
    data = diofs(very_slow_disk)
    for policy in POLICIES:
        system.run("mount", "-o", f"remount,completion={policy}", data.parent)
        before = counters.events(very_slow_disk)["refused"]
        # The program verifies what it has written.
        for options in [], ["--defer-taskrun"]:
            system.run(system.SAMPLES / "abandon", "--rounds=5", f"--how={how}", *options, data)
        refused = counters.events(very_slow_disk)["refused"] - before
        # With dio_complete, io_uring itself completes requests of tasks that exit.
        if policy == "defer" and how in ("exit", "kill") and not kernel.HAS_DIO_COMPLETE:
            assert refused > 0
        elif policy != "defer" or kernel.HAS_DIO_COMPLETE:
            assert refused == 0


@pytest.mark.parametrize(
    "options",
    [[], ["--depth=8"], ["--ftruncate"], ["--dirty-cache", "--depth=4"], ["--freeze"]],
    ids=" ".join,
)
def test_a_task_that_waits_for_its_own_writes(options, null_disk, diofs):
    # Slow enough that the task sleeps when a write ends.
    device = timer_disk(null_disk, 1_000_000)
    data = diofs(device)
    for policy in POLICIES:
        system.run("mount", "-o", f"remount,completion={policy}", data.parent)
        before = counters.routes(device)
        begin = time.monotonic()
        system.run(system.SAMPLES / "deadlock", f"--rounds={ROUNDS}", *options, data)
        print(f"{policy}: {ROUNDS} rounds in {time.monotonic() - begin:.0f} s, ", end="")
        print(counters.grown(counters.routes(device), before))
    assert counters.routes(device)["issuer"] > ROUNDS / 2


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--ftruncate"],
        ["--freeze"],
        ["--freeze", "--depth=8", "--dirty-cache"],
        ["--freeze", "--command"],
        ["--command", "--depth=8"],
        ["--freeze", "--dsync"],
    ],
    ids=" ".join,
)
def test_a_polling_task_that_waits_for_its_own_writes(options, null_disk, diofs):
    # Another task polls the device, so the writes end, but only this task would reap them.
    device = timer_disk(null_disk, 200_000)
    data = diofs(device)
    for policy in POLICIES:
        system.run("mount", "-o", f"remount,completion={policy}", data.parent)
        before = counters.routes(device)
        begin = time.monotonic()
        command = [system.SAMPLES / "deadlock", f"--rounds={ROUNDS}", "--poll", "--poll-beside"]
        system.run(*command, *options, data)
        print(f"{policy}: {ROUNDS} rounds in {time.monotonic() - begin:.0f} s, ", end="")
        print(counters.grown(counters.routes(device), before))
    if "--dsync" not in options:
        assert counters.routes(device)["reaper"] > ROUNDS


@pytest.mark.parametrize(
    "options",
    [[], ["--ftruncate"], ["--buffered-write"], ["--buffered-write", "--command", "--depth=4"]],
    ids=" ".join,
)
def test_a_task_that_waits_for_its_own_writes_and_alone_would_poll(options, null_disk, diofs):
    # Tasks that wait for direct I/O poll. The disk fails requests that are not polled in time.
    data = diofs(timer_disk(null_disk, 200_000))
    rounds = min(ROUNDS, 2000)
    system.run(system.SAMPLES / "deadlock", f"--rounds={rounds}", "--poll", *options, data)


def test_io_uring_defers_by_dio_complete_if_there_is_one(slow_disk, diofs):
    data = diofs(slow_disk)
    check(write_all(data, "defer", **IO_URING), "issuer")
    native = counters.events(slow_disk)["native"]
    assert native == (counters.routes(slow_disk)["issuer"] if kernel.HAS_DIO_COMPLETE else 0)


def test_watchers_see_deferred_writes(slow_disk, diofs):
    # As for any other write, although the super block's write count is dropped early.
    data = diofs(slow_disk, "-o", "completion=defer")
    with tracing.watched(data) as events:
        fio.run(data, rw="randwrite", size=WRITTEN, **IO_URING)
    assert counters.routes(slow_disk)["issuer"] > 0
    assert events.count("modify") > 0
    assert events.count("access") == 0


def test_errors_go_to_the_issuer(very_slow_disk, diofs):
    data = diofs(very_slow_disk)
    devices.set_bad(very_slow_disk, DATA_START)
    for rw in ("read", "write"):
        job = fio.run(data, rw=rw, size=16384, continue_on_error="io", **IO_URING)
        assert job["total_err"] == 1
    routes = counters.routes(very_slow_disk)
    assert routes["worker"] == 0
    # A submitter that pauses until a request has ended completes it.
    assert routes["issuer"] in (1, 2)


@pytest.mark.skipif(
    kernel.IS_DEBUG, reason="a submission takes longer than a flush there; KUnit has this"
)
def test_durable_writes_share_flushes(null_disk, diofs):
    disk = null_disk(
        memory_backed=1, size=64, irqmode=2, completion_nsec=10000, write_cache=1, fua=0
    )
    data = diofs(disk)
    for engine in ("io_uring", "libaio"):
        before = counters.disk(disk)["flush"]
        job = fio.run(
            data,
            rw="randwrite",
            sync="dsync",
            size="2M",
            ioengine=engine,
            iodepth=32,
            verify="crc32c",
        )
        assert job["error"] == 0
        flushes = counters.disk(disk)["flush"] - before
        # How many share a flush depends on the speed of submission; make compare measures it.
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
        system.run("mount", "-o", f"remount,completion={policy}", data.parent)
        assert mounted_with() == policy
    # An option that is not mentioned keeps its value.
    system.run("mount", "-o", "remount,noatime", data.parent)
    assert mounted_with() == POLICIES[-1]


@pytest.mark.parametrize(
    "option", ["completion=worker", "completion=", "completion", "policy=auto"]
)
def test_wrong_options_are_refused(option, null_disk, diofs):
    disk = null_disk(memory_backed=1, size=64)
    tools.mkfs_diofs("--force", disk)
    where = Path("/run/mnt")
    where.mkdir(exist_ok=True)
    result = system.run("mount", "-t", "diofs", "-o", option, disk, where, check=False)
    assert result.returncode != 0
    # The message has the option's name, and for a known option its values.
    assert option.partition("=")[0] in result.stderr
    if option.startswith("completion"):
        assert "auto, workqueue, defer, inline" in result.stderr
    data = diofs(disk)
    result = system.run("mount", "-o", f"remount,{option}", data.parent, check=False)
    assert result.returncode != 0


def test_the_documentation_has_the_table_of_the_code():
    documented = Path("/src/Documentation/engine/completion.rst").read_text()
    table = (counters.DEBUGFS / "routing").read_text()
    assert table.count("=====") > 10
    assert table.strip() in documented


@pytest.mark.parametrize(
    "options",
    [[], ["--poll"], ["--read"], ["--command"], ["--command", "--read", "--poll"]],
    ids=" ".join,
)
def test_a_thread_that_never_sleeps_sees_completions(options, slow_disk, diofs):
    data = diofs(slow_disk)
    command = [system.SAMPLES / "reactor", "--depth=4", "--compute=5000", *options, data]
    with system.running(command, stdout=subprocess.PIPE) as reactor:
        # The last ones may not have been seen.
        system.wait_for(lambda: counters.total(slow_disk) > 2 * COUNT)
        reactor.terminate()
        result = fio.job_output(reactor.communicate()[0].decode())
    assert reactor.returncode == 0
    assert result["seen"] > COUNT
    # The disk's timer is the minimum, but a polled disk does not wait for it.
    assert (0 if "--poll" in options else 2_000_000) <= result["mean"] <= result["max"]
