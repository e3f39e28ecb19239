//! Whose turn it is for one attempt, and whether a worker of the pool is spent on it.

use std::sync::Arc;

use log::debug;

use crate::exchange::Exchanger;
use crate::exchange::content::ClientFailure;
use crate::pool::{Backend, NoPick};

/// Why no backend's answer is passed on.
pub enum GiveUp {
    /// The client failed.
    Client(ClientFailure),
    /// We answer, with this status and reason.
    Answer(u16, String),
    /// No worker is left for any backend that could: 503, and the queue's advice when to come.
    Busy(&'static str),
}

impl Exchanger<'_> {
    /// The next backend to try. A worker of the pool holds it from now on, instead of the one
    /// before; a long-haul thread is nobody's share of the pool and holds nothing.
    pub(super) fn pick(&self, tried: &[usize]) -> Result<Arc<Backend>, NoPick> {
        // First, or the exchange would count twice for a moment.
        self.post.release();
        if self.post.is_long_haul() {
            return self.pool.pick(tried).ok_or(NoPick::NobodyLeft);
        }
        let hold = self.pool.pick_and_hold(tried)?;
        let backend = Arc::clone(hold.backend());
        self.post.keep(hold);
        Ok(backend)
    }

    /// What follows when nobody was picked. The answers that were `meant` so far say what became
    /// of the request, and a 503 among them that it was never sent: who is busy then matters more.
    pub(super) fn not_picked(&self, no_pick: NoPick, meant: GiveUp) -> GiveUp {
        match (no_pick, meant) {
            (NoPick::AllBusy, GiveUp::Answer(503, _)) => {
                self.counters.note_refused();
                let reason = "every backend that is up has its share of the workers";
                debug!("refused: {reason}");
                GiveUp::Busy(reason)
            }
            (_, meant) => meant,
        }
    }
}
