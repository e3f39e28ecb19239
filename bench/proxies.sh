# shellcheck shell=sh
# The proxies that the load bench compares, and the backends behind them: how each is built,
# configured and started. Sourced after lib.sh.

ALL_PROXIES="threadbare bare tiny_http nginx haproxy apache caddy pingora reverseproxy simplelb"

# The cores that the proxy may use, and how it is started there. Pinned, it has the first core, and
# this script with all else that it starts has the others.
CORES=$(getconf _NPROCESSORS_ONLN)
if [ -n "${PINNED:-}" ]; then
    is_installed taskset || fail "PINNED needs taskset, of util-linux"
    [ "$CORES" -gt 1 ] || fail "PINNED needs two cores"
    taskset -cp "1-$((CORES - 1))" $$ >/dev/null
    CORES=1
fi

# Replaces the shell of a `( ... ) &`, so that its process id is the program's.
exec_proxy() {
    if [ -n "${PINNED:-}" ]; then
        exec taskset -c 0 "$@"
    else
        exec "$@"
    fi
}

use_addresses() {
    PROXY=127.0.0.1:$BASE_PORT
    # Three backends for most loads, and three that read uploads before they answer.
    GETS="127.0.0.1:$((BASE_PORT + 1)) 127.0.0.1:$((BASE_PORT + 2)) 127.0.0.1:$((BASE_PORT + 3))"
    POSTS="127.0.0.1:$((BASE_PORT + 4)) 127.0.0.1:$((BASE_PORT + 5)) 127.0.0.1:$((BASE_PORT + 6))"
}

# The three backends that the next proxy gets.
use_backends() {
    # shellcheck disable=SC2086 # three words
    set -- $1
    B1=$1 B2=$2 B3=$3
}

# A peer's config with what this run has decided.
fill_in() {
    user=$(id -un)
    [ "$(id -u)" -ne 0 ] || user=www-data
    sed -e "s/@LISTEN@/$1/" -e "s/@B1@/$B1/" -e "s/@B2@/$B2/" -e "s/@B3@/$B3/" \
        -e "s/@CORES@/$CORES/" -e "s/@THREADS@/$((2048 / CORES))/" \
        -e "s|@HOME@|$tmp|" -e "s|@DOCUMENTS@|$tmp/documents|" -e "s|@MODULES@|$APACHE_MODULES|" \
        -e "s/@USER@/$user/" -e "s/@GROUP@/$(id -gn "$user" 2>/dev/null || id -gn)/" \
        "$here/peers/$2" >"$3"
}

APACHE_MODULES=${APACHE_MODULES:-/usr/lib/apache2/modules}

start_backends() {
    mkdir "$tmp/documents"
    head -c 10240 /dev/zero >"$tmp/documents/10k"
    head -c 1048576 /dev/zero >"$tmp/documents/1m"
    use_backends "$GETS"
    for address in $GETS; do
        name=backend-${address##*:}
        if is_installed nginx; then
            fill_in "$address" nginx-backend.conf "$tmp/$name.conf"
            # In a folder of its own: it writes its pid and temporary files beside its config.
            mkdir "$tmp/$name"
            nginx -e stderr -p "$tmp/$name" -c "$tmp/$name.conf" 2>"$tmp/$name.log" &
        else
            "$target/release/examples/backend" "$address" 2>"$tmp/$name.log" &
        fi
        backend_pids="$backend_pids $!"
        await_ready $! "$address" "$name"
    done
    for address in $POSTS; do
        name=backend-${address##*:}
        "$target/release/examples/backend" "$address" 2>"$tmp/$name.log" &
        backend_pids="$backend_pids $!"
        await_ready $! "$address" "$name"
    done
}

# Builds what is not there: before the rounds, so that no load waits for a compiler. A peer that
# can't be built or is not installed is taken off the list, by its name.
prepare_proxies() {
    missing=
    for proxy in $PROXIES; do
        case $proxy in
        threadbare | tiny_http | bare) continue ;;
        nginx | haproxy | caddy) is_installed "$proxy" && continue ;;
        apache) is_installed apache2 && [ -d "$APACHE_MODULES" ] && continue ;;
        reverseproxy | simplelb) build_go "$proxy" && continue ;;
        pingora) build_pingora && continue ;;
        *) fail "PROXIES names $proxy, which is none of: $ALL_PROXIES" ;;
        esac
        missing="$missing $proxy"
    done
    for proxy in $missing; do
        PROXIES=$(echo " $PROXIES " | sed "s/ $proxy / /")
    done
}

