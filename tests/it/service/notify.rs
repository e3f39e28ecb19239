//! What the service manager is told, and that it is told the truth.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};

use crate::harness::{Backend, Client, ConfigFile, Gate, Manager, Threadbare, command};

const INTERVAL: Duration = Duration::from_secs(1);

/// One that this manager started, before these backends.
fn start(
    manager: &Manager,
    backends: &[&Backend],
    options: &[&str],
    watchdog: Option<Duration>,
) -> Threadbare {
    let urls: Vec<String> = backends.iter().map(|backend| backend.url()).collect();
    let mut args: Vec<&str> = urls.iter().flat_map(|url| ["--backend", url]).collect();
    args.extend(["--listen", "127.0.0.1:0"]);
    args.extend(options);
    let mut command = command(&args);
    manager.adopt(&mut command, watchdog);
    Threadbare::launch(command)
}

/// The value in a message.
fn value<'a>(message: &'a str, name: &str) -> &'a str {
    let mut lines = message.lines();
    let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("{name} is not in {message:?}"))
}

fn monotonic_usec() -> i128 {
    let now = clock_gettime(ClockId::Monotonic);
    i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000
}

#[test]
fn it_is_ready_when_it_listens_and_stopping_when_the_end_begins() {
    // Goal: a client that comes on READY is served at once, where STATUS says. Trick: STOPPING must
    // come while a request is still held, and nothing is said behind it. Both kinds of addresses.
    for manager in [Manager::new(), Manager::abstract_one()] {
        let gate = Gate::closed();
        let backend = Backend::holding("a", &gate);
        let options = ["--shutdown-timeout", "1h"];
        let threadbare = start(&manager, &[&backend], &options, None);
        let status = manager.await_line("READY=1", 1);
        let status = value(&status, "STATUS");
        let (at, rest) = status
            .strip_prefix("listening on ")
            .and_then(|rest| rest.split_once(", "))
            .expect("it says where");
        assert_eq!(rest, "1 of 1 backend up");
        let at: SocketAddr = at.parse().expect("it is an address");
        let mut client = Client::connect(at);
        client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
        backend.await_requests(1);
        threadbare.signal(Signal::TERM);
        let stopping = manager.await_line("STOPPING=1", 1);
        assert_eq!(value(&stopping, "STATUS"), "stopping: SIGTERM");
        gate.open();
        assert_eq!(client.answer().text(), "a");
        assert_eq!(threadbare.exit_code(), Some(0));
        let (last, _) = manager.heard.items().pop().expect("something was said");
        assert_eq!(last, stopping);
        assert_eq!(manager.times("WATCHDOG=1").len(), 0, "nobody wants it");
    }
}

#[test]
fn a_reload_is_told_from_its_begin_to_its_end() {
    // Goal: RELOADING with the time, then READY, for a reload that changes something, and for one
    // that is refused.
    let manager = Manager::new();
    let (a, b) = (Backend::answering("a"), Backend::answering("b"));
    let text = |urls: &[String]| format!("[pool.web]\nbackends = {urls:?}\n");
    let file = ConfigFile::new("told", &text(&[a.url()]));
    let args = ["--config", file.path(), "--listen", "127.0.0.1:0"];
    let mut command = command(&args);
    manager.adopt(&mut command, None);
    let threadbare = Threadbare::launch(command);
    manager.await_line("READY=1", 1);
    let reload = |n: usize, wanted: &str| {
        let before = monotonic_usec();
        threadbare.signal(Signal::HUP);
        let begun = manager.await_line("RELOADING=1", n);
        let usec: i128 = value(&begun, "MONOTONIC_USEC")
            .parse()
            .expect("it is a number");
        assert!((before..=monotonic_usec()).contains(&usec), "{usec}");
        let ready = manager.await_line("READY=1", n + 1);
        assert!(value(&ready, "STATUS").contains(wanted), "{ready}");
    };
    file.write(&text(&[a.url(), b.url()]));
    reload(1, "of 2 backends up");
    file.write("nonsense\n[a\n");
    reload(2, "reload refused, the old configuration runs on: ");
    let order: Vec<_> = manager.heard.items().into_iter().map(|(m, _)| m).collect();
    let kinds = order.iter().filter_map(|m| m.lines().next());
    let kinds: Vec<_> = kinds.filter(|line| !line.starts_with("STATUS=")).collect();
    let reload = ["RELOADING=1", "READY=1"];
    assert_eq!(kinds, [&["READY=1"][..], &reload, &reload].concat());
    threadbare.stop();
}

