# SPDX-License-Identifier: GPL-2.0
"""Wrong input: the error names what is wrong, and no data is lost."""

import fcntl
import os
import struct
from pathlib import Path

import pytest

from guest import counters, devices, files, filesystems, kernel, system, tools
from guest.memory import address, aligned, huge, pattern
from guest.vectors import NOWHERE, preadv2, pwritev2

WHERE = Path("/run/mnt-input")


@pytest.fixture(autouse=True)
def mount_point():
    WHERE.mkdir(exist_ok=True)


@pytest.fixture
def blank(null_disk):
    """Makes a device without data."""
    return null_disk(memory_backed=1, size=16, blocksize=512)


def refuses_mount(device, reason):
    with kernel.new_log_lines() as lines:
        assert system.run("mount", "-t", "diofs", device, WHERE, check=False).returncode == 32
    assert any(f"diofs ({device.name}): {reason}" in line for line in lines), lines


def head_of(device, length=1 << 20):
    with files.opened(device, os.O_RDONLY | os.O_DIRECT) as fd:
        return files.pread(fd, length, 0)


# Mount


def test_no_signature(blank):
    refuses_mount(blank, "no diofs signature")
    assert not head_of(blank).strip(b"\0")


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [
        (0, b"RNULLDIO", "no diofs signature"),
        (8, b"\2\0\0\0", "a diofs of version 2, only 1 is supported"),
        (16, bytes(8), "damaged signature"),
        (16, b"\xff" * 8, "damaged signature"),
        (24, (1 << 40).to_bytes(8, "little"), "the device is smaller"),
    ],
)
def test_wrong_signature(blank, at, value, reason):
    tools.mkfs_diofs(blank)
    memory = aligned(4096)
    with files.opened(blank) as fd:
        memory[:] = files.pread(fd, 4096, 0)
        memory[at : at + len(value)] = value
        os.pwritev(fd, [memory], 0)
    refuses_mount(blank, reason)


def test_unreadable_signature(blank):
    tools.mkfs_diofs(blank)
    devices.set_bad(blank, 0)
    refuses_mount(blank, "cannot read the first block")


def test_unknown_option(blank):
    tools.mkfs_diofs(blank)
    mount = system.run("mount", "-t", "diofs", "-o", "nonsense", blank, WHERE, check=False)
    assert mount.returncode == 32


def test_a_path_that_is_not_a_device():
    for path in ("/dev/null", "/etc/passwd", "/nowhere"):
        assert system.run("mount", "-t", "diofs", path, WHERE, check=False).returncode == 32


def test_read_only_device(blank):
    tools.mkfs_diofs(blank)
    system.run("blockdev", "--setro", blank)
    # mount(8) tries a writable mount first, which the kernel refuses.
    assert "write-protected" in system.run("mount", "-t", "diofs", blank, WHERE).stderr
    try:
        with pytest.raises(OSError, match="Read-only"):
            os.open(WHERE / "data", os.O_RDWR | os.O_DIRECT)
        with files.opened(WHERE / "data", os.O_RDONLY | os.O_DIRECT) as fd:
            assert len(files.pread(fd, 4096, 0)) == 4096
        assert system.run("mount", "-o", "remount,rw", WHERE, check=False).returncode != 0
    finally:
        system.run("umount", WHERE)
    assert tools.mkfs_diofs("--force", blank, check=False).returncode == 1


# The file


def test_direct_io_that_is_switched_off(device, diofs):
    with files.opened(diofs(device)) as fd:
        with pytest.raises(OSError, match="Invalid argument"):
            os.pwrite(fd, b"x", 1)
        fcntl.fcntl(fd, fcntl.F_SETFL, 0)
        assert os.pwrite(fd, b"x", 1) == 1
        assert os.pread(fd, 1, 1) == b"x"
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_DIRECT)
        assert files.pread(fd, 512, 0)[1:2] == b"x"


