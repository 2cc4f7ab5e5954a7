#!/usr/bin/env python3
"""Fills one slot of a Pika or codis-server with many keys, or compares what a server has of them.

fill.py write|read HOST PORT SLOT KEYS

Six of ten are strings of 64 bytes, the others hashes, lists, sets and sorted sets of three elements. `read` exits with 1 and names the first
key that is not as it was written. Names of one slot are made, not searched for: CRC-32 is linear, so three characters at the end of any name
bring it into the slot.
"""

import itertools
import socket
import string
import sys
import zlib

BATCH = 500
SLOTS = 1024
ENDS = {}
for pair in itertools.product(string.ascii_letters + string.digits + "-_", repeat=3):
    end = "".join(pair).encode()
    ENDS.setdefault((zlib.crc32(end) ^ zlib.crc32(b"\0\0\0")) % SLOTS, end)


def name(number, slot):
    start = b"filled:%08d:" % number
    return start + ENDS[(zlib.crc32(b"\0\0\0", zlib.crc32(start)) ^ slot) % SLOTS]


def write(number, key):
    match number % 10:
        case 6:
            return [b"HMSET", key, b"a", b"1", b"b", b"2", b"c", b"3"]
        case 7:
            return [b"RPUSH", key, b"a", b"b", b"c"]
        case 8:
            return [b"SADD", key, b"a", b"b", b"c"]
        case 9:
            return [b"ZADD", key, b"1", b"a", b"2", b"b", b"3", b"c"]
        case _:
            return [b"SET", key, b"%064d" % number]


def read(number, key):
    """The command, and what it is to answer; what has no order is sorted."""
    match number % 10:
        case 6:
            return [b"HMGET", key, b"a", b"b", b"c"], [b"1", b"2", b"3"]
        case 7:
            return [b"LRANGE", key, b"0", b"-1"], [b"a", b"b", b"c"]
        case 8:
            return [b"SMEMBERS", key], [b"a", b"b", b"c"]
        case 9:
            return [b"ZRANGE", key, b"0", b"-1"], [b"a", b"b", b"c"]
        case _:
            return [b"GET", key], b"%064d" % number


class Server:
    def __init__(self, host, port):
        self.socket = socket.create_connection((host, int(port)))
        self.input = self.socket.makefile("rb")

    def ask(self, commands):
        out = []
        for words in commands:
            out.append(b"*%d\r\n" % len(words))
            out.extend(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        self.socket.sendall(b"".join(out))
        return [self.answer() for _ in commands]

    def answer(self):
        line = self.input.readline()
        kind, text = line[:1], line[1:-2]
        match kind:
            case b"$":
                return None if text == b"-1" else self.input.read(int(text) + 2)[:-2]
            case b"*":
                return [self.answer() for _ in range(int(text))]
            case b"-" | b"":
                sys.exit(f"the server answers {line!r}")
            case _:
                return text


def main():
    what, host, port, slot, keys = sys.argv[1:]
    server, slot, keys = Server(host, port), int(slot), int(keys)
    for first in range(0, keys, BATCH):
        some = [(n, name(n, slot)) for n in range(first, min(first + BATCH, keys))]
        if what == "write":
            server.ask([write(n, key) for n, key in some])
            continue
        reads = [read(n, key) for n, key in some]
        answers = server.ask([command for command, _ in reads])
        for (command, wanted), answer in zip(reads, answers):
            got = sorted(answer) if command[0] == b"SMEMBERS" else answer
            if got != wanted:
                sys.exit(f"{command!r} answers {answer!r}")


main()
