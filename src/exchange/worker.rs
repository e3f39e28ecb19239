//! The loops of the threads that serve jobs: the workers, and the refuser.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use log::{debug, error};

#[cfg(test)]
use crate::exchange::Edition;
use crate::exchange::request_id::{self, Namer};
use crate::exchange::watched::Watched;
use crate::exchange::{Crew, Editions, Exchanger, Forwarder, Post, Settings};
use crate::intake::own::{OwnAnswer, write_own};
use crate::intake::{
    Client, ClientRequest, Ending, Job, Jobs, Refusal, Refused, RetryAfter, proxy_status,
};
#[cfg(test)]
use crate::pool::Pool;
use crate::pool::Pools;
use crate::watch::access::Pen;
use crate::watch::{Counters, Fate, Story, Watch};

/// What all workers share.
#[derive(Clone)]
pub struct Shared {
    /// All backends.
    pub pools: Arc<Pools>,
    /// The way of requests to them, and the bounds.
    pub editions: Arc<Editions>,
    /// Set by the first signal.
    pub stopping: Arc<AtomicBool>,
    /// The sums.
    pub counters: Arc<Counters>,
    /// The numbers of each thread.
    pub watch: Arc<Watch>,
    /// Which threads serve.
    pub crew: Arc<Crew>,
    /// What those are told whom the queue turns away.
    pub retry_after: RetryAfter,
}

#[cfg(test)]
impl Shared {
    /// As tests want it: a minute for everything, however busy the machine is.
    pub fn example(pool: Pool) -> Shared {
        let minute = std::time::Duration::from_secs(60);
        let timeouts = crate::exchange::Timeouts {
            connect: minute,
            response: minute,
            idle: minute,
        };
        let (pools, pool) = (Pools::new(), Arc::new(pool));
        let edition = Edition::example(&pool, timeouts);
        pools.replace(vec![pool]);
        Shared {
            pools: Arc::new(pools),
            editions: Arc::new(Editions::new(edition)),
            stopping: Arc::new(AtomicBool::new(false)),
            counters: Arc::new(Counters::default()),
            watch: Arc::new(Watch::new(2, Instant::now())),
            crew: Arc::new(Crew::new(1, 1, Instant::now(), || ())),
            retry_after: RetryAfter::default(),
        }
    }

    /// Serves these jobs with one worker, on the caller's thread.
    pub fn serve_all(&self, received: Receiver<Job>) {
        let (hints, _hinted) = crossbeam_channel::bounded(1);
        let idx = self.crew.reserve().expect("the crew has no thread yet");
        run_worker(self, idx, &Jobs::of(received), &hints);
    }
}

/// The body of the threads `worker-N`: one exchange at a time, until the queue is closed and
/// empty, or until an exchange that took long is over and the pool has its number of threads.
///
/// `idx` is the slot that [`Crew::reserve`] gave for this thread.
pub fn run_worker(shared: &Shared, idx: usize, jobs: &Jobs, hints: &Sender<()>) {
    // First, so that it is the last to be dropped: who leaves the crew has nothing left to close.
    let post = shared.crew.post(idx);
    // Made for the first job: a worker that has had none yet costs its stack and nothing else.
    let mut exchanger = None;
    while let Ok(job) = jobs.recv() {
        let exchanger = exchanger.get_or_insert_with(|| new_exchanger(shared, idx, &post, hints));
        if !serve_in_turn(exchanger, job) {
            return;
        }
    }
    shared.crew.close();
}

/// What a worker has for all its exchanges. Not inlined, nor is `serve_in_turn`: what they need of
/// the stack would stay in memory while the worker waits.
#[inline(never)]
fn new_exchanger<'a>(
    shared: &'a Shared,
    idx: usize,
    post: &'a Post<'a>,
    hints: &Sender<()>,
) -> Box<Exchanger<'a>> {
    let sheet = shared.watch.sheet(idx);
    let (n, edition) = shared.editions.newest();
    let settings = edition.settings.clone();
    let timeouts = settings.timeouts;
    Box::new(Exchanger {
        pools: &shared.pools,
        editions: &shared.editions,
        edition: Some((n, edition)),
        settings,
        stopping: &shared.stopping,
        counters: &shared.counters,
        watch: &shared.watch,
        sheet: Arc::clone(&sheet),
        story: Box::new(Story::new(idx, Instant::now())),
        namer: Namer::default(),
        pen: Pen::default(),
        spare: None,
        post,
        retry_after: &shared.retry_after,
        next_probe_in: Duration::ZERO,
        hints: hints.clone(),
        forwarder: Forwarder::new(timeouts, sheet),
        out: Vec::new(),
    })
}

/// Serves a job, and what comes straight back from its connection: pipelined behind it, or the next
/// request of a client that asks at once. Returns whether this thread still belongs to the pool.
#[inline(never)]
fn serve_in_turn(exchanger: &mut Exchanger, mut job: Job) -> bool {
    let mut now = Instant::now();
    loop {
        let (next, is_in_pool) = serve(exchanger, job, now);
        // What is here already is served here, or it would wait again, or find no place.
        match next {
            Some(next) => job = next,
            None => return is_in_pool,
        }
        now = job.queued_at; // it waited for nobody
    }
}

