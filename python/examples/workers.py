# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
"""Starts workers, and replaces each that fails, once. The cookie says which it was."""
import subprocess
import sys

import knell

commands = [["sh", "-c", "exit 3"], ["true"]]
with knell.watch("exit", via="pidfd", only_added=True) as events:
    workers = []
    for number, command in enumerate(commands):
        workers.append(subprocess.Popen(command))
        events.add(workers[-1].pid, cookie=number)
    for _ in workers:
        event = events.next(timeout=60)
        print("worker", event.cookie, event.ended)
        if event.returncode != 0:
            print("again:", subprocess.call(commands[event.cookie]), file=sys.stderr)
