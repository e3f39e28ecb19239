#!/bin/sh
# How small it is: the size of the binary, and the memory it holds when it listens and has nothing
# to do. Usage: bench/size.sh BINARY (as `make size` does).
set -eu

binary=$1
log=$(mktemp)
pid=

finish() {
    [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
    [ -z "$pid" ] || wait "$pid" 2>/dev/null || true
    rm -f "$log"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

# Nothing has to listen at the backend: an idle balancer only dials it.
"$binary" --listen 127.0.0.1:0 --backend http://127.0.0.1:9 2>"$log" &
pid=$!

tries=100
until grep -q 'listening on' "$log"; do
    tries=$((tries - 1))
    if [ "$tries" -eq 0 ] || ! kill -0 "$pid" 2>/dev/null; then
        echo "size: $binary did not start to listen; it said:" >&2
        cat "$log" >&2
        exit 1
    fi
    sleep 0.05
done

bytes=$(wc -c <"$binary")
echo "binary: $((bytes / 1024)) KiB ($bytes bytes)"
if [ -r "/proc/$pid/status" ]; then
    awk '/^(VmRSS|Threads):/ { print "idle:   " $1, $2, $3 }' "/proc/$pid/status"
else
    ps -o rss= -p "$pid" | awk '{ print "idle:   VmRSS: " $1 " kB" }'
fi
