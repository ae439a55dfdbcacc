# SPDX-License-Identifier: GPL-2.0
"""Reads into memory whose pages are cleaned while the read is in flight."""

import mmap
import os
import time

import pytest

from guest import files, filesystems, kernel, uring
from guest.devices import drive, suspendable
from guest.memory import aligned, pattern
from guest.tasks import PATIENCE, Call

# System calls of x86-64
FDATASYNC = 75
TRUNCATE = 76

BLOCK = 4096
# How long the device takes for a request
SECONDS = 1.0
# With a cache and without FUA, durable writes need a flush.
SLOW = {
    "memory_backed": 1,
    "size": 64,
    "irqmode": 2,
    "completion_nsec": int(SECONDS * 1e9),
    "write_cache": 1,
}


@pytest.mark.skipif(kernel.IS_DEBUG, reason="has no device mapper")
def test_durable_writes_do_not_wait_for_the_page_locks_of_readers(null_disk, diofs):
    # A truncation holds the lock of a page until its writeback is over. To mark the page dirty
    # takes the lock; a durable write must not wait behind that.
    data = diofs(null_disk(**SLOW), "-o", "completion=inline")
    written = pattern(BLOCK)
    with (
        suspendable(drive("scratch")) as held,
        filesystems.mainline("ext4", held.path) as where,
        files.opened(data) as fd,
        uring.Ring() as reads,
        uring.Ring() as writes,
    ):
        page_file = where / "page"
        page_file.write_bytes(b"x" * BLOCK)
        os.sync()
        with page_file.open("r+b") as buffered, mmap.mmap(buffered.fileno(), BLOCK) as page:
            held.suspend()
            try:
                reads.queue_file(uring.READ_FILE, fd, page, 0)
                reads.submit()
                # The read has marked the page dirty; this cleans it.
                sync = Call(os.fdatasync, buffered.fileno())
                sync.wait_until_in(FDATASYNC)
                truncation = Call(os.truncate, page_file, 0)
                truncation.wait_until_in(TRUNCATE)
                # The read ends.
                time.sleep(SECONDS)
                writes.queue_file(uring.WRITE_FILE, fd, written, BLOCK, rw_flags=os.RWF_DSYNC)
                writes.submit()
                waiter = Call(next, writes.results(1))
                waiter.join(PATIENCE)
                in_time = not waiter.is_alive()
                # The read's page could not be marked dirty yet.
                blocked = truncation.is_alive()
            finally:
                # The file system on it could not be unmounted otherwise.
                held.resume()
            assert waiter.result() == BLOCK
            for call in (sync, truncation):
                call.result()
            assert next(reads.results(1)) == BLOCK
            assert (in_time, blocked) == (True, True)
    memory = aligned(BLOCK)
    with files.opened(data) as fd:
        os.preadv(fd, [memory], BLOCK)
    assert memory[:] == written[:]
