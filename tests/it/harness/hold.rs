//! What a pool must hold: under load, while backends are added, drained, removed, reloaded, killed
//! and restarted all at once, no request fails but those that a killed backend had in flight and
//! that must not be sent twice; and a drained backend gets none.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use super::admin::{Admin, backend_path};
use super::folder::Folder;
use super::load::{Counting, Failure, Load, Sums};

const N_CLIENTS: usize = 64;
const N_RELOADS: usize = 20;
/// Requests that are answered between two steps of who drains, adds or kills: enough for each
/// backend to be in full use.
const STEP: usize = 200;

/// How long after its process is gone a backend's end may reach the balancer: where many threads
/// are runnable, the kernel delivers over loopback when one of its own gets a turn.
const UNNOTICED: Duration = Duration::from_millis(250);

/// A backend that can die. Two of them take turns.
pub trait Mortal: Send {
    fn addr(&self) -> SocketAddr;
    fn kill(&mut self);
    fn restart(&mut self);
}

impl Mortal for Counting {
    fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn kill(&mut self) {
        Counting::kill(self);
    }

    fn restart(&mut self) {
        Counting::restart(self);
    }
}

/// What was done under the load.
#[derive(Debug, Default)]
struct Done {
    n_reloads: usize,
    n_drains: usize,
    n_adds: usize,
    /// From just before to just after each.
    kills: Vec<(Instant, Instant)>,
}

impl Done {
    /// A failure beside the kills, in milliseconds since the first of these.
    fn describe(&self, failure: &Failure) -> String {
        let Failure {
            method,
            sent,
            ended,
            what,
        } = failure;
        let first = self.kills.first().map_or(*sent, |(begun, _)| *begun);
        let ms = |at: &Instant| match at.checked_duration_since(first) {
            Some(after) => format!("{}", after.as_millis()),
            None => format!("-{}", (first - *at).as_millis()),
        };
        let kills = self.kills.iter();
        let kills: Vec<String> = kills
            .map(|(a, b)| format!("{}..{}", ms(a), ms(b)))
            .collect();
        let (sent, ended) = (ms(sent), ms(ended));
        format!(
            "{method} {sent}..{ended}: {what:?}; kills {}",
            kills.join(" ")
        )
    }
}

struct Scene<'a> {
    admin: &'a Admin,
    load: &'a Load,
    until: Instant,
    done: Mutex<Done>,
}

/// Runs all of it for so long; fails unless everything holds, and says what was done.
#[track_caller]
pub fn hold(lasts: Duration, mortals: &mut [Box<dyn Mortal>; 2]) -> String {
    let drained = [Counting::start(), Counting::start()];
    let (added, reloaded) = (Counting::start(), Counting::start());
    let folder = Folder::new();
    let mut urls: Vec<String> = drained.iter().map(Counting::url).collect();
    urls.extend(
        mortals
            .iter()
            .map(|mortal| format!("http://{}", mortal.addr())),
    );
    let files = [
        text(&urls, 1),
        text(&[&urls[..], &[reloaded.url()]].concat(), 3),
    ];
    let admin = Admin::with_file(&folder.write("t.toml", &files[0]));
    let load = Load::start(admin.threadbare.addr, N_CLIENTS);
    let scene = Scene {
        admin: &admin,
        load: &load,
        until: Instant::now() + lasts,
        done: Mutex::default(),
    };
    thread::scope(|scope| {
        let (_running, ended) = channel::<()>();
        let write = |n: usize| folder.write("t.toml", &files[n % 2]);
        let scene = &scene;
        scope.spawn(move || scene.reload(lasts, &write, &ended));
        scope.spawn(|| scene.drain(&drained));
        scope.spawn(|| scene.add(&added));
        scene.kill(mortals);
    });
    let done = scene.done.into_inner().expect("nobody panics with it");
    let sums = load.stop();
    admin.threadbare.stop();
    assert_holds(&sums, &done);
    let counts = [&drained[0], &drained[1]].map(Counting::n_requests);
    assert!(
        counts.iter().all(|n| *n > 0),
        "both were in use: {counts:?}"
    );
    // Whoever comes waits for a probe, and a reload may take it away before.
    let guests = [&added, &reloaded].map(Counting::n_requests);
    let told = tell(&sums, &done);
    format!("{told}; {counts:?} requests for those that stayed, {guests:?} for those that came")
}

/// A pool with these backends. `retries` differs between two files, so that settings change too.
fn text(urls: &[String], retries: usize) -> String {
    let mut text = format!(
        "[pool.default]\npolicy = \"least-connections\"\nretries = {retries}\n\
         health_interval = \"100ms\"\nhealth_fast_interval = \"50ms\"\neject_time = \"100ms\"\n\
         backends = [\n"
    );
    for url in urls {
        writeln!(text, "  \"{url}\",").expect("a String takes any text");
    }
    text + "]\n"
}

