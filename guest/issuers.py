# SPDX-License-Identifier: GPL-2.0
"""Issuers of direct I/O with the same methods, for tests that choose each request."""

import os
from collections.abc import Iterator
from functools import partial

from guest import aio, uring


class Synchronous:
    """Issues requests by pread and pwrite, which return when they are complete."""

    def __init__(self):
        self.done: list[tuple[int, int]] = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def queue_file(
        self, opcode: int, fd: int, memory, pos: int, rw_flags: int = 0, user_data: int = 0
    ) -> None:
        transfer = {uring.READ_FILE: os.preadv, uring.WRITE_FILE: os.pwritev}[opcode]
        try:
            result = transfer(fd, [memory], pos, rw_flags)
        except OSError as error:
            result = -error.errno
        self.done.append((user_data, result))

    def submit(self) -> None:
        pass

    def completions(self, count: int) -> Iterator[tuple[int, int]]:
        for _ in range(count):
            yield self.done.pop(0)


class Commands(uring.Ring):
    """Issues requests of a diofs by commands of io_uring."""

    def queue_file(
        self, opcode: int, fd: int, memory, pos: int, rw_flags: int = 0, user_data: int = 0
    ) -> None:
        command = {uring.READ_FILE: uring.READ, uring.WRITE_FILE: uring.WRITE}[opcode]
        flags = {0: 0, os.RWF_DSYNC: uring.DSYNC}[rw_flags]
        self.queue(command, fd, memory, pos, cmd_flags=flags, user_data=user_data)


# By system calls that all file systems have
ISSUERS = {
    "psync": Synchronous,
    "libaio": aio.Context,
    "io_uring": uring.Ring,
    "io_uring-polled": partial(uring.Ring, uring.IOPOLL),
}

ALL_ISSUERS = ISSUERS | {
    "command": Commands,
    "command-polled": partial(Commands, uring.IOPOLL),
}

Issuer = Synchronous | aio.Context | uring.Ring


def run(issuer: Issuer, opcode: int, fd: int, memory, pos: int, rw_flags: int = 0) -> int:
    """Issues one request and returns its result."""
    issuer.queue_file(opcode, fd, memory, pos, rw_flags)
    issuer.submit()
    (result,) = (result for _, result in issuer.completions(1))
    return result
