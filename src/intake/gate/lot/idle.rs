//! Who is idle, and is closed when there is no room for a new one.

use std::ops::Bound;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use crate::intake::gate::connection::Connection;
use crate::intake::gate::lot::Lot;
use crate::system::peek;

/// Idle connections that are looked at for one to close: the rest of them will not all have sent
/// something in this moment, and who has is read from before the next search.
pub(super) const MAX_PASSED_OVER: usize = 16;

impl Lot {
    /// Takes out the one that has been idle for longest, as far as its socket tells as well: what
    /// has sent something meanwhile stays, and is looked at in its turn. The waiter's alone.
    pub fn take_oldest_idle(&self, now: Instant) -> Option<Box<Connection>> {
        let mut passed_over = Bound::Unbounded;
        for _ in 0..MAX_PASSED_OVER {
            let next = self.next_idle(passed_over);
            let (key, socket) = next.filter(|&((since, _), _)| since <= now)?;
            if !has_sent(&socket) {
                let oldest = self.take(key.1)?;
                return Some(self.unwatched(oldest));
            }
            passed_over = Bound::Excluded(key);
        }
        None
    }

    /// Wakes the waiter when the next connection ends or is idle; false when there is room already,
    /// or an idle one could be closed to make some.
    pub fn wait_for_room_or_idle(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        let is_none_idle = state.idle.first().is_none_or(|&(since, _)| since > now);
        state.is_full = state.n_open >= self.room.n_connections && is_none_idle;
        state.is_full
    }

    /// Since when the oldest idle one is idle, or from when on it will be.
    pub fn idle_since(&self) -> Option<Instant> {
        self.state.lock().idle.first().map(|&(since, _)| since)
    }

    /// From now on nothing idle is kept.
    pub fn close_idle(&self) {
        self.state.lock().is_closing = true;
        while let Some(((_, id), _)) = self.next_idle(Bound::Unbounded) {
            drop(self.take(id).map(|connection| self.unwatched(connection)));
        }
    }

    /// The next one that is idle, the oldest first, to be looked at without the lock.
    fn next_idle(&self, after: Bound<(Instant, u64)>) -> Option<((Instant, u64), Arc<OwnedFd>)> {
        let state = self.state.lock();
        let &key = state.idle.range((after, Bound::Unbounded)).next()?;
        let parked = state.parked.get(&key.1)?;
        Some((key, Arc::clone(&parked.connection.socket)))
    }
}

/// Whether a socket has bytes that nobody has read.
fn has_sent(socket: &OwnedFd) -> bool {
    // 0 is its end, and an error too.
    peek(socket).is_ok_and(|n| n > 0)
}
