//! Starts threads beside the workers: the listener's, the health thread, the refuser, and the one
//! that waits for signals.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::exchange::{self, Shared};
use crate::intake::{CensusTaker, Ended, Queue, Refused};
use crate::pool;
use crate::process::signals;
use crate::server::listening::Listening;
use crate::server::{Event, spawn};
use crate::system::join;
use crate::watch::{Doing, Pulse};

/// A listener's thread.
pub struct ListenerThread {
    thread: JoinHandle<()>,
    /// No message ever comes; disconnected means that it has ended.
    done: Receiver<Infallible>,
}

impl ListenerThread {
    /// Starts it.
    pub fn start(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<ListenerThread> {
        // Capacity 0: only its end is waited for.
        let (end, done) = bounded(0);
        let thread = spawn(name, move || {
            body();
            drop(end);
        })?;
        Ok(ListenerThread { thread, done })
    }

    /// Joins it, if it ends before the deadline; false if it does not. All requests are answered by
    /// then: it is a client's last answer that may take too long to arrive.
    pub fn join_by(self, deadline: Instant) -> bool {
        let has_ended = self.done.recv_deadline(deadline) != Err(RecvTimeoutError::Timeout);
        if has_ended {
            join(self.thread);
        }
        has_ended
    }
}

/// `finished` is the flag of its end. Returned with who tells how many connections
/// there are.
pub fn start_listener(
    shared: &Shared,
    listening: Listening,
    queue: Queue,
    finished: &Arc<AtomicBool>,
    events: Sender<Event>,
) -> io::Result<(ListenerThread, CensusTaker)> {
    let Listening {
        name,
        census,
        pulse,
        run,
        ..
    } = listening;
    let [stopping, finished] = [&shared.stopping, finished].map(Arc::clone);
    shared.watch.bystanders.enter(name, Doing::Listening);
    let thread = ListenerThread::start(name, move || {
        tell_if_it_died(run(queue, &stopping, &finished), &events);
        pulse.end();
    })?;
    Ok((thread, census))
}

/// Tells the main thread of a listener's end that nobody asked for.
fn tell_if_it_died(ended: Ended, events: &Sender<Event>) {
    match ended {
        Ended::Stopped => {}
        Ended::Died(reason) => {
            // Waits for a place, which a reload may take; an error: it stops anyway.
            let _ = events.send(Event::ListenerDied(reason));
        }
    }
}

/// With its sign of life.
pub fn start_health(
    shared: &Shared,
    hinted: Receiver<()>,
) -> io::Result<(JoinHandle<()>, Arc<Pulse>)> {
    let (pools, pulse) = (Arc::clone(&shared.pools), Arc::<Pulse>::default());
    let beaten = Arc::clone(&pulse);
    let lane = shared.watch.bystanders.enter("health", Doing::Idle);
    let health = spawn("health", move || {
        pool::run_health(&pools, &hinted, &beaten, &lane);
        beaten.end();
    })?;
    Ok((health, pulse))
}

/// What the queue refuses is answered there.
pub fn start_refuser(
    shared: Shared,
    refusals: Receiver<Box<Refused>>,
) -> io::Result<JoinHandle<()>> {
    spawn("refuser", move || exchange::run_refuser(&shared, &refusals))
}

/// Starts the thread that waits for SIGINT, SIGTERM, SIGHUP and SIGUSR1, which asks for the access
/// log to be opened anew.
pub fn watch_signals(
    stopping: &Arc<AtomicBool>,
    events: Sender<Event>,
    reopen: Sender<()>,
) -> io::Result<()> {
    let signals = signals::install(stopping)?;
    spawn("signals", move || signals::run(signals, &events, &reopen))?;
    Ok(())
}
