//! What the admin API told: a refusal is an error, and what is good is read.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::admin::json::{Complaint, Drained, StragglerStatus};
use crate::process::ctl::client::{Answer, Client};
use crate::process::ctl::table::lasted;

/// Stragglers that a line names.
const MAX_NAMED: usize = 3;

/// Asks for something to look at, whatever its shape is.
pub fn see(client: &Client<'_>, path: &str, patience: Duration) -> Result<Value, String> {
    read(&good(client.ask("GET", path, None, patience)?)?)
}

/// The same answer, if it is no refusal.
pub fn good(answer: Answer) -> Result<Answer, String> {
    match answer.status {
        200..300 => Ok(answer),
        status => Err(complaint(status, &answer.content)),
    }
}

/// Reads the content of a good answer.
pub fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, String> {
    serde_json::from_slice(&answer.content)
        .map_err(|error| format!("what answers there is no threadbare: {error}"))
}

/// What a drain whose time is over has left.
pub fn left_in_flight(answer: &Answer) -> Option<Drained> {
    let complaint: Complaint = serde_json::from_slice(&answer.content).ok()?;
    (answer.status == 504 && complaint.in_flight > 0).then_some(Drained {
        changed: false,
        drained: false,
        in_flight: complaint.in_flight,
        stragglers: complaint.stragglers,
    })
}

/// The things in a list; none if it is no list.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// What a refusal says: a line, or for a configuration a line for each error.
fn complaint(status: u16, content: &[u8]) -> String {
    let complaint: Complaint = serde_json::from_slice(content).unwrap_or_default();
    if complaint.detail.is_empty() {
        return format!("it answered {status}, and is no threadbare");
    }
    let who = stragglers(&complaint.stragglers);
    let first = format!("{}{who}", complaint.detail);
    let mut lines = vec![first];
    lines.extend(complaint.errors);
    lines.join("\n")
}

/// Who is still at it, for the end of a line.
pub fn stragglers(stragglers: &[StragglerStatus]) -> String {
    if stragglers.is_empty() {
        return String::new();
    }
    let named = stragglers.iter().take(MAX_NAMED).map(|straggler| {
        let client = straggler.client.as_deref().unwrap_or("a local client");
        let since = lasted(straggler.since_seconds);
        let (thread, request) = (&straggler.thread, &straggler.request);
        format!("{thread} has {request} of {client} since {since}")
    });
    let named: Vec<String> = named.collect();
    let more = match stragglers.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        n => format!("; and {n} more"),
    };
    format!(": {}{more}", named.join("; "))
}
