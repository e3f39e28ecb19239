//! The attempts of one exchange: a backend after the other, as far as the retry rule allows.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use crate::exchange::content::{ClientFailure, Content};
use crate::exchange::failed::Failed;
use crate::exchange::forward::{BackendResponse, Errand};
use crate::exchange::retry::{Asked, Failure, Step, next_step};
use crate::exchange::turn::{GiveUp, Turn};
use crate::exchange::watched::Watched;
use crate::exchange::{Exchanger, Forwarding, sticky};
use crate::intake::{ClientRequest, ContentFraming};
use crate::pool::{Claim, Picked, Retrying};
use crate::watch::Fate;

/// A backend's answer, and the exchange with it.
pub struct Answered {
    pub claim: Claim,
    pub response: BackendResponse,
    /// A Set-Cookie that tells the client's browser where it belongs.
    pub cookie: Option<Vec<u8>>,
    /// Its status counts as a failure of the backend.
    pub is_failure: bool,
}

/// One exchange on its way through the attempts.
struct Course<'a> {
    to: &'a Forwarding,
    turn: Turn<'a>,
    target: Cow<'a, [u8]>,
    upgrade: Option<&'a [u8]>,
    is_trusted: bool,
    retries_left: u32,
    /// A retry is under way.
    retrying: Option<Retrying<'a>>,
    /// Idle connections were closed for want of descriptors, once.
    has_made_room: bool,
    /// What the client is told when nobody is left.
    give_up: GiveUp,
}

/// What follows an attempt.
#[allow(clippy::large_enum_variant)] // one at a time, and a box would cost more than the move
enum Next {
    /// Whoever is picked.
    Pick,
    /// This other one.
    Other(Picked),
    /// The same one, on a new connection.
    Again(Picked),
    Done(Answered),
}

