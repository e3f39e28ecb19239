//! What the admin API can see and change: the pools, and the process, behind one trait.
//!
//! Behind a trait so that the API is tested without a balancer; the server has the real one.

use std::time::Instant;

use crate::admin::sight::Sight;
use crate::pool::BackendSpec;

pub use crate::exchange::Straggler;
pub use crate::pool::{BackendReport, ChangeError, Forced, PoolReport};

/// The balancer as the API sees it. Called by the threads `admin-N`, several at a time.
///
/// Each change tells whether it changed anything: asking twice is asking once. A pool that is not
/// there is [`ChangeError::Unknown`].
pub trait Site: Send + Sync {
    /// All pools, in the order of the configuration.
    fn report(&self, now: Instant) -> Vec<PoolReport>;

    /// What page, metrics and probes look at; none where there is no balancer.
    fn sight(&self) -> Option<&Sight>;

    /// Adds a backend. False: it was there already, as it is described.
    fn add(&self, pool: &str, spec: BackendSpec, now: Instant) -> Result<bool, ChangeError>;

    /// Lets a backend get no new requests.
    fn drain(&self, pool: &str, name: &str, now: Instant) -> Result<bool, ChangeError>;

    /// Lets a drained backend get requests again.
    fn enable(&self, pool: &str, name: &str, now: Instant) -> Result<bool, ChangeError>;

    /// Takes a backend out. False: it was not there.
    fn remove(&self, pool: &str, name: &str, now: Instant) -> Result<bool, ChangeError>;

    /// Gives a backend another weight.
    fn weigh(&self, pool: &str, name: &str, weight: u32, now: Instant)
    -> Result<bool, ChangeError>;

    /// Makes a backend up or down whatever probes say; none: lets them say.
    fn force(
        &self,
        pool: &str,
        name: &str,
        forced: Option<Forced>,
        now: Instant,
    ) -> Result<bool, ChangeError>;

    /// Waits until a backend has nothing in flight, or the deadline. Returns how much it still has,
    /// and 0 for one that is not there.
    fn await_drained(&self, pool: &str, name: &str, deadline: Instant) -> usize;

    /// Who is in an exchange with a backend.
    fn stragglers(&self, pool: &str, name: &str, now: Instant) -> Vec<Straggler>;

    /// Reads the configuration again and applies it, until the deadline. Returns what has changed,
    /// one line each.
    fn reload(&self, deadline: Instant) -> Result<String, ReloadError>;

    /// Begins a graceful stop, as SIGTERM does, and returns without waiting for it. False: it has
    /// not begun, because reloads come before it.
    fn stop(&self) -> bool;
}

/// Why nothing was reloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReloadError {
    /// The configuration is wrong: one line for each error. The old one runs on.
    Invalid(String),
    /// It is not known what became of it: another one is in progress, it takes too long, or the
    /// process ends.
    Busy(String),
}
