//! What is written can be read, and means the same: for every option, and for configurations at
//! random.

mod made;

use proptest::prelude::*;
use proptest::test_runner::{Config as Runs, TestError, TestRunner};

use self::made::{edits, pool};
use super::*;
use crate::process::args::{Asked, read};
use crate::process::file::read_text;
use crate::process::setting::Kind;

/// A value for each option, that is not its default; none for switches, which have one only.
const VALUES: &[(&str, &str)] = &[
    ("listen", "127.0.0.1:1"),
    ("listener", "tiny_http"),
    ("trust", "10.0.0.0/8"),
    ("workers", "7"),
    ("queue", "7"),
    ("queue-timeout", "7ms"),
    ("max-connections", "7"),
    ("max-connections-per-client", "7"),
    ("max-requests", "7"),
    ("max-target", "7KiB"),
    ("max-fields", "7"),
    ("max-fields-size", "7KiB"),
    ("max-content", "7MiB"),
    ("header-timeout", "7m"),
    ("keep-alive-timeout", "7h"),
    ("min-rate", "7KiB"),
    ("connect-timeout", "7s"),
    ("response-timeout", "7s"),
    ("idle-timeout", "7s"),
    ("tunnel-idle-timeout", "0"),
    ("long-haul", "0"),
    ("long-haul-after", "7s"),
    ("backend-share", "100%"),
    ("resolve-interval", "7s"),
    ("shutdown-timeout", "7s"),
    ("admin", "unix:/run/${a}"),
    ("admin-token-file", "/a \"b\""),
    ("state-file", "s\\s"),
    ("drain-dir", "d"),
    ("request-id", "keep"),
    ("proxy-status", "lb"),
    ("access-log", "/a"),
    ("access-format", "{client} {{x}} \"{request}\" ${status}"),
    ("log-level", "debug"),
    ("log-format", "json"),
    ("policy", "header-hash:X-User"),
    ("hash-max-load", "101%"),
    ("sticky", "SRV"),
    ("sticky-secret", "${}\"\\\n\u{7f}é"),
    ("sticky-max-age", "720h"),
    ("health", "off"),
    ("health-path", "/up?a=b"),
    ("health-host", "a.b:80"),
    ("health-expect", "204,3xx"),
    ("health-text", "ok"),
    ("health-drain-field", "X-Drain"),
    ("health-interval", "7s"),
    ("health-fast-interval", "7ms"),
    ("health-timeout", "7s"),
    ("rise", "7"),
    ("fall", "7"),
    ("max-failures", "0"),
    ("failure-window", "7s"),
    ("failure-rate", "7%"),
    ("failure-rate-min", "7"),
    ("eject-time", "7s"),
    ("max-eject-time", "7s"),
    ("max-ejected", "0%"),
    ("fail-on", "connect,5xx,500-503"),
    ("when-all-down", "try"),
    ("slow-start", "7s"),
    ("retries", "0"),
    ("retry-on", "timeout,503"),
    ("retry-methods", "GET,PUT"),
    ("retry-budget", "0%"),
    ("retry-budget-min", "7"),
];

fn config(words: &[&str]) -> Config {
    match read(&[&["--backend", "http://a"], words].concat()) {
        Ok(Asked::Run(config)) => *config,
        other => panic!("{words:?} was not taken: {other:?}"),
    }
}

#[test]
fn every_flag_sets_its_option_and_no_other_and_is_told() {
    // Goal: no row of the tables has another's flag, place or text. Trick: all values differ from
    // the defaults, and what is told of a flag's option is all that changes.
    let needs = |name: &str| match name {
        "hash-max-load" => &["--policy", "ip-hash"][..],
        "admin-token-file" => &["--admin", "127.0.0.1:1"],
        _ if name.starts_with("sticky-") => &["--sticky", "S"],
        _ if name.starts_with("health-") => &["--health", "http"],
        _ => &[],
    };
    let process = PROCESS_SETTINGS.iter().map(|s| (s.name, is_switch(s)));
    let pool = POOL_SETTINGS.iter().map(|s| (s.name, is_switch(s)));
    for (name, is_switch) in process.chain(pool) {
        let flag = format!("--{name}");
        let value = VALUES.iter().find(|(known, _)| *known == name);
        let typed = match value {
            Some((_, value)) => vec![flag.as_str(), value],
            None => vec![flag.as_str()],
        };
        assert_eq!(value.is_none(), is_switch, "{name} has a value to try");
        let before = config(needs(name)).describe();
        let after = config(&[needs(name), &typed].concat());
        let text = after.describe();
        let new: Vec<&str> = text
            .lines()
            .filter(|l| !before.lines().any(|b| b == *l))
            .collect();
        assert_eq!(new.len(), 1, "{name}: {new:?}");
        let key = new[0].split(" = ").next();
        assert_eq!(key, Some(key_of(name).as_str()));
        assert_eq!(read_text(&text), Ok(after), "{text}");
    }
}

fn is_switch<D, C>(setting: &Setting<D, C>) -> bool {
    matches!(setting.kind, Kind::Switch { .. })
}

#[test]
fn no_option_takes_an_empty_text() {
    // Goal: what is wanted can be asked for by an empty text, and `--queue ""` is an error.
    for (name, _) in VALUES {
        let flag = format!("--{name}");
        let faults = read(&["--backend", "http://a", &flag, ""]).expect_err(name);
        assert!(faults[0].contains(&flag), "{name}: {faults:?}");
    }
}

#[test]
fn the_readme_has_a_row_for_every_option() {
    let readme = include_str!("../../../../README.md");
    for (name, is_pool) in PROCESS_SETTINGS
        .iter()
        .map(|s| (s.name, false))
        .chain(POOL_SETTINGS.iter().map(|s| (s.name, true)))
    {
        assert!(
            readme.contains(&format!("| `--{name}`")),
            "--{name} {is_pool}"
        );
    }
}

#[test]
fn what_is_described_is_read_back_as_the_same() {
    let route = (
        edits(),
        edits(),
        prop::option::of(prop::sample::select(vec!["/", "/v2"])),
    );
    let made = (pool(1), pool(0), route);
    let runs = Runs {
        failure_persistence: None,
        cases: 200,
        ..Runs::default()
    };
    let ran = TestRunner::new(runs).run(&made, |(one, other, (request, response, prefix))| {
        let route = |host: Option<&str>, action| RouteSpec {
            host: host.map(str::to_owned),
            path: "/a".to_owned(),
            action,
        };
        let forward = |pool: &PoolSpec| Action::Forward {
            pool: pool.name.clone(),
            prefix: prefix.map_or(Prefix::Keep, |path| Prefix::Replace(path.to_owned())),
            request_fields: request.clone(),
            response_fields: response.clone(),
        };
        let routes = vec![
            route(Some("*.b"), forward(&one)),
            route(None, forward(&other)),
            route(Some("c"), Action::RedirectToHttps { port: 443 }),
            route(Some("d"), Action::RedirectToHttps { port: 444 }),
        ];
        let config = Config {
            pools: vec![one, other],
            routes,
            ..Config::default()
        };
        let text = config.describe();
        prop_assert_eq!(read_text(&text), Ok(config), "{}", text);
        Ok(())
    });
    match ran {
        Ok(()) => {}
        Err(TestError::Fail(why, case)) => panic!("{why}\nfor {case:#?}"),
        Err(TestError::Abort(why)) => panic!("given up: {why}"),
    }
}
