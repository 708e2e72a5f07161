# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
"""Prints every process that fails."""
import knell

with knell.watch("nonzero-exit") as events:
    for event in events:
        if event.type == "lost":
            print("some exits were lost")
        else:
            print(event.pid, event.name, event.ended, flush=True)
