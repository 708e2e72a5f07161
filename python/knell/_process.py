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


def _watch_one(pid, start=0):
    opened = watch("exit", via="pidfd", latency=0)
    try:
        opened.add(pid, start)
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
            return _at_timeout(events, pid)


def _next_exit(events, pid, timeout):
    """Waits as wait() does, with the listener of _watch_one(). Not with knell_wait(): the handlers of
    Python would not run before that returns."""
    try:
        return events.next(timeout)
    except TimeoutExpired:
        return _at_timeout(events, pid)


def _at_timeout(events, pid):
    """The exit of a process that is dead, but not reaped: the listener awaits its status for a second, and
    the caller waits no longer. TimeoutExpired: it is alive."""
    try:
        return _exit_now(lib.knell_wait, pid)
    except NoSuchProcess:  # it has been reaped in the meantime
        return events.next(0)


def _exit_now(function, *arguments):
    """Calls a function that waits for an exit, with the timeout 0; returns the event, which has no texts."""
    event = ffi.new("struct knell_event *")
    event.size = ffi.sizeof("struct knell_event")
    check(function(*arguments, ffi.new("struct timespec *"), event))
    return Event._of(event)


class Process:
    """A process by its pid, with the names of psutil. What it says is what was found at its
    creation; it is the same process as another Process if both have the same `id`. It may have ended
    already, if its parent has not reaped it."""

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
        """All that is known, as an Event; its exit, if it had ended already."""
        return self._event

    def is_running(self):
        """Whether this very process is still alive."""
        alive = _alive(self.pid)
        return alive is not None and alive.id == self.id

    def _watch(self):
        start = self.id.rpartition("-")[2]
        return _watch_one(self.pid, int(start) if start.isdigit() else 0)

    def wait(self, timeout=None):
        """Waits for its end. Returns the exit code, or minus the signal that killed it; None: the
        status is not known. NoSuchProcess: it has been reaped, and another process may have its pid."""
        if self._event.returncode is not None:  # it had ended when it was found
            return self._event.returncode
        with self._watch() as events:
            return _next_exit(events, self.pid, timeout).returncode

    def kill_and_wait(self, sig=signal.SIGKILL, timeout=None):
        """Sends a signal, and returns as wait() does when the process has ended and its memory is
        free. TimeoutExpired: the signal was sent, but it did not end."""
        if not self.is_running():
            raise NoSuchProcess(errno.ESRCH, f"process {self.pid} has ended")
        with self._watch() as events:
            try:
                return _exit_now(lib.knell_kill, self.pid, sig).returncode
            except TimeoutExpired as sent:
                try:
                    return _next_exit(events, self.pid, timeout).returncode
                except TimeoutExpired:
                    raise sent from None

    def __repr__(self):
        return f"Process(pid={self.pid}, name={self.name()!r})"

    def __eq__(self, other):
        return isinstance(other, Process) and self.id == other.id

    def __hash__(self):
        return hash(self.id)


def _alive(pid):
    """What is known of a process that is alive; None: it is not."""
    for process in process_iter(pid=pid):
        return process.info
    return None


def _describe(pid):
    """What is known of a process, or the exit of one that is not reaped."""
    alive = _alive(pid)
    if alive is not None:
        return alive
    with _watch_one(pid) as events:
        try:
            _exit_now(lib.knell_wait, pid)
            return events.next()  # with its name and start, after at most a second
        except TimeoutExpired:  # it has been started in the meantime
            alive = _alive(pid)
    if alive is None:
        raise NoSuchProcess(errno.ESRCH, f"process {pid} has ended, or cannot be seen")
    return alive


def process_iter(**predicates):
    """The processes that are alive and match, parents before their children; see Watch.match()."""
    with watch("exit", via="pidfd", **predicates) as listener:
        for event in listener.snapshot():
            yield Process._of(event)
