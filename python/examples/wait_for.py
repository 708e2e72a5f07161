# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
"""Waits for a process that need not be a child: wait_for.py PID"""
import sys

import knell

print(knell.Process(int(sys.argv[1])).wait())
