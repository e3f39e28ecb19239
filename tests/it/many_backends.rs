//! Pools of hundreds of backends.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::harness::{Backend, Gate, HangingPort, Seen, Threadbare, ok};

/// What the health checks of these tests ask for, behind each backend's base.
const PATH: &str = "/up";
/// The time of one health check.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A thousand connections to ourselves take as many descriptors here.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("a process may use what it may have");
}

fn is_probe(seen: &Seen) -> bool {
    seen.head.word(1).ends_with(PATH)
}

/// One process that stands for many backends, by their bases; health checks are not kept.
fn many() -> Backend {
    Backend::start(|mut conn| {
        loop {
            let target = conn.request()?.head.word(1).to_owned();
            if target.ends_with(PATH) {
                return conn.send(ok(""));
            }
            conn.send(ok(&target))?;
        }
    })
}

/// How many health checks, or requests, came for each base.
fn counts(seen: &[Seen], are_probes: bool) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for seen in seen {
        if is_probe(seen) == are_probes {
            let base = seen.head.word(1).split('/').nth(1).unwrap_or_default();
            *counts.entry(base.to_owned()).or_insert(0) += 1;
        }
    }
    counts
}

/// Waits until so many of a backend's bases were asked how they are.
#[track_caller]
fn await_probed(backend: &Backend, n: usize) {
    let are_all = |seen: &[Seen]| {
        let mut bases: Vec<&str> = seen
            .iter()
            .filter(|s| is_probe(s))
            .map(|s| s.head.word(1))
            .collect();
        bases.sort_unstable();
        bases.dedup();
        (bases.len() == n).then_some(())
    };
    backend
        .seen
        .wait(&format!("health checks for {n} bases"), are_all);
}

/// The time of a log line, in seconds of its day.
fn time_of(line: &str) -> f64 {
    let (_, time) = line.split_once('T').expect(line);
    let (time, _) = time.split_once('Z').expect(line);
    let numbers = time
        .split(':')
        .map(|number| number.parse::<f64>().expect(line));
    numbers.fold(0.0, |sum, number| sum * 60.0 + number)
}

/// From one line to the other, also over midnight.
fn seconds_between(first: &str, last: &str) -> f64 {
    (time_of(last) - time_of(first)).rem_euclid(86_400.0)
}

#[cfg(target_os = "linux")]
fn n_threads(threadbare: &Threadbare) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", threadbare.pid()));
    tasks.expect("the process lives").count()
}

/// What the health thread has used of the processor, in seconds.
#[cfg(target_os = "linux")]
fn health_cpu(threadbare: &Threadbare) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", threadbare.pid()));
    for task in tasks.expect("the process lives").flatten() {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        if let Some((_, fields)) = stat.split_once("(health) ") {
            let field = |idx: usize| {
                fields
                    .split(' ')
                    .nth(idx)
                    .and_then(|f| f.parse::<f64>().ok())
            };
            // Fields 14 and 15 of the whole line, in ticks of a hundredth of a second.
            let ticks = field(11).zip(field(12)).expect("Linux tells it");
            return (ticks.0 + ticks.1) / 100.0;
        }
    }
    panic!("no thread named health");
}

