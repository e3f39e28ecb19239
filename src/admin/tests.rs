//! The API as its clients see it: every place and every status.

mod access;
mod drains;

use super::*;

use crossbeam_channel::Sender;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::admin::fake::{FakeClient, FakeSite, Seen};
use crate::intake::check::{Limits, check};
use crate::intake::fields::Fields;
use crate::intake::{ClientRequest, Ending, Job, Refusal};

const WEB1: &str = "/pools/default/backends/web1:80";

/// One API over a fake site, and the one end of what is in flight there.
struct Api {
    admin: Admin,
    site: Arc<FakeSite>,
    stopping: Arc<AtomicBool>,
    finish: Option<Sender<()>>,
}

/// What came back.
struct Got {
    status: u16,
    head: String,
    content: Value,
    ending: Option<Ending>,
}

impl Api {
    fn new() -> Api {
        Api::with(None, |_| ())
    }

    fn with(token: Option<Token>, change: impl FnOnce(&mut FakeSite)) -> Api {
        let pools: &[(&str, &[&str])] = &[
            ("default", &["http://web1:80", "http://web2:80/app"]),
            ("other pool", &["http://web3:80"]),
        ];
        let (mut site, finish) = FakeSite::new(pools);
        change(&mut site);
        let site = Arc::new(site);
        let stopping = Arc::new(AtomicBool::new(false));
        let shown: Arc<dyn Site> = Arc::<FakeSite>::clone(&site);
        Api {
            admin: Admin::new(shown, token, Instant::now(), Arc::clone(&stopping)),
            site,
            stopping,
            finish: Some(finish),
        }
    }

    /// Asks with content in JSON if it is not empty.
    fn ask(&self, method: &str, target: &str, content: &str) -> Got {
        let mut lines = vec!["Host: 127.0.0.1:9901"];
        if !content.is_empty() {
            lines.push("Content-Type: application/json");
        }
        self.ask_with(method, target, &lines, content)
    }

    fn ask_with(&self, method: &str, target: &str, lines: &[&str], content: &str) -> Got {
        let (job, seen) = job(method, target, lines, content);
        assert!(self.admin.serve(job).is_none());
        let seen = seen.lock();
        let (head, text) = seen.text.split_once("\r\n\r\n").expect("a whole head");
        let status = head["HTTP/1.1 ".len()..][..3].parse().expect("a number");
        let content = serde_json::from_str(text).unwrap_or(Value::Null);
        Got {
            status,
            head: format!("{head}\r\n"),
            content,
            ending: seen.ending,
        }
    }
}

fn job(method: &str, target: &str, lines: &[&str], content: &str) -> (Job, Arc<Mutex<Seen>>) {
    let mut fields = Fields::default();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        fields.push(name.as_bytes(), value.as_bytes());
    }
    if !content.is_empty() {
        fields.push(b"Content-Length", content.len().to_string().as_bytes());
    }
    let mut request = ClientRequest {
        target: target.as_bytes().to_vec(),
        fields,
        ..ClientRequest::example(method)
    };
    let refusal = check(&mut request, &Limits::default()).err();
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let client = FakeClient {
        content: content.as_bytes().to_vec(),
        seen: Arc::clone(&seen),
        peer: None,
    };
    let job = Job {
        request: Box::new(request),
        refusal,
        client: Box::new(client),
        queued_at: Instant::now(),
    };
    (job, seen)
}

/// The rows of a table in text.
fn rows<const N: usize>(table: &str) -> impl Iterator<Item = [&str; N]> {
    table.trim().lines().map(|line| {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        columns
            .try_into()
            .unwrap_or_else(|_| panic!("a row has {N} columns: {line}"))
    })
}

/// Rows of a table in text: method, target, content, status, and what is answered. In order of one
/// site, so that the second of a kind changes nothing.
const CHANGES: &str = r#"
PUT    | /pools/default/backends/web4 | {"url":"http://web4:80","weight":2} | 201 | added web4
PUT    | /pools/default/backends/web4 | {"url":"http://web4:80","weight":2} | 200 | same web4
POST   | /pools/other%20pool/backends | {"url":"http://web5:80"} | 201 | added web5:80
POST   | /pools/default/backends/web2:80%2Fapp/drain   |                      | 200 | drained
POST   | /pools/default/backends/web2:80%2Fapp/drain   | {"timeout":"0s"}     | 200 | drained, too
POST   | /pools/default/backends/web2:80%2fapp/enable  |                      | 200 | changed
POST   | /pools/default/backends/web2:80%2Fapp/enable  | {}                   | 200 | nothing
POST   | /pools/default/backends/web1:80/weight        | {"weight":3}         | 200 | changed
POST   | /pools/default/backends/web1:80/weight        | { "weight": 3 }      | 200 | nothing
POST   | /pools/default/backends/web1:80/state         | {"state":"up"}       | 200 | changed
POST   | /pools/default/backends/web1:80/state         | {"state":"down"}     | 200 | changed
POST   | /pools/default/backends/web1:80/state         | {"state":"auto"}     | 200 | changed
POST   | /pools/default/backends/web1:80/state         | {"state":"auto"}     | 200 | nothing
DELETE | /pools/default/backends/web4                  |                      | 200 | changed
DELETE | /pools/default/backends/web4                  |                      | 200 | nothing
POST   | /reload                                       |                      | 200 | reloaded
POST   | /shutdown                                     | {}                   | 202 | stopping
"#;

