//! The gate: a listener that can't be knocked over.
//!
//! One thread, the waiter, waits for all connections that nobody serves. It reads heads and short
//! contents without ever blocking, checks them strictly, and puts only complete requests on the
//! queue; a slow or idle client costs a descriptor and a buffer, never a thread. A worker owns the
//! connection while it serves the request, with blocking I/O and deadlines. Afterwards it lingers
//! on it while no one else needs a worker, and parks it in the lot otherwise.
//!
//! ```text
//! accept ─▶ waiter ─[queue]─▶ worker ─┐
//!             ▲                  ▲────┘ lingers
//!             └────── lot ◀──────┘ parks
//! ```

mod accept;
mod ahead;
mod client;
mod connection;
pub mod content;
mod handed_over;
pub mod head;
mod listen;
mod lot;
mod pace;
mod proxy;
pub mod readiness;
mod waiter;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use log::debug;
use rustix::net::{Shutdown, shutdown};

use crate::intake::check::Limits;
use crate::intake::own::write_own;
use crate::intake::{CensusTaker, ClientRequest, Jobs, ListenAt, Refusal, Traffic, proxy_status};
use crate::system::{plain, reset};
use crate::watch::access::AccessLog;
use crate::watch::{Fate, Pulse};

use self::connection::Connection;
pub use self::handed_over::HandedOver;
use self::listen::{ListeningSocket, SocketTimeouts};
use self::lot::{Lot, Room};
pub use self::pace::MinRate;

/// How long a worker waits for the next request on a connection it has just served. Long enough for
/// a client that asks at once; short enough that a worker is back before a queue could grow. For a
/// client that took longer the last time it does not wait: that would be a wake-up for nothing.
const LINGER: Duration = Duration::from_millis(20);
/// Workers linger while so many of them can, for all clients there are: then most requests need no
/// hand-over between threads.
const LINGERING_SHARE: usize = 2;
/// With more clients they linger only while no request waits, and no more than this share of them
/// is busy. Beyond it, waiting costs more than handing over: the waiter and the workers find the
/// next request there already, and need not wait at all.
const BUSY_SHARE: usize = 16;

/// What a gate allows; each of these is an option.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Sizes of a request.
    pub limits: Limits,
    /// Connections, in all and for one client.
    pub max_connections: usize,
    /// See there; none: no limit.
    pub max_per_client: Option<usize>,
    /// Requests on one connection; none: no limit.
    pub max_requests: Option<u64>,
    /// From the first byte of a head to its last, and how long a fresh connection may be silent.
    pub header_timeout: Duration,
    /// Between two requests.
    pub keep_alive_timeout: Duration,
    /// One stall in a content, or of a client that does not read.
    pub idle_timeout: Duration,
    /// The least a client must send of a content, or take of an answer.
    pub pace: MinRate,
    /// Whether each connection begins with a PROXY header.
    pub accept_proxy: bool,
    /// Worker threads.
    pub n_workers: usize,
}

impl Settings {
    /// For blocking calls on a client's socket.
    fn timeouts(&self) -> SocketTimeouts {
        SocketTimeouts {
            read: LINGER,
            write: self.idle_timeout,
        }
    }
}

/// A bound gate.
pub struct Gate {
    sockets: Vec<ListeningSocket>,
    shared: Arc<Shared>,
    pulse: Arc<Pulse>,
}

/// What the waiter and the workers share.
#[derive(Debug)]
pub struct Shared {
    lot: Arc<Lot>,
    settings: Settings,
    /// Only looked at: whether workers are free.
    jobs: Jobs,
    /// Acquire in `is_stopping` pairs with the signal handler's store; a stale read costs one more
    /// request on a connection.
    stopping: Arc<AtomicBool>,
    told: Told,
}

/// Who is told of what never becomes a request.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Where it is logged, if anywhere.
    pub access_log: Option<Arc<AccessLog>>,
    /// What we are called in Proxy-Status, if we are to be in it.
    pub proxy_status: Option<Arc<str>>,
}

/// Why no gate could be made.
#[derive(Debug)]
pub struct BindError {
    /// Which address it was.
    pub at: String,
    /// What the system said.
    pub error: io::Error,
}

impl Gate {
    /// Binds all addresses, or takes what was handed over. `jobs` is only looked at: whether
    /// workers are free.
    pub fn bind(
        at: &[ListenAt],
        settings: Settings,
        jobs: Jobs,
        stopping: Arc<AtomicBool>,
        handed_over: &mut HandedOver,
        told: Told,
    ) -> Result<Gate, BindError> {
        let timeouts = settings.timeouts();
        let failed = |at: &dyn fmt::Display| {
            let at = at.to_string();
            move |error| BindError { at, error }
        };
        let mut sockets = Vec::new();
        for one in at {
            let bound = listen::bind(one, at, timeouts, handed_over);
            sockets.extend(bound.map_err(failed(one))?);
        }
        let room = Room {
            n_connections: settings.max_connections,
            n_per_client: settings.max_per_client,
        };
        let lot = Lot::new(room).map_err(|error| {
            let all: Vec<String> = at.iter().map(ToString::to_string).collect();
            let text = format!("connections can't be watched: {}", plain(&error));
            failed(&all.join(", "))(io::Error::other(text))
        })?;
        let shared = Arc::new(Shared {
            lot: Arc::new(lot),
            settings,
            jobs,
            stopping,
            told,
        });
        Ok(Gate {
            sockets,
            shared,
            pulse: Arc::default(),
        })
    }

