//! How an attempt failed, and what its client is told of it.

use crate::exchange::retry::Failure;

/// An attempt that brought no answer.
#[derive(Debug)]
pub struct Failed {
    /// For the retry rule.
    pub failure: Failure,
    /// For the log: phase and reason.
    pub cause: String,
}

impl Failed {
    /// What a client gets if nothing better comes.
    pub fn status(&self) -> u16 {
        match self.failure {
            Failure::Connect | Failure::NoMeans => 503,
            Failure::Timeout => 504,
            Failure::Stale | Failure::Broken | Failure::BadHead | Failure::Status(_) => 502,
        }
    }

    /// What a client is told: the kind of failure, and no address of a backend.
    pub fn explain(&self) -> String {
        match self.failure {
            Failure::Connect => "no backend could be reached",
            Failure::NoMeans => "out of descriptors or ports",
            Failure::Stale | Failure::Broken => "the backend broke off",
            Failure::Timeout => "the backend did not answer in time",
            Failure::BadHead => "the backend's answer could not be understood",
            Failure::Status(_) => "the backend could not serve it",
        }
        .to_owned()
    }
}
