//! SIGUSR1 opens the log anew, as logrotate wants it.

use std::fs::{self, File};
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

use rustix::process::Signal;

use super::await_lines;
use crate::harness::{Backend, DEADLINE, Folder, Threadbare};

#[test]
fn a_rotation_under_load_loses_no_line_and_writes_none_twice() {
    // Goal: whatever moment it is, each line is in one file, whole. Trick: every target is another,
    // and all files together are compared with what was asked for.
    let backend = Backend::answering("ok");
    let folder = Folder::new();
    let path = folder.path("access.log");
    let options = ["--access-log", &path, "--access-format", "{target}"];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let (is_over, n_asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let n_rounds = 10;
    thread::scope(|scope| {
        for _ in 0..4 {
            let mut client = threadbare.client();
            let (is_over, n_asked) = (&is_over, &n_asked);
            scope.spawn(move || {
                while !is_over.load(SeqCst) {
                    let n = n_asked.fetch_add(1, SeqCst);
                    assert_eq!(client.get(&format!("/{n}")).status, 200);
                }
            });
        }
        for round in 1..=n_rounds {
            await_growth(&path);
            fs::rename(&path, folder.path(&format!("access.log.{round}"))).expect("it is there");
            threadbare.signal(Signal::USR1);
            threadbare.await_lines("the access log was opened anew", round);
        }
        is_over.store(true, SeqCst);
    });
    threadbare.stop();
    let rotated = (1..=n_rounds).map(|round| format!("access.log.{round}"));
    let files = rotated.chain(["access.log".to_owned()]);
    let text: String = files.map(|name| folder.read(&name)).collect();
    let mut lines: Vec<usize> = text
        .lines()
        .map(|line| line[1..].parse().expect("a line is whole"))
        .collect();
    lines.sort_unstable();
    assert_eq!(lines, (0..n_asked.load(SeqCst)).collect::<Vec<_>>());
}

/// Waits until there is something in the file.
#[track_caller]
fn await_growth(path: &str) {
    let deadline = Instant::now() + DEADLINE;
    while fs::metadata(path).map_or(0, |file| file.len()) == 0 {
        assert!(Instant::now() < deadline, "nothing is written to {path}");
    }
}

#[test]
fn without_its_folder_the_log_stays_in_the_file_that_it_has() {
    // Goal: a mistake of whoever rotates costs no line. Trick: the test holds the file, too, which
    // has no name any more.
    let backend = Backend::answering("ok");
    let folder = Folder::new();
    let inner = folder.path("inner");
    fs::create_dir(&inner).expect("the folder is ours");
    let path = format!("{inner}/access.log");
    let options = ["--access-log", &path, "--access-format", "{target}"];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    assert_eq!(threadbare.get("/1").status, 200);
    await_lines(&path, 1);
    let mut held = File::open(&path).expect("it is there");
    fs::remove_dir_all(&inner).expect("the folder is ours");
    threadbare.signal(Signal::USR1);
    let line = threadbare.await_line("can't be opened anew");
    assert!(line.contains("[ERROR]") && line.contains(&path), "{line}");
    assert_eq!(threadbare.get("/2").status, 200);
    await_text(&mut held, "/1\n/2\n");
    fs::create_dir(&inner).expect("the folder is ours");
    threadbare.signal(Signal::USR1);
    threadbare.await_line("the access log was opened anew");
    assert_eq!(threadbare.get("/3").status, 200);
    threadbare.stop();
    let mut more = String::new();
    held.read_to_string(&mut more).expect("it is text");
    assert_eq!(more, "");
    assert_eq!(await_lines(&path, 1), ["/3"]);
}

/// Waits until the file, which may have no name any more, has this in it.
#[track_caller]
fn await_text(file: &mut File, wanted: &str) {
    let (mut text, deadline) = (String::new(), Instant::now() + DEADLINE);
    while text != wanted {
        file.read_to_string(&mut text).expect("it is text");
        assert!(wanted.starts_with(&text), "{text:?}, want {wanted:?}");
        assert!(Instant::now() < deadline, "{text:?}, want {wanted:?}");
    }
}

#[test]
fn without_an_access_log_the_signal_harms_nobody() {
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    threadbare.signal(Signal::USR1);
    threadbare.await_line("there is no access log");
    assert_eq!(threadbare.get("/").status, 200);
    threadbare.stop();
}
