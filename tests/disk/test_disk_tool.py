# SPDX-License-Identifier: GPL-2.0
"""tools/rnull-dio disk: making, listing and removing disks, and what it says about wrong input."""

import functools
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest import devices, files, filesystems, system, tools

tool = functools.partial(tools.run, tools.RNULL_DIO, "disk")

# Attributes that are written while the disk is on only
WHILE_ON = ("zone_readonly", "zone_offline")

COMPLETION = system.SOURCE / "tools/bash-completion/rnull-dio"


@pytest.fixture(autouse=True)
def no_disk_is_left() -> Iterator[None]:
    yield
    left = names()
    for name in left:
        (devices.CONFIGFS / name).rmdir()
    assert not left


def names() -> list[str]:
    return [disk["name"] for disk in json.loads(tool("list", "--json").stdout)]


def fails(message: str, *words: object) -> None:
    """Checks that the tool fails with this one line, and leaves the disks as they are."""
    before = names()
    result = tool(*words, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"rnull-dio: {message}\n"
    assert names() == before


def completions(*words: str) -> list[str]:
    """Returns what bash offers for the last one of WORDS."""
    script = (
        f'. {COMPLETION}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _rnull_dio; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    result = system.run("bash", "-c", script, "bash", "rnull-dio", *words)
    return result.stdout.split()


def test_disks_come_and_go(tmp_path):
    image = tmp_path / "image"
    image.touch()
    os.truncate(image, 1 << 20)
    created = tool("create", "one", "size=16", "memory_backed=1", "blocksize=512").stdout
    assert created == "one: /dev/one\n"
    assert tool("create", "two", f"backing_file={image}").stdout == "two: /dev/two\n"
    assert tool("create", "--off", "three").stdout == "three: off\n"
    assert files.read(devices.CONFIGFS / "one/blocksize") == "512"
    assert tool("list").stdout == (
        "one: on, blocks of 512 bytes, data: memory\n"
        "three: off, blocks of 4096 bytes, data: nowhere\n"
        f"two: on, blocks of 4096 bytes, data: {image}\n"
    )
    (one, three, two) = json.loads(tool("list", "--json").stdout)
    assert (one["size"], three["power"], two["backing_file"]) == ("16", "0", str(image))
    assert tool("delete", "one", "two", "three").stdout == (
        "one: removed\ntwo: removed\nthree: removed\n"
    )
    assert tool("list").stdout == ""


def test_wrong_values():
    fails("disk: size=many: it is not 0 to 8796093022207", "create", "disk", "size=many")
    fails("disk: irqmode=3: it is not 0 to 2", "create", "disk", "irqmode=3")
    fails("disk: cache_size needs memory_backed", "create", "disk", "cache_size=1")
    missing = "disk: backing_file: there is no such file"
    fails(missing, "create", "disk", "backing_file=/missing")
    with_file = "disk: mbps does not go with backing_file"
    fails(with_file, "create", "disk", "backing_file=/missing", "mbps=1")
    features = files.read(devices.CONFIGFS / "features").split(",")
    known = [name for name in features if not name.endswith(("_inject", *WHILE_ON))]
    for name in ("sizes", *WHILE_ON):
        unknown = f"{name}: there is no such attribute; there are: {', '.join(known)}"
        fails(unknown, "create", "disk", f"{name}=1")


def test_wrong_names(null_disk):
    null_disk("there")
    fails("there: there is a disk of this name already", "create", "there")
    fails("-a b: a disk cannot have this name", "create", "--", "-a b")
    fails("missing: there is no such disk", "delete", "missing")
    for words in (
        ("create",),
        ("create", "a/b"),
        ("create", "a", "size"),
        ("create", "a", "power=1"),
    ):
        result = tool(*words, check=False)
        assert result.returncode == 2
        assert result.stderr
    tool("delete", "there")
    (devices.CONFIGFS / "there").mkdir()


def test_disks_in_use_are_kept():
    tool("create", "disk", "size=512", "memory_backed=1")
    with filesystems.mainline("ext4", Path("/dev/disk")) as mount:
        (mount / "data").write_bytes(b"precious")
        fails("disk: in use; --force removes it anyway", "delete", "disk")
        assert (mount / "data").read_bytes() == b"precious"
        assert tool("delete", "--force", "disk").stdout == "disk: removed\n"


def test_completion_in_bash(null_disk):
    null_disk("there")
    assert completions("") == ["attach", "detach", "status", "aio", "disk"]
    assert completions("disk", "cr") == ["create"]
    assert completions("disk", "create", "name", "ba") == [
        "backing_file=",
        "backing_offset=",
        "badblocks_once=",
        "badblocks_partial_io=",
        "badblocks=",
    ]
    assert completions("disk", "create", "name", "size=1", "mb") == ["mbps="]
    zones = set(completions("disk", "create", "name", "zone_"))
    assert "zone_size=" in zones
    assert not zones & {f"{name}=" for name in WHILE_ON}
    assert completions("disk", "create", "name", "--") == ["--off"]
    assert completions("disk", "delete", "t") == ["there"]


def test_as_another_user():
    result = subprocess.run(
        [tools.RNULL_DIO, "disk", "list"], user=65534, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (1, "rnull-dio: only root can do this\n")
