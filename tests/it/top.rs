//! `threadbare top` as a process: in a terminal, and without one.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::process::Signal;

use crate::harness::{
    Admin, Backend, DEADLINE, Folder, Gate, Run, Terminal, Threadbare, command, room_for, run,
};

const ESC: char = '\u{1b}';

/// Looks at the API there ten times a second.
fn top(at: &str) -> Command {
    command(&["top", at, "--interval", "0.1"])
}

fn window(admin: &Admin) -> Terminal {
    Terminal::start(top(&admin.at.to_string()))
}

#[test]
fn a_window_shows_backends_and_lanes_until_q() {
    // Goal: the backend's name, the lane of a request that takes long, the figures; then exit 0 and
    // a terminal as it was. Trick: a gate holds the answer back, and no thread leaves the pool.
    let gate = Gate::closed();
    let backend = Backend::holding("a", &gate);
    let admin = Admin::before(&[backend.addr], &room_for("2", "8"));
    let answers = admin.threadbare.ask_slow(1);
    let window = window(&admin);
    let name = backend.addr.to_string();
    let socket = format!("on {}; q leaves", admin.threadbare.addr);
    let frame = window.await_texts(&[
        &socket,
        "in flight 1",
        "queue 0 of 8",
        &name,
        "2 WORKERS, 0 LONG-HAUL  1 waiting, 1 idle",
        &format!("GET /slow for 127.0.0.1 -> {name}"),
    ]);
    assert!(frame.len() <= 24, "{frame:#?}");
    let longest = frame.iter().map(|row| row.chars().count()).max();
    assert!(longest <= Some(80), "{frame:#?}");
    assert!(window.is_taken());
    gate.open();
    let answer = answers
        .recv_timeout(DEADLINE)
        .map(|(answer, _)| answer.status);
    assert_eq!(answer, Ok(200));
    window.await_texts(&["in flight 0", "2 idle"]);
    window.type_keys(b"q");
    assert_eq!(window.end().code(), Some(0));
}

#[test]
fn escape_and_control_c_leave_and_an_arrow_does_not() {
    let backend = Backend::answering("a");
    let admin = Admin::before(&[backend.addr], &[]);
    for keys in ["\u{1b}", "\u{3}"] {
        let window = window(&admin);
        window.await_texts(&["q leaves"]);
        window.type_keys(b"\x1b[A");
        let n = window.n_frames();
        window.await_frame(n + 2, "two frames behind the arrow", |_| true);
        window.type_keys(keys.as_bytes());
        assert_eq!(window.end().code(), Some(0), "{keys:?}");
    }
}

#[test]
fn a_window_follows_its_size() {
    // Goal: what is drawn fits, small or large. Trick: nothing is asked again for an hour, so that
    // a new frame comes of the size alone.
    let backends: Vec<Backend> = (0..8).map(|_| Backend::answering("a")).collect();
    let addrs: Vec<_> = backends.iter().map(|backend| backend.addr).collect();
    let admin = Admin::before(&addrs, &[]);
    let at = admin.at.to_string();
    let window = Terminal::start(command(&["top", &at, "--interval", "1h"]));
    window.await_frame(0, "the first frame", |_| true);
    for (columns, rows) in [(40, 8), (120, 50), (20, 3), (1, 1)] {
        let n = window.n_frames();
        window.resize(columns, rows);
        let fits = |frame: &[String]| {
            let longest = frame.iter().map(|row| row.chars().count()).max();
            frame.len() <= rows.into() && longest <= Some(columns.into())
        };
        let frame = window.await_frame(n, &format!("{columns} columns"), fits);
        let n_shown = addrs.iter().filter(|addr| {
            let name = addr.to_string();
            frame.iter().any(|row| row.contains(&name))
        });
        if rows == 50 {
            assert_eq!(n_shown.count(), 8, "{frame:#?}");
        }
    }
    window.type_keys(b"q");
    assert_eq!(window.end().code(), Some(0));
}

#[test]
fn a_signal_ends_it_as_a_signal_does_and_gives_the_terminal_back() {
    let backend = Backend::answering("a");
    let admin = Admin::before(&[backend.addr], &[]);
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let window = window(&admin);
        // Handlers are there a little after the first frame.
        window.await_frame(1, "a second frame", |_| true);
        window.signal(signal);
        let ended = window.end().signal();
        assert_eq!(ended, Some(signal.as_raw()), "{signal:?}");
    }
}

#[test]
#[cfg(target_os = "linux")] // which tells whether a process is stopped
fn control_z_stops_it_with_the_terminal_given_back() {
    let backend = Backend::answering("a");
    let admin = Admin::before(&[backend.addr], &[]);
    let window = window(&admin);
    window.await_frame(1, "a second frame", |_| true);
    window.type_keys(b"\x1a");
    let stat = format!("/proc/{}/stat", window.pid());
    let deadline = Instant::now() + DEADLINE;
    while !std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T ")) {
        assert!(Instant::now() < deadline, "it does not stop");
    }
    window.assert_given_back();
    let n = window.n_frames();
    window.signal(Signal::CONT);
    window.await_frame(n, "a frame behind the stop", |_| true);
    assert!(window.is_taken());
    window.type_keys(b"q");
    assert_eq!(window.end().code(), Some(0));
}

