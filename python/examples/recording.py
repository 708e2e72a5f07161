# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
"""Counts how the processes in a recording of `knell record` ended: recording.py FILE"""
import collections
import sys

import knell

with knell.replay(sys.argv[1], "exit") as events:
    counts = collections.Counter((event.name, event.ended) for event in events)
for (name, ended), count in counts.most_common():
    print(count, name, ended)
