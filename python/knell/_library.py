# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
"""Calls of libknell, with errors as exceptions and strings as str."""

import collections
import errno
import json
import os

from ._knell import ffi, lib


class Error(OSError):
    """An error of libknell: `errno`, and `strerror` with the message."""


class NoSuchProcess(Error, ProcessLookupError):
    """There is no such process."""


class AccessDenied(Error, PermissionError):
    """Not permitted."""


class TimeoutExpired(Error, TimeoutError):
    """The timeout passed."""


_CLASSES = {errno.ESRCH: NoSuchProcess, errno.EPERM: AccessDenied, errno.EACCES: AccessDenied,
            errno.ETIMEDOUT: TimeoutExpired}


def error_of(code, text):
    """The exception class for an errno."""
    return _CLASSES.get(code, Error)(code, text)


def check(result):
    """Returns the result of a libknell function, or raises an Error if it is negative."""
    if result >= 0:
        return result
    raise error_of(-result, ffi.string(lib.knell_explain()).decode(errors="replace"))


def text_of(string):
    """The str of a struct knell_string, as os.fsdecode() makes it; None: unknown."""
    if string.data == ffi.NULL:
        return None
    return os.fsdecode(ffi.buffer(string.data, string.size)[:])


def call_for_text(function, *arguments):
    """The string that an snprintf-like function writes."""
    size = 4096
    while True:
        buffer = ffi.new("char[]", size)
        length = check(function(*arguments, buffer, size))
        if length < size:
            return ffi.buffer(buffer, length)[:].decode()
        size = 2 * length + 1  # the next answer of a daemon may be longer


def mask_of(events):
    """The mask of names as for `knell watch -e`: a str, or a list of them."""
    if not isinstance(events, str):
        events = ",".join(events)
    mask = ffi.new("uint32_t *")
    check(lib.knell_events_parse(events.encode(), mask))
    return mask[0]


def via_of(name):
    if name == "auto":
        return lib.KNELL_VIA_AUTO
    via = ffi.new("uint32_t *")
    check(lib.knell_via_parse(name.encode(), via))
    return via[0]


def version():
    return ffi.string(lib.knell_version()).decode()


def status():
    """The status of knelld, as `knell status -o json` writes it."""
    return json.loads(call_for_text(lib.knell_status))


Finding = collections.namedtuple("Finding", "level subject text fix")
_LEVELS = {lib.KNELL_FINDING_OK: "ok", lib.KNELL_FINDING_WARN: "warn", lib.KNELL_FINDING_NO: "no",
           lib.KNELL_FINDING_NOTE: "note"}


class Visitor:
    """A Python function as a callback for C. Its exception is raised again after the C function has returned."""

    def __init__(self, visit):
        self._visit = visit
        self._raised = None
        self.handle = ffi.new_handle(self)

    def call(self, value):
        try:
            return 1 if self._visit(value) else 0
        except BaseException as raised:  # also KeyboardInterrupt
            self._raised = raised
            return 1

    def finish(self):
        if self._raised is not None:
            raise self._raised


@ffi.def_extern()
def knell_python_on_event(event, context):
    return ffi.from_handle(context).call(event)


@ffi.def_extern()
def knell_python_on_finding(finding, context):
    return ffi.from_handle(context).call(finding)


def doctor():
    """What works on this machine for this user: a list of Finding(level, subject, text, fix)."""
    findings = []

    def add(found):
        def text(pointer):
            return None if pointer == ffi.NULL else ffi.string(pointer).decode(errors="replace")
        findings.append(Finding(_LEVELS[found.level], text(found.subject), text(found.text),
                                text(found.fix)))

    visitor = Visitor(add)
    result = lib.knell_doctor(lib.knell_python_on_finding, visitor.handle)
    visitor.finish()
    if result != -errno.ENOTSUP:  # nothing can be observed: the findings say why
        check(result)
    return findings
