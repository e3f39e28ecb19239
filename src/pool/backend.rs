//! One backend: its name, its address, its load, and its idle connections.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::pool::load::Load;
use crate::pool::traffic::Traffic;
use crate::pool::{BackendUrl, NoPick, balance};
use crate::sync::{AtomicUsize, Ordering};
use crate::watch::Tally;

/// Idle connections kept for one backend. A burst may open more; they are closed after use.
const MAX_IDLE: usize = 256;
/// How long an idle connection is kept. Below the usual keep-alive of servers (nginx 75 s), so
/// that we close first; a shorter one of the server's is noticed by the probe before reuse.
const MAX_IDLE_AGE: Duration = Duration::from_secs(30);

/// A member of a pool, shared by all threads. What changes about it in a lifetime stands in the
/// roster, or here in numbers that each stand alone.
#[derive(Debug)]
pub struct Backend {
    /// Never given again, not even to the same address.
    pub id: u64,
    /// Unique in its pool: its name in the configuration, and the address behind it if that was a
    /// host's name.
    pub name: String,
    /// Its name in the log: with the pool's before it, if there are several.
    pub label: String,
    /// As it was written.
    pub url: BackendUrl,
    /// Where to connect; none while the host's name has no address.
    pub address: Option<SocketAddr>,
    /// The Host field for clients that sent none.
    pub authority: String,
    /// The same for the same name, over restarts.
    pub identity: u64,
    /// Protects the idle connections and whether any are kept, held for one push or pop; sockets
    /// are closed outside.
    idle: Mutex<IdleStack>,
    /// Whether the next success matters to its health: spares the good path the roster's lock.
    /// Relaxed: publishes nothing else, and a stale read costs one missed or one needless look at
    /// a counter that is itself behind the lock.
    wants_news: AtomicBool,
    /// Workers of the pool that are in an exchange with it: one for each [`Hold`]. Relaxed:
    /// publishes nothing else, and each change is one exact step.
    n_held: AtomicUsize,
    /// Exchanges with it, whoever has them: one for each [`Claim`].
    pub(super) load: Load,
    /// Its one trial request is under way. Relaxed: publishes nothing else; swapped, so that only
    /// one gets it.
    in_trial: AtomicBool,
    /// Slow start: how much of a turn it has saved up, of which the whole turns are spent. Relaxed:
    /// publishes nothing else, and each addition is one exact step.
    warmth: AtomicU32,
    /// Attempts ever, and those that failed by its fault. Relaxed: read alone, for sums.
    n_requests: AtomicU64,
    n_failures: AtomicU64,
    /// Its answers that were passed on.
    pub tally: Tally,
    traffic: Arc<Traffic>,
}

#[derive(Debug, Default)]
struct IdleStack {
    /// The youngest is on top: it is the least likely to be closed by the backend, and those below
    /// grow old and go.
    connections: Vec<Idle>,
    /// Nothing is kept: the backend gets no new requests.
    is_closed: bool,
}

#[derive(Debug)]
struct Idle {
    stream: TcpStream,
    since: Instant,
}

/// What a backend is made of.
pub struct Identity<'a> {
    /// See [`Backend::id`].
    pub id: u64,
    /// See [`Backend::name`].
    pub name: String,
    /// See [`Backend::label`].
    pub label: String,
    /// See [`Backend::url`].
    pub url: &'a BackendUrl,
    /// See [`Backend::address`].
    pub address: Option<SocketAddr>,
    /// A new one of its pool's.
    pub load: Load,
    /// Its pool's.
    pub traffic: &'a Arc<Traffic>,
}

/// One worker's part in a backend's share of the workers: ends when dropped.
#[derive(Debug)]
pub struct Hold(Arc<Backend>);

