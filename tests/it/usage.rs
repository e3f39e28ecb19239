//! The command line: what is wrong, what is printed, and the exit codes.

use std::net::TcpListener;

use crate::harness::{Backend, Folder, HangingPort, level, run};

const GOOD: [&str; 2] = ["--backend", "http://127.0.0.1:8081"];

/// Arguments that are wrong, and what the message must name.
const BAD: [(&[&str], &[&str]); 50] = [
    (&["--workers", "0"], &["--workers", "0"]),
    (&["--workers", "-1"], &["--workers", "-1"]),
    (&["--workers", "many"], &["--workers", "many"]),
    (&["--workers", "1.5"], &["--workers", "1.5"]),
    (&["--workers", ""], &["--workers"]),
    (&["--workers"], &["--workers"]),
    (
        &["--workers", "99999999999999999999"],
        &["--workers", "99999999999999999999"],
    ),
    (&["--queue", "0"], &["--queue", "0"]),
    (&["--queue", "x"], &["--queue", "x"]),
    (&["--retries", "-1"], &["--retries", "-1"]),
    (&["--retries", "twice"], &["--retries", "twice"]),
    (
        &["--queue-timeout", "5"],
        &["--queue-timeout", "5", "500ms"],
    ),
    (&["--queue-timeout", "5 s"], &["--queue-timeout", "5 s"]),
    (&["--queue-timeout", "0s"], &["--queue-timeout", "0s"]),
    (
        &["--connect-timeout", "fast"],
        &["--connect-timeout", "fast"],
    ),
    (&["--connect-timeout", "-2s"], &["--connect-timeout", "-2s"]),
    (
        &["--response-timeout", "1.5s"],
        &["--response-timeout", "1.5s"],
    ),
    (
        &["--response-timeout", "60sec"],
        &["--response-timeout", "60sec"],
    ),
    (&["--idle-timeout", "s"], &["--idle-timeout", "s"]),
    (&["--health-interval", "10d"], &["--health-interval", "10d"]),
    (
        &["--health-timeout", "99999999999999999999h"],
        &["--health-timeout", "9999999h"],
    ),
    (&["--shutdown-timeout", "5S"], &["--shutdown-timeout", "5S"]),
    (&["--log-level", "loud"], &["--log-level", "loud", "debug"]),
    (
        &["--admin-token-file", "/etc/hostname"],
        &["--admin-token-file", "--admin too"],
    ),
    (&["--request-id", "on"], &["--request-id", "on", "keep"]),
    (&["--proxy-status", "a b"], &["--proxy-status", "a b"]),
    (
        &["--access-format", "{stauts}"],
        &["--access-format", "stauts", "status"],
    ),
    (&["--log-format", "xml"], &["--log-format", "xml", "json"]),
    (&["--listen", "nowhere"], &["--listen", "nowhere"]),
    (&["--listen", "127.0.0.1"], &["--listen", "127.0.0.1"]),
    (
        &["--listen", "127.0.0.1:99999"],
        &["--listen", "127.0.0.1:99999"],
    ),
    (
        &["--listen", "127.0.0.1:http"],
        &["--listen", "127.0.0.1:http"],
    ),
    (&["--listen", ":8080"], &["--listen", ":8080"]),
    (&["--listen", "::1:8080"], &["--listen", "::1:8080"]),
    (
        &["--backend", "127.0.0.1:80"],
        &["--backend", "127.0.0.1:80", "http://"],
    ),
    (
        &["--backend", "ftp://127.0.0.1"],
        &["--backend", "ftp://127.0.0.1", "http://"],
    ),
    (
        &["--backend", "https://127.0.0.1"],
        &["--backend", "https://127.0.0.1"],
    ),
    (&["--backend", "http://"], &["--backend", "http://"]),
    (&["--backend", "http://:80"], &["--backend", "http://:80"]),
    (
        &["--backend", "http://h:99999"],
        &["--backend", "http://h:99999"],
    ),
    (&["--backend", "http://h:x"], &["--backend", "http://h:x"]),
    (&["--backend", "http://h:0"], &["--backend", "http://h:0"]),
    (
        &["--backend", "http://user@h"],
        &["--backend", "http://user@h"],
    ),
    (&["--backend", "http://h/?q"], &["--backend", "http://h/?q"]),
    (&["--backend", "http://h/#f"], &["--backend", "http://h/#f"]),
    (&["--backend", "http://[::1"], &["--backend", "http://[::1"]),
    (&["--backend", "http://a b"], &["--backend", "http://a b"]),
    (
        &["--backend", "http://127.0.0.1:8081"],
        &["--backend", "127.0.0.1:8081", "twice"],
    ),
    (&["--wrokers", "3"], &["--wrokers"]),
    (&["demmo"], &["demmo", "demo"]),
];

