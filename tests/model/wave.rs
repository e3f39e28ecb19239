//! The shutdown wave under every interleaving of listener, workers, foreman and main.
//!
//! The protocol of `src/server.rs`, `src/intake/queue.rs`, `TinyListener::run` and the thread
//! bodies they start, with the work left out: whoever changes the order of an end or a drop there
//! changes it here too; the crew is the real one. loom knows five threads, so main plays the
//! clients, and at the end the health thread and the refuser. Nothing polls here as the listener
//! and the health thread do there: the wake-ups alone must be enough. Main's deadline is left out
//! too: the wave must reach its end without.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread::{self, JoinHandle};
use threadbare::exchange::Crew;

use crate::channel::{Disconnected, Receiver, Sender, bounded};
use crate::{NO_PANIC, Outcomes, run_all};

/// Workers, long-haul threads, and the forced switches that a model of so many can afford.
const SCALES: [(usize, usize, usize); 2] = [(1, 1, 2), (2, 0, 1)];

/// The job whose exchange takes long: its worker promotes itself.
const LONG: Job = 'a';

/// A request, known by a letter.
type Job = char;

/// What the listener is told.
enum Arrival {
    Request(Job),
    /// What waits in the queue is too old from now on.
    TimePassed,
    /// `TinyListener::wake`.
    Wake,
}

/// What happened in one run.
#[derive(Default)]
struct Seen {
    /// What the listener made a job of.
    pushed: Vec<Job>,
    /// What the queue took and did not give back.
    accepted: Vec<Job>,
    served: Vec<Job>,
    refused: Vec<Job>,
    n_workers_started: usize,
    n_workers_returned: usize,
}

#[derive(Clone, Default)]
struct Watch(Arc<Mutex<Seen>>);

impl Watch {
    fn see(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().expect(NO_PANIC)
    }
}

/// The listener's end, like `intake::Queue`.
struct Queue {
    open: Option<(Sender<Job>, Receiver<Job>)>,
    refused: Sender<Job>,
    watch: Watch,
}

impl Queue {
    fn push(&self, job: Job) {
        self.watch.see().pushed.push(job);
        let Some((jobs, _)) = &self.open else {
            return self.refuse(job);
        };
        match jobs.try_send(job) {
            Ok(()) => self.watch.see().accepted.push(job),
            Err(job) => self.refuse(job),
        }
    }

    fn expire(&self) {
        let oldest = self.open.as_ref().and_then(|(_, jobs)| jobs.try_recv());
        if let Some(job) = oldest {
            self.watch.see().accepted.retain(|&other| other != job);
            self.refuse(job);
        }
    }

    fn refuse(&self, job: Job) {
        let sent = self.refused.try_send(job);
        sent.expect("it has room for more than the model sends");
    }

    fn close(&mut self) {
        self.open = None;
    }
}

fn run_listener(
    arrivals: &Receiver<Arrival>,
    mut queue: Queue,
    stopping: &AtomicBool,
    finished: &AtomicBool,
) -> Result<(), Disconnected> {
    let admit = |arrival, queue: &Queue| match arrival {
        Arrival::Request(job) => queue.push(job),
        Arrival::TimePassed => queue.expire(),
        Arrival::Wake => {}
    };
    while !stopping.load(Ordering::Acquire) {
        admit(arrivals.recv()?, &queue);
    }
    while let Some(arrival) = arrivals.try_recv() {
        admit(arrival, &queue);
    }
    queue.close();
    while !finished.load(Ordering::Acquire) {
        admit(arrivals.recv()?, &queue);
    }
    Ok(())
}

fn run_worker(crew: &Crew, idx: usize, jobs: &Receiver<Job>, outfit: &Outfit) {
    let post = crew.post(idx);
    while let Ok(job) = jobs.recv() {
        post.begin(outfit.now);
        if job == LONG {
            post.begin_long_haul();
        }
        // As if each exchange failed. Full: the health thread has been told already.
        let _ = outfit.hints.try_send(());
        outfit.watch.see().served.push(job);
        if !post.end() {
            return;
        }
    }
    crew.close();
}

/// What every worker is given.
#[derive(Clone)]
struct Outfit {
    crew: Arc<Crew>,
    jobs: Receiver<Job>,
    hints: Sender<()>,
    done: Sender<Infallible>,
    watch: Watch,
    now: Instant,
}

