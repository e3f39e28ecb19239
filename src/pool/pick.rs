//! A pick: whose turn it is for one attempt, and the claim on it.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::pool::balance;
use crate::pool::line::InLine;
use crate::pool::load::Load;
use crate::pool::roster::{Place, Roster, Tier};
use crate::pool::settings::Policy;
use crate::pool::{Backend, Claim, Hold, Pool};
use crate::sync::Ordering;

/// How often a client that waits in line is looked after. In a model, where time stands still, not
/// at all.
const LOOK_INTERVAL: Duration = Duration::from_millis(if cfg!(loom) { 86_400_000 } else { 100 });

/// What a pick depends on.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// Who was tried for this request already ([`Backend::id`]).
    pub tried: &'a [u64],
    /// The hash of what the pool's policy hashes; none: the request has no such thing.
    pub key: Option<u64>,
    /// Whom the client's cookie names.
    pub token: Option<u64>,
    /// Whether a worker of the pool asks, whom a backend's share concerns.
    pub is_worker: bool,
    /// The time, as of the beginning of the exchange at the earliest.
    pub now: Instant,
    /// Where to note who is passed over, if anybody wants to know.
    pub notes: Option<&'a RefCell<Vec<PassedOver>>>,
}

impl Wish<'_> {
    /// Of a thread that is no worker, for a request that is like any other.
    pub fn plain(now: Instant) -> Wish<'static> {
        Wish {
            tried: &[],
            key: None,
            token: None,
            is_worker: false,
            now,
            notes: None,
        }
    }
}

/// Who was picked.
#[derive(Debug)]
pub struct Picked {
    /// The exchange with it.
    pub claim: Claim,
    /// The worker's part in its share, if a worker asked.
    pub hold: Option<Hold>,
    /// What the client's cookie shall say from now on, if it does not yet.
    pub new_token: Option<u64>,
    /// How it was chosen.
    pub picking: Picking,
    /// It was waited for.
    pub was_awaited: bool,
}

/// How a backend was chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Picking {
    /// Among how many.
    pub n_candidates: usize,
    /// They were backups.
    pub is_backup: bool,
    /// The client's cookie named it.
    pub is_sticky: bool,
    /// The state of the pool: [`Pool::absent`] says who was no candidate.
    pub arrangement: u64,
}

/// A candidate whose turn it was, and why it was passed over.
pub type PassedOver = (Arc<Backend>, &'static str);

/// More of them are not noted for one request.
const MAX_NOTES: usize = 16;

/// Why nobody was picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPick {
    /// All that are up were tried, or none is up.
    NobodyLeft,
    /// Some are left, and each has its share of the workers already.
    AllBusy,
    /// Some are left, and each has as many exchanges as it may.
    AllFull,
}

impl Pool {
    /// The next backend, by the pool's policy, of those that may be picked and were not tried.
    pub fn pick(&self, wish: &Wish) -> Result<Picked, NoPick> {
        let roster = self.roster.read();
        let mut picked = self.pick_from(&roster, &roster.ready, wish);
        if let Err(NoPick::NobodyLeft) = picked
            && !roster.backups.seats.is_empty()
        {
            picked = self.pick_from(&roster, &roster.backups, wish);
            if let Ok(picked) = &mut picked {
                picked.picking.is_backup = true;
            }
        }
        if let Ok(picked) = &mut picked {
            picked.picking.arrangement = roster.n_arrangement();
        }
        picked
    }

