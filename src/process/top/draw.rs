//! A report as the lines of a window of any size: a pure function.
//!
//! The head comes first, then backends, threads and changes of state, which share the lines that
//! are left. What finds no place is summed up, and what is wrong is never what finds none.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use super::figures::{NONE, count, last, ms, rate, seconds, text};
use super::lanes;
use super::rates::Rates;
use super::table::{Column, Line, Tone, clip, line, table};
use crate::counted::counted;
use crate::process::ctl::told::list;
use crate::process::ctl::{harmless, lasted};

/// The last moment that a date can tell: the end of the year 9999.
const LAST_DATE_MS: u64 = 253_402_300_799_000;

/// How much room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub width: usize,
    pub height: usize,
}

impl Size {
    /// Of text that nobody cuts.
    pub const ENDLESS: Size = Size {
        width: usize::MAX,
        height: usize::MAX,
    };
}

/// What is to be shown.
pub struct View<'a> {
    /// The last report.
    pub live: &'a Value,
    pub rates: &'a Rates,
    /// Whether there are keys, which the head then tells; else it tells the time.
    pub has_keys: bool,
    /// Why there has been no report since, and for how long.
    pub lost: Option<(&'a str, Duration)>,
}

/// Draws it: at most `height` lines of at most `width` letters.
pub fn draw(view: &View<'_>, size: Size) -> Vec<Line> {
    let mut lines = head(view);
    let left = size.height.saturating_sub(lines.len());
    let mut sections = [
        backends(view, size.width),
        lanes::section(view.live, left, size.width),
        events(view.live),
    ];
    let shares = share(&sections_want(&sections), left);
    for (section, n) in sections.iter_mut().zip(shares) {
        lines.extend(section.take(n));
    }
    lines.truncate(size.height);
    lines
        .into_iter()
        .map(|line| clip(line, size.width))
        .collect()
}

/// A part of the window below the head.
pub struct Section {
    /// What it has in any case, if it is there at all.
    pub top: Vec<Line>,
    /// What it has as far as there is room.
    pub body: Vec<Line>,
    /// What its last line is where so many did not fit.
    pub rest: fn(usize) -> String,
}

impl Section {
    /// The first `n` lines of it.
    fn take(&mut self, n: usize) -> Vec<Line> {
        let mut lines = std::mem::take(&mut self.top);
        lines.append(&mut self.body);
        if n < lines.len() {
            let n_gone = lines.len() + 1 - n.max(1);
            lines.truncate(n);
            if let Some(last) = lines.last_mut() {
                *last = line(Tone::Mute, (self.rest)(n_gone));
            }
        }
        lines
    }
}

/// Lines that each section has in any case, and that it would have.
fn sections_want(sections: &[Section]) -> Vec<(usize, usize)> {
    let want = |section: &Section| (section.top.len(), section.body.len());
    sections.iter().map(want).collect()
}

/// Shares lines out. What has not even room for its top and a line goes without; the rest get one
/// line each in turn, until all are given or nobody wants more.
fn share(wanted: &[(usize, usize)], mut left: usize) -> Vec<usize> {
    let mut shares = vec![0; wanted.len()];
    for (share, &(top, body)) in shares.iter_mut().zip(wanted) {
        let least = top + body.min(1);
        if least <= left {
            *share = least;
            left -= least;
        }
    }
    loop {
        let mut is_done = true;
        for (share, &(top, body)) in shares.iter_mut().zip(wanted) {
            if *share > 0 && *share < top + body && left > 0 {
                *share += 1;
                left -= 1;
                is_done = false;
            }
        }
        if is_done {
            return shares;
        }
    }
}

fn head(view: &View<'_>) -> Vec<Line> {
    let live = view.live;
    let mut lines = Vec::new();
    if let Some((reason, since)) = view.lost {
        let since = lasted(since.as_secs_f64());
        let text = format!("no report for {since}, trying again: {}", harmless(reason));
        lines.push(line(Tone::Bad, text));
    }
    let sockets: Vec<String> = list(&live["listeners"]).iter().map(text).collect();
    let mut first = format!(
        "threadbare {}, PID {}, up for {}",
        text(&live["version"]),
        count(&live["pid"]),
        seconds(&live["uptime_seconds"]),
    );
    if !sockets.is_empty() {
        first = format!("{first}, on {}", sockets.join(", "));
    }
    let mut first = line(Tone::Title, first);
    if live["stopping"] == true {
        first.extend(line(Tone::Warn, ", draining: it stops"));
    }
    let end = if view.has_keys {
        "; q leaves".to_owned()
    } else {
        let now = live["now_unix_ms"].as_u64().unwrap_or_default();
        let now = Duration::from_millis(now.min(LAST_DATE_MS));
        format!(", {}", httpdate::fmt_http_date(UNIX_EPOCH + now))
    };
    first.extend(line(Tone::Mute, end));
    lines.push(first);
    lines.push(line(Tone::Plain, figures(view)));
    let (queue, connections) = (&live["queue"], &live["connections"]);
    let text = format!(
        "queue {} of {}, wait p50 {}, p99 {}; connections {} open, {} idle",
        count(&queue["depth"]),
        count(&queue["capacity"]),
        ms(&queue["wait_p50_ms"]),
        ms(&queue["wait_p99_ms"]),
        count(&connections["open"]),
        count(&connections["idle"]),
    );
    lines.push(line(Tone::Plain, text));
    lines.extend(limits(live));
    lines
}

