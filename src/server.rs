//! Starts, names and joins every thread; nowhere else is one started, but in the demo.
//!
//! | thread | ends when | joined by |
//! |---|---|---|
//! | `waiter`, or `listener` over `tiny_http` | it was told to stop, or can't listen | `stop` |
//! | `worker-N` | the queue is closed and empty, or its long exchange over | foreman, `stop` |
//! | `foreman` | a worker found the queue closed and empty | `stop` |
//! | `refuser` | the waiter's end of the queue is gone | `stop` |
//! | `health` | the last worker is gone | `stop` |
//! | `resolver` | the server is gone | nobody: a look-up has no deadline |
//! | `signals` | the first signal has come | nobody: it waits for the user |
//!
//! `stop` is [`Server::stop`]. All are started by [`Server::start`], the resolver only if some
//! backend is a name; `signals` by [`watch_signals`], before. The foreman starts the workers that
//! take the place of others. Of `worker-N` there are never more than the pool's and the long-haul
//! threads together: N is a slot that is free again only when its thread has been joined.
//!
//! Shutdown is a wave along the arrows of the design. Intake stops; its end of the queue closes;
//! the workers serve what is in it and return. The first that finds it closed and empty closes the
//! crew; the foreman, who promoted and filled up until then, returns, and lets go what it had to
//! give to new workers. With the last worker, long-haul or not, go the senders of hints, and the
//! health thread returns. Only then is the waiter let go, which until now refuses what still comes
//! in on old connections, and with it the refuser.

mod listening;
mod meant;
mod start_error;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use log::{error, info};

pub use self::start_error::StartError;

use self::listening::{Listening, Waker, listen};
use self::meant::{max_held, settings};
use crate::exchange::{self, Crew, Foreman, Shared};
use crate::intake::{Ended, Jobs, Refused, queue};
use crate::pool::{self, Pool, Timing};
use crate::process::config::Config;
use crate::process::signals;
use crate::system::join;
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

/// A running balancer.
pub struct Server {
    waker: Waker,
    addresses: Vec<String>,
    shared: Shared,
    /// Ends the listener thread at the end of the wave. Release in `stop`, Acquire in `run`.
    finished: Arc<AtomicBool>,
    /// To count what is left in the queue at the deadline.
    jobs: Jobs,
    /// No message ever comes; disconnected means that all workers have returned.
    workers_done: Receiver<Infallible>,
    /// Returns the workers that are still to be joined.
    foreman: JoinHandle<Vec<JoinHandle<()>>>,
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
        let pool = Pool::new(config.backends.clone(), Instant::now());
        let pool = Arc::new(pool.with_share(max_held(config)));
        pool::look_up_all(&pool);
        let (queue, jobs, refusals) = queue(config.queue_capacity, config.queue_timeout);
        let jobs = Jobs::new(jobs);
        let listening = listen(config, &jobs, &stopping)?;
        // Capacity 1: one hint is as good as many.
        let (hints, hinted) = bounded(1);
        // Capacity 0: only its end is waited for.
        let (done, workers_done) = bounded::<Infallible>(0);
        let (alive, ended) = bounded(0);
        // Capacity 1: one wake-up of the foreman is as good as many.
        let (ring, bell) = bounded(1);
        let ring = move || ring.try_send(()).unwrap_or_default(); // full: it is awake
        let crew = Crew::new(config.n_workers, config.max_long_haul, Instant::now(), ring);
        let shared = Shared {
            pool,
            settings: settings(config),
            stopping,
            counters: Arc::new(Counters::default()),
            crew: Arc::new(crew),
            retry_after: queue.retry_after(),
        };
        let health = start_pool_threads(&shared.pool, hinted, ended, config)?;
        let outfit = Outfit {
            shared: shared.clone(),
            jobs: jobs.clone(),
            hints,
            done,
        };
        let foreman = start_crew(outfit, bell, config.long_haul_after)?;
        let refuser = start_refuser(shared.clone(), refusals)?;
        let finished = Arc::new(AtomicBool::new(false));
        let Listening {
            waker,
            addresses,
            name,
            run,
        } = listening;
        let listener_thread = {
            let (stopping, finished) = (Arc::clone(&shared.stopping), Arc::clone(&finished));
            spawn(name, move || match run(queue, &stopping, &finished) {
                Ended::Stopped => {}
                // Full: the main thread has been told to stop already.
                Ended::Died(reason) => {
                    let _ = events.try_send(Event::ListenerDied(reason));
                }
            })?
        };
        Ok(Server {
            waker,
            addresses,
            shared,
            finished,
            jobs,
            workers_done,
            foreman,
            listener_thread,
            refuser,
            health,
            _alive: alive,
        })
        // `hints` and `done` are the crew's: the workers hold them, and the foreman while it may
        // start one. So the end of the last worker is what the health thread and `stop` see.
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
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
        self.waker.wake();
        if self.workers_done.recv_deadline(deadline) == Err(RecvTimeoutError::Timeout) {
            return self.cut_off();
        }
        for worker in join(self.foreman).unwrap_or_default() {
            join(worker);
        }
        join(self.health);
        self.finished.store(true, Ordering::Release);
        self.waker.wake();
        join(self.listener_thread);
        join(self.refuser);
        Stopped::Drained
    }

    /// What the deadline met. A tunnel is nobody's unanswered request: it had its time.
    fn cut_off(&self) -> Stopped {
        let counters = &self.shared.counters;
        let n_tunnels = counters.n_tunnels();
        match counters.n_in_flight().saturating_sub(n_tunnels) + self.jobs.len() {
            0 => {
                info!("the deadline ends what is left: {n_tunnels} tunnels");
                Stopped::Drained
            }
            n => Stopped::CutOff(n),
        }
    }
}

