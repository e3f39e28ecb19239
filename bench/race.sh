#!/bin/sh
# The threads under a race detector: the balancer is built with ThreadSanitizer, and serves a load
# while it is reloaded, drained, forced and stopped. Exit 1 if a race is reported. Needs a nightly
# toolchain with its runtime, and wrk; without them it is skipped.
# Settings by environment: DURATION=10, PORT=18700 (and the nine after it)
set -eu

here=$(cd "$(dirname "$0")" && pwd)
DURATION=${DURATION:-10}
PORT=${PORT:-18700}
cd "$here/.."

skip() { echo "skipped: $1"; exit 0; }
cargo +nightly --version >/dev/null 2>&1 || skip "no nightly toolchain is installed"
command -v wrk >/dev/null || skip "wrk is not installed"
host=$(rustc +nightly -vV | sed -n 's/^host: //p')
sysroot=$(rustc +nightly --print sysroot)
ls "$sysroot/lib/rustlib/$host/lib/" | grep -q tsan || skip "$host has no ThreadSanitizer"

target=${CARGO_TARGET_DIR:-target}/race
# Not share-generics: what std has compiled already is not instrumented. The mismatch is std itself.
RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer -Zshare-generics=n" \
    CARGO_PROFILE_DEV_OPT_LEVEL=2 CARGO_PROFILE_DEV_DEBUG=line-tables-only \
    cargo +nightly build --quiet --target "$host" --target-dir "$target"
binary=$target/$host/debug/threadbare
cargo build --quiet
plain=${CARGO_TARGET_DIR:-target}/debug/threadbare

out=$(mktemp -d)
pids=
end() {
    for pid in $pids; do kill "$pid" 2>/dev/null || :; done
    rm -rf "$out"
}
trap end EXIT
trap 'exit 130' INT TERM HUP

for n in 1 2 3; do
    "$plain" demo-backend --listen "127.0.0.1:$((PORT + n))" >/dev/null &
    pids="$pids $!"
done
write() {
    cat >"$out/t.toml" <<END
listen = "127.0.0.1:$PORT"
admin = "127.0.0.1:$((PORT + 9))"
workers = 16
state_file = "$out/state"
[pool.default]
policy = "least-connections"
health_interval = "100ms"
max_failures = $1
backends = ["http://127.0.0.1:$((PORT + 1))", "http://127.0.0.1:$((PORT + 2))"$2]
END
}
write 3 ""
TSAN_OPTIONS="log_path=$out/race suppressions=$here/race.supp exitcode=66 history_size=4" \
    "$binary" --config "$out/t.toml" 2>"$out/log" &
balancer=$!
pids="$pids $balancer"
ctl() { "$plain" ctl --admin "127.0.0.1:$((PORT + 9))" "$@" >>"$out/ctl"; }
until ctl status 2>/dev/null; do
    kill -0 "$balancer" 2>/dev/null || { cat "$out/log" >&2; exit 1; }
done

wrk -t 2 -c 24 -d "$DURATION" "http://127.0.0.1:$PORT/" >"$out/wrk" &
load=$!
rounds=0
while kill -0 "$load" 2>/dev/null; do
    write 4 ", \"http://127.0.0.1:$((PORT + 3))\""
    kill -HUP "$balancer"
    ctl drain "127.0.0.1:$((PORT + 1))"
    ctl enable "127.0.0.1:$((PORT + 1))"
    ctl down "127.0.0.1:$((PORT + 2))"
    ctl auto "127.0.0.1:$((PORT + 2))"
    ctl add "http://127.0.0.1:$((PORT + 3)),name=guest" 2>/dev/null || :
    write 3 ""
    ctl reload
    rounds=$((rounds + 1))
done
wait "$load"
kill "$balancer"
code=0
wait "$balancer" || code=$?

grep -E 'requests in|Non-2xx|Socket errors' "$out/wrk"
echo "$rounds rounds of reload, drain, enable, down, auto, add, reload; exit $code"
n=$(cat "$out"/race.* 2>/dev/null | grep -c 'WARNING: ThreadSanitizer') || :
echo "races: ${n:-0}"
[ "${n:-0}" -eq 0 ] || { cat "$out"/race.*; exit 1; }
