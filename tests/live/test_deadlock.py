# SPDX-License-Identifier: GPL-2.0
"""A task that waits in the kernel for its own direct I/O on an attached file system."""

import time

import pytest

from guest import files, fio, live, policies, system

# Slow enough that the task sleeps when a write ends
DISK = {"memory_backed": 1, "size": 512, "blocksize": 512, "irqmode": 2, "completion_nsec": 200_000}


def run_rounds(kind: str, disk, options: list[str], rounds: int) -> None:
    """Runs samples/deadlock under every policy; it fails if a write fails, and hangs otherwise."""
    depth = max([int(word.removeprefix("--depth=")) for word in options if "depth" in word] or [1])
    with live.on_device(kind, disk) as mount:
        data = mount / "data"
        fio.lay_out(data, 1 << 20)
        for policy in policies.NAMES:
            files.write(live.CONFIGFS / "live" / "completion", policy)
            before = sum(live.routes().values())
            begin = time.monotonic()
            system.run(system.SAMPLES / "deadlock", f"--rounds={rounds}", *options, data)
            print(f"{policy}: {rounds} rounds in {time.monotonic() - begin:.0f} s")
            assert sum(live.routes().values()) - before >= rounds * depth
        print(live.routes())
        assert live.passed() == {}


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
@pytest.mark.parametrize(
    "options",
    [["--depth=8"], ["--shrink"], ["--dirty-cache", "--depth=4"], ["--dsync"]],
    ids=" ".join,
)
def test_a_task_that_waits_for_its_own_writes(options, kind, null_disk):
    run_rounds(kind, null_disk(**DISK), options, policies.ROUNDS)


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
@pytest.mark.parametrize("options", [["--shrink", "--depth=8"], ["--dirty-cache"]], ids=" ".join)
def test_a_polling_task_that_waits_for_its_own_writes(options, kind, null_disk):
    # Another task polls the device, so the writes end, but only this task would reap them.
    disk = null_disk(**DISK, poll_queues=1)
    run_rounds(kind, disk, ["--poll", "--poll-beside", *options], policies.ROUNDS)


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
@pytest.mark.parametrize(
    "options",
    [["--freeze"], ["--freeze", "--poll", "--poll-beside", "--dirty-cache", "--depth=8"]],
    ids=" ".join,
)
def test_a_task_that_freezes_and_waits_for_its_own_writes(options, kind, null_disk):
    # To freeze and thaw these file systems takes much longer than a write.
    run_rounds(kind, null_disk(**DISK, poll_queues=1), options, max(policies.ROUNDS // 10, 1))
