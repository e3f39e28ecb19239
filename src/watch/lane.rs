//! What one thread does at this moment, for people who look.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::watch::histogram::micros;

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Waits for a request.
    Idle,
    /// Reads the client's content.
    Reading,
    /// Waits for a backend with room.
    Picking,
    /// Connects to the backend.
    Connecting,
    /// Sends the request to the backend.
    Sending,
    /// Waits for the head of the backend's answer.
    Waiting,
    /// Passes the answer on.
    Writing,
    /// Passes bytes in both directions.
    Tunnelling,
    /// Waits for clients, and takes in what they send.
    Listening,
    /// Waits for the answers of backends to their probes.
    Probing,
    /// Looks names of backends up.
    LookingUp,
    /// Watches over the workers.
    Watching,
    /// Takes a sample each second.
    Sampling,
    /// Answers a request of the admin API.
    Answering,
}

/// No more than the bits below a lane's time tell apart.
const ALL: [Doing; 14] = [
    Doing::Idle,
    Doing::Reading,
    Doing::Picking,
    Doing::Connecting,
    Doing::Sending,
    Doing::Waiting,
    Doing::Writing,
    Doing::Tunnelling,
    Doing::Listening,
    Doing::Probing,
    Doing::LookingUp,
    Doing::Watching,
    Doing::Sampling,
    Doing::Answering,
];

impl Doing {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Doing::Idle => "idle",
            Doing::Reading => "reading",
            Doing::Picking => "picking",
            Doing::Connecting => "connecting",
            Doing::Sending => "sending",
            Doing::Waiting => "waiting",
            Doing::Writing => "writing",
            Doing::Tunnelling => "tunnel",
            Doing::Listening => "listening",
            Doing::Probing => "probing",
            Doing::LookingUp => "looking up",
            Doing::Watching => "watching",
            Doing::Sampling => "sampling",
            Doing::Answering => "answering",
        }
    }
}

/// What one thread does, and since when.
#[derive(Debug)]
pub struct Lane {
    epoch: Instant,
    /// Microseconds since the epoch, shifted left by four, and what is done since then. Written by
    /// its one thread. Relaxed: publishes nothing else; a stale read shows what was done a moment
    /// ago.
    state: AtomicU64,
}

impl Lane {
    /// Idle since the epoch.
    pub fn new(epoch: Instant) -> Lane {
        Lane {
            epoch,
            state: AtomicU64::new(0),
        }
    }

    /// From now on this is done.
    pub fn set(&self, doing: Doing, now: Instant) {
        let since = micros(now.saturating_duration_since(self.epoch));
        self.state
            .store(since << 4 | doing as u64, Ordering::Relaxed);
    }

    /// What is done, and for how long it has been.
    pub fn look(&self, now: Instant) -> (Doing, Duration) {
        let state = self.state.load(Ordering::Relaxed);
        let since = Duration::from_micros(state >> 4);
        let passed = now.saturating_duration_since(self.epoch);
        // What `set` has written is in the table.
        let doing = ALL.get((state & 15) as usize).copied();
        let doing = doing.unwrap_or(Doing::Idle);
        (doing, passed.saturating_sub(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_tells_what_was_set_last_and_for_how_long() {
        let epoch = Instant::now();
        let lane = Lane::new(epoch);
        let at = |ms| epoch + Duration::from_millis(ms);
        assert_eq!(lane.look(at(3)), (Doing::Idle, Duration::from_millis(3)));
        for doing in ALL {
            lane.set(doing, at(5));
            assert_eq!(lane.look(at(7)), (doing, Duration::from_millis(2)));
        }
        assert_eq!(lane.look(epoch).1, Duration::ZERO, "a reader may be behind");
    }
}
