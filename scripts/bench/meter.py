# SPDX-License-Identifier: GPL-2.0
"""Cost of I/O, in the guest: instructions, context switches, work items, time."""

import bisect
import contextlib
import ctypes
import mmap
import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from guest import fio as guest_fio
from guest import system

# Written by the QEMU plugin that counts, see count.c
COUNTS = Path("/results/counts")
# The instruction that the plugin waits for, and a return
CODE = bytes.fromhex("0f1f84006d61726b c3")

# Called once for each I/O of one bio, but again for each flush
SUBMISSION = "submit_bio_noacct"
# Called once for each I/O of io_uring that the submission has not returned the result of
COMPLETION = "io_complete_rw"
# Called once for each bio that gets a task's memory, so not for those of a file system's metadata
FILLING = "iov_iter_extract_bvecs"
CONTEXT_SWITCH = "finish_task_switch"
# Each is called once for a work item, unless it is inlined.
WORK_ITEM = ("process_one_work", "pwq_dec_nr_in_flight")
# Called for each request that a kernel with patches/ leaves to its issuer
DEFERRED = "inode_dio_defer"
# Called once for each flush, however many writes share it
FLUSH = "flush_end_io"
# Called once for each transaction of XFS and of ext4
TRANSACTION = ("xfs_trans_alloc [xfs]", "jbd2__journal_start [jbd2]")

# How many bytes a job transfers before the measurement begins
RAMP = 1 << 20


class Symbols:
    """The functions of the kernel and of its modules, as "NAME" or "NAME [MODULE]"."""

    def __init__(self) -> None:
        found: dict[int, str] = {}
        for line in Path("/proc/kallsyms").read_text().splitlines():
            address, kind, name, *module = line.split()
            if kind in "tTwW":
                # Compilers add a suffix to the name of a copy of a function.
                found.setdefault(int(address, 16), " ".join([name.partition(".")[0], *module]))
        self.addresses = sorted(found)
        self.names = [found[address] for address in self.addresses]

    def find(self, address: int) -> tuple[str, bool]:
        """Returns the function that contains ADDRESS, and whether it begins there."""
        index = bisect.bisect_right(self.addresses, address) - 1
        if index < 0:
            return "?", False
        return self.names[index], self.addresses[index] == address


class Command(list[str]):
    """One of PROGRAMS and its arguments. It does I/O until it is terminated, and then prints its
    results as JSON."""

    def __init__(self, *words: str) -> None:
        super().__init__(words)


def fio(path: Path, **options: object) -> Command:
    """Returns a job of fio that runs until it is terminated."""
    return Command(*guest_fio.command(path, time_based=1, runtime="1h", **options))


# Figures in the output of samples: how long transfers took, in ns, and system calls per read
TIMES = ("mean", "max", "io_submit", "io_getevents")
PROGRAMS = (Path("/usr/bin/fio"), system.SAMPLES / "reactor", system.SAMPLES / "aio_shared")
BIN = Path("/run/bin")
ENVIRONMENT = {"LD_LIBRARY_PATH": str(BIN), "LC_ALL": "C", "HOME": "/"}


def copy_programs() -> None:
    """Copies the programs to memory, because the guest's clock runs while it waits for the host."""
    BIN.mkdir(exist_ok=True)
    for program in PROGRAMS:
        libraries = re.findall(r"(/\S+) \(0x", system.run("ldd", program).stdout)
        system.run("cp", "--dereference", program, *libraries, BIN)


@dataclass
class Window:
    """What was executed between two markers."""

    user: int = 0
    # Instructions and calls, by function
    kernel: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    nanoseconds: int = 0
    # The program's own figures, see TIMES
    times: dict[str, float] = field(default_factory=dict)


class Marker:
    """Has QEMU write the counts of what was executed since the last marker."""

    def __init__(self) -> None:
        self.code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self.code[: len(CODE)] = CODE
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.code))
        self.execute = ctypes.CFUNCTYPE(None)(address)
        self.offset = 0

    def read(self) -> list[str]:
        """Returns the lines that the last marker has caused."""
        fd = os.open(COUNTS, os.O_RDONLY)
        try:
            text = b""
            while not text.endswith(b"end\n"):
                text += os.pread(fd, 1 << 20, self.offset + len(text))
        finally:
            os.close(fd)
        self.offset += len(text)
        return text[text.rindex(b"marker") :].decode().splitlines()


def parse(lines: list[str], symbols: Symbols) -> Window:
    window = Window(user=int(lines[0].split()[1]))
    for line in lines[1:-1]:
        address, instructions, executions = line.split()
        name, is_start = symbols.find(int(address, 16))
        window.kernel[name] += int(instructions)
        if is_start:
            window.calls[name] += int(executions)
    return window


def transferred(pid: int) -> int:
    """Returns how many bytes devices have read and written for a process."""
    pairs = (line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return sum(int(value) for name, value in pairs if name in ("read_bytes", "write_bytes"))


class Meter:
    """Runs jobs, and measures them after a warm-up."""

    def __init__(self) -> None:
        copy_programs()
        self.mark = Marker()
        self.symbols, self.modules = None, None

    def read_symbols(self) -> None:
        self.symbols = Symbols()

    def current_symbols(self) -> Symbols:
        """Returns the symbols, which are read again only when the list of modules has changed."""
        modules = sorted(path.name for path in Path("/sys/module").iterdir())
        if modules != self.modules:
            self.read_symbols()
            self.modules = modules
        return self.symbols

    @contextlib.contextmanager
    def running(self, command: Command) -> Iterator[subprocess.Popen[bytes]]:
        """Starts a program, which has done some I/O when the with statement begins."""
        with subprocess.Popen(
            [BIN / command[0], *command[1:]],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=ENVIRONMENT,
        ) as program:
            while program.poll() is None and transferred(program.pid) < RAMP:
                time.sleep(0.002)
            yield program

    def watch(self, command: Command, window: float) -> Window:
        """Measures WINDOW seconds of a program's I/O."""
        with self.running(command) as program:
            self.mark.execute()
            begin = time.monotonic_ns()
            time.sleep(window)
            self.mark.execute()
            nanoseconds = time.monotonic_ns() - begin
            program.terminate()
            output = program.communicate()[0].decode()
        result = parse(self.mark.read(), self.current_symbols())
        result.nanoseconds = nanoseconds
        result.times = times(command, output)
        return result


def times(command: Command, output: str) -> dict[str, float]:
    """Returns the program's own figures; raises RuntimeError if it failed."""
    try:
        result = guest_fio.job_output(output)
    except ValueError:
        raise RuntimeError(f"{' '.join(command)}:\n{output}") from None
    job = result["jobs"][0] if "jobs" in result else result
    if job["error"] and "--continue_on_error=all" not in command:
        raise RuntimeError(f"{' '.join(command)}:\n{output}")
    return {name: job[name] for name in TIMES if name in job}
