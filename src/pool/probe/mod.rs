//! Probes many backends side by side from one thread: non-blocking sockets, and one poll for all.
//!
//! Owned by the thread that calls it. Knows no pool: a target has a number, and that is reported.

mod answer;
mod content;
mod job;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, poll};

use self::job::{Begun, Job};
use crate::pool::ProbeKind;
use crate::system::{plain, timespec};

/// Probes with a socket at a time, so that they leave descriptors to the exchanges. More wait
/// until one of these is decided, and only then their own time begins.
const MAX_SIDE_BY_SIDE: usize = 1024;
/// The longest part of an answer that is read in one turn, so that no backend delays the others.
const READ_BYTES: usize = 4096;
/// A lack of descriptors is logged no more often.
const LACK_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Whom to probe, and how.
#[derive(Clone, Debug)]
pub struct Target {
    /// By which it is reported.
    pub key: u64,
    /// Where it is.
    pub address: SocketAddr,
    /// What to do. Off is like a connect.
    pub kind: ProbeKind,
    /// The Host field, unless the probe names one.
    pub authority: String,
    /// What goes before the probe's path: empty, or a path that does not end with `/`.
    pub base: String,
    /// Bound on all of it, from the connect to the last byte needed.
    pub timeout: Duration,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is well.
    Good,
    /// It is well, and asks for no new requests.
    Draining,
    /// It is not, for this cause.
    Bad(String),
}

/// The probes in progress.
#[derive(Debug)]
pub struct Prober {
    /// By key. Bounded by `room`.
    jobs: BTreeMap<u64, Job>,
    /// Waiting for room, in order. Each key at most once, so bounded by the number of backends.
    queue: VecDeque<Target>,
    /// Decided, and to be reported by the next wait. Bounded as the queue.
    decided: Vec<(u64, Found)>,
    room: usize,
    /// What answers are read into, by turns.
    scratch: Box<[u8]>,
    /// When a lack of descriptors was logged last.
    lack_logged: Option<Instant>,
}

impl Default for Prober {
    fn default() -> Prober {
        Prober::new()
    }
}

impl Prober {
    /// Nothing in progress.
    pub fn new() -> Prober {
        Prober {
            jobs: BTreeMap::new(),
            queue: VecDeque::new(),
            decided: Vec::new(),
            room: MAX_SIDE_BY_SIDE,
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
            lack_logged: None,
        }
    }

    /// Probes that were begun and not yet reported.
    pub fn len(&self) -> usize {
        self.jobs.len() + self.queue.len() + self.decided.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether this one was begun and not yet reported.
    pub fn is_probing(&self, key: u64) -> bool {
        self.jobs.contains_key(&key)
            || self.decided.iter().any(|(other, _)| *other == key)
            || self.queue.iter().any(|target| target.key == key)
    }

    /// Begins one, in place of one of the same key. What is decided at once, as a refusal on this
    /// machine, is reported by the next [`Prober::wait`].
    ///
    /// A target is forgotten without a report when we lack descriptors: that is no fault of the
    /// backend. One line in the log tells of it, however many they are.
    pub fn begin(&mut self, target: Target, now: Instant) {
        self.cancel(target.key);
        if self.queue.is_empty() && self.jobs.len() < self.room {
            self.start(&target, now);
        } else {
            self.queue.push_back(target);
        }
    }

    /// Waits until some probe is decided, or for this long. Reports each as soon as it is known,
    /// at the latest at the end of its own time. Returns at once when none is in progress.
    pub fn wait(&mut self, at_most: Duration, mut report: impl FnMut(u64, Found)) {
        let until = Instant::now() + at_most;
        loop {
            let now = Instant::now();
            self.fill(now);
            self.look(until, now);
            self.give_up(Instant::now());
            let is_some_decided = !self.decided.is_empty();
            for (key, found) in self.decided.drain(..) {
                report(key, found);
            }
            if is_some_decided || self.is_empty() || Instant::now() >= until {
                return;
            }
        }
    }

    /// Forgets one: its backend is gone.
    pub fn cancel(&mut self, key: u64) {
        self.jobs.remove(&key);
        self.queue.retain(|target| target.key != key);
        self.decided.retain(|(other, _)| *other != key);
    }

    /// Starts those that wait for room, as far as there is some.
    fn fill(&mut self, now: Instant) {
        while self.jobs.len() < self.room
            && let Some(target) = self.queue.pop_front()
        {
            self.start(&target, now);
        }
    }

    fn start(&mut self, target: &Target, now: Instant) {
        let key = target.key;
        match Job::begin(target, now) {
            Begun::Pending(job) => {
                self.jobs.insert(key, job);
            }
            Begun::Decided(found) => self.decided.push((key, found)),
            Begun::NoMeans(error) => self.log_lack(&error, now),
        }
    }

    fn log_lack(&mut self, error: &io::Error, now: Instant) {
        let is_early = |logged| now.saturating_duration_since(logged) < LACK_LOG_INTERVAL;
        if !self.lack_logged.is_some_and(is_early) {
            log::warn!("cannot probe, and know nothing new: {}", plain(error));
            self.lack_logged = Some(now);
        }
    }

    /// One turn: waits until some socket is ready, or something is due, and goes on with those
    /// that are.
    fn look(&mut self, until: Instant, now: Instant) {
        if self.jobs.is_empty() {
            return;
        }
        let due = self
            .jobs
            .values()
            .map(Job::deadline)
            .fold(until, Instant::min);
        let patience = if self.decided.is_empty() {
            due.saturating_duration_since(now)
        } else {
            Duration::ZERO
        };
        let watch = |job| PollFd::from_borrowed_fd(Job::socket(job), Job::awaits(job));
        let mut fds: Vec<_> = self.jobs.values().map(watch).collect();
        // An interrupted poll is like one that timed out, but that nothing is known of any socket.
        if poll(&mut fds, Some(&timespec(patience))).is_err() {
            return;
        }
        let watched = self.jobs.keys().zip(&fds);
        let ready: Vec<u64> = watched
            .filter(|(_, fd)| !fd.revents().is_empty())
            .map(|(key, _)| *key)
            .collect();
        for key in ready {
            let job = self.jobs.get_mut(&key);
            if let Some(found) = job.and_then(|job| job.advance(&mut self.scratch)) {
                self.decide(key, found);
            }
        }
    }

    /// Decides those whose time is over.
    fn give_up(&mut self, now: Instant) {
        let late = |(key, job): (&u64, &Job)| (now >= job.deadline()).then(|| (*key, job.late()));
        let late: Vec<_> = self.jobs.iter().filter_map(late).collect();
        for (key, found) in late {
            self.decide(key, found);
        }
    }

    fn decide(&mut self, key: u64, found: Found) {
        self.jobs.remove(&key);
        self.decided.push((key, found));
    }
}

/// What is wrong with an answer.
fn ill(cause: &str) -> Found {
    Found::Bad(format!("health check: {cause}"))
}

#[cfg(all(test, not(loom)))]
mod tests;
