//! Reloads without end under load: no request fails.

use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::never;

use super::{REFUSED, RELOADED, Site, list, web};
use crate::harness::{Backend, Client, Gate, ok};

const CLIENTS: usize = 64;
const LASTS: Duration = Duration::from_secs(3);
const EVERY: Duration = Duration::from_millis(100);
/// How the log begins to tell how a reload went.
const READ: &str = "] (main) reload";

/// GET and POST by turns, on a connection that is kept for a while. Returns how many.
fn ask(site: &Site, idx: usize, is_over: &Gate) -> usize {
    let per_connection = [1, 3, 1000][idx % 3];
    let mut n = 0;
    while is_over.is_closed() {
        let mut client: Client = site.client();
        for _ in 0..per_connection {
            if !is_over.is_closed() {
                return n;
            }
            let content = format!("{idx}-{n}");
            let length = content.len();
            let answer = if n % 2 == 0 {
                client.get(&format!("/{content}"))
            } else {
                client.send(format!(
                    "POST /1/{content} HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n\
                     {content}"
                ));
                client.answer()
            };
            assert_eq!(
                answer.status, 200,
                "request {n} of client {idx}: {answer:?}"
            );
            let told = answer.text();
            assert!(
                told.ends_with(&format!(" {content}")),
                "{told} to {content}"
            );
            n += 1;
        }
    }
    n
}

#[test]
fn no_request_fails_while_the_configuration_changes() {
    // Goal: 64 clients, new and kept connections, GET and POST, three backends; the file alternates
    // between valid ones, and now and then an invalid one, each with its signal: all requests get
    // their own answer with 200. Trick: the answer has the request's target; a POST is never
    // retried once it may have been sent, so a connection closed under it would show.
    let answering = |name: &'static str| {
        Backend::replying(move |seen| {
            let target = seen.head.word(1);
            let target = target.rsplit('/').next().unwrap_or_default();
            ok(&format!("{name} {target}"))
        })
    };
    let [a, b, c] = ["a", "b", "c"].map(answering);
    let (a, b, c) = (("a", &a, ""), ("b", &b, ""), ("c", &c, ""));
    let weighty = |(name, backend, _)| (name, backend, ",weight=3");
    let two_pools = format!(
        "{}[pool.api]\n{}[[route]]\npool = \"web\"\n[[route]]\npath = \"/1\"\npool = \"api\"\n",
        web("", &[a, b]),
        list(&[c])
    );
    let texts = [
        web("", &[a, b, c]),
        web("", &[a]),
        web("policy = \"least-connections\"\nretries = 0\n", &[b, c]),
        two_pools,
        web("policy = \"weighted-round-robin\"\n", &[weighty(a), b, c]),
        web("health = \"off\"\n", &[c]),
        web("sticky = \"SRV\"\npolicy = \"ip-hash\"\n", &[a, b]),
        format!(
            "connect_timeout = \"9s\"\n{}",
            web("max_failures = 0\n", &[("z", c.1, ""), b])
        ),
        "wrong".to_owned(),
    ];
    let site = Site::start("storm", &texts[0]);
    let is_over = Gate::closed();
    let (mut n_reloads, mut n_requests) = (0, 0);
    thread::scope(|scope| {
        let (site, is_over) = (&site, &is_over);
        let start = |idx| scope.spawn(move || ask(site, idx, is_over));
        let clients: Vec<_> = (0..CLIENTS).map(start).collect();
        let begun = Instant::now();
        while begun.elapsed() < LASTS || n_reloads < texts.len() {
            n_reloads += 1;
            site.file.write(&texts[n_reloads % texts.len()]);
            site.hup();
            // What is next is written once this one was read: each is applied, or refused.
            site.threadbare.await_lines(READ, n_reloads);
            let _ = never::<()>().recv_timeout(EVERY); // the pace, not a fence
        }
        is_over.open();
        for client in clients {
            n_requests += client.join().expect("no request failed");
        }
    });
    let n = |wanted| site.threadbare.lines(wanted).len();
    assert!(
        n(RELOADED) + n(REFUSED) == n_reloads && n(REFUSED) > 0,
        "{:#?}",
        site.threadbare.log.items()
    );
    assert!(n_requests > CLIENTS, "{n_requests}");
    site.threadbare.stop();
    assert_eq!(site.threadbare.lines(" is down: "), [""; 0]);
}
