//! The pool: the set of backends, who of them is up, and whose turn it is.
//!
//! Called by every worker (pick, report) and by the health thread (report). Knows nothing of
//! HTTP: a backend is an address that takes connections, and an exchange failed or did not.

mod backend;
mod check;
pub(crate) mod dial;
mod health;
mod resolve;
mod sync;
mod url;

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{info, warn};

pub use self::backend::Backend;
pub use self::check::{Timing, run as run_health};
pub use self::health::State;
pub use self::resolve::{look_up_all, run as run_resolver};
pub use self::url::BackendUrl;

use self::health::{Change, Health};
use self::sync::{AtomicUsize, Ordering, RwLock};

/// The backends, and the round robin over those that are up.
#[derive(Debug)]
pub struct Pool {
    members: Vec<Arc<Backend>>,
    /// Whose turn it is, counted without end; its remainder by the number of backends up is an
    /// index into `Roster::up`. Relaxed: publishes nothing else, the roster has its own lock. Two
    /// threads never get the same number, which is all that evenness needs. It wraps, on a 32-bit
    /// machine after four billion picks, which shifts the turn once.
    next: AtomicUsize,
    /// Protects health and up-list together, because they must agree. Held by readers for one
    /// pick, by writers for one report; never across I/O, logging or another lock.
    roster: RwLock<Roster>,
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
            roster: RwLock::new(Roster { health, up }),
        }
    }

    /// All backends, up or not.
    pub fn members(&self) -> &[Arc<Backend>] {
        &self.members
    }

    /// The next backend that is up and not among `tried` (indexes), or none.
    ///
    /// Even also when some are down: the turn goes over those that are up, so the neighbour of a
    /// dead one gets no double share. A pool of one is always tried: nobody is better.
    pub fn pick(&self, tried: &[usize]) -> Option<Arc<Backend>> {
        if let [only] = self.members.as_slice() {
            return tried.is_empty().then(|| Arc::clone(only));
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let roster = self.roster.read();
        let n_up = roster.up.len();
        // `checked_rem` is none exactly when nobody is up.
        let start = turn.checked_rem(n_up)?;
        let in_turn = (0..n_up).map(|i| roster.up[(start + i) % n_up]);
        let idx = in_turn.into_iter().find(|idx| !tried.contains(idx))?;
        Some(Arc::clone(&self.members[idx]))
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
mod tests {
    use super::*;

    fn pool(n: usize) -> Pool {
        let url = |i| BackendUrl::parse(&format!("http://b{i}:1")).expect("a good URL");
        Pool::new((0..n).map(url).collect(), Instant::now())
    }

    fn take_down(pool: &Pool, idx: usize) {
        let down = Err("refused".to_owned());
        pool.dialed(&pool.members()[idx], &down, Instant::now());
    }

    fn shares(pool: &Pool, n_picks: usize) -> Vec<usize> {
        let mut shares = vec![0; pool.members().len()];
        for _ in 0..n_picks {
            shares[pool.pick(&[]).expect("one is up").idx] += 1;
        }
        shares
    }

    #[test]
    fn every_backend_that_is_up_gets_the_same_share() {
        let pool = pool(3);
        assert_eq!(shares(&pool, 3000), [1000, 1000, 1000]);
        take_down(&pool, 1);
        assert_eq!(shares(&pool, 3000), [1500, 0, 1500]);
    }

    #[test]
    fn a_backend_that_was_tried_is_not_picked_again() {
        let pool = pool(3);
        for _ in 0..10 {
            let mut tried = Vec::new();
            while let Some(backend) = pool.pick(&tried) {
                tried.push(backend.idx);
            }
            tried.sort_unstable();
            assert_eq!(tried, [0, 1, 2]);
        }
    }

    #[test]
    fn nobody_up_is_nobody_picked_but_a_lone_backend_always_is() {
        let two = pool(2);
        take_down(&two, 0);
        take_down(&two, 1);
        assert!(two.pick(&[]).is_none());
        let one = pool(1);
        take_down(&one, 0);
        assert!(one.pick(&[]).is_some());
        assert!(one.pick(&[0]).is_none(), "but not twice for one request");
    }

    #[test]
    fn exchanges_never_take_the_last_one_down() {
        let pool = pool(2);
        for _ in 0..10 {
            for backend in pool.members() {
                pool.exchange_failed(backend, "reset", Instant::now());
            }
        }
        assert_eq!(pool.n_up(), 1);
    }

    #[test]
    fn an_answer_between_failures_starts_the_count_again() {
        let pool = pool(2);
        let backend = Arc::clone(&pool.members()[0]);
        for _ in 0..10 {
            pool.exchange_failed(&backend, "reset", Instant::now());
            pool.exchange_failed(&backend, "reset", Instant::now());
            pool.exchange_succeeded(&backend);
        }
        assert_eq!(pool.n_up(), 2);
    }
}