def test_the_size_is_fixed(device, diofs):
    data = diofs(device)
    size = data.stat().st_size
    with files.opened(data) as fd:
        for wrong in (0, size - 512, size + 512):
            with kernel.new_log_lines() as lines, pytest.raises(PermissionError):
                os.ftruncate(fd, wrong)
            assert any(
                f"diofs ({device.name}): data: the size of the file is fixed" in line
                for line in lines
            )
        os.ftruncate(fd, size)
    with pytest.raises(PermissionError):
        os.open(data, os.O_RDWR | os.O_DIRECT | os.O_TRUNC)
    assert data.stat().st_size == size


def test_names_are_fixed(device, diofs):
    data = diofs(device)
    for attempt in (
        lambda: (data.parent / "other").mkdir(),
        lambda: os.open(data.parent / "other", os.O_CREAT | os.O_RDWR | os.O_DIRECT),
        data.unlink,
        lambda: data.rename(data.parent / "other"),
    ):
        with pytest.raises(OSError, match=r"not permitted|denied"):
            attempt()
    assert [path.name for path in data.parent.iterdir()] == ["data"]


@pytest.mark.parametrize(("offset", "length"), [(1, 512), (0, 511), (256, 512), (512, 513)])
def test_misaligned_io(device, diofs, offset, length):
    with files.opened(diofs(device)) as fd:
        memory = pattern(4096)
        for attempt in (os.preadv, os.pwritev):
            with pytest.raises(OSError, match="Invalid argument"):
                attempt(fd, [memoryview(memory)[:length]], offset)


def test_misaligned_memory(device, diofs):
    with files.opened(diofs(device)) as fd:
        memory = memoryview(pattern(8192))
        for attempt in (os.preadv, os.pwritev):
            with pytest.raises(OSError, match="Invalid argument"):
                attempt(fd, [memory[1:4097]], 0)


@pytest.mark.parametrize("flags", [0, os.RWF_NOWAIT], ids=["", "nowait"])
def test_memory_that_is_not_there(flags, device, diofs):
    memory = huge(4 << 20)
    start = address(memory)
    with files.opened(diofs(device)) as fd:
        for pieces in (
            [(NOWHERE, 4096)],
            [(start, 4096), (NOWHERE, 4096)],
            # Less than a block in two pages; one block and a half.
            [(start + 4096 - 256, 512 - 4), (NOWHERE, 4)],
            [(start + 2048, 6144), (NOWHERE, 2048)],
        ):
            assert preadv2(fd, pieces, flags) == "EFAULT"
        # With RWF_NOWAIT, what is too long for one bio is refused before the memory is looked at.
        pieces = [(start, 1 << 20), (NOWHERE, 4096)]
        assert preadv2(fd, pieces, flags) == ("EAGAIN" if flags else "EFAULT")
    assert counters.routes(device)["inline"] == 0


def test_a_write_that_must_not_sleep_is_done_as_a_whole_or_not_at_all(device, diofs):
    memory = pattern(8192)
    with files.opened(diofs(device)) as fd:
        before = files.pread(fd, 8192, 0)
        pieces = [(address(memory), 4096), (NOWHERE, 4096)]
        assert pwritev2(fd, pieces, os.RWF_NOWAIT) == "EFAULT"
        assert files.pread(fd, 8192, 0) == before
    assert before[:4096] != memory[:4096]


def test_memory_that_is_not_there_with_large_blocks(null_disk, diofs):
    memory = huge(4 << 20)
    start = address(memory)
    device = null_disk(memory_backed=1, size=16, blocksize=4096)
    with files.opened(diofs(device)) as fd:
        for length in (1024, 3072, 6144, 12288 + 1024):
            missing = -length % 4096 + 4096
            for offset in (0, 2048, 4096 - 512):
                pieces = [(start + offset, length), (NOWHERE, missing)]
                assert preadv2(fd, pieces) == "EFAULT"


