//! The thread `notify`: tells the service manager how things stand, and that all go on.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use log::{error, info, warn};

use crate::counted::counted;
use crate::intake::{Jobs, Waker};
use crate::pool::Pools;
use crate::process::notify::Notifier;
use crate::server::life::{Life, Seen, Stuck};
use crate::server::{Reloaded, spawn};
use crate::system::{join, plain};
use crate::watch::Pulse;

/// How often the state is looked at where no watchdog wants it more often.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// What the thread looks at.
#[derive(Clone)]
pub struct Vitals {
    pub waker: Waker,
    pub listener: Arc<Pulse>,
    pub health: Arc<Pulse>,
    pub jobs: Jobs,
    pub pools: Arc<Pools>,
    pub queue_timeout: Duration,
    pub addresses: String,
    /// Set by the first signal. Acquire pairs with the handler's store; a stale read costs a line.
    pub stopping: Arc<AtomicBool>,
}

impl Vitals {
    fn seen(&self) -> Seen {
        Seen {
            listener: self.listener.n_turns(),
            health: self.health.n_turns(),
            traffic: self.jobs.traffic(),
        }
    }

    /// How things stand, in words.
    fn status(&self) -> String {
        let pools = self.pools.all();
        let n_up: usize = pools.iter().map(|pool| pool.n_up()).sum();
        let n: usize = pools.iter().map(|pool| pool.n_backends()).sum();
        let (at, backends) = (&self.addresses, counted(n, "backend"));
        format!("listening on {at}, {n_up} of {backends} up")
    }
}

/// What the service manager hears of the main thread; and the thread, where there is a manager.
pub struct Service {
    notifier: Arc<Notifier>,
    vitals: Vitals,
    /// With what ends it: nothing is ever sent, dropping it is enough.
    thread: Option<(JoinHandle<()>, Sender<Infallible>)>,
}

impl Service {
    /// Starts the thread, if there is somebody to be told.
    pub fn start(vitals: Vitals, notifier: Notifier) -> io::Result<Service> {
        let notifier = Arc::new(notifier);
        let mut service = Service {
            notifier: Arc::clone(&notifier),
            vitals: vitals.clone(),
            thread: None,
        };
        if notifier.is_heard() {
            // Capacity 0: only its end is waited for.
            let (end, ended) = bounded(0);
            let thread = spawn("notify", move || run(&vitals, &notifier, &ended))?;
            service.thread = Some((thread, end));
        }
        Ok(service)
    }

    /// It serves.
    pub fn ready(&self) {
        self.notifier.ready(&self.vitals.status());
    }

    /// A reload begins.
    pub fn reloading(&self) {
        self.notifier.reloading();
    }

    /// It is over. The manager waits for this whether it went well or not.
    pub fn reloaded(&self, reloaded: &Reloaded) {
        match reloaded {
            Ok(_) => self.ready(),
            Err(errors) => {
                let errors = errors.join("; ");
                let status = format!("reload refused, the old configuration runs on: {errors}");
                self.notifier.ready(&status);
            }
        }
    }

    /// The end begins, for this cause.
    pub fn stopping(&self, cause: &str) {
        self.notifier.stopping(&format!("stopping: {cause}"));
    }

    /// Ends the thread, and waits for it.
    pub fn stop(self) {
        if let Some((thread, end)) = self.thread {
            drop(end);
            join(thread);
        }
    }
}

/// The body of the thread. Lives through the stop, whose threads must go on as well.
fn run(vitals: &Vitals, notifier: &Notifier, ended: &Receiver<Infallible>) {
    let start = Instant::now();
    let interval = notifier.watchdog();
    let mut life =
        interval.map(|interval| Life::new(interval, vitals.queue_timeout, vitals.seen(), start));
    let mut told = vitals.status();
    let mut next_status = start + STATUS_INTERVAL;
    let mut trouble = Trouble::default();
    loop {
        let now = Instant::now();
        let is_stopping = vitals.stopping.load(Ordering::Acquire);
        if now >= next_status && !is_stopping {
            next_status = now + STATUS_INTERVAL;
            let status = vitals.status();
            if status != told {
                notifier.status(&status);
                told = status;
            }
        }
        let look_interval = match &mut life {
            Some(life) => {
                look(life, vitals, notifier, &mut trouble);
                life.look_interval()
            }
            None => STATUS_INTERVAL,
        };
        match ended.recv_timeout(look_interval) {
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
            Ok(never) => match never {},
        }
    }
}

fn look(life: &mut Life, vitals: &Vitals, notifier: &Notifier, trouble: &mut Trouble) {
    let seen = vitals.seen();
    if life.wants_turn(&seen) {
        vitals.waker.wake();
    }
    let now = Instant::now();
    match life.look(&seen, now) {
        Ok(false) => {}
        Ok(true) => {
            trouble.end();
            match notifier.feed() {
                Ok(()) => life.note_fed(&seen, now),
                Err(error) => warn!("the watchdog can't be fed: {}", plain(&error)),
            }
        }
        Err(stuck) => trouble.begin(stuck),
    }
}

/// What is said when it begins and when it ends, and not in between.
#[derive(Default)]
struct Trouble(Option<Stuck>);

impl Trouble {
    fn begin(&mut self, stuck: Stuck) {
        if self.0.replace(stuck) != Some(stuck) {
            error!("the watchdog is not fed: {stuck}");
        }
    }

    fn end(&mut self) {
        if self.0.take().is_some() {
            info!("the watchdog is fed again");
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
