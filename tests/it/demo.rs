//! The demo: three backends of its own, one of which a new user kills.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Client, Threadbare, command};

/// A demo and what it said about its backends.
struct Demo {
    threadbare: Threadbare,
    /// Name, address and process of each backend.
    backends: Vec<(String, SocketAddr, Pid)>,
    text: String,
}

#[track_caller]
fn start(options: &[&str]) -> Demo {
    let args = [&["demo", "--listen", "127.0.0.1:0"], options].concat();
    let threadbare = Threadbare::launch(command(&args));
    let wanted = "what to type next, down to Ctrl-C";
    let lines = threadbare.out.wait(wanted, |lines| {
        lines
            .iter()
            .any(|line| line.contains("Ctrl-C"))
            .then(|| lines.to_vec())
    });
    let backends = lines.iter().filter_map(|line| backend(line)).collect();
    Demo {
        threadbare,
        backends,
        text: lines.join("\n"),
    }
}

/// Reads `b1 http://127.0.0.1:40001/ PID 1234`, whatever stands between.
fn backend(line: &str) -> Option<(String, SocketAddr, Pid)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let name = words
        .first()
        .filter(|word| ["b1", "b2", "b3"].contains(*word))?;
    let is_number = |c: char| c.is_ascii_digit() || c == '.' || c == ':';
    let addr = words.iter().find_map(|word| {
        word.trim_matches(|c| !is_number(c)).parse().ok().or(word
            .strip_prefix("http://")
            .and_then(|word| word.trim_end_matches('/').parse().ok()))
    })?;
    let pid = words.iter().skip(1).find_map(|word| word.parse().ok())?;
    Some(((*name).to_owned(), addr, Pid::from_raw(pid)?))
}

#[test]
fn the_demo_says_what_runs_and_what_to_type_next() {
    // Goal: three backends with address and process, a curl line with the real port, a kill line
    // with a real process.
    let demo = start(&[]);
    let names: Vec<&str> = demo
        .backends
        .iter()
        .map(|(name, ..)| name.as_str())
        .collect();
    assert_eq!(names, ["b1", "b2", "b3"], "{}", demo.text);
    assert!(
        demo.text
            .contains(&format!("curl http://{}/", demo.threadbare.addr)),
        "{}",
        demo.text
    );
    let killable = |(.., pid): &(String, SocketAddr, Pid)| {
        demo.text
            .contains(&format!("kill {}", pid.as_raw_nonzero()))
    };
    assert!(demo.backends.iter().any(killable), "{}", demo.text);
}

#[test]
fn the_demo_spreads_requests_over_three_backends() {
    // Goal: three requests, three names, and the answer tells backend, address, thread and path.
    let demo = start(&[]);
    let mut client = demo.threadbare.client();
    let answers: BTreeSet<String> = (0..3).map(|_| client.get("/hello?x").text()).collect();
    let heads: Vec<&str> = answers
        .iter()
        .map(|text| text.split(", thread ").next().expect("some"))
        .collect();
    let wanted: Vec<String> = demo
        .backends
        .iter()
        .map(|(name, addr, _)| format!("hello from {name} ({addr})"))
        .collect();
    assert_eq!(heads, wanted);
    for text in answers {
        let (_, rest) = text.split_once(", thread answer-").expect(&text);
        assert!(rest.trim_end().ends_with(": GET /hello?x"), "{text}");
    }
}

#[test]
fn killing_a_backend_of_the_demo_loses_no_request() {
    // Goal: the promise of the product, as a new user tries it. Trick: four clients ask as fast as
    // they can while the process is killed; every one of their requests must be answered with 200;
    // the rest go on until it is down.
    let demo = start(&["--health-interval", "100ms"]);
    let (asked, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (_, addr, pid) = &demo.backends[1];
    thread::scope(|scope| {
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(scope.spawn(|| {
                let mut client = demo.threadbare.client();
                while !done.load(SeqCst) {
                    assert_eq!(client.get("/").status, 200);
                    asked.fetch_add(1, SeqCst);
                }
            }));
        }
        let mut client = demo.threadbare.client();
        while asked.load(SeqCst) < 300 {
            assert_eq!(client.get("/").status, 200);
        }
        kill_process(*pid, Signal::KILL).expect("the backend lives");
        demo.threadbare
            .await_line(&format!("backend {addr} is down: "));
        done.store(true, SeqCst);
        for client in clients {
            client.join().expect("no request is lost");
        }
    });
    let answers: BTreeSet<String> = (0..4).map(|_| demo.threadbare.get("/").text()).collect();
    assert!(
        answers.iter().all(|text| !text.contains("from b2")),
        "{answers:?}"
    );
}

