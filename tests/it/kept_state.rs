//! What outlives a restart (`--state-file`), and what a folder drains (`--drain-dir`).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Admin, Backend, DEADLINE, Folder, Threadbare};

const FAST: &[&str] = &[
    "--health-interval",
    "100ms",
    "--health-fast-interval",
    "50ms",
    "--policy",
    "weighted-round-robin",
];

/// One probe at the start, which alone brings nobody up.
const RARE: &[&str] = &["--health-interval", "1h", "--health-fast-interval", "1h"];

/// A balancer that keeps its state in this folder.
#[track_caller]
fn keeping(backends: &[&Backend], folder: &Folder, options: &[&str]) -> Admin {
    let addrs: Vec<_> = backends.iter().map(|backend| backend.addr).collect();
    let path = folder.path("state");
    Admin::before(&addrs, &[options, &["--state-file", &path]].concat())
}

/// The state file as the format has it, so many seconds old.
fn sheet(age_secs: i64, pools: &Value) -> String {
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("it is past 1970");
    let now_ms = i64::try_from(now.as_millis()).expect("it is long before the end of time");
    json!({ "format": 1, "written_at_ms": now_ms - age_secs * 1000, "pools": pools }).to_string()
}

/// The state of one backend, and nothing else.
fn only(backend: &Backend, state: &Value) -> Value {
    json!({ "default": { backend.addr.to_string(): state } })
}

