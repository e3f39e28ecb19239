//! Starts and joins the threads of the admin API: its listener, and those that answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use log::{error, warn};

use crate::admin::sight::Sight;
use crate::admin::{self, Admin};
use crate::exchange::Shared;
use crate::intake::gate::HandedOver;
use crate::intake::{CensusTaker, Ended, Jobs};
use crate::process::config::Config;
use crate::server::listening::Waker;
use crate::server::running_site::RunningSite;
use crate::server::threads::ListenerThread;
use crate::server::{Event, StartError, spawn};
use crate::system::join;
use crate::watch::Doing;
use crate::watch::history::{History, run_sampler};

/// How long the end of the process waits for answers of the API. All come at once, but to clients
/// that drip their content or do not read, and nothing is lost with those.
const PATIENCE: Duration = Duration::from_secs(1);

/// The threads of the admin API.
pub struct AdminThreads {
    waker: Waker,
    address: String,
    /// Stops its intake. Release in `AdminThreads::stop`, Acquire in the listener.
    stopping: Arc<AtomicBool>,
    /// Ends its listener. The same.
    finished: Arc<AtomicBool>,
    listener: ListenerThread,
    handlers: Vec<JoinHandle<()>>,
    /// No message ever comes; disconnected means that all handlers have returned.
    handlers_done: Receiver<Infallible>,
    /// Takes a sample each second.
    sampler: JoinHandle<()>,
    /// Dropped, it ends the sampler.
    stop_sampler: Sender<()>,
}

/// The admin API's listener, bound before anything runs, so that a failure is one of the start.
pub struct AdminDoor {
    bound: admin::Bound,
    token: Option<admin::Token>,
    stopping: Arc<AtomicBool>,
}

impl AdminDoor {
    /// Binds what was asked for, if anything was.
    pub fn open(
        config: &Config,
        handed_over: &mut HandedOver,
    ) -> Result<Option<AdminDoor>, StartError> {
        let Some(at) = &config.admin else {
            return Ok(None);
        };
        let token = config.admin_token_file.as_deref().map(admin::Token::read);
        let token = token.transpose().map_err(StartError::Token)?;
        let stopping = Arc::new(AtomicBool::new(false));
        let bound = admin::bind(at, &stopping, handed_over);
        let bound = bound.map_err(|e| StartError::Bind(e.at, e.error))?;
        Ok(Some(AdminDoor {
            bound,
            token,
            stopping,
        }))
    }

    /// Starts its threads.
    pub fn start(
        self,
        shared: &Shared,
        events: Sender<Event>,
        of_intake: OfIntake,
    ) -> Result<AdminThreads, StartError> {
        let history = Arc::new(History::default());
        // Capacity 0: no message ever comes; disconnected means stop.
        let (stop_sampler, stopped) = bounded(0);
        let (watch, pools) = (Arc::clone(&shared.watch), Arc::clone(&shared.pools));
        let taken = Arc::clone(&history);
        let bystanders = &shared.watch.bystanders;
        bystanders.enter("sampler", Doing::Sampling);
        let sampler = spawn("sampler", move || {
            run_sampler(&taken, &stopped, |now| (watch.totals(), pools.report(now)));
        })?;
        let site = RunningSite {
            sight: sight(shared, of_intake, history),
            events,
        };
        let stopping = Arc::clone(&shared.stopping);
        let admin = Admin::new(Arc::new(site), self.token, Instant::now(), stopping);
        let admin = Arc::new(admin);
        let admin::Bound {
            listening,
            queue,
            jobs,
        } = self.bound;
        // Capacity 0: only its end is waited for.
        let (done, handlers_done) = bounded::<Infallible>(0);
        let mut handlers = Vec::new();
        for n in 1..=admin::N_HANDLERS {
            let (admin, jobs, done) = (Arc::clone(&admin), jobs.clone(), done.clone());
            let name = format!("admin-{n}");
            let lane = bystanders.enter(&name, Doing::Idle);
            handlers.push(spawn(&name, move || {
                admin::run_admin(&admin, &jobs, &lane);
                drop(done);
            })?);
        }
        let finished = Arc::new(AtomicBool::new(false));
        let flags = (Arc::clone(&self.stopping), Arc::clone(&finished));
        let run = listening.run;
        bystanders.enter("admin", Doing::Listening);
        let listener = ListenerThread::start("admin", move || {
            if let Ended::Died(reason) = run(queue, &flags.0, &flags.1) {
                error!("the admin API's listener died: {reason}");
            }
        })?;
        Ok(AdminThreads {
            waker: listening.waker,
            address: listening.addresses.join(", "),
            stopping: self.stopping,
            finished,
            listener,
            handlers,
            handlers_done,
            sampler,
            stop_sampler,
        })
    }
}

/// What of the intake can be seen.
pub struct OfIntake {
    pub jobs: Jobs,
    pub queue_capacity: usize,
    pub census: CensusTaker,
    pub listeners: Vec<String>,
}

impl OfIntake {
    pub fn new(
        jobs: &Jobs,
        queue_capacity: usize,
        census: CensusTaker,
        listeners: &[String],
    ) -> OfIntake {
        OfIntake {
            jobs: jobs.clone(),
            queue_capacity,
            census,
            listeners: listeners.to_vec(),
        }
    }
}

fn sight(shared: &Shared, of_intake: OfIntake, history: Arc<History>) -> Sight {
    Sight {
        pools: Arc::clone(&shared.pools),
        crew: Arc::clone(&shared.crew),
        watch: Arc::clone(&shared.watch),
        counters: Arc::clone(&shared.counters),
        jobs: of_intake.jobs,
        queue_capacity: of_intake.queue_capacity,
        census: of_intake.census,
        listeners: of_intake.listeners,
        stopping: Arc::clone(&shared.stopping),
        history,
    }
}

impl AdminThreads {
    /// Where the API is.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The same wave as the workers': intake stops, what is queued is answered, then all end. Who
    /// keeps a thread for longer than [`PATIENCE`] ends with the process.
    pub fn stop(self) {
        self.stopping.store(true, Ordering::Release);
        self.waker.wake();
        drop(self.stop_sampler);
        join(self.sampler);
        if self.handlers_done.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            warn!("the admin API has slow clients, which are cut off");
            return;
        }
        for handler in self.handlers {
            join(handler);
        }
        self.finished.store(true, Ordering::Release);
        self.waker.wake();
        // Nobody else waits for its clients' last answers: those have as long.
        self.listener.join_by(Instant::now() + PATIENCE);
    }
}
