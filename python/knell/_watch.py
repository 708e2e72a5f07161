# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
"""Listeners."""

import asyncio
import collections
import datetime
import errno
import os
import select
import time

from ._event import Event
from ._knell import ffi, lib
from ._library import TimeoutExpired, Visitor, check, error_of, mask_of, via_of

_MOST_MS = 2**31 - 1  # of poll(2)
_DETAILS = {"full": lib.KNELL_DETAILS_FULL, "names": lib.KNELL_DETAILS_NAMES,
            "status": lib.KNELL_DETAILS_STATUS}
_MEMBERS = [name for name, _ in ffi.typeof("struct knell_stats").fields if name != "size"]
Stats = collections.namedtuple("Stats", _MEMBERS)


class Watch:
    """A listener; see watch(), replay() and history(). Iterating over it waits for each event."""

    _BATCH = 64

    def __init__(self, handle, durable=False):
        self._handle = ffi.gc(handle, lib.knell_close)
        self._durable = durable
        self._cursor = None  # durable: cursor of the last event that was returned
        self._buffer = ffi.new("const struct knell_event *[]", self._BATCH)
        self._read = collections.deque()

    # -------------------------------------------------------------------------- life

    def close(self):
        """Closes the listener. Events that were read already can still be iterated."""
        if self._handle is not None:
            ffi.release(self._handle)
            self._handle = None

    @property
    def closed(self):
        return self._handle is None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.close()

    def _open(self):
        if self._handle is None:
            raise ValueError("this Watch is closed")
        return self._handle

    # ----------------------------------------------------------- the selection of events

    def match(self, **predicates):
        """Adds predicates, named as the flags of `knell watch`: unit="ssh*", comm=["a", "b"],
        exit_code="2-255", under=os.getpid()."""
        for key, values in predicates.items():
            many = values if isinstance(values, (list, tuple, set, frozenset)) else [values]
            value = ",".join(os.fspath(one) if isinstance(one, os.PathLike) else str(one)
                             for one in many)
            check(lib.knell_match(self._open(), key.replace("_", "-").encode(), os.fsencode(value)))

    def set_events(self, events):
        """Changes the mask of event types of the open listener."""
        check(lib.knell_set_events(self._open(), mask_of(events)))

    def add(self, pid, start=0, cookie=0):
        """Adds a process, with only_added=True. `start`: clock ticks since boot, to detect that the
        pid was used again. `cookie` is returned in its events."""
        check(lib.knell_add(self._open(), pid, start, cookie))

    def add_many(self, processes):
        """Adds many processes at once, which through knelld takes about half of the time of add() for
        each. `processes`: pids, or tuples (pid, start, cookie) with the arguments of add(), of which the
        last ones may be missing. Returns those that were not added, in their order, as a list of
        (pid, error); empty: all were added."""
        rows = [(one,) if isinstance(one, int) else one for one in processes]
        added = ffi.new("struct knell_added[]", len(rows))
        for one, (pid, start, cookie) in zip(added, ((*row, 0, 0)[:3] for row in rows)):
            one.pid, one.start, one.cookie = pid, start, cookie
        check(lib.knell_add_many(self._open(), added, len(rows)))
        return [(one.pid, error_of(-one.error, os.strerror(-one.error)))
                for one in added if one.error != 0]

    def remove(self, pid):
        check(lib.knell_remove(self._open(), pid))

    # -------------------------------------------------------------------- reading

    def fileno(self):
        """For an event loop: when it is readable, call read()."""
        return check(lib.knell_fd(self._open()))

    def ack(self, event=None):
        """For a durable listener: acknowledges `event` and all events before it. None: waits until all
        acknowledgements are committed. Iteration acknowledges an event when the next one is requested,
        and read() acknowledges the events that the call before returned."""
        if event is None:
            return check(lib.knell_ack(self._open(), ffi.NULL))
        if event.cursor is None:
            return
        cursor = ffi.new("char[]", event.cursor.encode())
        made = ffi.new("struct knell_event *")
        made.size = ffi.sizeof("struct knell_event")
        made.cursor.data, made.cursor.size = cursor, len(cursor) - 1
        check(lib.knell_ack(self._open(), made))

    def _done(self):
        """Acknowledges the last event that was returned, since the caller requests the next one."""
        event, self._cursor = self._cursor, None
        if event is not None and self._handle is not None:
            self.ack(event)

    def _hand_out(self):
        event = self._read.popleft()
        if self._durable:
            self._cursor = event
        return event

    def read(self):
        """Returns a list of the events that have arrived, which may be empty. Does not block. EOFError: the
        recording, or the journal, has no more events."""
        self._done()
        events = list(self._read)
        self._read.clear()
        try:
            self._take()
        except (OSError, EOFError):
            if not events:
                raise
        events.extend(self._read)
        self._read.clear()
        if self._durable and events:
            self._cursor = events[-1]
        return events

    def next(self, timeout=None):
        """Waits for an event, at most `timeout` seconds. TimeoutExpired: no event arrived."""
        self._done()
        deadline = None if timeout is None else time.monotonic() + timeout
        poll = None
        while not self._read:
            self._take()
            if self._read:
                break
            if poll is None:
                poll = select.poll()
                poll.register(self.fileno(), select.POLLIN)
            left = None if deadline is None else max(0, deadline - time.monotonic())
            if not poll.poll(None if left is None else min(left * 1000, _MOST_MS)) and left == 0:
                raise TimeoutExpired(errno.ETIMEDOUT, "no event before the timeout")
        return self._hand_out()

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return self.next()
        except EOFError:
            raise StopIteration from None

    def __aiter__(self):
        return self

    async def __anext__(self):
        self._done()
        try:
            while not self._read:
                self._take()
                if not self._read:
                    await self._readable()
        except EOFError:
            raise StopAsyncIteration from None
        return self._hand_out()

    def _take(self):
        count = lib.knell_read(self._open(), self._buffer, self._BATCH)
        if count == -errno.ENODATA:
            raise EOFError("there are no more events")
        self._read.extend(Event._of(self._buffer[i]) for i in range(check(count)))

    async def _readable(self):
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        fd = self.fileno()
        loop.add_reader(fd, lambda: ready.done() or ready.set_result(None))
        try:
            await ready
        finally:
            loop.remove_reader(fd)

    # ---------------------------------------------------------------- other functions

    def snapshot(self):
        """The processes that are alive now and match the predicates: a list of events of type "unknown",
        parents before their children."""
        alive = []
        visitor = Visitor(lambda event: alive.append(Event._of(event)))
        result = lib.knell_snapshot(self._open(), lib.knell_python_on_event, visitor.handle)
        visitor.finish()
        check(result)
        return alive

    def stats(self):
        """Counters, with the names of struct knell_stats."""
        stats = ffi.new("struct knell_stats *")
        stats.size = ffi.sizeof("struct knell_stats")
        check(lib.knell_get_stats(self._open(), stats))
        return Stats(*(getattr(stats, name) for name in _MEMBERS))


