# SPDX-License-Identifier: GPL-2.0
"""The module, and the file systems by which it is controlled."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

MODULE = Path("/sys/module/rnull_dio")
CONFIGFS = Path("/sys/kernel/config")
DEBUGFS = Path("/sys/kernel/debug")


class FailureError(Exception):
    """What was wrong, in one line."""


# Mounts


@dataclass
class Mount:
    """A line of /proc/self/mountinfo."""

    point: Path
    kind: str
    device: str


def unescape(field):
    """Return a field of mountinfo without its octal escapes."""
    plain = re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), field)
    return os.fsdecode(plain)


def mounts():
    """Return all mounts. A mount that hides another comes after it."""
    found = []
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        before, _, after = line.partition(b" - ")
        point = before.split(b" ")[4]
        kind, device = after.split(b" ")[:2]
        found.append(Mount(Path(unescape(point)), unescape(kind), unescape(device)))
    return found


def mount_of(path):
    """Return the mount that PATH, which has no links, belongs to."""
    around = [mount for mount in mounts() if path.is_relative_to(mount.point)]
    deepest = max(len(mount.point.parts) for mount in around)
    return [mount for mount in around if len(mount.point.parts) == deepest][-1]


def is_mounted(kind, where):
    return any((mount.kind, mount.point) == (kind, where) for mount in mounts())


# Files


def write(attribute, value):
    """Write an attribute by one system call, so that a refusal is an OSError."""
    fd = os.open(attribute, os.O_WRONLY)
    try:
        os.write(fd, os.fsencode(value) + b"\n")
    finally:
        os.close(fd)


def read(attribute):
    return os.fsdecode(attribute.read_bytes()).removesuffix("\n")


def counters(file):
    """Return the counters of a file in debugfs."""
    lines = (line.split(":") for line in file.read_text().splitlines())
    return {key.strip(): int(value) for key, value in lines}


# What the commands need


def check_module(directory, what):
    """Raise FailureError if the module has no DIRECTORY in configfs, by which WHAT is done."""
    if os.geteuid():
        raise FailureError("only root can do this")
    if not MODULE.is_dir():
        raise FailureError("the module is not loaded: modprobe rnull_dio, or insmod rnull_dio.ko")
    if not is_mounted("configfs", CONFIGFS):
        raise FailureError(f"configfs is not mounted: mount -t configfs configfs {CONFIGFS}")
    if not directory.is_dir():
        raise FailureError(f"the module rnull_dio that is loaded cannot {what}")


def checked(run, directory, what):
    """Return a command that fails if the module cannot do WHAT, see check_module()."""

    def run_checked(args):
        check_module(directory, what)
        run(args)

    return run_checked


def check_debugfs():
    if not is_mounted("debugfs", DEBUGFS):
        raise FailureError(f"debugfs is not mounted: mount -t debugfs debugfs {DEBUGFS}")


def add_command(commands, name, run, text):
    sentence = f"{text[0].upper()}{text[1:]}."
    sub = commands.add_parser(name, help=text, description=sentence)
    sub.set_defaults(run=run)
    return sub
