//! `threadbare ctl` as a process: what it prints, what it changes, and its exit codes.

use std::process::Stdio;

use crate::harness::{Admin, Backend, Folder, Gate, Run, Threadbare, command, run_command};

const FAST: &[&str] = &[
    "--health-interval",
    "100ms",
    "--health-fast-interval",
    "50ms",
    "--policy",
    "weighted-round-robin",
];

/// Where the API is unless an option says.
const ADMIN: &str = "THREADBARE_ADMIN";

/// Runs ctl with the API in the environment.
#[track_caller]
fn ctl_at(at: &str, words: &[&str]) -> Run {
    let mut command = command(&[&["ctl"], words].concat());
    command.env(ADMIN, at);
    run_command(command)
}

#[track_caller]
fn ctl(admin: &Admin, words: &[&str]) -> Run {
    ctl_at(&admin.at.to_string(), words)
}

/// Exit code, standard output and standard error as one line each.
fn told(run: &Run) -> (Option<i32>, String, String) {
    (run.code, run.stdout.join("\n"), run.stderr.join("\n"))
}

#[track_caller]
fn assert_done(run: &Run, wanted: &str) {
    assert_eq!(told(run), (Some(0), wanted.to_owned(), String::new()));
}

#[track_caller]
fn assert_failed(run: &Run, code: i32, parts: &[&str]) {
    let line = run.stderr.join("\n");
    assert_eq!(run.code, Some(code), "{run:?}");
    assert!(line.starts_with("threadbare ctl: "), "{run:?}");
    for part in parts {
        assert!(line.contains(part), "{part}: {run:?}");
    }
}

