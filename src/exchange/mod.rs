//! One exchange, from a client's request to its answer. Runs on a worker's thread.
//!
//! The only room that knows both sides: it takes a [`Job`](crate::intake::Job), asks the pool for
//! a backend, forwards, and answers. Nothing of it is shared between workers but the pool and the
//! counters.

mod answer;
mod buffers;
mod connect;
mod content;
mod desk;
pub mod fields;
mod forward;
mod own;
mod relay;
pub mod retry;
mod transport;
mod upload;
mod watched;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use log::debug;

pub use self::forward::Timeouts;
pub use self::worker::{Shared, run_refuser, run_worker};

use self::answer::{Plan, write_backend_head};
use self::content::{ClientFailure, Content};
use self::forward::{BackendResponse, Failed, Forwarder};
use self::own::{OwnAnswer, write_own};
use self::relay::{Broken, PIECE, flush, relay};
use self::retry::{Failure, Step, next_step};
use self::watched::Watched;
use crate::intake::{Client, ClientRequest, Ending, Refusal};
use crate::pool::{Backend, Pool};
use crate::watch::Counters;

/// What an exchange is allowed to take.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Retries after a failure behind the point where the request may have been sent.
    pub retries: u32,
    /// How long a job may have waited in the queue.
    pub queue_timeout: Duration,
    /// What to tell a client that no backend could serve.
    pub retry_after: Duration,
    /// Bounds on the steps of an attempt.
    pub timeouts: Timeouts,
}

/// Everything that a worker needs for its exchanges, one after another.
struct Exchanger<'a> {
    pool: &'a Pool,
    settings: Settings,
    /// Set by the first signal. Acquire in `may_keep_alive` pairs with the handler's store; a
    /// stale read costs one more exchange on a connection.
    stopping: &'a AtomicBool,
    counters: &'a Counters,
    /// Tells the health thread to look now. Capacity 1: full means that it has been told.
    hints: Sender<()>,
    forwarder: Forwarder,
    /// The answer on its way out: head, then pieces of content.
    out: Vec<u8>,
}

