#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""monitor.py SOCKET CONSOLE REPLIES STUCK: executes commands of QEMU's monitor for a guest.

A guest writes "lab: monitor COMMAND" to /dev/kmsg. When that line appears in CONSOLE, the human
monitor command (device_del, device_add, info ...) is executed through the QMP SOCKET, and a line
"COMMAND: REPLY" is appended to REPLIES, where the reply is "done" if QEMU returns no text.

Ends QEMU, and creates the file STUCK, if the guest has not got as far as "lab: begin" after
BOOT_LIMIT seconds: under emulation, a CPU sometimes hangs while the kernel boots.
"""

import json
import re
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

REQUEST = re.compile(rb"\blab: monitor (.*)")
BEGIN = b"lab: begin"

# Under load, a kernel with debugging aids needs one minute.
BOOT_LIMIT = 240


class Monitor:
    """A connection to QEMU's machine protocol."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.stream = self.socket.makefile("rwb", buffering=0)
        self.stream.readline()
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: str) -> object:
        """Sends a command and returns its result. Events that arrive before it are dropped."""
        request = {"execute": command, "arguments": arguments}
        self.stream.write(json.dumps(request).encode() + b"\n")
        while line := self.stream.readline():
            reply = json.loads(line)
            if "error" in reply:
                return reply["error"]["desc"]
            if "return" in reply:
                return reply["return"]
        raise EOFError("QEMU has gone")


def connect(path: str) -> Monitor:
    """Connects as soon as QEMU has opened its socket."""
    while True:
        try:
            return Monitor(path)
        except OSError:
            time.sleep(0.2)


def lines(console: str) -> Iterator[bytes]:
    """Gives the lines of the console, and an empty line whenever there is none for now."""
    with Path(console).open("rb") as log:
        line = b""
        while True:
            line += log.readline()
            if line.endswith(b"\n"):
                yield line
                line = b""
            else:
                time.sleep(0.05)
                yield b""


def main() -> None:
    path, console, replies, stuck = sys.argv[1:]
    monitor = connect(path)
    limit = time.monotonic() + BOOT_LIMIT
    has_begun = False
    for line in lines(console):
        has_begun = has_begun or BEGIN in line
        if not has_begun and time.monotonic() > limit:
            Path(stuck).touch()
            monitor.execute("quit")
            return
        if match := REQUEST.search(line):
            command = match[1].decode(errors="replace").strip()
            reply = monitor.execute("human-monitor-command", **{"command-line": command})
            with Path(replies).open("a", encoding="utf-8") as file:
                file.write(f"{command}: {str(reply).strip() or 'done'}\n")


if __name__ == "__main__":
    main()
