//! Clients that idle, stall, or come in numbers.

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::harness::{Backend, Client, Cut, Pattern, Threadbare, command, level};

/// Long enough that a busy machine causes no stall that is none, short enough to wait for.
const IDLE: [&str; 6] = [
    "--idle-timeout",
    "1s",
    "--keep-alive-timeout",
    "1s",
    "--header-timeout",
    "1s",
];

/// One stuck exchange would be noticed by everybody; one that only has to wait is still served.
const ONE_WORKER: [&str; 4] = ["--workers", "1", "--queue-timeout", "1h"];

#[test]
fn a_hundred_idle_clients_disturb_nobody() {
    // Goal: connections that do nothing cost no worker. Trick: a hundred before one worker: half
    // of them silent from the start, half after a first exchange; then one more is served, and so
    // are the idle ones afterwards.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &ONE_WORKER);
    let mut idle: Vec<Client> = (0..100).map(|_| threadbare.client()).collect();
    for client in &mut idle[..50] {
        assert_eq!(client.get("/").text(), "ok");
    }
    assert_eq!(threadbare.get("/").text(), "ok");
    for client in &mut idle {
        assert_eq!(client.get("/").text(), "ok");
    }
}

#[test]
fn silent_connections_do_not_delay_the_next_client() {
    // Goal: connections that never say anything, as browsers open them ahead, cost nobody else
    // time. Trick: bursts of every size up to 20, each followed by one client; tiny_http's pool of
    // threads once counted on threads that were taken already. Two seconds are far more than an
    // answer takes and far less than any timeout that could set such a client free.
    let backend = Backend::answering("ok");
    for size in 1..=20 {
        let threadbare = Threadbare::before(&[backend.addr], &[]);
        let _silent: Vec<Client> = (0..size).map(|_| threadbare.client()).collect();
        let mut client = threadbare.client();
        let patience = Some(Duration::from_secs(2));
        client
            .0
            .set_patience(patience)
            .expect("the connection is open");
        client.send("GET / HTTP/1.1\r\nHost: front.test\r\n\r\n");
        let answer = client.try_answer("GET").map(|answer| answer.status);
        assert_eq!(answer, Ok(200), "behind {size} silent connections");
    }
}

#[test]
fn a_client_may_come_over_ipv6() {
    // Goal: [::1] can be listened on, and the backend is told the client's address as it is.
    if TcpListener::bind("[::1]:0").is_err() {
        println!("this machine has no IPv6 loopback: nothing to prove here");
        return;
    }
    let backend = Backend::answering("ok");
    let url = backend.url();
    let threadbare = Threadbare::launch(command(&["--listen", "[::1]:0", "--backend", &url]));
    assert!(threadbare.addr.is_ipv6(), "{}", threadbare.addr);
    assert_eq!(threadbare.get("/").text(), "ok");
    let seen = backend.await_requests(1).remove(0);
    assert_eq!(seen.head.one("X-Forwarded-For").as_deref(), Some("::1"));
}

#[test]
fn half_a_head_disturbs_nobody_and_is_not_waited_for_for_ever() {
    // Goal: a client that stalls within its head is closed, with 408 or without a word, and
    // occupies no worker.
    let backend = Backend::answering("ok");
    let options = [&ONE_WORKER[..], &IDLE].concat();
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let mut client = threadbare.client();
    client.send("GET /stalled HTTP/1.1\r\nHost: front.test\r\nX-Half: ");
    assert_eq!(threadbare.get("/").text(), "ok");
    match client.try_answer("GET") {
        Ok(answer) => {
            assert_eq!(answer.status, 408);
            client.assert_ended();
        }
        Err(cut) => assert!(matches!(cut, Cut::Closed | Cut::Reset), "{cut:?}"),
    }
    threadbare.stop();
    assert_eq!(backend.seen.len(), 1);
}

#[test]
fn an_idle_connection_is_closed() {
    // Goal: a client that keeps its connection and says nothing more is closed after the idle
    // timeout, not a silent one only. Nothing is sent on it, so that its next request can't be
    // taken for answered.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &IDLE);
    let mut used = threadbare.client();
    let mut unused = threadbare.client();
    assert_eq!(used.get("/").text(), "ok");
    used.assert_ended();
    let (rest, cut) = unused.rest();
    assert!(
        rest.is_empty() || rest.starts_with(b"HTTP/1.1 408 "),
        "{rest:?}"
    );
    assert!(matches!(cut, Cut::Closed | Cut::Reset), "{cut:?}");
}

#[test]
fn content_that_stalls_ends_the_exchange() {
    // Goal: a client that stops in mid-content is closed after the idle timeout, frees its worker,
    // and marks no backend. Trick: one worker, three backends' worth of rounds; held and streamed
    // sizes.
    let backend = Backend::answering("ok");
    let other = Backend::answering("ok");
    let options = [&ONE_WORKER[..], &IDLE].concat();
    let threadbare = Threadbare::before(&[backend.addr, other.addr], &options);
    let mut stalled = Vec::new();
    for (length, sent) in [(10, 5), (5000, 2000), (60_000, 10_000), (500_000, 200_000)] {
        let mut client = threadbare.client();
        client.send(format!(
            "POST /stalled HTTP/1.1\r\nHost: front.test\r\nContent-Length: {length}\r\n\r\n"
        ));
        client.send(Pattern::new().take(sent));
        stalled.push((length, client));
    }
    for (length, mut client) in stalled {
        let (rest, cut) = client.rest();
        let answered = rest.is_empty() || rest.starts_with(b"HTTP/1.1 4");
        assert!(answered, "{length}: {}", crate::harness::text(&rest));
        assert!(matches!(cut, Cut::Closed | Cut::Reset), "{length}: {cut:?}");
    }
    assert_eq!(threadbare.get("/").text(), "ok");
    assert_eq!(threadbare.lines(" is down: "), [""; 0]);
    assert!(
        backend
            .seen
            .items()
            .iter()
            .all(|seen| seen.head.word(1) == "/")
    );
    assert!(
        other
            .seen
            .items()
            .iter()
            .all(|seen| seen.head.word(1) == "/")
    );
}

