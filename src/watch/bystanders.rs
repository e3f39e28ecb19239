//! The threads that serve no requests themselves: who there is, and what each does.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use crate::watch::{Doing, Lane};

/// Those that are worth a look, each with the lane that only it writes. Main, `signals`, `notify`,
/// `refuser` and `access-log` are not: they sleep but for a moment.
#[derive(Debug)]
pub struct Bystanders {
    epoch: Instant,
    /// Protects the list, which grows while the server starts and a thread comes late. Held to add
    /// one, or to copy.
    lanes: Mutex<Vec<(String, Arc<Lane>)>>,
}

impl Bystanders {
    /// None yet.
    pub fn new(epoch: Instant) -> Bystanders {
        Bystanders {
            epoch,
            lanes: Mutex::default(),
        }
    }

    /// A thread of this name is about to start; it does this until it says otherwise.
    pub fn enter(&self, name: &str, doing: Doing) -> Arc<Lane> {
        let lane = Arc::new(Lane::new(self.epoch));
        lane.set(doing, Instant::now());
        self.lanes.lock().push((name.to_owned(), Arc::clone(&lane)));
        lane
    }

    /// Everybody by name, in the order in which they came.
    pub fn all(&self) -> Vec<(String, Arc<Lane>)> {
        self.lanes.lock().clone()
    }
}
