# Reads the table of `strace -c`; prints a row of the calls for one of `n` requests to `name`: the
# sum, then each kind that comes at least once in twenty requests.
$4 ~ /^[0-9]+$/ && $NF != "total" && n > 0 {
    sum += $4 / n
    if ($4 / n >= 0.05)
        kinds[++n_kinds] = sprintf("%s %.2f", $NF, $4 / n)
}

END {
    if (!n) {
        printf "| %s | - | no request was answered under strace |\n", name
        exit
    }
    printf "| %s | %.1f |", name, sum
    for (i = 1; i <= n_kinds; i++)
        printf "%s %s", (i > 1 ? "," : ""), kinds[i]
    print " |"
}
