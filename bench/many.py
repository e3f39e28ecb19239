#!/usr/bin/env python3
"""What a thousand backends cost: memory for each, the time of a reload, and CPU for a request.

Usage: bench/many.py [N] (default 1000; SHORT=1 for two policies and one round). The backends are N loopback addresses of one built-in demo
backend, so that only the balancer's own cost grows. Needs Linux and, for the last column, wrk.
BINARY names the binary (default target/release/threadbare). Addresses on this machine only.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(HERE, "../target"))
BINARY = os.environ.get("BINARY", os.path.join(TARGET, "release/threadbare"))
POLICIES = [
    "round-robin",
    "weighted-round-robin",
    "least-connections",
    "random-two-choices",
    "ip-hash",
    "uri-hash",
]
BASE_PORT = 18500
DEADLINE = 30
ROUNDS = 5
if os.environ.get("SHORT"):
    POLICIES, ROUNDS = POLICIES[1:3], 1


def configuration(n, policy, weight):
    """N backends; all of them change when the weight does."""
    weigh = "" if policy == "round-robin" else f",weight={weight}"
    limit = f",max_connections={1000 + weight}"
    urls = [f"http://127.0.{1 + i // 250}.{1 + i % 250}:{BASE_PORT + 2}" for i in range(n)]
    backends = ",\n".join(f'  "{url}{weigh}{limit}"' for url in urls)
    return (
        f'listen = "127.0.0.1:{BASE_PORT}"\nadmin = "127.0.0.1:{BASE_PORT + 1}"\n'
        f'log_level = "error"\n[pool.many]\npolicy = "{policy}"\nbackends = [\n{backends}\n]\n'
    )


def ask(method, path):
    request = urllib.request.Request(f"http://127.0.0.1:{BASE_PORT + 1}{path}", method=method)
    with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
        return json.load(answer)


def await_up(n):
    """All probes have been made, and their sockets are closed again."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        try:
            pool = ask("GET", "/status")["pools"][0]
            if sum(b["state"] == "up" for b in pool["backends"]) == n:
                return
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit(f"many: the {n} backends did not come up")


def resident_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(pid):
    """CPU for a request, microseconds."""
    if not shutil.which("wrk"):
        return None
    before = cpu_seconds(pid)
    wrk = ["wrk", "-t1", "-c16", "-d2", f"http://127.0.0.1:{BASE_PORT}/"]
    text = subprocess.run(wrk, capture_output=True, text=True, check=True).stdout
    n = int(re.search(r"(\d+) requests in", text).group(1))
    return (cpu_seconds(pid) - before) / n * 1e6


def measure(n, policy, directory):
    path = os.path.join(directory, "many.toml")
    with open(path, "w") as file:
        file.write(configuration(n, policy, 1))
    process = subprocess.Popen([BINARY, "--config", path])
    try:
        await_up(n)
        resident = resident_kib(process.pid)
        reloads = []
        for round_ in range(ROUNDS):
            with open(path, "w") as file:
                file.write(configuration(n, policy, 2 + round_))
            begun = time.monotonic()
            changes = ask("POST", "/reload")["changes"]
            reloads.append((time.monotonic() - begun) * 1000)
            assert len(changes) == n, f"{len(changes)} changes"
        return resident, sorted(reloads)[ROUNDS // 2], load(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    listen = f"0.0.0.0:{BASE_PORT + 2}"
    backend = subprocess.Popen([BINARY, "demo-backend", "--listen", listen], stdout=subprocess.DEVNULL)
    print("| policy | backends | KiB resident | KiB each | reload of all, ms | CPU µs/request |")
    print("|---|--:|--:|--:|--:|--:|")
    try:
        with tempfile.TemporaryDirectory() as directory:
            for policy in POLICIES:
                few = None
                for count in (3, n):
                    resident, reload_ms, cpu = measure(count, policy, directory)
                    each = "" if few is None else f"{(resident - few) / (count - 3):.1f}"
                    few = few or resident
                    cpu = "no wrk" if cpu is None else f"{cpu:.1f}"
                    print(f"| {policy} | {count} | {resident} | {each} | {reload_ms:.0f} | {cpu} |")
                    sys.stdout.flush()
    finally:
        backend.terminate()
        backend.wait()


if __name__ == "__main__":
    main()
