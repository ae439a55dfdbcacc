# SPDX-License-Identifier: GPL-2.0
"""MariaDB with Linux AIO: several clients transfer money between accounts, of which each has a text
that tells its version. A server that runs on the other side finds the same."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest import aio, bank, filesystems, live, mariadb, programs, system

pytestmark = pytest.mark.skipif("PROGRAMS" not in os.environ, reason="only for make programs")

DISK = {"memory_backed": 1, "size": 512, "blocksize": 512, "irqmode": 2, "submit_queues": 2}

TRANSFERS = int(os.environ.get("TRANSFERS", "200"))


@contextlib.contextmanager
def other_side(side: str) -> Iterator[str]:
    """Has new contexts belong to the other side within the with statement."""
    if side == "kernel":
        with aio.taken_over():
            yield "module"
    else:
        aio.switch_off()
        try:
            yield "kernel"
        finally:
            aio.switch_on()


@pytest.fixture(params=["xfs-attached", "ext4"])
def data(request, null_disk) -> Iterator[Path]:
    """An empty database in a file system."""
    kind, _, attached = request.param.partition("-")
    device = null_disk(**DISK)
    made = live.on_device if attached else filesystems.mainline
    with made(kind, device) as mount:
        where = mount / "database"
        mariadb.copy_database(where)
        yield where
        if attached:
            assert sum(live.routes().values()) > 0
    if not attached:
        live.check(kind, device)


@contextlib.contextmanager
def server_with(side: str, data: Path) -> Iterator[mariadb.Server]:
    """Runs a server, whose asynchronous reads and writes must be calls of Linux AIO of that side.
    When InnoDB recovers, it counts a few more than it submits."""
    asynchronous = 1
    with aio.used(side) as use, mariadb.Server(data) as server:
        settings = "@@innodb_use_native_aio, @@innodb_linux_aio, @@innodb_flush_method"
        assert server.query(f"SELECT {settings}") == [["1", "aio", "O_DIRECT"]]
        yield server
        if server.is_running():
            asynchronous = server.asynchronous()
    assert use.calls > 0.9 * asynchronous > 0


def test_mariadb_keeps_accounts(data, side):
    with server_with(side, data) as server:
        bank.make(server)
        for client in bank.start_clients(server, TRANSFERS):
            mariadb.rows_of(client)
        assert bank.check(server) == bank.CLIENTS * TRANSFERS
    mariadb.check_pages(data)
    with other_side(side) as other, server_with(other, data) as server:
        assert bank.check(server) == bank.CLIENTS * TRANSFERS
    mariadb.check_pages(data)


def test_mariadb_recovers(data, side):
    """A server is killed while its clients transfer. What was committed is there when one with the
    other side's AIO has recovered."""
    with server_with(side, data) as server:
        bank.make(server)
        clients = bank.start_clients(server, 1000 * TRANSFERS)
        system.wait_for(lambda: bank.number_of(server, "transfers") >= TRANSFERS, programs.PATIENCE)
        committed = bank.number_of(server, "transfers")
        server.kill()
        for client in clients:
            client.communicate(timeout=programs.PATIENCE)
            assert client.returncode != 0
    with other_side(side) as other, server_with(other, data) as server:
        assert bank.check(server) >= committed
    mariadb.check_pages(data)
