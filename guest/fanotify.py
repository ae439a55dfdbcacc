# SPDX-License-Identifier: GPL-2.0
"""Errors that a file system reports to fanotify (FAN_FS_ERROR)."""

import contextlib
import ctypes
import os
import select
import struct
from collections.abc import Iterator
from pathlib import Path

# From <linux/fanotify.h>
NONBLOCK = 0x2
REPORT_FID = 0x200
MARK_ADD = 0x1
MARK_FILESYSTEM = 0x100
FS_ERROR = 0x8000
INFO_FID = 1
INFO_ERROR = 5

# struct fanotify_event_metadata: event_len, vers, reserved, metadata_len, mask, fd, pid
METADATA = struct.Struct("=IBBHQii")
# struct fanotify_event_info_header: info_type, pad, len
INFO = struct.Struct("=BBH")
# The rest of struct fanotify_event_info_error: error, error_count
ERROR = struct.Struct("=iI")

# The error, how often it was reported, and the handle of the file
Report = tuple[int, int, bytes]


def parse(event: bytes) -> Report:
    """Parses an event without its metadata."""
    error, count, handle = 0, 0, b""
    while event:
        kind, _, length = INFO.unpack_from(event)
        body = event[INFO.size : length]
        if kind == INFO_ERROR:
            error, count = ERROR.unpack_from(body)
        elif kind == INFO_FID:
            handle = body
        event = event[length:]
    return error, count, handle


class Watch:
    """The reports of a file system."""

    def __init__(self, fd: int):
        self.fd = fd

    def next_reports(self, timeout: float) -> list[Report]:
        """Returns the reports that have arrived; waits for one, but not longer than TIMEOUT."""
        if not select.select([self.fd], [], [], timeout)[0]:
            return []
        data, reports = os.read(self.fd, 65536), []
        while data:
            length, _, _, metadata, mask, _, _ = METADATA.unpack_from(data)
            assert mask == FS_ERROR
            reports.append(parse(data[metadata:length]))
            data = data[length:]
        return reports


@contextlib.contextmanager
def watched(mount: Path) -> Iterator[Watch]:
    """Watches the file system that is mounted at MOUNT."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.fanotify_init(NONBLOCK | REPORT_FID, os.O_RDONLY)
    assert fd >= 0, os.strerror(ctypes.get_errno())
    try:
        flags, mask, path = MARK_ADD | MARK_FILESYSTEM, ctypes.c_uint64(FS_ERROR), bytes(mount)
        status = libc.fanotify_mark(fd, flags, mask, -1, path)
        assert status == 0, os.strerror(ctypes.get_errno())
        yield Watch(fd)
    finally:
        os.close(fd)
