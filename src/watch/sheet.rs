//! One thread's counts: written by it alone, added up by whoever looks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::watch::fate::{By, Fate, N_FATES};
use crate::watch::histogram::{Histogram, Sums, bump};
use crate::watch::lane::Lane;
use crate::watch::story::Story;
use crate::watch::tally::{Class, N_CLASSES};

/// One thread's counts. On cache lines of its own.
///
/// All Relaxed, and without locked instructions, because each number has one writer: the thread
/// whose sheet it is. The next thread of a slot writes only when the one before was joined. A
/// reader may see an exchange in one number and not yet in the next.
#[derive(Debug)]
#[repr(align(64))]
pub struct Sheet {
    /// What the thread does now.
    pub lane: Lane,
    fates: [AtomicU64; N_FATES],
    /// Exchanges that came to no pool, by class of their status.
    poolless: [AtomicU64; N_CLASSES],
    retries: AtomicU64,
    connects: AtomicU64,
    reuses: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    whole: Histogram,
    queued: Histogram,
    connecting: Histogram,
    first_byte: Histogram,
}

impl Sheet {
    /// Nothing counted.
    pub fn new(epoch: Instant) -> Sheet {
        Sheet {
            lane: Lane::new(epoch),
            fates: std::array::from_fn(|_| AtomicU64::new(0)),
            poolless: std::array::from_fn(|_| AtomicU64::new(0)),
            retries: AtomicU64::new(0),
            connects: AtomicU64::new(0),
            reuses: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            whole: Histogram::default(),
            queued: Histogram::default(),
            connecting: Histogram::default(),
            first_byte: Histogram::default(),
        }
    }

    /// Counts an exchange that is over. Called by the sheet's own thread only.
    pub fn note(&self, story: &Story) {
        bump(&self.fates[story.fate as usize], 1);
        if !story.has_pool {
            bump(&self.poolless[Class::of(story.status) as usize], 1);
        }
        bump(&self.bytes_in, story.bytes_in);
        bump(&self.bytes_out, story.bytes_out);
        self.whole.note_alone(story.ended - story.queued);
        self.queued.note_alone(story.begun - story.queued);
        let n_further = story.attempts.len().saturating_sub(1);
        bump(&self.retries, n_further as u64);
        for attempt in &story.attempts {
            if attempt.is_reused {
                bump(&self.reuses, 1);
            } else if let Some(connected) = attempt.connected {
                bump(&self.connects, 1);
                self.connecting.note_alone(connected - attempt.picked);
            }
            if let Some(first_byte) = attempt.first_byte {
                self.first_byte.note_alone(first_byte - attempt.picked);
            }
        }
    }

    /// Adds its numbers to sums.
    pub fn add_to(&self, totals: &mut Totals) {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        for (sum, fate) in totals.fates.iter_mut().zip(&self.fates) {
            *sum += get(fate);
        }
        for (sum, class) in totals.poolless.iter_mut().zip(&self.poolless) {
            *sum += get(class);
        }
        totals.retries += get(&self.retries);
        totals.connects += get(&self.connects);
        totals.reuses += get(&self.reuses);
        totals.bytes_in += get(&self.bytes_in);
        totals.bytes_out += get(&self.bytes_out);
        self.whole.add_to(&mut totals.whole);
        self.queued.add_to(&mut totals.queued);
        self.connecting.add_to(&mut totals.connecting);
        self.first_byte.add_to(&mut totals.first_byte);
    }
}

/// The numbers of all sheets together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Exchanges by how they ended, in the order of [`Fate::all`](crate::watch::Fate::all).
    pub fates: [u64; N_FATES],
    /// Of those, the ones that came to no pool, in the order of [`Class::ALL`].
    pub poolless: [u64; N_CLASSES],
    /// Attempts beyond the first of an exchange.
    pub retries: u64,
    /// Connections to backends that were opened.
    pub connects: u64,
    /// Attempts on a connection that was open already.
    pub reuses: u64,
    /// Content of clients' requests, and what they sent through tunnels, bytes.
    pub bytes_in: u64,
    /// Answers, heads included, and what clients got through tunnels, bytes.
    pub bytes_out: u64,
    /// From the queue to the end of the answer.
    pub whole: Sums,
    /// In the queue.
    pub queued: Sums,
    /// From a pick to its connection, where that was a new one.
    pub connecting: Sums,
    /// From a pick to the first byte of an answer.
    pub first_byte: Sums,
}

impl Totals {
    /// Exchanges that ended like this.
    pub fn of(&self, fate: Fate) -> u64 {
        self.fates[fate as usize]
    }

    /// Exchanges that a backend, this program or a limit ended.
    pub fn n_errors(&self) -> u64 {
        let is_error = |fate: &Fate| match fate.by() {
            By::Backend | By::Limit => true,
            By::Us => *fate != Fate::Redirected,
            By::Nobody | By::Client => false,
        };
        Fate::all().filter(is_error).map(|fate| self.of(fate)).sum()
    }

    /// Exchanges that have ended.
    pub fn n(&self) -> u64 {
        self.fates.iter().sum()
    }
}
