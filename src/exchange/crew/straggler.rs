//! Who is still in an exchange with a backend that is to have none: what an operator is told.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::exchange::crew::Crew;
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

impl Crew {
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
