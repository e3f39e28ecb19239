//! Starts, names and joins every thread of the balancer. (The admin API's have a file of their own,
//! `server/admin.rs`; other processes, the demo's backends and `threadbare top`, start their own.)
//!
//! | thread | ends when | joined by |
//! |---|---|---|
//! | `waiter`, or `listener` over `tiny_http` | it was told to stop, or can't listen | `stop` |
//! | `worker-N` | the queue is closed and empty, or its long exchange over | foreman, `stop` |
//! | `foreman` | a worker found the queue closed and empty | `stop` |
//! | `refuser` | the waiter's end of the queue is gone | `stop` |
//! | `health` | the last worker is gone | `stop` |
//! | `resolver` | the server is gone | nobody: a look-up has no deadline |
//! | `look-up`, of a reload | all new names are looked up | nobody: a look-up has no deadline |
//! | `signals` | the first signal to stop has come | nobody: it waits for the user |
//! | `notify`, where a service manager listens | the server is gone | `stop` |
//! | `admin` | it was told to stop | `stop` |
//! | `admin-N` | the admin API's queue is closed and empty | `stop` |
//! | `sampler` | the admin API stops | `stop` |
//! | `access-log`, where there is one | it was told to, and all is written | `stop` |
//!
//! `stop` is [`Server::stop`], which waits for `admin`, `admin-N` and `access-log` only for a
//! second each, and for the listener and the refuser only until the deadline. All are started by
//! [`Server::start`], the resolver only if some backend is a name; `signals` by [`watch_signals`],
//! before. The foreman starts the workers that take the place of others. Of `worker-N` there are
//! never more than the pool's and the long-haul threads together: N is a slot that is free again
//! only when its thread has been joined.
//!
//! Shutdown is a wave along the arrows of the design. Intake stops; its end of the queue closes;
//! the workers serve what is in it and return. The first that finds it closed and empty closes the
//! crew; the foreman, who promoted and filled up until then, returns, and lets go what it had to
//! give to new workers. With the last worker, long-haul or not, go the senders of hints, and the
//! health thread returns. Only then is the waiter let go, which until now refuses what still comes
//! in on old connections, and with it the refuser.

mod access_log;
mod admin;
mod diff;
mod life;
mod listening;
mod meant;
mod notify;
mod run;
mod running_site;
mod site;
mod start_error;
mod threads;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use log::info;

pub use self::run::{Event, Reloaded, run_until_stopped};
pub use self::start_error::{StartError, look_at_files};
pub use self::threads::watch_signals;

use self::access_log::{AccessThread, Ledger};
use self::admin::{AdminDoor, AdminThreads, OfIntake};
use self::listening::{Waker, listen};
use self::notify::{Service, Vitals};
use self::site::{Found, Site};
use self::threads::{ListenerThread, start_health, start_listener, start_refuser};
use crate::counted::counted;
use crate::exchange::{self, Crew, Foreman, Shared};
use crate::intake::gate::HandedOver;
use crate::intake::{Jobs, queue};
use crate::pool;
use crate::process::config::Config;
use crate::process::notify::Notifier;
use crate::system::join;
use crate::watch::Doing;

/// Enough for the deepest call chain of a worker, several times over; the default of 2 MiB would
/// only show as address space, but a small appliance may count that too.
const STACK_BYTES: usize = 512 * 1024;

/// A running balancer.
pub struct Server {
    waker: Waker,
    addresses: Vec<String>,
    site: Site,
    shared: Shared,
    /// Ends the listener thread at the end of the wave. Release in `stop`, Acquire in `run`.
    finished: Arc<AtomicBool>,
    /// To count what is left in the queue at the deadline.
    jobs: Jobs,
    /// No message ever comes; disconnected means that all workers have returned.
    workers_done: Receiver<Infallible>,
    /// Returns the workers that are still to be joined.
    foreman: JoinHandle<Vec<JoinHandle<()>>>,
    listener_thread: ListenerThread,
    refuser: JoinHandle<()>,
    health: JoinHandle<()>,
    /// Where the resolver hears that it shall look now. None once it runs.
    resolver: Option<Receiver<()>>,
    admin: Option<AdminThreads>,
    access_log: Option<AccessThread>,
    service: Service,
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
    /// then say that they are the last. `reopen` tells to open the access log anew.
    pub fn start(
        config: &Config,
        stopping: Arc<AtomicBool>,
        events: Sender<Event>,
        notifier: Notifier,
        reopen: Receiver<()>,
    ) -> Result<Server, StartError> {
        // Capacity 1: one message is as good as many.
        let (look_up, asked) = bounded(1);
        let site = Site::new(config, look_up);
        let (queue, jobs, refusals) = queue(config.queue_capacity, config.queue_timeout);
        let mut handed_over = HandedOver::from_env(config.listen.iter().chain(&config.admin));
        let ledger = Ledger::open(config, reopen)?;
        let log = || ledger.as_ref().map(|ledger| Arc::clone(&ledger.log));
        let listening = listen(config, &jobs, &stopping, &mut handed_over, log())?;
        let admin = AdminDoor::open(config, &mut handed_over)?;
        // Capacity 1: one hint is as good as many.
        let (hints, hinted) = bounded(1);
        // Capacity 0: only its end is waited for.
        let (done, workers_done) = bounded::<Infallible>(0);
        let (crew, bell) = new_crew(config);
        let shared = site.share(stopping, crew, queue.retry_after(), log());
        let (health, health_pulse) = start_health(&shared, hinted)?;
        let outfit = Outfit {
            shared: shared.clone(),
            jobs: jobs.clone(),
            hints,
            done,
        };
        let foreman = start_crew(outfit, bell, config.long_haul_after)?;
        let refuser = start_refuser(shared.clone(), refusals)?;
        let finished = Arc::new(AtomicBool::new(false));
        let (waker, addresses) = (listening.waker.clone(), listening.addresses.clone());
        let vitals = Vitals {
            waker: waker.clone(),
            listener: Arc::clone(&listening.pulse),
            health: health_pulse,
            jobs: jobs.clone(),
            pools: Arc::clone(&shared.pools),
            queue_timeout: config.queue_timeout,
            addresses: addresses.join(", "),
            stopping: Arc::clone(&shared.stopping),
        };
        let (listener_thread, census) =
            start_listener(&shared, listening, queue, &finished, events.clone())?;
        let of_intake = OfIntake::new(&jobs, config.queue_capacity, census, &addresses);
        let admin = admin.map(|door| door.start(&shared, events, of_intake));
        let mut server = Server {
            waker,
            addresses,
            site,
            shared,
            finished,
            jobs,
            workers_done,
            foreman,
            listener_thread,
            refuser,
            health,
            resolver: Some(asked),
            admin: admin.transpose()?,
            access_log: ledger.map(Ledger::start).transpose()?,
            service: Service::start(vitals, notifier)?,
        };
        server.start_resolver()?;
        Ok(server)
        // `hints` and `done` are the crew's: the workers hold them, and the foreman while it may
        // start one. So the end of the last worker is what the health thread and `stop` see.
    }

