# Reads load.sh's measurements (round, name, requests/s, p50, p99, CPU, memory, errors, others)
# and prints the median of each over the rounds. A ratio is taken within a round, peer over threadbare, and
# its median comes last: a noisy minute then hits both sides of the fraction.
function median(list, n,    values, i, j, value) {
    split(list, values, " ")
    for (i = 2; i <= n; i++) {
        value = values[i] + 0
        for (j = i - 1; j >= 1 && values[j] + 0 > value; j--)
            values[j + 1] = values[j]
        values[j + 1] = value
    }
    return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
}

{
    if (!($2 in rounds))
        names[++n_names] = $2
    rounds[$2]++
    for (i = 3; i <= 9; i++)
        measured[$2, i] = measured[$2, i] " " $i
    errors[$2] += $8
    if ($2 == "threadbare") {
        base_rate[$1] = $3
        base_cpu[$1] = $6
    }
    rate[$2, $1] = $3
    cpu[$2, $1] = $6
    last_round = $1
}

function ratio(values, base, name,    round, list, n) {
    for (round = 1; round <= last_round; round++) {
        if (base[round] > 0 && (name, round) in values) {
            list = list " " values[name, round] / base[round]
            n++
        }
    }
    return n ? sprintf("%.2f", median(list, n)) : "-"
}

END {
    printf "| proxy | requests/s | ratio | CPU µs/request | ratio "
    print "| p50 ms | p99 ms | peak MiB | errors | others |"
    print "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    for (i = 1; i <= n_names; i++) {
        name = names[i]
        n = rounds[name]
        printf "| %s | %.0f | %s | %.1f | %s | %.3f | %.3f | %.1f | %d | %.0f %% |\n", name,
            median(measured[name, 3], n), ratio(rate, base_rate, name),
            median(measured[name, 6], n), ratio(cpu, base_cpu, name),
            median(measured[name, 4], n), median(measured[name, 5], n),
            median(measured[name, 7], n), errors[name], median(measured[name, 9], n)
    }
}
