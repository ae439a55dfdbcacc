# SPDX-License-Identifier: GPL-2.0
"""What I/O costs, in the guest: instructions, context switches, work items, time."""

import bisect
import ctypes
import mmap
import os
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, "/src/tests")
import lab

# Written by the plugin of QEMU's that counts, see count.c.
COUNTS = Path("/results/counts")
# The plugin's marker, and a return
CODE = bytes.fromhex("0f1f84006d61726b c3")

# Every I/O passes by here once, as it has one bio; but for those that need flushes,
SUBMISSION = "submit_bio_noacct"
# which pass by here once, if they are of io_uring.
COMPLETION = "io_complete_rw"
CONTEXT_SWITCH = "finish_task_switch"
# Each is called once for a work item, if it has not been inlined.
WORK_ITEM = ("process_one_work", "pwq_dec_nr_in_flight")
# What patches/ leave to issuers passes by here.
DEFERRED = "inode_dio_defer"
# However many waited for it, a flush ends once.
FLUSH = "flush_end_io"

# How much I/O a job does before it is looked at
RAMP = 1 << 20


class Symbols:
    """The functions of the kernel, and of its modules, as "NAME" or "NAME [MODULE]"."""

    def __init__(self) -> None:
        found: dict[int, str] = {}
        for line in Path("/proc/kallsyms").read_text().splitlines():
            address, kind, name, *module = line.split()
            if kind in "tTwW":
                # Compilers add suffixes to what they have made a copy of.
                found.setdefault(int(address, 16), " ".join([name.partition(".")[0], *module]))
        self.addresses = sorted(found)
        self.names = [found[address] for address in self.addresses]

    def find(self, address: int) -> tuple[str, bool]:
        """The function that ADDRESS lies in, and whether it is where that begins."""
        index = bisect.bisect_right(self.addresses, address) - 1
        if index < 0:
            return "?", False
        return self.names[index], self.addresses[index] == address


class Command(list[str]):
    """A program, one of PROGRAMS, and its arguments: one that does I/O until it is terminated, and
    tells then, in JSON, how it went."""

    def __init__(self, *words: str) -> None:
        super().__init__(words)


def fio(path: Path, **options: object) -> Command:
    """Has fio go on until it is terminated."""
    return Command(*lab.fio_command(path, time_based=1, runtime="1h", **options))


# What reactor tells: how long transfers took, in ns
TOLD = ("mean", "max")
PROGRAMS = (Path("/usr/bin/fio"), lab.SAMPLES / "reactor")
BIN = Path("/run/bin")
ENVIRONMENT = {"LD_LIBRARY_PATH": str(BIN), "LC_ALL": "C", "HOME": "/"}


def copy_programs() -> None:
    """Copies them to memory. While they wait for the host, the guest's clock runs ahead."""
    BIN.mkdir(exist_ok=True)
    for program in PROGRAMS:
        libraries = re.findall(r"(/\S+) \(0x", lab.run("ldd", program).stdout)
        lab.run("cp", "--dereference", program, *libraries, BIN)


@dataclass
class Window:
    """What has been executed in some time."""

    user: int = 0
    # by function
    kernel: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    nanoseconds: int = 0
    # by the program, see TOLD
    told: dict[str, float] = field(default_factory=dict)


class Marker:
    """Has QEMU tell what has been executed since the time before."""

    def __init__(self) -> None:
        self.code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self.code[: len(CODE)] = CODE
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.code))
        self.execute = ctypes.CFUNCTYPE(None)(address)
        self.offset = 0

    def read(self) -> list[str]:
        """The lines of the last marker."""
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
    """The bytes that a process has had read and written by devices so far."""
    pairs = (line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return sum(int(value) for name, value in pairs if name in ("read_bytes", "write_bytes"))


class Meter:
    """Runs jobs, and looks at what they do when they have warmed up."""

    def __init__(self) -> None:
        copy_programs()
        self.mark = Marker()
        self.symbols, self.modules = None, None

    def current_symbols(self) -> Symbols:
        """It takes long to read them, so only when a module has come or gone."""
        modules = sorted(path.name for path in Path("/sys/module").iterdir())
        if modules != self.modules:
            self.symbols, self.modules = Symbols(), modules
        return self.symbols

    def watch(self, command: Command, window: float) -> Window:
        """What is executed while a program does I/O."""
        with subprocess.Popen(
            [BIN / command[0], *command[1:]],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=ENVIRONMENT,
        ) as program:
            while program.poll() is None and transferred(program.pid) < RAMP:
                time.sleep(0.002)
            self.mark.execute()
            begin = time.monotonic_ns()
            time.sleep(window)
            self.mark.execute()
            nanoseconds = time.monotonic_ns() - begin
            program.terminate()
            output = program.communicate()[0].decode()
        result = parse(self.mark.read(), self.current_symbols())
        result.nanoseconds = nanoseconds
        result.told = told(command, output)
        return result


def told(command: Command, output: str) -> dict[str, float]:
    """What a program has told about its job."""
    try:
        result = lab.told(output)
    except ValueError:
        raise RuntimeError(f"{' '.join(command)}:\n{output}") from None
    job = result["jobs"][0] if "jobs" in result else result
    if job["error"] and "--continue_on_error=all" not in command:
        raise RuntimeError(f"{' '.join(command)}:\n{output}")
    return {name: job[name] for name in TOLD if name in job}
