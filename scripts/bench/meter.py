# SPDX-License-Identifier: GPL-2.0
"""What I/O costs, in the guest: instructions, context switches, work items, time."""

import bisect
import ctypes
import json
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

# Every I/O passes by here once: it has one bio.
SUBMISSION = "submit_bio_noacct"
CONTEXT_SWITCH = "finish_task_switch"
WORK_ITEM = "process_one_work"

# How much I/O a job does before it is looked at
RAMP = 1 << 20


class Symbols:
    """The functions of the kernel, and of its modules."""

    def __init__(self) -> None:
        found: dict[int, str] = {}
        for line in Path("/proc/kallsyms").read_text().splitlines():
            address, kind, name = line.split()[:3]
            if kind in "tTwW":
                # Compilers add suffixes to what they have made a copy of.
                found.setdefault(int(address, 16), name.partition(".")[0])
        self.addresses = sorted(found)
        self.names = [found[address] for address in self.addresses]

    def find(self, address: int) -> tuple[str, bool]:
        """The function that ADDRESS lies in, and whether it is where that begins."""
        index = bisect.bisect_right(self.addresses, address) - 1
        if index < 0:
            return "?", False
        return self.names[index], self.addresses[index] == address


FIO = Path("/run/fio")
ENVIRONMENT = {"LD_LIBRARY_PATH": str(FIO), "LC_ALL": "C", "HOME": "/"}


def copy_fio() -> None:
    """Copies fio to memory. While it waits for the host, the guest's clock runs ahead."""
    FIO.mkdir(exist_ok=True)
    libraries = re.findall(r"(/\S+) \(0x", lab.run("ldd", "/usr/bin/fio").stdout)
    lab.run("cp", "--dereference", "/usr/bin/fio", *libraries, FIO)


@dataclass
class Window:
    """What has been executed in some time."""

    user: int = 0
    # by function
    kernel: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    nanoseconds: int = 0


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
        copy_fio()
        self.mark = Marker()
        self.symbols, self.modules = None, None

    def current_symbols(self) -> Symbols:
        """It takes long to read them, so only when a module has come or gone."""
        modules = sorted(path.name for path in Path("/sys/module").iterdir())
        if modules != self.modules:
            self.symbols, self.modules = Symbols(), modules
        return self.symbols

    def watch(self, options: dict[str, object], window: float) -> Window:
        """What is executed while fio does I/O."""
        words = [f"--{name}={value}" for name, value in options.items()]
        limit = ["--time_based=1", "--runtime=1h"]
        command = [str(FIO / "fio"), "--name=job", "--output-format=json", *limit, *words]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=ENVIRONMENT
        ) as fio:
            while fio.poll() is None and transferred(fio.pid) < RAMP:
                time.sleep(0.002)
            self.mark.execute()
            begin = time.monotonic_ns()
            time.sleep(window)
            self.mark.execute()
            nanoseconds = time.monotonic_ns() - begin
            fio.terminate()
            output = fio.communicate()[0].decode()
        begins = output.find("{")
        if begins < 0 or json.loads(output[begins : output.rindex("}") + 1])["jobs"][0]["error"]:
            raise RuntimeError(f"{' '.join(command)}:\n{output}")
        result = parse(self.mark.read(), self.current_symbols())
        result.nanoseconds = nanoseconds
        if not result.calls[SUBMISSION]:
            raise RuntimeError(f"{' '.join(command)}: no I/O")
        return result
