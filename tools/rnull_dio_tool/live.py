# SPDX-License-Identifier: GPL-2.0
"""Mounted file systems whose direct I/O the module does.

The files in configfs and debugfs are documented in Documentation/use/live.rst.
"""

import argparse
import contextlib
import errno
import json
import os
import re
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rnull_dio_tool import system
from rnull_dio_tool.system import (
    CONFIGFS,
    DEBUGFS,
    FailureError,
    Mount,
    add_command,
    check_debugfs,
    counters,
    mount_of,
    read,
    write,
)

ITEMS = CONFIGFS / "rnull_dio_live"
COUNTERS = DEBUGFS / "rnull_dio/live"

POLICIES = ("auto", "workqueue", "defer", "inline")
# The module decides; this only tells its two reasons for EOPNOTSUPP apart.
TYPES = ("xfs", "ext4")
# The module's workqueues have longer names, which Linux cuts to 31 characters.
MAX_DERIVED_NAME = 23

CLEAR = "\033[H\033[2J"


def same_file_system(one, other):
    try:
        return Path(one).stat().st_dev == Path(other).stat().st_dev
    except OSError:
        return False


# Items of configfs


def attached_items():
    """Return the paths of the file systems that are attached, by the names of their items."""
    found = {}
    for item in sorted(ITEMS.iterdir()):
        # An item may be removed at any time.
        with contextlib.suppress(FileNotFoundError):
            if read(item / "attached") == "1":
                found[item.name] = Path(read(item / "path"))
    return found


def derived_names(path):
    """Yield names for an item, the best first."""
    name = re.sub(r"[^A-Za-z0-9._]+", "-", str(path))
    name = name[-MAX_DERIVED_NAME:].strip("-.") or "root"
    yield name
    for number in range(2, 1000):
        yield f"{name[: MAX_DERIVED_NAME - 4].rstrip('-.')}-{number}"


def make_item(name, path):
    """Make the item NAME, or one with a name that is derived from PATH."""
    for candidate in [name] if name else derived_names(path):
        item = ITEMS / candidate
        with contextlib.suppress(FileExistsError):
            item.mkdir()
            return item
    raise FailureError(f"{path}: there is an item of the name {candidate} already")


# Commands


def why_refused(number, path, attached):
    """Return why the module refused to attach PATH, with the error NUMBER."""
    mount = mount_of(path)
    if number == errno.EBUSY:
        for name, other in attached.items():
            if same_file_system(path, other):
                return f"attached already, as {name}"
        return "attached already by another path, or iomap_dio_rw() is redirected by another user"
    if number == errno.EOPNOTSUPP and mount.kind in TYPES:
        return (
            "this kernel cannot redirect functions, for which it must be one for x86-64 with"
            " CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS"
        )
    reasons = {
        errno.ENOENT: "there is no such path",
        errno.ENOTDIR: "not a directory",
        errno.EXDEV: f"not the root of a mount; it belongs to the mount {mount.point}",
        errno.EROFS: "mounted read-only",
        errno.EOPNOTSUPP: f"the file system, {mount.kind}, is neither xfs nor ext4",
        errno.ENOSPC: "too many file systems are attached",
    }
    return reasons.get(number, os.strerror(number))


def attach(args):
    path = args.path.resolve()
    if str(path) != str(path).strip():
        raise FailureError(f"{path}: ends with white space, which the module removes")
    item = make_item(args.name, path)
    try:
        write(item / "path", path)
        write(item / "completion", args.completion)
        write(item / "attached", "1")
    except BaseException as err:
        item.rmdir()
        if isinstance(err, OSError):
            reason = why_refused(err.errno, path, attached_items())
            raise FailureError(f"{path}: {reason}") from None
        raise
    print(f"{path}: attached, as {item.name}")


def find_item(what):
    """Return the name of the item that WHAT, a name or a path, stands for."""
    attached = attached_items()
    if what in attached:
        return what
    path = Path(what).resolve()
    for name, other in attached.items():
        if path == other:
            return name
    if path.exists() and path == mount_of(path).point:
        for name, other in attached.items():
            if same_file_system(path, other):
                return name
    raise FailureError(f"{what}: not attached")


def detach(args):
    names = list(attached_items()) if args.all else [find_item(args.what)]
    for name in names:
        path = read(ITEMS / name / "path")
        (ITEMS / name).rmdir()
        print(f"{path}: detached")
    if not names:
        print("no file system is attached")


# Status


