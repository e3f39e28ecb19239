//! Windows of all sizes, over reports of all sizes.

use serde_json::json;

use super::*;

const USUAL: Size = Size {
    width: 80,
    height: 24,
};

fn drawn_as(live: &Value, size: Size, has_keys: bool, lost: Option<&str>) -> Vec<String> {
    let view = View {
        live,
        rates: &Rates::default(),
        has_keys,
        lost: lost.map(|reason| (reason, Duration::from_secs(3))),
    };
    let text = |line: Line| line.into_iter().map(|piece| piece.text).collect();
    draw(&view, size).into_iter().map(text).collect()
}

fn drawn(live: &Value, size: Size) -> Vec<String> {
    drawn_as(live, size, true, None)
}

fn backend(name: &str, state: &str) -> Value {
    json!({"name": name, "address": "127.0.0.1:1", "state": state, "since_seconds": 65.0,
        "cause": "it takes connections", "mode": "enabled", "forced": null, "weight": 1,
        "backup": false, "max_connections": null, "in_flight": 2, "requests": 10, "failures": 0,
        "rate": 12.5, "error_rate": 0.0, "p50_ms": 1.25, "p99_ms": 20.0})
}

fn thread(kind: &str, n: usize, phase: &str) -> Value {
    let is_busy = phase != "idle";
    json!({"name": format!("worker-{n}"), "kind": kind, "phase": phase, "for_ms": n,
        "request": is_busy.then(|| format!("GET /{n}")), "client": is_busy.then_some("192.0.2.1"),
        "pool": is_busy.then_some("web"), "backend": is_busy.then_some("web1")})
}

fn report(backends: &[Value], threads: &[Value], n_events: usize) -> Value {
    let event = |n| json!({"unix_ms": 1_000_000 - 1000 * n, "text": format!("change {n}")});
    let events: Vec<Value> = (0..n_events).map(event).collect();
    json!({
        "version": "1.2.3", "pid": 42, "uptime_seconds": 90.0, "now_unix_ms": 1_000_000,
        "stopping": false, "listeners": ["127.0.0.1:8080"],
        "queue": {"depth": 3, "capacity": 1024, "wait_p50_ms": 0.5, "wait_p99_ms": null},
        "connections": {"open": 12, "idle": 10}, "in_flight": 2, "tunnels": 1,
        "totals": {"exchanges": 100}, "limits": [{"name": "queue_full", "hits": 7}],
        "history": {"requests": [1, 34], "errors": [0, 2], "p50_ms": [null, 1.5], "p99_ms": [8.0]},
        "threads": threads, "events": events,
        "pools": [{"name": "web", "policy": "round-robin", "backends": backends}],
    })
}

fn small() -> Value {
    let backends = vec![backend("web1", "up"), backend("web2", "down")];
    let threads = vec![
        thread("worker", 1, "waiting"),
        thread("worker", 2, "idle"),
        json!({"name": "waiter", "kind": "waiter", "phase": "listening", "for_ms": 9}),
        json!({"name": "health", "kind": "other", "phase": "probing", "for_ms": 9}),
    ];
    report(&backends, &threads, 2)
}

/// 200 backends of which the last but one is down, 256 workers of which every eighth is busy, three
/// long-haul threads, and as many changes as are kept.
fn large() -> Value {
    let state = |n| if n == 198 { "down" } else { "up" };
    let backends = (0..200).map(|n| backend(&format!("web{n}"), state(n)));
    let backends: Vec<Value> = backends.collect();
    let phase = |n| if n % 8 == 0 { "writing" } else { "idle" };
    let workers = (0..256).map(|n| thread("worker", n, phase(n)));
    let threads = workers.chain((256..259).map(|n| thread("long-haul", n, "tunnel")));
    let threads: Vec<Value> = threads.collect();
    report(&backends, &threads, 50)
}

#[test]
fn a_small_report_is_shown_whole() {
    let wanted = [
        "threadbare 1.2.3, PID 42, up for 1m 30s, on 127.0.0.1:8080; q leaves",
        "requests 34/s, errors 2.0/s, p50 1.5ms, p99 8.0ms; in flight 2, tunnels 1",
        "queue 3 of 1024, wait p50 0.50ms, p99 -; connections 12 open, 10 idle",
        "limits hit: queue_full 7",
        "  BACKEND  STATE  SINCE  WEIGHT  BUSY  REQ/S  ERR/S    P50   P99  WHY",
        "  web2     down   1m 5s       1     2     12      0  1.2ms  20ms  it takes conne",
        "  web1     up     1m 5s       1     2     12      0  1.2ms  20ms  it takes conne",
        "  2 WORKERS, 0 LONG-HAUL  1 waiting, 1 idle",
        "  waiter listening, health probing",
        "  worker-1  waiting  1.0ms  GET /1 for 192.0.2.1 -> web1",
        "  worker-2  idle     2.0ms",
        "  LAST CHANGES OF STATE",
        "    0.0s ago  change 0",
        "    1.0s ago  change 1",
    ];
    assert_eq!(drawn(&small(), USUAL), wanted);
}