#[test]
fn a_count_ends_a_window_by_itself() {
    let backend = Backend::answering("a");
    let admin = Admin::before(&[backend.addr], &[]);
    let mut command = top(&admin.at.to_string());
    command.args(["--count", "2"]);
    let window = Terminal::start(command);
    assert_eq!(window.end().code(), Some(0));
    assert_eq!(window.n_frames(), 2);
}

#[test]
fn a_window_says_that_contact_is_lost_and_goes_on_when_it_is_back() {
    // Goal: the last report stays, with why there is no newer one; a restart is seen. Trick: the
    // API is on a Unix socket, whose place nobody else takes meanwhile.
    let folder = Folder::new();
    let backend = Backend::answering("a");
    let at = format!("unix:{}", folder.path("admin.sock"));
    let start = || {
        let threadbare = Threadbare::before(&[backend.addr], &["--admin", &at]);
        threadbare.await_line("admin API on unix:");
        threadbare
    };
    let first = start();
    let name = backend.addr.to_string();
    let window = Terminal::start(top(&at));
    window.await_texts(&[&name, &format!("PID {}", first.pid())]);
    first.stop();
    window.await_texts(&[&name, "no report for ", "trying again: cannot reach unix:"]);
    let second = start();
    let pid = format!("PID {}", second.pid());
    let frame = window.await_texts(&[&name, &pid]);
    assert!(!frame[0].contains("no report"), "{frame:#?}");
    window.type_keys(b"q");
    assert_eq!(window.end().code(), Some(0));
}

#[track_caller]
fn piped(at: &str, words: &[&str]) -> Run {
    run(&[&["top", at, "--interval", "0.1"], words].concat())
}

#[test]
fn without_a_terminal_reports_are_plain_text() {
    let backend = Backend::answering("a");
    let admin = Admin::before(&[backend.addr], &["--workers", "2"]);
    let run = piped(&admin.at.to_string(), &["--count", "3"]);
    assert_eq!((run.code, run.stderr.len()), (Some(0), 0), "{run:?}");
    assert!(!run.stdout.concat().contains(ESC), "{run:?}");
    let n = |text: &str| run.stdout.iter().filter(|line| line.contains(text)).count();
    assert_eq!(n(&format!("on {}, ", admin.threadbare.addr)), 3, "{run:?}");
    assert_eq!(n(&format!("  {} ", backend.addr)), 3, "{run:?}");
    assert_eq!(n("2 WORKERS, 0 LONG-HAUL"), 3, "{run:?}");
    assert_eq!(n("worker-1"), 3, "{run:?}");
}

#[test]
fn it_ends_in_peace_when_nobody_reads_on() {
    let backend = Backend::answering("a");
    let admin = Admin::before(&[backend.addr], &[]);
    let mut command = top(&admin.at.to_string());
    command.stdout(Stdio::piped()).stdin(Stdio::null());
    let mut child = command
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary can be started");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let first = lines.next().and_then(Result::ok).unwrap_or_default();
    assert!(first.starts_with("threadbare "), "{first}");
    drop(lines);
    let run = child.wait_with_output().expect("a child can be waited for");
    assert_eq!(
        (run.status.code(), run.stderr.len()),
        (Some(0), 0),
        "{run:?}"
    );
}

#[test]
fn what_is_wrong_from_the_start_is_one_line_and_exit_1() {
    // Goal: nobody there, no token, a wrong one: in a terminal as well, before it is touched.
    let folder = Folder::new();
    let backend = Backend::answering("a");
    let (right, wrong) = (
        folder.write("right", "a-good-token\n"),
        folder.write("wrong", "another-token\n"),
    );
    let admin = Admin::before(&[backend.addr], &["--admin-token-file", &right]);
    let at = admin.at.to_string();
    let with = |token| ["--count", "1", "--token-file", token];
    let no_one = format!("unix:{}", folder.path("no.sock"));
    let cases: [(&str, &[&str], &str); 3] = [
        (&no_one, &[], "cannot reach unix:"),
        (&at, &[], "token"),
        (&at, &with(&wrong), "token"),
    ];
    for (at, words, says) in cases {
        let run = piped(at, words);
        assert_eq!((run.code, run.stdout.len()), (Some(1), 0), "{run:?}");
        let [line] = run.stderr.as_slice() else {
            panic!("one line: {run:?}");
        };
        assert!(line.starts_with("threadbare top: "), "{line}");
        assert!(line.contains(says), "{line}");
        let mut command = top(at);
        command.args(words);
        let window = Terminal::start(command);
        assert_eq!(window.end().code(), Some(1), "{}", window.text());
        assert!(!window.text().contains(ESC), "{}", window.text());
    }
    let run = piped(&at, &with(&right));
    assert_eq!(run.code, Some(0), "{run:?}");
    let run = piped("nowhere", &[]);
    assert_eq!(run.code, Some(2), "{run:?}");
}

#[test]
fn without_a_terminal_lost_contact_is_the_end() {
    let folder = Folder::new();
    let backend = Backend::answering("a");
    let at = format!("unix:{}", folder.path("admin.sock"));
    let threadbare = Threadbare::before(&[backend.addr], &["--admin", &at]);
    threadbare.await_line("admin API on unix:");
    let top = Threadbare::spawn(top(&at));
    top.out.wait_for(1, "lines of a report");
    threadbare.stop();
    assert_eq!(top.exit_code(), Some(1), "{:?}", top.log.items());
    top.await_line("threadbare top: cannot reach unix:");
}
