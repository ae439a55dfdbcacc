# SPDX-License-Identifier: GPL-2.0
"""Files in debugfs that are open while the object that they show, or the module, is removed."""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from guest import counters, devices, files, filesystems, kernel, system
from guest.counters import DEBUGFS

DISK = "nulldisk"


@contextlib.contextmanager
def of_the_module() -> Iterator[Path]:
    """Gives a directory that lives as long as the module."""
    yield DEBUGFS


@contextlib.contextmanager
def of_a_disk() -> Iterator[Path]:
    with devices.null_disk(DISK, size=64):
        yield DEBUGFS / "disk" / DISK


@contextlib.contextmanager
def of_a_mount() -> Iterator[Path]:
    with devices.null_disk(DISK, memory_backed=1, size=64) as disk, filesystems.diofs(disk):
        yield counters.diofs_directory(disk)


Directory = Callable[[], AbstractContextManager[Path]]

# Objects that are removed before the module, and what makes their directories.
REMOVABLE: dict[str, Directory] = {
    "counters": of_a_disk,
    "routes": of_a_mount,
    "events": of_a_mount,
}
FILES: dict[str, Directory] = {"routing": of_the_module, **REMOVABLE}


def parametrize(which: dict[str, Directory]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("name", "directory"), which.items(), ids=which)


def unload() -> bool:
    """Returns whether the module could be unloaded."""
    return system.run("rmmod", "rnull_dio", check=False).returncode == 0


@parametrize(FILES)
def test_an_open_file_keeps_the_module(name: str, directory: Directory) -> None:
    with directory() as where:
        fd = os.open(where / name, os.O_RDONLY)
    # Nothing else of the module is in use.
    unloaded = unload()
    # debugfs reads the operations of the file, which are in the module.
    os.close(fd)
    unloaded_afterwards = unload()
    kernel.load_module()
    assert (unloaded, unloaded_afterwards) == (False, True)


@parametrize(REMOVABLE)
def test_a_removed_file_cannot_be_read(name: str, directory: Directory) -> None:
    with contextlib.ExitStack() as stack:
        with directory() as where:
            path = where / name
            fd = stack.enter_context(files.opened(path, os.O_RDONLY))
            assert os.pread(fd, 1, 0) != b""
        assert not path.exists()
        with pytest.raises(OSError, match=r"\w") as caught:
            os.pread(fd, 4096, 0)
        assert caught.value.errno == errno.EIO
        # The new file is another one. A disk may have got another number, and a mount another name.
        with directory() as where, files.opened(where / name, os.O_RDONLY) as other:
            assert os.pread(other, 4096, 0) != b""
            with pytest.raises(OSError, match=r"\w"):
                os.pread(fd, 4096, 0)


@parametrize(FILES)
def test_a_file_is_read_in_pieces(name: str, directory: Directory) -> None:
    with directory() as where:
        whole = (where / name).read_bytes()
        assert whole.endswith(b"\n")
        with files.opened(where / name, os.O_RDONLY) as fd:
            pieces = [os.pread(fd, 7, at) for at in range(0, len(whole), 7)]
        assert b"".join(pieces) == whole