#[test]
fn no_window_is_too_small_and_none_is_overrun() {
    // Goal: whatever the size, never a line too much or too long; also of a report without
    // anything, and of one that is no report.
    let reports = [small(), large(), report(&[], &[], 0), json!({}), json!(7)];
    for live in &reports {
        for width in [0, 1, 2, 7, 40, 80, 250] {
            for height in (0..20).chain([24, 25, 60]) {
                let size = Size { width, height };
                for lost in [None, Some("cannot reach it")] {
                    let lines = drawn_as(live, size, true, lost);
                    assert!(lines.len() <= height, "{size:?}: {lines:#?}");
                    let longest = lines.iter().map(|line| line.chars().count()).max();
                    assert!(longest <= Some(width), "{size:?}: {lines:#?}");
                }
            }
        }
    }
}

#[test]
fn of_many_backends_the_troubled_are_shown_and_the_rest_counted() {
    let lines = drawn(&large(), USUAL);
    let titles = lines.iter().position(|line| line.contains("BACKEND"));
    let titles = titles.expect("there are titles");
    assert!(lines[titles + 1].starts_with("  web198"), "{lines:#?}");
    let rest = lines
        .iter()
        .position(|line| line.ends_with("more backends"));
    let rest = rest.expect("they are too many");
    let n_shown = rest - titles - 1;
    assert_eq!(
        lines[rest],
        format!("  and {} more backends", 200 - n_shown)
    );
    assert!(n_shown >= 3, "{lines:#?}");
    let all = drawn(&large(), Size::ENDLESS);
    let n_shown = all.iter().filter(|line| line.starts_with("  web")).count();
    assert_eq!(n_shown, 200, "plain text leaves nothing out");
}

#[test]
fn many_workers_are_a_letter_each_and_those_longest_at_it_a_lane() {
    let lines = drawn(&large(), USUAL);
    let title = "  256 WORKERS, 3 LONG-HAUL  32 writing W, 3 tunnel t, 224 idle .";
    let at = lines.iter().position(|line| line == title);
    let at = at.unwrap_or_else(|| panic!("{lines:#?}"));
    let row = format!("  {}", "W.......".repeat(8));
    assert_eq!(lines[at + 1..at + 5], [&row; 4].map(Clone::clone));
    assert_eq!(lines[at + 5], "  ttt");
    let lane = "  worker-258  tunnel    258ms  GET /258 for 192.0.2.1 -> web1";
    assert_eq!(lines[at + 6], lane);
    assert!(lines.iter().any(|line| line.ends_with("more threads")));
    // Where even the letters find no place, the sums stay.
    let size = Size {
        width: 80,
        height: 12,
    };
    assert!(drawn(&large(), size).contains(&title.to_owned()));
}

#[test]
fn what_came_from_outside_is_never_obeyed_by_a_terminal() {
    // Goal: no text of a report brings a control byte. Trick: all its texts begin with some.
    fn poison(value: &mut Value) {
        match value {
            Value::String(text) => *text = format!("\u{1b}[2J\u{9b}\r\n\u{202e}{text}"),
            Value::Array(list) => list.iter_mut().for_each(poison),
            Value::Object(object) => object.values_mut().for_each(poison),
            _ => {}
        }
    }
    let mut live = small();
    for thread in live["threads"].as_array_mut().into_iter().flatten() {
        // The kind decides whether it is shown at all.
        for name in ["name", "phase", "request", "client", "backend"] {
            poison(&mut thread[name]);
        }
    }
    for name in ["version", "listeners", "limits", "events", "pools"] {
        poison(&mut live[name]);
    }
    live["now_unix_ms"] = u64::MAX.into();
    for (size, has_keys) in [(USUAL, true), (Size::ENDLESS, false)] {
        let text = drawn_as(&live, size, has_keys, Some("\u{1b}[2J of ours")).join("");
        for shown in [
            "?[2J of ours",
            "[2J????web1",
            "????change 1",
            "????queue_full",
            "worker-1",
            "????GET /1",
        ] {
            assert!(text.contains(shown), "{shown}: {text}");
        }
        let sly = |letter: char| letter.is_control() || letter == '\u{202e}';
        assert!(!text.contains(sly), "{text:?}");
    }
}

#[test]
fn the_head_tells_when_contact_is_lost_and_when_it_stops() {
    let mut live = small();
    live["stopping"] = json!(true);
    let lines = drawn_as(&live, USUAL, true, Some("cannot reach it"));
    let lost = "no report for 3.0s, trying again: cannot reach it";
    assert_eq!(lines[0], lost);
    assert!(lines[1].contains(", draining: it stops"), "{lines:#?}");
    let plain = drawn_as(&live, Size::ENDLESS, false, None);
    let time = ", Thu, 01 Jan 1970 00:16:40 GMT";
    assert!(plain[0].ends_with(time), "{plain:#?}");
}

#[test]
fn lines_are_shared_out_in_turn_and_a_top_never_stands_alone() {
    let wanted = [(1, 5), (2, 10), (1, 3)];
    for (left, shares) in [
        (0, [0, 0, 0]),
        (1, [0, 0, 0]),
        (2, [2, 0, 0]),
        (4, [2, 0, 2]),
        (5, [2, 3, 0]),
        (7, [2, 3, 2]),
        (9, [3, 4, 2]),
        (15, [5, 6, 4]),
        (100, [6, 12, 4]),
    ] {
        assert_eq!(share(&wanted, left), shares, "{left}");
    }
    assert_eq!(share(&[(1, 0), (0, 0)], 9), [1, 0]);
}
