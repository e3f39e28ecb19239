//! Drains that are waited for: how each wait ends, and that one thread is always left.

use super::*;

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use crate::intake::{Peer, queue};
use crate::watch::Lane;

#[test]
fn a_drain_returns_when_nothing_is_in_flight() {
    let mut api = Api::new();
    api.site.occupy("default", "web1:80", 2);
    // Ends what is in flight, as soon as somebody waits for it.
    let finish = api.finish.take().expect("it is the first");
    let answered = thread::scope(|scope| {
        let answer = scope.spawn(|| api.ask("POST", &format!("{WEB1}/drain"), ""));
        while api.admin.n_waiting.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        drop(finish);
        answer.join().expect("it answers")
    });
    assert_eq!(answered.status, 200);
    let wanted = json!({ "changed": true, "drained": true, "in_flight": 0 });
    assert_eq!(answered.content, wanted);
    assert_eq!(api.admin.n_waiting.load(Ordering::Relaxed), 0);
}

#[test]
fn a_drain_that_is_not_over_at_its_deadline_names_who_is_left() {
    let api = Api::new();
    api.site.occupy("default", "web1:80", 2);
    let got = api.ask("POST", &format!("{WEB1}/drain"), r#"{"timeout":"1ms"}"#);
    let stragglers = json!([{
        "thread": "worker-4", "client": "192.0.2.1", "request": "GET /slow", "since_seconds": 12.0,
    }]);
    assert_eq!((got.status, &got.content["in_flight"]), (504, &json!(2)));
    assert_eq!(got.content["stragglers"], stragglers);
    let got = api.ask("POST", &format!("{WEB1}/drain"), r#"{"timeout":"0s"}"#);
    assert_eq!(got.status, 202, "nobody has waited");
    let wanted = json!({
        "changed": false, "drained": false, "in_flight": 2, "stragglers": stragglers,
    });
    assert_eq!(got.content, wanted);
}

#[test]
fn a_wait_ends_when_the_process_does() {
    let api = Api::new();
    api.site.occupy("default", "web1:80", 1);
    let got = thread::scope(|scope| {
        let answer = scope.spawn(|| api.ask("POST", &format!("{WEB1}/drain"), ""));
        while api.admin.n_waiting.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        api.stopping.store(true, Ordering::Release);
        answer.join().expect("it answers")
    });
    assert_eq!((got.status, got.ending), (503, Some(Ending::Close)));
    let detail = got.content["detail"].as_str().expect("a sentence");
    assert!(detail.contains("shutting down"), "{detail}");
    assert!(got.head.ends_with("\r\nConnection: close\r\n"));
}

/// The trick: a socket whose other end is closed while it is waited; nothing else ends the wait.
#[test]
fn a_wait_ends_when_its_client_goes_away() {
    let api = Api::new();
    api.site.occupy("default", "web1:80", 1);
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    let ours = Arc::new(OwnedFd::from(ours));
    let got = thread::scope(|scope| {
        let request = ClientRequest::example("POST");
        let client = FakeClient {
            content: Vec::new(),
            seen: Arc::default(),
            peer: Some(Peer::Here(ours)),
        };
        let admin = &api.admin;
        let target = format!("{WEB1}/drain").into_bytes();
        let answer = scope.spawn(move || {
            let request = ClientRequest { target, ..request };
            admin.act(&request, b"", &client)
        });
        while api.admin.n_waiting.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        drop(theirs);
        answer.join().expect("it answers")
    });
    let problem = got.expect_err("nobody waits any more");
    assert!(
        problem.detail.contains("closed its side"),
        "{}",
        problem.detail
    );
}

/// The trick: all four threads, three of which wait for as long as the test holds the sender.
#[test]
fn three_may_wait_and_the_fourth_thread_answers_everything_else() {
    let mut api = Api::new();
    api.site.occupy("default", "web1:80", 1);
    let (mut queue, jobs, _refusals) = queue(9, Duration::from_secs(60));
    let finish = api.finish.take().expect("it is the first");
    let drain = format!("{WEB1}/drain");
    let lines = ["Host: localhost", "Content-Type: application/json"];
    let minute = r#"{"timeout":"1m"}"#;
    let (first, later) = thread::scope(|scope| {
        for _ in 0..N_HANDLERS {
            scope.spawn(|| run_admin(&api.admin, &jobs, &Lane::new(Instant::now())));
        }
        let mut send = |method: &str, target: &str, content: &str| {
            let (job, seen) = job(method, target, &lines[..], content);
            queue.push(job);
            seen
        };
        let first: Vec<_> = (0..3).map(|_| send("POST", &drain, minute)).collect();
        while api.admin.n_waiting.load(Ordering::Relaxed) < MAX_WAITING {
            thread::yield_now();
        }
        let app = "/pools/default/backends/web2:80%2Fapp/drain";
        let later = [
            send("POST", &drain, minute),
            send("POST", app, minute),
            send("GET", "/status", ""),
            send("POST", "/reload", ""),
        ];
        while later.iter().any(|seen| seen.lock().ending.is_none()) {
            thread::yield_now();
        }
        assert!(first.iter().all(|seen| seen.lock().ending.is_none()));
        drop((finish, queue));
        (first, later)
    });
    let status = |seen: &Arc<Mutex<Seen>>| seen.lock().text["HTTP/1.1 ".len()..][..3].to_owned();
    assert_eq!(later.each_ref().map(status), ["503", "200", "200", "503"]);
    assert!(
        later[0]
            .lock()
            .text
            .contains("too many drains are waited for")
    );
    assert!(first.iter().all(|seen| status(seen) == "200"));
}
