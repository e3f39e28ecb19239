//! Files that are right, and what they mean; and tables of files that are wrong, with every line
//! that is said of them.

mod options;
mod routes;

use std::time::Duration;

use super::*;
use crate::exchange::route::Action::{Forward, RedirectToHttps};
use crate::pool::{HashKey, Policy, ProbeKind, Statuses, WhenAllDown};

/// Reads a text as the file `t.toml`, in an environment of three variables.
pub fn read_text(text: &str) -> Result<Config, Vec<String>> {
    let variable = |name: &str| {
        let variables = [("N", "7"), ("WORD", "ip-hash"), ("EMPTY", "")];
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let mut config = Config::default();
    let (mut given, mut faults) = (Given::default(), Faults::new("t.toml"));
    read(
        text.as_bytes(),
        &variable,
        &mut config,
        &mut given,
        &mut faults,
    );
    config.validate(&given, &mut faults);
    match faults.into_lines() {
        lines if lines.is_empty() => Ok(config),
        lines => Err(lines),
    }
}

/// The lines that are said, without the file's name.
#[track_caller]
fn faults(text: &str) -> Vec<String> {
    let lines = read_text(text).expect_err(text);
    let line = |line: &String| {
        assert!(!line.contains('\n'), "{line:?} is one line");
        let rest = line.strip_prefix("t.toml:").expect("it names the file");
        rest.to_owned()
    };
    lines.iter().map(line).collect()
}

const POOL: &str = "\n[pool.web]\nbackends = [\"http://a\"]\n";

#[test]
fn faults_of_the_syntax_hide_what_follows_from_them_and_nothing_else() {
    let value = "no value, or a text without quotes; want a value, as in key = \"text\"";
    let cases: [(&str, &[&str]); 6] = [
        ("a = ", &[&format!("1: {value}")]),
        (
            "workers = 0\nqueue = many\n[pool.web]\nrise = 0",
            &[
                "1: workers is 0; want a whole number from 1 to 4096",
                &format!("2: {value}"),
                "4: rise is 0; want a whole number from 1 to 1000",
            ],
        ),
        (
            "listen = [\"0.0.0.0:1\"\nworkers = 0\n[pool.web]\nrise = 0\n",
            &["2: an array that does not go on or end; want , or ]"],
        ),
        (
            "[pool.web]\n[pool.web]\nrise = 1\nrise = 2",
            &[
                "2: web is there already; give each key and table once",
                "4: rise is there already; give each key and table once",
            ],
        ),
        (
            "workers = \"7\n[pool.web]",
            &[
                "1: invalid basic string; want `\"`",
                "2: pool web has no backend; want backends = [\"http://HOST:PORT\"]",
            ],
        ),
        ("[[pool.web\n", &["1: unclosed array table; want `]]`"]),
    ];
    for (text, wanted) in cases {
        assert_eq!(faults(text), wanted, "{text}");
    }
    let mut faults = Faults::new("t.toml");
    let mut config = Config::default();
    let bytes = b"workers = 3\n# \xff\n";
    read(
        bytes,
        &|_| None,
        &mut config,
        &mut Given::default(),
        &mut faults,
    );
    let wanted = ["t.toml:2: bytes that are not UTF-8; want UTF-8"];
    assert_eq!(faults.into_lines(), wanted);
}

const GOOD: &str = r#"
workers = "${N}" # ${NOT} a value
listen = "127.0.0.1:${PORT:-8081}"
min_rate = 0
[pool.web]
policy = "${WORD}"
hash_max_load = "125%"
health_path = "/up"
health_expect = [204, "2xx"]
when_all_down = "try"
health_interval = "500ms"
eject_time = "2m"
retry_on = ["reset", 503]
backends = ["http://a", "http://b,name=b,weight=2"]
[[pool.web.backend]]
url = "http://c:8080/base,x"
max_connections = "${N}"
backup = true
slow_start = "0"
[[route]]
host = "*.example.org"
path = "/api"
pool = "web"
strip_prefix = true
set_fields = { "X-B" = "$${N}", "X-A" = "${N}" }
remove_fields = ["Cookie"]
[[route]]
redirect = "https:8443"
"#;

#[test]
fn a_good_file_says_what_it_means() {
    let config = read_text(GOOD).expect("a good file");
    assert_eq!((config.n_workers, config.min_rate), (7, None));
    assert_eq!(config.listen[0].to_string(), "127.0.0.1:8081");
    let pool = &config.pools[0];
    let hash = Policy::Hash {
        key: HashKey::ClientAddress,
        max_load_percent: Some(125),
    };
    assert_eq!(pool.settings.policy, hash);
    let ProbeKind::Http(http) = &pool.settings.probe.kind else {
        panic!("a path implies http")
    };
    let expected = Statuses(vec![(204, 204), (200, 299)]);
    assert_eq!((http.path.as_str(), &http.expect), ("/up", &expected));
    assert_eq!(pool.settings.when_all_down, WhenAllDown::Try);
    // What bounds another time follows it.
    assert_eq!(
        pool.settings.probe.fast_interval,
        Duration::from_millis(500)
    );
    assert_eq!(
        pool.settings.passive.max_eject_time,
        Duration::from_secs(120)
    );
    assert!(pool.settings.retry.on.statuses.has(503) && !pool.settings.retry.on.timeout);
    let names: Vec<&str> = pool.backends.iter().map(|b| b.name.as_str()).collect();
    assert_eq!(names, ["a:80", "b", "c:8080/base,x"]);
    let [.., last] = pool.backends.as_slice() else {
        panic!("there are backends")
    };
    assert_eq!((last.max_connections, last.is_backup), (Some(7), true));
    assert_eq!(last.slow_start, Some(Duration::ZERO));
    let Forward {
        prefix,
        request_fields,
        ..
    } = &config.routes[0].action
    else {
        panic!("it goes to a pool")
    };
    assert_eq!(*prefix, Prefix::Replace("/".to_owned()));
    let set = [("X-B", "${N}"), ("X-A", "7")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    assert_eq!(request_fields.set, set);
    assert_eq!(request_fields.remove, ["Cookie"]);
    assert_eq!(config.routes[1].action, RedirectToHttps { port: 8443 });
}

#[test]
fn one_pool_needs_no_route() {
    let config = read_text(POOL).expect("a good file");
    assert_eq!(config.routes, [route_to(&config.pools[0])]);
    assert_eq!(
        config.pools[0].settings,
        crate::pool::PoolSettings::default()
    );
    assert_eq!(config.n_workers, Config::default().n_workers);
}

#[test]
fn a_file_that_is_cut_or_lacks_a_byte_is_told_of_and_never_a_panic() {
    // Goal: whatever toml makes of half a file, each fault has its line. Trick: a good one, cut
    // behind each byte, and with each byte missing or made a bracket.
    let mut n_bad = 0;
    for at in 0..GOOD.len() {
        let (before, after) = (&GOOD[..at], &GOOD[at + 1..]);
        for text in [
            before,
            &format!("{before}{after}"),
            &format!("{before}[{after}"),
        ] {
            let lines = read_text(text).err().unwrap_or_default();
            n_bad += usize::from(!lines.is_empty());
            for line in &lines {
                assert!(line.starts_with("t.toml:"), "{line} of {text}");
            }
        }
    }
    assert!(n_bad > GOOD.len(), "most of them are bad");
}
