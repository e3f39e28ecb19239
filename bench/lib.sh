# shellcheck shell=sh
# What the bench scripts share: what they leave behind is nothing, also when interrupted; addresses
# nobody else takes; and what a process and its children have used. Sourced, with $here set.

# Debian keeps servers where not every user's PATH leads.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
# Many connections need many descriptors; where the limit can't be raised, the errors column tells.
ulimit -n "$(ulimit -H -n)" 2>/dev/null || true

target=${CARGO_TARGET_DIR:-$here/../target}
BINARY=${BINARY:-$target/release/threadbare}
ASK=$target/release/examples/ask

tmp=$(mktemp -d)
chmod 755 "$tmp" # nginx's workers are another user's when root starts them
backend_pids=
proxy_pid=
load_pid=

# CPU ticks (user and system) of a process and its descendants, then their process ids.
tree_of() {
    cat /proc/[0-9]*/stat 2>/dev/null | awk -v root="$1" -f "$here/tree.awk"
}

# A zombie has ended: it only waits for this script to take note.
is_running() {
    ! sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | grep -q '^[ZX]' && [ -e "/proc/$1" ]
}

# Ends these processes and waits until they have ended; one that does not for 5 s is killed, with
# all that it has started.
stop() {
    for pid in "$@"; do
        kill "$pid" 2>/dev/null || true
    done
    for pid in "$@"; do
        waits_left=100
        while is_running "$pid" && [ "$waits_left" -gt 0 ]; do
            waits_left=$((waits_left - 1))
            sleep 0.05
        done
        if is_running "$pid"; then
            pids=$(tree_of "$pid")
            # shellcheck disable=SC2086 # a list
            kill -9 ${pids#* } 2>/dev/null || true
        fi
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
    echo "${0##*/}: $*" >&2
    exit 1
}

is_installed() {
    command -v "$1" >/dev/null 2>&1
}

# Whether no socket of this machine listens on any of the ports.
are_free() {
    for port in "$@"; do
        hex=$(printf '%04X' "$port")
        ! cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
            awk -v end=":$hex" '$4 == "0A" && substr($2, length($2) - 4) == end { found = 1 }
                END { exit !found }' || return 1
    done
}

# Ten ports in a row, below the range from which Linux takes ports for outgoing connections: none of
# those can be in the way.
choose_ports() {
    BASE_PORT=${BASE_PORT:-18400}
    until are_free $(seq "$BASE_PORT" $((BASE_PORT + 9))); do
        BASE_PORT=$((BASE_PORT + 10))
        [ "$BASE_PORT" -lt 30000 ] || fail "no ten free ports in a row from 18400 to 30000"
    done
}

# Waits until what runs as $1 answers at $2; $3 is the name of its log.
await_ready() {
    waits_left=100
    until "$ASK" once "$2" 2>/dev/null; do
        waits_left=$((waits_left - 1))
        kill -0 "$1" 2>/dev/null || fail "$3 ended: $(cat "$tmp/$3.log")"
        [ "$waits_left" -gt 0 ] || fail "$3 does not answer at $2: $(cat "$tmp/$3.log")"
        sleep 0.1
    done
}

# What a process has used so far, with its descendants: CPU ticks and peak memory (KiB). And what
# the machine has: CPU ticks used by others than this script and all it started, and ticks that
# there were to use.
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

describe_machine() {
    cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1)
    commit=$(git -C "$here" rev-parse --short HEAD 2>/dev/null || echo none)
    echo "machine: $(getconf _NPROCESSORS_ONLN) cores of ${cpu:-unknown kind}, $(uname -srm)"
    echo "commit:  $commit, $(date -u +%F)"
}