#[test]
fn every_place_answers_and_asking_twice_is_asking_once() {
    let api = Api::new();
    for [method, target, content, status, answer] in rows(CHANGES) {
        let wanted = match answer {
            "added web4" => json!({"changed": true, "name": "web4"}),
            "same web4" => json!({"changed": false, "name": "web4"}),
            "added web5:80" => json!({"changed": true, "name": "web5:80"}),
            "drained" => json!({"changed": true, "drained": true, "in_flight": 0}),
            "drained, too" => json!({"changed": false, "drained": true, "in_flight": 0}),
            "reloaded" => json!({"changes": ["+ web3 weight=2", "~ web1 weight 1→3"]}),
            "stopping" => json!({"stopping": true}),
            answer => json!({"changed": answer == "changed"}),
        };
        let got = api.ask(method, target, content);
        assert_eq!(got.content, wanted, "{method} {target} {content}");
        assert_eq!(
            got.status.to_string(),
            status,
            "{method} {target} {content}"
        );
        assert!(got.head.contains("\r\nContent-Type: application/json\r\n"));
        assert_eq!(got.ending, Some(Ending::Keep));
    }
    assert_eq!(api.site.orders(), ["reload", "stop"]);
    let got = api.ask(
        "PUT",
        "/pools/default/backends/a%2fb",
        r#"{"url":"http://a"}"#,
    );
    assert!(
        got.head
            .contains("\r\nLocation: /pools/default/backends/a%2Fb\r\n")
    );
}

#[test]
fn status_tells_all_of_it_and_head_tells_its_length() {
    let api = Api::new();
    let status = api.ask("GET", "/status", "");
    let content = &status.content;
    assert_eq!(
        (status.status, &content["pid"]),
        (200, &json!(std::process::id()))
    );
    assert_eq!(content["version"], env!("CARGO_PKG_VERSION"));
    assert!(content["uptime_seconds"].is_number());
    assert_eq!(content["pools"][1]["name"], "other pool");
    let pools = api.ask("GET", "/pools", "").content;
    assert_eq!(pools["pools"], content["pools"]);
    let pool = api.ask("GET", "/pools/default", "").content;
    assert_eq!(pool, content["pools"][0]);
    let backend = api
        .ask("GET", "/pools/default/backends/web2:80%2fapp", "")
        .content;
    let wanted = json!({
        "name": "web2:80/app", "url": "http://web2:80/app", "address": "127.0.0.1:80",
        "state": "up", "since_seconds": 1.5, "cause": "it takes connections",
        "mode": "enabled", "forced": null, "weight": 1, "backup": false, "max_connections": null,
        "in_flight": 0, "requests": 120, "failures": 1,
    });
    assert_eq!(backend, wanted);
    assert_eq!(pool["backends"][1], wanted);
    let head = api.ask("HEAD", "/pools/default", "");
    let length = format!("\r\nContent-Length: {}\r\n", pool.to_string().len() + 1);
    assert!(head.head.contains(&length), "{}", head.head);
    assert_eq!(head.content, Value::Null);
}

