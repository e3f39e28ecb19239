#!/bin/sh
# Load on threadbare and on its peers, in turn and several rounds, and one table at the end.
# bench/README.md says how it measures and how to read it. Settings, all by environment:
#   ROUNDS=5 DURATION=10 (seconds of each load) CONNECTIONS=64 THREADS=2 (of wrk)
#   PROXIES="threadbare tiny_http nginx haproxy reverseproxy simplelb"   BASE_PORT=18400   SHORT=1 (for CI)
#   MAX_OTHERS=5 (per cent of the CPU time; a load disturbed by more is repeated) TRIES=4
#   BINARY=target/release/threadbare   KEEP=file (also writes the raw measurements there)
set -eu

here=$(dirname "$0")
if [ -n "${SHORT:-}" ]; then
    ROUNDS=${ROUNDS:-1} DURATION=${DURATION:-2} TRIES=${TRIES:-1}
fi
ROUNDS=${ROUNDS:-5}
DURATION=${DURATION:-10}
CONNECTIONS=${CONNECTIONS:-64}
THREADS=${THREADS:-2}
MAX_OTHERS=${MAX_OTHERS:-5}
TRIES=${TRIES:-4}
PROXIES=${PROXIES:-threadbare tiny_http nginx haproxy reverseproxy simplelb}
BINARY=${BINARY:-${CARGO_TARGET_DIR:-$here/../target}/release/threadbare}

# Below the range from which Linux takes ports for outgoing connections: none can be in the way.
BASE_PORT=${BASE_PORT:-18400}
PROXY=127.0.0.1:$BASE_PORT
B1=127.0.0.1:$((BASE_PORT + 1))
B2=127.0.0.1:$((BASE_PORT + 2))
B3=127.0.0.1:$((BASE_PORT + 3))

# Debian keeps servers where not every user's PATH leads.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
# Many connections need many descriptors; where the limit can't be raised, the errors column tells.
ulimit -n "$(ulimit -H -n)" 2>/dev/null || true

tmp=$(mktemp -d)
chmod 755 "$tmp" # nginx's workers are another user's when root starts them
results=$tmp/results
backend_pids=
proxy_pid=
load_pid=

# Ends these processes and waits until they have ended.
stop() {
    for pid in "$@"; do
        kill "$pid" 2>/dev/null || true
    done
    for pid in "$@"; do
        wait "$pid" 2>/dev/null || true
    done
}

finish() {
    # shellcheck disable=SC2086 # each is a list
    stop $load_pid $proxy_pid $backend_pids
    rm -rf "$tmp"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

fail() {
    echo "load: $*" >&2
    exit 1
}

is_installed() {
    command -v "$1" >/dev/null 2>&1
}

# The load itself, in the background, so that a signal interrupts the wait and not only the load.
run_wrk() {
    wrk "$@" -s "$here/report.lua" >"$tmp/wrk" 2>&1 &
    load_pid=$!
    wait "$load_pid" || return 1
    load_pid=
}

# Waits until what runs as $1 answers at $2; wrk is the one client that is surely here.
await_ready() {
    tries=50
    until run_wrk -t1 -c1 -d1s "http://$2/"; do
        load_pid=
        tries=$((tries - 1))
        kill -0 "$1" 2>/dev/null || fail "$3 ended: $(cat "$tmp/$3.log")"
        [ "$tries" -gt 0 ] || fail "$3 does not answer at $2: $(cat "$tmp/$3.log")"
        sleep 0.1
    done
}

require_free() {
    if wrk -t1 -c1 -d1s "http://$1/" >/dev/null 2>&1; then
        fail "something listens on $1 already; choose another BASE_PORT"
    fi
}

# A peer's config with the addresses filled in.
fill_in() {
    sed -e "s/@LISTEN@/$1/" -e "s/@B1@/$B1/" -e "s/@B2@/$B2/" -e "s/@B3@/$B3/" \
        "$here/peers/$2" >"$3"
}

start_backend() {
    name=backend-${1##*:}
    require_free "$1"
    if is_installed nginx; then
        fill_in "$1" nginx-backend.conf "$tmp/$name.conf"
        start_nginx "$name"
    else
        "$BINARY" demo-backend --listen "$1" >"$tmp/$name.log" 2>&1 &
    fi
    backend_pids="$backend_pids $!"
    await_ready $! "$1" "$name"
}

# In a folder of its own: each nginx writes its pid and temporary files beside its config.
start_nginx() {
    mkdir -p "$tmp/$1"
    nginx -e stderr -p "$tmp/$1" -c "$tmp/$1.conf" 2>"$tmp/$1.log" &
}

# Starts one proxy in the background; false where it is not installed.
start_proxy() {
    case $1 in
    threadbare | tiny_http)
        listener=gate
        [ "$1" = threadbare ] || listener=$1
        "$BINARY" --listener "$listener" --listen "$PROXY" --backend "http://$B1" --backend "http://$B2" \
            --backend "http://$B3" --log-level warn 2>"$tmp/$1.log" &
        ;;
    nginx)
        is_installed nginx || return 1
        fill_in "$PROXY" nginx.conf "$tmp/nginx.conf"
        start_nginx nginx
        ;;
    haproxy)
        is_installed haproxy || return 1
        fill_in "$PROXY" haproxy.cfg "$tmp/haproxy.cfg"
        haproxy -db -f "$tmp/haproxy.cfg" >"$tmp/haproxy.log" 2>&1 &
        ;;
    reverseproxy | simplelb)
        is_installed go || return 1
        [ -x "$tmp/$1" ] || go build -o "$tmp/$1" "$here/peers/$1.go"
        "$tmp/$1" -listen "$PROXY" -backends "http://$B1,http://$B2,http://$B3" \
            2>"$tmp/$1.log" &
        ;;
    *) fail "PROXIES names $1, which is none of threadbare tiny_http nginx haproxy reverseproxy simplelb" ;;
    esac
    proxy_pid=$!
}

