# SPDX-License-Identifier: GPL-2.0
"""MariaDB, with Linux AIO."""

import shutil
import signal
import subprocess
from pathlib import Path

from guest import programs, system
from guest.programs import PATIENCE, PROGRAMS, USR

# The first two are those of programs.sh. The buffer pool does not hold the tables, so that pages
# are read and written all the time.
OPTIONS = (
    "--innodb-log-file-size=8M",
    "--innodb-data-file-path=ibdata1:12M:autoextend",
    "--innodb-linux-aio=aio",
    "--innodb-buffer-pool-size=6M",
    "--innodb-random-read-ahead=ON",
    "--innodb-read-ahead-threshold=8",
    "--innodb-lru-scan-depth=128",
    "--innodb-max-dirty-pages-pct=10",
    "--skip-networking",
)


def start(program: Path, *words: object, **more: object) -> subprocess.Popen[str]:
    return programs.start(program, "--no-defaults", *words, **more)


def copy_database(data: Path) -> None:
    """Copies the empty database to a directory DATA that does not exist."""
    shutil.copytree(PROGRAMS / "data", data)


def check_pages(data: Path) -> None:
    """Checks all pages of a database without a server."""
    innochecksum = USR / "bin/innochecksum"
    # Between these are copies of pages that belong elsewhere, the doublewrite buffer.
    for pages in "--end-page=63", "--start-page=192":
        system.run(innochecksum, pages, data / "ibdata1")
    for path in [*data.glob("undo*"), *data.glob("*/*.ibd")]:
        system.run(innochecksum, path)


class Server:
    """A server of the database in DATA, with Linux AIO; shut down at the end of the with
    statement, unless it was killed."""

    def __init__(self, data: Path):
        self.socket = Path("/run/mariadb.sock")
        self.log = Path("/run/mariadb.log")
        self.data = data

    def __enter__(self):
        where = (f"--basedir={USR}", f"--datadir={self.data}", f"--socket={self.socket}")
        messages = f"--lc-messages-dir={USR}/share/mariadb"
        self.log.unlink(missing_ok=True)
        self.socket.unlink(missing_ok=True)
        with self.log.open("w") as log:
            words = ("--user=root", messages, *where, *OPTIONS)
            self.process = start(USR / "sbin/mariadbd", *words, stdout=log, stderr=log)
        system.wait_for(lambda: self.is_ready() or not self.is_running(), PATIENCE)
        assert self.is_running(), self.log.read_text()
        return self

    def __exit__(self, *_):
        if self.is_running():
            self.process.send_signal(signal.SIGTERM)
            status = self.process.wait(PATIENCE)
            assert status == 0, self.log.read_text()

    def is_ready(self) -> bool:
        return "ready for connections" in self.log.read_text()

    def is_running(self) -> bool:
        return self.process.poll() is None

    def client(self, statements: str) -> subprocess.Popen[str]:
        """Starts a client that executes STATEMENTS."""
        words = ("--batch", "--skip-column-names", f"--socket={self.socket}", "--user=root")
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return start(USR / "bin/mariadb", *words, f"--execute={statements}", **pipes)

    def query(self, statements: str) -> list[list[str]]:
        """Executes STATEMENTS; returns the rows of all results."""
        return rows_of(self.client(statements))

    def asynchronous(self) -> int:
        """Returns how many reads and writes InnoDB has submitted without waiting for them."""
        names = "'innodb_async_reads_total_count', 'innodb_async_writes_total_count'"
        rows = self.query(f"SHOW GLOBAL STATUS WHERE variable_name IN ({names})")
        assert len(rows) == 2
        return sum(int(value) for _, value in rows)

    def kill(self) -> None:
        """Kills the server, whatever is in flight."""
        self.process.kill()
        self.process.wait(PATIENCE)


def rows_of(client: subprocess.Popen[str]) -> list[list[str]]:
    """Waits for a client; returns the rows of all results."""
    output, errors = client.communicate(timeout=PATIENCE)
    assert client.returncode == 0, errors
    return [line.split("\t") for line in output.splitlines()]
