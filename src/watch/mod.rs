//! What the balancer knows about itself: counts, times, and what each thread does.
//!
//! Written to by all rooms, asks nobody. What a worker writes at each exchange is its own
//! ([`Sheet`]): no two threads write the same cache line, and nothing is locked but a place in the
//! ring of the last exchanges, and that only while somebody may ask for it. Whoever looks adds up.

pub mod access;
mod bystanders;
mod counters;
mod fate;
mod histogram;
pub mod history;
mod lane;
mod pulse;
mod recent;
mod sheet;
mod story;
mod tally;

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use self::access::AccessLog;

pub use self::bystanders::Bystanders;
pub use self::counters::{Counters, InFlight, OpenTunnel};
pub use self::fate::{By, Fate, N_FATES};
pub use self::histogram::{Histogram, Sums, millis};
pub use self::lane::{Doing, Lane};
pub use self::pulse::Pulse;
pub use self::recent::Recent;
pub use self::sheet::{Sheet, Totals};
pub use self::story::{Attempt, Story};
pub use self::tally::{Class, N_CLASSES, Tally};

/// Exchanges that are remembered while somebody may ask for them.
pub const N_RECENT: usize = 2_048;

/// All that is known, shared by all threads.
#[derive(Debug)]
pub struct Watch {
    epoch: Instant,
    /// One for each thread that serves, by its slot in the crew, made when its first thread starts:
    /// a thread that never was costs nothing. A later thread of the same slot goes on in it.
    sheets: Vec<OnceLock<Arc<Sheet>>>,
    /// Those beside them.
    pub bystanders: Bystanders,
    /// Of the thread `refuser`.
    pub refuser: Arc<Sheet>,
    /// The last exchanges, if somebody may ask for them.
    pub recent: Option<Recent>,
    /// Where each exchange is logged, if that was asked for.
    pub access_log: Option<Arc<AccessLog>>,
}

impl Watch {
    /// For so many threads, nothing counted yet.
    pub fn new(n_threads: usize, epoch: Instant) -> Watch {
        Watch {
            epoch,
            sheets: (0..n_threads).map(|_| OnceLock::new()).collect(),
            bystanders: Bystanders::new(epoch),
            refuser: Arc::new(Sheet::new(epoch)),
            recent: None,
            access_log: None,
        }
    }

    /// The same; each exchange is logged there.
    #[must_use]
    pub fn with_access_log(self, access_log: Option<Arc<AccessLog>>) -> Watch {
        Watch { access_log, ..self }
    }

    /// Whether anybody wants the names of what an exchange meets, and not only counts.
    pub fn is_told(&self) -> bool {
        self.recent.is_some() || self.access_log.is_some()
    }

    /// The same; the last exchanges are remembered.
    #[must_use]
    pub fn with_recent(self) -> Watch {
        Watch {
            recent: Some(Recent::new(N_RECENT)),
            ..self
        }
    }

    /// The sheet of a thread that is about to serve.
    pub fn sheet(&self, slot: usize) -> Arc<Sheet> {
        let sheet = self.sheets[slot].get_or_init(|| Arc::new(Sheet::new(self.epoch)));
        Arc::clone(sheet)
    }

    /// The sheet of a slot, if it ever had a thread.
    pub fn known_sheet(&self, slot: usize) -> Option<&Sheet> {
        self.sheets.get(slot)?.get().map(Arc::as_ref)
    }

    /// All sheets added up.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.refuser.add_to(&mut totals);
        for sheet in self.sheets.iter().filter_map(OnceLock::get) {
            sheet.add_to(&mut totals);
        }
        totals
    }
}
