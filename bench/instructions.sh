#!/bin/sh
# Counts the instructions of a request with callgrind, and fails if they are over 3 % more than
# bench/instructions.txt says for this architecture, compiler and C library, and for a processor that
# has AVX2 or has not (what copies and parses asks for it). RECORD=1 writes them there instead.
#   BINARY=target/symbols/threadbare (cargo build --profile symbols)   OPTIONS (more of threadbare's)
#   KEEP=file (also copies callgrind's profile there, for callgrind_annotate)
#
# Two runs with different numbers of requests: their difference has no start and no stop in it. One
# thread asks, one request after the other over four connections, so that nothing depends on which
# thread is faster; it and the backend run outside of valgrind.
set -eu

here=$(dirname "$0")
BINARY=${BINARY:-${CARGO_TARGET_DIR:-$here/../target}/symbols/threadbare}
# shellcheck source=bench/lib.sh
. "$here/lib.sh"

RECORDED=$here/instructions.txt
FEW=2000
MANY=6000
MAX_RISE=3 # per cent
# A count that is too high is made again so often, and the least is taken: noise only adds.
TRIES=3

if ! is_installed valgrind; then
    echo "instructions: valgrind is not installed, so not counted"
    exit 0
fi
[ -x "$BINARY" ] || fail "$BINARY is not there: cargo build --profile symbols"
[ -x "$ASK" ] || fail "$ASK is not there: cargo build --release --examples"

# `lingering` is compared: eight workers, and each connection has one that waits on it, so that no
# request is handed over. `handing-over` is printed only: with four workers none may wait, and each
# request comes through the waiter and the queue, where threads sleep or not as it happens.
WORKLOADS="lingering handing-over"
workers_of() {
    case $1 in
    lingering) echo 8 ;;
    handing-over) echo 4 ;;
    esac
}

# Instructions of the whole run of $1 workers that serves $2 requests.
count_run() {
    # shellcheck disable=SC2086 # OPTIONS are words
    valgrind --tool=callgrind --callgrind-out-file="$tmp/profile" "$BINARY" --listen "$PROXY" \
        --backend "http://$BACKEND" --workers "$1" --log-level warn ${OPTIONS:-} \
        2>"$tmp/threadbare.log" &
    proxy_pid=$!
    await_ready "$proxy_pid" "$PROXY" threadbare
    "$ASK" turn "$PROXY" 4 "$2" >"$tmp/ask" || fail "the client failed: $(cat "$tmp/ask")"
    grep -q "^measured $2 .* 0\$" "$tmp/ask" || fail "requests failed: $(cat "$tmp/ask")"
    stop "$proxy_pid"
    proxy_pid=
    collected=$(sed -n 's/.*Collected : *//p' "$tmp/threadbare.log")
    [ -n "$collected" ] || fail "valgrind did not count: $(tail -n 3 "$tmp/threadbare.log")"
}

# Instructions of one request.
count_request() {
    count_run "$1" "$FEW"
    less=$collected
    count_run "$1" "$MANY"
    counted=$(((collected - less) / (MANY - FEW)))
}

choose_ports
PROXY=127.0.0.1:$BASE_PORT
BACKEND=127.0.0.1:$((BASE_PORT + 1))
"$target/release/examples/backend" "$BACKEND" 2>"$tmp/backend.log" &
backend_pids=$!
await_ready "$backend_pids" "$BACKEND" backend

# Whether the count is more than MAX_RISE over what was recorded, if anything was.
is_too_high() {
    [ -n "$recorded" ] && [ $(($1 * 100)) -gt $((recorded * (100 + MAX_RISE))) ]
}

key="$(uname -m) rustc-$(rustc --version | cut -d ' ' -f 2)"
key="$key libc-$(ldd --version 2>&1 | sed -n '1s/.* //p')"
grep -qw avx2 /proc/cpuinfo && key="$key avx2"
recorded=$(sed -n "s/^$key //p" "$RECORDED")
[ -z "${RECORD:-}" ] || recorded=
for workload in $WORKLOADS; do
    count_request "$(workers_of "$workload")"
    if [ "$workload" != lingering ]; then
        echo "instructions: $workload: $counted a request"
        continue
    fi
    least=$counted
    counts_left=$((TRIES - 1))
    while is_too_high "$least" && [ "$counts_left" -gt 0 ]; do
        counts_left=$((counts_left - 1))
        count_request "$(workers_of "$workload")"
        [ "$counted" -ge "$least" ] || least=$counted
    done
    [ -z "${KEEP:-}" ] || cp "$tmp/profile" "$KEEP"
    echo "instructions: $workload: $least a request; recorded for $key: ${recorded:-nothing}"
done

if [ -n "${RECORD:-}" ]; then
    grep -v "^$key " "$RECORDED" >"$tmp/recorded" || true
    echo "$key $least" >>"$tmp/recorded"
    cat "$tmp/recorded" >"$RECORDED"
elif is_too_high "$least"; then
    fail "more than $MAX_RISE % over what was recorded"
fi
