//! The loops of the threads that serve jobs: the workers, and the refuser.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crossbeam_channel::{Receiver, Sender};
use log::{debug, error};

use crate::exchange::own::{OwnAnswer, write_own};
use crate::exchange::watched::Watched;
use crate::exchange::{Exchanger, Forwarder, Settings};
use crate::intake::{Client, ClientRequest, Ending, Job, Refused};
use crate::pool::Pool;
use crate::watch::Counters;

/// What all workers share.
#[derive(Clone)]
pub struct Shared {
    /// The backends.
    pub pool: Arc<Pool>,
    /// The bounds.
    pub settings: Settings,
    /// Set by the first signal.
    pub stopping: Arc<AtomicBool>,
    /// The sums.
    pub counters: Arc<Counters>,
}

/// The body of the threads `worker-N`: one exchange at a time, until the queue is closed and
/// empty.
pub fn run_worker(shared: &Shared, jobs: &Receiver<Job>, hints: &Sender<()>) {
    let new = || Exchanger {
        pool: &shared.pool,
        settings: shared.settings,
        stopping: &shared.stopping,
        counters: &shared.counters,
        hints: hints.clone(),
        forwarder: Forwarder::new(shared.settings.timeouts),
        out: Vec::new(),
    };
    // Made for the first job: a worker that has had none yet costs its stack and nothing else.
    let mut exchanger = None;
    while let Ok(job) = jobs.recv() {
        let exchanger = exchanger.get_or_insert_with(new);
        let mut next = Some(job);
        // Requests pipelined behind this one come straight back: they never held a worker.
        while let Some(job) = next {
            next = serve(exchanger, job);
        }
    }
}

/// Serves one job. A panic in it costs that one request, never the worker.
fn serve(exchanger: &mut Exchanger, job: Job) -> Option<Job> {
    let in_flight = exchanger.counters.begin_exchange();
    let Job {
        request,
        refusal,
        client,
        queued_at,
    } = job;
    let waited = queued_at.elapsed();
    let mut client = Watched {
        client,
        has_begun: false,
    };
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
        exchanger.forwarder = Forwarder::new(exchanger.settings.timeouts);
        contain(|| apologize(&request, &mut client)).unwrap_or(Ending::Cut)
    });
    let next = contain(|| client.client.finish(ending)).flatten();
    drop(in_flight);
    // After the last answer of a connection nothing else is said on it; while stopping, every
    // answer was the last.
    debug_assert!(
        ending == Ending::Keep || next.is_none(),
        "a request behind the last answer"
    );
    next
}

/// The answer after a panic, if none has begun.
fn apologize(request: &ClientRequest, client: &mut Watched) -> Ending {
    if client.has_begun {
        return Ending::Cut;
    }
    let reason = "the balancer failed, and logged why".to_owned();
    let own = OwnAnswer {
        status: 500,
        reason,
        retry_after: None,
    };
    let mut out = Vec::new();
    write_own(&mut out, &own, request, false);
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
pub fn run_refuser(shared: &Shared, refusals: &Receiver<Refused>) {
    let mut out = Vec::new();
    for Refused { job, reason } in refusals {
        shared.counters.note_refused();
        debug!("refused: {reason}");
        let Job {
            request,
            refusal,
            mut client,
            ..
        } = job;
        let own = match refusal {
            Some(refusal) => {
                let (status, reason) = (refusal.status, refusal.reason.to_owned());
                OwnAnswer {
                    status,
                    reason,
                    retry_after: None,
                }
            }
            None => OwnAnswer::refused_by_queue(reason),
        };
        // The content was not read, and reading it could take for ever.
        out.clear();
        write_own(&mut out, &own, &request, false);
        let ending = client
            .write_now(&out)
            .map_or(Ending::Cut, |()| Ending::Close);
        // Nothing is served behind a last answer.
        let _ = client.finish(ending);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Timeouts;

    use crate::intake::ContentFraming;
    use crate::pool::BackendUrl;
    use crossbeam_channel::{bounded, unbounded};
    use std::io;
    use std::time::{Duration, Instant};

    /// A client that panics where it is told to, and reports what it was answered, and its ending.
    struct Panicking {
        on_read: bool,
        on_write: bool,
        seen: Sender<String>,
    }

    impl Client for Panicking {
        fn read_content(&mut self, _: &mut [u8]) -> io::Result<usize> {
            assert!(!self.on_read, "on purpose, while reading");
            Ok(1)
        }
        fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
            assert!(!self.on_write, "on purpose, while writing");
            let line = String::from_utf8_lossy(bytes)
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned();
            self.seen.send(line).expect("the test waits for it");
            Ok(())
        }
        fn finish(self: Box<Self>, ending: Ending) -> Option<Job> {
            self.seen
                .send(format!("{ending:?}"))
                .expect("the test waits for it");
            None
        }
    }

    fn job(on_read: bool, on_write: bool, seen: &Sender<String>) -> Job {
        let request = ClientRequest {
            framing: ContentFraming::Sized(1),
            ..ClientRequest::example("PUT")
        };
        let client = Panicking {
            on_read,
            on_write,
            seen: seen.clone(),
        };
        Job {
            request,
            refusal: None,
            client: Box::new(client),
            queued_at: Instant::now(),
        }
    }

    /// The trick: clients that panic inside the exchange, with a worker that serves all three.
    #[test]
    fn a_panic_costs_its_request_and_never_the_worker() {
        let refused = BackendUrl::parse("http://127.0.0.1:1").expect("a good URL");
        let pool = Pool::new(vec![refused], Instant::now());
        let second = Duration::from_secs(1);
        let timeouts = Timeouts {
            connect: second,
            response: second,
            idle: second,
        };
        let settings = Settings {
            retries: 1,
            queue_timeout: second,
            retry_after: second,
            timeouts,
        };
        let shared = Shared {
            pool: Arc::new(pool),
            settings,
            stopping: Arc::new(AtomicBool::new(false)),
            counters: Arc::new(Counters::default()),
        };
        let (jobs, received) = unbounded();
        let (hints, _hinted) = bounded(1);
        let (seen, answers) = unbounded();
        for (on_read, on_write) in [(true, false), (true, true), (false, false)] {
            jobs.send(job(on_read, on_write, &seen))
                .expect("the receiver is there");
        }
        drop((jobs, seen));
        let worker = std::thread::spawn(move || {
            run_worker(&shared, &received, &hints);
            shared.counters.n_in_flight()
        });
        let answers: Vec<String> = answers.iter().collect();
        let wanted = [
            "HTTP/1.1 500 Internal Server Error",
            "Close",
            "Cut", // even telling of it fails
            "HTTP/1.1 503 Service Unavailable",
            "Keep",
        ];
        assert_eq!(answers, wanted);
        assert_eq!(
            worker.join().expect("the worker lives on"),
            0,
            "none is left in flight"
        );
    }
}
