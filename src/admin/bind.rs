//! The listener of the admin API, and the queue between it and the threads that answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::admin::N_HANDLERS;
use crate::intake::check::Limits;
use crate::intake::gate::{BindError, Gate, HandedOver, MinRate, Settings, Told};
use crate::intake::tiny::TinyListener;
use crate::intake::{Jobs, ListenAt, Listening, Queue, queue};

/// The longest content; a description of a backend is a hundredth of it.
pub const MAX_CONTENT: u64 = 64 * 1024;
/// One stall of a client, in its content or before our answer.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests that may wait; one more is cut. The threads answer at once, but for a few that wait.
const QUEUE_CAPACITY: usize = 64;
/// How long one may wait before it is cut.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections at a time; beyond it the oldest idle one goes.
const MAX_CONNECTIONS: usize = 64;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(75);
const BYTES_PER_SECOND: u64 = 256;

/// A bound listener, and what its thread and those that answer are given.
pub struct Bound {
    /// What its own thread runs; the name is for the server to choose.
    pub listening: Listening,
    /// For [`Listening::run`].
    pub queue: Queue,
    /// For [`run_admin`](crate::admin::run_admin), one clone for each of [`N_HANDLERS`].
    pub jobs: Jobs,
}

/// Whether an address is one that others can reach, so that a token is needed. A name is taken for
/// such a one: where it leads is for others to say.
pub fn needs_token(at: &ListenAt) -> bool {
    !matches!(at, ListenAt::Unix(_)) && loopback(at).is_none()
}

fn loopback(at: &ListenAt) -> Option<SocketAddr> {
    let ListenAt::Tcp(text) = at else {
        return None;
    };
    let address: SocketAddr = text.parse().ok()?;
    address.ip().is_loopback().then_some(address)
}

/// Binds the address, or takes what was handed over. What runs is stopped by `stopping`, which the
/// gate looks at as well.
///
/// Loopback is served by `tiny_http`, as the demo's backends are: nobody is there whom it would
/// have to be kept from. Everything else is the gate's: what others can reach, for its checks; and
/// Unix sockets, because `tiny_http` keeps the sockets of its clients out of reach, they are found
/// by their address, and a client on a Unix socket has none.
pub fn bind(
    at: &ListenAt,
    stopping: &Arc<AtomicBool>,
    handed_over: &mut HandedOver,
) -> Result<Bound, BindError> {
    let (queue, jobs, refusals) = queue(QUEUE_CAPACITY, QUEUE_TIMEOUT);
    // Nobody is there to answer what the queue refuses, so that it is cut. It is either full, which
    // takes somebody who means harm, or closed at the end.
    drop(refusals);
    let limits = Limits {
        max_content: Some(MAX_CONTENT),
        ..Limits::default()
    };
    let listening = if let Some(address) = loopback(at) {
        let at = address.to_string();
        let bound = TinyListener::bind(&at, IDLE_TIMEOUT, limits);
        bound.map_err(|error| BindError { at, error })?.into()
    } else {
        let settings = Settings {
            limits,
            max_connections: MAX_CONNECTIONS,
            max_per_client: None,
            max_requests: None,
            header_timeout: HEADER_TIMEOUT,
            keep_alive_timeout: KEEP_ALIVE_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            pace: MinRate {
                bytes_per_second: Some(BYTES_PER_SECOND),
                grace: IDLE_TIMEOUT,
            },
            accept_proxy: false,
            n_workers: N_HANDLERS,
        };
        let at = std::slice::from_ref(at);
        let (jobs, stopping) = (jobs.clone(), Arc::clone(stopping));
        Gate::bind(at, settings, jobs, stopping, handed_over, Told::default())?.into()
    };
    Ok(Bound {
        listening,
        queue,
        jobs,
    })
}
