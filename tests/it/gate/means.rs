//! What connections cost: descriptors, threads and memory, and what happens when they run out.

use std::env;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::Instant;

use rustix::process::{Resource, getrlimit, setrlimit};

use super::request;
use crate::harness::{Backend, Client, DEADLINE, Threadbare, command, level};

/// The binary under a limit of descriptors.
fn with_descriptors(n: usize, backend: &Backend, options: &[&str]) -> Threadbare {
    let url = backend.url();
    let inner = command(&["--listen", "127.0.0.1:0", "--backend", &url]);
    let mut shell = Command::new("sh");
    let script = format!("ulimit -n {n} && exec \"$0\" \"$@\"");
    shell.arg("-c").arg(script);
    shell.arg(inner.get_program()).args(inner.get_args());
    shell.args(options);
    Threadbare::launch(shell)
}

/// Lines that ask for somebody's attention.
fn complaints(threadbare: &Threadbare) -> Vec<String> {
    let lines = threadbare.log.items();
    let loud = |line: &String| ["WARN", "ERROR"].contains(&level(line));
    lines.into_iter().filter(loud).collect()
}

#[test]
fn more_silent_clients_than_descriptors_disturb_nobody() {
    // Goal: 300 connections that say nothing, where 64 descriptors are all there are: a client that
    // asks is served meanwhile and afterwards, and the log does not fill.
    let backend = Backend::answering("ok");
    let threadbare = with_descriptors(64, &backend, &["--workers", "4"]);
    let silent: Vec<Client> = (0..300).map(|_| threadbare.client()).collect();
    for _ in 0..10 {
        assert_eq!(threadbare.get("/").status, 200);
    }
    drop(silent);
    for _ in 0..10 {
        assert_eq!(threadbare.get("/").status, 200);
    }
    let complaints = complaints(&threadbare);
    assert!(complaints.len() <= 1, "{complaints:#?}");
    threadbare.stop();
}

#[test]
fn more_busy_clients_than_descriptors_end_nothing() {
    // Goal: connections in the middle of a head can't be closed to make room: accepting pauses,
    // says so once, and goes on when they end.
    let backend = Backend::answering("ok");
    let threadbare = with_descriptors(64, &backend, &["--workers", "4"]);
    let half = |_| {
        let mut client = threadbare.client();
        client.send("GET / HTTP/1.1\r\nHost: a"); // at once: a silent one would be closed
        client
    };
    let busy: Vec<Client> = (0..300).map(half).collect();
    threadbare.await_line("accepting pauses: ");
    drop(busy);
    for _ in 0..10 {
        assert_eq!(threadbare.get("/").status, 200);
    }
    let complaints = complaints(&threadbare);
    assert_eq!(complaints.len(), 1, "{complaints:#?}");
    threadbare.stop();
}

#[test]
fn workers_find_descriptors_while_silent_clients_hold_all_others() {
    // Goal: what accepting takes must not be missing for the backends' connections. Trick: eight
    // workers at once, each of which needs one.
    let backend = Backend::answering("ok");
    let threadbare = with_descriptors(64, &backend, &["--workers", "8"]);
    let _silent: Vec<Client> = (0..300).map(|_| threadbare.client()).collect();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for n in 0..10 {
                    let answer = threadbare.get("/");
                    assert_eq!(answer.status, 200, "request {n}: {}", answer.text());
                }
            });
        }
    });
}

/// Descriptors and threads.
fn means(threadbare: &Threadbare) -> (usize, usize) {
    let count = |what: &str| {
        let entries = fs::read_dir(format!("/proc/{}/{what}", threadbare.pid()));
        entries.expect("the process lives").count()
    };
    (count("fd"), count("task"))
}

/// Waits, by asking, until there are no more of them than this.
#[track_caller]
fn await_means(threadbare: &Threadbare, most: (usize, usize)) {
    let start = Instant::now();
    loop {
        assert_eq!(threadbare.get("/").text(), "ok");
        let (n_fds, n_threads) = means(threadbare);
        if n_fds <= most.0 && n_threads <= most.1 {
            return;
        }
        assert!(
            start.elapsed() < DEADLINE,
            "awaited at most {most:?} descriptors and threads, there are {n_fds}, {n_threads}"
        );
    }
}

#[test]
fn connections_that_come_and_go_leave_nothing_behind() {
    // Goal: descriptors, threads and memory are where they were. Trick: clients that go at once, in
    // the middle of a head, and after an exchange, most with a reset, so that ports are not used
    // up; THREADBARE_CONNECTIONS sets how many, for soaks.
    let n = env::var("THREADBARE_CONNECTIONS").map_or(4000, |n| n.parse().expect("a number"));
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &["--workers", "4"]);
    let come_and_go = |n: usize| {
        for i in 0..n {
            let mut client = threadbare.client();
            match i % 4 {
                0 => assert_eq!(client.get("/").text(), "ok"),
                1 => client.send("GET / HTTP/1.1\r\nHo"),
                2 => client.send(request("/")),
                _ => {}
            }
            client.reset();
        }
    };
    let round = |n: usize| {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| come_and_go(n / 4));
            }
        });
    };
    round(400);
    // Each worker may keep a connection to the backend, and one client is being counted.
    let (n_fds, n_threads) = means(&threadbare);
    await_means(&threadbare, (n_fds.min(40), n_threads));
    let (n_fds, n_threads) = means(&threadbare);
    let before = threadbare.memory_kib("VmRSS");
    round(n);
    await_means(&threadbare, (n_fds + 5, n_threads));
    let after = threadbare.memory_kib("VmRSS");
    assert!(after < before + 2048, "{before} KiB before, {after} after");
    threadbare.stop();
}

/// This process holds the clients' ends.
fn raise_descriptor_limit() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit); // what it is then, is told below
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[test]
fn idle_connections_cost_a_descriptor_and_little_memory() {
    // Goal: 1,000 connected clients take no thread and under 10 MiB; half of them silent from the
    // start, half after an exchange. THREADBARE_IDLE sets how many, for soaks.
    let limit = raise_descriptor_limit();
    let n: u64 = env::var("THREADBARE_IDLE").map_or(1000, |n| n.parse().expect("a number"));
    if limit < n + 500 {
        eprintln!("only {limit} descriptors here: skipped");
        return;
    }
    let backend = Backend::answering("ok");
    let options = [
        "--workers",
        "4",
        "--header-timeout",
        "1h",
        "--max-connections",
        "20000",
    ];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    for _ in 0..100 {
        assert_eq!(threadbare.get("/").text(), "ok");
    }
    let mut first = threadbare.client();
    assert_eq!(first.get("/").text(), "ok");
    let (_, n_threads) = means(&threadbare);
    let before = threadbare.memory_kib("VmRSS");
    let mut idle = Vec::new();
    for i in 0..n {
        let stream = std::net::TcpStream::connect(threadbare.addr).expect("it accepts");
        if i % 2 == 0 {
            let mut client = Client::over(stream.try_clone().expect("a descriptor is free"));
            assert_eq!(client.get("/").text(), "ok");
        }
        idle.push(stream);
    }
    assert_eq!(first.get("/").text(), "ok");
    let (n_fds, n_threads_now) = means(&threadbare);
    assert!(n_fds as u64 > n, "{n} connections and {n_fds} descriptors");
    assert_eq!(n_threads_now, n_threads);
    let added = threadbare.memory_kib("VmRSS").saturating_sub(before);
    let most = 10 * 1024 * n / 1000;
    assert!(added < most, "{n} connections took {added} KiB");
    eprintln!("{n} idle connections took {added} KiB");
}