build_go() {
    is_installed go && go build -o "$tmp/$1" "$here/peers/$1.go"
}

# A package of its own, which needs cmake. The first time it takes minutes.
build_pingora() {
    is_installed cargo || return 1
    cargo build --release --locked --manifest-path "$here/peers/pingora/Cargo.toml" \
        --target-dir "$target/pingora" >"$tmp/pingora.log" 2>&1 && return
    reason=$(grep -E '^error|not installed' "$tmp/pingora.log" | tail -n 1)
    echo "pingora can't be built: ${reason:-cargo failed}"
    return 1
}

# Starts one proxy in the background, at $PROXY before $B1, $B2 and $B3.
start_proxy() {
    log=$tmp/$1.log
    case $1 in
    threadbare | tiny_http)
        listener=gate
        [ "$1" = threadbare ] || listener=$1
        # shellcheck disable=SC2086 # OPTIONS are words
        (exec_proxy "$BINARY" --listener "$listener" --listen "$PROXY" --backend "http://$B1" \
            --backend "http://$B2" --backend "http://$B3" --log-level warn ${OPTIONS:-} 2>"$log") &
        ;;
    bare)
        (exec_proxy "$target/release/examples/bare" "$PROXY" "$B1" "$B2" "$B3" 2>"$log") &
        ;;
    nginx)
        fill_in "$PROXY" nginx.conf "$tmp/nginx.conf"
        mkdir -p "$tmp/nginx"
        (exec_proxy nginx -e stderr -p "$tmp/nginx" -c "$tmp/nginx.conf" 2>"$log") &
        ;;
    haproxy)
        fill_in "$PROXY" haproxy.cfg "$tmp/haproxy.cfg"
        (exec_proxy haproxy -db -f "$tmp/haproxy.cfg" >"$log" 2>&1) &
        ;;
    apache)
        fill_in "$PROXY" apache.conf "$tmp/apache.conf"
        (exec_proxy apache2 -D FOREGROUND -f "$tmp/apache.conf" >"$log" 2>&1) &
        ;;
    caddy)
        fill_in "$PROXY" caddy.json "$tmp/caddy.json"
        (
            export HOME="$tmp" XDG_DATA_HOME="$tmp" XDG_CONFIG_HOME="$tmp"
            exec_proxy caddy run --config "$tmp/caddy.json" >"$log" 2>&1
        ) &
        ;;
    pingora)
        (exec_proxy "$target/pingora/release/pingora-peer" "$PROXY" "$CORES" "$B1" "$B2" "$B3" \
            2>"$log") &
        ;;
    reverseproxy | simplelb)
        (exec_proxy "$tmp/$1" -listen "$PROXY" -backends "http://$B1,http://$B2,http://$B3" \
            2>"$log") &
        ;;
    esac
    proxy_pid=$!
    await_ready "$proxy_pid" "$PROXY" "$1"
}

stop_proxy() {
    stop "$proxy_pid"
    proxy_pid=
}

describe_peers() {
    for peer in "nginx -v" "haproxy -v" "apache2 -v" "caddy version" "go version" "wrk -v"; do
        is_installed "${peer%% *}" || continue
        echo "peer:    ${peer%% *}: $($peer 2>&1 | head -n 1)" # not every -v exits with 0
    done
    echo "peer:    $(sed -n 's/^pingora = .*"=\([0-9.]*\)".*/pingora: \1/p' \
        "$here/peers/pingora/Cargo.toml")"
}
