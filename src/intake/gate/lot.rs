//! The lot: where connections wait that no thread holds, and the count of all connections.
//!
//! Parked are those that are idle, that have sent only a part of a request, or whose last answer
//! is on its way. The waiter takes them out when they can be read from or their time is over;
//! workers put them back. A connection is here, or in the queue, or with a worker: never in two
//! places.

mod idle;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use crate::intake::gate::connection::Connection;
use crate::intake::gate::readiness::Readiness;
use crate::intake::{Census, Limit, Refusal};

/// How many connections there may be.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// In all.
    pub n_connections: usize,
    /// From one address; none: no limit but the one above.
    pub n_per_client: Option<usize>,
}

/// All connections of a gate, parked or counted.
#[derive(Debug)]
pub struct Lot {
    pub(super) readiness: Readiness,
    room: Room,
    /// Protects who is parked, in which order they expire, and the counts, because these must
    /// agree. Held to add or take out one connection; sockets are closed outside.
    state: Mutex<State>,
    /// Refused before the queue, ever: for each limit, and in the last place for no limit. Relaxed:
    /// each is read alone, and publishes nothing else; a stale read is a number of a moment ago.
    n_refused: [AtomicU64; Limit::ALL.len() + 1],
}

#[derive(Debug, Default)]
struct State {
    parked: HashMap<u64, Parked>,
    /// All parked, the first to expire in front.
    by_deadline: BTreeSet<(Instant, u64)>,
    /// Those between two requests, or before the first byte; the oldest in front.
    idle: BTreeSet<(Instant, u64)>,
    /// Parked, queued, with a worker: all that are open.
    n_open: usize,
    n_by_client: HashMap<IpAddr, usize>,
    n_ever: u64,
    /// Given back with bytes of the next request in memory, so that no readiness will tell.
    #[allow(clippy::vec_box)] // a connection moves by its pointer
    handed_in: Vec<Box<Connection>>,
    /// When the waiter wakes by itself; none: not before it is woken.
    waits_until: Option<Instant>,
    /// The waiter has stopped accepting and wants to know when a connection has ended or is idle.
    is_full: bool,
    /// Nothing idle is kept any more.
    is_closing: bool,
}

#[derive(Debug)]
struct Parked {
    connection: Box<Connection>,
    deadline: Instant,
    idle_since: Option<Instant>,
}

/// A connection's place in the count, given back when dropped.
#[derive(Debug)]
pub struct Ticket {
    lot: Arc<Lot>,
    client: Option<IpAddr>,
    /// The connection's number, never used twice.
    pub id: u64,
}

impl Ticket {
    /// Counts it as this client's; false if that has too many.
    pub fn charge(&mut self, client: IpAddr) -> bool {
        let Some(most) = self.lot.room.n_per_client else {
            return true;
        };
        let mut state = self.lot.state.lock();
        let n = state.n_by_client.entry(client).or_default();
        if *n >= most {
            return false;
        }
        *n += 1;
        self.client = Some(client);
        true
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let was_full = {
            let mut state = self.lot.state.lock();
            state.n_open -= 1;
            if let Some(client) = self.client {
                if let Some(n) = state.n_by_client.get_mut(&client) {
                    *n -= 1;
                }
                if state.n_by_client.get(&client) == Some(&0) {
                    state.n_by_client.remove(&client);
                }
            }
            std::mem::take(&mut state.is_full)
        };
        if was_full {
            self.lot.readiness.wake();
        }
    }
}

impl Lot {
    /// An empty one.
    pub fn new(room: Room) -> io::Result<Lot> {
        Ok(Lot {
            readiness: Readiness::new()?,
            room,
            state: Mutex::new(State::default()),
            n_refused: std::array::from_fn(|_| AtomicU64::new(0)),
        })
    }

    /// Counts one more connection, if there is room.
    pub fn admit(self: &Arc<Self>) -> Option<Ticket> {
        let mut state = self.state.lock();
        if state.n_open >= self.room.n_connections {
            return None;
        }
        state.n_open += 1;
        state.n_ever += 1;
        Some(Ticket {
            lot: Arc::clone(self),
            client: None,
            id: state.n_ever,
        })
    }