#[test]
fn the_hint_that_brings_a_backend_back_does_so_wherever_it_is_typed() {
    // Goal: the third command works as it is printed, in another folder and with nothing on PATH.
    // Trick: a shell becomes it once the first backend, whose address it names, is killed.
    let demo = start(&["--health-interval", "100ms"]);
    let hint = demo.text.lines().find_map(|line| {
        let (command, _) = line.split_once("brings it back")?;
        Some(command.trim().to_owned())
    });
    let hint = hint.expect("it says what brings it back");
    let (_, addr, pid) = &demo.backends[0];
    kill_process(*pid, Signal::KILL).expect("the backend lives");
    demo.threadbare
        .await_line(&format!("backend {addr} is down: "));
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("exec {hint}")]);
    shell.current_dir("/").env("PATH", "/nowhere");
    let back = Threadbare::spawn(shell);
    back.out.wait("its address", |lines| {
        let is_it = lines.first()?.ends_with(&format!("listening on {addr}"));
        is_it.then_some(())
    });
    assert_eq!(Client::connect(*addr).get("/").status, 200);
}

#[test]
fn make_run_passes_options_on() {
    // Goal: what README says of `make run ARGS=...` holds. Trick: it stands in one line of each.
    let (readme, makefile) = (
        include_str!("../../README.md"),
        include_str!("../../Makefile"),
    );
    assert!(readme.contains("make run ARGS=\"--workers 1 --queue 1\""));
    assert!(makefile.contains("\n\t\"$(BINARY)\" demo $(ARGS)\n"));
}

#[test]
fn the_demos_backends_end_with_it() {
    // Goal: Ctrl-C leaves nothing behind, exit 0; nor does a kill that gives no time to tidy up.
    // Trick: once the process is gone and its pipes are closed, the backends' ports refuse.
    for signal in [Signal::INT, Signal::KILL] {
        let demo = start(&[]);
        assert_eq!(demo.threadbare.get("/").status, 200);
        demo.threadbare.signal(signal);
        let code = demo.threadbare.exit_code();
        assert_eq!(code, (signal == Signal::INT).then_some(0));
        for (name, addr, _) in &demo.backends {
            // A backend that still accepts holds the connection until it ends, which ends the
            // connection.
            if let Ok(stream) = TcpStream::connect(addr) {
                Client::over(stream).assert_ended();
            }
            assert!(TcpStream::connect(addr).is_err(), "{name} lives on");
        }
    }
}

#[test]
fn a_backend_of_the_demo_can_run_alone() {
    // Goal: the command that brings a killed one back works by itself, in the foreground.
    let backend = Threadbare::spawn(command(&["demo-backend", "--listen", "127.0.0.1:0"]));
    let addr: SocketAddr = backend.out.wait("its address", |lines| {
        let (_, addr) = lines.first()?.rsplit_once("listening on ")?;
        addr.trim().parse().ok()
    });
    let text = Client::connect(addr).get("/alone").text();
    assert!(
        text.contains("hello from ") && text.contains(": GET /alone"),
        "{text}"
    );
}

#[test]
fn backends_of_ones_own_do_not_go_with_the_demo() {
    // Goal: a contradiction is told, not resolved by guessing.
    let run = crate::harness::run(&["demo", "--backend", "http://127.0.0.1:8081"]);
    assert_eq!((run.code, run.stderr.len()), (Some(2), 1), "{run:?}");
    assert!(run.stderr[0].contains("--backend"), "{run:?}");
}
