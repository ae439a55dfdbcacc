# SPDX-License-Identifier: GPL-2.0
"""Programs that do a fixed amount of work in a directory and check their data by their own means.
Each is a context manager that prepares, gives the function that does the work and returns the
number of transactions, and checks."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

from guest import bank, mariadb, postgresql, programs, system
from guest import fio as guest_fio

Work = Callable[[], int]
App = Callable[[Path], contextlib.AbstractContextManager[Work]]

# Transactions of each client, of each database
TRANSACTIONS = 25
CLIENTS = 4
# Writes of RocksDB, of each job of fio, of stress-ng and of QEMU
WRITES = 500


@contextlib.contextmanager
def run_postgresql(where: Path) -> Iterator[Work]:
    with postgresql.Server(where) as server:
        server.bench("-i", "-q", "-I", "dtGvp")
        server.query("CHECKPOINT")
        clients = ("-c", CLIENTS, "-t", TRANSACTIONS, "-n")

        def work() -> int:
            server.bench(*clients)
            return CLIENTS * TRANSACTIONS

        yield work
        server.check(CLIENTS * TRANSACTIONS)
    server.check_pages()


@contextlib.contextmanager
def run_mariadb(where: Path) -> Iterator[Work]:
    data = where / "mariadb"
    mariadb.copy_database(data)
    with mariadb.Server(data) as server:
        bank.make(server)

        def work() -> int:
            for client in bank.start_clients(server, TRANSACTIONS):
                mariadb.rows_of(client)
            return bank.CLIENTS * TRANSACTIONS

        yield work
        assert bank.check(server) == bank.CLIENTS * TRANSACTIONS
    mariadb.check_pages(data)


@contextlib.contextmanager
def run_rocksdb(where: Path) -> Iterator[Work]:
    options = {
        "db": where / "rocksdb",
        "num": WRITES,
        "value_size": 1000,
        "compression_type": "none",
        "write_buffer_size": 256 << 10,
        "use_direct_reads": "true",
        "use_direct_io_for_flush_and_compaction": "true",
        "seed": 1,
    }

    def db_bench(benchmarks: str, **more: object) -> None:
        words = [f"--{name}={value}" for name, value in (options | more).items()]
        programs.run(programs.USR / "bin/db_bench", f"--benchmarks={benchmarks}", *words)

    def work() -> int:
        db_bench("overwrite,readrandom", sync="true", use_existing_db="true")
        return WRITES

    db_bench("fillseq")
    yield work
    db_bench("verifychecksum", use_existing_db="true")
    programs.run(programs.USR / "bin/ldb", f"--db={options['db']}", "checkconsistency")


@contextlib.contextmanager
def run_fio(where: Path, engine: str) -> Iterator[Work]:
    path = where / "fio"
    guest_fio.lay_out(path, WRITES * 4096)
    common = {"filename": path, "ioengine": engine, "iodepth": 16, "size": WRITES * 4096}

    def work() -> int:
        jobs = {"job": {"rw": "randwrite", "verify": "crc32c", "fsync": 16}}
        assert guest_fio.run_jobs(common, jobs)["job"]["error"] == 0
        return WRITES

    yield work


@contextlib.contextmanager
def run_stress_ng(where: Path) -> Iterator[Work]:
    """Two of its workers write and verify, by system calls and by Linux AIO."""

    def stress(operations: int) -> None:
        hdd = ("--hdd", 1, "--hdd-ops", operations, "--hdd-opts", "direct,wr-rnd,fdatasync")
        aio = ("--aiol", 1, "--aiol-ops", operations)
        more = ("--hdd-bytes", "4m", "--verify", "--temp-path", where, "--metrics-brief")
        programs.run(programs.USR / "bin/stress-ng", *hdd, *aio, *more)

    def work() -> int:
        stress(WRITES)
        return 2 * WRITES

    stress(1)
    yield work


@contextlib.contextmanager
def run_qemu(where: Path, aio: str) -> Iterator[Work]:
    image = where / "image"
    size = WRITES * 4096
    fill = 0xA5

    def bench(writes: int) -> None:
        words = ("-t", "none", "-i", aio, "-f", "raw", "-s", 4096, "-d", 16, "-c", writes)
        write = ("-w", f"--pattern={fill}", "--flush-interval=64")
        system.run("qemu-img", "bench", *words, *write, image)

    def work() -> int:
        bench(WRITES)
        return WRITES

    system.run("qemu-img", "create", "-q", "-f", "raw", image, size)
    guest_fio.lay_out(image, size)
    bench(16)
    yield work
    read = system.run("qemu-io", "-n", "-f", "raw", "-c", f"read -q -P {fill} 0 {size}", image)
    assert (read.stdout, read.stderr) == ("", "")


APPS: dict[str, App] = {
    "PostgreSQL": run_postgresql,
    "MariaDB": run_mariadb,
    "RocksDB": run_rocksdb,
    "fio libaio": functools.partial(run_fio, engine="libaio"),
    "fio io_uring": functools.partial(run_fio, engine="io_uring"),
    "stress-ng": run_stress_ng,
    "QEMU native": functools.partial(run_qemu, aio="native"),
    "QEMU io_uring": functools.partial(run_qemu, aio="io_uring"),
}
