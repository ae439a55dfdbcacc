# SPDX-License-Identifier: GPL-2.0
"""Attaching and detaching: while I/O is going on, and what is refused."""

import contextlib
import errno
import os
from pathlib import Path

import pytest

from guest import files, filesystems, fio, kernel, live, system

# How often a file system is attached and detached under load
TURNS = int(os.environ.get("TURNS", kernel.fewer(25)))


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
def test_attaching_and_detaching_under_load(kind, disk):
    with filesystems.mainline(kind, disk) as mount, contextlib.ExitStack() as stack:
        loads = []
        for name, options in live.LOADS.items():
            fio.lay_out(mount / name, 1 << 20)
            loads.append(stack.enter_context(fio.verifying(mount / name, size="1M", **options)))
        taken = 0
        with live.directory() as where:
            files.write(where / "path", mount)
            for _ in range(TURNS):
                files.write(where / "attached", 1)
                system.wait_for(lambda: sum(live.routes().values()) > 10)
                taken += sum(live.routes().values())
                files.write(where / "attached", 0)
        for load in loads:
            fio.stop_verifying(load)
        assert taken > 10 * TURNS
    live.check(kind, disk)


def refused(attribute: Path, value: object, number: int, message: str) -> None:
    """Checks that an attribute refuses a value with an error and a line in the log."""
    with kernel.new_log_lines() as lines, pytest.raises(OSError, match="") as refusal:
        files.write(attribute, value)
    assert refusal.value.errno == number
    assert message in "\n".join(lines)


def test_values_are_shown_as_they_were_set(disk):
    with filesystems.mainline("xfs", disk) as mount, live.directory() as where:
        assert [files.read(where / name) for name in ("path", "completion", "attached")] == [
            "",
            "auto",
            "0",
        ]
        files.write(where / "path", mount)
        files.write(where / "completion", "inline")
        files.write(where / "attached", 1)
        assert [files.read(where / name) for name in ("path", "completion", "attached")] == [
            str(mount),
            "inline",
            "1",
        ]
        files.write(where / "completion", "auto")
        assert files.read(where / "completion") == "auto"
        files.write(where / "attached", 0)
        assert files.read(where / "attached") == "0"


def test_paths_that_are_refused(disk, null_disk):
    other = null_disk("other", memory_backed=1, size=64)
    with (
        filesystems.mainline("xfs", disk) as mount,
        filesystems.diofs(other) as data,
        live.directory() as where,
    ):
        (mount / "dir").mkdir()
        (mount / "file").touch()
        for path, number, message in (
            ("/nowhere", errno.ENOENT, "there is no such path"),
            (mount / "file", errno.ENOTDIR, "the path is not a directory"),
            (mount / "dir", errno.EXDEV, "the path is not the root of a mount"),
            (data.parent, errno.EOPNOTSUPP, "the file system is neither XFS nor ext4"),
            ("", errno.ENOENT, "there is no such path"),
        ):
            files.write(where / "path", path)
            refused(where / "attached", 1, number, message)
            assert files.read(where / "attached") == "0"
        files.write(where / "path", mount)
        system.run("mount", "-o", "remount,ro", mount)
        refused(where / "attached", 1, errno.EROFS, "the mount is read-only")


def test_a_file_system_is_attached_once(disk):
    with filesystems.mainline("ext4", disk) as mount, live.attached(mount, "first"):
        with live.directory("second") as where:
            files.write(where / "path", mount)
            refused(where / "attached", 1, errno.EBUSY, "attached already")
        first = live.CONFIGFS / "first"
        refused(first / "path", "/", errno.EBUSY, "the file system is attached")
        refused(first / "completion", "eager", errno.EINVAL, "there is no such policy")
        # Again, which changes nothing
        files.write(first / "attached", 1)


def test_an_attached_file_system_and_the_module_stay(disk):
    with filesystems.mainline("xfs", disk) as mount, live.attached(mount):
        assert system.run("umount", mount, check=False).returncode != 0
        assert system.run("rmmod", "rnull_dio", check=False).returncode != 0


def test_several_at_a_time(disk, null_disk):
    other = null_disk("other", memory_backed=1, size=512)
    with (
        live.on_device("xfs", disk, name="one") as first,
        live.on_device("ext4", other, name="two") as second,
    ):
        for mount, name in (first, "one"), (second, "two"):
            fio.lay_out(mount / "data", 1 << 20)
            before = sum(live.routes(name).values())
            assert before > 0
            job = fio.run(mount / "data", rw="randwrite", size="1M", ioengine="libaio")
            assert job["error"] == 0
            assert sum(live.routes(name).values()) == before + 256


def test_what_is_not_attached_is_not_taken(disk, null_disk):
    other = null_disk("other", memory_backed=1, size=512)
    with live.on_device("xfs", disk), filesystems.mainline("xfs", other) as mount:
        job = fio.run(
            mount / "data", rw="randwrite", size="1M", ioengine="libaio", allow_file_create=1
        )
        assert job["error"] == 0
        assert sum(live.routes().values()) == 0
        assert live.passed() == {}