/// Serves one job, which begins now. A panic in it costs that one request, never the worker.
/// Returns what is to be served next, and whether this thread still belongs to the pool.
fn serve(exchanger: &mut Exchanger, job: Job, now: Instant) -> (Option<Job>, bool) {
    let in_flight = exchanger.counters.begin_exchange();
    let Job {
        request,
        refusal,
        client,
        queued_at,
    } = job;
    exchanger.begin_story(&request, queued_at, now);
    exchanger.post.begin(now);
    let waited = now.saturating_duration_since(queued_at);
    let mut client = Watched::new(client);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        exchanger.exchange(&request, refusal, waited, &mut client)
    }));
    let ending = outcome.unwrap_or_else(|panic| {
        let (method, target) = (request.method.escape_debug(), request.target.escape_ascii());
        error!(
            "panic while serving {method} {target}: {}",
            text_of(panic.as_ref())
        );
        // ureq's locks may be poisoned, and the desk in any state.
        let timeouts = exchanger.settings.timeouts;
        exchanger.forwarder = Forwarder::new(timeouts, Arc::clone(&exchanger.sheet));
        (exchanger.story.fate, exchanger.story.status) = (Fate::Panicked, 500);
        let lines = lines_of_own(&exchanger.story, &exchanger.settings);
        let n_head = &mut exchanger.story.head_out;
        contain(|| apologize(&request, &lines, n_head, &mut client)).unwrap_or(Ending::Cut)
    });
    exchanger.post.release();
    exchanger.forwarder.forget_client();
    exchanger.end_story(&request, &client);
    drop(in_flight);
    // Before the connection is let go: who stays with it must belong to the pool.
    let is_in_pool = exchanger.post.end();
    let mut client = client.client;
    client.take_back(request);
    let finish = || {
        if is_in_pool {
            client.finish(ending)
        } else {
            client.finish_and_leave(ending)
        }
    };
    let next = contain(finish).flatten();
    // After the last answer of a connection nothing else is said on it; while stopping, every
    // answer was the last.
    debug_assert!(
        ending == Ending::Keep || next.is_none(),
        "a request behind the last answer"
    );
    (next, is_in_pool)
}

/// What an answer of ours says of its request.
pub fn lines_of_own(story: &Story, settings: &Settings) -> Vec<u8> {
    let mut lines = Vec::new();
    request_id::write(&mut lines, story.request_id());
    let us = settings.proxy_status.as_deref();
    proxy_status::write_own(&mut lines, us, story.fate, &story.cause);
    lines
}

/// The answer after a panic, if none has begun.
fn apologize(
    request: &ClientRequest,
    lines: &[u8],
    n_head: &mut u64,
    client: &mut Watched,
) -> Ending {
    if client.has_begun {
        return Ending::Cut;
    }
    let failure = Refusal::new(500, "the balancer failed, and logged why");
    let mut out = Vec::new();
    *n_head = write_own(&mut out, &failure.into(), request, false, lines);
    client.write(&out).map_or(Ending::Cut, |()| Ending::Close)
}

/// Runs what may panic once more while a panic is dealt with: none if it does.
fn contain<T>(act: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(act)).ok() // the panic hook has logged it
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// The body of the thread `refuser`: answers 503 to what the queue did not take.
///
/// It is there so that the listener thread never writes to a client, which can block. Ends when
/// the listener's end of the queue is gone.
pub fn run_refuser(shared: &Shared, refusals: &Receiver<Box<Refused>>) {
    let mut out = Vec::new();
    let mut story = Story::new(0, Instant::now());
    let (mut namer, mut newest) = (Namer::default(), shared.editions.newest());
    let mut pen = Pen::default();
    for refused in refusals {
        let Refused {
            job,
            fate,
            retry_after,
        } = *refused;
        shared.counters.note_refused();
        debug!("refused: {}", fate.meaning());
        let Job {
            request,
            refusal,
            client,
            queued_at,
        } = job;
        let mut client = Watched::new(client);
        let own = match refusal {
            Some(refusal) => refusal.into(),
            None => OwnAnswer::refused_by_queue(fate.meaning(), retry_after),
        };
        story.begin(0, queued_at, Instant::now());
        story.status = own.status;
        story.fate = refusal.map_or(fate, Fate::of_refusal);
        if let Some(newer) = shared.editions.take_newer(newest.0) {
            newest = newer;
        }
        namer.name(&newest.1.settings, &request, &mut story.request_id);
        let lines = lines_of_own(&story, &newest.1.settings);
        // The content was not read, and reading it could take for ever.
        out.clear();
        story.head_out = write_own(&mut out, &own, &request, false, &lines);
        let ending = client
            .write_now(&out)
            .map_or(Ending::Short, |()| Ending::Close);
        story.bytes_out = client.n_written;
        if client.n_written == 0 {
            story.status = 0;
        }
        story.ended = Instant::now();
        shared.watch.refuser.note(&story);
        if let Some(log) = &shared.watch.access_log {
            log.note(&mut pen, &story, Some(&request));
        }
        // Nothing is served behind a last answer.
        let _ = client.client.finish(ending);
    }
}

#[cfg(test)]
mod tests;
