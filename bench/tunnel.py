#!/usr/bin/env python3
"""What a tunnel costs: CPU of the balancer a GiB in bulk, and a small message back and forth.

Usage: bench/tunnel.py [BINARY...]. Starts each binary in turn, ROUNDS times (3), before a backend
of its own that switches protocols and then sends GIB (2) in pieces, reads as much, or gives back
each message. Prints each round's row, and the medians. Needs Linux. CPU time is in hundredths of a
second: fewer GIB than 1 leave too few of them.
"""

import os
import re
import socket
import statistics
import subprocess
import sys

ROUNDS = int(os.environ.get("ROUNDS", "3"))
TOTAL = int(float(os.environ.get("GIB", "2")) * (1 << 30))
N_MESSAGES = 20_000
MESSAGE = bytes(64)
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(os.path.dirname(__file__), "../target"))
BINARY = os.path.join(TARGET, "release/threadbare")
# Name, who sends, and in pieces of how many bytes.
BULK = [
    ("down 64 KiB", "backend", 64 << 10),
    ("up 64 KiB", "client", 64 << 10),
    ("down 1 KiB", "backend", 1 << 10),
]
SWITCH = b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
PATIENCE_S = 60


def head(conn):
    text = b""
    while not text.endswith(b"\r\n\r\n"):
        byte = conn.recv(1)
        if not byte:
            return b""
        text += byte
    return text


def send_all(conn, total, size):
    piece = bytes(size)
    for _ in range(total // size):
        conn.sendall(piece)
    conn.shutdown(socket.SHUT_WR)


def take_all(conn):
    room, total = bytearray(256 << 10), 0
    while n := conn.recv_into(room):
        total += n
    return total


def take(conn, size):
    left = size
    while left:
        piece = conn.recv(left)
        assert piece, "the tunnel ended"
        left -= len(piece)


def serve(listener):
    """The backend: what it shall do is the target."""
    while True:
        conn, _ = listener.accept()
        with conn:
            if not (text := head(conn)):
                continue
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            conn.sendall(SWITCH)
            _, what, total, size = text.split()[1].decode().split("/")
            if what == "backend":
                send_all(conn, int(total), int(size))
            elif what == "client":
                take_all(conn)
            else:
                for _ in range(int(total)):
                    take(conn, len(MESSAGE))
                    conn.sendall(MESSAGE)


def open_tunnel(address, what, total, size):
    conn = socket.create_connection(address, PATIENCE_S)
    conn.settimeout(None)
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    fields = "Host: t\r\nConnection: upgrade\r\nUpgrade: x"
    conn.sendall(f"GET /{what}/{total}/{size} HTTP/1.1\r\n{fields}\r\n\r\n".encode())
    answer = head(conn)
    assert answer.startswith(b"HTTP/1.1 101"), answer
    return conn


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start(binary, backend):
    options = ["--listen", "127.0.0.1:0", "--backend", f"http://127.0.0.1:{backend}"]
    pipe = subprocess.PIPE
    process = subprocess.Popen([binary, *options], stderr=subprocess.STDOUT, stdout=pipe, text=True)
    for line in process.stdout:
        if found := re.search(r"listen\S* on (?:http://)?(127\.0\.0\.1):(\d+)", line):
            return process, (found[1], int(found[2]))
    sys.exit(f"{binary} did not start to listen")


def measure(pid, address):
    """CPU ms a GiB for each bulk, and CPU µs for a message there and back."""
    costs = []
    for _, sender, size in BULK:
        total = TOTAL if size > 4096 else TOTAL // 8
        before = cpu_s(pid)
        with open_tunnel(address, sender, total, size) as conn:
            if sender == "client":
                send_all(conn, total, size)
                assert take_all(conn) == 0
            else:
                assert take_all(conn) == total
        costs.append((cpu_s(pid) - before) * 1e3 * (1 << 30) / total)
    before = cpu_s(pid)
    with open_tunnel(address, "echo", N_MESSAGES, 0) as conn:
        for _ in range(N_MESSAGES):
            conn.sendall(MESSAGE)
            take(conn, len(MESSAGE))
    costs.append((cpu_s(pid) - before) * 1e6 / N_MESSAGES)
    return costs


def main(binaries):
    listener = socket.create_server(("127.0.0.1", 0))
    backend = os.fork()
    if backend == 0:
        serve(listener)
    columns = [f"{name}, ms/GiB" for name, _, _ in BULK] + ["64 B, µs"]
    print(f"{'':24}" + "".join(f"{column:>22}" for column in columns))
    results = {binary: [] for binary in binaries}
    try:
        for _ in range(ROUNDS):
            for binary in binaries:
                process, address = start(binary, listener.getsockname()[1])
                try:
                    results[binary].append(measure(process.pid, address))
                finally:
                    process.terminate()
                    process.wait()
                show(binary, results[binary][-1])
    finally:
        os.kill(backend, 9)
        os.waitpid(backend, 0)
    print("medians")
    for binary, rows in results.items():
        show(binary, [statistics.median(column) for column in zip(*rows)])


def show(binary, row):
    print(f"{binary[-24:]:24}" + "".join(f"{cost:22.1f}" for cost in row), flush=True)


main(sys.argv[1:] or [BINARY])