#[test]
fn bad_usage_is_one_line_that_names_option_and_value() {
    // Goal: exit 2 and a single line from which a person can mend the command. Trick: a good
    // backend stands in each, so that only the row's own fault can be meant.
    for (args, names) in BAD {
        let run = run(&[&GOOD, args].concat());
        assert_eq!(run.code, Some(2), "{args:?}: {run:?}");
        assert_eq!(run.stderr.len(), 1, "{args:?}: {run:?}");
        assert_eq!(run.stdout, [""; 0], "{args:?}");
        for name in names {
            assert!(
                run.stderr[0].contains(name),
                "{args:?}: {name:?} is not in {run:?}"
            );
        }
    }
}

#[test]
fn a_backends_long_name_is_told_the_limit_and_echoed_once() {
    let name = "x".repeat(129);
    let run = run(&["--backend", &format!("http://127.0.0.1:8081,name={name}")]);
    assert_eq!((run.code, run.stderr.len()), (Some(2), 1), "{run:?}");
    let line = &run.stderr[0];
    assert!(
        line.contains("128 bytes") && !line.contains("blanks"),
        "{line}"
    );
    assert_eq!(line.matches(&name).count(), 1, "{line}");
}

#[test]
fn a_mistyped_command_is_told_all_that_there_are() {
    // Goal: the list has no word less than the program knows. Trick: the words are those that the
    // help names, and each has a help of its own.
    let error = run(&["tpo"]);
    assert_eq!((error.code, error.stderr.len()), (Some(2), 1), "{error:?}");
    let (_, list) = error.stderr[0]
        .split_once("the commands are ")
        .unwrap_or_else(|| panic!("it lists them: {error:?}"));
    let (list, _) = list.split_once(';').expect("what to do follows");
    let list = list.replace(" and ", ", ");
    let mut listed: Vec<&str> = list.split(", ").collect();
    listed.sort_unstable();
    let help = run(&["--help"]).stdout.join(" ");
    let mut named: Vec<&str> = help
        .split("`threadbare ")
        .skip(1)
        .filter_map(|rest| rest.split([' ', '`']).next())
        .collect();
    named.sort_unstable();
    assert_eq!(listed, named);
    for word in listed {
        let help = run(&[word, "--help"]);
        assert_eq!((help.code, help.stderr.len()), (Some(0), 0), "{help:?}");
    }
}

#[test]
fn no_backend_at_all_points_at_the_way_out() {
    // Goal: the first thing a new user does wrong is answered by what to do, with --check as
    // without.
    for args in [&[][..], &["--check"], &["--listen", "127.0.0.1:0"]] {
        let run = run(args);
        assert_eq!((run.code, run.stderr.len()), (Some(2), 1), "{run:?}");
        let line = &run.stderr[0];
        assert!(
            line.contains("--backend") && line.contains("demo"),
            "{line}"
        );
    }
}

#[test]
fn check_tells_what_would_run_and_runs_nothing() {
    // Goal: exit 0 and the effective options as TOML, those given and the defaults. Trick: the port
    // is taken, which would end a real start.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let listen = taken.local_addr().expect("it is bound").to_string();
    let run = run(&[
        "--check",
        "--listen",
        &listen,
        "--backend",
        "http://127.0.0.1:8081",
        "--backend",
        "http://[::1]:8082/base",
        "--workers",
        "7",
        "--queue-timeout",
        "1500ms",
    ]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.stderr, [""; 0]);
    let out = run.stdout.join("\n");
    for told in [
        &format!("listen = [\"{listen}\"]"),
        "url = \"http://127.0.0.1:8081\"",
        "url = \"http://[::1]:8082/base\"",
        "workers = 7",
        "queue_timeout = \"1500ms\"",
        "queue = 1024",
        "log_level = \"info\"",
    ] {
        assert!(out.contains(told), "{told} is not in {out}");
    }
}

#[test]
fn check_finds_what_is_wrong() {
    // Goal: the same verdict and the same line as a real start.
    let args = [&GOOD[..], &["--workers", "0"]].concat();
    let (real, checked) = (run(&args), run(&[&args, &["--check"][..]].concat()));
    assert_eq!(checked.code, Some(2));
    assert_eq!(checked.stderr, real.stderr);
}

