# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
"""Process events: which processes ended, and with what status.

    import knell

    with knell.watch("nonzero-exit", unit="postgresql*") as events:
        for event in events:
            print(event.pid, event.name, event.ended)

A Watch can be iterated with `for` and with `async for`; it has a fileno() for other event loops. It
starts no threads, and may be used by one thread at a time.
"""

from ._event import Event, KilledBy, LastSignal
from ._library import (AccessDenied, Error, NoSuchProcess, TimeoutExpired, doctor, Finding, status,
                       version)
from ._process import Process, process_iter, wait
from ._run import Report, run
from ._watch import Stats, Watch, history, replay, watch

__all__ = [
    "AccessDenied", "Error", "Event", "Finding", "KilledBy", "LastSignal", "NoSuchProcess",
    "Process", "Report", "Stats", "TimeoutExpired", "Watch", "doctor", "history", "process_iter",
    "replay", "run", "status", "version", "wait", "watch",
]
__version__ = version()