def _opened(function, *arguments, durable=False):
    handle = ffi.new("struct knell_listener **")
    check(function(*arguments, handle))
    return Watch(handle[0], durable)


_FROM = {"acknowledged": lib.KNELL_FROM_ACKNOWLEDGED, "oldest": lib.KNELL_FROM_OLDEST,
         "newest": lib.KNELL_FROM_NEWEST}


def watch(events="exec,exit", *, only_added=False, threads=False, details="full", via="auto",
          latency=None, args_bytes=0, buffer_bytes=0, durable=None, start="acknowledged",
          max_unacked=0, **predicates):
    """Returns a listener for events of processes that happen from now on.

    events: names as for `knell watch -e`. only_added: only of processes given to add(). threads: the
    kernel's events of threads. details: "full", "names" or "status". via: "auto", "daemon", "bpf",
    "connector" or "pidfd". latency: how long events may be delayed so that several are read at once,
    in seconds; None: 1 ms, and up to 10 ms while many events come. Predicates: see Watch.match().

    durable: the name of a durable listener: knelld stores its events until they are acknowledged, see
    Watch.ack(). start: where it begins: "acknowledged", "oldest", "newest", or a cursor of an event.
    max_unacked: the most events without an acknowledgement.
    """
    options = ffi.new("struct knell_options *")
    options.size = ffi.sizeof("struct knell_options")
    options.events = mask_of(events)
    options.level = lib.KNELL_LEVEL_RAW if threads else lib.KNELL_LEVEL_PROCESS
    if details not in _DETAILS:
        raise ValueError(f"details must be one of {', '.join(map(repr, _DETAILS))}, not {details!r}")
    if durable is None and start != "acknowledged":
        raise ValueError("start needs durable, the name of a durable listener")
    options.details = _DETAILS[details]
    options.via = via_of(via)
    if latency is not None:
        options.latency_ns = round(latency * 1e9) or lib.KNELL_LATENCY_NONE
    options.only_added = only_added
    options.args_bytes = args_bytes
    options.buffer_bytes = buffer_bytes
    options.max_unacked = max_unacked
    texts = []  # as long as the options
    if durable is not None:
        texts.append(ffi.new("char[]", os.fsencode(durable)))
        options.durable = texts[-1]
        if start in _FROM:
            setattr(options, "from", _FROM[start])
        else:
            texts.append(ffi.new("char[]", start.encode()))
            options.cursor = texts[-1]
    opened = _opened(lib.knell_open, options, durable=durable is not None)
    return _with_predicates(opened, predicates)


def replay(path, events="all", *, only_added=False, speed=0, **predicates):
    """Returns a listener for the events of a recording of `knell record`. speed: 1 is the original speed,
    0 as fast as possible. Iteration ends at the end of the recording."""
    options = ffi.new("struct knell_replay_options *")
    options.size = ffi.sizeof("struct knell_replay_options")
    options.events = mask_of(events)
    options.only_added = only_added
    options.speed = speed
    return _with_predicates(_opened(lib.knell_open_recording, os.fsencode(path), options), predicates)


def history(events="all", *, since=None, until=None, last=0, this_boot=False, follow=False, path=None,
            **predicates):
    """Returns a listener for past events, which knelld has stored in its journal. Iteration ends after the
    last event; follow: it waits for more.

    since, until: a datetime, or seconds since the epoch as time.time() returns them; None: no limit.
    last: only this number of events, the last that match; 0: all. this_boot: only events since this machine was
    booted. path: the file of a journal; None: that of knelld, which reads it for users that may not.
    Error with the errno ENODATA: the journal is empty; ENOENT: there is none.
    """
    options = ffi.new("struct knell_history_options *")
    options.size = ffi.sizeof("struct knell_history_options")
    options.events = mask_of(events)
    options.since_ns = _time_ns(since)
    options.until_ns = _time_ns(until)
    options.last = last
    options.this_boot = this_boot
    options.follow = follow
    file = ffi.NULL if path is None else os.fsencode(path)
    return _with_predicates(_opened(lib.knell_open_history, file, options), predicates)


def _time_ns(time_of_day):
    if time_of_day is None:
        return 0
    if isinstance(time_of_day, datetime.datetime):
        return round(time_of_day.timestamp() * 10**6) * 1000  # its resolution
    return round(time_of_day * 10**9)


def _with_predicates(opened, predicates):
    try:
        opened.match(**predicates)
    except BaseException:
        opened.close()
        raise
    return opened
