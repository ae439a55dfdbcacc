# SPDX-License-Identifier: GPL-2.0
"""What is on the device after a power cut, of an attached file system.

Writes that were acknowledged as durable are there, blocks that were never written do not show what
the device had before, and the file system is clean after the recovery of its log.
"""

import random

import pytest

from guest import devices, durable, filesystems, kernel, live, logwrites, system
from guest.issuers import ISSUERS

SIZE = 320
CUTS = 2


@pytest.mark.skipif(kernel.IS_DEBUG, reason="has no device mapper")
@pytest.mark.parametrize("kind", ["xfs", "ext4"])
@pytest.mark.parametrize("fua", [0, 1], ids=["flush", "fua"])
def test_every_state_of_the_device(fua, kind, null_disk):
    """The device has a volatile cache, of which a power cut leaves nothing."""
    attributes = {"memory_backed": 1, "size": SIZE, "blocksize": 512, "irqmode": 2}
    disk = null_disk(**attributes, write_cache=1, fua=fua)
    log = null_disk("log", memory_backed=1, size=2048, blocksize=512)
    states = []
    with logwrites.logged(disk, log) as device, live.on_device(kind, device) as mount:
        writers = durable.of_every_kind(mount, "psync", "libaio", "io_uring")
        with durable.writing(writers):
            while len(states) < 10 or durable.writes(writers) < 1000:
                # What is durable before the mark is put into the log
                states.append(durable.acknowledged(writers))
                logwrites.mark(f"state-{len(states) - 1}")
                assert not any(writer.failed for writer in writers)
        print(f"{durable.writes(writers)} durable writes, {len(states)} states, {live.routes()}")
    choose = random.Random(kind)
    for cut in range(1, CUTS + 1):
        number = cut * (len(states) - 1) // CUTS
        with devices.null_disk("replayed", **attributes) as device:
            durable.fill_with_stale_data(device)
            logwrites.replay(log, device, f"state-{number}", choose.randrange(20))
            durable.check(kind, device, states[number], durable.begun(writers))
            if cut == 1:
                # What was acknowledged later is not there yet.
                with filesystems.mounted(kind, device) as mount:
                    assert durable.complaints(mount, states[-1], durable.begun(writers)) != []


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
@pytest.mark.skipif(not devices.MAY_PULL_OUT, reason="PULL is not set")
def test_a_drive_that_is_pulled_out_and_plugged_in(kind):
    spare = devices.spare_drive()
    durable.fill_with_stale_data(spare)
    with filesystems.mainline(kind, spare) as mount, live.attached(mount):
        writers = durable.of_every_kind(mount, *ISSUERS)
        with durable.writing(writers):
            enough = kernel.fewer(2000)
            system.wait_for(lambda: durable.writes(writers) > enough, 120)
            devices.pull_out_spare()
            system.wait_for(lambda: all(writer.failed for writer in writers), 120)
        print(f"{durable.writes(writers)} durable writes, {live.routes()}")
    system.wait_for(lambda: not devices.has_drive("spare"))
    found = durable.acknowledged(writers), durable.begun(writers)
    durable.check(kind, devices.spare_drive(), *found)
