# shellcheck shell=sh
# The loads that the load bench makes, and how one is measured. Sourced after proxies.sh.

SMALL_LOADS="small-1 small-16 small-64 small-256 small-1000"
ALL_LOADS="$SMALL_LOADS get-10k get-1m post-1k post-1m new steady one calls"

# The p99 of steady is what one request in a hundred saw: in two seconds, one hiccup of the machine.
MIN_STEADY=5

# Where no load tells how much the slowest peer can do. RATE=N sets it.
DEFAULT_RATE=2000

# In the background, so that a signal interrupts the wait and not only the load.
run_load() {
    "$@" >"$tmp/load" 2>&1 &
    load_pid=$!
    wait "$load_pid" || return 1
    load_pid=
}

# connections, path, then options of wrk; what is behind `--` is for report.lua.
run_wrk() {
    connections=$1 path=$2 seconds=$3
    shift 3
    threads=$THREADS
    [ "$connections" -ge "$threads" ] || threads=1
    run_load wrk -t"$threads" -c"$connections" -d"${seconds}s" -s "$here/report.lua" \
        "http://$PROXY$path" "$@"
}

# One load of so many seconds on the proxy that runs.
make_load() {
    case $1 in
    small-*) run_wrk "${1#small-}" / "$2" ;;
    get-10k) run_wrk 64 /10k "$2" ;;
    get-1m) run_wrk 16 /1m "$2" ;;
    post-1k) run_wrk 64 / "$2" -- 1024 ;;
    post-1m) run_wrk 16 / "$2" -- 1048576 ;;
    new) run_wrk 64 / "$2" -H "Connection: close" ;;
    calls) run_wrk 16 / "$2" ;;
    steady) run_load "$ASK" steady "$PROXY" 64 "$rate" "$2" ;;
    steady-*) run_load "$ASK" steady "$PROXY" "${1#steady-}" "$rate" "$2" ;;
    one) run_load "$ASK" turn "$PROXY" 1 $((5000 * $2)) ;;
    esac
}

check_loads() {
    for load in $LOADS; do
        case $load in
        small-*[!0-9]* | small- | steady-*[!0-9]* | steady-) ;;
        small-* | steady-*) continue ;;
        *) case " $ALL_LOADS " in *" $load "*) continue ;; esac ;;
        esac
        fail "LOADS names $load, which is none of: $ALL_LOADS"
    done
}

# The fixed rate: a third of what the slowest of the proxies answered at 64 connections, in the
# median of its rounds.
choose_rate() {
    slowest=$(awk -F '\t' -v load=small-64 -f "$here/median.awk" \
        -f "$here/slowest.awk" "$results" 2>/dev/null)
    rate=${RATE:-${slowest:-$DEFAULT_RATE}}
    echo "steady:  $rate requests/s"
}

# How long a load is measured.
seconds_of() {
    seconds=$DURATION
    case $1 in
    steady*) [ -n "${SHORT:-}" ] || [ "$seconds" -ge $MIN_STEADY ] || seconds=$MIN_STEADY ;;
    esac
    echo "$seconds"
}

# One load on the proxy that runs, as a line of the results: load, round, name, then what was
# measured.
measure_once() {
    before=$(usage_of "$proxy_pid")
    make_load "$1" "$(seconds_of "$1")" || fail "$3: $1: $(cat "$tmp/load")"
    after=$(usage_of "$proxy_pid")
    measured=$(sed -n 's/^measured //p' "$tmp/load")
    # shellcheck disable=SC2086 # numbers, all of them
    set -- "$1" "$2" "$3" $measured $before $after
    [ $# -eq 16 ] || fail "the report of $1 can't be read: $(cat "$tmp/load")"
    line=$(awk -v hz="$(getconf CLK_TCK)" -v OFS='\t' -v values="$*" 'BEGIN {
        # load round name | requests duration_us p50_us p99_us errors | usage before | usage after
        split(values, v, " ")
        cpu_us = (v[13] - v[9]) * 1e6 / hz / (v[4] > 0 ? v[4] : 1)
        others = 100 * (v[15] - v[11]) / (v[16] - v[12])
        print v[1], v[2], v[3], v[4] * 1e6 / v[5], v[6] / 1e3, v[7] / 1e3, cpu_us, v[14] / 1024,
            v[8], int(others > 0 ? others + 0.5 : 0)
    }')
    echo "$line" | awk -F '\t' -v rounds="$ROUNDS" '{
        printf "%-10s %d/%d  %-12s %8.0f requests/s  p50 %7.3f ms  p99 %8.3f ms", $1, $2, rounds,
            $3, $4, $5, $6
        printf "  %6.1f us CPU  %6.1f MiB  %d errors  others %d %%\n", $7, $8, $9, $10
    }'
}

# Measures until nothing else disturbs, or for TRIES times.
measure() {
    [ -n "${SHORT:-}" ] || make_load "$1" 1 || fail "$3: $1: $(cat "$tmp/load")"
    tries=$TRIES
    measure_once "$1" "$2" "$3"
    while [ "$(echo "$line" | cut -f 10)" -gt "$MAX_OTHERS" ] && [ "$tries" -gt 1 ]; do
        echo "           disturbed by others, so once more"
        tries=$((tries - 1))
        measure_once "$1" "$2" "$3"
    done
    echo "$line" >>"$results"
}

# System calls for a request, by kind: strace counts them while a load of 16 connections runs. It
# makes the proxy many times slower, so that nothing else of this load means anything.
count_calls() {
    pids=$(tree_of "$proxy_pid")
    options=
    for pid in ${pids#* }; do
        options="$options -p $pid"
    done
    # shellcheck disable=SC2086 # options
    strace -c -f -o "$tmp/calls" $options 2>"$tmp/strace.log" &
    strace_pid=$!
    tries=50
    until [ "$(grep -c attached "$tmp/strace.log")" -ge "$(echo "${pids#* }" | wc -w)" ]; do
        tries=$((tries - 1))
        if [ "$tries" -eq 0 ] || ! is_running "$strace_pid"; then
            echo "calls: strace can't: $(head -n 1 "$tmp/strace.log")"
            stop "$strace_pid"
            return
        fi
        sleep 0.1
    done
    make_load calls 2 || fail "$1: calls: $(cat "$tmp/load")"
    kill -INT "$strace_pid"
    wait "$strace_pid" || true
    n=$(awk '/^measured / { print $2 }' "$tmp/load")
    awk -v n="$n" -v name="$1" -f "$here/calls.awk" "$tmp/calls" | tee -a "$calls"
}