#[test]
fn drains_weights_and_forced_states_hold_after_a_restart() {
    // Goal: the drained and the forced-down backend get not one request from the first on, and the
    // weight is what it was. Trick: everything is asked of the second process alone.
    let backends: Vec<Backend> = (0..4).map(|_| Backend::answering("x")).collect();
    let [a, b, c, d] = [&backends[0], &backends[1], &backends[2], &backends[3]];
    let folder = Folder::new();
    let first = keeping(&[a, b, c, d], &folder, FAST);
    first.change(a.addr, "drain", "");
    first.change(b.addr, "state", r#"{"state":"down"}"#);
    first.change(c.addr, "weight", r#"{"weight":3}"#);
    first.threadbare.stop();

    let second = keeping(&[a, b, c, d], &folder, FAST);
    second.threadbare.await_line("state file ");
    for _ in 0..8 {
        assert_eq!(second.threadbare.get("/").status, 200);
    }
    let counts: Vec<usize> = backends.iter().map(|backend| backend.seen.len()).collect();
    assert_eq!(counts, [0, 0, 6, 2]);
    assert_eq!(second.backend(a.addr)["mode"], "drained");
    assert_eq!(second.backend(b.addr)["forced"], "down");
    assert_eq!(second.backend(c.addr)["weight"], 3);
    second.change(a.addr, "enable", "");
    second.threadbare.stop();

    let third = keeping(&[a, b, c, d], &folder, FAST);
    assert_eq!(
        third.backend(a.addr)["mode"],
        "enabled",
        "an enable is kept too"
    );
    third.threadbare.stop();
}

#[test]
fn it_is_written_while_it_runs_so_that_a_kill_loses_little() {
    // Goal: a few seconds after a drain the file has it. Trick: SIGKILL once it is there.
    let (a, b) = (Backend::answering("a"), Backend::answering("b"));
    let folder = Folder::new();
    let first = keeping(&[&a, &b], &folder, FAST);
    first.change(a.addr, "drain", "");
    let begun = Instant::now();
    while !fs::read_to_string(folder.path("state")).is_ok_and(|text| text.contains("drained")) {
        assert!(begun.elapsed() < DEADLINE, "the drain is not written");
        // The balancer's own answer is what paces this.
        first.see("/status");
    }
    first.threadbare.signal(Signal::KILL);
    assert_eq!(first.threadbare.exit_code(), None);
    let second = keeping(&[&a, &b], &folder, FAST);
    for _ in 0..4 {
        assert_eq!(second.threadbare.get("/").text(), "b");
    }
    second.threadbare.stop();
}

#[test]
fn a_backend_that_was_down_is_down_from_the_first_request_on() {
    // Goal: no first client finds out what was known; and it comes up by itself when a probe finds
    // it well. Trick: one probe, which is not enough, in the second process; as many as it
    // takes in the third.
    let (a, b) = (Backend::answering("a"), Backend::answering("b"));
    let folder = Folder::new();
    folder.write(
        "state",
        &sheet(1, &only(&a, &json!({ "health": "down-by-probes" }))),
    );
    let second = keeping(&[&a, &b], &folder, RARE);
    assert_eq!(second.backend(a.addr)["state"], "down");
    for _ in 0..6 {
        assert_eq!(second.threadbare.get("/").text(), "b");
    }
    assert_eq!(a.seen.len(), 0);
    second.threadbare.stop();
    let third = keeping(&[&a, &b], &folder, FAST);
    third.threadbare.await_line(&a.is("up"));
    for _ in 0..4 {
        assert_eq!(third.threadbare.get("/").status, 200);
    }
    assert_eq!(a.seen.len(), 2);
    third.threadbare.stop();
}

#[test]
fn the_health_of_a_real_run_is_kept() {
    // Goal: what the first process found, the second knows. Trick: the backend refuses all along.
    let (a, b) = (Backend::refusing(|_| Ok(())), Backend::answering("b"));
    let folder = Folder::new();
    let first = keeping(&[&a, &b], &folder, FAST);
    first.threadbare.await_line(&a.is("down"));
    first.threadbare.stop();
    let second = keeping(&[&a, &b], &folder, RARE);
    let told = second.backend(a.addr);
    assert_eq!(told["state"], "down", "{told}");
    assert_eq!(told["cause"], "as it was before the restart");
    assert_eq!(second.threadbare.get("/").text(), "b");
    assert_eq!(second.backend(a.addr)["requests"], 0, "nobody tried it");
    second.threadbare.stop();
}

#[test]
fn of_an_old_file_the_health_is_not_believed_and_the_drain_is() {
    // Goal: after ten minutes, and from the future, a down backend is tried, a drained one not.
    for (age_secs, line) in [(600, "too old to believe"), (-600, "from the future")] {
        let (a, b) = (Backend::answering("a"), Backend::answering("b"));
        let folder = Folder::new();
        let pools = json!({ "default": {
            a.addr.to_string(): { "health": "down-by-probes" },
            b.addr.to_string(): { "health": "up", "drained": true },
        } });
        folder.write("state", &sheet(age_secs, &pools));
        let admin = keeping(&[&a, &b], &folder, RARE);
        admin.threadbare.await_line(line);
        assert_ne!(admin.backend(a.addr)["state"], "down");
        assert_eq!(admin.backend(b.addr)["mode"], "drained");
        for _ in 0..3 {
            assert_eq!(admin.threadbare.get("/").text(), "a");
        }
        admin.threadbare.stop();
    }
}

#[test]
fn a_file_that_cannot_be_used_is_warned_of_and_ignored() {
    // Goal: torn, foreign, of another format, empty, or a folder: one warning that says why, and a
    // start as if there were none. No file at all is nothing to warn of.
    let a = Backend::answering("a");
    let good = sheet(1, &only(&a, &json!({ "drained": true })));
    for (text, why) in [
        (&good[..good.len() / 2], "EOF"),
        ("", "EOF"),
        ("{\"format\":2}", "its format is 2"),
        ("PNG\u{1}", "expected"),
        (
            "{\"format\":1,\"written_at_ms\":1,\"pools\":{},\"x\":1}",
            "unknown field",
        ),
    ] {
        let folder = Folder::new();
        folder.write("state", text);
        let admin = keeping(&[&a], &folder, FAST);
        let line = admin.threadbare.await_line("it is ignored");
        assert!(
            line.contains("[WARN]") && line.contains(why),
            "{why}: {line}"
        );
        assert_eq!(admin.threadbare.get("/").status, 200);
        admin.threadbare.stop();
        // It has been replaced by one that can be used.
        let state: Value = serde_json::from_str(&folder.read("state")).expect("JSON");
        assert_eq!(state["format"], 1, "{state}");
    }
    let folder = Folder::new();
    let admin = keeping(&[&a], &folder, FAST);
    assert_eq!(admin.threadbare.get("/").status, 200);
    admin.threadbare.stop();
    assert!(
        admin.threadbare.lines("WARN").is_empty(),
        "{:?}",
        admin.threadbare.log.items()
    );
}

#[test]
fn one_that_cannot_be_written_is_warned_of_and_harms_nobody() {
    // Goal: the process starts, serves and stops with 0; the warning comes once, and not every two
    // seconds. Trick: a folder in the file's place, and a folder that is not there.
    let a = Backend::answering("a");
    for path in ["state/is/nowhere", "folder"] {
        let folder = Folder::new();
        fs::create_dir(folder.path("folder")).expect("it is ours");
        let path = folder.path(path);
        let options = ["--state-file", &path];
        let admin = Admin::before(&[a.addr], &options);
        let warning = &format!("the state file {path} can't be written: ");
        admin.threadbare.await_line(warning);
        assert_eq!(admin.threadbare.get("/").status, 200);
        let begun = Instant::now();
        while begun.elapsed() < DEADLINE / 5 {
            admin.see("/status");
        }
        admin.threadbare.stop();
        // And once more at the end, which is another matter.
        let n = admin.threadbare.lines(warning).len();
        assert!((1..=2).contains(&n), "{:?}", admin.threadbare.log.items());
    }
}

#[test]
fn a_file_in_the_drain_dir_drains_and_its_end_enables() {
    // Goal: touch and rm, each within about a second; also at the start, before the first request.
    // Trick: a name with a slash is written with %2F; a name of nobody, a hidden file and a folder
    // are passed over.
    let (a, b) = (Backend::answering("a"), Backend::answering("b"));
    let folder = Folder::new();
    fs::create_dir(folder.path("drain")).expect("it is ours");
    fs::create_dir(folder.path("drain/folder")).expect("it is ours");
    let (at_a, at_b) = (
        format!("drain/{}", a.addr),
        format!("drain/{}%2Fapp", b.addr),
    );
    for name in [&at_a, "drain/nobody", "drain/.hidden"] {
        folder.write(name, "");
    }
    let (url_a, url_b) = (a.url(), format!("{}/app", b.url()));
    let dir = folder.path("drain");
    let args = [
        "--backend",
        &url_a,
        "--backend",
        &url_b,
        "--drain-dir",
        &dir,
        "--admin",
        "127.0.0.1:0",
    ];
    let admin = Admin::of(Threadbare::start(&args));
    for _ in 0..4 {
        assert_eq!(admin.threadbare.get("/").text(), "b");
    }
    assert_eq!(admin.backend(a.addr)["mode"], "drained");
    let begun = Instant::now();
    folder.remove(&at_a);
    admin.threadbare.await_line(&format!(
        "backend {} is enabled by the drain directory",
        a.addr
    ));
    folder.write(&at_b, "");
    let line = format!("backend {}/app is drained by the drain directory", b.addr);
    admin.threadbare.await_line(&line);
    assert!(begun.elapsed() < DEADLINE / 2, "{:?}", begun.elapsed());
    for _ in 0..4 {
        assert_eq!(admin.threadbare.get("/").text(), "a");
    }
    // What an operator drains a file does not enable.
    admin.change(a.addr, "drain", "");
    folder.write(&at_a, "");
    let line = format!("backend {} is drained by the drain directory", a.addr);
    admin.threadbare.await_lines(&line, 2);
    folder.remove(&at_a);
    let line = format!("backend {} is enabled by the drain directory", a.addr);
    admin.threadbare.await_lines(&line, 2);
    assert_eq!(admin.backend(a.addr)["mode"], "drained");
    admin.threadbare.stop();
}

#[test]
fn a_drain_dir_that_is_not_there_is_warned_of_once_and_may_come_later() {
    let (a, b) = (Backend::answering("a"), Backend::answering("b"));
    let folder = Folder::new();
    let dir = folder.path("drain");
    let threadbare = Threadbare::before(&[a.addr, b.addr], &["--drain-dir", &dir]);
    let line = threadbare.await_line("drain directory ");
    assert!(
        line.contains("[WARN]") && line.contains("no such file"),
        "{line}"
    );
    assert_eq!(threadbare.get("/").status, 200);
    fs::create_dir(&dir).expect("it is ours");
    folder.write(&format!("drain/{}", a.addr), "");
    threadbare.await_line(&format!(
        "backend {} is drained by the drain directory",
        a.addr
    ));
    assert_eq!(threadbare.lines("no such file").len(), 1);
    for _ in 0..3 {
        assert_eq!(threadbare.get("/").text(), "b");
    }
    fs::remove_dir_all(&dir).expect("it is ours");
    threadbare.await_line(&format!(
        "backend {} is enabled by the drain directory",
        a.addr
    ));
    threadbare.stop();
}

#[test]
fn a_file_of_its_own_beside_the_state_is_all_it_leaves() {
    // Goal: the state file, readable by its owner, and nothing beside it once it is written.
    let a = Backend::answering("a");
    let folder = Folder::new();
    let admin = keeping(&[&a], &folder, FAST);
    admin.threadbare.stop();
    let names: Vec<_> = fs::read_dir(folder.as_path())
        .expect("it is ours")
        .map(|entry| entry.expect("it can be read").file_name())
        .collect();
    assert_eq!(names, ["state"]);
    let mode = fs::metadata(folder.path("state"))
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o400, 0o400);
}