@dataclass
class Status:
    """An attached file system and its counters."""

    name: str
    path: str
    type: str
    device: str
    completion: str
    requests: int
    routes: dict
    passed: dict
    requests_per_second: float | None = None


def status_of(name, path):
    mount = mount_of(path) if path.is_absolute() else Mount(path, "-", "-")
    routes = counters(COUNTERS / name / "routes")
    return Status(
        name=name,
        path=str(path),
        type=mount.kind,
        device=mount.device,
        completion=read(ITEMS / name / "completion"),
        requests=sum(routes.values()),
        routes=routes,
        passed=counters(COUNTERS / name / "passed"),
    )


def all_status():
    found = []
    for name, path in attached_items().items():
        with contextlib.suppress(FileNotFoundError):
            found.append(status_of(name, path))
    return found


def add_rates(found, before, seconds):
    """Set the rates of requests since SECONDS ago, when the numbers of requests were BEFORE."""
    for status in found:
        requests = status.requests - before.get(status.name, status.requests)
        # The counters begin anew when the file system is attached again.
        if status.name in before and requests >= 0:
            status.requests_per_second = requests / seconds


def passed_text(passed):
    reasons = [f"{name} {count}" for name, count in passed.items() if count]
    return f"{sum(passed.values())} ({', '.join(reasons)})" if reasons else "0"


def table(found, rates):
    """Return the lines of a table."""
    if not found:
        return ["no file system is attached"]
    routes = [name for name in found[0].routes if any(status.routes[name] for status in found)]
    texts = ["name", "path", "type", "device", "completion"]
    rate = ["requests/s"] if rates else []
    rows = [[*texts, "requests", *rate, *routes, "passed on"]]
    for status in found:
        row = [getattr(status, name) for name in texts] + [str(status.requests)]
        if rates:
            known = status.requests_per_second is not None
            row.append(f"{status.requests_per_second:.0f}" if known else "-")
        row += [str(status.routes[name]) for name in routes]
        rows.append([*row, passed_text(status.passed)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    numbers = range(len(texts), len(rows[0]) - 1)
    return [
        "  ".join(
            cell.rjust(width) if index in numbers else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def show(found, args, indent=None):
    if args.json:
        print(json.dumps([asdict(status) for status in found], indent=indent), flush=True)
        return
    terminal = args.watch is not None and sys.stdout.isatty()
    print((CLEAR if terminal else "") + "\n".join(table(found, args.watch is not None)), flush=True)


def watch(args):
    before, then = {}, 0.0
    while True:
        found, now = all_status(), time.monotonic()
        add_rates(found, before, now - then)
        show(found, args)
        before, then = {status.name: status.requests for status in found}, now
        time.sleep(args.watch)
        if not args.json and not sys.stdout.isatty():
            print()


def status(args):
    check_debugfs()
    if args.watch is None:
        show(all_status(), args, indent=2)
    else:
        # That the user ends it is no failure.
        with contextlib.suppress(KeyboardInterrupt):
            watch(args)


# Command line


def item_name(text):
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{,200}", text):
        raise argparse.ArgumentTypeError("a name has letters, digits, and the signs . _ -")
    return text


def interval(text):
    seconds = float(text)
    if not 0.1 <= seconds <= 86400:
        raise argparse.ArgumentTypeError("the interval is from 0.1 s to a day")
    return seconds


def checked(run):
    return system.checked(run, ITEMS, "attach file systems")


def add_commands(commands):
    sub = add_command(
        commands,
        "attach",
        checked(attach),
        "have the module do the direct I/O of a mounted file system",
    )
    sub.add_argument("path", type=Path, metavar="PATH", help="the root of a mount")
    sub.add_argument("--completion", choices=POLICIES, default="auto", help="policy (auto)")
    sub.add_argument("--name", type=item_name, help="name of the item, by default from PATH")

    sub = add_command(commands, "detach", checked(detach), "have the kernel do it again")
    which = sub.add_mutually_exclusive_group(required=True)
    which.add_argument("what", nargs="?", metavar="PATH|NAME", help="a mount, or an item's name")
    which.add_argument("--all", action="store_true", help="all that are attached")

    sub = add_command(
        commands, "status", checked(status), "show what is attached, and how its requests completed"
    )
    sub.add_argument(
        "--watch",
        nargs="?",
        type=interval,
        const=2.0,
        metavar="SECONDS",
        help="show it every SECONDS (2) until interrupted, with requests per second",
    )
    sub.add_argument("--json", action="store_true", help="JSON; with --watch, a line each time")
