//! The listener of the admin API, and the queue between it and the threads that answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::admin::N_HANDLERS;
use crate::intake::check::Limits;
use crate::intake::gate::{BindError, Gate, HandedOver, MinRate, Settings, Told};
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
/// such a one, and so is a socket of systemd's: where they lead is for others to say.
pub fn needs_token(at: &ListenAt) -> bool {
    match at {
        ListenAt::Tcp(text) => !text
            .parse()
            .is_ok_and(|address: SocketAddr| address.ip().to_canonical().is_loopback()),
        ListenAt::Unix(_) => false,
        ListenAt::Systemd(_) => true,
    }
}

/// Binds the address, or takes what was handed over. What runs is stopped by `stopping`, which the
/// gate looks at as well.
///
/// The gate, on the loopback too: whoever has an account on the machine, or sends a browser there,
/// reaches that, without a token.
pub fn bind(
    at: &ListenAt,
    stopping: &Arc<AtomicBool>,
    handed_over: &mut HandedOver,
) -> Result<Bound, BindError> {
    let (queue, jobs, refusals) = queue(QUEUE_CAPACITY, QUEUE_TIMEOUT);
    // Nobody is there to answer what the queue refuses, so that it is cut. It is either full, which
    // takes somebody who means harm, or closed at the end.
    drop(refusals);
    let settings = Settings {
        limits: Limits {
            max_content: Some(MAX_CONTENT),
            ..Limits::default()
        },
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
    let stopping = Arc::clone(stopping);
    let gate = Gate::bind(
        at,
        settings,
        jobs.clone(),
        stopping,
        handed_over,
        Told::default(),
    )?;
    Ok(Bound {
        listening: gate.into(),
        queue,
        jobs,
    })
}
