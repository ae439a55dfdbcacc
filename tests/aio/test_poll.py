# SPDX-License-Identifier: GPL-2.0
"""IOCB_CMD_POLL: files that are ready, that become ready, and that never are."""

import os
import select
import signal
import tty

from guest import aio, system
from guest.tasks import Child, run_in_child

IN, OUT, PRI, ERR, HUP = (
    getattr(select, f"EPOLL{name}") for name in ("IN", "OUT", "PRI", "ERR", "HUP")
)
RDNORM, WRNORM = select.EPOLLRDNORM, select.EPOLLWRNORM
# What the kernel reports when something is written to a pipe: all that the writer wakes readers
# for, although they have asked for less.
WRITTEN = IN | RDNORM


# A system call that Python does not have
SIGNALFD4 = 289


def poll(fd: int, events: int, **more: int) -> aio.Iocb:
    return aio.request(aio.POLL, fd, (events, 0), **more)


def result(context: aio.Context, timeout: float | None = 30) -> int:
    """Returns the result of the one request that is in flight."""
    (event,) = context.io_getevents(1, 4, timeout)
    assert event.res2 == 0
    return event.res


def nothing_happens(context: aio.Context) -> bool:
    return context.io_getevents(1, 1, timeout=0.3) == []


def test_ready_at_once(context, pipe, file):
    receive, send = pipe
    assert context.io_submit(poll(send, OUT, data=5)) == 1
    assert context.io_getevents(0, 1)[0].res == OUT
    os.write(send, b"x")
    # Only those events are reported that were asked for.
    for events in (IN, IN | RDNORM, IN | PRI, IN | OUT):
        assert context.io_submit(poll(receive, events)) == 1
        assert result(context, 0) == events & (IN | RDNORM)
    # Files that never block are always ready.
    assert context.io_submit(poll(file, IN | OUT | RDNORM | WRNORM)) == 1
    assert result(context, 0) == IN | OUT | RDNORM | WRNORM


def test_ready_later(context, pipe):
    receive, send = pipe
    iocb = poll(receive, IN, data=77)
    assert context.io_submit(iocb) == 1
    assert nothing_happens(context)
    os.write(send, b"x")
    (event,) = context.io_getevents(1, 1)
    assert (event.data, event.res, event.res2) == (77, WRITTEN, 0)
    # One request has one event.
    os.write(send, b"x")
    assert nothing_happens(context)


def test_ready_for_something_else(context):
    receive, send = os.pipe2(os.O_NONBLOCK)
    assert context.io_submit(poll(receive, PRI)) == 1
    os.write(send, b"x")
    assert nothing_happens(context)
    # Hangups are reported whether they were asked for or not.
    os.close(send)
    assert result(context) == HUP
    os.close(receive)


def test_hangup_and_error(context):
    receive, send = os.pipe2(os.O_NONBLOCK)
    os.write(send, b"x")
    os.close(send)
    assert context.io_submit(poll(receive, IN)) == 1
    assert result(context) == IN | HUP
    os.close(receive)
    receive, send = os.pipe2(os.O_NONBLOCK)
    while True:
        try:
            os.write(send, bytes(4096))
        except BlockingIOError:
            break
    assert context.io_submit(poll(send, 0)) == 1
    assert nothing_happens(context)
    os.close(receive)
    assert result(context) == ERR
    os.close(send)


def test_the_file_may_be_closed_in_between(context):
    receive, send = os.pipe2(os.O_NONBLOCK)
    assert context.io_submit(poll(receive, IN)) == 1
    # The request holds the file, so that there is still a reader.
    os.close(receive)
    os.write(send, b"x")
    assert result(context) == WRITTEN

    def has_no_reader() -> bool:
        try:
            return not os.write(send, b"x")
        except BrokenPipeError:
            return True

    # A worker of the module closes the file, which takes longer.
    system.wait_for(has_no_reader)
    os.close(send)


def test_bad_fields(context, pipe):
    receive, _ = pipe
    for field in ("offset", "nbytes", "rw_flags"):
        assert context.io_submit(poll(receive, IN, **{field: 1})) == "EINVAL"
    # Events have 16 bits.
    for events in (1 << 16, 1 << 63, select.EPOLLET):
        assert context.io_submit(poll(receive, events)) == "EINVAL"
    assert context.io_submit(poll(1000, IN)) == "EBADF"


def test_files_that_cannot_be_waited_for(context, file, tmp_path):
    # A regular file has no queue to wait in.
    assert context.io_submit(poll(file, PRI)) == "EINVAL"
    # A pipe for both directions has two.
    path = tmp_path / "fifo"
    os.mkfifo(path)
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    assert context.io_submit(poll(fd, IN)) == "EINVAL"
    assert context.io_submit(poll(fd, IN | OUT)) == 1
    assert result(context) == OUT
    os.write(fd, b"x")
    os.close(fd)


def test_many_on_one_pipe(context, pipe):
    receive, send = pipe
    iocbs = [poll(receive, IN, data=number) for number in range(16)]
    assert context.io_submit(*iocbs) == 16
    os.write(send, b"x")
    events = context.io_getevents(16, 16, timeout=30)
    assert sorted((event.data, event.res) for event in events) == [(n, WRITTEN) for n in range(16)]


def test_timers_and_counters(context):
    timer = os.timerfd_create(1, flags=os.TFD_NONBLOCK)
    assert context.io_submit(poll(timer, IN)) == 1
    os.timerfd_settime(timer, initial=0.3)
    assert result(context) == IN
    assert os.read(timer, 8) == (1).to_bytes(8, "little")
    os.close(timer)
    counter = os.eventfd(0, os.EFD_NONBLOCK)
    assert context.io_submit(poll(counter, IN)) == 1
    os.eventfd_write(counter, 3)
    assert result(context) == IN
    assert os.eventfd_read(counter) == 3
    os.close(counter)


def test_epoll_inside(context, pipe):
    receive, send = pipe
    with select.epoll() as epoll:
        epoll.register(receive, IN)
        assert context.io_submit(poll(epoll.fileno(), IN)) == 1
        assert nothing_happens(context)
        os.write(send, b"x")
        assert result(context) == IN


def test_a_terminal(context):
    leader, follower = os.openpty()
    tty.setraw(follower)
    # The two queues of a terminal cannot both be waited in.
    assert context.io_submit(poll(follower, IN)) == "EINVAL"
    os.write(leader, b"x")
    assert select.select([follower], [], [], 30)[0] == [follower]
    assert context.io_submit(poll(follower, IN)) == 1
    assert result(context) == IN
    os.close(leader)
    os.close(follower)


def test_exit_with_polls_in_flight(pipe):
    receive, send = pipe

    def child(self: Child) -> None:
        context = aio.Context(8)
        assert context.io_submit(*(poll(receive, IN) for _ in range(8))) == 8
        self.say(b"waiting")
        signal.pause()

    waiting = Child(child)
    assert waiting.wait_for_word() == b"waiting"
    waiting.kill()
    assert waiting.wait() == -signal.SIGKILL
    os.write(send, b"x")
    assert os.read(receive, 8) == b"x"


def test_exit_with_a_poll_of_its_own_signals():
    # The queue of a signalfd goes away when the task exits, after its context.
    def child(_):
        mask = (1 << signal.SIGUSR1 - 1).to_bytes(8, "little")
        fd = aio.LIBC.syscall(SIGNALFD4, -1, mask, len(mask), os.O_NONBLOCK)
        assert fd >= 0
        assert aio.Context(8).io_submit(poll(fd, IN)) == 1

    run_in_child(child)