#[test]
fn status_is_a_table_of_all_backends() {
    // Goal: a head line, the pool, the titles, and a row for each backend with its numbers; JSON
    // by --json. Trick: columns are found by their titles.
    let (a, b) = (Backend::answering("a"), Backend::answering("b"));
    let admin = Admin::before(&[a.addr, b.addr], FAST);
    admin.change(b.addr, "drain", "");
    for _ in 0..3 {
        assert_eq!(admin.threadbare.get("/").status, 200);
    }
    let run = ctl(&admin, &["status"]);
    assert_eq!((run.code, run.stderr.len()), (Some(0), 0), "{run:?}");
    let lines = &run.stdout;
    let begins = format!(
        "threadbare {}, PID {}, up for ",
        env!("CARGO_PKG_VERSION"),
        admin.threadbare.pid()
    );
    assert!(lines[0].starts_with(&begins), "{run:?}");
    assert_eq!(lines[2], "pool default: weighted-round-robin, 0 in flight");
    let titles: Vec<&str> = lines[3].split_whitespace().collect();
    assert_eq!(titles[..3], ["BACKEND", "STATE", "WEIGHT"]);
    let column = |title: &str, row: &str| {
        let end = lines[3].find(title).expect("it has this column") + title.len();
        row[..end]
            .split_whitespace()
            .last()
            .unwrap_or_default()
            .to_owned()
    };
    assert!(
        lines[4].trim_start().starts_with(&a.addr.to_string()),
        "{run:?}"
    );
    assert_eq!(column("REQUESTS", &lines[4]), "3", "{run:?}");
    assert_eq!(column("FAILURES", &lines[4]), "0", "{run:?}");
    assert!(lines[5].contains("drained"), "{run:?}");
    assert_eq!(lines.len(), 6, "{run:?}");

    let run = ctl(&admin, &["--json", "status"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let status: serde_json::Value = serde_json::from_str(&run.stdout.join("\n")).expect("JSON");
    assert_eq!(status["pools"][0]["backends"][1]["mode"], "drained");
}

#[test]
fn a_backend_is_added_weighed_drained_enabled_and_removed() {
    // Goal: each verb says what it did, and the second time that it was so; the balancer agrees.
    // Trick: told by name, by HOST:PORT and by URL.
    let (a, b) = (Backend::answering("a"), Backend::answering("b"));
    let admin = Admin::before(&[a.addr], FAST);
    let url = format!("{},name=web2,weight=2", b.url());
    assert_done(&ctl(&admin, &["add", &url]), "web2: added");
    assert_done(&ctl(&admin, &["add", &url]), "web2: added, as before");
    admin.threadbare.await_line("backend web2 is up");
    assert_eq!(admin.backend("web2")["weight"], 2);
    let addr = b.addr.to_string();
    assert_done(
        &ctl(&admin, &["weight", &addr, "5"]),
        &format!("{addr}: weight 5"),
    );
    assert_done(
        &ctl(&admin, &["weight", "web2", "5"]),
        "web2: weight 5, as before",
    );
    assert_eq!(admin.backend("web2")["weight"], 5);
    let drained = "drained, nothing is in flight";
    assert_done(
        &ctl(&admin, &["drain", "web2"]),
        &format!("web2: {drained}"),
    );
    assert_eq!(admin.backend("web2")["mode"], "drained");
    assert_done(&ctl(&admin, &["enable", "web2"]), "web2: enabled");
    assert_done(
        &ctl(&admin, &["enable", "web2"]),
        "web2: enabled, as before",
    );
    assert_done(&ctl(&admin, &["down", "web2"]), "web2: forced down");
    assert_done(&ctl(&admin, &["up", "web2"]), "web2: forced up");
    assert_eq!(admin.backend("web2")["forced"], "up");
    assert_done(&ctl(&admin, &["auto", "web2"]), "web2: as its probes say");
    let all = ctl(&admin, &["drain", "web2", &a.url()]);
    assert_done(&all, &format!("web2: {drained}\n{}: {drained}", a.addr));
    assert_eq!(admin.threadbare.get("/").status, 503);
    assert_done(
        &ctl(&admin, &["enable", &a.url()]),
        &format!("{}: enabled", a.addr),
    );
    assert_done(&ctl(&admin, &["remove", "web2"]), "web2: removed");
    assert_done(&ctl(&admin, &["remove", "web2"]), "web2: was not there");
    assert_eq!(admin.threadbare.get("/").text(), "a");
    admin.threadbare.stop();
}

#[test]
fn a_drain_waits_and_names_who_it_waited_for() {
    // Goal: exit 1 at the timeout, with the thread and the request; 0 with 0s, and once it is over.
    // Trick: a wait long enough for a look whether the client is still there, twice.
    let gate = Gate::closed();
    let a = Backend::holding("a", &gate);
    let admin = Admin::before(&[a.addr], &[]);
    let mut held = admin.threadbare.client();
    held.send("GET /slow HTTP/1.1\r\nHost: front.test\r\n\r\n");
    a.await_requests(1);
    let name = a.addr.to_string();
    let run = ctl(&admin, &["--timeout", "600ms", "drain", &name]);
    assert_failed(
        &run,
        1,
        &[
            &name,
            "1 still in flight after 600ms; it gets no new requests: worker-",
            "GET /slow",
            "127.0.0.1",
        ],
    );
    let run = ctl(&admin, &["--timeout", "0s", "drain", &name]);
    assert_done(&run, &format!("{name}: drained, 1 still in flight"));
    let command = {
        let mut command = command(&["ctl", "--timeout", "1h", "drain", &name]);
        command.env(ADMIN, admin.at.to_string());
        command
    };
    let waiting = Threadbare::spawn(command);
    // The third order of a drain that reached it.
    admin.threadbare.await_lines("/drain by 127.0.0.1", 2);
    gate.open();
    assert_eq!(waiting.exit_code(), Some(0), "{:?}", waiting.log.items());
    assert_eq!(
        waiting.out.items(),
        [format!("{name}: drained, nothing is in flight")]
    );
    assert_eq!(held.answer().text(), "a");
    admin.threadbare.stop();
}

#[test]
fn reload_tells_the_changes_or_every_error() {
    let (a, b) = (Backend::answering("a"), Backend::answering("b"));
    let folder = Folder::new();
    let text = |backend: &Backend| format!("[pool.web]\nbackends = \"{}\"\n", backend.url());
    let file = folder.write("t.toml", &text(&a));
    let admin = Admin::with_file(&file);
    assert_done(&ctl(&admin, &["reload"]), "nothing has changed");
    folder.write("t.toml", &text(&b));
    assert_done(
        &ctl(&admin, &["reload"]),
        &format!("+ {}\n- {}", b.addr, a.addr),
    );
    folder.write("t.toml", "workers = 0\nwrokers = 1\n");
    let run = ctl(&admin, &["reload"]);
    assert_failed(
        &run,
        1,
        &["nothing has changed", "t.toml:1: ", "t.toml:2: "],
    );
    assert!(run.stderr.len() >= 3, "a line each: {run:?}");
    admin.threadbare.stop();
}

#[test]
fn shutdown_stops_gracefully() {
    let a = Backend::answering("a");
    let admin = Admin::before(&[a.addr], &[]);
    assert_done(&ctl(&admin, &["shutdown"]), "it is shutting down");
    assert_eq!(admin.threadbare.exit_code(), Some(0));
    admin.threadbare.await_line("stopping: an operator");
    let run = ctl(&admin, &["status"]);
    assert_failed(&run, 1, &["cannot reach", &admin.at.to_string(), "refused"]);
}

#[test]
fn several_pools_need_a_choice_only_where_there_is_one() {
    // Goal: a backend that only one pool has needs no --pool; one that two have does, and so does
    // an add.
    let (a, b) = (Backend::answering("a"), Backend::answering("b"));
    let folder = Folder::new();
    let (a_url, b_url) = (a.url(), b.url());
    let file = folder.write(
        "t.toml",
        &format!(
            "[pool.web]\nbackends = [\"{a_url},name=one\", \"{b_url},name=both\"]\n\
             [pool.api]\nbackends = \"{b_url},name=both\"\n\
             [[route]]\npool = \"web\"\n[[route]]\npath = \"/api\"\npool = \"api\"\n"
        ),
    );
    let admin = Admin::with_file(&file);
    assert_done(&ctl(&admin, &["down", "one"]), "one: forced down");
    assert_failed(
        &ctl(&admin, &["down", "both"]),
        1,
        &["both: ", "--pool", "web, api"],
    );
    assert_done(
        &ctl(&admin, &["--pool", "api", "down", "both"]),
        "both: forced down",
    );
    assert_eq!(admin.see("/pools/api/backends/both")["forced"], "down");
    assert!(admin.see("/pools/web/backends/both")["forced"].is_null());
    let run = ctl(&admin, &["drain", "nope"]);
    assert_eq!(
        told(&run),
        (
            Some(1),
            String::new(),
            "threadbare ctl: nope: no pool has a backend nope".to_owned()
        )
    );
    assert_failed(
        &ctl(&admin, &["add", "http://127.0.0.1:1"]),
        1,
        &["--pool", "web, api"],
    );
    let added = ctl(&admin, &["--pool", "api", "add", "http://127.0.0.1:1"]);
    assert_done(&added, "127.0.0.1:1: added");
    assert_failed(
        &ctl(&admin, &["--pool", "x", "down", "one"]),
        1,
        &["no pool x", "web, api"],
    );
    admin.threadbare.stop();
}

#[test]
fn one_that_fails_ends_nothing_else() {
    // Goal: exit 1, a line on each stream, and the second backend is changed.
    let a = Backend::answering("a");
    let admin = Admin::before(&[a.addr], FAST);
    let run = ctl(&admin, &["down", "nobody", &a.addr.to_string()]);
    assert_failed(&run, 1, &["nobody: pool default has no backend nobody"]);
    assert_eq!(run.stdout, [format!("{}: forced down", a.addr)]);
    let run = ctl(&admin, &["add", &format!("{},name=x", a.url())]);
    assert_failed(&run, 1, &["is there already, as"]);
}

#[test]
fn a_token_and_a_unix_socket_are_what_it_knows_too() {
    let (a, folder) = (Backend::answering("a"), Folder::new());
    let token = folder.write("token", "abc");
    let wrong = folder.write("wrong", "abd");
    let at = format!("unix:{}", folder.path("admin.sock"));
    let options = ["--admin", &at, "--admin-token-file", &token];
    let threadbare = Threadbare::before(&[a.addr], &options);
    threadbare.await_line("admin API on unix:");
    assert_failed(&ctl_at(&at, &["status"]), 1, &["a token is needed"]);
    let run = ctl_at(&at, &["--token-file", &wrong, "status"]);
    assert_failed(&run, 1, &["not the token"]);
    assert_eq!(
        ctl_at(&at, &["--token-file", &token, "status"]).code,
        Some(0)
    );
    // An option goes before the variable.
    let run = ctl_at(
        "127.0.0.1:1",
        &["--admin", &at, "--token-file", &token, "status"],
    );
    assert_eq!(run.code, Some(0), "{run:?}");
    let missing = folder.path("missing");
    let run = ctl_at(&at, &["--token-file", &missing, "status"]);
    assert_failed(&run, 2, &["missing", "no such file"]);
    threadbare.stop();
    assert_failed(&ctl_at(&at, &["status"]), 1, &["cannot reach unix:"]);
}

#[test]
fn what_makes_no_sense_is_exit_2_and_nothing_is_asked() {
    // Goal: usage before anything else. Trick: nobody is where it would ask.
    let at = "127.0.0.1:1";
    for (words, part) in [
        (&["frobnicate"][..], "frobnicate"),
        (&["drain"], "drain which backend?"),
        (&["add"], "add which URL?"),
        (&["add", "ftp://x"], "ftp://x"),
        (&["add", "http://x,weight=0"], "weight 0"),
        (&["add", "http://x,size=3"], "size=3"),
        (&["weight", "web1"], "weight"),
        (&["weight", "web1", "many"], "many"),
        (&["weight", "web1", "257"], "257"),
        (&["status", "web1"], "web1"),
        (&["--json", "reload"], "--json"),
        (&["--timeout", "soon", "drain", "x"], "soon"),
        (&["--admin", "nowhere", "status"], "nowhere"),
        (&["--nonsense", "status"], "--nonsense"),
        (&[], "ctl"),
    ] {
        assert_failed(&ctl_at(at, words), 2, &[part]);
    }
    assert_failed(&ctl_at("nonsense", &["status"]), 2, &[ADMIN, "nonsense"]);
    let help = ctl_at(at, &["--help"]);
    assert_eq!((help.code, help.stderr.len()), (Some(0), 0), "{help:?}");
    assert!(
        help.stdout
            .iter()
            .any(|line| line.contains("threadbare ctl")),
        "{help:?}"
    );
    assert_failed(&ctl_at(at, &["status"]), 1, &["cannot reach 127.0.0.1:1"]);
}

#[test]
fn what_is_no_threadbare_and_a_reader_that_went_away_are_no_panic() {
    // Goal: one line and exit 1 for a server of another kind; no panic when nobody reads.
    let other = Backend::replying(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".to_vec());
    let at = other.addr.to_string();
    assert_failed(&ctl_at(&at, &["status"]), 1, &["no threadbare"]);
    let ssh = Backend::start(|mut conn| {
        conn.send("SSH-2.0-x\r\n")?;
        conn.end();
        Ok(())
    });
    assert_failed(
        &ctl_at(&ssh.addr.to_string(), &["status"]),
        1,
        &["no threadbare"],
    );

    let a = Backend::answering("a");
    let admin = Admin::before(&[a.addr], &[]);
    let (reader, writer) = std::io::pipe().expect("a pipe is granted");
    drop(reader);
    let mut command = command(&["ctl", "status"]);
    command.env(ADMIN, admin.at.to_string());
    command
        .stdout(writer)
        .stderr(Stdio::piped())
        .stdin(Stdio::null());
    let output = command.output().expect("it can be run");
    assert!(output.status.code().is_some(), "{output:?}");
    assert_eq!(output.stderr, b"");
}
