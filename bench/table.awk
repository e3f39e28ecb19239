# After median.awk: a table for each load, with the medians over the rounds.
function print_load(load,    i, name) {
    printf "\n### %s\n\n", load
    printf "| proxy | requests/s | ratio | CPU µs/request | ratio "
    print "| p50 ms | p99 ms | peak MiB | errors | others |"
    print "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    for (i = 1; i <= n_names; i++) {
        name = names[i]
        if (!((load, name) in was_measured))
            continue
        printf "| %s | %.0f | %s | %.1f | %s | %.3f | %.3f | %.1f | %d | %.0f %% |\n", name,
            column(load, name, 4), shown(ratio(load, name, "threadbare", 4), "%.2f"),
            column(load, name, 7), shown(ratio(load, name, "threadbare", 7), "%.2f"),
            column(load, name, 5), column(load, name, 6), column(load, name, 8),
            sum_of_errors(load, name), column(load, name, 10)
    }
}

function sum_of_errors(load, name,    round, sum) {
    for (round = 1; round <= last_round; round++)
        sum += measured[load, name, 9, round]
    return sum
}

END {
    for (l = 1; l <= n_loads; l++)
        print_load(loads[l])
}
