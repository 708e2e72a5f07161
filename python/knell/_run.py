# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
"""knell run, with its report as objects."""

import json
import os
import subprocess
import tempfile

from ._event import Event


class Report:
    """What `knell run` reports: `returncode` of the command, as in subprocess; `events`, each with its
    `ancestry`; and the members of the summary as attributes: processes, failed, lost, duration_ns,
    scope and so on."""

    def __init__(self, args, returncode, events, summary):
        self.args = args
        self.returncode = returncode
        self.events = events
        self.summary = summary

    @property
    def failures(self):
        """The exits of processes that did not end with status 0, which `failed` counts, too. An exit whose
        status is not known is one of them."""
        return [event for event in self.events if event.type == "exit" and event.wait_status != 0]

    def __getattr__(self, name):
        if name in self.__dict__.get("summary", {}):
            return self.summary[name]
        raise AttributeError(f"'Report' object has no attribute {name!r}")

    def __repr__(self):
        return f"Report(args={self.args!r}, returncode={self.returncode}, events={self.events!r})"

    def check_returncode(self):
        """Raises subprocess.CalledProcessError if the command failed."""
        if self.returncode != 0:
            raise subprocess.CalledProcessError(self.returncode, self.args)


def run(args, *, events="nonzero-exit", check=False, knell="knell", **popen):
    """Runs a command under `knell run`, and returns a Report. `popen`: as for subprocess.run(), for
    example cwd, env, stdout. `knell`: the program."""
    if isinstance(args, (str, bytes, os.PathLike)):  # as subprocess.run(): a program without arguments
        args = [args]
    if not args:
        raise ValueError("args must have the command and its arguments")
    if not isinstance(events, str):
        events = ",".join(events)
    with tempfile.TemporaryDirectory(prefix="knell-") as folder:
        path = os.path.join(folder, "report")
        ran = subprocess.run([knell, "run", "-e", events, "--report", path, "-o", "json", "--", *args],
                             check=False, **popen)
        try:
            with open(path, encoding="utf-8") as file:
                lines = [json.loads(line) for line in file]
        except FileNotFoundError:
            lines = []
    summary = lines.pop() if lines and lines[-1]["type"] == "summary" else None
    if summary is None:
        raise RuntimeError(f"knell run did not run {args[0]!r}: it ended with {ran.returncode}")
    report = Report(args, ran.returncode, [Event(line) for line in lines], summary)
    if check:
        report.check_returncode()
    return report
