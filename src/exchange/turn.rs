//! Whose turn it is for one attempt, and whether a worker of the pool is spent on it.

use std::time::Instant;

use log::debug;

use crate::exchange::content::ClientFailure;
use crate::exchange::tell::Notes;
use crate::exchange::{Exchanger, Forwarding, key, presence, sticky};
use crate::intake::{Client, ClientRequest};
use crate::pool::{NoPick, Picked, Policy, Wish, balance};
use crate::watch::{Doing, Fate};

/// Why no backend's answer is passed on.
pub enum GiveUp {
    /// The client failed.
    Client(ClientFailure),
    /// Nobody could be asked. What is said of it is put together only then.
    NobodyUp,
    /// We answer, with this status and reason.
    Answer(u16, String),
    /// No worker, or no room, is left at any backend that could: 503, and the queue's advice when
    /// to come.
    Busy(&'static str),
}

impl GiveUp {
    /// Whether it says that nothing of the request has been sent to anybody.
    pub fn is_unsent(&self) -> bool {
        matches!(self, GiveUp::NobodyUp | GiveUp::Answer(503, _))
    }
}

/// Why there is no next backend.
pub enum Unpicked {
    /// The pool has none.
    Lacking(NoPick),
    /// The client did not wait for one.
    Gone,
}

impl From<NoPick> for Unpicked {
    fn from(no_pick: NoPick) -> Unpicked {
        Unpicked::Lacking(no_pick)
    }
}

/// What the picks of one exchange depend on.
pub struct Turn<'a> {
    pub to: &'a Forwarding,
    /// Who was tried before.
    tried: Vec<u64>,
    /// Who is being tried. Not among the others yet: most are the only one, and a list is memory.
    trying: Option<u64>,
    key: Option<u64>,
    token: Option<u64>,
    /// Until when a pick may wait for a backend with room.
    deadline: Instant,
    /// When the last pick was made, or nearly.
    now: Instant,
    /// Who is passed over, if anybody may ask.
    notes: Option<Notes>,
    pub request: &'a ClientRequest,
}

impl<'a> Turn<'a> {
    pub fn new(
        to: &'a Forwarding,
        request: &'a ClientRequest,
        deadline: Instant,
        now: Instant,
        notes: Option<Notes>,
    ) -> Turn<'a> {
        let settings = &to.settings;
        let key = match &settings.policy {
            Policy::Hash { key, .. } => key::key_bytes(key, request),
            _ => None,
        };
        let sticky = settings.sticky.as_ref();
        Turn {
            to,
            tried: Vec::new(),
            trying: None,
            key: key.map(|bytes| balance::key_of(&bytes)),
            token: sticky.and_then(|sticky| sticky::token_of(request, &sticky.cookie)),
            deadline,
            now,
            notes,
            request,
        }
    }

    /// Whether somebody was tried already.
    pub fn is_retry(&self) -> bool {
        self.trying.is_some()
    }

    /// It is this one's turn.
    pub fn begin(&mut self, id: u64) {
        self.trying = Some(id);
    }

    /// Somebody else's turn is next.
    pub fn move_on(&mut self) {
        if let Some(id) = self.trying {
            self.tried.push(id);
            self.now = Instant::now();
        }
    }

    pub fn wish(&self, is_worker: bool) -> Wish<'_> {
        Wish {
            tried: &self.tried,
            key: self.key,
            token: self.token,
            is_worker,
            now: self.now,
            notes: self.notes.as_ref(),
        }
    }
}

impl Exchanger<'_> {
    /// The next backend to try. A worker of the pool holds it from now on, instead of the one
    /// before; a long-haul thread is nobody's share of the pool and holds nothing.
    ///
    /// It may wait for room if nothing of the request was sent yet: who was tried otherwise has an
    /// answer already, if a poor one.
    pub(super) fn pick(
        &mut self,
        turn: &Turn,
        may_wait: bool,
        client: &dyn Client,
    ) -> Result<Picked, Unpicked> {
        // First, or the exchange would count twice for a moment.
        self.post.release();
        let pool = &turn.to.pool;
        // A worker that waits for long is promoted meanwhile.
        let wish = || turn.wish(!self.post.is_long_haul());
        let is_gone = || presence::is_gone(client.peer().as_ref());
        self.sheet.lane.set(Doing::Picking, turn.now);
        let picked = if may_wait {
            pool.pick_or_wait(wish, turn.deadline, is_gone)
        } else {
            pool.pick(&wish())
        };
        let mut picked = match picked {
            Err(NoPick::AllFull) if may_wait && is_gone() => return Err(Unpicked::Gone),
            picked => picked?,
        };
        self.take_up(turn, &mut picked);
        Ok(picked)
    }

    /// Another backend than those tried, for a request that has an answer already, if a poor one.
    pub(super) fn pick_another(&mut self, turn: &Turn) -> Option<Picked> {
        let wish = turn.wish(!self.post.is_long_haul());
        let mut picked = turn.to.pool.pick(&wish).ok()?;
        self.take_up(turn, &mut picked);
        Some(picked)
    }

    /// From now on the exchange is with this one.
    fn take_up(&mut self, turn: &Turn, picked: &mut Picked) {
        if let Some(hold) = picked.hold.take() {
            self.post.keep(hold);
        }
        self.post.tell(picked.claim.backend(), turn.request);
        // A pick takes less time than a look at the clock, unless there is a wait in it.
        let now = if picked.was_awaited {
            Instant::now()
        } else {
            turn.now
        };
        self.tell_picked(picked, turn.notes.as_ref(), now);
    }

    /// What follows when nobody was picked. The answers that were `meant` so far say what became
    /// of the request, and a 503 among them that it was never sent: who is busy then matters more.
    pub(super) fn not_picked(&mut self, unpicked: &Unpicked, meant: GiveUp) -> GiveUp {
        let no_pick = match unpicked {
            Unpicked::Gone => return GiveUp::Client(ClientFailure::Gone),
            Unpicked::Lacking(no_pick) => no_pick,
        };
        self.story.fate = match no_pick {
            NoPick::AllBusy if meant.is_unsent() => Fate::BackendsBusy,
            NoPick::AllFull if meant.is_unsent() => Fate::BackendsFull,
            _ => return meant,
        };
        let reason = self.story.fate.meaning();
        self.counters.note_refused();
        debug!("refused: {reason}");
        GiveUp::Busy(reason)
    }
}
