//! One backend: its name, its addresses, and its idle connections.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::pool::BackendUrl;
use crate::sync::{AtomicUsize, Ordering};

/// Idle connections kept for one backend. A burst may open more; they are closed after use.
const MAX_IDLE: usize = 256;
/// How long an idle connection is kept. Below the usual keep-alive of servers (nginx 75 s), so
/// that we close first; a shorter one of the server's is noticed by the probe before reuse.
const MAX_IDLE_AGE: Duration = Duration::from_secs(30);

/// A member of the pool, shared by all threads.
#[derive(Debug)]
pub struct Backend {
    /// Its place in the pool.
    pub idx: usize,
    /// As it was written; also its name in the log.
    pub url: BackendUrl,
    /// Protects the addresses, held to copy or replace them. Written by the resolver thread.
    addresses: Mutex<Vec<SocketAddr>>,
    /// Protects the stack of idle connections, held for one push or pop; sockets are closed
    /// outside. The youngest is on top: it is the least likely to be closed by the backend, and
    /// those below grow old and go.
    idle: Mutex<Vec<Idle>>,
    /// Whether an exchange failed since the last that succeeded: spares the good path the pool's
    /// lock. Relaxed: publishes nothing else, and a stale read costs one missed or one needless
    /// look at a counter that is itself behind the lock.
    has_failed: AtomicBool,
    /// Workers of the pool that are in an exchange with it: one for each [`Hold`]. Relaxed:
    /// publishes nothing else, and each change is one exact step.
    n_held: AtomicUsize,
}

/// One worker's part in a backend's share of the pool: ends when dropped.
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

#[derive(Debug)]
struct Idle {
    stream: TcpStream,
    since: Instant,
}

impl Backend {
    pub(super) fn new(idx: usize, url: BackendUrl) -> Backend {
        Backend {
            idx,
            url,
            addresses: Mutex::new(Vec::new()),
            idle: Mutex::new(Vec::new()),
            has_failed: AtomicBool::new(false),
            n_held: AtomicUsize::new(0),
        }
    }

    /// Workers of the pool that are in an exchange with it now.
    pub fn n_held(&self) -> usize {
        self.n_held.load(Ordering::Relaxed)
    }

    /// The addresses to connect to, best first. Empty while its name has not been found.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.lock().clone()
    }

    pub(super) fn set_addresses(&self, addresses: Vec<SocketAddr>) {
        *self.addresses.lock() = addresses;
    }

    /// The youngest idle connection. Whether it is still open is for the caller to find out.
    pub fn take_idle(&self) -> Option<TcpStream> {
        self.idle.lock().pop().map(|idle| idle.stream)
    }

    /// Keeps a connection whose last exchange is complete on both sides.
    pub fn keep_idle(&self, stream: TcpStream, now: Instant) {
        let mut idle = self.idle.lock();
        if idle.len() < MAX_IDLE {
            idle.push(Idle { stream, since: now });
        }
    }

    /// Closes the idle connections that are too old. Called by the health thread.
    pub fn close_old_idle(&self, now: Instant) {
        let is_old = |i: &Idle| now.saturating_duration_since(i.since) >= MAX_IDLE_AGE;
        let old: Vec<Idle> = {
            let mut idle = self.idle.lock();
            let n_old = idle.iter().take_while(|i| is_old(i)).count();
            idle.drain(..n_old).collect()
        };
        drop(old); // closes the sockets, outside the lock
    }

    /// Closes all idle connections: the backend went down.
    pub fn close_idle(&self) {
        let all = std::mem::take(&mut *self.idle.lock());
        drop(all); // closes the sockets, outside the lock
    }

    pub(super) fn note_failure(&self) {
        self.has_failed.store(true, Ordering::Relaxed);
    }

    /// Whether a failure was noted since the last call.
    pub(super) fn forget_failure(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed) && self.has_failed.swap(false, Ordering::Relaxed)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_youngest_connection_is_reused_and_the_old_ones_are_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let url = BackendUrl::parse(&format!("http://{address}")).expect("a good URL");
        let backend = Backend::new(0, url);
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
    }
}
