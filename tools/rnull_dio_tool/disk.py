# SPDX-License-Identifier: GPL-2.0
"""Null disks, and disks whose data is in a file.

The files in configfs and debugfs are documented in Documentation/use/disk.rst.
"""

import argparse
import contextlib
import errno
import json
import os

from rnull_dio_tool import system
from rnull_dio_tool.system import CONFIGFS, FailureError, add_command, read, write

DISKS = CONFIGFS / "rnull_dio"

# What list shows of a disk, beside its name
SHOWN = ("power", "size", "blocksize", "memory_backed", "backing_file")


# Directories, and what is written while the disk is on only
NOT_FOR_CREATE = ("_inject", "zone_readonly", "zone_offline")


def attributes():
    features = read(DISKS / "features").split(",")
    return [name for name in features if not name.endswith(NOT_FOR_CREATE)]


class Log:
    """The lines of the kernel's log from now on."""

    def __enter__(self):
        self.fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self.fd, 0, os.SEEK_END)
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def reason(self, prefix):
        """Return what follows PREFIX in a line, or an empty string."""
        while True:
            try:
                line = os.fsdecode(os.read(self.fd, 8192)).split("\n")[0]
            except BlockingIOError:
                return ""
            except BrokenPipeError:
                # Lines have been overwritten.
                continue
            _, found, reason = line.partition(prefix)
            if found:
                return reason


def refusal(name, attribute, error, log):
    """Return why the module refused a value, which it has logged."""
    _, found, reason = log.reason(f"{name}: {attribute}: ").partition(" refused: ")
    return reason if found else os.strerror(error.errno)


def set_up(disk, attribute, value):
    with Log() as log:
        try:
            write(disk / attribute, value)
        except OSError as err:
            reason = refusal(disk.name, attribute, err, log)
            said = "" if attribute == "power" else f"{attribute}={value}: "
            raise FailureError(f"{disk.name}: {said}{reason}") from None


# Commands


def create(args):
    known = attributes()
    for attribute, _ in args.settings:
        if attribute not in known:
            raise FailureError(
                f"{attribute}: there is no such attribute; there are: {', '.join(known)}"
            )
    disk = DISKS / args.name
    try:
        disk.mkdir()
    except FileExistsError:
        raise FailureError(f"{args.name}: there is a disk of this name already") from None
    except OSError as err:
        if err.errno != errno.EINVAL:
            raise
        raise FailureError(f"{args.name}: a disk cannot have this name") from None
    try:
        for attribute, value in args.settings:
            set_up(disk, attribute, value)
        if not args.off:
            set_up(disk, "power", "1")
    except BaseException:
        disk.rmdir()
        raise
    print(f"{args.name}: {'off' if args.off else f'/dev/{args.name}'}")


def described(disk):
    return {"name": disk.name} | {name: read(disk / name) for name in SHOWN}


def list_disks(args):
    disks = []
    for directory in sorted(each for each in DISKS.iterdir() if each.is_dir()):
        # A disk may be removed at any time.
        with contextlib.suppress(FileNotFoundError):
            disks.append(described(directory))
    if args.json:
        print(json.dumps(disks, indent=2))
        return
    for disk in disks:
        where = disk["backing_file"] or ("memory" if disk["memory_backed"] == "1" else "nowhere")
        state = "on" if disk["power"] == "1" else "off"
        print(f"{disk['name']}: {state}, blocks of {disk['blocksize']} bytes, data: {where}")


def is_in_use(name):
    """Return whether a disk is mounted, or claimed by another user."""
    try:
        os.close(os.open(f"/dev/{name}", os.O_RDONLY | os.O_EXCL))
    except OSError as err:
        return err.errno == errno.EBUSY
    return False


def delete(args):
    for name in args.names:
        if not (DISKS / name).is_dir():
            raise FailureError(f"{name}: there is no such disk")
        if is_in_use(name) and not args.force:
            raise FailureError(f"{name}: in use; --force removes it anyway")
    for name in args.names:
        (DISKS / name).rmdir()
        print(f"{name}: removed")


# Command line


def setting(text):
    attribute, equals, value = text.partition("=")
    if not attribute or not equals:
        raise argparse.ArgumentTypeError(f"{text}: not ATTRIBUTE=VALUE")
    if attribute == "power":
        raise argparse.ArgumentTypeError("power: see --off")
    return attribute, value


def disk_name(text):
    if not text or "/" in text or text in (".", ".."):
        raise argparse.ArgumentTypeError(f"{text!r}: not a name")
    return text


def checked(run):
    return system.checked(run, DISKS, "make disks")


def add_commands(commands):
    disk = commands.add_parser("disk", help="make null disks and disks in files")
    subs = disk.add_subparsers(dest="disk", metavar="COMMAND", required=True)
    sub = add_command(subs, "create", checked(create), "make a disk and power it on")
    sub.add_argument("name", type=disk_name, metavar="NAME", help="name in /dev")
    sub.add_argument(
        "settings",
        type=setting,
        nargs="*",
        metavar="ATTRIBUTE=VALUE",
        help="attributes, in the order in which they are set",
    )
    sub.add_argument("--off", action="store_true", help="leave it off")
    sub = add_command(subs, "list", checked(list_disks), "list all disks")
    sub.add_argument("--json", action="store_true", help="JSON")
    sub = add_command(subs, "delete", checked(delete), "remove disks, and what they keep in memory")
    sub.add_argument("names", type=disk_name, nargs="+", metavar="NAME")
    sub.add_argument("--force", action="store_true", help="also if they are in use")