#[test]
fn the_state_of_the_backends_is_told_when_it_changes() {
    let manager = Manager::new();
    let (a, b) = (Backend::answering("a"), Backend::answering("b"));
    let threadbare = start(&manager, &[&a, &b], &["--health-interval", "50ms"], None);
    let status = |n: usize| {
        let addr = threadbare.addr;
        format!("STATUS=listening on {addr}, {n} of 2 backends up")
    };
    manager.await_line(&status(2), 1);
    drop(b);
    manager.await_line(&status(1), 1);
    threadbare.stop();
}

/// Waits for so many feeds from now on; none comes later than an interval after the one before.
#[track_caller]
fn assert_fed(manager: &Manager, n: usize) {
    let n_before = manager.times("WATCHDOG=1").len();
    let mut last = Instant::now();
    for n in n_before + 1..=n_before + n {
        manager.await_line("WATCHDOG=1", n);
        let at = manager.times("WATCHDOG=1")[n - 1];
        let after = at.saturating_duration_since(last);
        // Half of it is the rule; a busy machine is forgiven what systemd would forgive.
        assert!(after < INTERVAL, "feed {n} came after {after:?}");
        last = at;
    }
}

#[test]
fn the_watchdog_is_fed_while_idle_while_all_workers_are_busy_and_while_stopping() {
    // Goal: who has nothing to do, and who has too much, are both alive. Trick: one worker, which
    // cannot be promoted, and a queue behind it that nobody can take from.
    let manager = Manager::new();
    let gate = Gate::closed();
    let backend = Backend::holding("a", &gate);
    let options = [
        ["--workers", "1"],
        ["--long-haul", "0"],
        ["--queue-timeout", "1h"],
        ["--shutdown-timeout", "1h"],
    ];
    let threadbare = start(
        &manager,
        &[&backend],
        options.as_flattened(),
        Some(INTERVAL),
    );
    manager.await_line("READY=1", 1);
    assert_fed(&manager, 3);
    let mut clients: Vec<Client> = (0..3).map(|_| threadbare.client()).collect();
    for client in &mut clients {
        client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    backend.await_requests(1);
    assert_fed(&manager, 4);
    threadbare.signal(Signal::TERM);
    manager.await_line("STOPPING=1", 1);
    assert_fed(&manager, 4);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.answer().text(), "a");
    }
    assert_eq!(threadbare.exit_code(), Some(0));
    assert_eq!(threadbare.lines("watchdog"), [""; 0]);
}

#[test]
fn a_manager_that_cannot_be_told_does_not_keep_it_from_serving() {
    // Goal: a line that says so, and requests are answered. Trick: a name that is no address, and
    // one that nobody listens at.
    let backend = Backend::answering("a");
    let url = backend.url();
    for (address, wanted) in [
        ("nowhere", "NOTIFY_SOCKET=nowhere can't be used"),
        ("/nonexistent/notify", "can't be told READY=1"),
    ] {
        let mut command = command(&["--backend", &url, "--listen", "127.0.0.1:0"]);
        command.env("NOTIFY_SOCKET", address);
        let threadbare = Threadbare::launch(command);
        assert_eq!(threadbare.get("/").text(), "a");
        threadbare.await_line(wanted);
        threadbare.stop();
    }
}