    /// Starts the resolver, once, when some backend is a name.
    fn start_resolver(&mut self) -> Result<(), StartError> {
        if !self.site.has_names() {
            return Ok(());
        }
        let Some(asked) = self.resolver.take() else {
            return Ok(());
        };
        let pools = Arc::downgrade(&self.shared.pools);
        let bystanders = &self.shared.watch.bystanders;
        let lane = bystanders.enter("resolver", Doing::Idle);
        spawn("resolver", move || {
            pool::run_resolver(&pools, &asked, &lane);
        })?;
        Ok(())
    }

    /// Starts to look up the names that are new in a configuration. None: there are none.
    fn start_look_up(&self, config: &Config) -> Result<Option<Receiver<Found>>, StartError> {
        let names = self.site.new_names(config);
        if names.is_empty() {
            return Ok(None);
        }
        // Capacity 1: telling never blocks; an error: a stop did not wait for it.
        let (tell, found) = bounded(1);
        spawn("look-up", move || tell.send(site::look_up(names)))?;
        Ok(Some(found))
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Where the admin API is, if it is anywhere.
    pub fn admin_address(&self) -> Option<&str> {
        self.admin.as_ref().map(AdminThreads::address)
    }

    /// From now on answers say that they are the last. A signal has said so itself.
    fn announce_stop(&self) {
        // Release: whoever acquires it sees all that came before the stop.
        self.shared.stopping.store(true, Ordering::Release);
    }

    /// Stops intake, lets the workers finish, and joins all threads; gives up at the deadline,
    /// after which only the end of the process ends what is left.
    pub fn stop(mut self, timeout: Duration) -> Stopped {
        let access_log = self.access_log.take();
        let stopped = self.stop_serving(timeout);
        // Last: all who write lines have ended, or are cut off.
        if let Some(access_log) = access_log {
            access_log.stop();
        }
        stopped
    }

    fn stop_serving(self, timeout: Duration) -> Stopped {
        let deadline = Instant::now() + timeout;
        self.announce_stop();
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
        if let Some(admin) = self.admin {
            admin.stop();
        }
        if self.listener_thread.join_by(deadline) {
            join(self.refuser);
        }
        self.service.stop();
        Stopped::Drained
    }

    /// What the deadline met. A tunnel is nobody's unanswered request: it had its time.
    fn cut_off(&self) -> Stopped {
        let counters = &self.shared.counters;
        let n_tunnels = counters.n_tunnels();
        let n = counters.n_in_flight().saturating_sub(n_tunnels) + self.jobs.len();
        if n > 0 {
            return Stopped::CutOff(n);
        }
        info!("the deadline ends {}", counted(n_tunnels, "tunnel"));
        Stopped::Drained
    }
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
    fn start_worker(&self, idx: usize) -> io::Result<JoinHandle<()>> {
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

/// Nobody yet, and where the foreman hears that he is wanted.
fn new_crew(config: &Config) -> (Crew, Receiver<()>) {
    // Capacity 1: one wake-up of the foreman is as good as many.
    let (ring, bell) = bounded(1);
    let ring = move || ring.try_send(()).unwrap_or_default(); // full: it is awake
    let crew = Crew::new(config.n_workers, config.max_long_haul, Instant::now(), ring);
    (crew, bell)
}

/// Starts the workers, and the foreman who looks after them.
fn start_crew(
    outfit: Outfit,
    bell: Receiver<()>,
    after: Duration,
) -> io::Result<JoinHandle<Vec<JoinHandle<()>>>> {
    let crew = Arc::clone(&outfit.shared.crew);
    let mut threads: Vec<_> = (0..crew.counts().n_free).map(|_| None).collect();
    while let Some(idx) = crew.reserve() {
        threads[idx] = Some(outfit.start_worker(idx)?);
    }
    let watch = &outfit.shared.watch;
    watch.bystanders.enter("foreman", Doing::Watching);
    spawn("foreman", move || {
        let start = |idx| outfit.start_worker(idx);
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

fn spawn<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let builder = thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK_BYTES);
    builder.spawn(body)
}
