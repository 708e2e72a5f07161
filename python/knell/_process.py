# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
"""Processes: those that are alive, and waiting for their end."""

import asyncio
import errno
import signal

from ._event import Event
from ._knell import ffi, lib
from ._library import NoSuchProcess, TimeoutExpired, check
from ._watch import watch


def _watch_one(pid):
    opened = watch("exit", via="pidfd", latency=0)
    try:
        opened.add(pid)
    except BaseException:
        opened.close()
        raise
    return opened


async def wait(pid, timeout=None):
    """Waits for the end of a process, which need not be a child, and returns its exit event. The
    status of other processes than children is known from Linux 6.15 on. Does not reap a child."""
    with _watch_one(pid) as events:
        try:
            return await asyncio.wait_for(events.__anext__(), timeout)
        except asyncio.TimeoutError:
            raise TimeoutExpired(errno.ETIMEDOUT,
                                 f"process {pid} did not end before the timeout") from None


class Process:
    """A process by its pid, with the names of psutil. What it says is what was found at its
    creation; it is the same process as another Process if both have the same `id`."""

    def __init__(self, pid):
        self.pid = pid
        self._event = _describe(pid)

    @classmethod
    def _of(cls, event):
        made = cls.__new__(cls)
        made.pid = event.pid
        made._event = event
        return made

    @property
    def id(self):
        """Names the process for ever, although its pid may be used again."""
        return self._event.id

    def name(self):
        return self._event.name

    def exe(self):
        return self._event.exe

    def cmdline(self):
        return self._event.cmdline

    def cwd(self):
        return self._event.cwd

    def ppid(self):
        return self._event.ppid

    def username(self):
        return self._event.username

    def terminal(self):
        return self._event.terminal

    @property
    def info(self):
        """All that is known, as an Event."""
        return self._event

    def is_running(self):
        """Whether this very process is still alive."""
        try:
            return _describe(self.pid).id == self.id
        except NoSuchProcess:
            return False

    def wait(self, timeout=None):
        """Waits for its end. Returns the exit code, or minus the signal that killed it; None: the
        status is not known."""
        return wait_for_exit(self.pid, timeout).returncode

    def kill_and_wait(self, sig=signal.SIGKILL, timeout=None):
        """Sends a signal, and returns as wait() does when the process has ended and its memory is
        free. TimeoutExpired: the signal was sent, but it did not end."""
        if not self.is_running():
            raise NoSuchProcess(errno.ESRCH, f"process {self.pid} has ended")
        return kill_and_wait(self.pid, sig, timeout).returncode

    def __repr__(self):
        return f"Process(pid={self.pid}, name={self.name()!r})"

    def __eq__(self, other):
        return isinstance(other, Process) and self.id == other.id

    def __hash__(self):
        return hash(self.id)


def _describe(pid):
    for process in process_iter(pid=pid):
        return process.info
    raise NoSuchProcess(errno.ESRCH, f"there is no process {pid}")


def process_iter(**predicates):
    """The processes that are alive and match, parents before their children; see Watch.match()."""
    with watch("exit", via="pidfd", **predicates) as listener:
        for event in listener.snapshot():
            yield Process._of(event)


def _exit_within(timeout, function, *arguments):
    """Calls a function that waits for an exit; returns the event, which has no texts."""
    limit = ffi.NULL
    if timeout is not None:
        limit = ffi.new("struct timespec *")
        ns = max(0, round(timeout * 1e9))
        limit.tv_sec, limit.tv_nsec = divmod(ns, 10**9)
    event = ffi.new("struct knell_event *")
    event.size = ffi.sizeof("struct knell_event")
    check(function(*arguments, limit, event))
    return Event._of(event)


def wait_for_exit(pid, timeout=None):
    """Waits for the end of any process."""
    return _exit_within(timeout, lib.knell_wait, pid)


def kill_and_wait(pid, sig, timeout=None):
    """Sends a signal, and waits until the process has ended and its memory is free."""
    return _exit_within(timeout, lib.knell_kill, pid, sig)
