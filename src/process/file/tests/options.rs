//! Options of the process and of pools that are wrong, and every line that is said of them.

use super::{POOL, faults};

const LISTEN: &str =
    "want IP:PORT, [IPv6]:PORT, NAME:PORT, unix:PATH or systemd, as in 0.0.0.0:8080";
const KINDS: &str = "want connect, reset, timeout, bad-answer or statuses, as in 503 or 5xx";

/// What stands there, and what is said of it.
const OF_PROCESS: &[(&str, &str)] = &[
    (
        "workers = 0",
        "workers is 0; want a whole number from 1 to 4096",
    ),
    (
        "workers = 0x2000",
        "workers is 8192; want a whole number from 1 to 4096",
    ),
    (
        "workers = -1",
        "workers is -1; want a whole number from 1 to 4096",
    ),
    (
        "workers = 1.5",
        "workers is 1.5; want a whole number from 1 to 4096",
    ),
    (
        "workers = true",
        "workers is true; want a whole number from 1 to 4096",
    ),
    (
        "workers = [1]",
        "workers is [1]; want a whole number from 1 to 4096",
    ),
    (
        "workers = {a = 1}",
        "workers is a table; want a whole number from 1 to 4096",
    ),
    (
        "workers = \"many\"",
        "workers is \"many\"; want a whole number from 1 to 4096",
    ),
    (
        "workers = \"${N}0000\"",
        "workers is \"70000\"; want a whole number from 1 to 4096",
    ),
    (
        "workers = \"${NONE}\"",
        "the variable NONE is not set; want it set, or ${NONE:-default}",
    ),
    (
        "queue_timeout = 5",
        "queue_timeout is 5; want a duration from 1ms to 24h, as in 500ms, 10s or 2m",
    ),
    (
        "max_target = \"1\"",
        "max_target is \"1\"; want a size from 64 to 1MiB",
    ),
    (
        "backend_share = 50",
        "backend_share is 50; want a share from 1% to 100%",
    ),
    ("log_level = 3", "log_level is 3; want a string"),
    (
        "listener = \"x\"",
        "listener is \"x\"; want gate or tiny_http",
    ),
    ("accept_proxy = 1", "accept_proxy is 1; want true or false"),
    ("listen = []", "listen is []; {LISTEN}"),
    ("listen = [\"x\"]", "listen has \"x\"; {LISTEN}"),
    ("listen = \"x\"", "listen is \"x\"; {LISTEN}"),
    (
        "admin = \"localhost:1\"",
        "admin is \"localhost:1\"; want IP:PORT, [IPv6]:PORT, unix:PATH or systemd:NAME, as in \
             127.0.0.1:9901",
    ),
    (
        "admin = \"[::]:1\"",
        "admin [::]:1 can be reached from other machines; want admin_token_file too, or \
             127.0.0.1 or unix:PATH",
    ),
    (
        "admin_token_file = \"/a\"",
        "admin_token_file does nothing alone; want admin too, as in 127.0.0.1:9901",
    ),
    ("state_file = \"\"", "state_file is \"\"; want a path"),
    ("wrokers = 3", "unknown key wrokers; want workers"),
    (
        "queue-timeout = \"5s\"",
        "unknown key queue-timeout; want queue_timeout",
    ),
    ("pools = 3", "unknown key pools; want pool"),
    (
        "xyzzy = 3",
        "unknown key xyzzy; want an option, [pool.NAME] or [[route]]",
    ),
    (
        "retries = 3",
        "retries is an option of a pool; want it in [pool.NAME]",
    ),
    (
        "backends = []",
        "backends is an option of a pool; want it in [pool.NAME]",
    ),
    ("route = 3", "route is 3; want [[route]] for each"),
    (
        "check = true",
        "unknown key check; want an option, [pool.NAME] or [[route]]",
    ),
];