impl Hold {
    /// A hold on this backend, unless so many have one already.
    pub(super) fn take(backend: &Arc<Backend>, limit: usize) -> Option<Hold> {
        // Not fetch_add and back: a number that is too high for a moment would refuse others.
        let more = |n| (n < limit).then_some(n + 1);
        let taken = backend
            .n_held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.is_ok().then(|| Hold(Arc::clone(backend)))
    }

    /// Who is held.
    pub fn backend(&self) -> &Arc<Backend> {
        &self.0
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.n_held.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One exchange with a backend, from its pick to the end of the backend's part in it: ends when
/// dropped. While there is one, a drain of the backend is not over.
#[derive(Debug)]
pub struct Claim {
    backend: Arc<Backend>,
    is_trial: bool,
}

impl Claim {
    /// One more exchange with this backend, unless it has `limit` already, or is on trial and has
    /// its one request. Taken under the roster's lock only: behind a change of the roster, nobody
    /// claims whom it took out.
    pub(super) fn take(
        backend: &Arc<Backend>,
        limit: usize,
        is_trial: bool,
    ) -> Result<Claim, NoPick> {
        if !backend.load.enter(limit) {
            return Err(NoPick::AllFull);
        }
        if is_trial && backend.in_trial.swap(true, Ordering::Relaxed) {
            backend.load.leave(&backend.traffic);
            return Err(NoPick::NobodyLeft);
        }
        backend.traffic.begin();
        backend.n_requests.fetch_add(1, Ordering::Relaxed);
        Ok(Claim {
            backend: Arc::clone(backend),
            is_trial,
        })
    }

    /// Who was picked.
    pub fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// Whether much depends on this one: the backend is on trial.
    pub fn is_trial(&self) -> bool {
        self.is_trial
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.is_trial {
            self.backend.in_trial.store(false, Ordering::Relaxed);
        }
        self.backend.traffic.end();
        self.backend.load.leave(&self.backend.traffic);
    }
}

impl Backend {
    pub(super) fn new(identity: Identity) -> Backend {
        Backend {
            id: identity.id,
            identity: balance::identity_of(&identity.name),
            name: identity.name,
            label: identity.label,
            authority: identity.url.authority(),
            url: identity.url.clone(),
            address: identity.address,
            idle: Mutex::default(),
            wants_news: AtomicBool::new(false),
            n_held: AtomicUsize::new(0),
            load: identity.load,
            in_trial: AtomicBool::new(false),
            warmth: AtomicU32::new(0),
            n_requests: AtomicU64::new(0),
            n_failures: AtomicU64::new(0),
            tally: Tally::default(),
            traffic: Arc::clone(identity.traffic),
        }
    }

    /// Workers of the pool that are in an exchange with it now.
    pub fn n_held(&self) -> usize {
        self.n_held.load(Ordering::Relaxed)
    }

    /// Exchanges with it now.
    pub fn n_in_flight(&self) -> usize {
        self.load.n()
    }

    /// Attempts ever.
    pub fn n_requests(&self) -> u64 {
        self.n_requests.load(Ordering::Relaxed)
    }

    /// Attempts that failed by its fault.
    pub fn n_failures(&self) -> u64 {
        self.n_failures.load(Ordering::Relaxed)
    }

    /// The youngest idle connection. Whether it is still open is for the caller to find out.
    pub fn take_idle(&self) -> Option<TcpStream> {
        self.idle.lock().connections.pop().map(|idle| idle.stream)
    }

    /// Keeps a connection whose last exchange is complete on both sides.
    pub fn keep_idle(&self, stream: TcpStream, now: Instant) {
        let mut idle = self.idle.lock();
        if idle.connections.len() < MAX_IDLE && !idle.is_closed {
            idle.connections.push(Idle { stream, since: now });
        }
    }

    /// Closes the idle connections that are too old. Called by the health thread.
    pub fn close_old_idle(&self, now: Instant) {
        let is_old = |i: &Idle| now.saturating_duration_since(i.since) >= MAX_IDLE_AGE;
        let old: Vec<Idle> = {
            let connections = &mut self.idle.lock().connections;
            let n_old = connections.iter().take_while(|i| is_old(i)).count();
            connections.drain(..n_old).collect()
        };
        drop(old); // closes the sockets, outside the lock
    }

    /// Closes all idle connections: the backend went down.
    pub fn close_idle(&self) {
        let all = std::mem::take(&mut self.idle.lock().connections);
        drop(all); // closes the sockets, outside the lock
    }

    /// Whether idle connections are kept: not those of a backend that is to go.
    pub(super) fn set_keeps_idle(&self, keeps: bool) {
        self.idle.lock().is_closed = !keeps;
        if !keeps {
            self.close_idle();
        }
    }

    /// The next success matters.
    pub(super) fn want_news(&self) {
        self.wants_news.store(true, Ordering::Relaxed);
    }

    pub(super) fn note_failure(&self) {
        self.n_failures.fetch_add(1, Ordering::Relaxed);
        self.want_news();
    }

    /// Whether the success that is told now matters. Asked once for each.
    pub(super) fn is_news(&self) -> bool {
        self.wants_news.load(Ordering::Relaxed) && self.wants_news.swap(false, Ordering::Relaxed)
    }

    /// Whether its one trial request is under way.
    pub(super) fn is_in_trial(&self) -> bool {
        self.in_trial.load(Ordering::Relaxed)
    }

    /// Whether it may have this turn while its share is only so large (slow start).
    pub(super) fn is_warm_enough(&self, share: u32) -> bool {
        let saved = self.warmth.fetch_add(share, Ordering::Relaxed);
        balance::admit(saved, share).1
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::pool::load::Loads;
    use std::net::TcpListener;

    fn backend(address: SocketAddr) -> Backend {
        let url = BackendUrl::parse(&format!("http://{address}")).expect("a good URL");
        Backend::new(Identity {
            name: url.to_string(),
            label: url.to_string(),
            url: &url,
            address: Some(address),
            id: 1,
            load: Loads::new().give(),
            traffic: &Arc::new(Traffic::new()),
        })
    }

    #[test]
    fn the_youngest_connection_is_reused_and_the_old_ones_are_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let backend = backend(address);
        let connect = || TcpStream::connect(address).expect("someone listens");
        let start = Instant::now();
        let (first, second) = (connect(), connect());
        let second_port = second.local_addr().expect("connected").port();
        backend.keep_idle(first, start);
        backend.keep_idle(second, start + MAX_IDLE_AGE / 2);

        backend.close_old_idle(start + MAX_IDLE_AGE);
        let left = backend.take_idle().expect("the younger one stays");
        assert_eq!(left.local_addr().expect("connected").port(), second_port);
        assert!(backend.take_idle().is_none(), "the older one is closed");

        backend.set_keeps_idle(false);
        backend.keep_idle(left, start);
        assert!(backend.take_idle().is_none(), "nothing is kept any more");
    }

    #[test]
    fn a_backend_has_as_many_exchanges_as_claims_and_one_trial() {
        let backend = Arc::new(backend(([127, 0, 0, 1], 1).into()));
        let claims: Vec<_> = (0..3).map(|_| Claim::take(&backend, 2, false)).collect();
        let n_taken = claims.iter().flatten().count();
        let counted = (n_taken, backend.n_in_flight(), backend.n_requests());
        assert_eq!(counted, (2, 2, 2));
        drop(claims);
        assert_eq!(backend.n_in_flight(), 0);
        let trial = Claim::take(&backend, usize::MAX, true).expect("it is free");
        assert!(Claim::take(&backend, usize::MAX, true).is_err());
        assert_eq!(backend.n_in_flight(), 1, "who was refused has left again");
        drop(trial);
        let other = Claim::take(&backend, 1, false);
        assert!(Claim::take(&backend, 1, true).is_err(), "no place");
        drop(other);
        assert!(Claim::take(&backend, 1, true).is_ok());
    }
}