# CPU ticks (user and system) of a process and its descendants, then their process ids.
tree_of() {
    cat /proc/[0-9]*/stat 2>/dev/null | awk -v root="$1" -f "$here/tree.awk"
}

# What the proxy has used so far: CPU ticks and peak memory (KiB). And what the machine has: CPU
# ticks used by others than this script and all it started, and ticks that there were to use.
usage_of() {
    pids=$(tree_of "$1")
    ours=$(tree_of $$)
    machine=$(awk -v ours="${ours%% *}" '$1 == "cpu" {
        busy = $2 + $3 + $4 + $7 + $8 + $9
        printf "%.0f %.0f", busy - ours, busy + $5 + $6
    }' /proc/stat)
    ticks=${pids%% *}
    peak=0
    for pid in ${pids#* }; do
        kib=$(awk '/^VmHWM:/ { print $2 }' "/proc/$pid/status" 2>/dev/null || true)
        peak=$((peak + ${kib:-0}))
    done
    echo "$ticks $peak $machine"
}

# One load on the proxy that runs, as a line of the results: round, name, then what was measured.
measure_once() {
    before=$(usage_of "$proxy_pid")
    run_wrk -t"$THREADS" -c"$CONNECTIONS" -d"${DURATION}s" "http://$PROXY/" ||
        fail "$2: $(cat "$tmp/wrk")"
    after=$(usage_of "$proxy_pid")
    measured=$(sed -n 's/^measured //p' "$tmp/wrk")
    # shellcheck disable=SC2086 # numbers, all of them
    set -- "$1" "$2" $measured $before $after
    [ $# -eq 15 ] || fail "wrk's report can't be read: $(cat "$tmp/wrk")"
    line=$(awk -v hz="$(getconf CLK_TCK)" -v OFS='\t' -v values="$*" 'BEGIN {
        # round name | requests duration_us p50_us p99_us errors | usage before | usage after
        split(values, v, " ")
        cpu_us = (v[12] - v[8]) * 1e6 / hz / (v[3] > 0 ? v[3] : 1)
        others = 100 * (v[14] - v[10]) / (v[15] - v[11])
        print v[1], v[2], v[3] * 1e6 / v[4], v[5] / 1e3, v[6] / 1e3, cpu_us, v[13] / 1024,
            v[7], int(others > 0 ? others + 0.5 : 0)
    }')
    echo "$line" | awk -F '\t' -v rounds="$ROUNDS" '{
        printf "round %d/%d  %-12s %8.0f requests/s  p50 %7.3f ms  p99 %8.3f ms", $1, rounds,
            $2, $3, $4, $5
        printf "  %6.1f us CPU  %6.1f MiB  %d errors  others %d %%\n", $6, $7, $8, $9
    }'
}

# Measures until nothing else disturbs, or for TRIES times.
measure() {
    run_wrk -t"$THREADS" -c"$CONNECTIONS" -d1s "http://$PROXY/" || fail "$2: $(cat "$tmp/wrk")"
    tries=$TRIES
    measure_once "$1" "$2"
    while [ "$(echo "$line" | cut -f 9)" -gt "$MAX_OTHERS" ] && [ "$tries" -gt 1 ]; do
        echo "           disturbed by others, so once more"
        tries=$((tries - 1))
        measure_once "$1" "$2"
    done
    echo "$line" >>"$results"
}

describe_machine() {
    cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1)
    commit=$(git -C "$here" rev-parse --short HEAD 2>/dev/null || echo none)
    echo "machine: $(getconf _NPROCESSORS_ONLN) cores of ${cpu:-unknown kind}, $(uname -srm)"
    echo "commit:  $commit, $(date -u +%F)"
    for peer in "nginx -v" "haproxy -v" "go version" "wrk -v"; do
        is_installed "${peer%% *}" || continue
        echo "peer:    $($peer 2>&1 | head -n 1)" # not every -v exits with 0
    done
    echo "load:    $ROUNDS rounds of $DURATION s, $CONNECTIONS connections, $THREADS threads"
}

is_installed wrk || fail "wrk is not installed, and it makes the load"
[ -x "$BINARY" ] || fail "$BINARY is not there: cargo build --release"
[ -r /proc/self/stat ] || fail "needs /proc, by which it measures CPU time and memory"

describe_machine
require_free "$PROXY"
for addr in "$B1" "$B2" "$B3"; do
    start_backend "$addr"
done

round=1
missing=
while [ "$round" -le "$ROUNDS" ]; do
    for proxy in $PROXIES; do
        if start_proxy "$proxy"; then
            await_ready "$proxy_pid" "$PROXY" "$proxy"
            measure "$round" "$proxy"
            stop "$proxy_pid"
            proxy_pid=
        elif [ "$round" -eq 1 ]; then
            missing="$missing $proxy"
        fi
    done
    round=$((round + 1))
done

echo
awk -F '\t' -f "$here/table.awk" "$results"
[ -z "$missing" ] || echo "not installed, so not measured:$missing"
[ -z "${KEEP:-}" ] || cp "$results" "$KEEP"
