# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
"""Lists the processes that are alive and pass a predicate: alive.py KEY VALUE"""
import sys

import knell

for process in knell.process_iter(**{sys.argv[1]: sys.argv[2]}):
    print(process.pid, process.name(), *process.cmdline() or [])
