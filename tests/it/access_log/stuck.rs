//! A log that can't be written, or not at once: nobody waits for it, and nothing goes uncounted.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::process::Command;
use std::thread;
use std::time::Instant;

use rustix::process::Signal;

use super::{await_counted, await_lines, sum};
use crate::harness::{Admin, Backend, DEADLINE, Folder, Threadbare};

/// More than a pipe, a write and the queue hold together.
const TOO_MANY: u64 = 1_200;

/// A pipe, and somebody who could read it but does not.
fn pipe(folder: &Folder) -> (String, File) {
    let path = folder.path("pipe");
    let made = Command::new("mkfifo").arg(&path).status();
    assert!(made.expect("mkfifo is there").success());
    // For both, or opening it would wait for the other side.
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).open(&path);
    (path, file.expect("it was just made"))
}

/// So many requests with long targets, over a few connections.
#[track_caller]
fn ask_many(threadbare: &Threadbare, n: u64) {
    let target = format!("/{}", "x".repeat(8_000));
    thread::scope(|scope| {
        for _ in 0..4 {
            let mut client = threadbare.client();
            let target = &target;
            scope.spawn(move || {
                for _ in 0..n / 4 {
                    assert_eq!(client.get(target).status, 200);
                }
            });
        }
    });
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_no_request_and_what_is_dropped_is_counted() {
    // Goal: a full queue costs lines, never time. Trick: long targets fill the bound in bytes; then
    // the pipe is read after all, and what comes out of it is compared with the counts.
    let backend = Backend::answering("ok");
    let folder = Folder::new();
    let (path, file) = pipe(&folder);
    let options = ["--access-log", &path, "--access-format", "{target}"];
    let admin = Admin::before(&[backend.addr], &options);
    ask_many(&admin.threadbare, TOO_MANY);
    let dropped = sum(&admin, "threadbare_access_log_dropped_total");
    assert!(dropped > 0, "the queue has a bound");
    let read = thread::spawn(move || {
        let lines = BufReader::new(file).lines().map_while(Result::ok);
        lines.take_while(|line| line != "/last").count() as u64
    });
    let (written, dropped) = await_counted(&admin, TOO_MANY);
    assert!(dropped > 0 && written > 0, "{written} + {dropped}");
    admin
        .threadbare
        .await_line("the access log does not keep up");
    admin.threadbare.await_line("the access log keeps up again");
    assert_eq!(admin.threadbare.get("/last").status, 200);
    assert_eq!(read.join().expect("it reads to the last line"), written);
}

#[test]
fn a_pipe_that_nobody_reads_does_not_hold_up_the_end() {
    // Goal: SIGTERM ends the process soon, and it says what is missing.
    let backend = Backend::answering("ok");
    let folder = Folder::new();
    let (path, _unread) = pipe(&folder);
    let options = ["--access-log", &path, "--access-format", "{target}"];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    ask_many(&threadbare, 100);
    let start = Instant::now();
    threadbare.signal(Signal::TERM);
    assert_eq!(threadbare.exit_code(), Some(0));
    assert!(threadbare.ended_after(start) < DEADLINE / 2);
    let line = threadbare.await_line("the access log lacks ");
    assert!(line.contains("still wait"), "{line}");
}

#[test]
fn the_end_writes_all_that_is_queued() {
    // Goal: the last requests are logged, however soon the end comes behind them.
    let backend = Backend::answering("ok");
    let folder = Folder::new();
    for round in 0..5 {
        let path = folder.path(&format!("access.log.{round}"));
        let options = ["--access-log", &path, "--access-format", "{target}"];
        let threadbare = Threadbare::before(&[backend.addr], &options);
        let mut client = threadbare.client();
        for n in 0..40 {
            assert_eq!(client.get(&format!("/{n}")).status, 200);
        }
        threadbare.stop();
        let wanted: Vec<String> = (0..40).map(|n| format!("/{n}")).collect();
        assert_eq!(await_lines(&path, 40), wanted);
        assert_eq!(threadbare.lines("the access log lacks"), [""; 0]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_said_once_and_each_line_is_counted() {
    // Trick: /dev/full takes nothing, ever.
    let backend = Backend::answering("ok");
    let admin = Admin::before(&[backend.addr], &["--access-log", "/dev/full"]);
    for n in 1..=3 {
        assert_eq!(admin.threadbare.get("/").status, 200);
        assert_eq!(await_counted(&admin, n), (0, n));
    }
    let lines = admin.threadbare.lines("the access log can't be written: ");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("[WARN]"), "{lines:#?}");
    admin.threadbare.stop();
    let lack = "the access log lacks 3 lines: 0 came too fast, 3 could not be written";
    assert_eq!(admin.threadbare.lines(lack).len(), 1);
}
