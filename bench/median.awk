# The results of load.sh, read into arrays, and medians of them. Each line: load, round, name,
# requests/s, p50 and p99 in ms, CPU in microseconds, peak MiB, errors, share of others.
#
# A ratio is taken within a round, and its median comes last: a noisy minute then hits both sides
# of the fraction.
function median(list,    values, n, i, j, value) {
    n = split(list, values, " ")
    for (i = 2; i <= n; i++) {
        value = values[i] + 0
        for (j = i - 1; j >= 1 && values[j] + 0 > value; j--)
            values[j + 1] = values[j]
        values[j + 1] = value
    }
    if (!n)
        return ""
    return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
}

{
    if (!($1 in seen_load))
        loads[++n_loads] = $1
    seen_load[$1] = 1
    if (!($3 in seen_name))
        names[++n_names] = $3
    seen_name[$3] = 1
    was_measured[$1, $3] = 1
    for (i = 4; i <= 10; i++)
        measured[$1, $3, i, $2] = $i
    if ($2 > last_round)
        last_round = $2
}

# The median over the rounds of one column; nothing where it was not measured.
function column(load, name, i,    round, list) {
    for (round = 1; round <= last_round; round++)
        if ((load, name, i, round) in measured)
            list = list " " measured[load, name, i, round]
    return median(list)
}

# The median over the rounds of one column of `name` over that of `base`, with `less` taken from
# both in the same round: the column of another name, or nothing.
function ratio(load, name, base, i, less,    round, list, over, under) {
    for (round = 1; round <= last_round; round++) {
        if (!((load, name, i, round) in measured) || !((load, base, i, round) in measured))
            continue
        over = measured[load, name, i, round]
        under = measured[load, base, i, round]
        if (less != "") {
            over -= measured[load, less, i, round]
            under -= measured[load, less, i, round]
        }
        if (under > 0)
            list = list " " over / under
    }
    return median(list)
}

function shown(value, format) {
    return value == "" ? "-" : sprintf(format, value)
}
