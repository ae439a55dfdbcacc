# SPDX-License-Identifier: GPL-2.0
"""tools/rnull-dio: attaching, detaching, the status, and what it says about wrong input."""

import contextlib
import errno
import functools
import itertools
import json
import mmap
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guest import files, filesystems, fio, kernel, live, system, tools

KINDS = pytest.mark.parametrize("kind", ["xfs", "ext4"])


tool = functools.partial(tools.run, tools.RNULL_DIO)


@contextlib.contextmanager
def attached(mount: Path, *words: str) -> Iterator[None]:
    """Attaches a file system as "it"."""
    tool("attach", mount, "--name=it", *words)
    try:
        yield
    finally:
        tool("detach", "it")


@contextlib.contextmanager
def load(data: Path) -> Iterator[subprocess.Popen]:
    """Has fio write and verify a file, and checks at the end that it did."""
    fio.lay_out(data, 1 << 20)
    with fio.verifying(data, size="1M", ioengine="io_uring", iodepth=8) as process:
        yield process
        fio.stop_verifying(process)


def fails(message: str, *words: object) -> None:
    """Checks that the tool fails with this one line, and leaves no item behind."""
    items = live.items()
    result = tool(*words, check=False)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == f"rnull-dio: {message}\n"
    assert live.items() == items


def status() -> list[dict]:
    return json.loads(tool("status", "--json").stdout)


@KINDS
def test_attaching_and_detaching_under_load(kind, disk):
    with filesystems.mainline(kind, disk) as mount, load(mount / "data"):
        by_default = f"run-mnt-{kind}-{disk.name}"[-23:].strip("-.")
        for option, name, what in (
            ("--completion=inline", by_default, mount),
            ("--name=other", "other", "other"),
        ):
            assert tool("attach", mount, option).stdout == f"{mount}: attached, as {name}\n"
            system.wait_for(lambda name=name: sum(live.routes(name).values()) > 50)
            assert tool("detach", what).stdout == f"{mount}: detached\n"
            assert live.items() == []
    live.check(kind, disk)


@KINDS
def test_the_status_has_the_counters(kind, disk):
    with filesystems.mainline(kind, disk) as mount:
        data = mount / "data"
        fio.lay_out(data, fio.SIZE)
        with attached(mount, "--completion=workqueue"):
            for engine in ("psync", "libaio"):
                assert fio.run(data, rw="randwrite", ioengine=engine)["error"] == 0
            (one,) = status()
            routes = live.routes("it")
            titles, row = tool("status").stdout.splitlines()
        assert one == {
            "name": "it",
            "path": str(mount),
            "type": kind,
            "device": str(disk),
            "completion": "workqueue",
            "requests": sum(routes.values()),
            "routes": routes,
            "passed": dict.fromkeys(one["passed"], 0),
            "requests_per_second": None,
        }
        assert one["requests"] == 2 * fio.SIZE // 4096
        used = [route for route, count in routes.items() if count]
        assert titles.split() == [
            *("name", "path", "type", "device", "completion", "requests"),
            *used,
            *("passed", "on"),
        ]
        assert row.split() == [
            *("it", str(mount), kind, str(disk), "workqueue"),
            *map(str, [one["requests"], *(routes[route] for route in used), 0]),
        ]
    assert tool("status").stdout == "no file system is attached\n"
    assert status() == []
    assert tool("detach", "--all").stdout == "no file system is attached\n"


@KINDS
def test_the_status_has_the_reasons(kind, disk):
    with filesystems.mainline(kind, disk) as mount:
        fio.lay_out(mount / "data", 1 << 20)
        with attached(mount):
            with (
                mmap.mmap(-1, 8192, prot=0) as inaccessible,
                files.opened(mount / "data") as fd,
                pytest.raises(OSError, match="Bad address"),
            ):
                os.pwritev(fd, [inaccessible], 0)
            assert live.passed("it") == {"fill": 1}
            (one,) = status()
            row = tool("status").stdout.splitlines()[1]
        assert one["passed"]["fill"] == 1
        assert row.endswith(" 1 (fill 1)")


