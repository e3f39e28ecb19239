//! Starts, names and joins every thread; nowhere else is one started, but in the demo.
//!
//! | thread | ends when | joined by |
//! |---|---|---|
//! | `listener` | it was told to stop, or `tiny_http` died | [`Server::stop`] |
//! | `worker-N` | the queue is closed and empty | [`Server::stop`] |
//! | `refuser` | the listener's end of the queue is gone | [`Server::stop`] |
//! | `health` | the last worker is gone | [`Server::stop`] |
//! | `resolver` | the server is gone | nobody: a look-up has no deadline |
//! | `signals` | the first signal has come | nobody: it waits for the user |
//!
//! All are started by [`Server::start`], the resolver only if some backend is a name; `signals`
//! by [`watch_signals`], before.
//!
//! Shutdown is a wave along the arrows of the design. Intake stops; its end of the queue closes;
//! the workers serve what is in it and return; with them go the senders of hints, and the health
//! thread returns. Only then is the listener thread let go, which until now refuses what still
//! comes in on old connections, and with it the refuser.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use log::{error, info};

use crate::exchange::{self, Settings, Shared, Timeouts};
use crate::intake::tiny::{Ended, TinyListener};
use crate::intake::{Job, queue};
use crate::pool::{self, Pool, Timing};
use crate::process::config::Config;
use crate::process::signals;
use crate::system;
use crate::watch::Counters;

/// Enough for the deepest call chain of a worker, several times over; the default of 2 MiB would
/// only show as address space, but a small appliance may count that too.
const STACK_BYTES: usize = 512 * 1024;

/// Why the main thread shall end the server.
#[derive(Debug)]
pub enum Event {
    /// A signal of this name asked for it.
    Stop(&'static str),
    /// No connection is accepted any more.
    ListenerDied(String),
}

/// Why a server did not start.
#[derive(Debug)]
pub enum StartError {
    /// The address can't be listened on.
    Bind(String, io::Error),
    /// The system refused a thread.
    Thread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Bind(address, error) => {
                write!(f, "cannot listen on {address}: {}", system::plain(error))
            }
            StartError::Thread(error) => {
                write!(f, "cannot start a thread: {}", system::plain(error))
            }
        }
    }
}

impl std::error::Error for StartError {}

/// A running balancer.
pub struct Server {
    listener: Arc<TinyListener>,
    shared: Shared,
    /// Ends the listener thread at the end of the wave. Release in `stop`, Acquire in `run`.
    finished: Arc<AtomicBool>,
    /// To count what is left in the queue at the deadline.
    jobs: Receiver<Job>,
    /// No message ever comes; disconnected means that all workers have returned.
    workers_done: Receiver<Infallible>,
    workers: Vec<JoinHandle<()>>,
    listener_thread: JoinHandle<()>,
    refuser: JoinHandle<()>,
    health: JoinHandle<()>,
    /// No message ever comes; dropped at the end, which ends the resolver.
    _alive: Sender<()>,
}

/// How a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Every request was answered.
    Drained,
    /// The deadline passed with so many requests unanswered.
    CutOff(usize),
}

