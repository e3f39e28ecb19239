//! The pool: the set of backends, who of them is up, and whose turn it is.
//!
//! Called by every worker (pick, report) and by the health thread (report). Knows nothing of
//! HTTP: a backend is an address that takes connections, and an exchange failed or did not.

mod backend;
mod check;
pub(crate) mod dial;
mod health;
mod resolve;
mod url;

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{info, warn};

pub use self::backend::{Backend, Hold};
pub use self::check::{Timing, run as run_health};
pub use self::health::State;
pub use self::resolve::{look_up_all, run as run_resolver};
pub use self::url::BackendUrl;

use self::health::{Change, Health};
use crate::sync::{AtomicUsize, Ordering, RwLock};

/// The backends, and the round robin over those that are up.
#[derive(Debug)]
pub struct Pool {
    members: Vec<Arc<Backend>>,
    /// Whose turn it is, counted without end; its remainder by the number of backends up is an
    /// index into `Roster::up`. Relaxed: publishes nothing else, the roster has its own lock. Two
    /// threads never get the same number, which is all that evenness needs. It wraps, on a 32-bit
    /// machine after four billion picks, which shifts the turn once.
    next: AtomicUsize,
    /// The same for turns that fall to somebody who is passed over: they go round the others, so
    /// that no neighbour gets them all. Relaxed like `next`.
    detours: AtomicUsize,
    /// Workers that one backend may hold while others are up.
    max_held: usize,
    /// Protects health and up-list together, because they must agree. Held by readers for one
    /// pick, by writers for one report; never across I/O, logging or another lock.
    roster: RwLock<Roster>,
}

/// Why nobody was picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPick {
    /// All that are up were tried, or none is up.
    NobodyLeft,
    /// Some are left, and each has its share of the workers already.
    AllBusy,
}

#[derive(Debug)]
struct Roster {
    /// By index of the member.
    health: Vec<Health>,
    /// Indexes of the members that are up, in order.
    up: Vec<usize>,
}

impl Roster {
    fn update_up(&mut self) {
        self.up.clear();
        self.up
            .extend((0..self.health.len()).filter(|&idx| self.health[idx].is_up()));
    }
}

impl Pool {
    /// A pool of these backends, all of them unknown, which counts as up.
    pub fn new(urls: Vec<BackendUrl>, now: Instant) -> Pool {
        let health = vec![Health::new(now); urls.len()];
        let up = (0..urls.len()).collect();
        let backend = |(idx, url)| Arc::new(Backend::new(idx, url));
        Pool {
            members: urls.into_iter().enumerate().map(backend).collect(),
            next: AtomicUsize::new(0),
            detours: AtomicUsize::new(0),
            max_held: usize::MAX,
            roster: RwLock::new(Roster { health, up }),
        }
    }

    /// The same pool, in which one backend holds at most so many workers while others are up.
    #[must_use]
    pub fn with_share(self, max_held: usize) -> Pool {
        Pool { max_held, ..self }
    }

    /// All backends, up or not.
    pub fn members(&self) -> &[Arc<Backend>] {
        &self.members
    }

    /// The next backend that is up and not among `tried` (indexes), or none: for threads outside
    /// of the pool, whom no share concerns.
    ///
    /// Even also when some are down: the turn goes over those that are up, so the neighbour of a
    /// dead one gets no double share. A pool of one is always tried: nobody is better.
    pub fn pick(&self, tried: &[usize]) -> Option<Arc<Backend>> {
        self.find(tried, |backend, _| Some(Arc::clone(backend)))
            .ok()
    }

    /// The same for a worker of the pool, held until the hold is dropped. Passes over who has its
    /// share of the workers already, unless nobody else is up.
    pub fn pick_and_hold(&self, tried: &[usize]) -> Result<Hold, NoPick> {
        self.find(tried, Hold::take)
    }

