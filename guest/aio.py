# SPDX-License-Identifier: GPL-2.0
"""Linux AIO by its system calls, as libaio issues them, with any argument wrong."""

import contextlib
import ctypes
import dataclasses
import errno
import math
import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from guest import counters, files, system, tools, tracing, uring
from guest.memory import address

# Delays of the module's code, for tests; only on kernels that check locks
DELAYS = Path("/sys/kernel/config/rnull_dio_aio/delays")

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long

# System calls of x86-64
IO_SETUP = 206
IO_DESTROY = 207
IO_GETEVENTS = 208
IO_SUBMIT = 209
IO_CANCEL = 210
IO_PGETEVENTS = 333
IO_URING_ENTER = 426

# IOCB_CMD_*
PREAD = 0
PWRITE = 1
FSYNC = 2
FDSYNC = 3
POLL = 5
NOOP = 6
PREADV = 7
PWRITEV = 8

# IOCB_CMD_*, by the operation of io_uring
OPCODES = {uring.READ_FILE: PREAD, uring.WRITE_FILE: PWRITE}

# Flags of a request, IOCB_FLAG_*
RESFD = 1 << 0
IOPRIO = 1 << 1

# The switch, for tests that must not call the tool
ENABLED = Path("/sys/kernel/config/rnull_dio_aio/enabled")

# What the header of a ring begins with, see libaio's user_io_getevents()
MAGIC = 0xA10A10A1


class Iocb(ctypes.Structure):
    """struct iocb."""

    _fields_ = (
        ("data", ctypes.c_uint64),
        ("key", ctypes.c_uint32),
        ("rw_flags", ctypes.c_int32),
        ("lio_opcode", ctypes.c_uint16),
        ("reqprio", ctypes.c_int16),
        ("fildes", ctypes.c_uint32),
        ("buf", ctypes.c_uint64),
        ("nbytes", ctypes.c_uint64),
        ("offset", ctypes.c_int64),
        ("reserved2", ctypes.c_uint64),
        ("flags", ctypes.c_uint32),
        ("resfd", ctypes.c_uint32),
    )


class Event(ctypes.Structure):
    """struct io_event."""

    _fields_ = (
        ("data", ctypes.c_uint64),
        ("obj", ctypes.c_uint64),
        ("res", ctypes.c_int64),
        ("res2", ctypes.c_int64),
    )


class Header(ctypes.Structure):
    """struct aio_ring, which the ring begins with; events follow it."""

    _fields_ = (
        ("id", ctypes.c_uint32),
        ("nr", ctypes.c_uint32),
        ("head", ctypes.c_uint32),
        ("tail", ctypes.c_uint32),
        ("magic", ctypes.c_uint32),
        ("compat_features", ctypes.c_uint32),
        ("incompat_features", ctypes.c_uint32),
        ("header_length", ctypes.c_uint32),
    )


class Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_int64), ("nanoseconds", ctypes.c_int64))


class Sigset(ctypes.Structure):
    """struct __aio_sigset."""

    _fields_ = (("mask", ctypes.c_void_p), ("size", ctypes.c_size_t))


def timespec(seconds: float) -> Timespec:
    whole = math.floor(seconds)
    return Timespec(whole, round((seconds - whole) * 1e9))


def call(number: int, *arguments: object) -> int:
    """Executes a system call. Integers are passed as 64 bits, and structures by their address."""
    words = (
        ctypes.byref(each) if isinstance(each, ctypes.Structure | ctypes.Array) else each
        for each in arguments
    )
    result = LIBC.syscall(
        ctypes.c_long(number),
        *(ctypes.c_long(each) if isinstance(each, int) else each for each in words),
    )
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def result_of(number: int, *arguments: object) -> int | str:
    """As call(), but returns an error's name."""
    try:
        return call(number, *arguments)
    except OSError as error:
        # Linux has one number for ENOTSUP and EOPNOTSUPP.
        return errno.errorcode[error.errno].replace("ENOTSUP", "EOPNOTSUPP")


def request(opcode: int, fd: int, memory=None, offset: int = 0, **more: int) -> Iocb:
    """Returns a request. MEMORY is an object, or a pair of address and length."""
    where = memory or (0, 0)
    buf, nbytes = where if isinstance(where, tuple) else (address(where), len(where))
    fields = {"buf": buf, "nbytes": nbytes, "offset": offset} | more
    iocb = Iocb(lio_opcode=opcode, fildes=fd, **fields)
    # It lives as long as the request.
    iocb.memory = memory
    return iocb


def pointers(iocbs: list[Iocb | None]) -> ctypes.Array:
    """Returns what io_submit() takes; None becomes a null pointer."""
    array = (ctypes.c_void_p * max(len(iocbs), 1))()
    for index, iocb in enumerate(iocbs):
        array[index] = ctypes.addressof(iocb) if iocb is not None else None
    return array


# Contexts that have not been destroyed, and that no with statement destroys
alive: set["Context"] = set()


