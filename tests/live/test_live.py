# SPDX-License-Identifier: GPL-2.0
"""Data is read as it was written on attached XFS and ext4, for every issuer and kind of block."""

import os
import subprocess

import pytest

from guest import files, fio, kernel, live, system
from guest.live import on_device as attached

SIZE = fio.SIZE
COUNT = SIZE // 4096

ISSUERS = {
    "psync": {"ioengine": "psync"},
    "libaio": {"ioengine": "libaio", "iodepth": 8},
    "io_uring": {"ioengine": "io_uring", "iodepth": 8},
    "io_uring-registered": {
        "ioengine": "io_uring",
        "iodepth": 8,
        "fixedbufs": 1,
        "registerfiles": 1,
    },
    "io_uring-sqpoll": {"ioengine": "io_uring", "iodepth": 8, "sqthread_poll": 1},
    "io_uring-polled": {"ioengine": "io_uring", "iodepth": 8, "hipri": 1},
}


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
@pytest.mark.parametrize("issuer", ISSUERS)
def test_every_issuer_verifies_overwrites(issuer, kind, device):
    with attached(kind, device) as mount:
        data = mount / "data"
        fio.lay_out(data, SIZE)
        before = live.routes()
        job = fio.run(data, rw="randwrite", verify="crc32c", **ISSUERS[issuer])
        assert job["error"] == 0
        assert job["write"]["total_ios"] == COUNT
        routes = live.routes()
        assert sum(routes.values()) - sum(before.values()) >= COUNT
        assert routes["worker"] == before["worker"]
        assert live.passed() == {}


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
@pytest.mark.parametrize("issuer", ["psync", "libaio", "io_uring", "io_uring-polled"])
@pytest.mark.parametrize("blocks", ["unwritten", "holes", "growth"])
def test_every_kind_of_block_verifies(blocks, issuer, kind, disk):
    with attached(kind, disk) as mount:
        data = mount / "data"
        options = {"rw": "randwrite"}
        with files.opened(data, os.O_RDWR | os.O_CREAT) as fd:
            if blocks == "unwritten":
                os.posix_fallocate(fd, 0, SIZE)
            elif blocks == "holes":
                os.ftruncate(fd, SIZE)
            else:
                options = {"rw": "write", "file_append": 1, "fallocate": "none"}
        job = fio.run(data, verify="crc32c", **options, **ISSUERS[issuer])
        assert job["error"] == 0
        assert job["write"]["total_ios"] == COUNT
        assert live.passed() == {}


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
@pytest.mark.parametrize("issuer", ["psync", "libaio", "io_uring", "io_uring-polled"])
def test_large_blocks_of_any_size_verify(issuer, kind, disk):
    sizes = {
        "bsrange": "512-3M",
        "blocksize_unaligned": 0,
        "size": kernel.fewer(24 << 20),
    }
    with attached(kind, disk) as mount:
        job = fio.run(
            mount / "data",
            rw="randwrite",
            verify="crc32c",
            allow_file_create=1,
            **sizes,
            **ISSUERS[issuer],
        )
        assert job["error"] == 0
        assert live.passed() == {}


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
@pytest.mark.parametrize("sync", ["dsync", "sync"])
def test_durable_writes_verify(sync, kind, disk):
    with attached(kind, disk) as mount:
        job = fio.run(
            mount / "data",
            rw="randwrite",
            verify="crc32c",
            allow_file_create=1,
            sync=sync,
            **ISSUERS["io_uring"],
        )
        assert job["error"] == 0
        assert live.passed() == {}


@pytest.mark.parametrize("issuer", ["io_uring", "io_uring-polled"])
def test_growth_is_completed_by_io_wq(issuer, disk):
    """XFS does not extend a file without sleeping, unless it has blocks behind the end already. So
    workers of io-wq issue such writes, and wait for them, unless they are polled for."""
    with attached("xfs", disk) as mount:
        data = mount / "data"
        data.touch()
        growth = {"rw": "write", "file_append": 1, "fallocate": "none", "verify": "crc32c"}
        job = fio.run(data, **growth, **ISSUERS[issuer])
        assert job["error"] == 0
        assert job["write"]["total_ios"] == COUNT
        assert (live.routes()["waiter"] > 0) == (issuer == "io_uring")


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
@pytest.mark.parametrize("options", [[], ["--own"], ["--files"]], ids=" ".join)
def test_submitters_that_share_a_context_verify_reads(options, kind, device):
    with attached(kind, device) as mount:
        sample = [system.SAMPLES / "aio_shared", "--fill", "--size=1048576", "--block=8192"]
        command = [*sample, *options, mount / "data"]
        with system.running(command, stdout=subprocess.PIPE) as program:
            # Filling the files takes up to 4 * COUNT writes.
            system.wait_for(lambda: sum(live.routes().values()) > 8 * COUNT)
            program.terminate()
            result = fio.job_output(program.communicate()[0].decode())
        assert program.returncode == 0
        assert result["reads"] > COUNT
