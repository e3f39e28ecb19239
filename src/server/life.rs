//! Whether what serves is alive: the rule by which the watchdog is fed. Pure: it is told the time.
//!
//! A feed is due each half of the watchdog's interval, and is given if, since the last one,
//!
//! - the waiter has gone round its loop, which it does when it is woken, and it is woken for this;
//! - the health thread has gone round its loop, which it does four times a second by itself;
//! - no job is left lying: the queue is not stalled.
//!
//! The queue is stalled when jobs wait and workers claim to be free, and yet none is taken, at five
//! looks in a row: that is for half of the watchdog's interval, or of `--queue-timeout`, or for
//! 4 s, whichever is least. (After `--queue-timeout` the jobs are refused and gone.) It stays
//! stalled until a worker takes one.
//!
//! All else is no lack of progress. Workers that are all busy hold exchanges which the timeouts of
//! the options bound; a long-haul thread may be busy for hours. A thread that has ended as it
//! should need not turn. During a stop the rule is the same.
//!
//! A feed that is due and not given is given as soon as the rule is kept again: so a busy machine
//! may be late by half an interval.

use std::fmt;
use std::time::{Duration, Instant};

use crate::intake::Traffic;

/// Looks in an interval, at least.
const LOOKS: u32 = 8;
/// The shortest and the longest time between two looks.
const MIN_LOOK: Duration = Duration::from_millis(50);
const MAX_LOOK: Duration = Duration::from_secs(1);
/// Looks in a row at which jobs are left lying, so that the queue is stalled. Not a time: a process
/// that was halted meanwhile has not looked either.
const STALLED_LOOKS: u32 = LOOKS / 2 + 1;

/// What a look sees.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Turns of the listener's thread; none when it has ended.
    pub listener: Option<u64>,
    /// The same of the health thread.
    pub health: Option<u64>,
    /// The queue.
    pub traffic: Traffic,
}

/// What makes no progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stuck {
    /// The thread that takes requests in.
    Listener,
    /// The thread that probes.
    Health,
    /// Jobs wait, workers are free, and none is taken.
    Queue,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stuck::Listener => "the listener's thread does not go round its loop",
            Stuck::Health => "the health thread does not go round its loop",
            Stuck::Queue => "requests wait, workers are free, and none is taken",
        })
    }
}

/// The rule, between two looks.
#[derive(Debug)]
pub struct Life {
    interval: Duration,
    queue_timeout: Duration,
    /// What was seen at the last feed.
    fed: Seen,
    next_feed: Instant,
    /// Jobs taken by the last look, if some were left lying then.
    left_at: Option<u64>,
    /// Looks in a row that saw jobs left lying.
    n_left: u32,
    /// Jobs taken when the queue was found stalled.
    stalled_at: Option<u64>,
}

impl Life {
    /// From now on.
    pub fn new(interval: Duration, queue_timeout: Duration, seen: Seen, now: Instant) -> Life {
        Life {
            interval,
            queue_timeout,
            fed: seen,
            next_feed: now + interval / 2,
            left_at: None,
            n_left: 0,
            stalled_at: None,
        }
    }

    /// How long to wait between two looks.
    pub fn look_interval(&self) -> Duration {
        (self.interval.min(self.queue_timeout) / LOOKS).clamp(MIN_LOOK, MAX_LOOK)
    }

    /// Whether the listener's thread is to be woken, so that it can show that it turns.
    pub fn wants_turn(&self, seen: &Seen) -> bool {
        seen.listener.is_some() && seen.listener == self.fed.listener
    }

    /// Whether a feed is to be given now, behind which comes [`Life::note_fed`]; an error is one
    /// that is due and not to be given.
    pub fn look(&mut self, seen: &Seen, now: Instant) -> Result<bool, Stuck> {
        let is_stalled = self.is_stalled(seen.traffic);
        if now < self.next_feed {
            return Ok(false);
        }
        let is_still = |now: Option<u64>, then: Option<u64>| now.is_some() && now == then;
        if is_still(seen.listener, self.fed.listener) {
            return Err(Stuck::Listener);
        }
        if is_still(seen.health, self.fed.health) {
            return Err(Stuck::Health);
        }
        if is_stalled {
            return Err(Stuck::Queue);
        }
        Ok(true)
    }

    /// A feed was given for this look.
    pub fn note_fed(&mut self, seen: &Seen, now: Instant) {
        self.fed = *seen;
        self.next_feed = now + self.interval / 2;
    }

    fn is_stalled(&mut self, traffic: Traffic) -> bool {
        if self.stalled_at == Some(traffic.n_taken) {
            return true; // also when what waited has been refused
        }
        self.stalled_at = None;
        let is_left = traffic.n_waiting > 0 && traffic.n_free > 0;
        self.n_left = match self.left_at {
            Some(n_taken) if is_left && n_taken == traffic.n_taken => self.n_left + 1,
            _ => u32::from(is_left),
        };
        self.left_at = is_left.then_some(traffic.n_taken);
        if self.n_left >= STALLED_LOOKS {
            self.stalled_at = Some(traffic.n_taken);
        }
        self.stalled_at.is_some()
    }
}

#[cfg(test)]
mod tests;
