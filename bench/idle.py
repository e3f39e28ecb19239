#!/usr/bin/env python3
"""What idle clients cost: threads and resident memory of the balancer, by number of connections.

Usage: bench/idle.py [BINARY [CONNECTIONS...]]. Starts the binary before a demo backend of its own, opens more and
more connections, asks once on each, and reads /proc when all of them are idle. Needs Linux, and
descriptors for the connections here and twice as many there (`ulimit -n`).
"""

import os
import re
import resource
import socket
import subprocess
import sys

COUNTS = [0, 1, 1_000, 4_000, 10_000]
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(os.path.dirname(__file__), "../target"))
BINARY = os.path.join(TARGET, "release/threadbare")
REQUEST = b"GET / HTTP/1.1\r\nHost: idle\r\n\r\n"
# Once so long, a connection that was asked on is the waiter's again: it lingers for 20 ms.
SETTLED_S = 1.0
PATIENCE_S = 30


def start(*args):
    """The process, and the address it says it listens on."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(args, stdout=pipe, stderr=subprocess.STDOUT, text=True)
    for line in process.stdout:
        if found := re.search(r"listen\S* on (?:http://)?(127\.0\.0\.1):(\d+)", line):
            return process, (found[1], int(found[2]))
    sys.exit(f"{args[0]} did not start to listen")


def status(process):
    with open(f"/proc/{process.pid}/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["Threads"]), int(fields["VmRSS"].split()[0])


def open_one(address):
    client = socket.create_connection(address, PATIENCE_S)
    client.sendall(REQUEST)
    answer = client.recv(4096)
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return client


def is_open(client):
    """An idle connection has nothing to read, not even its end."""
    client.setblocking(False)
    try:
        return client.recv(1) != b""
    except BlockingIOError:
        return True


def main(binary, counts):
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    backend, (host, port) = start(binary, "demo-backend", "--listen", "127.0.0.1:0")
    options = ["--listen", "127.0.0.1:0", "--backend", f"http://{host}:{port}"]
    balancer, address = start(binary, *options, "--max-connections", "20000")
    try:
        # A first burst touches what every load does: the workers' stacks and the allocator.
        for _ in range(500):
            open_one(address).close()
        clients, base = [], None
        for count in counts:
            if count * 2 > limit:
                sys.exit(f"{count} connections need {count * 2} descriptors, there are {limit}")
            clients += [open_one(address) for _ in range(count - len(clients))]
            try:
                balancer.wait(SETTLED_S)
                sys.exit("the balancer has ended")
            except subprocess.TimeoutExpired:
                pass
            n_open = sum(map(is_open, clients))
            n_threads, resident = status(balancer)
            base = base or resident
            print(
                f"{n_open:6} of {count:6} connections: {n_threads:3} threads, "
                f"{resident:6} KiB resident, {resident - base:+6} KiB"
            )
    finally:
        balancer.kill()
        backend.kill()


main(sys.argv[1] if len(sys.argv) > 1 else BINARY, [int(n) for n in sys.argv[2:]] or COUNTS)