impl Server {
    /// Binds, starts all threads, and serves.
    ///
    /// Tells `events` if the listener dies. `stopping` may be set by anyone, at any time: answers
    /// then say that they are the last.
    pub fn start(
        config: &Config,
        stopping: Arc<AtomicBool>,
        events: Sender<Event>,
    ) -> Result<Server, StartError> {
        let pool = Arc::new(Pool::new(config.backends.clone(), Instant::now()));
        pool::look_up_all(&pool);
        let bound = TinyListener::bind(&config.listen, config.idle_timeout);
        let listener =
            Arc::new(bound.map_err(|error| StartError::Bind(config.listen.clone(), error))?);
        let (queue, jobs, refusals) = queue(config.queue_capacity, config.queue_timeout);
        // Capacity 1: one hint is as good as many.
        let (hints, hinted) = bounded(1);
        // Capacity 0: only its end is waited for.
        let (done, workers_done) = bounded::<Infallible>(0);
        let (alive, ended) = bounded(0);
        let shared = Shared {
            pool,
            settings: settings(config),
            stopping,
            counters: Arc::new(Counters::default()),
        };
        let health = {
            let pool = Arc::clone(&shared.pool);
            let timing = Timing {
                interval: config.health_interval,
                timeout: config.health_timeout,
            };
            spawn("health", move || pool::run_health(&pool, &hinted, timing))?
        };
        if shared
            .pool
            .members()
            .iter()
            .any(|backend| backend.url.is_name())
        {
            let pool = Arc::downgrade(&shared.pool);
            spawn("resolver", move || pool::run_resolver(&pool, &ended))?;
        }
        let workers = start_workers(config.n_workers, &shared, &jobs, &hints, &done)?;
        let refuser = {
            let shared = shared.clone();
            spawn("refuser", move || exchange::run_refuser(&shared, &refusals))?
        };
        let finished = Arc::new(AtomicBool::new(false));
        let listener_thread = {
            let (listener, finished) = (Arc::clone(&listener), Arc::clone(&finished));
            let stopping = Arc::clone(&shared.stopping);
            spawn("listener", move || {
                if let Ended::Died(reason) = listener.run(queue, &stopping, &finished) {
                    // Full: the main thread has been told to stop already.
                    let _ = events.try_send(Event::ListenerDied(reason));
                }
            })?
        };
        Ok(Server {
            listener,
            shared,
            finished,
            jobs,
            workers_done,
            workers,
            listener_thread,
            refuser,
            health,
            _alive: alive,
        })
        // `hints` and `done` end here: from now on only workers hold them, so that the end of the
        // last worker is what the health thread and `stop` see.
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// The sums so far, for the log.
    pub fn summary(&self) -> String {
        self.shared.counters.summary()
    }

    /// Stops intake, lets the workers finish, and joins all threads; gives up at the deadline,
    /// after which only the end of the process ends what is left.
    pub fn stop(self, timeout: Duration) -> Stopped {
        let deadline = Instant::now() + timeout;
        // Release: whoever acquires it sees all that came before the stop.
        self.shared.stopping.store(true, Ordering::Release);
        self.listener.wake();
        if self.workers_done.recv_deadline(deadline) == Err(RecvTimeoutError::Timeout) {
            return Stopped::CutOff(self.shared.counters.n_in_flight() + self.jobs.len());
        }
        for worker in self.workers {
            join(worker);
        }
        join(self.health);
        self.finished.store(true, Ordering::Release);
        self.listener.wake();
        join(self.listener_thread);
        join(self.refuser);
        Stopped::Drained
    }
}

fn start_workers(
    n_workers: usize,
    shared: &Shared,
    jobs: &Receiver<Job>,
    hints: &Sender<()>,
    done: &Sender<Infallible>,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let start = |n| {
        let (shared, jobs) = (shared.clone(), jobs.clone());
        let (hints, done) = (hints.clone(), done.clone());
        spawn(&format!("worker-{n}"), move || {
            exchange::run_worker(&shared, &jobs, &hints);
            drop((hints, done));
        })
    };
    (1..=n_workers).map(start).collect()
}

/// Starts the thread that waits for SIGINT and SIGTERM.
pub fn watch_signals(stopping: &Arc<AtomicBool>, events: Sender<Event>) -> io::Result<()> {
    let signals = signals::install(stopping)?;
    let started = spawn("signals", move || signals::run(signals, &events));
    match started {
        Ok(_) => Ok(()),
        Err(StartError::Bind(_, error) | StartError::Thread(error)) => Err(error),
    }
}

fn settings(config: &Config) -> Settings {
    Settings {
        retries: config.retries,
        queue_timeout: config.queue_timeout,
        retry_after: config.health_interval,
        timeouts: Timeouts {
            connect: config.connect_timeout,
            response: config.response_timeout,
            idle: config.idle_timeout,
        },
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    let builder = thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK_BYTES);
    builder.spawn(body).map_err(StartError::Thread)
}

fn join(thread: JoinHandle<()>) {
    let name = thread.thread().name().unwrap_or_default().to_owned();
    if thread.join().is_err() {
        error!("the thread {name} had panicked");
    }
}

/// Serves until an event says otherwise, then stops. Returns the exit code.
pub fn run_until_stopped(server: Server, events: &Receiver<Event>, timeout: Duration) -> u8 {
    let event = events
        .recv()
        .unwrap_or(Event::ListenerDied("nobody is left".to_owned()));
    let start = Instant::now();
    let has_died = match event {
        Event::Stop(signal) => {
            info!("stopping: {signal}");
            false
        }
        Event::ListenerDied(reason) => {
            error!("stopping: the listener died: {reason}");
            true
        }
    };
    let summary = server.shared.counters.clone();
    match server.stop(timeout) {
        Stopped::Drained => {
            let took = start.elapsed().as_millis();
            info!(
                "stopped: all requests answered in {took}ms; {}",
                summary.summary()
            );
            u8::from(has_died)
        }
        Stopped::CutOff(n) => {
            let plural = if n == 1 { "" } else { "s" };
            error!(
                "stopped: {n} request{plural} cut off after {timeout:?}; {}",
                summary.summary()
            );
            1
        }
    }
}