def watched(shows_load: Callable[[str], bool], *words: object) -> str:
    """Returns the first line of "status --watch" that shows load, which on a slow machine not every
    one does. Checks that an interrupt ends it quietly."""
    command = [tools.RNULL_DIO, "status", "--watch=0.5", *words]
    with system.running(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        lines = itertools.islice(process.stdout, 200)
        line = next(filter(shows_load, lines), "")
        assert line, "no line shows load"
        process.send_signal(signal.SIGINT)
        errors = process.communicate()[1]
    assert process.returncode == 0
    assert errors == ""
    return line


def json_shows_load(line: str) -> bool:
    return bool(json.loads(line)[0]["requests_per_second"])


def row_shows_load(line: str) -> bool:
    return line.startswith("it ") and line.split()[6] not in ("-", "0")


@KINDS
def test_watching(kind, disk):
    with (
        filesystems.mainline(kind, disk) as mount,
        load(mount / "data"),
        attached(mount),
    ):
        (one,) = json.loads(watched(json_shows_load, "--json"))
        assert one["name"] == "it"
        assert watched(row_shows_load).split()[1] == str(mount)


def test_names_are_valid_and_unique(disk, null_disk):
    other = null_disk("other", memory_backed=1, size=512)
    point = Path("/run/a b") / ("long" * 20)
    point.mkdir(parents=True, exist_ok=True)
    with filesystems.mainline("xfs", disk) as first, filesystems.mainline("ext4", other) as second:
        tool("attach", first, "--name=run-mnt-ext4-other")
        try:
            fails(
                f"{second}: there is an item of the name run-mnt-ext4-other already",
                *("attach", second, "--name=run-mnt-ext4-other"),
            )
            tool("attach", second)
            assert set(live.items()) == {"run-mnt-ext4-other", "run-mnt-ext4-other-2"}
        finally:
            tool("detach", "--all")
        assert live.items() == []
        system.run("mount", "--bind", second, point)
        try:
            tool("attach", point)
            (one,) = status()
            # By another mount of the file system
            tool("detach", second)
        finally:
            system.run("umount", point)
        assert one["path"] == str(point)
        assert one["name"] == ("long" * 20)[-23:]


def test_paths_that_are_refused(disk, null_disk):
    other = null_disk("other", memory_backed=1, size=64)
    with filesystems.mainline("xfs", disk) as mount, filesystems.diofs(other) as data:
        inside, file, missing = mount / "dir", mount / "file", mount / "missing"
        inside.mkdir()
        file.touch()
        elsewhere = f"not the root of a mount; it belongs to the mount {mount}"
        fails(f"{inside}: {elsewhere}", "attach", inside)
        fails(f"{file}: not a directory", "attach", file)
        fails(f"{missing}: there is no such path", "attach", missing)
        for path, kind in ((data.parent, "diofs"), ("/run", "tmpfs")):
            reason = f"the file system, {kind}, is neither xfs nor ext4"
            fails(f"{path}: {reason}", "attach", path)
        fails(f"{mount}: not attached", "detach", mount)
        fails("nothing: not attached", "detach", "nothing")
        with attached(mount):
            fails(f"{mount}: attached already, as it", "attach", mount)
            fails(f"{inside}: not attached", "detach", inside)
        system.run("mount", "-o", "remount,ro", mount)
        fails(f"{mount}: mounted read-only", "attach", mount)


def test_words_that_are_refused():
    for words in (
        (),
        ("attach",),
        ("attach", "/run", "--completion=eager"),
        ("attach", "/run", "--name=a/b"),
        ("detach",),
        ("detach", "--all", "/run"),
        ("status", "--watch=0"),
        ("status", "--watch=soon"),
    ):
        result = tool(*words, check=False)
        assert result.returncode == 2
        assert result.stderr.startswith("usage: ")
    assert "attach" in system.run(tools.RNULL_DIO, "--help").stdout


def test_systems_that_are_refused():
    result = subprocess.run(
        [tools.RNULL_DIO, "status"], user=65534, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (1, "rnull-dio: only root can do this\n")
    with kernel.unloaded():
        message = "the module is not loaded: modprobe rnull_dio, or insmod rnull_dio.ko"
        for words in (("attach", "/run"), ("detach", "--all"), ("status",)):
            fails(message, *words)
    for kind, where in (("configfs", "/sys/kernel/config"), ("debugfs", "/sys/kernel/debug")):
        system.run("umount", where)
        try:
            fails(f"{kind} is not mounted: mount -t {kind} {kind} {where}", "status")
        finally:
            system.run("mount", "-t", kind, kind, where)


def test_refusals_that_need_another_kernel(disk):
    """The reasons for errors that this kernel does not return here."""
    module = tools.module(tools.RNULL_DIO)
    with filesystems.mainline("xfs", disk) as mount:
        for number, words in (
            (errno.EOPNOTSUPP, "cannot redirect functions"),
            (errno.EBUSY, "redirected by another user"),
            (errno.ENOSPC, "too many file systems"),
            (errno.ENOMEM, "Cannot allocate memory"),
        ):
            assert words in module.live.why_refused(number, mount, {})