#[test]
fn check_looks_at_the_files_that_a_start_opens() {
    // Goal: what a start would say of the token's file and of the access log, and its exit code;
    // each is named for what it is. A log that could be made is good, and is not made.
    let folder = Folder::new();
    let (missing, empty) = (folder.path("no token"), folder.write("empty", ""));
    let (token, log) = (folder.write("token", "s3cret"), folder.path("log"));
    let (nowhere, in_file) = (folder.path("no/log"), folder.path("token/log"));
    let at = folder.path("");
    let admin = ["--admin", "127.0.0.1:0", "--admin-token-file"];
    let bad: [(&str, &str, &str); 5] = [
        (&missing, "admin token file", "no such file or directory"),
        (&empty, "admin token file", "the token is empty"),
        (&nowhere, "access log", "no such file or directory"),
        (&in_file, "access log", "not a directory"),
        (&at, "access log", "is a directory"),
    ];
    for (path, what, why) in bad {
        let options = match what {
            "access log" => vec!["--access-log", path],
            _ => [&admin[..], &[path]].concat(),
        };
        let args = [&GOOD[..], &["--listen", "127.0.0.1:0"], &options].concat();
        let wanted = format!("{what} {path}: {why}");
        let checked = run(&[&args, &["--check"][..]].concat());
        assert_eq!(
            (checked.code, checked.stdout.len()),
            (Some(2), 0),
            "{checked:?}"
        );
        assert_eq!(checked.stderr.len(), 1, "{checked:?}");
        assert!(
            checked.stderr[0].ends_with(&wanted),
            "{wanted}: {checked:?}"
        );
        let started = run(&args);
        assert_eq!(started.code, Some(2), "{started:?}");
        let last = started.stderr.last().expect("it says why");
        assert!(last.ends_with(&wanted), "{wanted}: {last}");
    }
    let args = [
        &GOOD[..],
        &admin,
        &[&token, "--access-log", &log, "--check"],
    ]
    .concat();
    let good = run(&args);
    assert_eq!((good.code, good.stderr.len()), (Some(0), 0), "{good:?}");
    assert!(!std::path::Path::new(&log).exists(), "it is not made");
}

#[test]
fn version_is_one_line_with_the_crates_version() {
    // Goal: `--version` needs nothing else on the command line.
    let run = run(&["--version"]);
    assert_eq!(run.code, Some(0));
    assert_eq!(
        run.stdout,
        [concat!("threadbare ", env!("CARGO_PKG_VERSION"))]
    );
    assert_eq!(run.stderr, [""; 0]);
}

#[test]
fn help_lists_every_option_with_its_default() {
    // Goal: the one place where the defaults stand. Trick: the text between an option and the next
    // one is searched.
    let run = run(&["--help"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.stderr, [""; 0]);
    let help = run.stdout.join("\n");
    let one_line = run
        .stdout
        .join(" ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let (_, options) = one_line
        .split_once("Options: ")
        .expect("options have a heading");
    let entries: Vec<String> = options
        .split(" --")
        .map(|entry| format!("--{}", entry.trim_start_matches('-')))
        .collect();
    for (option, default) in [
        ("--listen", "0.0.0.0:8080"),
        ("--backend", "http://"),
        ("--workers", "64"),
        ("--queue", "1024"),
        ("--queue-timeout", "5s"),
        ("--retries", "1"),
        ("--connect-timeout", "2s"),
        ("--response-timeout", "60s"),
        ("--idle-timeout", "30s"),
        ("--health-interval", "10s"),
        ("--health-timeout", "2s"),
        ("--shutdown-timeout", "5s"),
        ("--log-level", "info"),
        ("--log-format", "text"),
        ("--check", ""),
        ("--version", ""),
    ] {
        // A long name stands on a line of its own, and text is wrapped at the terminal's width.
        let entry = entries
            .iter()
            .find(|entry| entry.split_whitespace().next() == Some(option))
            .unwrap_or_else(|| panic!("{option} has no entry in {help}"));
        assert!(entry.contains(default), "{default} is not in {entry}");
    }
    assert!(help.contains("demo"), "{help}");
}

#[test]
fn a_port_in_use_is_a_failure_at_run_time() {
    // Goal: exit 1 with the address and the reason; a supervisor may try again.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let listen = taken.local_addr().expect("it is bound").to_string();
    let run = run(&[&GOOD[..], &["--listen", &listen]].concat());
    assert_eq!(run.code, Some(1), "{run:?}");
    let log = run.stderr.join("\n");
    assert!(
        log.contains(&listen) && log.to_lowercase().contains("in use"),
        "{log}"
    );
}

#[test]
fn an_address_of_another_machine_is_a_failure_at_run_time() {
    // Goal: exit 1 with the address and the reason. Trick: 192.0.2.0/24 is nobody's (RFC 5737).
    let run = run(&[&GOOD[..], &["--listen", "192.0.2.1:8080"]].concat());
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.join("\n").contains("192.0.2.1:8080"), "{run:?}");
}

#[test]
fn every_level_of_the_log_is_an_option() {
    // Goal: off is silent, info tells of the start, debug tells more than info. Trick: a run that
    // ends by itself, as its port is taken, after the log was set up.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let listen = taken.local_addr().expect("it is bound").to_string();
    for level in ["off", "error", "warn", "info", "debug", "trace"] {
        let run = run(&[&GOOD[..], &["--listen", &listen, "--log-level", level]].concat());
        assert_eq!(run.code, Some(1), "{run:?}");
        assert_eq!(run.stderr.is_empty(), level == "off", "{level}: {run:?}");
    }
}

#[test]
fn log_lines_carry_time_level_and_thread() {
    // Goal: `2026-11-22T17:00:00.123Z INFO [thread] text` on every line.
    let backend = Backend::answering("ok");
    let gone = HangingPort::take();
    let options = ["--health-interval", "50ms", "--health-timeout", "50ms"];
    let threadbare = crate::harness::Threadbare::before(&[backend.addr, gone.addr], &options);
    threadbare.await_line(" is down: ");
    threadbare.stop();
    let lines = threadbare.log.items();
    assert!(lines.len() >= 4, "{lines:#?}");
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let shape: String = words[0]
            .chars()
            .map(|c| if c.is_ascii_digit() { '9' } else { c })
            .collect();
        assert_eq!(shape, "9999-99-99T99:99:99.999Z", "{line}");
        assert!(["ERROR", "WARN", "INFO"].contains(&level(&line)), "{line}");
        // The log's crate brackets what it likes; the words and their order are ours.
        let thread = words[2].trim_matches(['[', ']', '(', ')']);
        assert!((1..=15).contains(&thread.len()), "{line}");
        assert!(words.len() > 3, "{line}");
    }
}