impl Scene<'_> {
    fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }

    fn note(&self, note: impl FnOnce(&mut Done)) {
        note(&mut self.done.lock().expect("nobody panics with it"));
    }

    #[track_caller]
    fn step(&self) {
        assert!(self.load.await_answers(STEP), "the load stands still");
    }

    /// A backend comes and goes with the file, twenty times, by SIGHUP.
    fn reload(&self, lasts: Duration, write: &dyn Fn(usize) -> String, never: &Receiver<()>) {
        let pause = lasts / (u32::try_from(N_RELOADS).expect("it is small") + 1);
        for n in 1..=N_RELOADS {
            // Nothing ever comes: it is a pause.
            let _ = never.recv_timeout(pause);
            write(n);
            self.admin.threadbare.signal(Signal::HUP);
            self.admin.threadbare.await_lines("(main) reloaded: ", n);
            self.note(|done| done.n_reloads += 1);
        }
    }

    /// One of the two is drained at a time; what was counted as the drain returned must be the
    /// count after many more requests.
    fn drain(&self, backends: &[Counting; 2]) {
        for backend in backends.iter().cycle() {
            if !self.goes_on() {
                return;
            }
            let path = format!("{}/drain", backend_path(backend.addr));
            let (status, told) = self.admin.ask("POST", &path, r#"{"timeout":"15s"}"#);
            let n_at_return = backend.n_requests();
            assert_eq!((status, &told["drained"]), (200, &true.into()), "{told}");
            self.step();
            assert_eq!(
                backend.n_requests(),
                n_at_return,
                "after its drain returned"
            );
            assert!(self.admin.change(backend.addr, "enable", ""));
            self.step();
            self.note(|done| done.n_drains += 1);
        }
    }

    /// One is added and removed by the API; a reload may take it away in between, as the file does
    /// not have it.
    fn add(&self, backend: &Counting) {
        let path = backend_path("guest");
        let new = json!({ "url": backend.url() }).to_string();
        while self.goes_on() {
            let (status, told) = self.admin.ask("PUT", &path, &new);
            assert!([200, 201].contains(&status), "{told}");
            self.step();
            let drain = format!("{path}/drain");
            let (status, told) = self.admin.ask("POST", &drain, r#"{"timeout":"15s"}"#);
            assert!([200, 404].contains(&status), "{told}");
            let (status, told) = self.admin.ask("DELETE", &path, "");
            assert_eq!(status, 200, "{told}");
            let n_at_return = backend.n_requests();
            self.step();
            // A reload that took it away left what was in flight.
            let late = backend.n_requests() - n_at_return;
            assert!(
                late == 0 || told["changed"] == false,
                "{late} after it was removed"
            );
            self.note(|done| done.n_adds += 1);
        }
    }

    /// One of the two is killed at a time, and the other only once it is up again.
    fn kill(&self, mortals: &mut [Box<dyn Mortal>; 2]) {
        let mut n = [0, 0];
        while self.goes_on() {
            for (mortal, n) in mortals.iter_mut().zip(&mut n) {
                self.step();
                let begun = Instant::now();
                mortal.kill();
                self.note(|done| done.kills.push((begun, Instant::now())));
                let is = |state: &str| format!("backend {} is {state}: ", mortal.addr());
                *n += 1;
                self.admin.threadbare.await_lines(&is("down"), *n);
                let (down, up) = (is("down"), is("up"));
                mortal.restart();
                // It is up for good when it was said so after the last time that it was down.
                self.admin.threadbare.log.wait("it is up again", |lines| {
                    let last = |text: &str| lines.iter().rposition(|line| line.contains(text));
                    (last(&up) > last(&down)).then_some(())
                });
                let lines = self.admin.threadbare.lines(&down);
                *n = lines.len();
            }
        }
    }
}

#[track_caller]
fn assert_holds(sums: &Sums, done: &Done) {
    let hits = |failure: &Failure| {
        let overlaps = |(begun, ended): &(Instant, Instant)| {
            *begun <= failure.ended && failure.sent <= *ended + UNNOTICED
        };
        done.kills.iter().any(overlaps)
    };
    let may = |failure: &Failure| {
        failure.method == "POST" && failure.what.starts_with("HTTP/1.1 502 ") && hits(failure)
    };
    let bad = sums.failures.iter().filter(|failure| !may(failure));
    let bad: Vec<String> = bad.map(|failure| done.describe(failure)).collect();
    assert!(bad.is_empty(), "{}\n{bad:#?}", tell(sums, done));
    // Each kill can meet one request of each client.
    assert!(sums.failures.len() <= done.kills.len() * N_CLIENTS);
    assert_eq!(done.n_reloads, N_RELOADS);
    let n = (done.n_drains, done.n_adds, done.kills.len());
    assert!(n.0 > 0 && n.1 > 0 && n.2 > 1, "{}", tell(sums, done));
}

fn tell(sums: &Sums, done: &Done) -> String {
    let Sums {
        n_gets,
        n_posts,
        failures,
    } = sums;
    let Done {
        n_reloads,
        n_drains,
        n_adds,
        kills,
    } = done;
    format!(
        "{n_gets} GETs and {n_posts} POSTs, {} failed; {n_reloads} reloads, {n_drains} drains, \
         {n_adds} backends added and removed, {} killed and restarted",
        failures.len(),
        kills.len()
    )
}