    /// Where it listens, with the ports that the system chose.
    pub fn addresses(&self) -> Vec<String> {
        let sockets = self.sockets.iter();
        sockets.map(|socket| socket.bound.to_string()).collect()
    }

    /// How many connections there are, for whoever asks.
    pub fn census(&self) -> CensusTaker {
        let lot = Arc::clone(&self.shared.lot);
        Box::new(move || Some(lot.census()))
    }

    /// The waiter's sign of life: a beat at each turn. Woken, it turns at once.
    pub fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    /// What ends the wait of the waiter, for [`Gate::run`] to look at its flags.
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.shared))
    }
}

/// Ends a wait of a gate's waiter.
#[derive(Clone)]
pub struct Waker(Arc<Shared>);

impl Waker {
    /// Makes the waiter look at its flags.
    pub fn wake(&self) {
        self.0.lot.readiness.wake();
    }
}

impl Shared {
    /// Whether a worker may stay with the connection it has just served.
    fn may_stay(&self) -> bool {
        let traffic = self.jobs.traffic();
        let n_open = || self.lot.n_open();
        !self.is_stopping() && pays(self.settings.n_workers, &traffic, n_open)
    }

    /// Counts a refusal and sends it without waiting, or fails. In this order: who has it can ask
    /// for the counts.
    fn tell(
        &self,
        socket: &OwnedFd,
        request: &ClientRequest,
        refusal: Refusal,
    ) -> io::Result<Sent> {
        debug!("refused: {}: {}", refusal.status, refusal.reason);
        self.lot.note_refused(refusal);
        let mut lines = Vec::new();
        let us = self.told.proxy_status.as_deref();
        proxy_status::write_own(&mut lines, us, Fate::of_refusal(refusal), "");
        let mut out = Vec::new();
        let n_head = write_own(&mut out, &refusal.into(), request, false, &lines);
        client::send_now(socket, &out)?;
        Ok((n_head, out.len() as u64))
    }

    /// Logs what was refused here; `raw` is what came of it.
    fn note_refused(
        &self,
        address: Option<IpAddr>,
        raw: &[u8],
        refusal: Refusal,
        told: &io::Result<Sent>,
    ) {
        if let Some(log) = &self.told.access_log {
            let sent = told.as_ref().copied().unwrap_or_default();
            log.note_refused(address, raw, refusal, sent);
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Gives the waiter a connection whose next request may be in memory already.
    fn put_down(&self, connection: Box<Connection>) {
        if connection.input.is_empty() {
            self.park(connection);
        } else {
            self.lot.hand_in(connection);
        }
    }

    /// Puts a connection down until it has something to say, or its time is over.
    fn park(&self, mut connection: Box<Connection>) {
        if connection.input.is_empty() {
            connection.input = Vec::new();
        } else {
            connection.input.shrink_to_fit();
        }
        let (deadline, idle_since) = connection.deadline(&self.settings);
        self.lot.park(connection, deadline, idle_since);
    }
}

/// Whether lingering pays: nobody needs this worker, and the next request comes soon. How many
/// connections are open takes a lock, and is asked last.
fn pays(n_workers: usize, traffic: &Traffic, n_open: impl FnOnce() -> usize) -> bool {
    let n_free = usize::try_from(traffic.n_free).unwrap_or(usize::MAX);
    let n_busy = n_workers.saturating_sub(n_free);
    // A job for which a worker is free already needs no second one: whoever left for it would make
    // another hand-over of the next request, and that of the one behind it.
    let is_needed = n_free <= traffic.n_waiting;
    // With many connections a job that waits is the sign that there will be more.
    let is_calm = traffic.n_waiting == 0 && n_busy <= n_workers / BUSY_SHARE;
    !is_needed && (is_calm || n_open() <= n_workers / LINGERING_SHARE)
}

/// Tells a client why it is not served, and ends its connection. Never blocks: a refusal is short,
/// and a client whose buffer is full does not read answers.
fn refuse(shared: &Shared, mut connection: Box<Connection>, refusal: Refusal) {
    let told = shared.tell(&connection.socket, &connection.stand_in(), refusal);
    shared.note_refused(connection.address, &connection.raw_line(), refusal, &told);
    // Behind answers that it has not read yet, a reset would take those away.
    if told.is_err() && !connection.was_answered() {
        return reset(&*connection.socket);
    }
    if shutdown(&*connection.socket, Shutdown::Write).is_ok() {
        connection.begin_lingering(Instant::now());
        shared.park(connection);
    }
}

/// What was sent of an answer: the bytes of its head, and all.
type Sent = (u64, u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_lingers_where_it_pays_and_nobody_needs_it() {
        // Of 64 workers: free, jobs that wait, open connections.
        let rows = [
            (true, 63, 0, 10_000),
            (true, 60, 0, 10_000),
            (false, 60, 1, 10_000),
            (false, 59, 0, 33),
            (true, 59, 0, 32),
            (true, 48, 0, 16),
            // A job that a free worker is on its way to.
            (true, 48, 1, 16),
            (true, 48, 47, 16),
            // Jobs for all who are free.
            (false, 48, 48, 16),
            (true, 1, 0, 32),
            (false, 0, 0, 1),
            (false, 0, 1, 1),
        ];
        for (wanted, n_free, n_waiting, n_open) in rows {
            let traffic = Traffic {
                n_free,
                n_taken: 0,
                n_waiting,
            };
            let told = (n_free, n_waiting, n_open);
            assert_eq!(pays(64, &traffic, || n_open), wanted, "{told:?}");
        }
    }
}
