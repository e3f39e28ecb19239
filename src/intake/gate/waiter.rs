//! The waiter's loop: the body of the thread that holds every connection nobody serves.
//!
//! Runs on the thread `waiter`. Ends when it was told to stop and all workers have returned, or
//! when its listening sockets are gone.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use log::debug;
use rustix::net::RecvFlags;

use crate::intake::gate::accept::Acceptor;
use crate::intake::gate::connection::{Connection, Expiry, PIECE, Progress};
use crate::intake::gate::{Gate, Shared, client, refuse};
use crate::intake::{Ended, Queue};
use crate::watch::Pulse;

/// Nothing came in for this long after the stop: what was on its way has arrived.
const QUIET: Duration = Duration::from_millis(20);
/// The stop waits no longer than this for quiet: a client that sends a byte now and then must not
/// keep the process from ending.
const LAST_CALL: Duration = Duration::from_millis(250);

/// What the waiter owns while it runs.
struct Waiter {
    shared: Arc<Shared>,
    acceptor: Acceptor,
    queue: Queue,
    pulse: Arc<Pulse>,
    /// Room for what one connection sends, lent to each in turn.
    scratch: Vec<u8>,
    ready: Vec<u64>,
}

impl Gate {
    /// The body of the thread `waiter`: fills the queue until `stopping`, then closes it, and
    /// refuses what still comes in on old connections until `finished`.
    pub fn run(self, queue: Queue, stopping: &AtomicBool, finished: &AtomicBool) -> Ended {
        let died = |error: io::Error| Ended::Died(error.to_string());
        let acceptor = match Acceptor::new(self.sockets, &self.shared) {
            Ok(acceptor) => acceptor,
            Err(error) => return died(error),
        };
        let mut waiter = Waiter {
            shared: self.shared,
            acceptor,
            queue,
            pulse: self.pulse,
            scratch: Vec::with_capacity(PIECE),
            ready: Vec::new(),
        };
        // Acquire pairs with the signal handler's store: who sees it set is behind the signal.
        while !stopping.load(Ordering::Acquire) {
            if let Err(error) = waiter.turn(None) {
                return died(error);
            }
        }
        waiter
            .drain(finished)
            .map_or_else(died, |()| Ended::Stopped)
    }
}

impl Waiter {
    /// Waits once, until `limit` at most, and does what there is to do. True if anything came in.
    fn turn(&mut self, limit: Option<Instant>) -> io::Result<bool> {
        self.pulse.beat();
        let now = Instant::now();
        let resumes_at = self.acceptor.resumes_at(&self.shared);
        let others = [self.queue.expire(now), resumes_at, limit];
        let until = self
            .shared
            .lot
            .wait_until(others.into_iter().flatten().min());
        let timeout = until.map(|until| until.saturating_duration_since(now));
        let mut ready = std::mem::take(&mut self.ready);
        self.shared.lot.readiness.wait(&mut ready, timeout)?;
        for &token in &ready {
            self.look_at(token)?;
        }
        let is_busy = !ready.is_empty();
        self.ready = ready;
        for connection in self.shared.lot.take_handed_in() {
            self.advance(connection);
        }
        let now = Instant::now();
        while let Some(connection) = self.shared.lot.take_expired(now) {
            self.expire(connection);
        }
        self.acceptor.resume(&self.shared, now)?;
        Ok(is_busy)
    }

    fn look_at(&mut self, token: u64) -> io::Result<()> {
        if let Some(connection) = self.shared.lot.take(token) {
            self.receive(connection);
            return Ok(());
        }
        let mut accepted = Vec::new();
        let shared = Arc::clone(&self.shared);
        self.acceptor
            .accept(token, &shared, |connection| accepted.push(connection))?;
        for connection in accepted {
            self.receive(connection);
        }
        Ok(())
    }

    /// Reads what a connection has to say, without waiting for more.
    fn receive(&mut self, mut connection: Box<Connection>) {
        if connection.input.is_empty() {
            connection.input = std::mem::take(&mut self.scratch);
        }
        let received = connection.receive(RecvFlags::DONTWAIT);
        if matches!(received, Ok(n) if n > 0) {
            return self.advance(connection);
        }
        self.take_scratch_back(&mut connection);
        match received {
            Ok(_) => {} // it has ended
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.shared.park(connection),
            Err(error) => debug!("a client went away: {error}"),
        }
    }

    fn advance(&mut self, mut connection: Box<Connection>) {
        let now = Instant::now();
        let progress = connection.advance(&self.shared.settings, now, None);
        self.take_scratch_back(&mut connection);
        match progress {
            Progress::Wait => self.shared.park(connection),
            Progress::Arrived(arrived) => {
                self.queue
                    .push(client::job(&self.shared, connection, arrived, now));
            }
            Progress::Refused(refusal) => refuse(&self.shared, connection, refusal),
            Progress::Hopeless(reason) => debug!("closed: {reason}"),
        }
    }

    /// The scratch stays here; what is left in it goes with the connection.
    fn take_scratch_back(&mut self, connection: &mut Connection) {
        if self.scratch.capacity() > 0 {
            return; // it was not lent
        }
        let left = connection.input.as_slice().to_vec();
        self.scratch = std::mem::replace(&mut connection.input, left);
        self.scratch.clear();
    }

    fn expire(&self, connection: Box<Connection>) {
        match connection.expiry(&self.shared.settings) {
            Expiry::Tell(refusal) => refuse(&self.shared, connection, refusal),
            Expiry::Silent => drop(connection),
        }
    }

    /// Ends what has nothing to come, and waits for the clients whose last answer is on its way: a
    /// process that ends closes their sockets, and whatever they send would meet that with a reset.
    fn await_last_answers(&mut self) -> io::Result<()> {
        let mut lingering = Vec::new();
        while let Some(connection) = self.shared.lot.take_any() {
            if connection.is_lingering() {
                lingering.push(connection);
            }
        }
        for connection in lingering {
            self.shared.park(connection);
        }
        while self.shared.lot.wait_until(None).is_some() {
            self.turn(None)?;
        }
        Ok(())
    }

    /// Everything that was on its way when the stop came is still served; then the queue closes,
    /// and idle connections with it.
    fn drain(&mut self, finished: &AtomicBool) -> io::Result<()> {
        let mut accepted = Vec::new();
        let shared = Arc::clone(&self.shared);
        self.acceptor
            .accept_last(&shared, |connection| accepted.push(connection));
        for connection in accepted {
            self.receive(connection);
        }
        let latest = Instant::now() + LAST_CALL;
        let mut quiet_at = Instant::now() + QUIET;
        // However late this thread gets to run, it looks once more than the time allows.
        loop {
            let is_quiet = !self.turn(Some(quiet_at))?;
            let now = Instant::now();
            if now >= latest || is_quiet && now >= quiet_at {
                break;
            }
            if !is_quiet {
                quiet_at = latest.min(now + QUIET);
            }
        }
        self.queue.close();
        self.shared.lot.close_idle();
        while !finished.load(Ordering::Acquire) {
            self.turn(None)?;
        }
        self.await_last_answers()
    }
}
