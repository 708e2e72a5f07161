# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
"""Common code of the tests of `knell run`: a program under it, and its output."""

import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import tempfile
import time

PATIENCE = 180  # seconds to wait for something that is immediate on an idle machine
SKIPPED = 77


class Wrong(Exception):
    """The result is not the expected one."""


class Skip(Exception):
    """This cannot be tested here."""


def check(holds, text):
    if not holds:
        raise Wrong(text)


def until(what, condition):
    """Waits for a condition; returns what made it true."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise Wrong(f"timed out waiting for {what}")


def children(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]


def state(pid):
    """R, S, T, Z ...; "" when the process is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def alive(pid):
    return state(pid) not in ("", "Z", "X")


class Process:
    """A process whose standard output is read line by line; in a session of its own."""

    def __init__(self, words, folder, **more):
        self.err = open(pathlib.Path(folder) / "err", "w+b")
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=more.pop("stderr", self.err),
                                        start_new_session=more.pop("session", True), **more)
        self.pid = self.process.pid
        self.bytes = b""

    def line(self):
        """The next line; None at the end."""
        end = time.monotonic() + PATIENCE
        out = self.process.stdout
        while b"\n" not in self.bytes:
            if not select.select([out], [], [], max(0, end - time.monotonic()))[0]:
                raise Wrong(f"no line came; standard error: {self.errors()}")
            more = os.read(out.fileno(), 4096)
            if not more:
                return None
            self.bytes += more
        line, _, self.bytes = self.bytes.partition(b"\n")
        return line.decode()

    def lines(self):
        return list(iter(self.line, None))

    def wait(self):
        """The status as from waitpid(2): -SIGNAL where a signal killed it."""
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Wrong(f"it does not end; standard error: {self.errors()}") from None

    def errors(self):
        self.err.seek(0)
        return self.err.read().decode(errors="replace")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in [self.pid, *children(self.pid)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.process.stdout.close()
        self.err.close()


class Place:
    """The programs, and a folder for a test."""

    def __init__(self, binaries, folder):
        self.knell = str(binaries / "knell")
        self.log = str(binaries / "tests" / "signal_log")
        self.folder = pathlib.Path(folder)

    def run(self, *words):
        return [self.knell, "run", "--", *words]

    def start_log(self, last, before=(), **more):
        """signal_log under `knell run`; it is ready, and its pid is in .command."""
        job = Process([*before, *self.run(self.log, str(last))], self.folder, **more)
        line = job.line() or ""
        check(line.startswith("ready "), f"signal_log did not begin: {line} {job.errors()}")
        job.command = int(line.split()[1])
        return job


def main(tests):
    """Runs functions of a Place; their names, or parts of them, may follow the folder BIN."""
    if len(sys.argv) < 2:
        sys.exit(f"usage: {sys.argv[0]} BIN [NAME...]")
    binaries, only = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    for key in [key for key in os.environ if key.startswith("KNELL_")]:
        del os.environ[key]
    os.environ.update(KNELL_SOCKET="", LC_ALL="C.UTF-8")
    probe = subprocess.run([binaries / "knell", "run", "--", "true"], capture_output=True, text=True)
    if probe.returncode == 125:
        print("skip: " + probe.stderr.strip())
        return SKIPPED
    bad, skipped = 0, 0
    for test in tests:
        name = test.__name__
        if only and not any(part in name for part in only):
            continue
        with tempfile.TemporaryDirectory(prefix="knell-run-") as folder:
            began = time.monotonic()
            try:
                test(Place(binaries, folder))
                print(f"ok    {name} ({time.monotonic() - began:.1f} s)", flush=True)
            except Skip as why:
                skipped += 1
                print(f"skip  {name}: {why}", flush=True)
            except (Wrong, subprocess.TimeoutExpired) as why:
                bad += 1
                print(f"FAIL  {name}: {why}", flush=True)
    return 1 if bad else SKIPPED if skipped == len(tests) else 0


def last_line(text):
    found = re.findall(r"^knell: .*$", text, re.MULTILINE)
    return found[-1] if found else ""