/// What stands there, and what is said of it.
const OF_POOL: &[(&str, &str)] = &[
    ("rise = 0", "rise is 0; want a whole number from 1 to 1000"),
    ("sticky = 5", "sticky is 5; want a string"),
    (
        "sticky = \"a b\"",
        "sticky is \"a b\"; want the name of a cookie, as in SRV",
    ),
    (
        "sticky_secure = true",
        "sticky_secure does nothing alone; want sticky too, as in SRV",
    ),
    (
        "failure_rate = \"0%\"",
        "failure_rate is \"0%\"; want a share from 1% to 100%",
    ),
    (
        "hash_max_load = \"125%\"",
        "hash_max_load does not go with policy = \"round-robin\"; want ip-hash, uri-hash, \
             header-hash:NAME or cookie-hash:NAME",
    ),
    (
        "health_text = \"ok\"",
        "health_text does not go with health = \"tcp\"; want health = \"http\"",
    ),
    (
        "health_interval = \"9s\"\nhealth_fast_interval = \"10s\"",
        "health_fast_interval is longer than health_interval; want at most 9s",
    ),
    (
        "max_eject_time = \"1s\"",
        "max_eject_time is shorter than eject_time; want at least 2s",
    ),
    (
        "slow_start = 5",
        "slow_start is 5; want a duration from 1ms to 24h, as in 500ms, 10s or \
         2m, or 0 for at once",
    ),
    ("retry_on = [\"rest\"]", "retry_on has \"rest\"; {KINDS}"),
    ("fail_on = [600]", "fail_on has 600; {KINDS}"),
    ("fail_on = true", "fail_on is true; {KINDS}"),
    (
        "retry_methods = [\"POST\"]",
        "retry_methods has \"POST\"; want methods that may be sent twice: GET, HEAD, OPTIONS, \
             TRACE, PUT or DELETE",
    ),
    (
        "retry_methods = []",
        "retry_methods is []; want methods that may be sent twice: GET, HEAD, OPTIONS, TRACE, PUT \
             or DELETE",
    ),
    (
        "when_all_down = 502",
        "when_all_down is 502; want 503 or try",
    ),
    ("polcy = \"ip-hash\"", "unknown key polcy; want policy"),
    (
        "workers = 3",
        "workers is no option of a pool; want it before the first [table]",
    ),
    (
        "backend = \"http://b\"",
        "backend is \"http://b\"; want [[pool.NAME.backend]], or backends = [...]",
    ),
    (
        "[[pool.web.backend]]\nname = \"x\"",
        "a backend without url; want url = \"http://HOST:PORT\"",
    ),
    (
        "[[pool.web.backend]]\nurl = \"http://b\"\nweight = 2",
        "weight 2 of backend http://b:80 does not go with policy = \"round-robin\"; want \
             weighted-round-robin, or another policy that knows weights",
    ),
    (
        "[[pool.web.backend]]\nurl = \"http://A:80/\"",
        "backend http://a:80 is given twice, first in line 3; give each one once",
    ),
    (
        "[[pool.web.backend]]\nurl = \"http://b\"\nname = \"a:80\"",
        "backend name a:80 is given twice, first in line 3; give each one its own",
    ),
    (
        "[pool.\"a b\"]",
        "pool \"a b\" has a bad name; want a name of letters, digits, - and _, \
             as in [pool.web]",
    ),
];

#[test]
fn what_is_wrong_with_an_option_of_the_process_is_told_as_for_its_flag() {
    for (text, wanted) in OF_PROCESS {
        let wanted = wanted.replace("{LISTEN}", LISTEN);
        assert_eq!(faults(&format!("\n{text}{POOL}")), [format!("2: {wanted}")]);
    }
    let needs = "tiny_http listens on one HOST:PORT, and knows no PROXY header";
    let text = "listener = \"tiny_http\"\naccept_proxy = true\nlisten = [\"unix:/a\"]";
    assert_eq!(
        faults(&format!("{text}{POOL}")),
        [
            format!("2: accept_proxy needs listener = \"gate\": {needs}"),
            format!("3: listen unix:/a needs listener = \"gate\": {needs}"),
        ]
    );
}

#[test]
fn what_is_wrong_with_a_pool_is_told_with_its_line() {
    for (text, wanted) in OF_POOL {
        let text = format!("{POOL}{text}");
        let lines = faults(&text);
        let (_, line) = lines[0].split_once(": ").expect("a number comes first");
        assert_eq!(line, wanted.replace("{KINDS}", KINDS), "{text}");
    }
}