#[test]
fn five_hundred_of_which_half_hang_are_one_round() {
    // Goal: all good ones serve and all that hang are down within the timeout and a bit more than a
    // second, with no thread more, and requests are answered meanwhile. Trick: bases, so that two
    // sockets are 500 backends; half of those that hang swallow the connect, half the request.
    raise_descriptor_limit();
    let good = many();
    let swallows_connects = HangingPort::take();
    let never = Gate::closed();
    let held = never.clone();
    let swallows_requests = Backend::start(move |mut conn| {
        conn.request()?;
        held.pass()
    });
    let mut urls = Vec::new();
    for n in 0..125 {
        urls.push(format!("{}/{n}", good.url()));
        urls.push(format!("http://{}/{n}", swallows_connects.addr));
        urls.push(format!("{}/{}", good.url(), n + 125));
        urls.push(format!("{}/{n}", swallows_requests.url()));
    }
    let mut args: Vec<&str> = urls.iter().flat_map(|url| ["--backend", url]).collect();
    args.extend([
        "--workers",
        "8",
        "--health-path",
        PATH,
        "--health-timeout",
        "2s",
    ]);
    // Only health checks tell; and who hangs costs a request a tenth of a second.
    args.extend(["--max-failures", "0", "--connect-timeout", "100ms"]);
    args.extend([
        "--response-timeout",
        "100ms",
        "--retry-on",
        "timeout",
        "--retries",
        "9",
    ]);
    let threadbare = Threadbare::start(&args);
    #[cfg(target_os = "linux")]
    let before = n_threads(&threadbare);

    let is_over = AtomicBool::new(false);
    let n_served = thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut n_served = 0;
            let mut client = threadbare.client();
            while !is_over.load(SeqCst) {
                assert_eq!(client.get("/").status, 200);
                n_served += 1;
            }
            n_served
        });
        let lines = threadbare.await_lines(" is down: ", 250);
        is_over.store(true, SeqCst);
        let first = threadbare.await_line("listening on ");
        let took = seconds_between(&first, &lines[249]);
        let most = TIMEOUT.as_secs_f64() + 1.5;
        assert!(took < most, "all were known after {took} s");
        let spread = seconds_between(&lines[0], &lines[249]);
        assert!(spread < 1.5, "{spread} s between the first and the last");
        asking.join().expect("all requests are answered")
    });
    assert!(n_served > 0);
    await_probed(&good, 250);
    assert_eq!(
        threadbare.lines(&good.addr.to_string()),
        [""; 0],
        "no good one is down"
    );
    #[cfg(target_os = "linux")]
    assert_eq!(n_threads(&threadbare), before);

    let mut client = threadbare.client();
    let before = good.seen.len();
    for _ in 0..500 {
        assert_eq!(client.get("/").status, 200);
    }
    // At least one each: an answer that a busy machine makes late is asked of another one, too.
    let seen = good.seen.items().split_off(before);
    let n_bases = counts(&seen, false).len();
    assert_eq!(n_bases, 250);
}

#[test]
fn a_thousand_backends_start_and_serve() {
    // Goal: each of a thousand is asked how it is and gets its share. Trick: one that stands for
    // all, by their bases.
    raise_descriptor_limit();
    let good = many();
    let urls: Vec<_> = (0..1000).map(|n| format!("{}/{n}", good.url())).collect();
    let mut args: Vec<&str> = urls.iter().flat_map(|url| ["--backend", url]).collect();
    args.extend(["--health-path", PATH]);
    let threadbare = Threadbare::start(&args);
    let mut client = threadbare.client();
    for _ in 0..2000 {
        assert_eq!(client.get("/").status, 200);
    }
    let counts = counts(&good.seen.items(), false);
    assert_eq!(counts.len(), 1000);
    assert!(counts.values().all(|n| *n == 2), "{counts:?}");
    await_probed(&good, 1000);
    assert_eq!(threadbare.lines(" is down: "), [""; 0]);
}

#[cfg(target_os = "linux")]
#[test]
fn who_hangs_for_longer_than_the_interval_costs_no_processor_time() {
    // Goal: the health thread sleeps while the checks in progress are silent, also when the next
    // ones would be due already. Trick: the processor time of that very thread, over a time that
    // checks of another backend measure: these are due every tenth of a second.
    let (never, silent) = (Gate::closed(), HangingPort::take());
    let held = never.clone();
    let hangs = Backend::start(move |mut conn| {
        conn.request()?;
        held.pass()
    });
    let good = many();
    let addrs = [good.addr, hangs.addr, silent.addr];
    let options = ["--health-path", PATH, "--health-interval", "100ms"];
    let options = [&options[..], &["--health-timeout", "1m"]].concat();
    let threadbare = Threadbare::before(&addrs, &options);
    hangs.await_requests(1);
    let n_before = good.await_requests(3).len();
    let before = health_cpu(&threadbare);
    good.await_requests(n_before + 20);
    let used = health_cpu(&threadbare) - before;
    assert!(used < 0.5, "{used} s of processor time in two seconds");
    assert_eq!(threadbare.lines(" is down: "), [""; 0]);
}
