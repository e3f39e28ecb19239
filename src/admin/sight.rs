//! What the admin listener looks at to tell what goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::admin::problem::Answer;
use crate::exchange::Crew;
use crate::intake::{CensusTaker, Jobs};
use crate::pool::Pools;
use crate::watch::history::History;
use crate::watch::{Counters, Watch};

/// Everything there is to see of a running balancer. Only looked at.
pub struct Sight {
    /// All backends.
    pub pools: Arc<Pools>,
    /// Which threads serve.
    pub crew: Arc<Crew>,
    /// The numbers of each thread.
    pub watch: Arc<Watch>,
    /// What is under way.
    pub counters: Arc<Counters>,
    /// The queue.
    pub jobs: Jobs,
    /// How many jobs the queue holds.
    pub queue_capacity: usize,
    /// Clients' connections; none where the listener does not know them.
    pub census: CensusTaker,
    /// Where clients are listened for.
    pub listeners: Vec<String>,
    /// Acquire in `is_stopping` pairs with the signal handler's store; a stale read is one answer
    /// that was true a moment ago.
    pub stopping: Arc<AtomicBool>,
    /// The last minutes.
    pub history: Arc<History>,
}

impl Sight {
    /// Whether the process stops.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

/// Whether requests shall be sent here: not while it stops, nor where a pool has no backend up.
pub fn ready(sight: &Sight) -> Answer {
    let pools = sight.pools.all();
    let dead = pools.iter().find(|pool| pool.n_up() == 0);
    let (status, word) = match dead {
        _ if sight.is_stopping() => (503, "stopping".to_owned()),
        Some(pool) => (503, format!("no backend of pool {} is up", pool.name())),
        None => (200, "ready".to_owned()),
    };
    Answer::plain(status, &word)
}
