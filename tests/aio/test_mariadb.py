# SPDX-License-Identifier: GPL-2.0
"""MariaDB with Linux AIO: several clients transfer money between accounts, of which each has a text
that tells its version. A server that runs on the other side finds the same."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest import aio, filesystems, live, mariadb, system

pytestmark = pytest.mark.skipif("PROGRAMS" not in os.environ, reason="only for make programs")

DISK = {"memory_backed": 1, "size": 512, "blocksize": 512, "irqmode": 2, "submit_queues": 2}

ACCOUNTS = 4000
CLIENTS = 4
TRANSFERS = int(os.environ.get("TRANSFERS", "200"))

# A page has four of them.
TEXT = "REPEAT(MD5(CONCAT(id, ':', version)), 100)"

SCHEMA = f"""
    CREATE DATABASE bank;
    USE bank;
    CREATE TABLE accounts (id INT PRIMARY KEY, balance INT, version INT, text BLOB);
    CREATE TABLE transfers (id INT PRIMARY KEY AUTO_INCREMENT, source INT, target INT, amount INT);
    INSERT INTO accounts SELECT seq, 1000, 0, '' FROM seq_1_to_{ACCOUNTS};
    UPDATE accounts SET text = {TEXT};
    delimiter //
    CREATE PROCEDURE transfer(many INT) WHILE many > 0 DO
        SET @source = 1 + FLOOR(RAND() * {ACCOUNTS}), @target = 1 + FLOOR(RAND() * {ACCOUNTS});
        SET @amount = 1 + FLOOR(RAND() * 100);
        START TRANSACTION;
        UPDATE accounts SET version = version + (id = @source) + (id = @target),
            balance = balance - @amount * (id = @source) + @amount * (id = @target), text = {TEXT}
            WHERE id IN (@source, @target) ORDER BY id;
        INSERT INTO transfers (source, target, amount) VALUES (@source, @target, @amount);
        IF RAND() < 0.1 THEN ROLLBACK; ELSE COMMIT; SET many = many - 1; END IF;
    END WHILE //
"""

# Each account must be what the transfers have made of it.
WRONG = f"""
    SELECT COUNT(*) FROM bank.accounts LEFT JOIN (
        SELECT account, COUNT(*) AS number, SUM(amount) AS total FROM (
            SELECT source AS account, -amount AS amount FROM bank.transfers
            UNION ALL SELECT target, amount FROM bank.transfers
        ) AS parts GROUP BY account
    ) AS sums ON id = account
    WHERE version <> COALESCE(number, 0) OR balance <> 1000 + COALESCE(total, 0) OR text <> {TEXT}
"""


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


def start_clients(server: mariadb.Server, transfers: int) -> list[subprocess.Popen[str]]:
    """Makes the accounts, and starts clients that make so many transfers each."""
    server.query(SCHEMA)
    return [server.client(f"CALL bank.transfer({transfers})") for _ in range(CLIENTS)]


def number_of(server: mariadb.Server, rows: str) -> int:
    return int(server.query(f"SELECT COUNT(*) FROM bank.{rows}")[0][0])


def check(server: mariadb.Server) -> int:
    """Checks the tables and each account; returns the number of transfers."""
    tables = server.query("CHECK TABLE bank.accounts, bank.transfers EXTENDED")
    assert [row[2:] for row in tables] == [["status", "OK"]] * 2
    assert server.query(WRONG) == [["0"]]
    assert number_of(server, "accounts") == ACCOUNTS
    return number_of(server, "transfers")


def test_mariadb_keeps_accounts(data, side):
    with server_with(side, data) as server:
        for client in start_clients(server, TRANSFERS):
            mariadb.rows_of(client)
        assert check(server) == CLIENTS * TRANSFERS
    mariadb.check_pages(data)
    with other_side(side) as other, server_with(other, data) as server:
        assert check(server) == CLIENTS * TRANSFERS
    mariadb.check_pages(data)


def test_mariadb_recovers(data, side):
    """A server is killed while its clients transfer. What was committed is there when one with the
    other side's AIO has recovered."""
    with server_with(side, data) as server:
        clients = start_clients(server, 1000 * TRANSFERS)
        system.wait_for(lambda: number_of(server, "transfers") >= TRANSFERS, mariadb.PATIENCE)
        committed = number_of(server, "transfers")
        server.kill()
        for client in clients:
            client.communicate(timeout=mariadb.PATIENCE)
            assert client.returncode != 0
    with other_side(side) as other, server_with(other, data) as server:
        assert check(server) >= committed
    mariadb.check_pages(data)
