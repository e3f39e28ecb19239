//! Who is still in an exchange with a backend that is to have none: what an operator is told.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::exchange::crew::Crew;
use crate::exchange::crew::post::PROMOTED;
use crate::sync::Ordering;

/// A thread that is still in an exchange with a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Straggler {
    /// Its name.
    pub thread: String,
    /// For whom; none on a Unix socket.
    pub client: Option<IpAddr>,
    /// Method and target, escaped; long ones are cut.
    pub request: String,
    /// How long the exchange has lasted.
    pub since: Duration,
}

/// A thread that serves, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostReport {
    /// Its slot.
    pub slot: usize,
    /// Its name.
    pub thread: String,
    /// It is outside of the pool.
    pub is_long_haul: bool,
    /// It is in an exchange that has come as far as a backend: with whom
    /// ([`Backend::id`](crate::pool::Backend)), for whom, and what was asked for.
    pub exchange: Option<(u64, Option<IpAddr>, String)>,
}

impl Crew {
    /// All threads that serve, in the order of their slots.
    pub fn posts(&self) -> Vec<PostReport> {
        let free = self.roll.lock().free.clone();
        let slots = self.slots.iter().enumerate();
        let taken = slots.filter(|(idx, _)| !free.contains(idx));
        taken
            .map(|(slot, place)| {
                let state = place.state.load(Ordering::Relaxed);
                let doing = place.doing.lock();
                let is_current = state >> 1 != 0 && doing.start_ms == state >> 1;
                PostReport {
                    slot,
                    thread: format!("worker-{}", slot + 1),
                    is_long_haul: state & PROMOTED != 0,
                    exchange: is_current.then(|| {
                        let line = doing.line.escape_ascii().to_string();
                        (doing.backend_id, doing.client, line)
                    }),
                }
            })
            .collect()
    }

    /// Who is in an exchange with one of these backends ([`Backend::id`](crate::pool::Backend)).
    pub fn stragglers(&self, backend_ids: &[u64], now: Instant) -> Vec<Straggler> {
        let mut stragglers = Vec::new();
        for (idx, slot) in self.slots.iter().enumerate() {
            let start_ms = slot.state.load(Ordering::Relaxed) >> 1;
            let doing = slot.doing.lock();
            if start_ms == 0
                || doing.start_ms != start_ms
                || !backend_ids.contains(&doing.backend_id)
            {
                continue;
            }
            stragglers.push(Straggler {
                thread: format!("worker-{}", idx + 1),
                client: doing.client,
                request: doing.line.escape_ascii().to_string(),
                since: Duration::from_millis(self.ms(now).saturating_sub(start_ms)),
            });
        }
        stragglers
    }
}
