//! Workers that stay with the connection they have just served: where that pays, and never at the
//! cost of those who wait.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

use serde_json::Value;

use super::{fence, holding, request};
use crate::harness::{Admin, Backend, Client, DEADLINE, Gate, Threadbare, ok, room_for};

/// Requests that a client sends in one write.
const BURST: usize = 10;
/// Bursts of which each must be handed over.
const ROUNDS: usize = 20;

/// A line for each request: its target, and for how many milliseconds it was in the queue. Not one
/// nanosecond if the worker that served the one before it has read it.
const LOG: [&str; 4] = [
    "--access-log",
    "-",
    "--access-format",
    "{target} {queue_ms}",
];

fn logging(backend: &Backend, n_workers: &'static str) -> Admin {
    let options = [&LOG[..], &room_for(n_workers, "100")].concat();
    Admin::before(&[backend.addr], &options)
}

/// So many connections that have had an answer, and say nothing more.
fn silent(admin: &Admin, n: usize) -> Vec<Client> {
    let ask = |_| {
        let mut client = admin.threadbare.client();
        assert_eq!(client.get("/silent").text(), "/silent");
        client
    };
    (0..n).map(ask).collect()
}

/// So many connections that each hold a worker.
fn hold_workers(admin: &Admin, backend: &Backend, n: usize) -> Vec<Client> {
    let is_slow = |target: &str| target == "/slow";
    let ask = |n_before| {
        let mut client = admin.threadbare.client();
        client.send(request("/slow"));
        backend.seen.wait("a worker is held", |seen| {
            let n_held = seen.iter().filter(|seen| is_slow(seen.head.word(1)));
            (n_held.count() > n_before).then_some(())
        });
        client
    };
    (0..n).map(ask).collect()
}

/// One burst, answered in its order: how many of its requests, but the first, were in the queue.
fn n_queued(admin: &Admin, client: &mut Client, round: usize) -> usize {
    let target = |n: usize| format!("/{round}/{n}");
    let all: String = (0..BURST).map(|n| request(&target(n))).collect();
    client.send(all);
    for n in 0..BURST {
        assert_eq!(client.answer().text(), target(n));
    }
    let start = format!("/{round}/");
    let lines = admin.threadbare.out.wait("a line for each", |lines| {
        let of_round = lines.iter().filter(|line| line.starts_with(&start));
        let of_round: Vec<String> = of_round.cloned().collect();
        (of_round.len() == BURST).then_some(of_round)
    });
    let is_queued = |line: &&String| !line.ends_with(" 0.000");
    lines[1..].iter().filter(is_queued).count()
}

/// The threads that served a burst, but for its last request, which may not be told yet.
fn threads(admin: &Admin, round: usize) -> BTreeSet<String> {
    let list = admin.see("/requests");
    let requests = list["requests"].as_array().expect("it is a list");
    let find = |n: usize| {
        let line = format!("GET /{round}/{n} HTTP/1.1");
        let found = requests.iter().find(|told| told["request"] == *line);
        let id = found.and_then(|told| told["id"].as_str());
        id.unwrap_or_else(|| panic!("no {line} in {list}"))
    };
    let thread = |n: usize| {
        let told = admin.see(&format!("/requests/{}", find(n)));
        let events = told["timeline"].as_array().expect("it is a list").iter();
        let mut events = events.filter(|event| event["event"] == "picked up");
        let picked_up = events.next().unwrap_or(&Value::Null);
        picked_up["thread"].as_str().map(str::to_owned)
    };
    let threads = (0..BURST - 1).map(thread);
    threads
        .map(|thread| thread.expect("some thread picked it up"))
        .collect()
}

/// Returns once a worker has stayed for a whole burst: not before all others wait for jobs.
#[track_caller]
fn assert_stays(admin: &Admin, client: &mut Client, case: &str) {
    let deadline = Instant::now() + DEADLINE;
    let mut rounds = 0..;
    loop {
        let round = rounds.next().expect("it has no end");
        if n_queued(admin, client, round) == 0 {
            let threads = threads(admin, round);
            return assert_eq!(threads.len(), 1, "{case}: {threads:?}");
        }
        assert!(Instant::now() < deadline, "no worker stays, {case}");
    }
}

#[track_caller]
fn assert_leaves(admin: &Admin, client: &mut Client, case: &str) {
    for round in 0..ROUNDS {
        let n = n_queued(admin, client, round);
        assert!(n > 0, "a worker stayed, {case}");
    }
}

#[test]
fn a_worker_stays_while_half_of_them_are_enough_for_all_connections() {
    // Goal: of four workers, with two connections one stays with a client that has its next
    // requests sent already, and with three it does not. Trick: the log tells what was handed over,
    // and the API which thread it was; the others are silent, and have had an answer, so that they
    // are surely counted.
    let backend = holding(&Gate::closed());
    for n_silent in [0, 1] {
        let admin = logging(&backend, "4");
        let _silent = silent(&admin, n_silent);
        let mut client = admin.threadbare.client();
        assert_stays(&admin, &mut client, &format!("{n_silent} silent"));
    }
    for n_silent in [2, 3, 7] {
        let admin = logging(&backend, "4");
        let _silent = silent(&admin, n_silent);
        let mut client = admin.threadbare.client();
        assert_leaves(&admin, &mut client, &format!("{n_silent} silent"));
    }
}