/// Status, method, target, content, and a part of what the problem says.
const PROBLEMS: &str = r#"
404 | GET    | /nothing                               | | nothing at /
404 | GET    | /status/                               | | nothing at /status/
404 | GET    | /pools/none                            | | no pool none
404 | GET    | /pools/default/backends/none           | | no backend none
404 | POST   | /pools/none/backends/web1:80/drain     | | no pool none
404 | POST   | /pools/default/backends/none/enable    | | no backend none
404 | POST   | /pools/default/backends/web1:80/burn   | | nothing at
404 | DELETE | /pools/none/backends/web1:80           | | no pool none
405 | POST   | /status                                | | GET, HEAD
405 | GET    | /reload                                | | POST
405 | PUT    | /pools/default/backends                | | POST
405 | PATCH  | /pools/default/backends/web4           | | GET, HEAD, PUT, DELETE
405 | get    | /status                                | | GET, HEAD
405 | CONNECT | /status                               | | CONNECT
400 | GET    | /status?pool=a                         | | no query
400 | GET    | /pools/%zz                             | | not well encoded
400 | GET    | /pools/%ff                             | | not well encoded
400 | PUT    | /pools/default/backends/web4           | { | EOF
400 | PUT    | /pools/default/backends/web4           | ["http://a"] | not a JSON object
400 | POST   | /pools/default/backends/web1:80/weight | {"weight":03} | invalid number
422 | PUT    | /pools/default/backends/web4 | | missing field `url`
422 | PUT    | /pools/default/backends/web4 | {"url":"http://a","wieght":2} | unknown field `wieght`
422 | PUT    | /pools/default/backends/web4 | {"url":"a"} | want http://
422 | PUT    | /pools/default/backends/web4 | {"url":"http://a","name":"b"} | the path says "web4"
422 | PUT    | /pools/default/backends/web4 | {"url":"http://a","weight":0} | from 1 to 256
422 | PUT    | /pools/default/backends/web4 | {"url":"http://a","weight":-1} | u32
422 | PUT    | /pools/default/backends/web4 | {"url":"http://a","max_connections":0} | from 1 on
422 | PUT    | /pools/default/backends/web4 | {"url":"http://a","slow_start":"30"} | want a duration
422 | POST   | /pools/default/backends      | {"url":"http://a","name":""} | want a name
422 | POST   | /pools/default/backends      | {"url":"http://a","url":"http://b"} | duplicate field
409 | PUT    | /pools/default/backends/web4    | {"url":"http://web1:80"} | another one
409 | PUT    | /pools/default/backends/web1:80 | {"url":"http://web9:80"} | another one
422 | POST   | /pools/default/backends/web1:80/drain  | {"timeout":"soon"} | want a duration
422 | POST   | /pools/default/backends/web1:80/drain  | {"timeout":5} | expected a string
422 | POST   | /pools/default/backends/web1:80/weight | | missing field `weight`
422 | POST   | /pools/default/backends/web1:80/weight | {"weight":257} | from 1 to 256
422 | POST   | /pools/default/backends/web1:80/state  | {"state":"?"} | one of `up`, `down`, `auto`
422 | GET    | /status | {"a":1} | unknown field `a`
422 | POST   | /reload | {"now":true} | unknown field `now`
"#;

#[test]
fn every_error_is_a_problem_that_says_what_is_right() {
    let api = Api::new();
    for [status, method, target, content, says] in rows(PROBLEMS) {
        let got = api.ask(method, target, content);
        let row = format!("{method} {target} {content}: {}", got.content);
        assert_eq!(got.status.to_string(), status, "{row}");
        assert_eq!(got.content["status"], got.status, "{row}");
        assert_eq!(got.content["type"], "about:blank", "{row}");
        assert!(got.content["title"].is_string(), "{row}");
        let detail = got.content["detail"].as_str().expect("a sentence");
        assert!(detail.contains(says), "{row}");
        assert!(
            got.head
                .contains("\r\nContent-Type: application/problem+json\r\n")
        );
        let allows = got.head.contains("\r\nAllow: ");
        assert_eq!(allows, status == "405", "{row}");
    }
    assert!(api.site.orders().is_empty(), "nothing was done");
}

#[test]
fn a_reload_that_is_refused_lists_every_error() {
    let wrong = "a.toml:3: unknown key\na.toml:9: no such pool\n".to_owned();
    let api = Api::with(None, |site| {
        site.reloaded = Err(ReloadError::Invalid(wrong));
    });
    let got = api.ask("POST", "/reload", "");
    assert_eq!(got.status, 422);
    let errors = json!(["a.toml:3: unknown key", "a.toml:9: no such pool"]);
    assert_eq!(got.content["errors"], errors);
    let busy = || ReloadError::Busy("another one is in progress".to_owned());
    let api = Api::with(None, |site| site.reloaded = Err(busy()));
    assert_eq!(api.ask("POST", "/reload", "").status, 503);
}

#[test]
fn a_panic_costs_its_request_and_a_refusal_is_a_problem() {
    let api = Api::new();
    let target = "/pools/default/backends/127.0.0.1:666/state";
    let got = api.ask("POST", target, r#"{"state":"up"}"#);
    assert_eq!((got.status, got.ending), (500, Some(Ending::Keep)));
    assert_eq!(api.ask("GET", "/status", "").status, 200);
    let (mut job, seen) = job("GET", "/", &["Host: a"], "");
    job.refusal = Some(Refusal::new(431, "too many fields"));
    assert!(api.admin.serve(job).is_none());
    let seen = seen.lock();
    assert!(
        seen.text
            .starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n")
    );
    assert!(seen.text.contains("too many fields") && seen.ending == Some(Ending::Close));
}