impl Outfit {
    fn start_worker(&self, idx: usize) -> JoinHandle<()> {
        self.watch.see().n_workers_started += 1;
        let outfit = self.clone();
        thread::spawn(move || {
            run_worker(&outfit.crew, idx, &outfit.jobs, &outfit);
            outfit.watch.see().n_workers_returned += 1;
            drop((outfit.hints, outfit.done));
        })
    }

    fn fill(&self, threads: &mut Vec<(usize, JoinHandle<()>)>) {
        while let Some(idx) = self.crew.reserve() {
            threads.push((idx, self.start_worker(idx)));
        }
    }
}

/// `Foreman::run`, but for the promotion of what takes long, which is `crew.rs`'s business.
fn run_foreman(
    outfit: &Outfit,
    bell: &Receiver<()>,
    mut threads: Vec<(usize, JoinHandle<()>)>,
) -> Vec<(usize, JoinHandle<()>)> {
    while !outfit.crew.is_closed() {
        for idx in outfit.crew.take_leaving() {
            let at = threads.iter().position(|(of, _)| *of == idx);
            join(threads.remove(at.expect("it was started here")).1);
            outfit.crew.joined(idx);
        }
        outfit.fill(&mut threads);
        bell.recv().expect("the crew holds the sender");
    }
    threads
}

fn run_health(hinted: &Receiver<()>, watch: &Watch) {
    while hinted.recv().is_ok() {}
    let seen = watch.see();
    let (n_returned, n_started) = (seen.n_workers_returned, seen.n_workers_started);
    assert_eq!(n_returned, n_started, "health ended before the workers");
}

fn run_refuser(refusals: &Receiver<Job>, watch: &Watch) {
    while let Ok(job) = refusals.recv() {
        watch.see().refused.push(job);
    }
}

/// What stands before the listener: `tiny_http`, in the original. None once that has died.
struct Arrivals(Option<Sender<Arrival>>);

impl Arrivals {
    fn tell(&self, arrival: Arrival) {
        if let Some(listener) = &self.0 {
            let sent = listener.try_send(arrival).is_ok();
            assert!(sent, "it has room for more than the model sends");
        }
    }
}

struct Server {
    arrivals: Arrivals,
    stopping: Arc<AtomicBool>,
    finished: Arc<AtomicBool>,
    /// Disconnected at the listener's end; a message says that it died.
    events: Receiver<()>,
    workers_done: Receiver<Infallible>,
    foreman: JoinHandle<Vec<(usize, JoinHandle<()>)>>,
    listener: JoinHandle<()>,
    hinted: Receiver<()>,
    refusals: Receiver<Job>,
    watch: Watch,
}

impl Server {
    /// Starts all threads; these have arrived before.
    fn start(
        (n_workers, max_long_haul): (usize, usize),
        queue_capacity: usize,
        early: Vec<Arrival>,
    ) -> Server {
        let watch = Watch::default();
        let (stopping, finished) = (flag(), flag());
        let (arrivals, arrived) = bounded(16);
        let arrivals = Arrivals(Some(arrivals));
        for arrival in early {
            arrivals.tell(arrival);
        }
        let (events_in, events) = bounded(1);
        let (jobs_in, jobs) = bounded(queue_capacity);
        let (refused, refusals) = bounded(16);
        let queue = Queue {
            open: Some((jobs_in, jobs.clone())),
            refused,
            watch: watch.clone(),
        };
        let (hints, hinted) = bounded(1);
        let (done, workers_done) = bounded::<Infallible>(0);
        let (ring, bell) = bounded(1);
        let now = Instant::now();
        let ring = move || ring.try_send(()).unwrap_or_default(); // full: it is awake
        let outfit = Outfit {
            crew: Arc::new(Crew::new(n_workers, max_long_haul, now, ring)),
            jobs,
            hints,
            done,
            watch: watch.clone(),
            now,
        };
        let mut threads = Vec::new();
        outfit.fill(&mut threads);
        let foreman = thread::spawn(move || run_foreman(&outfit, &bell, threads));
        let listener = {
            let (stopping, finished) = (Arc::clone(&stopping), Arc::clone(&finished));
            thread::spawn(move || {
                if run_listener(&arrived, queue, &stopping, &finished).is_err() {
                    let _ = events_in.try_send(());
                }
            })
        };
        Server {
            arrivals,
            stopping,
            finished,
            events,
            workers_done,
            foreman,
            listener,
            hinted,
            refusals,
            watch,
        }
        // As in the original: `hints` and `done` are the crew's.
    }

