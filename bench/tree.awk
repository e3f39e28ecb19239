# Reads lines of /proc/PID/stat; prints the CPU ticks used so far by process `root` and its
# descendants, also by those that have ended, then the process ids.
{
    pid = $1
    # The name in parentheses may hold spaces and parentheses: fields count from its end.
    sub(/^.*\) /, "")
    parent[pid] = $2
    ticks[pid] = $12 + $13 + $14 + $15
}

END {
    inside[root] = 1
    # Each pass goes one generation down.
    do {
        grown = 0
        for (pid in parent) {
            if (!(pid in inside) && parent[pid] in inside) {
                inside[pid] = 1
                grown = 1
            }
        }
    } while (grown)
    for (pid in inside) {
        sum += ticks[pid]
        pids = pids " " pid
    }
    print sum + 0 pids
}
