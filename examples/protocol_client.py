#!/usr/bin/env python3
# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
"""protocol_client.py [COUNT]: prints exits with a non-zero status as knelld sends them, without libknell: a
client in a few lines, after docs/protocol.md, to be translated to other languages."""

import os
import socket
import struct
import sys

HELLO, EVENTS, SUBSCRIBE, ACK, BYE = 0x10, 0x11, 0x13, 0x14, 0x19
NONZERO_EXIT, EXIT, LOST = 0x20000000, 0x80000000, 0x40000000
HAS_STATUS = 0x4
VAL = 0x6B6E656C
MANDATORY = 0x4000


def attribute(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def frame(message, number, *attributes):
    payload = b"".join(attributes)
    return struct.pack("=IH10xII", 36 + len(payload), message, 1, VAL) + \
        struct.pack("=I4xHH", number, len(payload), 0) + payload


def attributes(payload):
    """The (type, value) pairs of a payload, without the bit that says mandatory."""
    while payload:
        size, kind = struct.unpack_from("=HH", payload)
        if size < 4 or size > len(payload):
            raise ValueError(f"an attribute of {size} bytes, in {len(payload)}")
        yield kind & ~MANDATORY, payload[4:size]
        payload = payload[(size + 3) & ~3:]


def parse(packet):
    """(message, number, payload) of a frame."""
    size, message, idx, val, number, length = struct.unpack_from("=IH10xIII4xH", packet)
    if size != len(packet) or (idx, val) != (1, VAL) or 36 + length != size:
        raise ValueError("not a frame")
    return message, number, packet[36:]


def subscribe(number, mask, details=0, latency_ns=1_000_000, units=()):
    """A request for events of `mask`, of processes in one of the `units` (globs)."""
    predicates = []
    if units:
        key = attribute(92, struct.pack("=II", 6, 0))
        values = b"".join(attribute(94, unit.encode()) for unit in units)
        predicates.append(attribute(91 | MANDATORY, key + values))
    return frame(SUBSCRIBE, number, attribute(80, struct.pack("=I", mask)),
                 attribute(81, struct.pack("=I", 0)), attribute(82, struct.pack("=I", details)),
                 attribute(83, struct.pack("=q", latency_ns)), *predicates)


def event(value):
    """An attribute 32 as a dict; strings are bytes. A missing key means that the value is unknown."""
    found = {}
    names = {41: "comm", 42: "parent_comm", 43: "exe", 44: "args", 45: "cwd", 47: "cgroup", 48: "unit"}
    for kind, content in attributes(value):
        if kind == 40:
            numbers = struct.unpack_from("=QQQQIIIIiiiIIi", content)
            found.update(zip(("mono_ns", "seq", "has", "duration_ns", "type", "flags", "via", "exit_signal",
                              "pid", "tid", "ppid", "uid", "gid", "wait_status"), numbers))
            found["id"] = dict(zip(("start", "boot", "pid", "kind"), struct.unpack_from("=QIiI", content, 72)))
            if not found["has"] & HAS_STATUS:
                found["wait_status"] = None
        elif kind in names:
            found[names[kind]] = content
        elif kind == 56:
            found["count"] = struct.unpack_from("=Q", content)[0]
    return found


def events(payload):
    """The events of a message, with the time since the epoch added to each."""
    offset = 0
    for kind, value in attributes(payload):
        if kind == 33:
            offset = struct.unpack("=q", value)[0]
        elif kind == 32:
            one = event(value)
            one["time_ns"] = one["mono_ns"] + offset
            yield one


def ack(payload):
    """(errno, text, number of the request)."""
    found = dict(attributes(payload))
    return (struct.unpack("=i", found[104])[0], found.get(105, b"").decode(),
            struct.unpack("=I", found[106])[0])


class Client:
    def __init__(self, path=os.environ.get("KNELL_SOCKET", "/run/knell/knell.sock")):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(path)
        self.socket.send(frame(HELLO, 0, attribute(1, b"protocol_client 1")))
        self.number = 0

    def receive(self):
        """(message, payload); ConnectionError if the daemon closed the connection."""
        packet = self.socket.recv(65568)
        if not packet:
            raise ConnectionError("the daemon closed the connection")
        message, _, payload = parse(packet)
        if message == BYE:
            raise ConnectionError(dict(attributes(payload)).get(105, b"").decode())
        return message, payload

    def listen(self, mask, **options):
        """Yields events of `mask`. The first item is None: the subscription has started."""
        self.number += 1
        self.socket.send(subscribe(self.number, mask, **options))
        accepted = False
        while True:
            message, payload = self.receive()
            if message == ACK:
                error, text, _ = ack(payload)
                if error:
                    raise OSError(error, text)
                accepted = True
                yield None
            elif message == EVENTS and accepted:
                yield from events(payload)


def line_of(one):
    """The line that is printed for an exit or a loss; "?" and None stand for what is unknown."""
    if one["type"] == LOST:
        return f"lost {one.get('count')}"
    return f"{one['pid']} {one.get('comm', b'?').decode(errors='replace')} {one['wait_status']}"


def main():
    left = int(sys.argv[1]) if len(sys.argv) > 1 else -1
    try:
        client = Client()
    except OSError as error:
        sys.exit(f"cannot connect to knelld: {error.strerror or error}; KNELL_SOCKET is the path of its socket")
    for one in client.listen(NONZERO_EXIT):
        if one is None:
            print("listening", flush=True)
            continue
        if one["type"] in (EXIT, LOST):
            print(line_of(one), flush=True)
        left -= 1
        if left == 0:
            return


if __name__ == "__main__":
    main()