def test_a_write_removes_set_user_id_bits(device, diofs):
    data = diofs(device)
    data.chmod(0o4666)
    data.parent.chmod(0o755)
    program = (
        "import mmap, os, sys; os.setresuid(65534, 65534, 65534);"
        "fd = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT);"
        "assert os.pwritev(fd, [mmap.mmap(-1, 4096)], 0) == 4096"
    )
    system.run("python3", "-c", program, data)
    assert data.stat().st_mode & 0o7777 == 0o666


def test_statfs(device, diofs):
    data = diofs(device)
    text = system.run("stat", "--file-system", "--format=%S %b %f", data).stdout.split()
    assert [int(word) for word in text] == [512, data.stat().st_size // 512, 0]


# The module


def test_module_is_busy_while_mounted(blank):
    with filesystems.diofs(blank):
        assert "in use" in system.run("rmmod", "rnull_dio", check=False).stderr


def test_module_is_busy_while_there_is_a_disk(blank):
    assert blank.exists()
    assert "in use" in system.run("rmmod", "rnull_dio", check=False).stderr


def test_one_device_is_mounted_once_for_all(blank, diofs):
    data = diofs(blank)
    system.run("mount", "-t", "diofs", blank, WHERE)
    try:
        assert (WHERE / "data").stat().st_ino == data.stat().st_ino
    finally:
        system.run("umount", WHERE)


def test_mounting_and_unmounting_again_and_again(blank):
    tools.mkfs_diofs(blank)
    for _ in range(kernel.fewer(20)):
        system.run("mount", "-t", "diofs", blank, WHERE)
        with files.opened(WHERE / "data") as fd:
            os.pwritev(fd, [pattern(4096)], 0)
            assert system.run("umount", WHERE, check=False).returncode != 0
        system.run("umount", WHERE)


# mkfs.diofs


def refuses_mkfs(device, reason):
    before = head_of(device)
    result = tools.mkfs_diofs(device, check=False)
    assert result.returncode == 1
    assert reason in result.stderr
    assert str(device) in result.stderr
    assert head_of(device) == before


def test_mkfs_refuses_a_file_system(blank):
    system.run("mkfs.ext4", "-q", blank)
    refuses_mkfs(blank, "it carries ext4")


def test_mkfs_refuses_a_partition_table(blank):
    # A DOS label with one partition of type Linux, of 1 MiB, at 1 MiB
    memory = aligned(512)
    memory[446:462] = struct.pack("<8BII", 0, 0, 0, 0, 0x83, 0, 0, 0, 2048, 2048)
    memory[510:512] = b"\x55\xaa"
    with files.opened(blank) as fd:
        os.pwritev(fd, [memory], 0)
    refuses_mkfs(blank, "it carries dos")


def test_mkfs_refuses_a_diofs(blank):
    tools.mkfs_diofs(blank)
    refuses_mkfs(blank, "it carries diofs")
    tools.mkfs_diofs("--force", blank)


@pytest.mark.parametrize("at", [0, 4096, (16 << 20) - 512])
def test_mkfs_refuses_unknown_data(blank, at):
    with files.opened(blank) as fd:
        os.pwritev(fd, [pattern(512)], at)
    refuses_mkfs(blank, "it carries data")


def test_mkfs_refuses_a_device_in_use(blank):
    with filesystems.diofs(blank):
        result = tools.mkfs_diofs("--force", blank, check=False)
        assert result.returncode == 1
        assert "busy" in result.stderr


def test_mkfs_refuses_what_is_no_device(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(bytes(1 << 20))
    result = tools.mkfs_diofs(file, check=False)
    assert result.returncode == 1
    assert "not a block device" in result.stderr
    assert file.read_bytes() == bytes(1 << 20)


def test_mkfs_force_overrides(blank):
    system.run("mkfs.ext4", "-q", blank)
    system.run(tools.MKFS_DIOFS, "--force", blank)
    system.run("mount", "-t", "diofs", blank, WHERE)
    system.run("umount", WHERE)