    /// `Server::stop`, with one client that comes while it stops and one that comes too late. The
    /// latter may stay unread: then nobody made a job of it, and its connection just ends.
    fn stop(self, during: Option<Job>, late: Job) -> Watch {
        self.stopping.store(true, Ordering::Release);
        if let Some(job) = during {
            self.arrivals.tell(Arrival::Request(job));
        }
        self.arrivals.tell(Arrival::Wake);
        assert_eq!(self.workers_done.recv(), Err(Disconnected));
        {
            let seen = self.watch.see();
            assert_eq!(sorted(&[&seen.served]), sorted(&[&seen.accepted]));
            assert_eq!(seen.n_workers_returned, seen.n_workers_started);
        }
        self.arrivals.tell(Arrival::Request(late));
        for (_, worker) in join(self.foreman) {
            join(worker);
        }
        run_health(&self.hinted, &self.watch);
        self.finished.store(true, Ordering::Release);
        self.arrivals.tell(Arrival::Wake);
        join(self.listener);
        run_refuser(&self.refusals, &self.watch);
        {
            let seen = self.watch.see();
            let answered = sorted(&[&seen.served, &seen.refused]);
            assert_eq!(answered, sorted(&[&seen.pushed]), "each job, once");
            assert!(!seen.served.contains(&late), "served after the close");
        }
        self.watch
    }
}

fn flag() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(false))
}

fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect(NO_PANIC)
}

fn sorted(lists: &[&[Job]]) -> Vec<Job> {
    let mut all = lists.concat();
    all.sort_unstable();
    all
}

#[test]
fn a_stop_serves_what_was_accepted_and_refuses_the_rest_once() {
    // Goal: whenever the stop comes, each job is served once or refused once, all that was
    // accepted is served before the last worker returns, then health ends, then the listener, and
    // nobody waits for ever. Trick: a queue of one, two jobs before the stop, one during it and
    // one after it; what happens to each in any run is compared with all that can.
    for (n_workers, max_long_haul, max_preemptions) in SCALES {
        let fates = Outcomes::new();
        let noted = fates.clone();
        run_all(max_preemptions, move || {
            let early = ['a', 'b'].map(Arrival::Request).into();
            let watch = Server::start((n_workers, max_long_haul), 1, early).stop(Some('c'), 'd');
            let seen = watch.see();
            for &job in &seen.served {
                noted.note((job, "served"));
            }
            for &job in &seen.refused {
                noted.note((job, "refused"));
            }
        });
        let possible = [
            ('a', "served"),
            ('b', "refused"),
            ('b', "served"),
            ('c', "refused"),
            ('c', "served"),
            ('d', "refused"),
        ];
        assert_eq!(fates.all(), possible);
    }
}

#[test]
fn a_job_that_expires_is_refused_or_served_but_never_both() {
    // Goal: the listener takes out of the queue what is too old, while workers take from it too.
    // Trick: two jobs and then the time passes, before or after a worker got to them.
    for (n_workers, max_long_haul, max_preemptions) in SCALES {
        let n_served = Outcomes::new();
        let noted = n_served.clone();
        run_all(max_preemptions, move || {
            let mut early: Vec<_> = ['a', 'b'].map(Arrival::Request).into();
            early.push(Arrival::TimePassed);
            let watch = Server::start((n_workers, max_long_haul), 2, early).stop(None, 'd');
            noted.note(watch.see().served.len());
        });
        assert_eq!(n_served.all(), [1, 2]);
    }
}

#[test]
fn a_listener_that_dies_ends_the_wave_as_a_stop_does() {
    // Goal: a job it had accepted is served, main is told, and nobody waits for ever. Trick: the
    // clients' end is dropped, which is how a recv() of the listener fails here.
    for (n_workers, max_long_haul, max_preemptions) in SCALES {
        run_all(max_preemptions, move || {
            let mut server =
                Server::start((n_workers, max_long_haul), 1, vec![Arrival::Request('a')]);
            server.arrivals = Arrivals(None);
            assert_eq!(server.events.recv(), Ok(()), "main is told");
            let watch = server.stop(None, 'd');
            assert_eq!(watch.see().served, ['a']);
        });
    }
}
