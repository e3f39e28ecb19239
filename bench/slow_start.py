#!/usr/bin/env python3
"""What share of the load a backend gets that went and came back, every half second since.

Usage: bench/slow_start.py [BINARY]. Starts three nginx backends and the binary before them, puts
load on it by wrk, stops the first backend, starts it again, and reads how many requests each of
them has answered. For some policies, with slow start and without, in several rounds; the table has the
median. Needs nginx and wrk.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(HERE, "../target"))
BINARY = os.path.join(TARGET, "release/threadbare")
CONNECTIONS = 64
SLOW_START_S = 5
STEP_S = 0.5
N_STEPS = 13
ROUNDS = 3
PATIENCE_S = 30
# Below the range from which Linux takes ports for outgoing connections.
PORTS = [18451, 18452, 18453]
RUNS = [
    ("round-robin", 0),
    ("round-robin", SLOW_START_S),
    ("least-connections", SLOW_START_S),
    ("random-two-choices", SLOW_START_S),
]


def start_backend(folder, port):
    with open(os.path.join(HERE, "peers/nginx-backend.conf")) as file:
        config = file.read().replace("@LISTEN@", f"127.0.0.1:{port}")
        config = config.replace("@DOCUMENTS@", "/nowhere")  # no files are asked for
    own = os.path.join(folder, str(port))
    os.makedirs(own, exist_ok=True)
    with open(os.path.join(own, "nginx.conf"), "w") as file:
        file.write(config)
    args = ["nginx", "-e", "stderr", "-p", own, "-c", os.path.join(own, "nginx.conf")]
    process = subprocess.Popen(args, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            count(port)
            return process
        except OSError:
            time.sleep(0.02)
    sys.exit(f"the backend at {port} did not start")


def stop(process):
    process.terminate()
    process.wait(PATIENCE_S)


def count(port):
    """Requests that a backend has answered since it was started; asking is one itself."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/count", timeout=PATIENCE_S) as answer:
        return int(answer.read().split()[9])


def await_line(log, wanted):
    for line in log:
        if re.search(wanted, line):
            return line
    sys.exit(f"threadbare ended before it said {wanted!r}")


def measure(folder, policy, slow_start_s):
    """The share of each step, and what wrk says of requests and errors."""
    backends = [start_backend(folder, port) for port in PORTS]
    args = [BINARY, "--listen", "127.0.0.1:0", "--policy", policy]
    args += ["--slow-start", f"{slow_start_s}s" if slow_start_s else "0"]
    args += ["--health-fast-interval", "500ms"]
    for port in PORTS:
        args += ["--backend", f"http://127.0.0.1:{port}"]
    proxy = subprocess.Popen(args, stderr=subprocess.PIPE, text=True)
    address = re.search(r"127\.0\.0\.1:\d+", await_line(proxy.stderr, "listening on"))[0]
    lasts = N_STEPS * STEP_S + 5
    load = ["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{lasts:.0f}s", f"http://{address}/"]
    load = subprocess.Popen(load, stdout=subprocess.PIPE, text=True)
    time.sleep(1)
    stop(backends[0])
    await_line(proxy.stderr, f":{PORTS[0]} is down")
    backends[0] = start_backend(folder, PORTS[0])
    await_line(proxy.stderr, f":{PORTS[0]} is up")
    back = time.monotonic()
    shares = []
    before = [count(port) for port in PORTS]
    for step in range(1, N_STEPS + 1):
        time.sleep(max(0, back + step * STEP_S - time.monotonic()))
        after = [count(port) for port in PORTS]
        each = [now - then - 1 for now, then in zip(after, before)]
        shares.append(each[0] / max(1, sum(each)))
        before = after
    said = load.communicate(timeout=PATIENCE_S)[0]
    for process in [proxy, *backends]:
        stop(process)
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])
    errors = re.findall(r"(?:Non-2xx or 3xx responses|Socket errors):.*", said)
    return shares, rate, errors


def main():
    for tool in ["nginx", "wrk"]:
        os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"
        if not shutil.which(tool):
            sys.exit(f"{tool} is not installed, and this needs it")
    shares = {run: [] for run in RUNS}
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # nginx's workers are another user's when root starts them
        for number in range(1, ROUNDS + 1):
            for policy, slow_start_s in RUNS:
                measured, rate, errors = measure(folder, policy, slow_start_s)
                shares[policy, slow_start_s].append(measured)
                said = f"{policy}, {slow_start_s} s: {rate:.0f} requests/s, "
                print(f"round {number}/{ROUNDS}  {said}errors: {errors or 'none'}", flush=True)
    print()
    print("| s since it is back |", " | ".join(f"{name}, {over} s" for name, over in RUNS), "|")
    print("|--:|" + "--:|" * len(RUNS))
    for step in range(N_STEPS):
        median = [statistics.median(each[step] for each in shares[run]) for run in RUNS]
        cells = " | ".join(f"{100 * share:.0f} %" for share in median)
        print(f"| {(step + 1) * STEP_S:.1f} | {cells} |")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        BINARY = sys.argv[1]
    main()