class Context:
    """An AIO context with the methods of uring.Ring; it is destroyed at the end of the with
    statement, if it exists then."""

    def __init__(self, entries: int = 128):
        self.context = ctypes.c_ulong()
        self.queued: list[Iocb] = []
        # The last requests of io_submit(), whose memory must not go away while they are in flight
        self.submitted: deque[Iocb | None] = deque(maxlen=8192)
        call(IO_SETUP, entries, ctypes.byref(self.context))
        alive.add(self)

    def __enter__(self):
        alive.discard(self)
        return self

    def __exit__(self, *_):
        if self.context.value:
            call(IO_DESTROY, self.context)

    @property
    def id(self) -> int:
        return self.context.value

    @property
    def header(self) -> Header:
        """The header of the ring, in the ring."""
        return Header.from_address(self.id)

    def slots(self, count: int) -> ctypes.Array:
        """The first COUNT events of the ring, in the ring."""
        return (Event * count).from_address(self.id + ctypes.sizeof(Header))

    def destroy(self) -> int | str:
        """Calls io_destroy(), before the end of the with statement."""
        alive.discard(self)
        context, self.context = self.context, ctypes.c_ulong()
        return result_of(IO_DESTROY, context)

    def io_submit(self, *iocbs: Iocb | None, nr: int | None = None) -> int | str:
        """Calls io_submit() once, by default with the number of IOCBS."""
        nr = len(iocbs) if nr is None else nr
        self.submitted += iocbs
        return result_of(IO_SUBMIT, self.context, nr, pointers(list(iocbs)))

    def io_cancel(self, iocb: Iocb) -> int | str:
        return result_of(IO_CANCEL, self.context, iocb, Event())

    def io_getevents(self, min_nr: int, nr: int, timeout: float | None = None) -> list[Event] | str:
        """Calls io_getevents(). Returns the events, or the error's name."""
        events = (Event * max(nr, 1))()
        limit = None if timeout is None else timespec(timeout)
        count = result_of(IO_GETEVENTS, self.context, min_nr, nr, events, limit)
        return count if isinstance(count, str) else events[:count]

    def queue_file(
        self, opcode: int, fd: int, memory, pos: int, rw_flags: int = 0, user_data: int = 0
    ) -> None:
        """Puts a read or a write into the queue; submit() submits it."""
        more = {"rw_flags": rw_flags, "data": user_data}
        self.queued.append(request(OPCODES[opcode], fd, memory, pos, **more))

    def submit(self) -> None:
        done = 0
        while done < len(self.queued):
            left = self.queued[done:]
            done += call(IO_SUBMIT, self.context, len(left), pointers(left))
        self.queued = []

    def completions(self, count: int) -> Iterator[tuple[int, int]]:
        """Waits for COUNT completions; gives user_data and the result of each."""
        event = Event()
        for _ in range(count):
            assert call(IO_GETEVENTS, self.context, 1, 1, event, None) == 1
            yield event.data, event.res


def switch_on(*options: object) -> None:
    """Has io_setup() make contexts of the module; OPTIONS are those of "aio on"."""
    tools.run(tools.RNULL_DIO, "aio", "on", *options)


def switch_off() -> None:
    """Has io_setup() make contexts of the kernel again."""
    tools.run(tools.RNULL_DIO, "aio", "off")


def status() -> str:
    """Returns what "aio status" prints."""
    return tools.run(tools.RNULL_DIO, "aio", "status").stdout


def events() -> dict[str, int]:
    """Returns the module's counters."""
    return counters.parse((counters.DEBUGFS / "aio/events").read_text())


@dataclasses.dataclass
class Use:
    """How programs have used AIO: calls of io_submit(), and requests of the module's contexts."""

    calls: int = 0
    requests: int = 0


@contextlib.contextmanager
def used(side: str, others: str = "", most: int = 0) -> Iterator[Use]:
    """Checks that programs use the AIO of SIDE within the with statement, and the other side's not
    at all; gives how much, which is filled in at the end. They may make no call of io_uring's that
    starts I/O, and system calls for which the condition OTHERS holds, MOST times."""
    use, before = Use(), events()
    condition = f"id == {IO_URING_ENTER}" + (f" || ({others})" if others else "")
    with (
        tracing.counted("raw_syscalls/sys_enter", f"id == {IO_SUBMIT}", "submits") as submits,
        tracing.counted("raw_syscalls/sys_enter", condition, "others") as elsewhere,
    ):
        yield use
        use.calls, other_calls = tracing.number_in(submits), tracing.number_in(elsewhere)
    grown = counters.grown(events(), before)
    use.requests = grown.get("requests", 0)
    assert other_calls <= most
    assert use.calls > 0
    if side == "kernel":
        assert not grown
    else:
        assert use.requests >= use.calls
        assert "passed" not in grown


def ring_devices(pid: int | str = "self") -> list[int]:
    """Returns the minor numbers of the devices of a process's rings. All rings of the kernel have
    one, and those of the module another."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    devices = [line.split()[3] for line in lines if line.endswith("/[aio] (deleted)")]
    return [int(device.partition(":")[2], 16) for device in devices]


def length_of(context: Context) -> int:
    """Returns how many bytes of a ring its header and its slots are."""
    return 32 + 32 * context.header.nr


def data_of(events: list[Event]) -> list[int]:
    return [event.data for event in events]


@contextlib.contextmanager
def taken_over(*options: object) -> Iterator[None]:
    """Has io_setup() make contexts of the module for the time of the with statement."""
    switch_on(*options)
    try:
        yield
    finally:
        switch_off()


def delays() -> dict[str, tuple[int, int]]:
    """Returns for each place in the module's code its delay in ms, and how often it was passed."""
    lines = (line.split() for line in files.read(DELAYS).splitlines())
    return {point: (int(delay), int(passed)) for point, delay, passed in lines}


@contextlib.contextmanager
def delayed(point: str, milliseconds: int) -> Iterator[Callable[[], None]]:
    """Has tasks wait at a place in the module's code, where one must come. Gives a function that
    waits until another one comes there."""
    files.write(DELAYS, f"{point} {milliseconds}")
    seen = 0

    def wait_for_another() -> None:
        nonlocal seen
        system.wait_for(lambda: delays()[point][1] > seen)
        seen = delays()[point][1]

    try:
        yield wait_for_another
        assert delays()[point][1] > 0, f"nothing has passed {point}"
    finally:
        files.write(DELAYS, f"{point} 0")