    /// Puts a connection down until it can be read from, or until `deadline`. It counts as idle if
    /// `idle_since` says since when, or from when on. Any thread may call it.
    pub fn park(
        &self,
        mut connection: Box<Connection>,
        deadline: Instant,
        idle_since: Option<Instant>,
    ) {
        let socket = Arc::clone(&connection.socket);
        let id = connection.id();
        let is_watched = std::mem::replace(&mut connection.is_watched, true);
        let mut state = self.state.lock();
        if state.is_closing && idle_since.is_some() {
            drop(state);
            return drop(connection);
        }
        state.by_deadline.insert((deadline, id));
        state.idle.extend(idle_since.map(|since| (since, id)));
        let parked = Parked {
            connection,
            deadline,
            idle_since,
        };
        state.parked.insert(id, parked);
        let is_first = state.waits_until.is_none_or(|until| deadline < until);
        if is_first {
            state.waits_until = Some(deadline);
        }
        // What is idle can be closed to make room, as if it had ended.
        let makes_room = idle_since.is_some() && std::mem::take(&mut state.is_full);
        drop(state);
        // Only now: once it is watched the waiter may take it out at once.
        let watched = if is_watched {
            self.readiness.watch_again(&socket, id)
        } else {
            self.readiness.watch(&socket, id)
        };
        if let Err(error) = watched {
            log::warn!("a connection is dropped, it can't be watched: {error}");
            drop(self.take(id));
        }
        if is_first || makes_room {
            self.readiness.wake();
        }
    }

    /// Gives the waiter a connection that has bytes of its next request in memory.
    pub fn hand_in(&self, connection: Box<Connection>) {
        self.state.lock().handed_in.push(connection);
        self.readiness.wake();
    }

    /// What was handed in.
    #[allow(clippy::vec_box)]
    pub fn take_handed_in(&self) -> Vec<Box<Connection>> {
        std::mem::take(&mut self.state.lock().handed_in)
    }

    /// Takes a parked connection out; none if someone else has.
    pub fn take(&self, id: u64) -> Option<Box<Connection>> {
        self.state.lock().take(id)
    }

    /// Takes out one whose time is over.
    pub fn take_expired(&self, now: Instant) -> Option<Box<Connection>> {
        let mut state = self.state.lock();
        let &(_, id) = state.by_deadline.first().filter(|(at, _)| *at <= now)?;
        let expired = state.take(id);
        drop(state);
        expired.map(|connection| self.unwatched(connection))
    }

    /// What was taken out by itself, not because it was reported, is still watched.
    fn unwatched(&self, mut connection: Box<Connection>) -> Box<Connection> {
        self.readiness.forget(&connection.socket, connection.id());
        connection.is_watched = false;
        connection
    }

    /// When the waiter has to wake by itself: at the first deadline, or at `other` if that is
    /// sooner. What is parked later with an earlier deadline wakes it.
    pub fn wait_until(&self, other: Option<Instant>) -> Option<Instant> {
        let mut state = self.state.lock();
        let first = state.by_deadline.first().map(|&(at, _)| at);
        state.waits_until = [first, other].into_iter().flatten().min();
        state.waits_until
    }

    /// Wakes the waiter when the next connection ends or is idle; false when there is room already.
    pub fn wait_for_room(&self) -> bool {
        let mut state = self.state.lock();
        state.is_full = state.n_open >= self.room.n_connections;
        state.is_full
    }

    /// Wakes the waiter when the next connection ends, whether there is room or not.
    pub fn wait_for_an_end(&self) {
        self.state.lock().is_full = true;
    }

    /// How many connections are open.
    pub fn n_open(&self) -> usize {
        self.state.lock().n_open
    }

    /// How many are open and idle, and how much was refused.
    pub fn census(&self) -> Census {
        let [n_at_limit @ .., n_refused] = &self.n_refused;
        let n = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let state = self.state.lock();
        Census {
            n_open: state.n_open,
            n_idle: state.idle.len(),
            n_refused: n(n_refused),
            n_at_limit: std::array::from_fn(|idx| n(&n_at_limit[idx])),
        }
    }

    /// Something was refused before it came to the queue.
    pub fn note_refused(&self, refusal: Refusal) {
        let idx = refusal
            .limit
            .map_or(Limit::ALL.len(), |limit| limit as usize);
        self.n_refused[idx].fetch_add(1, Ordering::Relaxed);
    }

    /// Takes out what is left, at the end.
    pub fn take_any(&self) -> Option<Box<Connection>> {
        let handed_in = self.state.lock().handed_in.pop();
        handed_in.or_else(|| {
            let mut state = self.state.lock();
            let &(_, id) = state.by_deadline.first()?;
            let any = state.take(id);
            drop(state);
            any.map(|connection| self.unwatched(connection))
        })
    }
}

impl State {
    fn take(&mut self, id: u64) -> Option<Box<Connection>> {
        let Parked {
            connection,
            deadline,
            idle_since,
        } = self.parked.remove(&id)?;
        self.by_deadline.remove(&(deadline, id));
        if let Some(since) = idle_since {
            self.idle.remove(&(since, id));
        }
        Some(connection)
    }
}

#[cfg(test)]
mod tests;
