//! What a worker tells about its exchange, for counters, pages and logs.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use crate::exchange::failed::Failed;
use crate::exchange::retry::Failure;
use crate::exchange::watched::Watched;
use crate::exchange::{Exchanger, Forwarding};
use crate::intake::ClientRequest;
use crate::pool::{Backend, PassedOver, Picked};
use crate::watch::{Doing, Fate, Story};

/// Where one exchange's picks note who was passed over.
pub type Notes = RefCell<Vec<PassedOver>>;

impl Failure {
    /// How an exchange ends that ends with this.
    fn fate(self) -> Fate {
        match self {
            Failure::Connect => Fate::Connect,
            Failure::NoMeans => Fate::NoMeans,
            Failure::Timeout => Fate::ResponseTimeout,
            Failure::Stale | Failure::Broken => Fate::BackendBroke,
            Failure::BadHead => Fate::BadAnswer,
            Failure::Status(_) => Fate::BadStatus,
        }
    }
}

impl Exchanger<'_> {
    /// An exchange begins.
    pub(super) fn begin_story(&mut self, request: &ClientRequest, queued: Instant, now: Instant) {
        self.story.begin(self.post.slot_idx(), queued, now);
        if self.watch.recent.is_some() {
            self.story.note_request(request);
        }
    }

    /// It is over, but for the connection.
    pub(super) fn end_story(&mut self, request: &ClientRequest, client: &Watched) {
        let story = &mut self.story;
        (story.bytes_in, story.bytes_out) = (client.n_read, client.n_written);
        // Its pool's part was its end; without a pool, or after a panic, this is.
        if story.ended == story.begun {
            story.ended = Instant::now();
        }
        self.sheet.note(story);
        if let Some(log) = &self.watch.access_log {
            log.note(&mut self.pen, story, Some(request));
        }
        self.sheet.lane.set(Doing::Idle, story.ended);
        if let Some(recent) = &self.watch.recent {
            let (slot, now) = (story.slot, story.ended);
            let spare = self.spare.take();
            let spare = spare.unwrap_or_else(|| Box::new(Story::new(slot, now)));
            let told = std::mem::replace(&mut self.story, spare);
            self.spare = recent.remember(told);
        }
    }

    /// It comes to this pool.
    pub(super) fn begin_in_pool(&mut self, to: &Forwarding) {
        self.story.has_pool = true;
        if self.watch.is_told() {
            self.story.pool.push_str(to.pool.name());
        }
    }

    /// The pool's part in it is over; the answer was a backend's or ours.
    pub(super) fn end_in_pool(&mut self, to: &Forwarding, by: Option<&Backend>) {
        let story = &mut self.story;
        story.ended = Instant::now();
        let tally = by.map_or(&to.pool.own_answers, |backend| &backend.tally);
        tally.note(story.status, story.ended - story.queued);
    }

    /// It becomes a tunnel.
    pub(super) fn begin_tunnel_story(&mut self) {
        (self.story.fate, self.story.status) = (Fate::Tunnelled, 101);
        self.sheet.lane.set(Doing::Tunnelling, Instant::now());
    }

    /// A backend was picked.
    pub(super) fn tell_picked(&mut self, picked: &Picked, notes: Option<&Notes>, now: Instant) {
        let backend = self
            .watch
            .is_told()
            .then(|| Arc::clone(picked.claim.backend()));
        self.story.begin_attempt(backend, picked.picking, now);
        if let (Some(notes), Some(attempt)) = (notes, self.story.attempt()) {
            attempt.passed_over = notes.take();
        }
        self.sheet.lane.set(Doing::Connecting, now);
    }

    /// An attempt has an answer, or has none.
    pub(super) fn tell_tried(&mut self) {
        let (marks, is_reused) = self.forwarder.marks();
        if let Some(attempt) = self.story.attempt() {
            attempt.connected = marks.connected;
            attempt.sent = marks.sent;
            attempt.first_byte = marks.first_byte;
            attempt.is_reused = is_reused;
        }
    }

    /// An attempt, or the answer behind it, failed.
    pub(super) fn tell_failed(&mut self, failed: &Failed) {
        self.story.fate = failed.failure.fate();
        if !self.watch.is_told() && self.settings.proxy_status.is_none() {
            return;
        }
        self.story.cause.clone_from(&failed.cause);
        if let Some(attempt) = self.story.attempt() {
            attempt.failure.clone_from(&failed.cause);
        }
    }

    /// Where picks note who is passed over, if anybody may ask.
    pub(super) fn new_notes(&self) -> Option<Notes> {
        self.watch.recent.is_some().then(Notes::default)
    }
}
