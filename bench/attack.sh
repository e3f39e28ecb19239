#!/bin/sh
# How long small requests take on a quiet machine and while everything slow comes at once, in turn
# and several rounds, and the medians. The attack is that of tests/interop/attack.rs.
# Settings by environment: ROUNDS=5
set -eu

here=$(dirname "$0")
ROUNDS=${ROUNDS:-5}
name=attack::small_requests_are_answered_while_everything_slow_comes_at_once

cd "$here/.."
out=$(mktemp)
trap 'rm -f "$out"' EXIT
trap 'exit 130' INT TERM HUP

round=1
while [ "$round" -le "$ROUNDS" ]; do
    cargo test --release --quiet --test interop -- --exact --nocapture "$name" >"$out.run" 2>&1 ||
        { cat "$out.run" >&2; rm -f "$out.run"; exit 1; }
    grep -E '^(quiet|begun|lasting|peak)' "$out.run" | sed "s|^|round $round/$ROUNDS  |" | tee -a "$out"
    rm -f "$out.run"
    round=$((round + 1))
done

# The value that follows a word in the lines of one kind, in the middle of them by size.
median() {
    sed -n "s/.* $1: .* $2 \([0-9.]*\) ms.*/\1/p" "$out" | sort -n |
        awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}

echo
for kind in quiet begun lasting; do
    echo "median, $kind: p50 $(median "$kind" p50) ms, p99 $(median "$kind" p99) ms," \
        "worst $(median "$kind" worst) ms"
done
