#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""monitor.py SOCKET CONSOLE REPLIES: executes commands of QEMU's monitor for a guest.

A guest writes "lab: monitor COMMAND" to /dev/kmsg. When that line appears in CONSOLE, the human
monitor command (device_del, device_add, info ...) is executed through the QMP SOCKET, and a line
"COMMAND: REPLY" is appended to REPLIES, where the reply is "done" if QEMU returns no text.
"""

import json
import re
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

REQUEST = re.compile(rb"\blab: monitor (.*)")


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


def requests(console: str) -> Iterator[str]:
    """Gives the commands that the guest requests."""
    with Path(console).open("rb") as log:
        line = b""
        while True:
            line += log.readline()
            if not line.endswith(b"\n"):
                time.sleep(0.05)
                continue
            if match := REQUEST.search(line):
                yield match[1].decode(errors="replace").strip()
            line = b""


def main() -> None:
    path, console, replies = sys.argv[1:]
    monitor = connect(path)
    for command in requests(console):
        reply = monitor.execute("human-monitor-command", **{"command-line": command})
        with Path(replies).open("a", encoding="utf-8") as file:
            file.write(f"{command}: {str(reply).strip() or 'done'}\n")


if __name__ == "__main__":
    main()
