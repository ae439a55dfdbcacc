# SPDX-License-Identifier: GPL-2.0
"""tools/as-null-blk: scripts that were written for null_blk make disks of the module."""

import subprocess
from pathlib import Path

import pytest

from guest import devices, kernel, system

TOOL = system.SOURCE / "tools/as-null-blk"
NULL_BLK = Path("/sys/module/null_blk")

# What the scripts of fio (t/zbd) and blktests do with null_blk
SCRIPT = """
set -ex
group=/sys/kernel/config/nullb

remove_all() {
    find $group -mindepth 1 -maxdepth 1 -type d -delete
    modprobe --remove null_blk
}

modprobe --quiet null_blk nr_devices=0
[ ! -e /sys/module/null_blk ]
remove_all
modprobe null_blk nr_devices=0
[ ! -e /sys/module/null_blk ]
grep --quiet memory_backed $group/features
mkdir $group/nullb0
cd $group/nullb0
echo 0 >completion_nsec
echo 4096 >blocksize
echo 64 >size
echo 1 >memory_backed
if echo 1 >zone_of_another_kind; then exit 1; fi
echo 1 >power
[ "$(blockdev --getsize64 /dev/nullb0)" = $((64 << 20)) ]
printf 'what was written' | dd of=/dev/nullb0 bs=4k count=1 conv=sync oflag=direct
dd if=/dev/nullb0 bs=4k count=1 iflag=direct | grep --quiet --text '^what was written'
[ "$(ls /sys/kernel/config)" = "$(printf 'modprobe.conf\\nnullb')" ]
cd /
remove_all
[ ! -e /dev/nullb0 ]
"""


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return system.run(TOOL, *command, check=False)


def test_a_script_for_null_blk():
    before = sorted(devices.CONFIGFS.parent.iterdir())
    result = run("bash", "-c", SCRIPT)
    assert result.returncode == 0, result.stderr
    assert sorted(devices.CONFIGFS.parent.iterdir()) == before
    assert not [path for path in devices.CONFIGFS.iterdir() if path.is_dir()]


def test_a_disk_that_a_script_leaves():
    make = "cd /sys/kernel/config/nullb && mkdir left && cd left && echo 1 >power; exit 3"
    assert run("sh", "-c", make).returncode == 3
    assert Path("/dev/left").is_block_device()
    (devices.CONFIGFS / "left").rmdir()


def test_what_is_refused():
    result = run()
    assert result.returncode == 1
    assert "usage" in result.stderr
    with kernel.unloaded():
        result = run("true")
    assert result.returncode == 1
    assert "rnull_dio is not loaded" in result.stderr


@pytest.mark.skipif(kernel.IS_DEBUG, reason="modprobe finds no modules of it")
def test_null_blk_is_loaded():
    system.run("modprobe", "null_blk", "nr_devices=0")
    try:
        result = run("true")
        assert result.returncode == 1
        assert "null_blk is loaded" in result.stderr
    finally:
        system.run_until_it_succeeds("modprobe", "--remove", "null_blk")