    /// The first in turn whom `take`, told the limit, takes.
    fn find<T>(
        &self,
        tried: &[usize],
        take: impl Fn(&Arc<Backend>, usize) -> Option<T>,
    ) -> Result<T, NoPick> {
        if let [only] = self.members.as_slice() {
            let untried = Some(only).filter(|_| tried.is_empty());
            return untried
                .and_then(|only| take(only, usize::MAX))
                .ok_or(NoPick::NobodyLeft);
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let roster = self.roster.read();
        let n_up = roster.up.len();
        // `checked_rem` is none exactly when nobody is up.
        let start = turn.checked_rem(n_up).ok_or(NoPick::NobodyLeft)?;
        let limit = if n_up == 1 { usize::MAX } else { self.max_held };
        let mut none = NoPick::NobodyLeft;
        let mut look = |place: usize| {
            let idx = roster.up[place % n_up];
            if tried.contains(&idx) {
                return None;
            }
            let taken = take(&self.members[idx], limit);
            if taken.is_none() {
                none = NoPick::AllBusy;
            }
            taken
        };
        let mut found = look(start);
        if found.is_none() && n_up > 1 {
            let n_others = n_up - 1;
            let detour = self.detours.fetch_add(1, Ordering::Relaxed) % n_others;
            let others = (0..n_others).map(|i| start + 1 + (detour + i) % n_others);
            found = others.into_iter().find_map(look);
        }
        found.ok_or(none)
    }

    /// Closes all idle connections: this process has run out of descriptors.
    pub fn close_idle(&self) {
        for backend in &self.members {
            backend.close_idle();
        }
    }

    /// How many backends are up.
    pub fn n_up(&self) -> usize {
        self.roster.read().up.len()
    }

    /// The state of each backend.
    pub fn states(&self) -> Vec<State> {
        self.roster
            .read()
            .health
            .iter()
            .map(Health::state)
            .collect()
    }

    /// Reports an exchange that failed by the backend's fault.
    pub fn exchange_failed(&self, backend: &Backend, cause: &str, now: Instant) {
        backend.note_failure();
        let change = self.report(backend, |health, is_last| {
            health.exchange_failed(now, !is_last)
        });
        self.announce(backend, change.as_ref(), cause);
    }

    /// Reports an exchange that got an answer.
    pub fn exchange_succeeded(&self, backend: &Backend) {
        if backend.forget_failure() {
            self.roster.write().health[backend.idx].exchange_succeeded();
        }
    }

    /// Reports what a dial of the health thread found.
    pub fn dialed(&self, backend: &Backend, found: &Result<(), String>, now: Instant) {
        let change = self.report(backend, |health, _| match found {
            Ok(()) => health.dial_succeeded(now),
            Err(_) => health.dial_failed(now),
        });
        let cause = found
            .as_ref()
            .err()
            .map_or("it takes connections", String::as_str);
        self.announce(backend, change.as_ref(), cause);
    }

    /// Whether the next dials should follow quickly.
    pub fn is_changing(&self, now: Instant) -> bool {
        self.roster
            .read()
            .health
            .iter()
            .any(|health| health.is_changing(now))
    }

    /// Tells the health of one backend what happened, and keeps the up-list in step.
    fn report(
        &self,
        backend: &Backend,
        tell: impl FnOnce(&mut Health, bool) -> Option<Change>,
    ) -> Option<Change> {
        let mut roster = self.roster.write();
        let is_last = roster.up == [backend.idx];
        let change = tell(&mut roster.health[backend.idx], is_last);
        if change.is_some() {
            roster.update_up();
        }
        change
    }

    /// Logs a change, once, by the thread that caused it.
    fn announce(&self, backend: &Backend, change: Option<&Change>, cause: &str) {
        let Some(Change { to, lasted }) = change else {
            return;
        };
        let (n_up, n) = (self.n_up(), self.members.len());
        let (url, lasted) = (&backend.url, seconds(*lasted));
        if *to == State::Down {
            backend.close_idle();
            warn!("backend {url} is down: {cause} (was up for {lasted}); {n_up} of {n} up");
        } else {
            info!("backend {url} is up: {cause} (was down for {lasted}); {n_up} of {n} up");
        }
    }
}

/// `3.2s`: a duration for a log line.
fn seconds(duration: Duration) -> String {
    format!("{:.1}s", duration.as_secs_f64())
}

#[cfg(all(test, not(loom)))]
mod tests;