    /// The same; if all are full, waits in line until one has room, the deadline, or until the
    /// client `is_gone`, which is asked now and then. `wish` is asked for each look: a worker that
    /// waits for long may not be one of the pool any more.
    pub fn pick_or_wait<'w>(
        &self,
        wish: impl Fn() -> Wish<'w>,
        deadline: Instant,
        is_gone: impl Fn() -> bool,
    ) -> Result<Picked, NoPick> {
        if !self.traffic.has_line() {
            let picked = self.pick(&wish());
            if !matches!(picked, Err(NoPick::AllFull)) {
                return picked;
            }
        }
        let mut line = InLine::join(&self.traffic);
        loop {
            let next_look = Instant::now() + LOOK_INTERVAL;
            if line.await_call(deadline.min(next_look)) {
                for backend in self.backends() {
                    backend.load.mark();
                }
                match self.pick(&wish()) {
                    Err(NoPick::AllFull) => line.pass_on(),
                    Err(lacking) => return Err(lacking),
                    Ok(picked) => {
                        return Ok(Picked {
                            was_awaited: true,
                            ..picked
                        });
                    }
                }
            }
            if Instant::now() >= deadline || is_gone() {
                return Err(NoPick::AllFull);
            }
        }
    }

    fn pick_from(&self, roster: &Roster, tier: &Tier, wish: &Wish) -> Result<Picked, NoPick> {
        let was_tried = |place: &Place| wish.tried.contains(&place.backend.id);
        if tier.places.iter().all(was_tried) {
            // Nor is a turn spent: with every second one, one of two backups would get all.
            return Err(NoPick::NobodyLeft);
        }
        let look = Look {
            tier,
            wish,
            // Who is alone may hold everybody.
            share: match tier.places.len() {
                _ if !wish.is_worker => usize::MAX,
                1 => usize::MAX,
                _ => self.max_held.load(Ordering::Relaxed),
            },
        };
        let is_sticky = roster.sticky.is_some();
        if let (true, Some(token)) = (is_sticky, wish.token) {
            let named = tier.places.iter().find(|place| place.token == token);
            if let Some(Ok(mut picked)) = named.map(|place| look.take(place)) {
                picked.picking.is_sticky = true;
                return Ok(picked);
            }
        }
        // Once more without regard to slow start and bounds on load: a backend that warms up, or
        // has much to do already, is better than none.
        let bound = wish
            .key
            .and_then(|_| roster.settings.policy.max_load_percent());
        let found = match self.find(roster, &look, tier.is_warming, bound) {
            Err(_) if tier.is_warming || bound.is_some() => self.find(roster, &look, false, None),
            found => found,
        };
        let (idx, mut picked) = found?;
        picked.new_token = Some(tier.places[idx].token).filter(|_| is_sticky);
        Ok(picked)
    }

    /// Whom the policy chooses. It asks about those whom it would choose, in order, and the first
    /// that can be claimed is the one.
    fn find(
        &self,
        roster: &Roster,
        look: &Look,
        minds_warmth: bool,
        max_load_percent: Option<u32>,
    ) -> Result<(usize, Picked), NoPick> {
        let Look { tier, wish, .. } = look;
        // Noted when somebody is refused: a moment later there may be room, and who then takes it
        // for a lack of something else does not wait for it.
        let mut found = Err(NoPick::NobodyLeft);
        let total = max_load_percent.map_or(0, |_| self.traffic.n_active());
        let _ = self.choose(&roster.settings.policy, tier, wish, &mut |idx: usize| {
            let place = &tier.places[idx];
            let is_within_bound = |percent| {
                let (load, weight) = (place.backend.n_in_flight(), tier.seats[idx].weight);
                balance::is_within_bound(load, weight, total, tier.total_weight, percent)
            };
            if !max_load_percent.is_none_or(is_within_bound) {
                look.note(place, "it has more than its share of the exchanges");
                return false;
            }
            if minds_warmth && !place.is_warm_enough(wish.now) {
                look.note(place, "it warms up");
                return false;
            }
            match look.take(place) {
                Ok(picked) => found = Ok((idx, picked)),
                Err(NoPick::AllFull) => {
                    look.note(place, "it has as many connections as it may");
                    found = Err(NoPick::AllFull);
                }
                Err(NoPick::AllBusy) => {
                    look.note(place, "it has its share of the workers");
                    if matches!(found, Err(NoPick::NobodyLeft)) {
                        found = Err(NoPick::AllBusy);
                    }
                }
                Err(NoPick::NobodyLeft) => look.note(place, "it was tried already"),
            }
            found.is_ok()
        });
        found
    }

    fn choose(
        &self,
        policy: &Policy,
        tier: &Tier,
        wish: &Wish,
        is_open: &mut dyn FnMut(usize) -> bool,
    ) -> Option<usize> {
        let seats = &tier.seats;
        let turn = if wish.tried.is_empty() {
            &self.next
        } else {
            &self.next_again
        };
        // Relaxed: see the fields.
        let next = || turn.fetch_add(1, Ordering::Relaxed);
        let load = |idx: usize| tier.load(idx, wish.now);
        match (policy, wish.key) {
            // Asks each, and so is not to ask each for its share of a slow start too.
            (Policy::LeastConnections, _) if !tier.is_warming => {
                let loads = tier.loads.iter().map(Load::n);
                balance::least_connections(seats, tier.are_even, next(), &loads, is_open)
            }
            (Policy::LeastConnections, _) => {
                let loads = (0..seats.len()).map(load);
                balance::least_connections(seats, tier.are_even, next(), &loads, is_open)
            }
            (Policy::RandomTwoChoices, _) => {
                let random = || balance::scatter(next() as u64);
                balance::random_two_choices(seats, tier.max_weight, random, load, is_open)
            }
            (Policy::Hash { .. }, Some(key)) => balance::rendezvous(seats, key, is_open),
            _ if tier.max_weight > 1 => {
                balance::weighted_round_robin(seats, tier.max_weight, turn, is_open)
            }
            _ => {
                let detour = || self.detours.fetch_add(1, Ordering::Relaxed);
                balance::round_robin(seats.len(), next(), detour, is_open)
            }
        }
    }
}

/// One pick's look at those among whom it chooses.
struct Look<'a> {
    tier: &'a Tier,
    wish: &'a Wish<'a>,
    /// Workers that one of them may hold.
    share: usize,
}

impl Look<'_> {
    /// Claims it; or says what it lacks.
    fn take(&self, place: &Place) -> Result<Picked, NoPick> {
        let backend = &place.backend;
        if self.wish.tried.contains(&backend.id) {
            return Err(NoPick::NobodyLeft);
        }
        let hold = if self.wish.is_worker {
            Some(Hold::take(backend, self.share).ok_or(NoPick::AllBusy)?)
        } else {
            None
        };
        let claim = Claim::take(backend, place.limit, place.is_trial)?;
        Ok(Picked {
            claim,
            hold,
            new_token: None,
            picking: Picking {
                n_candidates: self.tier.places.len(),
                ..Picking::default()
            },
            was_awaited: false,
        })
    }

    /// Notes somebody who is passed over, for people who ask.
    fn note(&self, place: &Place, why: &'static str) {
        let Some(notes) = self.wish.notes else {
            return;
        };
        let mut notes = notes.borrow_mut();
        if notes.len() < MAX_NOTES {
            notes.push((Arc::clone(&place.backend), why));
        }
    }
}

impl Pool {
    /// All backends, up or not.
    pub fn backends(&self) -> Vec<Arc<Backend>> {
        let roster = self.roster.read();
        roster
            .members
            .iter()
            .map(|member| Arc::clone(&member.backend))
            .collect()
    }
}
