//! What became of the last requests, one by one: `GET /requests` and `GET /requests/ID`.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::admin::sight::Sight;
use crate::pool::Pool;
use crate::watch::history::unix_ms;
use crate::watch::{Attempt, Story, millis};

/// Requests that are listed.
const N_LISTED: usize = 100;

/// The last requests, the newest first.
pub fn last(sight: &Sight, now: Instant) -> Value {
    let mut requests = Vec::new();
    if let Some(recent) = &sight.watch.recent {
        recent.each(|story| {
            requests.push(json!({
                "id": story.n.to_string(),
                "request_id": request_id_of(story),
                "unix_ms": unix_ms_of(story.queued, now),
                "request": story.line.escape_ascii().to_string(),
                "status": story.status,
                "fate": story.fate.code(),
                "backend": backend_of(story),
                "total_ms": millis(story.ended - story.queued),
                "retries": story.attempts.len().saturating_sub(1),
            }));
            requests.len() < N_LISTED
        });
    }
    json!({ "requests": requests })
}

/// All that is known of one request, by our own number, or by its X-Request-Id: of those that a
/// client has called the same, the newest.
pub fn find(sight: &Sight, id: &str, now: Instant) -> Option<Value> {
    let recent = sight.watch.recent.as_ref()?;
    let first = |is_it: &dyn Fn(&Story) -> bool| {
        let mut found = None;
        recent.each(|story| {
            if is_it(story) {
                found = Some(tell(sight, story, now));
            }
            found.is_none()
        });
        found
    };
    // The number first: no client shall take it away by an id that looks like one.
    let n: Option<u64> = id.parse().ok();
    let by_number = n.and_then(|n| first(&|story| story.n == n));
    by_number.or_else(|| first(&|story| story.request_id() == Some(id.as_bytes())))
}

fn tell(sight: &Sight, story: &Story, now: Instant) -> Value {
    let fate = story.fate;
    let pool = sight.pools.find(&story.pool);
    let attempts = story.attempts.iter();
    json!({
        "id": story.n.to_string(),
        "request_id": request_id_of(story),
        "trace": text_of(&story.trace),
        "client": story.client.map(|client| client.to_string()),
        "request": story.line.escape_ascii().to_string(),
        "status": story.status,
        "pool": if story.has_pool { Some(&story.pool) } else { None },
        "backend": backend_of(story),
        "fate": {
            "code": fate.code(),
            "by": fate.by().name(),
            "phase": fate.phase(),
            "meaning": fate.meaning(),
        },
        "cause": if story.cause.is_empty() { None } else { Some(&story.cause) },
        "bytes_in": story.bytes_in,
        "bytes_out": story.bytes_out,
        "unix_ms": unix_ms_of(story.queued, now),
        "total_ms": millis(story.ended - story.queued),
        "timeline": timeline(story),
        "attempts": attempts.map(|a| attempt(a, story, pool.as_deref())).collect::<Value>(),
    })
}

/// What happened when, on which thread, through which channel.
fn timeline(story: &Story) -> Vec<Value> {
    let worker = format!("worker-{}", story.slot + 1);
    let mut events = Vec::new();
    let mut add = |at: Instant, thread: &str, channel: Option<&str>, event: String| {
        events.push(json!({
            "at_ms": millis(at.saturating_duration_since(story.queued)),
            "thread": thread,
            "channel": channel,
            "event": event,
        }));
    };
    let listener = "waiter";
    add(story.queued, listener, None, "head complete".to_owned());
    add(story.queued, listener, Some("queue"), "queued".to_owned());
    add(story.begun, &worker, Some("queue"), "picked up".to_owned());
    for attempt in &story.attempts {
        let name = name_of(attempt);
        let why = why(attempt);
        add(
            attempt.picked,
            &worker,
            None,
            format!("backend {name} picked: {why}"),
        );
        if attempt.is_reused {
            let event = "a connection that was open is used".to_owned();
            add(attempt.picked, &worker, None, event);
        }
        if let Some(at) = attempt.connected {
            add(at, &worker, None, format!("connected to {name}"));
        }
        if let Some(at) = attempt.sent {
            add(at, &worker, None, "request sent".to_owned());
        }
        if let Some(at) = attempt.first_byte {
            add(at, &worker, None, "first byte of the answer".to_owned());
        }
        if !attempt.failure.is_empty() {
            let last = [attempt.first_byte, attempt.sent, attempt.connected];
            let at = last.into_iter().flatten().next().unwrap_or(attempt.picked);
            add(at, &worker, None, format!("failed: {}", attempt.failure));
        }
    }
    let end = format!("done: {}", story.fate.meaning());
    add(story.ended, &worker, None, end);
    events
}

fn attempt(attempt: &Attempt, story: &Story, pool: Option<&Pool>) -> Value {
    let mut passed_over: Vec<Value> = attempt
        .passed_over
        .iter()
        .map(|(backend, why)| json!({"backend": backend.name, "why": why}))
        .collect();
    let absent = pool.and_then(|pool| pool.absent(attempt.picking.arrangement));
    let absent = absent.unwrap_or_default().into_iter();
    passed_over.extend(absent.map(|gone| json!({"backend": gone.name, "why": gone.why})));
    let since_pick = |at: Option<Instant>| at.map(|at| millis(at - attempt.picked));
    let ended = if attempt.failure.is_empty() {
        format!("answered {}", story.status)
    } else {
        attempt.failure.clone()
    };
    json!({
        "backend": name_of(attempt),
        "why": why(attempt),
        "reused": attempt.is_reused,
        "candidates": attempt.picking.n_candidates,
        "passed_over": passed_over,
        "pick_ms": millis(attempt.picked.saturating_duration_since(story.begun)),
        "connect_ms": since_pick(attempt.connected),
        "first_byte_ms": since_pick(attempt.first_byte),
        "ended": ended,
    })
}

/// Why this one, in words.
fn why(attempt: &Attempt) -> String {
    let picking = attempt.picking;
    let n = picking.n_candidates;
    let kind = if picking.is_backup { " backups" } else { "" };
    if picking.is_sticky {
        return format!("the client's cookie names it, of {n}{kind}");
    }
    format!("its turn by the pool's policy, of {n}{kind}")
}

fn name_of(attempt: &Attempt) -> &str {
    let backend = attempt.backend.as_ref();
    backend.map_or("", |backend| &backend.name)
}

fn backend_of(story: &Story) -> Option<&str> {
    let last = story.attempts.last()?;
    Some(name_of(last)).filter(|_| story.is_of_backend())
}

fn request_id_of(story: &Story) -> Option<String> {
    text_of(&story.request_id)
}

fn text_of(bytes: &[u8]) -> Option<String> {
    (!bytes.is_empty()).then(|| bytes.escape_ascii().to_string())
}

fn unix_ms_of(at: Instant, now: Instant) -> u64 {
    let ago = now.saturating_duration_since(at);
    unix_ms(SystemTime::now().checked_sub(ago).unwrap_or(UNIX_EPOCH))
}
