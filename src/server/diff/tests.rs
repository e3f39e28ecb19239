//! Every option of the process, told or not, applied or not.

use super::*;
use crate::process::args::{self, Asked};
use crate::server::meant::running;

const STAYS: &str = ": needs a restart; the old one stays";

/// Another value for every option of the process.
const OTHERS: &[&str] = &[
    "--listen",
    "127.0.0.1:1",
    "--accept-proxy",
    "--trust",
    "10.0.0.1",
    "--workers",
    "3",
    "--queue",
    "3",
    "--queue-timeout",
    "3s",
    "--max-connections",
    "3",
    "--max-connections-per-client",
    "3",
    "--max-requests",
    "3",
    "--max-target",
    "3KiB",
    "--max-fields",
    "3",
    "--max-fields-size",
    "3KiB",
    "--max-content",
    "3KiB",
    "--header-timeout",
    "3s",
    "--keep-alive-timeout",
    "3s",
    "--min-rate",
    "3",
    "--connect-timeout",
    "3s",
    "--response-timeout",
    "3s",
    "--idle-timeout",
    "3s",
    "--tunnel-idle-timeout",
    "3s",
    "--long-haul",
    "3",
    "--long-haul-after",
    "3s",
    "--backend-share",
    "3%",
    "--resolve-interval",
    "3s",
    "--shutdown-timeout",
    "3s",
    "--admin",
    "127.0.0.1:3",
    "--admin-token-file",
    "/3",
    "--state-file",
    "/3",
    "--drain-dir",
    "/3",
    "--request-id",
    "keep",
    "--proxy-status",
    "lb",
    "--access-log",
    "-",
    "--access-format",
    "json",
    "--log-level",
    "warn",
    "--log-format",
    "json",
];

/// What is applied at once.
const APPLIED: &[&str] = &[
    "trust",
    "connect_timeout",
    "response_timeout",
    "tunnel_idle_timeout",
    "backend_share",
    "resolve_interval",
    "shutdown_timeout",
    "request_id",
    "log_level",
];

fn config(words: &[&str]) -> Config {
    let backend = ["--backend", "http://127.0.0.1:8081"];
    match args::read(&[&backend, words].concat()) {
        Ok(Asked::Run(config)) => *config,
        other => panic!("{words:?} is good: {other:?}"),
    }
}

fn key(line: &str) -> &str {
    let words = line.strip_prefix("~ ").expect("it is a change");
    words.split(' ').next().unwrap_or_default()
}

#[test]
fn each_option_is_applied_or_needs_a_restart() {
    // Goal: what the log says and what runs are the same. Trick: every option has another value;
    // what would run after a reload is compared with both.
    let (before, after) = (config(&[]), config(OTHERS));
    let runs = running(after.clone(), &before);
    let applied = settings(&before, &runs);
    let keys: Vec<&str> = applied.iter().map(|line| key(line)).collect();
    assert_eq!(keys, APPLIED);
    assert!(
        !applied.iter().any(|line| line.ends_with(STAYS)),
        "{applied:#?}"
    );
    let left = settings(&runs, &after);
    assert!(left.iter().all(|line| line.ends_with(STAYS)), "{left:#?}");
    let mut keys: Vec<&str> = left
        .iter()
        .map(|line| key(line))
        .chain(["listener"])
        .collect();
    keys.sort_unstable();
    let mut wanted = NEED_RESTART.to_vec();
    wanted.sort_unstable();
    assert_eq!(
        keys, wanted,
        "each of them, and the listener, which does not go with the others"
    );
    let tiny = config(&["--listener", "tiny_http"]);
    assert_eq!(running(tiny.clone(), &before).listener, before.listener);
    let wanted = format!("~ listener \"gate\" → \"tiny_http\"{STAYS}");
    assert_eq!(settings(&before, &tiny), [wanted]);
}

#[test]
fn a_value_that_comes_or_goes_is_told() {
    let line = |from: &[&str], to: &[&str]| settings(&config(from), &config(to));
    let sticky = ["--sticky", "SRV"];
    let come = line(&[], &sticky);
    assert_eq!(come[0], "~ default.sticky none → \"SRV\"", "{come:#?}");
    let gone = line(&sticky, &[]);
    assert_eq!(gone[0], "~ default.sticky \"SRV\" → none", "{gone:#?}");
    let state = ["--state-file", "/a = b"];
    assert_eq!(
        line(&state, &[]),
        [format!("~ state_file \"/a = b\" → none{STAYS}")]
    );
    assert_eq!(line(&state, &state), [""; 0]);
}

#[test]
fn a_secret_is_never_told() {
    let with = |secret| config(&["--sticky", "SRV", "--sticky-secret", secret]);
    let (one, other) = (with("hush hush hush 1"), with("hush hush hush 2"));
    let none = config(&["--sticky", "SRV"]);
    let wanted = ["~ default.sticky_secret is another"];
    assert_eq!(settings(&one, &other), wanted);
    assert_eq!(settings(&none, &other), wanted);
    assert_eq!(settings(&one, &none), wanted);
    assert_eq!(settings(&one, &one.clone()), [""; 0]);
}

#[test]
fn pools_in_one_of_them_only_are_told_elsewhere() {
    // Goal: options of a pool that comes or goes are no changes.
    let before = config(&["--retries", "2"]);
    let mut after = config(&["--retries", "3"]);
    after.pools[0].name = "web".to_owned();
    assert_eq!(settings(&before, &after), [""; 0]);
    after.pools.extend(before.pools.clone());
    assert_eq!(settings(&before, &after), [""; 0]);
    after.pools[1].settings.retry.retries = 4;
    assert_eq!(settings(&before, &after), ["~ default.retries 2 → 4"]);
}

#[test]
fn routes_are_told_by_where_they_lead() {
    let all = RouteSpec::all_to("web");
    let api = RouteSpec {
        host: Some("a.test".to_owned()),
        path: "/api".to_owned(),
        ..RouteSpec::all_to("api")
    };
    let https = RouteSpec {
        action: Action::RedirectToHttps { port: 443 },
        ..all.clone()
    };
    let other_port = RouteSpec {
        action: Action::RedirectToHttps { port: 8443 },
        ..all.clone()
    };
    let (one, two) = ([all.clone()], [api.clone(), all.clone()]);
    assert_eq!(routes(&one, &two), ["+ route a.test/api to api"]);
    assert_eq!(routes(&two, &one), ["- route a.test/api to api"]);
    assert_eq!(
        routes(&two, &[all, api]),
        [""; 0],
        "their order does not count"
    );
    let https = [https];
    assert_eq!(
        routes(&one, &https),
        ["- route / to web", "+ route / to https"]
    );
    assert_eq!(routes(&https, &[other_port]), ["~ route / to https"]);
}
