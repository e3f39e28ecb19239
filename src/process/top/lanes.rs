//! The threads that serve: a lane each; where they are many, a letter each and the longest lanes.

use serde_json::Value;

use super::draw::Section;
use super::figures::{ms, text};
use super::table::{Column, Line, Tone, line, table};
use crate::counted::counted;
use crate::process::ctl::told::list;

/// Threads that have lanes of their own at most; more are letters, whatever the room is.
const MAX_LANES: usize = 24;
/// Lines to be shared below which those that serve no requests find no place.
const LEAST_FOR_BYSTANDERS: usize = 12;
/// Letters in a row at most.
const MAX_CELLS: usize = 64;

/// What a thread may do, and the letter for it where letters must do.
const PHASES: [(&str, char); 8] = [
    ("reading", 'r'),
    ("picking", 'p'),
    ("connecting", 'c'),
    ("sending", 's'),
    ("waiting", 'w'),
    ("writing", 'W'),
    ("tunnel", 't'),
    ("idle", '.'),
];

/// The section of the threads, below which `height` lines are to be shared with others.
pub fn section(live: &Value, height: usize, width: usize) -> Section {
    let threads = list(&live["threads"]).iter();
    let crew: Vec<&Value> = threads.filter(|thread| is_crew(thread)).collect();
    let is_dense = crew.len() > MAX_LANES.min(height / 2);
    let mut top = vec![title(&crew, is_dense)];
    if height >= LEAST_FOR_BYSTANDERS {
        top.extend(bystanders(live));
    }
    let body = if is_dense {
        top.extend(cells(&crew, height / 4, width));
        let mut busy = crew;
        busy.retain(|thread| thread["phase"] != "idle");
        let lasts = |thread: &Value| thread["for_ms"].as_f64().unwrap_or_default();
        busy.sort_unstable_by(|a, b| {
            let by_time = lasts(b).total_cmp(&lasts(a));
            by_time.then_with(|| a["name"].as_str().cmp(&b["name"].as_str()))
        });
        lanes(&busy, width)
    } else {
        lanes(&crew, width)
    };
    Section {
        top,
        body,
        rest: |n| format!("  and {}", counted(n, "more thread")),
    }
}

fn is_crew(thread: &Value) -> bool {
    thread["kind"] == "worker" || thread["kind"] == "long-haul"
}

/// Those that serve no requests, in one line.
fn bystanders(live: &Value) -> Option<Line> {
    let others = list(&live["threads"]).iter();
    let others = others.filter(|thread| !is_crew(thread));
    let told: Vec<String> = others
        .map(|thread| format!("{} {}", text(&thread["name"]), text(&thread["phase"])))
        .collect();
    let told = format!("  {}", told.join(", "));
    (told.len() > 2).then(|| line(Tone::Mute, told))
}

/// How many there are, and how many of them do what.
fn title(crew: &[&Value], has_letters: bool) -> Line {
    let of_kind = |kind: &str| crew.iter().filter(|thread| thread["kind"] == kind).count();
    let kinds = format!(
        "  {} WORKERS, {} LONG-HAUL",
        of_kind("worker"),
        of_kind("long-haul")
    );
    let mut phases = Vec::new();
    for (phase, letter) in PHASES {
        let n = crew
            .iter()
            .filter(|thread| thread["phase"] == phase)
            .count();
        match n {
            0 => {}
            n if has_letters => phases.push(format!("{n} {phase} {letter}")),
            n => phases.push(format!("{n} {phase}")),
        }
    }
    let phases = phases.join(", ");
    [
        line(Tone::Title, kinds),
        line(Tone::Plain, format!("  {phases}")),
    ]
    .concat()
}

/// A letter for each thread, in at most so many rows, but one in any case.
fn cells(crew: &[&Value], n_rows: usize, width: usize) -> Vec<Line> {
    let letter = |thread: &&Value| {
        let phase = PHASES.iter().find(|(phase, _)| thread["phase"] == *phase);
        phase.map_or('?', |(_, letter)| *letter)
    };
    let letters: Vec<char> = crew.iter().map(letter).collect();
    let in_row = width.saturating_sub(2).clamp(1, MAX_CELLS);
    let rows = letters.chunks(in_row).take(n_rows.max(1));
    rows.map(|row| line(Tone::Plain, format!("  {}", String::from_iter(row))))
        .collect()
}

fn lanes(threads: &[&Value], width: usize) -> Vec<Line> {
    let column = |title, is_number, rank, least, cell: &dyn Fn(&Value) -> String| Column {
        title,
        is_number,
        least,
        rank,
        cells: threads
            .iter()
            .map(|thread| {
                let is_idle = thread["phase"] == "idle";
                let tone = if is_idle { Tone::Mute } else { Tone::Plain };
                (cell(thread), tone)
            })
            .collect(),
    };
    let columns = vec![
        column("THREAD", false, 1, None, &|thread| text(&thread["name"])),
        column("DOES", false, 0, None, &|thread| text(&thread["phase"])),
        column("FOR", true, 2, None, &|thread| ms(&thread["for_ms"])),
        column("WHAT", false, 3, Some(10), &what),
    ];
    let mut lines = table(columns, width);
    lines.remove(0); // the section has a title of its own
    lines
}

fn what(thread: &Value) -> String {
    let part = |before: &str, name: &str| match &thread[name] {
        Value::String(_) => format!("{before}{}", text(&thread[name])),
        _ => String::new(),
    };
    let parts = [
        part("", "request"),
        part(" for ", "client"),
        part(" -> ", "backend"),
    ];
    parts.concat().trim_start().to_owned()
}