impl Exchanger<'_> {
    /// Serves one request. What is returned is how its connection shall end.
    fn exchange(
        &mut self,
        request: &ClientRequest,
        refusal: Option<Refusal>,
        waited: Duration,
        client: &mut Watched,
    ) -> Ending {
        if let Some(Refusal { status, reason }) = refusal {
            debug!(
                "refused: {} {}: {reason}",
                request.method.escape_debug(),
                status
            );
            return self.answer_ourselves(status, reason.to_owned(), request, false, client);
        }
        if waited > self.settings.queue_timeout {
            self.counters.note_refused();
            let own = OwnAnswer::refused_by_queue("it waited too long for a worker");
            return self.answer_with(&own, request, false, client);
        }
        let mut content = match Content::read(request, client) {
            Ok(content) => content,
            Err(failure) => return self.client_failed(failure, request, client),
        };
        let start = Instant::now();
        match self.forward(request, &mut content, client) {
            Ok((backend, response)) => {
                let ending = self.pass_on(&backend, response, request, &content, client);
                let target = request.target.escape_ascii();
                let took = start.elapsed();
                debug!(
                    "{} {target} by {}: {ending:?} in {took:?}",
                    request.method, backend.url
                );
                ending
            }
            Err(GiveUp::Client(failure)) => self.client_failed(failure, request, client),
            Err(GiveUp::Answer(status, reason)) => {
                self.answer_ourselves(status, reason, request, content.is_read(), client)
            }
        }
    }

    /// Finds a backend that answers, as far as the retry rule allows.
    fn forward(
        &mut self,
        request: &ClientRequest,
        content: &mut Content,
        client: &mut Watched,
    ) -> Result<(Arc<Backend>, BackendResponse), GiveUp> {
        let mut tried: Vec<usize> = Vec::new();
        let mut retries_left = self.settings.retries;
        let mut again: Option<Arc<Backend>> = None;
        let mut give_up = GiveUp::Answer(503, self.nobody_up());
        loop {
            let on_new_connection = again.is_some();
            let Some(backend) = again.take().or_else(|| self.pool.pick(&tried)) else {
                return Err(give_up);
            };
            if !tried.is_empty() {
                self.counters.note_further_attempt();
            }
            if !on_new_connection {
                tried.push(backend.idx);
            }
            let attempt =
                self.forwarder
                    .attempt(&backend, on_new_connection, request, content, client);
            let failed = match attempt {
                Ok(response) => return Ok((backend, response)),
                Err(failed) => failed,
            };
            if let Some(failure) = content.failure() {
                return Err(GiveUp::Client(failure));
            }
            if self.forwarder.client_is_gone() {
                return Err(GiveUp::Client(ClientFailure::Gone));
            }
            self.note_failed(&backend, &failed);
            match next_step(
                failed.failure,
                &request.method,
                content.replay(),
                retries_left,
            ) {
                Step::MoveOn => {
                    give_up = GiveUp::Answer(503, "no backend could be reached".to_owned());
                }
                Step::Retry => {
                    retries_left -= 1;
                    give_up = GiveUp::Answer(502, "the backend broke off".to_owned());
                }
                Step::Reconnect => again = Some(backend),
                Step::Answer(status) => return Err(GiveUp::Answer(status, explain(&failed))),
            }
        }
    }

    /// Sends the backend's answer to the client.
    fn pass_on(
        &mut self,
        backend: &Backend,
        mut response: BackendResponse,
        request: &ClientRequest,
        content: &Content,
        client: &mut Watched,
    ) -> Ending {
        let may_keep = request.keep_alive && content.is_read() && self.may_keep_alive();
        self.out.clear();
        let plan = match write_backend_head(&mut self.out, &response.head, request, may_keep) {
            Ok(plan) => plan,
            Err(reason) => {
                let failed = Failed {
                    failure: Failure::BadHead,
                    cause: reason.to_owned(),
                };
                self.note_failed(backend, &failed);
                let reason = explain(&failed);
                return self.answer_ourselves(502, reason, request, content.is_read(), client);
            }
        };
        self.forwarder.recycle(std::mem::take(&mut response.head));
        let is_here = response.n_buffered > 0;
        let Plan {
            framing,
            keep_alive,
            ..
        } = plan;
        let relayed = relay(
            &mut self.out,
            &mut response.content,
            framing,
            is_here,
            client,
        );
        let sent = relayed.and_then(|()| {
            // Before the client sees the end: its next request may be judged by what this one was.
            self.pool.exchange_succeeded(backend);
            flush(&mut self.out, client)
        });
        self.out.clear();
        self.out.shrink_to(2 * PIECE);
        match sent {
            Ok(()) if keep_alive => Ending::Keep,
            Ok(()) => Ending::Close,
            Err(broken) => self.broke_off(backend, broken, request, client),
        }
    }

    /// The answer's head was good, and something failed behind it.
    fn broke_off(
        &mut self,
        backend: &Backend,
        broken: Broken,
        request: &ClientRequest,
        client: &mut Watched,
    ) -> Ending {
        let error = match broken {
            Broken::Client(error) => {
                debug!("the client went away: {error}");
                return Ending::Cut;
            }
            Broken::Backend(_) if self.forwarder.client_is_gone() => {
                debug!("the client went away while its backend was silent");
                return Ending::Cut;
            }
            Broken::Backend(error) => error,
        };
        let cause = format!("content: {}", crate::system::plain(&error));
        let failed = Failed {
            failure: Failure::Broken,
            cause,
        };
        self.note_failed(backend, &failed);
        if !client.has_begun {
            return self.answer_ourselves(502, explain(&failed), request, false, client);
        }
        self.counters.note_cut();
        Ending::Cut
    }

    fn note_failed(&self, backend: &Backend, failed: &Failed) {
        debug!("backend {}: {}", backend.url, failed.cause);
        if failed.failure.blames_backend() {
            self.pool
                .exchange_failed(backend, &failed.cause, Instant::now());
            let _ = self.hints.try_send(()); // full: it has been told already
        }
    }

    fn client_failed(
        &mut self,
        failure: ClientFailure,
        request: &ClientRequest,
        client: &mut Watched,
    ) -> Ending {
        match failure {
            ClientFailure::Stalled => {
                let reason = "the content stalled".to_owned();
                self.answer_ourselves(408, reason, request, false, client)
            }
            ClientFailure::Malformed => {
                let reason = "the content is malformed".to_owned();
                self.answer_ourselves(400, reason, request, false, client)
            }
            ClientFailure::Gone => Ending::Cut,
        }
    }

    fn answer_ourselves(
        &mut self,
        status: u16,
        reason: String,
        request: &ClientRequest,
        is_content_read: bool,
        client: &mut Watched,
    ) -> Ending {
        let keep_alive = is_content_read && request.keep_alive && self.may_keep_alive();
        let retry_after = (status == 503).then_some(self.settings.retry_after.as_secs().max(1));
        let own = OwnAnswer {
            status,
            reason,
            retry_after,
        };
        self.answer_with(&own, request, keep_alive, client)
    }

    fn answer_with(
        &mut self,
        own: &OwnAnswer,
        request: &ClientRequest,
        keep_alive: bool,
        client: &mut Watched,
    ) -> Ending {
        self.out.clear();
        write_own(&mut self.out, own, request, keep_alive);
        match client.write(&self.out) {
            Ok(()) if keep_alive => Ending::Keep,
            Ok(()) => Ending::Close,
            Err(error) => {
                debug!("the client went away: {error}");
                Ending::Cut
            }
        }
    }

    /// While the process stops, every answer is the last on its connection.
    fn may_keep_alive(&self) -> bool {
        !self.stopping.load(Ordering::Acquire)
    }

    fn nobody_up(&self) -> String {
        format!("no backend is up ({} down)", self.pool.members().len())
    }
}

/// Why no backend's answer is passed on.
enum GiveUp {
    /// The client failed.
    Client(ClientFailure),
    /// We answer, with this status and reason.
    Answer(u16, String),
}

/// What a client is told: the kind of failure, and no address of a backend.
fn explain(failed: &Failed) -> String {
    match failed.failure {
        Failure::Connect => "no backend could be reached",
        Failure::NoMeans => "out of descriptors or ports",
        Failure::Stale | Failure::Broken => "the backend broke off",
        Failure::Timeout => "the backend did not answer in time",
        Failure::BadHead => "the backend's answer could not be understood",
    }
    .to_owned()
}
