# After median.awk: a third of the rate of the slowest proxy under `load`, if it was measured.
END {
    for (i = 1; i <= n_names; i++) {
        rate = column(load, names[i], 4)
        if (rate != "" && (least == "" || rate < least))
            least = rate
    }
    if (least != "")
        printf "%d\n", least / 3
}
