# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
"""Helpers of the tests of whole fleets: a real nats-server on loopback, hosts with a knelld and a
forwarder each, readers, and functions that wait for a condition."""

import base64
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

SERVER = shutil.which("nats-server", path=os.environ.get("PATH", "") + ":/usr/sbin")
PATIENCE = 300  # seconds; only to end a test that hangs


class Wrong(Exception):
    """The result is not the expected one."""


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def needs_root_and_server():
    if os.geteuid() != 0:
        skip("needs root")
    if SERVER is None:
        skip("nats-server is not installed")


supervise = []  # functions to call while waiting


def wait_for(what, test):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for function in supervise:
            function()
        value = test()
        if value:
            return value
        time.sleep(0.02)
    raise Wrong(f"no {what} within {PATIENCE} s")


def check(condition, text):
    if not condition:
        raise Wrong(text)


def accepts(family, address):
    with socket.socket(family, socket.SOCK_SEQPACKET if family == socket.AF_UNIX
                       else socket.SOCK_STREAM) as client:
        return client.connect_ex(address) == 0


def free_port():
    """Returns a free port below the ports that the kernel gives to clients. Otherwise a client that
    tries to reconnect to the dead server could get this port."""
    while True:
        port = random.randint(10_000, 32_000)
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


class Fleet:
    """The programs of a fleet, with their files in a folder; stop() ends all of them."""

    def __init__(self, binaries, folder):
        self.binaries, self.folder = pathlib.Path(binaries), pathlib.Path(folder)
        self.port = free_port()
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("KNELL_")}
        self.environment["KNELL_FLEET_SERVER"] = f"nats://127.0.0.1:{self.port}"
        self.running = []
        self.server = None

    def start(self, *words, output=None, environment=None, **how):
        with open(self.folder / "log", "ab") as log:
            process = subprocess.Popen([str(word) for word in words], env=environment or self.environment,
                                       stdin=subprocess.DEVNULL, stdout=output or subprocess.DEVNULL, stderr=log,
                                       **how)
        self.running.append(process)
        return process

    def start_server(self):
        self.server = self.start(SERVER, "-a", "127.0.0.1", "-p", self.port, "-js", "-sd", self.folder / "nats")
        wait_for("nats-server", lambda: accepts(socket.AF_INET, ("127.0.0.1", self.port)))

    def kill_server(self):
        self.server.kill()
        self.server.wait()

    def run(self, *words):
        return subprocess.run([self.binaries / "knell-fleet", *words], env=self.environment, check=True,
                              capture_output=True, text=True, timeout=PATIENCE).stdout

    def hosts(self):
        """The presence of each host by its name."""
        return {host["host"]: host for host in map(json.loads, self.run("hosts", "-o", "json").splitlines())}

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def stop(self):
        for process in reversed(self.running):
            if process.poll() is not None:
                continue
            process.terminate()  # a supervisor that is killed leaves its knelld behind
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Knelld:
    """A knelld with a separate socket and journal. Exits with 77 if knelld cannot observe events here."""

    def __init__(self, fleet, name, supervised=False, config=""):
        self.fleet, self.supervised = fleet, supervised
        self.socket = str(fleet.folder / f"{name}.sock")
        self.config = fleet.folder / f"{name}.toml"
        self.config.write_text(f'[journal]\npath = "{fleet.folder}/{name}.db"\n{config}')
        self.environment = {**fleet.environment, "KNELL_SOCKET": self.socket}
        self.start()

    def start(self):
        words = ["--supervise"] if self.supervised else []
        self.process = self.fleet.start(self.fleet.binaries / "knelld", *words, "--socket", self.socket,
                                        "--config", self.config)
        wait_for("knelld", lambda: self.process.poll() is not None or accepts(socket.AF_UNIX, self.socket))
        if self.process.poll() == 3:
            skip("knelld can observe nothing here")
        check(self.process.poll() is None, "knelld does not start")

    def kill(self):
        """Kills knelld. The supervisor, if there is one, restarts it."""
        if not self.supervised:
            self.process.kill()
            self.process.wait()
            return
        pid = self.process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if children:  # else it is being started
            os.kill(int(children[0]), signal.SIGKILL)

    def listeners(self):
        status = subprocess.run([self.fleet.binaries / "knell", "status", "-o", "json"], env=self.environment,
                                check=True, capture_output=True, text=True, timeout=PATIENCE)
        # The client that asks for the status has no mask.
        return [listener for listener in json.loads(status.stdout)["listeners"]
                if listener["mask"] != "none"]


class Forwarder:
    def __init__(self, fleet, knelld, host, *words):
        self.fleet, self.knelld, self.host, self.words = fleet, knelld, host, words
        self.start()

    def start(self):
        self.process = self.fleet.start(self.fleet.binaries / "knell-fleet", "forward", "--host", self.host,
                                        *self.words, environment=self.knelld.environment)

    def kill(self):
        self.process.kill()
        self.process.wait()


class Watch:
    """The program `knell-fleet watch -o json` and the events that it has shown."""

    def __init__(self, fleet, name, *words):
        self.path, self.read, self.events = fleet.folder / name, 0, []
        with open(self.path, "wb") as output:
            self.process = fleet.start(fleet.binaries / "knell-fleet", "watch", "-o", "json", *words, output=output)

    def shown(self):
        """All events so far, in order."""
        with open(self.path, "rb") as file:
            file.seek(self.read)
            new = file.read()
        new = new[:new.rfind(b"\n") + 1]
        self.read += len(new)
        self.events += [json.loads(line) for line in new.splitlines()]
        return self.events

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)


def stored_events(port, stream="KNELL_EVENTS_0"):
    """Yields the state of a stream, and then the events of all of its messages, in order, with repeats.
    Independent of knell: it uses the protocol of NATS, and requests one message after the other."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        lines = connection.makefile("rb")
        lines.readline()  # INFO
        connection.sendall(b'CONNECT {"verbose":false}\r\nSUB answer 1\r\n')

        def request(subject, body):
            connection.sendall(f"PUB {subject} answer {len(body)}\r\n{body}\r\n".encode())
            while not (line := lines.readline()).startswith(b"MSG "):
                check(line and not line.startswith(b"-ERR"), f"the server answers {line}")
                if line.startswith(b"PING"):
                    connection.sendall(b"PONG\r\n")
            size = int(line.split()[-1])
            return json.loads(lines.read(size + 2)[:size])

        state = request(f"$JS.API.STREAM.INFO.{stream}", "")["state"]
        yield state
        for seq in range(state["first_seq"], state["last_seq"] + 1):
            got = request(f"$JS.API.STREAM.MSG.GET.{stream}", json.dumps({"seq": seq}))
            check("message" in got, f"no message {seq}: {got}")
            for line in base64.b64decode(got["message"]["data"]).splitlines():
                yield json.loads(line)
