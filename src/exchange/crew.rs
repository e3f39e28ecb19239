//! The crew: which threads are workers of the pool, which are long-haul, and who becomes what.
//!
//! A worker that is in one exchange for too long is promoted: its thread leaves the pool as it
//! stands, a fresh worker takes its place, and nothing moves between threads. Each thread stands
//! on a [`Post`]; the thread `foreman` (`foreman.rs`) promotes, and fills the pool up. Nothing here
//! starts a thread, waits, or logs.

use std::fmt;
use std::time::{Duration, Instant};

use crate::sync::{AtomicU64, Mutex, Ordering};

mod post;
mod straggler;

pub use self::post::Post;
pub use self::straggler::{PostReport, Straggler};

use self::post::{PROMOTED, Slot};

/// All threads that serve jobs.
pub struct Crew {
    n_workers: usize,
    max_long_haul: usize,
    /// From which the slots count time.
    epoch: Instant,
    /// One for each thread that may be: the bound on threads is this length.
    slots: Vec<Slot>,
    /// Protects the counts and lists of the roll together, and that a slot's bit agrees with
    /// them. Held for a few of these, never across I/O, logging or another lock.
    roll: Mutex<Roll>,
    /// Wakes the foreman; never blocks.
    bell: Box<dyn Fn() + Send + Sync>,
}

struct Roll {
    /// Threads that serve the queue, those about to start included.
    n_pool: usize,
    n_long_haul: usize,
    /// Slots without a thread.
    free: Vec<usize>,
    /// Slots whose thread is at its end, and is to be joined.
    leaving: Vec<usize>,
    /// The queue is closed and empty: no worker is needed any more.
    is_closed: bool,
    /// Somebody could not be long-haul since the foreman last asked.
    was_refused: bool,
}

/// How many threads stand where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Serving the queue.
    pub n_pool: usize,
    /// In one exchange each, outside of the pool.
    pub n_long_haul: usize,
    /// Threads that may still be started.
    pub n_free: usize,
}

/// What a look at all exchanges found.
#[derive(Clone, Debug)]
pub struct Look {
    /// Slots that were promoted just now.
    pub promoted: Vec<usize>,
    /// Some exchange had to stay in the pool, because all long-haul threads were out.
    pub was_refused: bool,
    /// Before then, no other exchange can be old enough.
    pub next: Instant,
}

enum Promotion {
    Done,
    /// The exchange is over, or its thread was quicker.
    Passed,
    Full,
}

impl Crew {
    /// A crew without threads. `bell` wakes the foreman and must not block.
    pub fn new(
        n_workers: usize,
        max_long_haul: usize,
        now: Instant,
        bell: impl Fn() + Send + Sync + 'static,
    ) -> Crew {
        let n_slots = n_workers + max_long_haul;
        let slot = |_| Slot {
            state: AtomicU64::new(0),
            hold: Mutex::new(None),
            doing: parking_lot::Mutex::default(),
        };
        let roll = Roll {
            n_pool: 0,
            n_long_haul: 0,
            free: (0..n_slots).rev().collect(),
            leaving: Vec::with_capacity(n_slots),
            is_closed: false,
            was_refused: false,
        };
        Crew {
            n_workers,
            max_long_haul,
            epoch: now,
            slots: (0..n_slots).map(slot).collect(),
            roll: Mutex::new(roll),
            bell: Box::new(bell),
        }
    }

    /// How many threads may be outside of the pool.
    pub fn max_long_haul(&self) -> usize {
        self.max_long_haul
    }

    /// How many threads stand where now.
    pub fn counts(&self) -> Counts {
        let roll = self.roll.lock();
        Counts {
            n_pool: roll.n_pool,
            n_long_haul: roll.n_long_haul,
            n_free: roll.free.len(),
        }
    }

    /// A place in the pool for a thread that is about to start, if one is needed and there is a
    /// slot for it. The thread takes it by [`Crew::post`]; without one, [`Crew::give_back`].
    pub fn reserve(&self) -> Option<usize> {
        let mut roll = self.roll.lock();
        if roll.is_closed || roll.n_pool == self.n_workers {
            return None;
        }
        let idx = roll.free.pop()?;
        roll.n_pool += 1;
        Some(idx)
    }

    /// The thread of a reserved place was not started.
    pub fn give_back(&self, idx: usize) {
        let mut roll = self.roll.lock();
        roll.n_pool -= 1;
        roll.free.push(idx);
    }

