//! What became of one request, as lines for people.

use serde_json::Value;

use crate::percent;
use crate::process::ctl::table::harmless;
use crate::process::ctl::told::list;

/// Asks what became of a request; of the last one, if none is named. `see` asks the admin API.
pub fn ask(
    see: impl Fn(&str) -> Result<Value, String>,
    id: Option<&str>,
) -> Result<String, String> {
    let id = if let Some(id) = id {
        id.to_owned()
    } else {
        let newest = see("/requests")?["requests"][0]["id"].take();
        let id = newest.as_str().map(str::to_owned);
        id.ok_or_else(|| "there was no request yet".to_owned())?
    };
    let told = see(&format!("/requests/{}", percent::encode(&id)))?;
    Ok(lines(&told))
}

/// All that the admin API tells of a request.
fn lines(told: &Value) -> String {
    let mut lines = Vec::new();
    let fate = &told["fate"];
    let status = match told["status"].as_u64() {
        Some(status @ 1..) => status.to_string(),
        _ => "no answer".to_owned(),
    };
    let client = told["client"].as_str().unwrap_or("a local client");
    let (code, meaning) = (text(&fate["code"]), text(&fate["meaning"]));
    let request = text(&told["request"]);
    lines.push(format!(
        "{request} for {}: {status}, {code}: {meaning}",
        harmless(client)
    ));
    for (key, what) in [("request_id", "X-Request-Id"), ("trace", "traceparent")] {
        if let Some(value) = told[key].as_str() {
            lines.push(format!("{what}: {}", harmless(value)));
        }
    }
    if let Some(cause) = told["cause"].as_str() {
        lines.push(format!("cause: {}", harmless(cause)));
    }
    for (idx, attempt) in list(&told["attempts"]).iter().enumerate() {
        let (backend, why) = (text(&attempt["backend"]), text(&attempt["why"]));
        let ended = text(&attempt["ended"]);
        lines.push(format!("attempt {}: {backend} ({why}): {ended}", idx + 1));
        for other in list(&attempt["passed_over"]) {
            let (backend, why) = (text(&other["backend"]), text(&other["why"]));
            lines.push(format!("  not {backend}: {why}"));
        }
    }
    for event in list(&told["timeline"]) {
        let at = event["at_ms"].as_f64().unwrap_or_default();
        let (thread, what) = (text(&event["thread"]), text(&event["event"]));
        let channel = event["channel"].as_str();
        let channel = channel.map_or(String::new(), |name| format!(" [{}]", harmless(name)));
        lines.push(format!("{at:>10.3} ms  {thread}{channel}: {what}"));
    }
    lines.join("\n")
}

/// A text without what a terminal would obey.
fn text(value: &Value) -> String {
    harmless(value.as_str().unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_is_told_in_lines_and_nothing_in_it_is_obeyed() {
        let told = json!({
            "request": "GET /\u{1b}[2J HTTP/1.1", "client": "192.0.2.1", "status": 503,
            "fate": {"code": "CF", "meaning": "no backend could be connected to"},
            "cause": "connect: refused", "request_id": "a-1", "trace": "00-ab-cd-01",
            "attempts": [{"backend": "web1", "why": "its turn", "ended": "connect: refused",
                "passed_over": [{"backend": "web2", "why": "it is drained"}]}],
            "timeline": [{"at_ms": 0.25, "thread": "worker-3", "channel": "queue",
                "event": "picked up"}],
        });
        let lines = lines(&told);
        assert!(!lines.contains('\u{1b}'), "{lines}");
        let wanted = [
            "for 192.0.2.1: 503, CF: no backend could be connected to",
            "X-Request-Id: a-1",
            "traceparent: 00-ab-cd-01",
            "cause: connect: refused",
            "attempt 1: web1 (its turn): connect: refused",
            "  not web2: it is drained",
            "     0.250 ms  worker-3 [queue]: picked up",
        ];
        for (line, wanted) in lines.lines().zip(wanted) {
            assert!(line.ends_with(wanted), "{line}");
        }
        assert_eq!(lines.lines().count(), wanted.len());
        assert!(super::lines(&json!({})).contains("no answer"));
    }
}
