//! `ctl` as typed and as printed.

mod client;
mod sockets;

use super::*;

use std::time::Duration;

use crate::admin::json::{ForcedState, Status};

use super::order::{Action, Change};
use super::table::{harmless, lasted, table};

fn order(words: &str, admin: Option<&str>) -> Result<Order, String> {
    let words: Vec<&str> = words.split_whitespace().collect();
    match read(CTL, &words, admin)? {
        Asked::Perform(order) => Ok(order),
        Asked::Print(text) => panic!("{words:?} only prints: {text}"),
    }
}

#[test]
fn words_become_an_action() {
    let names = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
    let change = |change, of: &[&str]| Action::Change(change, names(of));
    let cases = [
        ("status", Action::Status { as_json: false }),
        ("--json status", Action::Status { as_json: true }),
        ("drain web1 web2", change(Change::Drain, &["web1", "web2"])),
        ("enable http://a:80/b/", change(Change::Enable, &["a:80/b"])),
        (
            "remove 127.0.0.1:80",
            change(Change::Remove, &["127.0.0.1:80"]),
        ),
        ("weight a b 3", change(Change::Weigh(3), &["a", "b"])),
        ("up a", change(Change::Force(ForcedState::Up), &["a"])),
        ("down a", change(Change::Force(ForcedState::Down), &["a"])),
        ("auto a", change(Change::Force(ForcedState::Auto), &["a"])),
        ("reload", Action::Reload),
        ("shutdown", Action::Shutdown),
    ];
    for (words, wanted) in cases {
        assert_eq!(order(words, None).expect(words).action, wanted, "{words}");
    }
    let text =
        "add http://a,name=web1,weight=2,backup,max_connections=9,slow_start=30s http://b:81";
    let Action::Add(specs) = order(text, None).expect("good words").action else {
        panic!("it adds");
    };
    assert_eq!((specs[0].name.as_str(), specs[0].weight), ("web1", 2));
    assert_eq!(
        (specs[0].is_backup, specs[0].max_connections),
        (true, Some(9))
    );
    assert_eq!(specs[0].slow_start, Some(Duration::from_secs(30)));
    assert_eq!((specs[1].name.as_str(), specs.len()), ("b:81", 2));
}

#[test]
fn the_address_is_the_option_or_the_variable_or_the_default() {
    let at = |words, variable| order(words, variable).map(|order| order.at.to_string());
    let cases = [
        ("status", None, "127.0.0.1:9901"),
        ("status", Some("unix:/run/a"), "unix:/run/a"),
        ("--admin [::1]:1 status", Some("unix:/run/a"), "[::1]:1"),
        ("status --admin lb.example:1", None, "lb.example:1"),
    ];
    for (words, variable, wanted) in cases {
        assert_eq!(at(words, variable), Ok(wanted.to_owned()), "{words}");
    }
    let error = at("status", Some("nowhere")).expect_err("no address");
    assert!(error.contains("THREADBARE_ADMIN=nowhere") && error.contains("IP:PORT"));
}

#[test]
fn a_line_that_makes_no_sense_is_told_in_one_line() {
    let cases = [
        ("", "verb"),
        ("dance", "want status, why, add"),
        ("why 1 2", "about one request"),
        ("drain", "drain which backend?"),
        ("add", "add which URL?"),
        ("add web1", "want http://"),
        ("add http://a,wieght=2", "want name=NAME"),
        ("add http://a,weight=x", "want name=NAME"),
        ("add http://a,weight=257", "from 1 to 256"),
        ("weight web1", "want weight BACKEND N"),
        ("weight 3", "weight which backend?"),
        ("weight web1 0", "from 1 to 256"),
        ("status web1", "about all pools"),
        ("--json reload", "--json goes with status"),
        ("--timeout 5 drain a", "want a duration"),
        ("--admin systemd status", "IP:PORT"),
        ("--token-file /no/such/file status", "/no/such/file"),
        ("--wrong status", "--wrong"),
    ];
    for (words, says) in cases {
        let error = order(words, None).expect_err(words);
        assert!(error.contains(says), "{words}: {error}");
        assert!(
            !error.contains('\n') && error.ends_with("see threadbare ctl --help"),
            "{error}"
        );
    }
    let help = |command| match read(command, &["--help"], None) {
        Ok(Asked::Print(text)) => text,
        other => panic!("{command} --help prints: {other:?}"),
    };
    assert!(help(CTL).contains("--pool"));
    // Of `why` it is its own.
    let why = help(WHY);
    assert!(
        why.starts_with("Usage: threadbare why [--admin <admin>]"),
        "{why}"
    );
    assert!(!why.contains("verb") && !why.contains("--pool"), "{why}");
    let error = read(WHY, &["1", "2"], None).expect_err("one request");
    assert!(error.ends_with("see threadbare why --help"), "{error}");
}

#[test]
fn the_status_is_an_aligned_table() {
    let status = r#"{"version":"1.2.3","pid":42,"uptime_seconds":3725.5,"new_key":1,"pools":[
        {"name":"default","policy":"round-robin","in_flight":5,"requests":9,"backends":[
          {"name":"web:8081","url":"http://web:8081","address":"127.0.0.1:8081",
           "state":"up","since_seconds":3.25,"cause":"it is","mode":"enabled",
           "forced":null,"weight":1,"backup":false,"max_connections":null,"in_flight":2,
           "requests":120,"failures":0},
          {"name":"b","url":"http://b","address":null,"state":"down","since_seconds":90000.0,
           "cause":"a\u001b[1m","mode":"drained","forced":"down","weight":256,
           "backup":true,"max_connections":10,"in_flight":3,"requests":7,"failures":7}]},
        {"name":"empty","policy":"ip-hash","in_flight":0,"requests":0,"backends":[]}]}"#;
    let status: Status = serde_json::from_str(status).expect("a good status");
    let wanted = "\
threadbare 1.2.3, PID 42, up for 1h 2m

pool default: round-robin, 5 in flight
  BACKEND   STATE                         WEIGHT  IN FLIGHT  REQUESTS  FAILURES  SINCE  CAUSE
  web:8081  up                                 1          2       120         0   3.2s  it is
  b         forced down, drained, backup     256    3 of 10         7         7  1d 1h  a?[1m

pool empty: ip-hash, 0 in flight
  BACKEND  STATE  WEIGHT  IN FLIGHT  REQUESTS  FAILURES  SINCE  CAUSE
";
    assert_eq!(table(&status), wanted);
    let sly = "a\u{9b}1m\u{202e}b\u{200b}\n";
    assert_eq!(harmless(sly), "a?1m?b??");
    assert_eq!(
        (lasted(59.9), lasted(61.0)),
        ("59.9s".to_owned(), "1m 1s".to_owned())
    );
}
