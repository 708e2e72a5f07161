# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
"""In a loop of one's own: fileno() is readable when read() has events. Ends with standard input."""
import select
import sys

import knell

with knell.watch("nonzero-exit", latency=0.1) as listener:
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.register(sys.stdin, select.POLLIN)
    while True:
        ready = [fd for fd, _ in poll.poll()]
        if listener.fileno() in ready:
            for event in listener.read():
                print(event.pid, event.ended, flush=True)
        if sys.stdin.fileno() in ready:
            break
