# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
"""What the tests of knell-export share: a knelld of their own, the program under test, processes that
end in known ways, and waiting for something to become true."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PATIENCE = 300  # seconds; only to stop a test that hangs


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def eventually(what, check, *, every=0.05):
    """Calls check() until it returns something true, and returns that."""
    end = time.monotonic() + PATIENCE
    while True:
        if result := check():
            return result
        if time.monotonic() > end:
            raise AssertionError(f"never came true: {what}")
        time.sleep(every)


def needs(*programs):
    if os.geteuid() != 0:
        skip("needs root, for a knelld that sees all processes")
    for program in programs:
        if shutil.which(program) is None:
            skip(f"no {program}")


class Program:
    """A started program with its output in a file; killed at the end."""

    def __init__(self, words, log, **more):
        self.log = pathlib.Path(log)
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen([str(word) for word in words], stdout=out,
                                            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **more)

    def text(self):
        return self.log.read_text(errors="replace")

    def until(self, pattern):
        """Waits until the output has a match, and returns it."""
        def look():
            found = re.search(pattern, self.text())
            assert found or self.process.poll() is None, \
                f"ended with {self.process.returncode}: {self.text()}"
            return found
        return eventually(f"{pattern!r} in the output: {self.text()}", look)

    def stop(self):
        """Sends SIGTERM and returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)


class Stage:
    """A temporary folder with a knelld in it; what is started here ends with it."""

    def __init__(self, binaries, config=""):
        self.binaries = pathlib.Path(binaries)
        self.config = config
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        self.folder = pathlib.Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.folder.chmod(0o755)
        os.environ["KNELL_SOCKET"] = str(self.folder / "knell.sock")
        (self.folder / "knelld.toml").write_text(
            f'{self.config}\n[journal]\npath = "{self.folder}/journal.db"\n')
        self.daemon = self.start("knelld", "--config", self.folder / "knelld.toml")
        self.daemon.until("listens on")
        return self

    def __exit__(self, *_):
        self.stack.close()

    def start(self, program, *words, **more):
        path = self.binaries / program if (self.binaries / program).exists() else program
        log = self.folder / f"{pathlib.Path(program).name}.{time.monotonic_ns()}.log"
        started = Program([path, *words], log, **more)
        self.stack.callback(started.kill)
        return started

    def export(self, *words, **more):
        return self.start("knell-export", *words, **more)

    def unit(self, name):
        """A cgroup that is the one of a systemd unit of this name; None where none can be made."""
        for root in ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup"):
            path = pathlib.Path(root) / name
            try:
                path.mkdir()
            except OSError:
                continue
            if not (path / "cgroup.procs").exists():
                path.rmdir()
                continue
            self.stack.callback(lambda: eventually("the cgroup is empty", lambda: self._remove(path)))
            return path
        return None

    @staticmethod
    def _remove(path):
        try:
            path.rmdir()
        except OSError:
            return False
        return True


def in_unit(unit, script):
    """Runs a shell script in the cgroup, and returns its pid and wait status."""
    enter = f"echo $$ >{unit}/cgroup.procs; " if unit else ""
    process = subprocess.Popen(["/bin/sh", "-c", f"{enter}{script}"])
    return process.pid, process.wait(PATIENCE)
