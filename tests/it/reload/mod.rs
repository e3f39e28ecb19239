//! SIGHUP: the file is read again, and applied whole or not at all, while requests go on.

mod applied;
mod kept;
mod lasting;
mod refused;
mod replaced;
mod restart;
mod signals;
mod storm;

use std::process::Command;

use rustix::process::Signal;

use crate::harness::{Backend, Client, ConfigFile, Threadbare, command, level};

/// How the log begins to tell what a reload did, and how it refuses one.
const RELOADED: &str = "] (main) reloaded: ";
const REFUSED: &str = "] (main) reload refused, the old configuration runs on: ";

/// Probes only at the start, for tests in which nothing else may change a state.
const ONE_PROBE: &str = "health_interval = \"1h\"\nhealth_fast_interval = \"1h\"\n";

/// A server and the file that it reads again.
struct Site {
    threadbare: Threadbare,
    file: ConfigFile,
}

impl Site {
    /// On a free port, with this text as its file.
    #[track_caller]
    fn start(name: &str, text: &str) -> Self {
        Self::start_with(name, text, |_| ())
    }

    /// The same, with a word to the command before it runs.
    #[track_caller]
    fn start_with(name: &str, text: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        let file = ConfigFile::new(&format!("reload-{name}"), text);
        let mut command = command(&["--config", file.path(), "--listen", "127.0.0.1:0"]);
        prepare(&mut command);
        let threadbare = Threadbare::launch(command);
        Self { threadbare, file }
    }

    /// Asks for a reload without waiting for it.
    fn hup(&self) {
        self.threadbare.signal(Signal::HUP);
    }

    /// Reloads this text. Returns what the log says has changed, a line for each: when it says so,
    /// all of it is applied.
    #[track_caller]
    fn reload(&self, text: &str) -> Vec<String> {
        self.file.write(text);
        self.reload_as_it_is()
    }

    /// Reloads what is in the file.
    #[track_caller]
    fn reload_as_it_is(&self) -> Vec<String> {
        let n = self.threadbare.lines(RELOADED).len();
        self.hup();
        self.changes(n)
    }

    /// What reload number `n` changed, counted from 0.
    #[track_caller]
    fn changes(&self, n: usize) -> Vec<String> {
        let wanted = format!("reload {n} and all of its lines");
        self.threadbare.log.wait(&wanted, |lines| {
            let is_main = |line: &&String| line.contains("] (main) ");
            let mut lines = lines
                .iter()
                .filter(is_main)
                .skip_while(|line| !line.contains(RELOADED));
            for _ in 0..n {
                lines.next();
                while !lines.clone().next()?.contains(RELOADED) {
                    lines.next();
                }
            }
            let (_, told) = lines.next()?.split_once(RELOADED)?;
            let n_changes = match told.split_once(' ')? {
                ("nothing", _) => 0,
                (number, _) => number.parse().ok()?,
            };
            let changes: Vec<String> = lines
                .filter_map(|line| Some(line.split_once("] (main)   ")?.1.to_owned()))
                .take(n_changes)
                .collect();
            (changes.len() == n_changes).then_some(changes)
        })
    }

    /// Reloads this text, which is not valid. Returns what is wrong with it: one line, an error.
    #[track_caller]
    fn refuse(&self, text: &str) -> String {
        self.file.write(text);
        self.refuse_as_it_is()
    }

    #[track_caller]
    fn refuse_as_it_is(&self) -> String {
        let n = self.threadbare.lines(REFUSED).len();
        self.hup();
        let mut lines = self.threadbare.await_lines(REFUSED, n + 1);
        let line = lines.pop().expect("it was awaited");
        assert_eq!(level(&line), "ERROR", "{line}");
        let (_, faults) = line.split_once(REFUSED).expect("it was found by this");
        faults.to_owned()
    }

    fn client(&self) -> Client {
        self.threadbare.client()
    }

    /// The answer's content, which is that of a complete 200.
    #[track_caller]
    fn get(&self, target: &str) -> String {
        content(&mut self.client(), target)
    }
}

#[track_caller]
fn content(client: &mut Client, target: &str) -> String {
    let answer = client.get(target);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text()
}

/// A file with one pool, `web`: these backends, by name, each with what follows its URL.
fn web(settings: &str, backends: &[(&str, &Backend, &str)]) -> String {
    format!("[pool.web]\n{settings}{}", list(backends))
}

/// `backends = [...]` of a pool.
fn list(backends: &[(&str, &Backend, &str)]) -> String {
    let entry = |(name, backend, more): &(&str, &Backend, &str)| {
        format!("\"{},name={name}{more}\"", backend.url())
    };
    let entries: Vec<String> = backends.iter().map(entry).collect();
    format!("backends = [{}]\n", entries.join(", "))
}

/// How many requests each backend has seen.
fn shares(backends: &[&Backend]) -> Vec<usize> {
    backends.iter().map(|backend| backend.seen.len()).collect()
}

/// How many each has seen since `before`.
fn since(before: &[usize], backends: &[&Backend]) -> Vec<usize> {
    let after = shares(backends);
    after.iter().zip(before).map(|(a, b)| a - b).collect()
}

fn request(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: front.test\r\n\r\n")
}
