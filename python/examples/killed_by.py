# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
"""Who killed it? Prints the sender of each deadly signal."""
import knell

with knell.watch("nonzero-exit", ended="signal") as events:
    for event in events:
        if event.killed_by:
            sender = event.killed_by
            print(f"{event.name}: {event.ended} by {sender.comm or sender.cause}", flush=True)
