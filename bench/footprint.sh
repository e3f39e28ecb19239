#!/bin/sh
# How little the release binary takes: its size, its memory when idle, with idle connections and
# under full load, and the time from exec to the first answer; beside what it may take.
#   TIMES=20 (starts)   DURATION=3 (seconds of each load)   SHORT=1 (for CI)   OPTIONS, BINARY
set -eu

here=$(dirname "$0")
# shellcheck source=bench/lib.sh
. "$here/lib.sh"

if [ -n "${SHORT:-}" ]; then
    TIMES=${TIMES:-5} DURATION=${DURATION:-1}
fi
TIMES=${TIMES:-20}
DURATION=${DURATION:-3}

# $1 what it is, $2 in which unit, $3 the most it may be, $4 what it is.
print_row() {
    echo "$1 $2 $3 $4" | awk '{
        printf "| %s | %s | %.2f | %.2f | %s |\n", $1, $2, $3, $4, ($4 < $3 ? "yes" : "NO")
    }' | tr '_' ' '
}

as_mib() {
    awk -v kib="$1" 'BEGIN { printf "%.3f", kib / 1024 }'
}

start() {
    # shellcheck disable=SC2086 # OPTIONS are words
    "$BINARY" --listen "$PROXY" --backend "http://$BACKEND" --log-level warn ${OPTIONS:-} \
        2>"$tmp/threadbare.log" &
    proxy_pid=$!
    await_ready "$proxy_pid" "$PROXY" threadbare
}

# The peak under as many connections as keep all workers busy, with this path.
peak_under_load() {
    start
    wrk -t2 -c256 -d"${DURATION}s" "http://$PROXY$1" >"$tmp/wrk" 2>&1 || fail "$(cat "$tmp/wrk")"
    awk '/^VmHWM:/ { print $2 }' "/proc/$proxy_pid/status"
    stop "$proxy_pid"
}

[ -x "$BINARY" ] || fail "$BINARY is not there: cargo build --release"
[ -x "$ASK" ] || fail "$ASK is not there: cargo build --release --examples"
choose_ports
PROXY=127.0.0.1:$BASE_PORT
BACKEND=127.0.0.1:$((BASE_PORT + 1))
"$target/release/examples/backend" "$BACKEND" 2>"$tmp/backend.log" &
backend_pids=$!
await_ready "$backend_pids" "$BACKEND" backend

describe_machine
idle_kib=$("$here/size.sh" "$BINARY" | awk '/VmRSS/ { print $3 }')
# shellcheck disable=SC2086 # OPTIONS are words
"$ASK" first "$PROXY" "$TIMES" "$BINARY" --listen "$PROXY" --backend "http://$BACKEND" \
    --log-level warn ${OPTIONS:-} >"$tmp/first" 2>"$tmp/first.log" || fail "$(cat "$tmp/first.log")"
first_ms=$(awk '/^measured/ { print $4 / 1000 }' "$tmp/first")
if is_installed python3; then
    "$here/idle.py" "$BINARY" 1 1000 >"$tmp/idle" || fail "$(cat "$tmp/idle")"
    added_kib=$(awk 'END { print $(NF - 1) + 0 }' "$tmp/idle")
fi

echo
echo "| what | unit | less than | measured | met |"
echo "|---|---|--:|--:|---|"
print_row binary MiB 1.5 "$(as_mib "$(($(wc -c <"$BINARY") / 1024))")"
print_row resident,_idle MiB 4 "$(as_mib "$idle_kib")"
[ -z "${added_kib:-}" ] || print_row 1000_idle_connections_add MiB 10 "$(as_mib "$added_kib")"
if is_installed wrk; then
    print_row peak,_256_clients,_small_answers MiB 25 "$(as_mib "$(peak_under_load /)")"
    print_row peak,_256_clients,_answers_of_1_MiB MiB 25 "$(as_mib "$(peak_under_load /1m)")"
fi
print_row exec_to_first_answer,_median ms 20 "$first_ms"
