//! The access log: a line for each request, whatever became of it, and none that anybody waits for.

mod lines;
mod rotation;
mod stuck;

use std::fs;
use std::time::Instant;

use crate::harness::{Admin, DEADLINE};

/// The lines of a file, once there are so many: they are written a moment after the answer.
#[track_caller]
fn await_lines(path: &str, n: usize) -> Vec<String> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let text = fs::read_to_string(path).unwrap_or_default();
        let is_whole = text.ends_with('\n');
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert!(lines.len() <= n, "{n} lines are wanted: {lines:#?}");
        if lines.len() == n && is_whole {
            return lines;
        }
        assert!(
            Instant::now() < deadline,
            "{n} lines are wanted: {lines:#?}"
        );
    }
}

/// The sum of a metric's lines.
#[track_caller]
fn sum(admin: &Admin, name: &str) -> u64 {
    let text = admin.ask_with("GET", "/metrics", &[], "").text();
    let lines = text.lines().filter(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
    });
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

/// Lines that were written and lines that were dropped, once these are all.
#[track_caller]
fn await_counted(admin: &Admin, n: u64) -> (u64, u64) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let written = sum(admin, "threadbare_access_log_lines_total");
        let dropped = sum(admin, "threadbare_access_log_dropped_total");
        assert!(written + dropped <= n, "{written} + {dropped}, want {n}");
        if written + dropped == n {
            return (written, dropped);
        }
        assert!(Instant::now() < deadline, "{written} + {dropped}, want {n}");
    }
}