#[test]
fn what_there_is_one_of_is_told_as_one() {
    // Goal: no "1 backends", from the first line of the log to the last.
    let backend = Backend::answering("ok");
    let threadbare = crate::harness::Threadbare::before(&[backend.addr], &["--workers", "1"]);
    assert_eq!(threadbare.get("/").status, 200);
    threadbare.stop();
    threadbare.await_line(": 1 worker, 1 backend, ");
    threadbare.await_line("; 1 exchange, 0 tunnels, ");
}

#[test]
fn a_log_in_json_is_an_object_a_line() {
    // Goal: the same log for programs, from the first line to the last, with the thread's name; an
    // error of the start is in it as well. Trick: a debug line has what the client chose.
    let backend = Backend::answering("ok");
    let options = ["--log-format", "json", "--log-level", "debug"];
    let threadbare = crate::harness::Threadbare::before(&[backend.addr], &options);
    assert_eq!(threadbare.get("/a\"b").status, 200);
    threadbare.stop();
    let lines: Vec<serde_json::Value> = threadbare.log.items().iter().map(|l| record(l)).collect();
    let find = |part: &str| {
        let is_it = |line: &&serde_json::Value| {
            let message = line["message"].as_str();
            message.is_some_and(|message| message.contains(part))
        };
        lines
            .iter()
            .find(is_it)
            .unwrap_or_else(|| panic!("{part}: {lines:#?}"))
    };
    assert_eq!(find("listening on ")["thread"], "main");
    let exchange = find("/a\\\"b");
    assert_eq!(exchange["level"], "DEBUG");
    let thread = exchange["thread"].as_str().unwrap_or_default();
    assert!(thread.starts_with("worker-"), "{exchange}");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let listen = taken.local_addr().expect("it is bound").to_string();
    let run = run(&[&GOOD[..], &["--listen", &listen], &options].concat());
    let last = record(run.stderr.last().expect("it says why"));
    assert_eq!((run.code, &last["level"]), (Some(1), &"ERROR".into()));
}

#[test]
fn no_message_can_forge_a_line_of_the_log() {
    // Goal: a record is one line in both formats. Trick: the name of a file that is not there has a
    // line of its own in it, and what clears a terminal.
    let forged = "2026-11-22T18:20:01.123Z [INFO] (main) all is well";
    let file = format!("/nonexistent\n{forged}\x1b[2J");
    for format in ["text", "json"] {
        let args = ["--admin", "127.0.0.1:0", "--admin-token-file", &file];
        let listen = ["--listen", "127.0.0.1:0", "--log-format", format];
        let run = run(&[&GOOD[..], &args, &listen].concat());
        let all_is_well: Vec<&String> = run
            .stderr
            .iter()
            .filter(|l| l.contains("all is well"))
            .collect();
        let [line] = all_is_well[..] else {
            panic!("{format}: {run:?}")
        };
        assert!(line.contains("/nonexistent\\"), "{format}: {line}");
        assert!(!line.contains(char::is_control), "{format}: {line}");
    }
}

#[track_caller]
fn record(line: &str) -> serde_json::Value {
    let value: serde_json::Value =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let keys: Vec<&String> = value.as_object().expect("an object").keys().collect();
    assert_eq!(keys.len(), 4, "{line}");
    for key in ["time", "level", "thread", "message"] {
        assert!(value[key].is_string(), "{key}: {line}");
    }
    value
}
