# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
"""Common code of the tests of compatibility: the connector's bytes, knelld, and a workload."""

import ctypes
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

PATIENCE = 180  # seconds; exceeded only when something is wrong

FORK, EXEC, UID, GID, SID, PTRACE, COMM = 1, 2, 4, 0x40, 0x80, 0x100, 0x200
NONZERO, COREDUMP, EXIT = 0x20000000, 0x40000000, 0x80000000
ALL = 0xE00003C7
LISTEN, IGNORE = 1, 2
NETLINK_CONNECTOR = 11
SKIPPED = 77


def message(payload, nonce=0, idx=1, val=1, length=None, netlink_length=None):
    cn = struct.pack("=IIIIHH", idx, val, 0, nonce, len(payload) if length is None else length, 0)
    whole = 16 + len(cn) + len(payload) if netlink_length is None else netlink_length
    return struct.pack("=IHHII", whole, 3, 0, 0, 0) + cn + payload


def request(op, mask=None, nonce=0):
    return message(struct.pack("=I", op) + (b"" if mask is None else struct.pack("=I", mask)), nonce)


class Event:
    """A datagram of 76 bytes."""

    def __init__(self, data):
        self.data = data
        self.seq, self.ack = struct.unpack_from("=II", data, 24)
        self.what, self.cpu, self.stamp = struct.unpack_from("=IIQ", data, 36)
        self.words = struct.unpack_from("=6I", data, 52)

    def key(self):
        """All but the sequence number: cpu, stamp, type, and the data of the event."""
        return self.cpu, self.stamp, self.what, self.words


def passes(mask, event, v6=False):
    """A second implementation of the filter's rule."""
    mask &= ALL
    if mask in (0, ALL):
        return True
    if event.what == EXIT:
        failed = event.words[2] != 0
        if v6 and mask & NONZERO:
            return failed
        return bool(mask & EXIT) or (failed and bool(mask & NONZERO))
    return bool(mask & event.what)


def native(room=32 << 20):
    """The kernel's own socket."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_CONNECTOR)
    sock.setsockopt(socket.SOL_SOCKET, 33, room)  # SO_RCVBUFFORCE
    sock.bind((0, 1))
    return sock


def through(path, hello=b""):
    """The same, connected to a knelld."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.connect(path)
    if hello:
        sock.send(hello)
    return sock


class Knelld:
    """A knelld of the test's own, with its output in a file."""

    # Queues as large as the buffers of the kernel's sockets in the tests, since events may be read
    # late.
    CONFIG = '[limits]\nqueue = "64M"\nmemory = "2G"\n'

    def __init__(self, binary, prefix=()):
        self.folder = tempfile.TemporaryDirectory(prefix="knell-compat-")
        os.chmod(self.folder.name, 0o755)
        self.path = str(pathlib.Path(self.folder.name) / "knell.sock")
        self.log = open(pathlib.Path(self.folder.name) / "log", "w+")
        self.words = [*prefix, binary]
        self.start()

    def start(self):
        config = pathlib.Path(self.folder.name) / "knelld.toml"
        config.write_text(self.CONFIG)
        self.process = subprocess.Popen([*self.words, "--config", str(config), "--socket", self.path],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                through(self.path).close()
                return
            except OSError:
                time.sleep(0.01)
        self.stop()
        raise SystemExit(f"knelld does not start:\n{self.said()}")

    def stop(self):
        self.process.terminate()
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def said(self):
        self.log.seek(0)
        return self.log.read()


# --- the workload: every type of event; each child is named after its exit status

libc = ctypes.CDLL(None, use_errno=True)


def child(body):
    pid = os.fork()
    if pid == 0:
        try:
            body()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    return pid


def dump_core():
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGSEGV)


def trace():
    seize, interrupt, detach = 0x4206, 0x4207, 17
    victim = os.fork()
    if victim == 0:
        signal.pause()
    libc.ptrace(seize, victim, None, None)
    libc.ptrace(interrupt, victim, None, None)
    os.waitpid(victim, 0x40000000)  # __WALL
    libc.ptrace(detach, victim, None, None)
    os.kill(victim, signal.SIGKILL)
    os.waitpid(victim, 0)


def change_user():
    libc.setresgid(65534, 65534, 65534)
    libc.setresuid(65534, 65534, 65534)


def run_threads():
    threads = [threading.Thread(target=lambda: None) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def workload(repeat=3):
    """Returns the processes it had."""
    pids = []
    for _ in range(repeat):
        pids += [
            child(lambda: os._exit(0)),
            child(lambda: os._exit(3)),
            child(lambda: os.kill(os.getpid(), signal.SIGKILL)),
            child(lambda: os.execv("/bin/true", ["true"])),
            child(lambda: libc.prctl(15, b"knell-compat", 0, 0, 0)),
            child(os.setsid),
            child(change_user),
            child(run_threads),
            child(trace),
            child(dump_core),
        ]
    return pids
