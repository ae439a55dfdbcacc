# SPDX-License-Identifier: GPL-2.0
"""PostgreSQL, with direct I/O."""

import os
import shutil
from pathlib import Path

from guest import programs, system
from guest.programs import PATIENCE, PROGRAMS, USR

BIN = next(USR.glob("lib/postgresql/*/bin"), USR)

# The server does not run as root.
USER = 65534
UNPRIVILEGED = {"user": USER, "group": USER, "extra_groups": []}

# The buffers do not hold the tables, and checkpoints come often, so that pages are written all the
# time.
SETTINGS = {
    "debug_io_direct": "data,wal",
    "wal_sync_method": "open_datasync",
    "shared_buffers": "4MB",
    "max_wal_size": "8MB",
    "autovacuum": "off",
    "jit": "off",
    "listen_addresses": "",
    "unix_socket_directories": "/tmp",
}
# From this version on, I/O is asynchronous.
ASYNCHRONOUS = 18

# The balances of accounts, tellers and branches, and what the transfers have made of them
SUMS = """
    SELECT (SELECT sum(abalance) FROM pgbench_accounts),
        (SELECT sum(tbalance) FROM pgbench_tellers), (SELECT sum(bbalance) FROM pgbench_branches),
        (SELECT sum(delta) FROM pgbench_history), (SELECT count(*) FROM pgbench_history)
"""


def run(name: str, *words: object) -> str:
    """Runs one of PostgreSQL's programs."""
    return programs.run(BIN / name, *words, cwd="/tmp", **UNPRIVILEGED)


def settings() -> list[str]:
    version = int(BIN.parent.name)
    more = {"io_method": "io_uring"} if version >= ASYNCHRONOUS else {}
    return [word for name, value in (SETTINGS | more).items() for word in ("-c", f"{name}={value}")]


class Server:
    """A server of an empty database in the directory WHERE, which it makes; shut down at the end of
    the with statement."""

    def __init__(self, where: Path):
        self.data = where / "postgresql"
        self.log = Path("/run/postgresql.log")

    def __enter__(self):
        shutil.copytree(PROGRAMS / "postgresql", self.data)
        for path in [self.data, *self.data.rglob("*")]:
            os.chown(path, USER, USER)
        self.data.chmod(0o700)
        with self.log.open("w") as log:
            self.process = programs.start(
                BIN / "postgres",
                "-D",
                self.data,
                *settings(),
                stdout=log,
                stderr=log,
                **UNPRIVILEGED,
            )
        system.wait_for(lambda: self.is_ready() or self.process.poll() is not None, PATIENCE)
        assert self.process.poll() is None, self.log.read_text()
        return self

    def __exit__(self, *_):
        # PostgreSQL shuts down without waiting for its clients.
        self.process.send_signal(2)
        assert self.process.wait(PATIENCE) == 0, self.log.read_text()

    def is_ready(self) -> bool:
        return "ready to accept connections" in self.log.read_text()

    def bench(self, *options: object) -> str:
        """Runs pgbench."""
        return run("pgbench", "-h", "/tmp", "-U", "postgres", *options, "postgres")

    def query(self, statement: str) -> list[str]:
        """Returns the columns of a row."""
        words = ("-h", "/tmp", "-U", "postgres", "-A", "-t", "-c", statement, "postgres")
        return run("psql", *words).strip().split("|")

    def check(self, transactions: int) -> None:
        """Checks what transactions of pgbench have made of the balances."""
        *sums, number = self.query(SUMS)
        assert len(set(sums)) == 1, sums
        assert int(number) == transactions

    def check_pages(self) -> None:
        """Checks all pages, after the server has ended."""
        run("pg_checksums", "--check", "-D", self.data)
