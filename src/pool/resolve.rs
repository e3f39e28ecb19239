//! Looks up the names of backends, at the start and again and again; never on the request path.

use std::sync::Weak;
use std::time::Duration;

use log::{info, warn};

use crate::pool::{Backend, Pool};
use crate::system;

/// The time between two look-ups of a name.
pub const LOOK_UP_INTERVAL: Duration = Duration::from_secs(30);

/// Looks every backend up once, before the first request. A name that is not found is a warning:
/// the backend gets no connections until a later look-up finds it.
///
/// Blocks as long as the system's resolver does (resolv.conf, commonly 10 s); at once for
/// addresses.
pub fn look_up_all(pool: &Pool) {
    for backend in pool.members() {
        look_up(backend);
    }
}

/// The body of the thread `resolver`, which runs only when some backend is a name.
///
/// Ends when the pool is gone. Nobody joins it: the look-up is a library call without a deadline,
/// and the end of the process must not wait for it. `ended` disconnects at the end.
pub fn run(pool: &Weak<Pool>, ended: &crossbeam_channel::Receiver<()>) {
    use crossbeam_channel::RecvTimeoutError::Timeout;
    while ended.recv_timeout(LOOK_UP_INTERVAL) == Err(Timeout) {
        let Some(pool) = pool.upgrade() else { return };
        for backend in pool
            .members()
            .iter()
            .filter(|backend| backend.url.is_name())
        {
            look_up(backend);
        }
    }
}

fn look_up(backend: &Backend) {
    let before = backend.addresses();
    match backend.url.look_up() {
        Ok(now) => {
            if !before.is_empty() && before != now {
                info!("backend {} has new addresses: {now:?}", backend.url);
            }
            backend.set_addresses(now);
        }
        // A failing look-up keeps the last answer.
        Err(error) => {
            let kept = before.len();
            let error = system::plain(&error);
            warn!(
                "backend {}: look-up: {error}; {kept} known addresses kept",
                backend.url
            );
        }
    }
}