impl Exchanger<'_> {
    /// Finds a backend that answers, as far as the retry rule allows.
    pub(super) fn forward(
        &mut self,
        to: &Forwarding,
        request: &ClientRequest,
        upgrade: Option<&[u8]>,
        deadline: Instant,
        content: &mut Content,
        client: &mut Watched,
    ) -> Result<Answered, GiveUp> {
        // Without content no time has passed since then.
        let now = match request.framing {
            ContentFraming::Empty => self.story.begun,
            _ => Instant::now(),
        };
        let mut course = Course {
            to,
            turn: Turn::new(to, request, deadline, now, self.new_notes()),
            target: to.target(&request.target),
            upgrade,
            is_trusted: self.settings.trust.covers(request.address),
            retries_left: to.settings.retry.retries,
            retrying: None,
            has_made_room: false,
            give_up: GiveUp::NobodyUp,
        };
        self.story.fate = Fate::NobodyUp;
        let mut next = Next::Pick;
        loop {
            let on_new_connection = matches!(next, Next::Again(_));
            let picked = match next {
                Next::Done(answered) => return Ok(answered),
                Next::Other(picked) | Next::Again(picked) => picked,
                Next::Pick => {
                    course.turn.move_on();
                    match self.pick(&course.turn, course.give_up.is_unsent(), client) {
                        Ok(picked) => picked,
                        Err(unpicked) => {
                            course.cancel_retry();
                            return Err(self.not_picked(&unpicked, course.give_up));
                        }
                    }
                }
            };
            if course.turn.is_retry() {
                self.counters.note_further_attempt();
            }
            course.turn.begin(picked.claim.backend().id);
            next = self.attempt(&mut course, picked, on_new_connection, content, client)?;
        }
    }

    fn attempt(
        &mut self,
        course: &mut Course,
        picked: Picked,
        on_new_connection: bool,
        content: &mut Content,
        client: &mut Watched,
    ) -> Result<Next, GiveUp> {
        let (to, request) = (course.to, course.turn.request);
        let backend = Arc::clone(picked.claim.backend());
        let errand = Errand {
            backend: &backend,
            target: &course.target,
            edits: to.request_edits(),
            on_new_connection,
            is_trusted: course.is_trusted,
            upgrade: course.upgrade,
            request_id: self.story.request_id(),
        };
        let attempted = self.forwarder.attempt(&errand, request, content, client);
        self.tell_tried();
        let failed = match attempted {
            Ok(response) => return Ok(self.judge(course, picked, response, content)),
            Err(failed) => failed,
        };
        if let Some(failure) = content.failure() {
            return Err(GiveUp::Client(failure));
        }
        if self.forwarder.client_is_gone() {
            return Err(GiveUp::Client(ClientFailure::Gone));
        }
        self.note_failed(to, &backend, &failed);
        if failed.failure == Failure::NoMeans && !std::mem::replace(&mut course.has_made_room, true)
        {
            // Idle connections to backends are descriptors that nobody needs as much.
            self.pools.close_idle();
            return Ok(Next::Again(picked));
        }
        match course.step_after(failed.failure, content) {
            Step::MoveOn => {
                course.give_up = GiveUp::Answer(503, "no backend could be reached".to_owned());
            }
            Step::Retry => {
                course.give_up = GiveUp::Answer(failed.status(), failed.explain());
            }
            Step::Reconnect => return Ok(Next::Again(picked)),
            Step::Answer(status) => return Err(GiveUp::Answer(status, failed.explain())),
            Step::PassOn => unreachable!("there is no answer to pass on"),
        }
        Ok(Next::Pick)
    }

    /// A head of an answer is here. Its status may count as a failure, and may be tried again; then
    /// only if there is another backend, because this answer is better than none.
    fn judge(
        &mut self,
        course: &mut Course,
        picked: Picked,
        response: BackendResponse,
        content: &Content,
    ) -> Next {
        let to = course.to;
        let failure = Failure::Status(response.status);
        let is_failure = failure.blames(&to.settings.passive.fail_on);
        // In this order: who is picked for nothing has a claim on it that counts, and a budget that
        // is taken for nothing can be given back.
        let may_retry = to.settings.retry.on.statuses.has(response.status);
        if is_failure || may_retry {
            let failed = Failed {
                failure,
                cause: format!("it answered {}", response.status),
            };
            self.note_failed(to, picked.claim.backend(), &failed);
            if course.step_after(failure, content) == Step::Retry {
                course.turn.move_on();
                if let Some(other) = self.pick_another(&course.turn) {
                    course.give_up = GiveUp::Answer(failed.status(), failed.explain());
                    return Next::Other(other);
                }
                course.cancel_retry();
            }
        }
        let cookie = match (&to.settings.sticky, picked.new_token) {
            (Some(sticky), Some(token)) => Some(sticky::set_cookie(sticky, token)),
            _ => None,
        };
        Next::Done(Answered {
            claim: picked.claim,
            response,
            cookie,
            is_failure,
        })
    }
}

impl Course<'_> {
    /// What follows, and if that is a retry, it has begun: the pool's budget has one more.
    fn step_after(&mut self, failure: Failure, content: &Content) -> Step {
        let rule = &self.to.settings.retry;
        let asked = Asked::by(self.turn.request, content.replay());
        match next_step(failure, asked, self.retries_left, rule) {
            Step::Retry if !self.begin_retry() => next_step(failure, asked, 0, rule),
            step => step,
        }
    }

    /// The retry that has begun finds nobody to ask.
    fn cancel_retry(&mut self) {
        if let Some(retrying) = self.retrying.take() {
            retrying.cancel();
        }
    }

    /// Whether the pool's budget has one more retry.
    fn begin_retry(&mut self) -> bool {
        let pool = &self.to.pool;
        // Before the next begins: this request has one retry at a time.
        self.retrying = None;
        self.retrying = pool.begin_retry(&self.to.settings.retry);
        self.retries_left = self.retries_left.saturating_sub(1);
        self.retrying.is_some()
    }
}
