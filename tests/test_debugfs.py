# SPDX-License-Identifier: GPL-2.0
"""Files in debugfs that are open while what they show goes away, or the module."""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import lab
import pytest

DISK = "nulldisk"


@contextlib.contextmanager
def of_the_module() -> Iterator[Path]:
    """The directory of what lives as long as the module."""
    yield lab.DEBUGFS


@contextlib.contextmanager
def of_a_disk() -> Iterator[Path]:
    with lab.null_disk(DISK, size=64):
        yield lab.DEBUGFS / "disk" / DISK


@contextlib.contextmanager
def of_a_mount() -> Iterator[Path]:
    with lab.null_disk(DISK, memory_backed=1, size=64) as disk, lab.mounted(disk):
        yield lab.DEBUGFS / "diofs" / DISK


Directory = Callable[[], AbstractContextManager[Path]]

# What goes away before the module does, and what makes its directory.
REMOVABLE: dict[str, Directory] = {
    "counters": of_a_disk,
    "routes": of_a_mount,
    "events": of_a_mount,
}
FILES: dict[str, Directory] = {"routing": of_the_module, **REMOVABLE}


def files(which: dict[str, Directory]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("name", "directory"), which.items(), ids=which)


def unload() -> bool:
    """Returns whether the module could be unloaded."""
    return lab.run("rmmod", "rnull_dio", check=False).returncode == 0


@files(FILES)
def test_an_open_file_keeps_the_module(name: str, directory: Directory) -> None:
    with directory() as where:
        fd = os.open(where / name, os.O_RDONLY)
    # Nothing else of the module is in use.
    unloaded = unload()
    # debugfs reads the operations of the file, which are in the module.
    os.close(fd)
    unloaded_afterwards = unload()
    lab.run("insmod", lab.MODULE)
    assert (unloaded, unloaded_afterwards) == (False, True)


@files(REMOVABLE)
def test_a_removed_file_cannot_be_read(name: str, directory: Directory) -> None:
    with contextlib.ExitStack() as stack:
        with directory() as where:
            path = where / name
            fd = stack.enter_context(lab.opened(path, os.O_RDONLY))
            assert os.pread(fd, 1, 0) != b""
        assert not path.exists()
        with pytest.raises(OSError, match=r"\w") as caught:
            os.pread(fd, 4096, 0)
        assert caught.value.errno == errno.EIO
        # The name is free, and the new file is another one.
        with directory(), lab.opened(path, os.O_RDONLY) as other:
            assert os.pread(other, 4096, 0) != b""
            with pytest.raises(OSError, match=r"\w"):
                os.pread(fd, 4096, 0)


@files(FILES)
def test_a_file_is_read_in_pieces(name: str, directory: Directory) -> None:
    with directory() as where:
        whole = (where / name).read_bytes()
        assert whole.endswith(b"\n")
        with lab.opened(where / name, os.O_RDONLY) as fd:
            pieces = [os.pread(fd, 7, at) for at in range(0, len(whole), 7)]
        assert b"".join(pieces) == whole
