# SPDX-License-Identifier: GPL-2.0
"""Linux AIO, whose contexts the module makes for chosen programs.

The files in configfs and debugfs are documented in Documentation/use/aio.rst.
"""

import argparse
import errno
import json
import os

from rnull_dio_tool import system
from rnull_dio_tool.system import (
    CONFIGFS,
    DEBUGFS,
    FailureError,
    add_command,
    check_debugfs,
    counters,
    read,
    write,
)

DIRECTORY = CONFIGFS / "rnull_dio_aio"
COUNTERS = DEBUGFS / "rnull_dio/aio"

# The kernel cuts the names of tasks to these many bytes.
MAX_COMM = 15

REASONS = {
    errno.EOPNOTSUPP: (
        "this kernel cannot redirect functions that it is given by name, for which it must be one"
        " for x86-64 with CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS and CONFIG_KPROBES"
    ),
    errno.EBUSY: "another user has redirected a system call of AIO",
    errno.ENOENT: "this kernel has no AIO, or /proc is not mounted",
}


def programs(names):
    return ", ".join(names) if names else "all programs"


def comm():
    return read(DIRECTORY / "comm").splitlines()


def on(args):
    write(DIRECTORY / "comm", "\n".join(args.comm))
    try:
        write(DIRECTORY / "enabled", "1")
    except OSError as err:
        raise FailureError(REASONS.get(err.errno, os.strerror(err.errno))) from None
    print(f"new contexts of {programs(args.comm)} are the module's")


def off(_args):
    write(DIRECTORY / "enabled", "0")
    print("new contexts are the kernel's")


def status(args):
    check_debugfs()
    enabled = read(DIRECTORY / "enabled") == "1"
    events = counters(COUNTERS / "events")
    if args.json:
        print(json.dumps({"enabled": enabled, "comm": comm(), "events": events}, indent=2))
        return
    print(f"on, for {programs(comm())}" if enabled else "off")
    for name, count in events.items():
        print(f"{name}: {count}")


# Command line


def program(text):
    if not 1 <= len(os.fsencode(text)) <= MAX_COMM or "\n" in text:
        raise argparse.ArgumentTypeError(f"the name of a task has 1 to {MAX_COMM} bytes")
    return text


def checked(run):
    return system.checked(run, DIRECTORY, "make contexts of AIO")


def add_commands(commands):
    aio = commands.add_parser("aio", help="have the module carry out Linux AIO")
    subs = aio.add_subparsers(dest="aio", metavar="COMMAND", required=True)
    sub = add_command(subs, "on", checked(on), "have the module make the contexts of programs")
    sub.add_argument(
        "--comm",
        type=program,
        action="append",
        default=[],
        metavar="NAME",
        help="only of programs of this name, by default of all; may be given several times",
    )
    add_command(subs, "off", checked(off), "have the kernel make them again")
    sub = add_command(subs, "status", checked(status), "show whose contexts the module makes")
    sub.add_argument("--json", action="store_true", help="JSON")