    /// The post of the thread that was started for this reserved place.
    pub fn post(&self, idx: usize) -> Post<'_> {
        Post { crew: self, idx }
    }

    /// The slots whose threads are at their end. Each is to be joined, then [`Crew::joined`].
    pub fn take_leaving(&self) -> Vec<usize> {
        std::mem::take(&mut self.roll.lock().leaving)
    }

    /// The thread of this slot is gone.
    pub fn joined(&self, idx: usize) {
        self.roll.lock().free.push(idx);
    }

    /// The queue is closed and empty: nobody is promoted or started from now on.
    pub fn close(&self) {
        self.roll.lock().is_closed = true;
        self.ring();
    }

    /// Whether [`Crew::close`] has been called.
    pub fn is_closed(&self) -> bool {
        self.roll.lock().is_closed
    }

    /// Promotes every exchange of the pool that has lasted for `after` (at least 1 ms).
    pub fn promote(&self, now: Instant, after: Duration) -> Look {
        // The time is read before the slots are: an exchange that follows one found old here has
        // a later start, so that the two are never taken for each other.
        let now_ms = self.ms(now);
        let after_ms = ms_of(after).max(1);
        let mut oldest_ms = now_ms;
        let mut promoted = Vec::new();
        let mut is_full = false;
        for (idx, slot) in self.slots.iter().enumerate() {
            let state = slot.state.load(Ordering::Relaxed);
            let start_ms = state >> 1;
            if start_ms == 0 || state & PROMOTED != 0 {
                continue;
            }
            if start_ms + after_ms > now_ms {
                oldest_ms = oldest_ms.min(start_ms);
            } else if !is_full {
                match self.promote_one(slot, state) {
                    Promotion::Done => promoted.push(idx),
                    Promotion::Passed => {}
                    Promotion::Full => is_full = true,
                }
            }
        }
        let was_refused = std::mem::take(&mut self.roll.lock().was_refused);
        Look {
            promoted,
            was_refused,
            next: now + Duration::from_millis(oldest_ms + after_ms - now_ms),
        }
    }

    /// Promotes exactly the exchange that was seen, and lets its backend go.
    fn promote_one(&self, slot: &Slot, seen: u64) -> Promotion {
        {
            let mut roll = self.roll.lock();
            if roll.n_long_haul == self.max_long_haul {
                roll.was_refused = true;
                return Promotion::Full;
            }
            let marked = slot.state.compare_exchange(
                seen,
                seen | PROMOTED,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            if marked.is_err() {
                return Promotion::Passed;
            }
            roll.n_long_haul += 1;
            roll.n_pool -= 1;
        }
        drop(slot.take_hold(Some(seen >> 1)));
        Promotion::Done
    }

    fn ms(&self, now: Instant) -> u64 {
        ms_of(now.saturating_duration_since(self.epoch)) + 1
    }

    fn ring(&self) {
        (self.bell)();
    }
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crew of {} and {}", self.n_workers, self.max_long_haul)
    }
}

fn ms_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX >> 2)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::pool::{BackendUrl, Pool, Wish};

    const AFTER: Duration = Duration::from_secs(2);

    fn crew(n_workers: usize, max_long_haul: usize) -> (Crew, Instant) {
        let now = Instant::now();
        (Crew::new(n_workers, max_long_haul, now, || ()), now)
    }

    fn start(crew: &Crew) -> Post<'_> {
        crew.post(crew.reserve().expect("a place is free"))
    }

    #[test]
    fn an_exchange_is_promoted_when_it_has_lasted_and_not_a_millisecond_before() {
        let (crew, begin) = crew(2, 2);
        let (slow, idle) = (start(&crew), start(&crew));
        slow.begin(begin);
        let early = crew.promote(begin + AFTER.mul_f64(0.9995), AFTER);
        assert!(early.promoted.is_empty());
        assert_eq!(early.next, begin + AFTER, "when to look again");
        let look = crew.promote(begin + AFTER, AFTER);
        assert_eq!((look.promoted.len(), look.was_refused), (1, false));
        assert!(slow.is_long_haul() && !idle.is_long_haul());
        let again = crew.promote(begin + 2 * AFTER, AFTER);
        assert!(again.promoted.is_empty(), "once is enough");
    }

    #[test]
    fn who_was_promoted_joins_again_or_leaves_behind_what_is_here_already() {
        let (crew, now) = crew(1, 1);
        let long = start(&crew);
        long.begin(now);
        crew.promote(now + AFTER, AFTER);
        assert!(long.end(), "nobody has taken its place");
        assert!(!long.is_long_haul());
        long.begin(now);
        crew.promote(now + AFTER, AFTER);
        let fresh = start(&crew);
        assert!(!long.end(), "its place is taken");
        // One more request is here: it is served outside of the pool, and not promoted again.
        long.begin(now);
        assert!(crew.promote(now + AFTER, AFTER).promoted.is_empty());
        assert_eq!(crew.counts().n_long_haul, 1);
        assert!(!long.end());
        drop(long);
        drop(fresh);
        assert_eq!((crew.counts().n_pool, crew.counts().n_long_haul), (0, 0));
        for idx in crew.take_leaving() {
            crew.joined(idx);
        }
        assert_eq!(crew.counts().n_free, 2);
    }

    #[test]
    fn one_more_than_may_be_long_haul_is_refused_whoever_asks() {
        let (crew, now) = crew(3, 1);
        let [tunnel, slow, other] = [(); 3].map(|()| start(&crew));
        tunnel.begin(now);
        assert!(tunnel.begin_long_haul());
        assert!(tunnel.begin_long_haul(), "it is one already");
        slow.begin(now);
        assert!(crew.promote(now + AFTER, AFTER).was_refused);
        assert!(!crew.promote(now, AFTER).was_refused, "told once");
        assert!(!other.begin_long_haul());
        assert!(crew.promote(now, AFTER).was_refused);
        tunnel.end_long_haul();
        assert!(!tunnel.is_long_haul());
        assert!(other.begin_long_haul());
    }

    #[test]
    fn a_promotion_lets_the_backend_go() {
        let url = BackendUrl::parse("http://b:1").expect("a good URL");
        let pool = Pool::of(vec![url], Instant::now());
        let n_held = || pool.backends()[0].n_held();
        let wish = Wish {
            is_worker: true,
            ..Wish::plain(Instant::now())
        };
        let hold = || {
            pool.pick(&wish)
                .ok()
                .and_then(|picked| picked.hold)
                .expect("it is alone")
        };
        let (crew, now) = crew(2, 2);
        let (slow, tunnel) = (start(&crew), start(&crew));
        for post in [&slow, &tunnel] {
            post.begin(now);
            post.keep(hold());
        }
        assert_eq!(n_held(), 2);
        assert!(tunnel.begin_long_haul());
        assert_eq!(n_held(), 1);
        crew.promote(now + AFTER, AFTER);
        assert_eq!(n_held(), 0);
        slow.keep(hold());
        assert_eq!(n_held(), 0, "nothing is held outside of the pool");
    }
}
