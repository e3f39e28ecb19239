//! The status as a table for people.

use std::time::Duration;

use crate::admin::json::{BackendStatus, PoolStatus, Status};

const TITLES: [&str; 8] = [
    "BACKEND",
    "STATE",
    "WEIGHT",
    "IN FLIGHT",
    "REQUESTS",
    "FAILURES",
    "SINCE",
    "CAUSE",
];
/// Columns of numbers are aligned to the right.
const IS_NUMBER: [bool; 8] = [false, false, true, true, true, true, true, false];

/// All pools, each with its backends.
pub fn table(status: &Status) -> String {
    let (version, pid) = (&status.version, status.pid);
    let up = lasted(status.uptime_seconds);
    let mut text = format!("threadbare {version}, PID {pid}, up for {up}\n");
    for pool in &status.pools {
        text.push('\n');
        text.push_str(&pool_table(pool));
    }
    text
}

fn pool_table(pool: &PoolStatus) -> String {
    let (name, policy) = (harmless(&pool.name), harmless(&pool.policy));
    let mut text = format!("pool {name}: {policy}, {} in flight\n", pool.in_flight);
    let mut rows = vec![TITLES.map(str::to_owned)];
    rows.extend(pool.backends.iter().map(row));
    let mut widths = [0; 8];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in rows {
        let cells = row.iter().zip(widths).zip(IS_NUMBER);
        let cells = cells.map(|((cell, width), is_number)| {
            if is_number {
                format!("  {cell:>width$}")
            } else {
                format!("  {cell:<width$}")
            }
        });
        let line: String = cells.collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn row(backend: &BackendStatus) -> [String; 8] {
    let mut state = match &backend.forced {
        Some(forced) => format!("forced {forced}"),
        None => backend.state.clone(),
    };
    if backend.mode != "enabled" {
        state = format!("{state}, {}", backend.mode);
    }
    if backend.backup {
        state.push_str(", backup");
    }
    let in_flight = match backend.max_connections {
        Some(most) => format!("{} of {most}", backend.in_flight),
        None => backend.in_flight.to_string(),
    };
    [
        harmless(&backend.name),
        harmless(&state),
        backend.weight.to_string(),
        in_flight,
        backend.requests.to_string(),
        backend.failures.to_string(),
        lasted(backend.since_seconds),
        harmless(&backend.cause),
    ]
}

/// Without what could move a terminal's cursor, turn its direction or hide: a cause may be what a
/// backend has said.
pub fn harmless(text: &str) -> String {
    let is_sly = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(letter, '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let shown = |letter: char| if is_sly(letter) { '?' } else { letter };
    text.chars().map(shown).collect()
}

/// `3.2s`, `5m 2s`, `7h 1m` or `12d 3h`: its two largest units.
pub fn lasted(seconds: f64) -> String {
    let whole = Duration::try_from_secs_f64(seconds)
        .unwrap_or_default()
        .as_secs();
    match whole {
        0..60 => format!("{seconds:.1}s"),
        60..3600 => format!("{}m {}s", whole / 60, whole % 60),
        3600..86_400 => format!("{}h {}m", whole / 3600, whole / 60 % 60),
        _ => format!("{}d {}h", whole / 86_400, whole / 3600 % 24),
    }
}
