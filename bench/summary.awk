# After median.awk: CPU a request over all loads, threadbare's share of each peer's, and the goals.
function print_row(first, load, what,    i, name, value) {
    printf "| %s |", first
    for (i = 1; i <= n_names; i++) {
        name = names[i]
        if (name == "direct")
            continue
        if (what == "cpu")
            value = shown(column(load, name, 7), "%.1f")
        else
            value = shown(ratio(load, "threadbare", name, what), "%.2f")
        printf " %s |", value
    }
    print ""
}

function print_table(title, what,    i) {
    printf "\n### %s\n\n| load |", title
    for (i = 1; i <= n_names; i++)
        if (names[i] != "direct")
            printf " %s |", names[i]
    printf "\n|---|"
    for (i = 1; i <= n_names; i++)
        if (names[i] != "direct")
            printf "--:|"
    print ""
    for (i = 1; i <= n_loads; i++)
        print_row(loads[i], loads[i], what)
}

# How dear the dearest of the small loads is by another: by any, or by one with fewer connections.
function growth(name, by_any,    i, j, one, other, most) {
    for (i = 1; i <= n_loads; i++)
        for (j = 1; j <= n_loads; j++) {
            if (loads[i] !~ /^small-/ || loads[j] !~ /^small-/ || i == j)
                continue
            if (!by_any && n_connections(loads[j]) > n_connections(loads[i]))
                continue
            one = column(loads[i], name, 7)
            other = column(loads[j], name, 7)
            if (one != "" && other > 0 && one / other > most)
                most = one / other
        }
    return most
}

function n_connections(load) {
    return substr(load, length("small-") + 1) + 0
}

function goal(text, value, sense, limit,    is_met) {
    if (value == "")
        return
    is_met = sense == "<=" ? value <= limit : value >= limit
    printf "| %s | %s %.2f | %.2f | %s |\n", text, sense, limit, value, is_met ? "yes" : "NO"
}

function cpu_goal(load, peer, limit) {
    goal(load ": CPU by " peer "'s", ratio(load, "threadbare", peer, 7), "<=", limit)
}

function small_goals(load) {
    cpu_goal(load, "bare", pinned ? 1.4 : 1.3)
    cpu_goal(load, "pingora", 0.65)
    cpu_goal(load, "nginx", 2.6)
    cpu_goal(load, "simplelb", 1 / 3.5)
    cpu_goal(load, "caddy", 1)
    cpu_goal(load, "apache", 1)
    cpu_goal(load, "reverseproxy", 1)
}

END {
    print_table("CPU µs/request", "cpu")
    print_table("threadbare's CPU over each proxy's", 7)
    print_table("threadbare's requests/s over each proxy's", 4)
    print_table("threadbare's p99 over each proxy's", 6)

    print "\n### Growth: CPU µs/request, the dearest number of connections by one that is smaller, and by any\n"
    print "| proxy | by a smaller | by any |\n|---|--:|--:|"
    for (i = 1; i <= n_names; i++)
        if (growth(names[i], 1) != "")
            printf "| %s | %.2f | %.2f |\n", names[i], growth(names[i]), growth(names[i], 1)

    print "\n### Goals\n\n| goal | wanted | measured | met |\n|---|--:|--:|---|"
    for (i = 1; i <= n_loads; i++)
        if (loads[i] ~ /^small-/)
            small_goals(loads[i])
    goal("small-64: requests/s by simplelb's", ratio("small-64", "threadbare", "simplelb", 4),
        ">=", 3)
    goal("growth of CPU with connections", growth("threadbare"), "<=", 1.5)
    goal("the same, whichever way", growth("threadbare", 1), "<=", 1.5)
    cpu_goal("get-10k", "nginx", 2.6)
    cpu_goal("get-1m", "nginx", 1.3)
    cpu_goal("post-1k", "nginx", 2.6)
    cpu_goal("post-1m", "nginx", 1.3)
    cpu_goal("new", "nginx", 2.6)
    goal("steady: p99 by nginx's", ratio("steady", "threadbare", "nginx", 6), "<=", 1.5)
    goal("one: added p50 by nginx's", ratio("one", "threadbare", "nginx", 5, "direct"), "<=", 1.5)
}