#[test]
fn a_reader_that_reads_nothing_ends_the_exchange() {
    // Goal: a client that takes nothing for the idle timeout frees its worker and the backend, and
    // marks none. Trick: the backend sends without end into a connection that nobody reads; one
    // worker, and the next client is served.
    let backend = Backend::start(|mut conn| {
        loop {
            if conn.request()?.head.word(1) != "/endless" {
                conn.send(crate::harness::ok("ok"))?;
                continue;
            }
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")?;
            let piece = vec![b'a'; 100_000];
            while conn.send(&piece).is_ok() {}
            conn.note("nobody takes it");
            return Ok(());
        }
    });
    let options = [&ONE_WORKER[..], &IDLE].concat();
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let mut client = threadbare.client();
    client.send("GET /endless HTTP/1.1\r\nHost: front.test\r\n\r\n");
    client.head().expect("the head comes");
    backend.await_note("nobody takes it");
    assert_eq!(threadbare.get("/").text(), "ok");
    assert_eq!(threadbare.lines(" is down: "), [""; 0]);
    let (_, cut) = client.rest();
    assert_eq!(cut, Cut::Reset, "what is missing is seen to be missing");
}

#[test]
fn a_client_that_takes_its_time_but_goes_on_is_served() {
    // Goal: the idle timeout is for standing still, not for the whole exchange. Trick: the backend
    // answers later than the idle timeout of the client, who has nothing to do but to wait; a
    // neighbour that idles that long is the clock.
    let backend = Backend::start(|mut conn| {
        loop {
            let waits = conn.request()?.head.word(1) == "/wait";
            if waits {
                conn.note("asked");
                let opened = conn.note_later();
                opened.wait("the clock", |notes| {
                    notes.contains(&"go".to_owned()).then_some(())
                });
            }
            conn.send(crate::harness::ok("ok"))?;
        }
    });
    let threadbare = Threadbare::before(&[backend.addr], &IDLE);
    let mut client = threadbare.client();
    client.send("GET /wait HTTP/1.1\r\nHost: front.test\r\n\r\n");
    backend.await_note("asked");
    let mut clock = threadbare.client();
    assert_eq!(clock.get("/").text(), "ok");
    clock.assert_ended();
    backend.notes.push("go".to_owned());
    assert_eq!(client.answer().text(), "ok");
}

#[cfg(target_os = "linux")]
#[test]
fn the_limit_of_descriptors_is_raised_to_the_hard_limit() {
    // Goal: a soft limit of a shell is no limit of ours. Trick: a shell lowers it before it
    // becomes threadbare.
    let backend = Backend::answering("ok");
    let url = backend.url();
    let inner = command(&["--listen", "127.0.0.1:0", "--backend", &url]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -Sn 200 && exec \"$0\" \"$@\""]);
    shell.arg(inner.get_program()).args(inner.get_args());
    let threadbare = Threadbare::launch(shell);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", threadbare.pid()));
    let limits = limits.expect("the process lives");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let words: Vec<&str> = line.expect("Linux tells it").split_whitespace().collect();
    assert_eq!(words[3], words[4], "soft and hard: {words:?}");
    assert_ne!(words[3], "200");
}

#[test]
fn running_out_of_descriptors_ends_the_process_loudly() {
    // Goal: this listener's accept loop dies when there are none left; a deaf process would be
    // worse than none, so it ends with 1, and a supervisor starts it again. Trick: a hard limit of
    // 40 and more clients than that.
    let backend = Backend::answering("ok");
    let url = backend.url();
    let inner = command(&[
        "--listener",
        "tiny_http",
        "--listen",
        "127.0.0.1:0",
        "--workers",
        "2",
        "--backend",
        &url,
    ]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -n 40 && exec \"$0\" \"$@\""]);
    shell.arg(inner.get_program()).args(inner.get_args());
    let threadbare = Threadbare::launch(shell);
    let mut clients = Vec::new();
    for _ in 0..60 {
        // The later ones may be refused already.
        let timeout = Duration::from_secs(5);
        clients.push(TcpStream::connect_timeout(&threadbare.addr, timeout));
    }
    assert_eq!(
        threadbare.exit_code(),
        Some(1),
        "{:#?}",
        threadbare.log.items()
    );
    let log = threadbare.log.items();
    assert!(log.iter().any(|line| level(line) == "ERROR"), "{log:#?}");
    drop(clients);
}

#[test]
fn the_log_is_quiet_about_clients() {
    // Goal: what clients do to themselves is no news at the default level. Trick: aborts, refusals
    // and stalls, then every line is one of the process's own life.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    for bytes in [
        "",
        "GET",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\x16\x03\r\n",
    ] {
        let mut client = threadbare.client();
        client.send(bytes);
        client.reset();
    }
    assert_eq!(threadbare.get("/").text(), "ok");
    threadbare.stop();
    for line in threadbare.log.items() {
        let bad = ["WARN", "ERROR"].contains(&level(&line)) || line.contains("panic");
        assert!(!bad, "{line}");
    }
}
