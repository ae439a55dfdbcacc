# SPDX-License-Identifier: GPL-2.0
"""What programs ask of a file besides its data."""

import fcntl
import os
import subprocess

import pytest

from guest import counters, devices, files, filesystems, fio, kernel, system, tools
from guest.memory import pattern

LENGTH = 1 << 20


def test_all_blocks_are_allocated(pattern_file):
    data = pattern_file(LENGTH)
    stat = data.stat()
    assert stat.st_blocks == stat.st_size // 512
    assert int(system.run("stat", "--format=%b", data).stdout) == stat.st_blocks
    assert int(system.run("du", "--block-size=1", data).stdout.split()[0]) == stat.st_size


def test_a_sparse_archive_has_the_data(null_disk, diofs):
    data = diofs(null_disk(memory_backed=1, size=4, blocksize=512))
    length = data.stat().st_size
    with files.opened(data) as fd:
        assert os.pwritev(fd, [pattern(length)], 0) == length
    create = ["tar", "--sparse", "--create", "-C", data.parent, "data"]
    with subprocess.Popen(create, stdout=subprocess.PIPE) as archive:
        extract = ["tar", "--extract", "--to-stdout"]
        copy = subprocess.run(extract, stdin=archive.stdout, stdout=subprocess.PIPE, timeout=60)
    assert copy.stdout == pattern(length)[:]


@pytest.mark.parametrize("lease", [fcntl.F_RDLCK, fcntl.F_WRLCK], ids=["read", "write"])
def test_leases(lease, pattern_file):
    data = pattern_file(LENGTH)
    flags = os.O_RDONLY if lease == fcntl.F_RDLCK else os.O_RDWR
    with files.opened(data, flags) as fd:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, lease)
        assert fcntl.fcntl(fd, fcntl.F_GETLEASE) == lease
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        assert fcntl.fcntl(fd, fcntl.F_GETLEASE) == fcntl.F_UNLCK


def counted(data) -> int:
    """Returns how many requests of the diofs with the file DATA are complete, found by stat(2)."""
    device = data.stat().st_dev
    directory = counters.DEBUGFS / "diofs" / f"{os.major(device)}:{os.minor(device)}"
    return sum(counters.parse((directory / "routes").read_text()).values())


def test_mounts_of_disks_with_the_same_name(null_disk, tmp_path):
    # The first disk is gone but still mounted when the second one gets its name.
    disk = null_disk("twin", memory_backed=1, size=64, blocksize=512)
    power = devices.CONFIGFS / "twin" / "power"
    with kernel.new_log_lines() as lines, filesystems.diofs(disk) as first:
        files.write(power, 0)
        files.write(power, 1)
        tools.mkfs_diofs("--force", disk)
        system.run("mount", "-t", "diofs", disk, tmp_path)
        try:
            try:
                second = tmp_path / "data"
                before = counted(first), counted(second)
                fio.run(second, rw="randread", size=64 << 10, ioengine="psync")
                assert (counted(first) - before[0], counted(second) - before[1]) == (0, 16)
            finally:
                system.run("umount", first.parent)
            # The first mount has not taken the counters of the second one away.
            assert counted(second) >= 16
        finally:
            system.run("umount", tmp_path)
            system.run("mount", "-t", "diofs", disk, first.parent)
    assert not [line for line in lines if "already present" in line or "already exists" in line]


def test_blocks_that_are_larger_than_a_page(tmp_path):
    device = devices.drive("large-blocks")
    if system.run("blockdev", "--getsize64", device).stdout.strip() == "0":
        pytest.skip("a kernel without huge pages does not use drives with such blocks")
    result = tools.mkfs_diofs("--force", device, check=False)
    assert "its logical blocks of 16384 bytes are larger than a page" in result.stderr
    with kernel.new_log_lines() as lines:
        result = system.run("mount", "-t", "diofs", device, tmp_path, check=False)
    assert result.returncode == 32
    expected = f"diofs ({device.name}): logical blocks of 16384 bytes are larger than a page"
    assert any(expected in line for line in lines), lines
