//! One exchange, from a client's request to its answer. Runs on a worker's thread.
//!
//! The only room that knows both sides: it takes a [`Job`](crate::intake::Job), asks the pool for
//! a backend, forwards, and answers. What workers share is in [`Shared`]: the pools, the settings
//! in force, the crew, what is counted and told, and the flag of the stop. All else is each one's.

mod answer;
mod attempts;
mod buffers;
mod connect;
mod content;
mod crew;
mod decline;
mod desk;
mod edition;
pub mod edits;
mod failed;
pub mod fields;
mod flow;
mod foreman;
mod forward;
mod forwarded;
mod interim;
pub mod key;
mod pass_on;
pub mod presence;
mod relay;
pub mod request_id;
mod response_content;
mod response_head;
pub mod retry;
pub mod route;
pub mod sticky;
mod stream;
mod tell;
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

pub use self::crew::{Counts, Crew, Look, Post, PostReport, Straggler};
pub use self::fields::is_hop_by_hop;
pub use self::foreman::Foreman;
pub use self::forward::Timeouts;
pub use self::trust::Trust;
pub use self::worker::{Shared, run_refuser, run_worker};

pub use self::edition::{Destination, Edition, Editions, Forwarding};

use self::content::Content;
use self::failed::Failed;
use self::forward::Forwarder;
use self::request_id::{Namer, RequestIds};
use self::retry::Failure;
use self::turn::GiveUp;
use self::watched::Watched;
use crate::intake::own::OwnAnswer;
use crate::intake::{Client, ClientRequest, ContentFraming, Ending, Refusal, RetryAfter};
use crate::pool::{Backend, Fault, Pools};
use crate::watch::access::Pen;
use crate::watch::{Counters, Doing, Fate, Sheet, Story, Watch};

/// What an exchange is allowed to take, whatever pool it goes to.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a job may have waited in the queue, and for a backend with room.
    pub queue_timeout: Duration,
    /// Bounds on the steps of an attempt.
    pub timeouts: Timeouts,
    /// The proxies whose X-Forwarded fields are believed.
    pub trust: Arc<Trust>,
    /// How long no byte may move in a tunnel; none: for ever.
    pub tunnel_idle_timeout: Option<Duration>,
    /// Whose X-Request-Id counts.
    pub request_ids: RequestIds,
    /// What we are called in Proxy-Status, if we are to be in it.
    pub proxy_status: Option<Arc<str>>,
}

#[cfg(test)]
impl Settings {
    /// As tests want them: a minute for everything, and nothing that is off by default.
    pub fn example(timeouts: Timeouts) -> Settings {
        let minute = Duration::from_secs(60);
        Settings {
            queue_timeout: minute,
            timeouts,
            trust: Arc::default(),
            tunnel_idle_timeout: Some(minute),
            request_ids: RequestIds::Off,
            proxy_status: None,
        }
    }
}

