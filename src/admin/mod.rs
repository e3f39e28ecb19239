//! The admin API: what goes on, and changes without a lost request. Its own listener and threads.
//!
//! On loopback and Unix sockets reaching the socket is the permission (a Unix socket's is that of
//! its file: whoever may write to it), unless a token is set; anywhere else a token is needed.
//! Every change may be asked for again: the second time changes nothing and says so.
//!
//! ```text
//! curl http://127.0.0.1:9901/status
//! curl --unix-socket /run/threadbare-admin.sock http://localhost/status
//! curl -H "Authorization: Bearer $(cat token)" http://192.0.2.1:9901/status
//! curl http://127.0.0.1:9901/pools
//! curl http://127.0.0.1:9901/pools/default
//! curl http://127.0.0.1:9901/pools/default/backends/127.0.0.1:8081
//!
//! curl --json '{"url":"http://127.0.0.1:8084"}' http://127.0.0.1:9901/pools/default/backends
//! curl --json '{"url":"http://127.0.0.1:8084","weight":2}' -X PUT \
//!     http://127.0.0.1:9901/pools/default/backends/web4
//! curl --json '{"timeout":"30s"}' http://127.0.0.1:9901/pools/default/backends/web4/drain
//! curl -X POST http://127.0.0.1:9901/pools/default/backends/web4/enable
//! curl --json '{"weight":3}' http://127.0.0.1:9901/pools/default/backends/web4/weight
//! curl --json '{"state":"down"}' http://127.0.0.1:9901/pools/default/backends/web4/state
//! curl -X DELETE http://127.0.0.1:9901/pools/default/backends/web4
//!
//! curl -X POST http://127.0.0.1:9901/reload
//! curl -X POST http://127.0.0.1:9901/shutdown
//! ```
//!
//! A name with a slash is percent-encoded in a path: `127.0.0.1:8081%2Fapp`. Errors are
//! `application/problem+json` (RFC 9457).
//!
//! Runs on the threads `admin-1` to `admin-4` ([`run_admin`]), which take jobs from the queue of a
//! listener like the workers do, and end when that is closed.

mod access;
mod api;
mod bind;
mod drain;
pub mod json;
mod live;
mod metrics;
mod page;
mod problem;
mod requests;
mod serve;
pub mod sight;
mod site;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

pub use self::access::Token;
pub use self::bind::{Bound, bind, needs_token};
pub use self::serve::run_admin;
pub use self::site::{
    BackendReport, ChangeError, Forced, PoolReport, ReloadError, Site, Straggler,
};

/// The threads that answer.
pub const N_HANDLERS: usize = 4;
/// How many of them may wait for something at a time: one is left that answers at once.
const MAX_WAITING: usize = N_HANDLERS - 1;

/// What all threads that answer share.
pub struct Admin {
    site: Arc<dyn Site>,
    token: Option<Token>,
    started: Instant,
    /// Ends waits for drains, and keeps no connection. Acquire in `is_stopping` pairs with the
    /// signal handler's store; a stale read costs one more step of a wait, or one more request.
    stopping: Arc<AtomicBool>,
    /// Threads that wait. Relaxed: publishes nothing else.
    n_waiting: AtomicUsize,
}

impl Admin {
    /// The API before this site; a client has to show the token if there is one. `started` is when
    /// the process was.
    pub fn new(
        site: Arc<dyn Site>,
        token: Option<Token>,
        started: Instant,
        stopping: Arc<AtomicBool>,
    ) -> Admin {
        Admin {
            site,
            token,
            started,
            stopping,
            n_waiting: AtomicUsize::new(0),
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Leave to wait; none while too many do.
    fn begin_wait(&self) -> Option<Waiting<'_>> {
        let one_more = |n| (n < MAX_WAITING).then_some(n + 1);
        let begun = self
            .n_waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        begun.ok().map(|_| Waiting(self))
    }
}

/// A thread that waits; until it is dropped, also by a panic.
struct Waiting<'a>(&'a Admin);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.n_waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
pub mod fake;
#[cfg(test)]
mod tests;
