# SPDX-License-Identifier: GPL-2.0
"""Accounts in MariaDB, between which clients transfer amounts. Each has a text that says how often
it has changed."""

import subprocess

from guest import mariadb

ACCOUNTS = 4000
CLIENTS = 4

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


def make(server: mariadb.Server) -> None:
    """Makes the accounts."""
    server.query(SCHEMA)


def start_clients(server: mariadb.Server, transfers: int) -> list[subprocess.Popen[str]]:
    """Starts clients that make so many transfers each."""
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
