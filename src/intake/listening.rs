//! The two listeners behind one shape: what to run on their thread, and how to wake it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::intake::gate::{self, Gate};
use crate::intake::tiny::TinyListener;
use crate::intake::{Ended, Limit, Queue};
use crate::watch::Pulse;

/// Ends the wait of a listener's thread, so that it looks at its flags.
#[derive(Clone)]
pub enum Waker {
    /// That of a gate.
    Gate(gate::Waker),
    /// That of the other listener.
    TinyHttp(Arc<TinyListener>),
}

impl Waker {
    /// Makes the thread look.
    pub fn wake(&self) {
        match self {
            Waker::Gate(waker) => waker.wake(),
            Waker::TinyHttp(listener) => listener.wake(),
        }
    }
}

/// A listener that is bound, and the body of its thread.
pub struct Listening {
    /// Ends its waits.
    pub waker: Waker,
    /// Where it listens, with the ports that the system chose.
    pub addresses: Vec<String>,
    /// What its thread is called where there is only one of the kind.
    pub name: &'static str,
    /// How many connections there are.
    pub census: CensusTaker,
    /// Beaten by its thread at each turn of its loop, at the latest when it is woken.
    pub pulse: Arc<Pulse>,
    /// What its thread runs.
    pub run: Box<Body>,
}

/// Clients' connections at one moment, and what was refused before it came to the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// All that are open.
    pub n_open: usize,
    /// Of those, the ones between two requests that no thread holds.
    pub n_idle: usize,
    /// Requests and connections that the listener refused itself, ever, and for no limit.
    pub n_refused: u64,
    /// The same for each limit, in the order of [`Limit::ALL`].
    pub n_at_limit: [u64; Limit::ALL.len()],
}

/// Counts connections; none where the listener does not know them. Called by any thread.
pub type CensusTaker = Box<dyn Fn() -> Option<Census> + Send + Sync>;

/// Fills the queue until the first flag is set, and ends when the second is.
type Body = dyn FnOnce(Queue, &AtomicBool, &AtomicBool) -> Ended + Send;

impl From<Gate> for Listening {
    fn from(gate: Gate) -> Listening {
        Listening {
            waker: Waker::Gate(gate.waker()),
            addresses: gate.addresses(),
            pulse: gate.pulse(),
            name: "waiter",
            census: gate.census(),
            run: Box::new(|queue, stopping, finished| gate.run(queue, stopping, finished)),
        }
    }
}

impl From<TinyListener> for Listening {
    fn from(listener: TinyListener) -> Listening {
        let listener = Arc::new(listener);
        Listening {
            waker: Waker::TinyHttp(Arc::clone(&listener)),
            addresses: vec![listener.address().to_string()],
            pulse: listener.pulse(),
            name: "listener",
            census: Box::new(|| None),
            run: Box::new(move |queue, stopping, finished| listener.run(queue, stopping, finished)),
        }
    }
}
