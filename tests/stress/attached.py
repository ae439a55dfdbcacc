# SPDX-License-Identifier: GPL-2.0
"""An attached XFS or ext4 under stress."""

import contextlib
import os
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from guest import files, filesystems, live, policies
from guest.devices import SECTOR
from guest.files import KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE
from guest.filesystems import BLOCK
from guest.memory import pattern
from tests.stress import load
from tests.stress.disturbances import Disturbance
from tests.stress.load import AREA, Target

# Fewer jobs than on diofs, because memory is short
NAMES = (
    "buffered",
    "psync",
    "pvsync2-polled",
    "libaio",
    "libaio-dsync",
    "io_uring",
    "io_uring-registered",
    "io_uring-polled",
    "io_uring-polled-dsync",
)
JOBS = load.MAPPED | {
    name: job for name, job in (load.BUFFERED | load.DIRECT).items() if name in NAMES
}

# How long a file system stays detached or frozen at most, in seconds
DETACHED = 2
FROZEN = 0.5

# The part of a file that has no job, and whose blocks are allocated and freed
PART = 1 << 20
LARGEST_WRITE = 64 << 10
MODES = (0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE, ZERO_RANGE | KEEP_SIZE)

# How many bytes of a clone are compared
SAMPLE = 256 << 10


@dataclass
class Attached(Target):
    """A file system that is detached and attached again and again. Its counters begin anew each
    time; requests between the last look at them and the end of an attachment are not counted."""

    earlier: dict[str, dict[str, int]] = field(default_factory=lambda: {"routes": {}, "passed": {}})

    @property
    def mount(self) -> Path:
        return self.data.parent

    @property
    def directory(self) -> Path:
        return live.CONFIGFS / self.kind

    def counts(self, file: str) -> dict[str, int]:
        """Returns the counters of a file in debugfs, added up since the beginning."""
        now = {}
        with contextlib.suppress(OSError):  # The file exists while the file system is attached.
            now = live.read(self.kind, file)
        earlier = self.earlier[file]
        return {name: earlier.get(name, 0) + now.get(name, 0) for name in earlier | now}

    def routes(self) -> dict[str, int]:
        return self.counts("routes")

    def report(self) -> str:
        passed = {why: count for why, count in self.counts("passed").items() if count}
        return f"{super().report()}; passed on: {passed}"

    def disturbances(self) -> Iterator[Disturbance]:
        yield from super().disturbances()
        yield self.disturbance("policy", 0.5, self.change_policy)
        yield self.disturbance("attach", 3, self.attach_again)
        yield self.disturbance("freeze", 3, self.freeze)
        yield self.disturbance("tail", 0.5, self.change_tail)
        yield self.disturbance("files", 0.5, self.change_other)
        if self.kind == "xfs":
            yield self.disturbance("clone", 2, Clone(self.data).renew)

    def change_policy(self) -> None:
        files.write(self.directory / "completion", random.choice(policies.NAMES))

    def attach_again(self) -> None:
        """Detaches the file system for some time, during which the kernel's own code does the
        I/O."""
        counts = {file: self.counts(file) for file in self.earlier}
        files.write(self.directory / "attached", 0)
        self.earlier = counts
        time.sleep(random.uniform(0, DETACHED))
        files.write(self.directory / "attached", 1)

    def freeze(self) -> None:
        with filesystems.frozen(self.mount):
            time.sleep(random.uniform(0, FROZEN))

    def change_tail(self) -> None:
        """Changes the end of the file whose areas the jobs have."""
        change_part(self.data, self.end())

    def change_other(self) -> None:
        """Changes another file, or removes it."""
        other = self.mount / "other"
        change_part(other, 0)
        if random.random() < 0.2:
            other.unlink()


def change_part(path: Path, begin: int) -> None:
    """Allocates, frees or zeroes blocks of a file, or cuts them off, and writes there. Nothing else
    writes to this part of the file."""
    with (
        files.opened(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT) as fd,
        files.buffered(path) as cached,
    ):
        at = begin + random.randrange(0, PART, SECTOR)
        if random.random() < 0.2:
            os.ftruncate(fd, at)
        else:
            files.fallocate(fd, random.choice(MODES), at, random.randrange(SECTOR, PART, SECTOR))
        write_and_check(cached, cached, begin)
        write_and_check(fd, random.choice((fd, cached)), begin)


def write_and_check(fd: int, other: int, begin: int) -> None:
    """Writes somewhere in the part of a file, and reads it by another file descriptor."""
    at = begin + random.randrange(0, PART, SECTOR)
    written = pattern(random.randrange(SECTOR, LARGEST_WRITE, SECTOR), random.randrange(1 << 16))
    flags = random.choice((0, 0, os.RWF_DSYNC))
    assert os.pwritev(fd, [written], at, flags) == len(written)
    assert files.pread(other, len(written), at) == written[:], f"{at}+{len(written)}: wrong data"


class Clone:
    """A file that shares all blocks of another one, so that writes to that one go to new blocks."""

    def __init__(self, data: Path):
        self.data, self.path = data, data.with_suffix(".clone")
        self.at, self.content = 0, b""

    def renew(self) -> None:
        """Checks that the clone has not changed, and makes it anew."""
        if self.content:
            assert self.read() == self.content, f"{self.at}: a write went to shared blocks"
        # The end of a file that is not a whole block can only be shared with the end of another.
        self.path.unlink(missing_ok=True)
        files.clone(self.data, self.path)
        self.at = random.randrange(0, self.path.stat().st_size - SAMPLE, BLOCK)
        self.content = self.read()

    def read(self) -> bytes:
        with files.opened(self.path, os.O_RDONLY | os.O_DIRECT) as fd:
            return files.pread(fd, SAMPLE, self.at)


@contextlib.contextmanager
def made_on(kind: str, device: Path) -> Iterator[Attached]:
    """Makes, mounts and attaches a file system; gives it with its jobs. Checks the file system at
    the end."""
    with (
        live.on_device(kind, device, name=kind) as mount,
        tempfile.TemporaryDirectory(dir="/run") as work,
    ):
        target = Attached(kind, device, mount / "data", Path(work))
        target.jobs |= {name: load.VERIFIED | options for name, options in JOBS.items()}
        target.readers |= load.READERS
        prepare(target)
        yield target


def prepare(target: Attached) -> None:
    """Makes the file, of holes, unwritten blocks and data. The programs that use AIO have data, so
    that completions need no I/O and can be left to tasks that wait."""
    with files.opened(target.data, os.O_RDWR | os.O_CREAT | os.O_DIRECT) as fd:
        os.ftruncate(fd, target.end())
        for index in range(len(target.jobs)):
            if index % 3 == 1:
                os.posix_fallocate(fd, index * AREA, AREA)
            elif index % 3 == 2:
                os.pwrite(fd, pattern(AREA), index * AREA)
        os.pwrite(fd, pattern(AREA), target.offset_of_programs())
