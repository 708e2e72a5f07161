# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
"""Runs a command and reports what failed under it: build_report.py CMD ARG..."""
import sys

import knell

report = knell.run(sys.argv[1:])
for failure in report.failures:
    print(failure.ended, failure.ancestry, *failure.cmdline or [failure.name], sep="\t")
print(f"{report.processes} processes, {report.failed} failed, {report.lost} events lost")
sys.exit(report.returncode)