fn figures(view: &View<'_>) -> String {
    let (live, past) = (view.live, &view.live["history"]);
    let of_second = |name: &str| last(&past[name]).as_f64();
    let requests = view.rates.exchanges.or_else(|| of_second("requests"));
    format!(
        "requests {}/s, errors {}/s, p50 {}, p99 {}; in flight {}, tunnels {}",
        rate(requests),
        rate(of_second("errors")),
        ms(last(&past["p50_ms"])),
        ms(last(&past["p99_ms"])),
        count(&live["in_flight"]),
        count(&live["tunnels"]),
    )
}

fn limits(live: &Value) -> Option<Line> {
    let limits = list(&live["limits"]).iter();
    let limits: Vec<String> = limits
        .map(|limit| format!("{} {}", text(&limit["name"]), count(&limit["hits"])))
        .collect();
    let told = format!("limits hit: {}", limits.join(", "));
    (!limits.is_empty()).then(|| line(Tone::Warn, told))
}

/// Down, failing and drained.
const MOST_TROUBLE: u8 = 8 + 3 + 1;

/// Down before on trial, on trial before drained, and all these before those that are well.
fn trouble(backend: &Value) -> u8 {
    let state = match state(backend).as_str() {
        "down" | "forced down" => 8,
        "trial" => 4,
        "unknown" => 2,
        _ => 0,
    };
    let is_failing = backend["error_rate"].as_f64() > Some(0.0);
    state + 3 * u8::from(is_failing) + u8::from(backend["mode"] == "drained")
}

fn state(backend: &Value) -> String {
    match backend["forced"].as_str() {
        Some(forced) => format!("forced {forced}"),
        None => text(&backend["state"]),
    }
}

fn tone(backend: &Value) -> Tone {
    match state(backend).as_str() {
        "down" | "forced down" => Tone::Bad,
        _ if backend["mode"] == "drained" => Tone::Mute,
        "up" | "forced up" => Tone::Good,
        _ => Tone::Warn,
    }
}

fn backends(view: &View<'_>, width: usize) -> Section {
    let pools = list(&view.live["pools"]);
    let mut all: Vec<(&Value, &Value)> = Vec::new();
    for pool in pools {
        all.extend(list(&pool["backends"]).iter().map(|b| (pool, b)));
    }
    // Not by what changes each second: the picture shall be calm. Level by level, since a sort of
    // its own type would be 8 KiB of the program.
    let mut rows = Vec::with_capacity(all.len());
    for level in (0..=MOST_TROUBLE).rev() {
        let of_level = all.iter().filter(|(_, backend)| trouble(backend) == level);
        rows.extend(of_level.copied());
    }
    let mut columns = columns(view, &rows);
    if pools.len() < 2 {
        columns.remove(0);
    }
    let mut lines = table(columns, width);
    let body = lines.split_off(1);
    Section {
        top: lines,
        body,
        rest: |n| format!("  and {}", counted(n, "more backend")),
    }
}

fn columns(view: &View<'_>, rows: &[(&Value, &Value)]) -> Vec<Column> {
    let column = |title, rank, least, cell: &dyn Fn(&Value, &Value) -> String| Column {
        title,
        is_number: !matches!(title, "POOL" | "BACKEND" | "STATE" | "WHY"),
        least,
        rank,
        cells: rows
            .iter()
            .map(|(pool, backend)| {
                let is_state = title == "STATE";
                let tone = if is_state { tone(backend) } else { Tone::Plain };
                (cell(pool, backend), tone)
            })
            .collect(),
    };
    let errors = |pool: &Value, backend: &Value| rate(view.rates.of(pool, backend).1);
    vec![
        column("POOL", 5, Some(8), &|pool, _| text(&pool["name"])),
        column("BACKEND", 0, Some(14), &|_, backend| text(&backend["name"])),
        column("STATE", 1, None, &|_, backend| state_in_words(backend)),
        column("SINCE", 4, None, &|_, b| seconds(&b["since_seconds"])),
        column("WEIGHT", 9, None, &|_, b| count(&b["weight"])),
        column("BUSY", 3, None, &|_, backend| in_flight(backend)),
        column("REQ/S", 2, None, &|pool, b| rate(view.rates.of(pool, b).0)),
        column("ERR/S", 6, None, &errors),
        column("P50", 8, None, &|_, backend| ms(&backend["p50_ms"])),
        column("P99", 7, None, &|_, backend| ms(&backend["p99_ms"])),
        column("WHY", 5, Some(8), &|_, backend| text(&backend["cause"])),
    ]
}

fn state_in_words(backend: &Value) -> String {
    let mut state = state(backend);
    if backend["mode"] != "enabled" {
        state = format!("{state}, {}", text(&backend["mode"]));
    }
    if backend["backup"] == true {
        state.push_str(", backup");
    }
    state
}

fn in_flight(backend: &Value) -> String {
    let n = count(&backend["in_flight"]);
    match count(&backend["max_connections"]) {
        most if most == NONE => n,
        most => format!("{n}/{most}"),
    }
}

fn events(live: &Value) -> Section {
    let now = live["now_unix_ms"].as_f64().unwrap_or_default();
    let event = |event: &Value| {
        let at = event["unix_ms"].as_f64().unwrap_or(now);
        let ago = lasted((now - at).max(0.0) / 1000.0);
        line(
            Tone::Plain,
            format!("{ago:>8} ago  {}", text(&event["text"])),
        )
    };
    let body: Vec<Line> = list(&live["events"]).iter().map(event).collect();
    let title = line(Tone::Title, "  LAST CHANGES OF STATE");
    Section {
        top: if body.is_empty() {
            Vec::new()
        } else {
            vec![title]
        },
        body,
        rest: |n| format!("  and {n} more"),
    }
}

#[cfg(test)]
mod tests;
