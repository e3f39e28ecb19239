//! One exchange, from a client's request to its answer. Runs on a worker's thread.
//!
//! The only room that knows both sides: it takes a [`Job`](crate::intake::Job), asks the pool for
//! a backend, forwards, and answers. Nothing of it is shared between workers but the pool and the
//! counters.

mod answer;
mod buffers;
mod connect;
mod content;
mod crew;
mod decline;
mod desk;
pub mod fields;
mod flow;
mod foreman;
mod forward;
mod forwarded;
mod interim;
mod relay;
pub mod retry;
mod transport;
mod trust;
mod tunnel;
mod turn;
mod upgrade;
mod upload;
mod watched;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use log::debug;

pub use self::crew::{Counts, Crew, Look, Post};
pub use self::foreman::Foreman;
pub use self::forward::Timeouts;
pub use self::trust::Trust;
pub use self::worker::{Shared, run_refuser, run_worker};

use self::answer::{Plan, write_backend_head};
use self::content::{ClientFailure, Content};
use self::forward::{BackendResponse, Errand, Failed, Forwarder};
use self::relay::{Broken, PIECE, flush, relay};
use self::retry::{Failure, Step, next_step};
use self::turn::GiveUp;
use self::watched::Watched;
use crate::intake::own::OwnAnswer;
use crate::intake::{Client, ClientRequest, Ending, Refusal, RetryAfter};
use crate::pool::{Backend, Pool};
use crate::watch::Counters;

/// What an exchange is allowed to take.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Retries after a failure behind the point where the request may have been sent.
    pub retries: u32,
    /// How long a job may have waited in the queue.
    pub queue_timeout: Duration,
    /// What to tell a client that no backend could serve.
    pub retry_after: Duration,
    /// Bounds on the steps of an attempt.
    pub timeouts: Timeouts,
    /// The proxies whose X-Forwarded fields are believed.
    pub trust: Arc<Trust>,
    /// How long no byte may move in a tunnel; none: for ever.
    pub tunnel_idle_timeout: Option<Duration>,
}

/// Everything that a worker needs for its exchanges, one after another.
struct Exchanger<'a> {
    pool: &'a Pool,
    settings: Settings,
    /// Set by the first signal. Acquire in `may_keep` pairs with the handler's store; a
    /// stale read costs one more exchange on a connection.
    stopping: &'a AtomicBool,
    counters: &'a Counters,
    /// Where this thread stands in the crew.
    post: &'a Post<'a>,
    /// What to tell a client that the queue, or a full backend, turns away.
    retry_after: &'a RetryAfter,
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
            let seconds = self.retry_after.seconds();
            let own = OwnAnswer::refused_by_queue("it waited too long for a worker", seconds);
            return self.answer_with(&own, request, false, client);
        }
        let mut content = match Content::read(request, client) {
            Ok(content) => content,
            Err(failure) => return self.client_failed(failure, request, client),
        };
        let start = Instant::now();
        let upgrade = upgrade::asked_for(request, client);
        if upgrade.is_some() && !self.post.begin_long_haul() {
            let reason = "too many tunnels and long exchanges".to_owned();
            let keep_alive = self.may_keep(request, &content, client);
            return self.answer_ourselves(503, reason, request, keep_alive, client);
        }
        let upgrade = upgrade.as_deref();
        let forwarded = self.forward(request, upgrade, &mut content, client);
        let switched = self.forwarder.take_switched();
        if upgrade.is_some() && switched.is_none() {
            self.post.end_long_haul();
        }
        match forwarded {
            Ok((backend, response)) => {
                let ending = match (switched, upgrade) {
                    (Some(switched), Some(upgrade)) => {
                        self.switch(&backend, switched, &response, request, upgrade, client)
                    }
                    _ => self.pass_on(&backend, response, request, &content, client),
                };
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
                let keep_alive = self.may_keep(request, &content, client);
                self.answer_ourselves(status, reason, request, keep_alive, client)
            }
            Err(GiveUp::Busy(reason)) => {
                let own = OwnAnswer::refused_by_queue(reason, self.retry_after.seconds());
                let keep_alive = self.may_keep(request, &content, client);
                self.answer_with(&own, request, keep_alive, client)
            }
        }
    }

    /// Finds a backend that answers, as far as the retry rule allows.
    fn forward(
        &mut self,
        request: &ClientRequest,
        upgrade: Option<&[u8]>,
        content: &mut Content,
        client: &mut Watched,
    ) -> Result<(Arc<Backend>, BackendResponse), GiveUp> {
        let mut tried: Vec<usize> = Vec::new();
        let mut retries_left = self.settings.retries;
        let mut again: Option<Arc<Backend>> = None;
        let mut give_up = GiveUp::Answer(503, self.nobody_up());
        let mut has_made_room = false;
        let is_trusted = self.settings.trust.covers(request.address);
        loop {
            let on_new_connection = again.is_some();
            let backend = match again.take().map_or_else(|| self.pick(&tried), Ok) {
                Ok(backend) => backend,
                Err(no_pick) => return Err(self.not_picked(no_pick, give_up)),
            };
            if !tried.is_empty() {
                self.counters.note_further_attempt();
            }
            if !on_new_connection {
                tried.push(backend.idx);
            }
            let errand = Errand {
                backend: &backend,
                on_new_connection,
                is_trusted,
                upgrade,
            };
            let attempt = self.forwarder.attempt(&errand, request, content, client);
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
            if failed.failure == Failure::NoMeans && !std::mem::replace(&mut has_made_room, true) {
                // Idle connections to backends are descriptors that nobody needs as much.
                self.pool.close_idle();
                again = Some(backend);
                continue;
            }
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
                Step::Answer(status) => return Err(GiveUp::Answer(status, failed.explain())),
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
        let may_keep = self.may_keep(request, content, client);
        self.out.clear();
        let plan = match write_backend_head(&mut self.out, &response.head, request, may_keep) {
            Ok(plan) => plan,
            Err(reason) => {
                let failed = Failed {
                    failure: Failure::BadHead,
                    cause: reason.to_owned(),
                };
                self.note_failed(backend, &failed);
                return self.answer_ourselves(502, failed.explain(), request, may_keep, client);
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
            self.post.release();
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
            return self.answer_ourselves(502, failed.explain(), request, false, client);
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

    /// Whether the client's connection can serve another request behind this answer.
    ///
    /// Not if content is left that is too long to be read for nothing. Not if the client still
    /// waits to be told to send it: it may send it all the same, or may not. And not while the
    /// process stops.
    fn may_keep(&self, request: &ClientRequest, content: &Content, client: &Watched) -> bool {
        let is_at_end = content.is_read() || !content.waits_for_100() && client.can_skip_content();
        request.keep_alive && is_at_end && !self.stopping.load(Ordering::Acquire)
    }

    fn nobody_up(&self) -> String {
        format!("no backend is up ({} down)", self.pool.members().len())
    }
}
