//! One thread's post in the crew: the exchange that it is in, and the backend that it holds.
//!
//! Used by the post's own thread only; the foreman meets it in its slot.

use std::net::IpAddr;
use std::time::Instant;

use crate::exchange::crew::Crew;
use crate::intake::ClientRequest;
use crate::pool::{Backend, Hold};
use crate::sync::{AtomicU64, Mutex, Ordering};

/// The lowest bit of a slot: its thread is long-haul. The others are the start of its exchange.
pub(super) const PROMOTED: u64 = 1;

/// One thread's place. On a cache line of its own: its worker writes it at every exchange.
#[repr(align(64))]
pub(super) struct Slot {
    /// Milliseconds since the epoch plus one, shifted left by one, at which the exchange in
    /// progress began; 0 between exchanges; the lowest bit is `PROMOTED`. Only its thread changes
    /// the start; the bit is changed under the lock of the roll, or by the swap that ends an
    /// exchange, whose result says who has to settle the counts. Relaxed: publishes nothing else,
    /// the locks do; a stale read by the foreman makes its exchange fail, or it looks again.
    pub(super) state: AtomicU64,
    /// Protects the hold on the backend, with the start of the exchange that it belongs to. Held
    /// to put or take it; it is dropped outside.
    pub(super) hold: Mutex<Option<(u64, Hold)>>,
    /// Protects what the thread is about, for people who ask; held to write or copy it. Written at
    /// each pick, and never cleared: it tells which exchange it is of.
    pub(super) doing: parking_lot::Mutex<Doing>,
}

/// What one thread is about.
#[derive(Debug, Default)]
pub(super) struct Doing {
    /// The start of the exchange that it is of, as in [`Slot::state`].
    pub start_ms: u64,
    /// With whom.
    pub backend_id: u64,
    /// For whom; none on a Unix socket.
    pub client: Option<IpAddr>,
    /// Method and target, as far as they fit.
    pub line: Vec<u8>,
}

/// Bytes of a target that are kept for people.
const MAX_LINE: usize = 200;

impl Slot {
    /// The hold, or only that of the exchange that began then.
    pub(super) fn take_hold(&self, start_ms: Option<u64>) -> Option<Hold> {
        let mut hold = self.hold.lock();
        let is_meant = |of: &u64| start_ms.is_none_or(|start_ms| start_ms == *of);
        if hold.as_ref().is_some_and(|(of, _)| is_meant(of)) {
            return hold.take().map(|(_, hold)| hold);
        }
        None
    }
}

/// Where one thread stands, from its start to its end: dropping it is leaving, wherever it stood.
#[derive(Debug)]
pub struct Post<'a> {
    pub(super) crew: &'a Crew,
    pub(super) idx: usize,
}

impl Post<'_> {
    /// An exchange begins. It can be promoted from now on.
    pub fn begin(&self, now: Instant) {
        let state = &self.slot().state;
        // Between exchanges nobody else changes it.
        let bit = state.load(Ordering::Relaxed) & PROMOTED;
        state.store(self.crew.ms(now) << 1 | bit, Ordering::Relaxed);
    }

    /// The exchange is over. Whether the thread belongs to the pool: if not, it ends, but for a
    /// request that is here already, which it serves first, as the long-haul thread it still is.
    pub fn end(&self) -> bool {
        let was = self.slot().state.swap(0, Ordering::Relaxed);
        self.release();
        was & PROMOTED == 0 || self.rejoin(PROMOTED)
    }

    /// Leaves the pool before the exchange has lasted long, for what is known to last (a tunnel).
    /// False: all long-haul threads are out, and the thread stays a worker.
    pub fn begin_long_haul(&self) -> bool {
        let is_out = {
            let mut roll = self.crew.roll.lock();
            let state = &self.slot().state;
            if state.load(Ordering::Relaxed) & PROMOTED != 0 {
                true
            } else if roll.n_long_haul == self.crew.max_long_haul {
                roll.was_refused = true;
                false
            } else {
                state.fetch_or(PROMOTED, Ordering::Relaxed);
                roll.n_long_haul += 1;
                roll.n_pool -= 1;
                true
            }
        };
        if is_out {
            self.release();
        }
        self.crew.ring();
        is_out
    }

    /// Comes back to the pool in the middle of an exchange that is an ordinary one after all (the
    /// tunnel was refused). Without a free place the thread stays long-haul to its exchange's end.
    pub fn end_long_haul(&self) {
        let state = self.slot().state.load(Ordering::Relaxed);
        // Once set, only this thread clears the bit.
        if state & PROMOTED != 0 {
            self.rejoin(state);
        }
    }

    /// Whether the thread is outside of the pool.
    pub fn is_long_haul(&self) -> bool {
        self.slot().state.load(Ordering::Relaxed) & PROMOTED != 0
    }

    /// Keeps the hold on a backend to the end of the exchange, or to its promotion.
    pub fn keep(&self, hold: Hold) {
        let slot = self.slot();
        let unwanted = {
            let mut kept = slot.hold.lock();
            let state = slot.state.load(Ordering::Relaxed);
            // Who promotes sets the bit before it takes this lock to look for a hold.
            if state & PROMOTED == 0 {
                kept.replace((state >> 1, hold)).map(|(_, hold)| hold)
            } else {
                Some(hold)
            }
        };
        drop(unwanted);
    }

    /// Tells whom the exchange is with from now on.
    pub fn tell(&self, backend: &Backend, request: &ClientRequest) {
        let slot = self.slot();
        let start_ms = slot.state.load(Ordering::Relaxed) >> 1;
        let target = &request.target[..request.target.len().min(MAX_LINE)];
        let mut doing = slot.doing.lock();
        doing.start_ms = start_ms;
        doing.backend_id = backend.id;
        doing.client = request.address;
        doing.line.clear();
        doing.line.extend_from_slice(request.method.as_bytes());
        doing.line.push(b' ');
        doing.line.extend_from_slice(target);
    }

    /// Lets the backend go: its part of the exchange is over.
    pub fn release(&self) {
        drop(self.slot().take_hold(None));
    }

    /// Joins the pool again if a place is free, and leaves `otherwise` in the slot if none is.
    fn rejoin(&self, otherwise: u64) -> bool {
        let crew = self.crew;
        let is_back = {
            let mut roll = crew.roll.lock();
            let is_back = roll.n_pool < crew.n_workers;
            if is_back {
                roll.n_pool += 1;
                roll.n_long_haul -= 1;
            }
            let bit = if is_back {
                otherwise & !PROMOTED
            } else {
                otherwise
            };
            self.slot().state.store(bit, Ordering::Relaxed);
            is_back
        };
        if is_back {
            // A place for a long-haul thread is free.
            crew.ring();
        }
        is_back
    }

    /// The slot that it stands in.
    pub fn slot_idx(&self) -> usize {
        self.idx
    }

    fn slot(&self) -> &Slot {
        &self.crew.slots[self.idx]
    }
}

impl Drop for Post<'_> {
    fn drop(&mut self) {
        let crew = self.crew;
        {
            let mut roll = crew.roll.lock();
            let was = self.slot().state.swap(0, Ordering::Relaxed);
            if was & PROMOTED == 0 {
                roll.n_pool -= 1;
            } else {
                roll.n_long_haul -= 1;
            }
            roll.leaving.push(self.idx);
        }
        self.release();
        crew.ring();
    }
}