fn start_refuser(
    shared: Shared,
    refusals: Receiver<Refused>,
) -> Result<JoinHandle<()>, StartError> {
    spawn("refuser", move || exchange::run_refuser(&shared, &refusals))
}

/// Starts the health thread, which is returned, and the resolver if it is needed.
fn start_pool_threads(
    pool: &Arc<Pool>,
    hinted: Receiver<()>,
    ended: Receiver<()>,
    config: &Config,
) -> Result<JoinHandle<()>, StartError> {
    if pool.members().iter().any(|backend| backend.url.is_name()) {
        let pool = Arc::downgrade(pool);
        spawn("resolver", move || pool::run_resolver(&pool, &ended))?;
    }
    let pool = Arc::clone(pool);
    let timing = Timing {
        interval: config.health_interval,
        timeout: config.health_timeout,
    };
    spawn("health", move || {
        pool::run_health(&pool, &hinted, timing);
    })
}

/// What every worker is given.
#[derive(Clone)]
struct Outfit {
    shared: Shared,
    jobs: Jobs,
    hints: Sender<()>,
    done: Sender<Infallible>,
}

impl Outfit {
    fn start_worker(&self, idx: usize) -> Result<JoinHandle<()>, StartError> {
        let Outfit {
            shared,
            jobs,
            hints,
            done,
        } = self.clone();
        let n = idx + 1;
        spawn(&format!("worker-{n}"), move || {
            exchange::run_worker(&shared, idx, &jobs, &hints);
            drop((hints, done));
        })
    }
}

/// Starts the workers, and the foreman who looks after them.
fn start_crew(
    outfit: Outfit,
    bell: Receiver<()>,
    after: Duration,
) -> Result<JoinHandle<Vec<JoinHandle<()>>>, StartError> {
    let crew = Arc::clone(&outfit.shared.crew);
    let mut threads: Vec<_> = (0..crew.counts().n_free).map(|_| None).collect();
    while let Some(idx) = crew.reserve() {
        threads[idx] = Some(outfit.start_worker(idx)?);
    }
    spawn("foreman", move || {
        let start = |idx| {
            outfit.start_worker(idx).map_err(|error| match error {
                StartError::Thread(error) | StartError::Bind(_, error) => error,
            })
        };
        let foreman = Foreman {
            crew: &crew,
            bell: &bell,
            after,
            jobs: &outfit.jobs,
            start,
        };
        foreman.run(threads)
    })
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

fn spawn<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, StartError> {
    let builder = thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK_BYTES);
    builder.spawn(body).map_err(StartError::Thread)
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