#[test]
fn with_many_connections_a_worker_stays_only_while_nearly_all_are_free() {
    // Goal: of 32 workers two may be busy, and the third leaves its client. Trick: as above, with
    // more connections than half of the workers; the backend holds the others.
    for (n_held, stays) in [(0, true), (1, true), (2, false), (5, false)] {
        let gate = Gate::closed();
        let backend = holding(&gate);
        let admin = logging(&backend, "32");
        let _silent = silent(&admin, 17);
        let held = hold_workers(&admin, &backend, n_held);
        let mut client = admin.threadbare.client();
        let case = format!("{n_held} held");
        if stays {
            assert_stays(&admin, &mut client, &case);
        } else {
            assert_leaves(&admin, &mut client, &case);
        }
        gate.open();
        for mut client in held {
            assert_eq!(client.answer().text(), "/slow");
        }
    }
}

#[test]
fn nobody_waits_for_workers_that_could_stay_with_their_clients() {
    // Goal: four clients that each have fifty requests sent already do not keep the four workers
    // from four others, who have one. Trick: all workers are held until the others are queued; then
    // the backend answers nothing more of the first four before it has heard of all the others. So
    // if the workers stayed, nobody would ever be answered.
    const N: usize = 4;
    let (gate, all_heard) = (Gate::closed(), Gate::closed());
    let (closed, heard, n_heard) = (
        gate.clone(),
        all_heard.clone(),
        Arc::<AtomicUsize>::default(),
    );
    let backend = Backend::start(move |mut conn| {
        loop {
            let target = conn.request()?.head.word(1).to_owned();
            if target == "/slow" {
                closed.pass()?;
            } else if target.starts_with("/other") {
                if n_heard.fetch_add(1, SeqCst) + 1 == N {
                    heard.open();
                }
            } else {
                heard.pass()?;
            }
            conn.send(ok(&target))?;
        }
    });
    let threadbare = Threadbare::before(&[backend.addr], &room_for("4", "100"));
    let more = |who: usize| (0..50).map(move |n| format!("/{who}/{n}"));
    let greedy = |who: usize| {
        let mut client = threadbare.client();
        let all: String = more(who).map(|target| request(&target)).collect();
        client.send(request("/slow") + &all);
        backend.await_requests(who + 1);
        client
    };
    let greedy: Vec<Client> = (0..N).map(greedy).collect();
    let other = |who: usize| {
        let mut client = threadbare.client();
        client.send(request(&format!("/other/{who}")));
        client
    };
    let others: Vec<Client> = (0..N).map(other).collect();
    fence(&threadbare);
    gate.open();
    for (who, mut client) in others.into_iter().enumerate() {
        assert_eq!(client.answer().text(), format!("/other/{who}"));
    }
    for (who, mut client) in greedy.into_iter().enumerate() {
        assert_eq!(client.answer().text(), "/slow");
        for target in more(who) {
            assert_eq!(client.answer().text(), target);
        }
    }
}

/// What one client sends: bursts of all sizes up to seven, some with content, over a connection
/// that is sometimes a new one. Each is answered with its target and its content.
fn talk(threadbare: &Threadbare, who: usize, n_requests: usize) {
    let mut client = threadbare.client();
    let mut n = 0;
    let mut state = who;
    while n < n_requests {
        state = (state * 31 + 17) % 1009;
        let burst = n..n_requests.min(n + 1 + state % 7);
        n = burst.end;
        let mut wire = String::new();
        for n in burst.clone() {
            if (n + who).is_multiple_of(3) {
                let content = "x".repeat(n);
                let length = content.len();
                let _ = write!(
                    wire,
                    "PUT /{who}/{n} HTTP/1.1\r\nHost: front.test\r\nContent-Length: \
                     {length}\r\n\r\n{content}"
                );
            } else {
                wire += &request(&format!("/{who}/{n}"));
            }
        }
        client.send(wire);
        for n in burst {
            let is_put = (n + who).is_multiple_of(3);
            let length = if is_put { n } else { 0 };
            assert_eq!(client.answer().text(), format!("/{who}/{n} {length}"));
        }
        if state.is_multiple_of(5) {
            client = threadbare.client();
        }
    }
}

#[test]
fn everybody_is_served_in_his_order_with_any_number_of_connections() {
    // Goal: whether workers stay, leave, or change their minds while connections come and go: each
    // request is served once, and answers are in order. Trick: fewer connections than half of the
    // workers, as many, and far more; the backend has a list.
    const N_REQUESTS: usize = 60;
    for (n_workers, n_clients) in [
        ("1", 3),
        ("4", 1),
        ("4", 2),
        ("4", 3),
        ("4", 12),
        ("32", 16),
        ("32", 20),
    ] {
        let backend =
            Backend::replying(|seen| ok(&format!("{} {}", seen.head.word(1), seen.content.len())));
        let threadbare = Threadbare::before(&[backend.addr], &room_for(n_workers, "100"));
        thread::scope(|scope| {
            for who in 0..n_clients {
                let threadbare = &threadbare;
                scope.spawn(move || talk(threadbare, who, N_REQUESTS));
            }
        });
        let seen = backend.seen.items();
        for who in 0..n_clients {
            let start = format!("/{who}/");
            let numbers = seen.iter().filter_map(|seen| {
                let n = seen.head.word(1).strip_prefix(&start)?;
                Some(n.parse().expect("a number"))
            });
            let numbers: Vec<usize> = numbers.collect();
            let wanted: Vec<usize> = (0..N_REQUESTS).collect();
            assert_eq!(numbers, wanted, "client {who} before {n_workers} workers");
        }
        assert_eq!(seen.len(), n_clients * N_REQUESTS);
    }
}
