# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
"""Events as Python objects, which keep nothing of the library's memory."""

import json

from ._knell import ffi, lib
from ._library import call_for_text, text_of

class _Fields:
    """Attributes that are the members of a JSON object; None: unknown, or not of this type."""

    __slots__ = ("_fields",)
    _names = ()

    def __init__(self, fields):
        self._fields = fields

    def __getattr__(self, name):
        if name in type(self)._names:
            return self._fields.get(name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __dir__(self):
        return sorted({*super().__dir__(), *type(self)._names})

    def __repr__(self):
        members = ", ".join(f"{name}={value!r}" for name, value in self._fields.items()
                            if value is not None)
        return f"{type(self).__name__}({members})"

    def __eq__(self, other):
        return type(self) is type(other) and self._fields == other._fields

    def as_dict(self):
        """The fields as in JSON, with the names there."""
        return dict(self._fields)


class KilledBy(_Fields):
    """The sender of the signal that killed a process."""
    __slots__ = ()
    _names = ("cause", "pid", "comm", "uid", "parent_pid", "parent_comm", "unit", "memory_cgroup")


class LastSignal(_Fields):
    """The last termination request that a process received."""
    __slots__ = ()
    _names = ("signal", "pid", "comm", "uid", "parent_comm", "ago_ns")


class Event(_Fields):
    """One event. Its attributes have the names of the fields of `knell watch -o json`, except for those
    that psutil names: name, cmdline, username and terminal. None: unknown, or not of this type."""

    __slots__ = ("name", "cmdline", "exe", "cwd", "username", "terminal", "ended", "cookie",
                 "killed_by", "last_signal")
    _names = (
        "type", "seq", "time", "mono_ns", "via", "id", "parent_id", "pid", "tid", "ppid",
        "parent_comm", "args_truncated", "uid", "gid", "cgroup", "unit", "container_id", "recovered",
        "wait_status", "exit_code", "signal", "core_dumped", "duration_ns", "details_lost", "child_id", "child_pid",
        "child_tid", "ruid", "euid", "rgid", "egid", "tracer_pid", "new_comm", "count", "exact",
        "types", "from", "until", "ancestry", "cursor", "redelivered")

    def __init__(self, fields):
        """`fields`: the JSON object of a line of `knell watch -o json`."""
        super().__init__(fields)
        self.name = fields.get("comm")
        self.cmdline = fields.get("args")
        self.exe = fields.get("exe")
        self.cwd = fields.get("cwd")
        self.username = fields.get("user")
        self.terminal = fields.get("tty")
        killed_by = fields.get("killed_by")
        self.killed_by = None if killed_by is None else KilledBy(killed_by)
        last_signal = fields.get("last_signal")
        self.last_signal = None if last_signal is None else LastSignal(last_signal)
        self.ended = _ended(fields) if fields.get("type") == "exit" else None
        self.cookie = 0

    @classmethod
    def _of(cls, event):
        """Converts a struct knell_event. Strings are decoded by os.fsdecode(), since JSON escapes bytes that
        are not valid UTF-8."""
        made = cls(json.loads(call_for_text(lib.knell_event_json, event)))
        made.name = text_of(event.comm)
        arguments = text_of(event.args)
        made.cmdline = None if arguments is None else arguments.split("\0")[:-1]
        made.exe = text_of(event.exe)
        made.cwd = text_of(event.cwd)
        made.username = text_of(event.user)
        made.terminal = text_of(event.tty)
        made.cookie = event.cookie
        return made

    @property
    def duration(self):
        """The lifetime of a process that exited, in seconds; None: unknown."""
        ns = self._fields.get("duration_ns")
        return None if ns is None else ns / 1e9

    @property
    def returncode(self):
        """As in subprocess: the exit code, or the negative signal; None: unknown, or not an exit."""
        status = self._fields.get("wait_status")
        if status is None:
            return None
        return -(status & 0x7f) if status & 0x7f else status >> 8 & 0xff


def _ended(fields):
    """How a process ended: "exit 1", "SIGSEGV core", "SIGKILL oom", "unknown"."""
    event = ffi.new("struct knell_event *")
    event.size = ffi.sizeof("struct knell_event")
    event.type = lib.KNELL_EVENT_EXIT
    if fields["wait_status"] is not None:
        event.has |= lib.KNELL_HAS_STATUS
        event.wait_status = fields["wait_status"]
    if (fields.get("killed_by") or {}).get("cause") == "oom":
        event.has |= lib.KNELL_HAS_KILLER
        event.killed_by.cause = lib.KNELL_CAUSE_OOM
    return call_for_text(lib.knell_event_ended, event)
