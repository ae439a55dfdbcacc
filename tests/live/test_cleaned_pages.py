# SPDX-License-Identifier: GPL-2.0
"""Reads into mapped memory that is written back while the read is in flight, and so cleaned."""

import mmap
import os
import threading
import time
from pathlib import Path

import pytest

from guest import files, filesystems, kernel, live, system, uring
from guest.devices import drive, suspendable
from guest.memory import pattern

BLOCK = 8192


def read_sync(fd: int, memory: mmap.mmap) -> int:
    return os.preadv(fd, [memory], 0)


def read_async(fd: int, memory: mmap.mmap) -> int:
    with uring.Ring() as ring:
        ring.queue_file(uring.READ_FILE, fd, memory, 0)
        ring.submit()
        return next(ring.results(1))


@pytest.mark.skipif(kernel.IS_DEBUG, reason="has no device mapper")
@pytest.mark.parametrize("read", [read_sync, read_async])
@pytest.mark.parametrize("kind", ["xfs", "ext4"])
def test_what_is_read_into_a_file_is_kept(kind, read, disk):
    """The writeback of the memory's own file is over before the device has written to the memory,
    so the page has to be written back again."""
    written = pattern(BLOCK)
    with (
        suspendable(drive("scratch")) as held,
        filesystems.mainline("ext4", disk) as where,
        filesystems.mainline(kind, held.path) as mount,
        live.attached(mount),
    ):
        (mount / "data").write_bytes(written)
        os.sync()
        target = where / "memory"
        target.write_bytes(b"x" * BLOCK)
        os.sync()
        results = []
        with (
            files.opened(mount / "data", os.O_RDONLY | os.O_DIRECT) as fd,
            target.open("r+b") as buffered,
            mmap.mmap(buffered.fileno(), BLOCK) as memory,
        ):
            files.set_cache(mount / "data", None)
            before = sum(live.routes().values())
            held.suspend()
            try:
                reader = threading.Thread(target=lambda: results.append(read(fd, memory)))
                reader.start()
                # The submission has marked the pages dirty; this cleans them.
                time.sleep(0.5)
                os.fdatasync(buffered.fileno())
            finally:
                # The file system on it could not be unmounted otherwise.
                held.resume()
            reader.join()
            assert results == [BLOCK]
            assert sum(live.routes().values()) == before + 1
            os.fdatasync(buffered.fileno())
        # What is not dirty is dropped.
        system.run("sync")
        files.write(Path("/proc/sys/vm/drop_caches"), 1)
        assert target.read_bytes() == written[:]
    live.check(kind, drive("scratch"))