/// Everything that a worker needs for its exchanges, one after another.
struct Exchanger<'a> {
    pools: &'a Pools,
    editions: &'a Editions,
    /// The edition of the last exchange, with its number. None while an exchange has it.
    edition: Option<(u64, Arc<Edition>)>,
    /// Those of the edition.
    settings: Settings,
    /// Set by the first signal. Acquire in `may_keep` pairs with the handler's store; a
    /// stale read costs one more exchange on a connection.
    stopping: &'a AtomicBool,
    counters: &'a Counters,
    /// All that is known.
    watch: &'a Watch,
    /// This thread's numbers.
    sheet: Arc<Sheet>,
    /// What the exchange in progress has gone through.
    story: Box<Story>,
    /// Gives exchanges their ids.
    namer: Namer,
    /// Writes the lines of the access log.
    pen: Pen,
    /// One that has been told, for the next exchange.
    spare: Option<Box<Story>>,
    /// Where this thread stands in the crew.
    post: &'a Post<'a>,
    /// What to tell a client that the queue, or a full backend, turns away.
    retry_after: &'a RetryAfter,
    /// What to tell a client that no backend could serve: when the next probes have been made.
    next_probe_in: Duration,
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
        let (n, edition) = self.take_edition();
        self.name(request);
        let ending = self.exchange_by(&edition, request, refusal, waited, client);
        self.edition = Some((n, edition));
        ending
    }

    /// The newest edition. Taken out, so that it can be lent to what changes this.
    fn take_edition(&mut self) -> (u64, Arc<Edition>) {
        let newer = match self.edition.take() {
            Some((n, edition)) => match self.editions.take_newer(n) {
                None => return (n, edition),
                Some(newer) => newer,
            },
            None => self.editions.newest(),
        };
        let settings = &newer.1.settings;
        if settings.timeouts != self.settings.timeouts {
            self.forwarder = Forwarder::new(settings.timeouts, Arc::clone(&self.sheet));
        }
        self.settings = settings.clone();
        newer
    }

    fn exchange_by(
        &mut self,
        edition: &Edition,
        request: &ClientRequest,
        refusal: Option<Refusal>,
        waited: Duration,
        client: &mut Watched,
    ) -> Ending {
        if let Some(refusal) = refusal {
            let Refusal { status, reason, .. } = refusal;
            debug!(
                "refused: {} {}: {reason}",
                request.method.escape_debug(),
                status
            );
            self.story.fate = Fate::of_refusal(refusal);
            return self.answer_ourselves(status, reason.to_owned(), request, false, client);
        }
        if waited > self.settings.queue_timeout {
            self.counters.note_refused();
            self.story.fate = Fate::QueueTimeout;
            let seconds = self.retry_after.seconds();
            let own = OwnAnswer::refused_by_queue("it waited too long for a worker", seconds);
            return self.answer_with(&own, request, false, client);
        }
        if request.framing != ContentFraming::Empty {
            self.sheet.lane.set(Doing::Reading, self.story.begun);
        }
        let mut content = match Content::read(request, client) {
            Ok(content) => content,
            Err(failure) => return self.client_failed(failure, request, client),
        };
        match edition.find(request) {
            Some(Destination::Pool(to)) => {
                let patience = self.settings.queue_timeout.saturating_sub(waited);
                self.begin_in_pool(to);
                let (ending, by) = self.serve_by(to, request, patience, &mut content, client);
                self.end_in_pool(to, by.as_deref());
                ending
            }
            Some(Destination::RedirectToHttps(port)) => {
                let keep_alive = self.may_keep(request, &content, client);
                self.story.fate = Fate::Redirected;
                self.redirect(*port, request, keep_alive, client)
            }
            None => {
                let keep_alive = self.may_keep(request, &content, client);
                let reason = "no route fits this host and path".to_owned();
                self.story.fate = Fate::NoRoute;
                self.answer_ourselves(404, reason, request, keep_alive, client)
            }
        }
    }

    /// Serves one request by a pool. `patience` is how long it may wait for a backend with room.
    /// Also returns whose answer it was, if it was a backend's.
    fn serve_by(
        &mut self,
        to: &Forwarding,
        request: &ClientRequest,
        patience: Duration,
        content: &mut Content,
        client: &mut Watched,
    ) -> (Ending, Option<Arc<Backend>>) {
        let start = self.story.begun;
        self.next_probe_in = to.settings.probe.interval;
        to.pool.note_request();
        let upgrade = upgrade::asked_for(request, client);
        if upgrade.is_some() && !self.post.begin_long_haul() {
            let reason = "too many tunnels and long exchanges".to_owned();
            let keep_alive = self.may_keep(request, content, client);
            self.story.fate = Fate::LongHaulFull;
            let ending = self.answer_ourselves(503, reason, request, keep_alive, client);
            return (ending, None);
        }
        let upgrade = upgrade.as_deref();
        let forwarded = self.forward(to, request, upgrade, start + patience, content, client);
        let switched = upgrade.and_then(|_| self.forwarder.take_switched());
        if upgrade.is_some() && switched.is_none() {
            self.post.end_long_haul();
        }
        let ending = match forwarded {
            Ok(answered) => {
                let backend = Arc::clone(answered.claim.backend());
                let ending = match (switched, upgrade) {
                    (Some(switched), Some(upgrade)) => {
                        self.switch(to, answered, switched, request, upgrade, client)
                    }
                    _ => self.pass_on(to, answered, request, content, client),
                };
                let target = request.target.escape_ascii();
                debug!(
                    "{} {target} by {}: {ending:?} in {:?}",
                    request.method,
                    backend.label,
                    start.elapsed()
                );
                if !client.has_begun {
                    self.story.status = 0;
                }
                // What failed behind a good head may have become an answer of ours.
                return (ending, self.story.is_of_backend().then_some(backend));
            }
            Err(GiveUp::Client(failure)) => self.client_failed(failure, request, client),
            Err(GiveUp::NobodyUp) => {
                let keep_alive = self.may_keep(request, content, client);
                let reason = format!("no backend is up ({} down)", to.pool.n_backends());
                self.answer_ourselves(503, reason, request, keep_alive, client)
            }
            Err(GiveUp::Answer(status, reason)) => {
                let keep_alive = self.may_keep(request, content, client);
                self.answer_ourselves(status, reason, request, keep_alive, client)
            }
            Err(GiveUp::Busy(reason)) => {
                let own = OwnAnswer::refused_by_queue(reason, self.retry_after.seconds());
                let keep_alive = self.may_keep(request, content, client);
                self.answer_with(&own, request, keep_alive, client)
            }
        };
        (ending, None)
    }

    fn note_failed(&mut self, to: &Forwarding, backend: &Backend, failed: &Failed) {
        debug!("backend {}: {}", backend.label, failed.cause);
        self.tell_failed(failed);
        if failed.failure.blames(&to.settings.passive.fail_on) {
            let fault = match failed.failure {
                Failure::Connect => Fault::Connecting,
                _ => Fault::Answering,
            };
            let now = Instant::now();
            to.pool.exchange_failed(backend, fault, &failed.cause, now);
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
}
