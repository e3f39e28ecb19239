#!/bin/sh
# Loads on threadbare and on its peers, in turn and several rounds, and tables at the end.
# bench/README.md says how it measures and how to read it. Settings, all by environment:
#   ROUNDS=5 DURATION=3 (seconds of each load) THREADS=2 (of wrk)   PINNED=1 (the proxy on one core)
#   PROXIES, LOADS: lists of names; all by default (proxies.sh, loads.sh)
#   RATE (requests/s of the steady loads)   OPTIONS (more of threadbare's)   SHORT=1 (for CI)
#   MAX_OTHERS=5 (per cent of the CPU time; a load disturbed by more is repeated) TRIES=4
#   BINARY=target/release/threadbare   KEEP=file (also writes the raw measurements there)
set -eu

here=$(dirname "$0")
# shellcheck source=bench/lib.sh
. "$here/lib.sh"
# shellcheck source=bench/proxies.sh
. "$here/proxies.sh"
# shellcheck source=bench/loads.sh
. "$here/loads.sh"

# Every load and every proxy, but not each with each, and nothing that takes minutes to build.
if [ -n "${SHORT:-}" ]; then
    ROUNDS=${ROUNDS:-1} DURATION=${DURATION:-1} TRIES=${TRIES:-1}
    PROXIES=${PROXIES:-$(echo "$ALL_PROXIES" | sed 's/ pingora//')}
    LOADS=${LOADS:-$(echo "$ALL_LOADS" | sed 's/ small-16//; s/ small-256//')}
fi
ROUNDS=${ROUNDS:-5}
DURATION=${DURATION:-3}
THREADS=${THREADS:-2}
[ -z "${PINNED:-}" ] || THREADS=1
MAX_OTHERS=${MAX_OTHERS:-5}
TRIES=${TRIES:-4}
PROXIES=${PROXIES:-$ALL_PROXIES}
LOADS=${LOADS:-$ALL_LOADS}
results=$tmp/results
calls=$tmp/calls-table

# Whether this load of the proxy is left out: because the run is to be short, or because the bare
# proxy keeps no connections but its clients', so that a new one of theirs is two.
is_left_out() {
    [ "$1 $2" != "new bare" ] || return 0
    [ -n "${SHORT:-}" ] && [ "$1" != small-64 ] || return 1
    case $2 in
    threadbare | bare | nginx | direct) return 1 ;;
    esac
}

run_proxy() {
    load=$1 round=$2 proxy=$3
    if [ "$proxy" = direct ]; then
        # No proxy: the backend itself, which is running already.
        proxied=$PROXY
        PROXY=$B1
        proxy_pid=${backend_pids# }
        proxy_pid=${proxy_pid%% *}
        measure "$load" "$round" direct
        PROXY=$proxied
        proxy_pid=
        return
    fi
    start_proxy "$proxy"
    if [ "$load" = calls ]; then
        count_calls "$proxy"
    else
        measure "$load" "$round" "$proxy"
    fi
    stop_proxy
}

run_rounds() {
    load=$1
    n_rounds=$ROUNDS
    also=
    use_backends "$GETS"
    case $load in
    post-*) use_backends "$POSTS" ;;
    one) also=direct ;;
    steady*) choose_rate ;;
    calls)
        n_rounds=1
        if ! is_installed strace; then
            echo "calls: strace is not installed, so not counted"
            return
        fi
        ;;
    esac
    round=1
    while [ "$round" -le "$n_rounds" ]; do
        for proxy in $also $PROXIES; do
            is_left_out "$load" "$proxy" || run_proxy "$load" "$round" "$proxy"
        done
        round=$((round + 1))
    done
}

is_installed wrk || fail "wrk is not installed, and it makes the load"
[ -x "$BINARY" ] || fail "$BINARY is not there: cargo build --release"
[ -x "$ASK" ] || fail "$ASK is not there: cargo build --release --examples"
[ -r /proc/self/stat ] || fail "needs /proc, by which it measures CPU time and memory"

check_loads
choose_ports
use_addresses
use_backends "$GETS"
describe_machine
prepare_proxies
describe_peers
echo "load:    $ROUNDS rounds of $DURATION s, wrk with $THREADS threads${PINNED:+, the proxy on one core}"
start_backends

: >"$results"
: >"$calls"
for load in $LOADS; do
    run_rounds "$load"
done

awk -F '\t' -f "$here/median.awk" -f "$here/table.awk" "$results"
if [ -s "$calls" ]; then
    printf '\n### System calls for a request\n\n| proxy | calls | of these |\n|---|--:|---|\n'
    cat "$calls"
fi
awk -F '\t' -v pinned="${PINNED:-}" -f "$here/median.awk" -f "$here/summary.awk" "$results"
[ -z "$missing" ] || printf '\nnot installed, so not measured:%s\n' "$missing"
[ -z "${KEEP:-}" ] || cp "$results" "$KEEP"
