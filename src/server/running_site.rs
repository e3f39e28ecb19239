//! What the admin API can see and change: the pools themselves, and the main thread for the rest.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{SendTimeoutError, Sender, bounded};

use crate::admin::sight::Sight;
use crate::admin::{ReloadError, Site};
use crate::exchange::Straggler;
use crate::pool::{BackendSpec, ChangeError, Forced, Pool, PoolReport};
use crate::server::Event;

/// How long to wait for a place among the events of the main thread, which a reload may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The running balancer.
pub struct RunningSite {
    /// What page and metrics look at.
    pub sight: Sight,
    /// Tells the main thread.
    pub events: Sender<Event>,
}

impl RunningSite {
    fn pool(&self, name: &str) -> Result<Arc<Pool>, ChangeError> {
        let unknown = || ChangeError::Unknown(format!("there is no pool {name}"));
        self.sight.pools.find(name).ok_or_else(unknown)
    }
}

impl Site for RunningSite {
    fn sight(&self) -> Option<&Sight> {
        Some(&self.sight)
    }

    fn report(&self, now: Instant) -> Vec<PoolReport> {
        self.sight.pools.report(now)
    }

    fn add(&self, pool: &str, spec: BackendSpec, now: Instant) -> Result<bool, ChangeError> {
        self.pool(pool)?.add(spec, now)
    }

    fn drain(&self, pool: &str, name: &str, now: Instant) -> Result<bool, ChangeError> {
        self.pool(pool)?.drain(name, now)
    }

    fn enable(&self, pool: &str, name: &str, now: Instant) -> Result<bool, ChangeError> {
        self.pool(pool)?.enable(name, now)
    }

    fn remove(&self, pool: &str, name: &str, now: Instant) -> Result<bool, ChangeError> {
        self.pool(pool)?.remove(name, now)
    }

    fn weigh(
        &self,
        pool: &str,
        name: &str,
        weight: u32,
        now: Instant,
    ) -> Result<bool, ChangeError> {
        self.pool(pool)?.weigh(name, weight, now)
    }

    fn force(
        &self,
        pool: &str,
        name: &str,
        forced: Option<Forced>,
        now: Instant,
    ) -> Result<bool, ChangeError> {
        self.pool(pool)?.force(name, forced, now)
    }

    fn await_drained(&self, pool: &str, name: &str, deadline: Instant) -> usize {
        let pool = self.sight.pools.find(pool);
        pool.map_or(0, |pool| pool.await_drained(name, deadline))
    }

    fn stragglers(&self, pool: &str, name: &str, now: Instant) -> Vec<Straggler> {
        let Some(pool) = self.sight.pools.find(pool) else {
            return Vec::new();
        };
        self.sight.crew.stragglers(&pool.ids_of(name), now)
    }

    fn reload(&self, deadline: Instant) -> Result<String, ReloadError> {
        // Capacity 1: the one answer, which nobody waits with.
        let (answer, answered) = bounded(1);
        let event = Event::Reload(Some(answer));
        match self.events.send_deadline(event, deadline) {
            Ok(()) => {}
            Err(SendTimeoutError::Timeout(_)) => {
                let reason = "another reload is in progress".to_owned();
                return Err(ReloadError::Busy(reason));
            }
            Err(SendTimeoutError::Disconnected(_)) => {
                return Err(ReloadError::Busy("the process is at its end".to_owned()));
            }
        }
        match answered.recv_deadline(deadline) {
            Ok(Ok(lines)) => Ok(lines.join("\n")),
            Ok(Err(errors)) => Err(ReloadError::Invalid(errors.join("\n"))),
            Err(_) => Err(ReloadError::Busy("it takes too long".to_owned())),
        }
    }

    fn stop(&self) -> bool {
        let event = Event::Stop("an operator");
        // Disconnected: it stops already.
        !matches!(
            self.events.send_timeout(event, PATIENCE),
            Err(SendTimeoutError::Timeout(_))
        )
    }
}
