//! The two listeners behind one shape: what to run on their thread, and how to wake it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::intake::gate::{self, Gate};
use crate::intake::tiny::TinyListener;
use crate::intake::{Ended, Jobs, Queue};
use crate::process::config::{Config, Listener};
use crate::server::StartError;
use crate::server::meant::gate_settings;

/// Ends the wait of the listener's thread, so that it looks at its flags.
pub enum Waker {
    Gate(gate::Waker),
    TinyHttp(Arc<TinyListener>),
}

impl Waker {
    pub fn wake(&self) {
        match self {
            Waker::Gate(waker) => waker.wake(),
            Waker::TinyHttp(listener) => listener.wake(),
        }
    }
}

/// A listener that is bound, and the body of its thread.
pub struct Listening {
    pub waker: Waker,
    pub addresses: Vec<String>,
    pub name: &'static str,
    pub run: Box<Body>,
}

/// Fills the queue until the first flag is set, and ends when the second is.
type Body = dyn FnOnce(Queue, &AtomicBool, &AtomicBool) -> Ended + Send;

/// Binds the listener that was asked for.
pub fn listen(
    config: &Config,
    jobs: &Jobs,
    stopping: &Arc<AtomicBool>,
) -> Result<Listening, StartError> {
    if config.listener == Listener::Gate {
        let settings = gate_settings(config);
        let gate = Gate::bind(&config.listen, settings, jobs.clone(), Arc::clone(stopping))
            .map_err(|e| StartError::Bind(e.at, e.error))?;
        return Ok(Listening {
            waker: Waker::Gate(gate.waker()),
            addresses: gate.addresses(),
            name: "waiter",
            run: Box::new(|queue, stopping, finished| gate.run(queue, stopping, finished)),
        });
    }
    let text = config.listen[0].to_string();
    let bound = TinyListener::bind(&text, config.idle_timeout, config.limits);
    let listener = Arc::new(bound.map_err(|error| StartError::Bind(text, error))?);
    Ok(Listening {
        waker: Waker::TinyHttp(Arc::clone(&listener)),
        addresses: vec![listener.address().to_string()],
        name: "listener",
        run: Box::new(move |queue, stopping, finished| listener.run(queue, stopping, finished)),
    })
}
