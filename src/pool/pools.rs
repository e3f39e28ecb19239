//! All pools there are now, for those who look after them: health thread, resolver, operators.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64 as PlainU64, Ordering};
use std::time::{Duration, Instant};

use crate::pool::{Pool, PoolReport};
use crate::sync::RwLock;

/// The pools in use. Workers have their own way to them, with the routes.
#[derive(Debug)]
pub struct Pools {
    /// Protects which pools there are; held to copy or replace the list. Written by the main
    /// thread at a reload.
    all: RwLock<Arc<Vec<Arc<Pool>>>>,
    /// Numbers the backends of all pools.
    ids: Arc<PlainU64>,
    /// From one look-up of all names to the next. Relaxed: publishes nothing else; set by the main
    /// thread at a reload, which then lets the resolver look at it.
    resolve_interval_ms: PlainU64,
}

/// From one look-up of all names to the next, unless told.
const RESOLVE_INTERVAL_MS: u64 = 30_000;

impl Pools {
    /// None yet.
    pub fn new() -> Pools {
        Pools {
            all: RwLock::new(Arc::default()),
            ids: Arc::new(PlainU64::new(1)),
            resolve_interval_ms: PlainU64::new(RESOLVE_INTERVAL_MS),
        }
    }

    /// From one look-up of all names to the next.
    pub fn resolve_interval(&self) -> Duration {
        Duration::from_millis(self.resolve_interval_ms.load(Ordering::Relaxed))
    }

    /// From one look-up of all names to the next, from now on.
    pub fn set_resolve_interval(&self, interval: Duration) {
        let ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        self.resolve_interval_ms.store(ms, Ordering::Relaxed);
    }

    /// All of them, in the order of the configuration.
    pub fn all(&self) -> Arc<Vec<Arc<Pool>>> {
        Arc::clone(&self.all.read())
    }

    /// How all of them are at one moment.
    pub fn report(&self, now: Instant) -> Vec<PoolReport> {
        self.all().iter().map(|pool| pool.report(now)).collect()
    }

    /// The one of this name.
    pub fn find(&self, name: &str) -> Option<Arc<Pool>> {
        let all = self.all();
        all.iter().find(|pool| pool.name() == name).cloned()
    }

    /// These are all from now on.
    pub fn replace(&self, pools: Vec<Arc<Pool>>) {
        let pools = Arc::new(pools);
        let before = std::mem::replace(&mut *self.all.write(), pools);
        drop(before); // outside the lock: a pool's end closes sockets
    }

    /// For [`Pool::new`]: numbers the backends of all pools.
    pub fn ids(&self) -> &Arc<PlainU64> {
        &self.ids
    }

    /// Closes all idle connections: this process has run out of descriptors.
    pub fn close_idle(&self) {
        for pool in self.all().iter() {
            pool.close_idle();
        }
    }
}

impl Default for Pools {
    fn default() -> Pools {
        Pools::new()
    }
}
