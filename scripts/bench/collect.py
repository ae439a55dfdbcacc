# SPDX-License-Identifier: GPL-2.0
"""Joins the measurements of a guest with the identity of what was measured: collect.py SET writes
JSON to stdout. /mnt is the kernel's source, by which functions are assigned to layers."""

import json
import re
import sys
from collections import Counter
from pathlib import Path

RESULTS = Path("/results")
SOURCE = Path("/mnt")
FUNCTIONS_KEPT = 15

# By folder; the first that matches counts.
LAYERS = {
    "io_uring": "io_uring",
    "fs/aio.c": "aio",
    "fs/iomap": "iomap",
    "fs/xfs": "file system",
    "fs/ext4": "file system",
    "fs": "VFS",
    "block": "block layer",
    "drivers/block": "driver",
    "lib/iov_iter.c": "memory",
    "mm": "memory",
    "kernel": "scheduler, timers",
    "arch/x86/lib": "library",
    "arch/x86": "entry, interrupts",
    "lib": "library",
}
MODULES = {
    "xfs": "file system",
    "ext4": "file system",
    "jbd2": "file system",
    "brd": "driver",
    "null_blk": "driver",
    "nvme": "driver",
    "nvme_core": "driver",
}
# The parts of our module
RUST_PARTS = {"aio": "aio", "dio": "engine", "diofs": "file system", "disk": "driver"}
# Parts of fs/aio.c that macros define, so that DEFINITION does not find them
AIO_CALL = re.compile("__x64_sys_io_(setup|destroy|submit|cancel|getevents|pgetevents)")
DEFINITION = re.compile(
    r"^(?:SYM_(?:FUNC|CODE|TYPED_FUNC)_START(?:_\w+)?\((\w+)|"
    r"[a-zA-Z_][^;{}()=#]*?\b(\w+)\([^;{}]*\)\n\{)",
    re.MULTILINE,
)


def definitions() -> dict[str, str]:
    """The layer of each function in the kernel's source."""
    found: dict[str, str] = {}
    for folder, layer in LAYERS.items():
        where = SOURCE / folder
        for file in [where] if where.is_file() else sorted(where.rglob("*.[cS]")):
            for match in DEFINITION.finditer(file.read_text(errors="replace")):
                found.setdefault(match[1] or match[2], layer)
    return found


def layer(function: str, layers: dict[str, str]) -> str:
    name, _, module = function.partition(" ")
    module = module.strip("[]")
    if module == "rnull_dio":
        part = re.search(r"9rnull_dio\d+(aio|diofs|disk|dio)", name)
        return RUST_PARTS[part[1]] if part else "engine"
    if module:
        return MODULES.get(module, module)
    if AIO_CALL.fullmatch(name):
        return "aio"
    if name.startswith(("__x64_sys_", "__do_sys_", "__se_sys_", "x64_sys_", "do_syscall_")):
        return "entry, interrupts"
    return layers.get(name, "other")


def digest(point: dict, layers: dict[str, str]) -> dict:
    """A point with its layers, and only the most expensive of its functions."""
    functions = Counter(point["functions"])
    sums: Counter[str] = Counter()
    for name, count in functions.items():
        sums[layer(name, layers)] += count
    shares = {"layers": dict(sums.most_common())}
    return point | shares | {"functions": dict(functions.most_common(FUNCTIONS_KEPT))}


def main() -> None:
    lines = (RESULTS / "identity").read_text().splitlines()
    layers = definitions()
    points = [json.loads(line) for line in (RESULTS / "points.json").read_text().splitlines()]
    document = {
        "set": sys.argv[1],
        "identity": dict(line.split("=", 1) for line in lines),
        "points": [digest(point, layers) for point in points],
    }
    json.dump(document, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
