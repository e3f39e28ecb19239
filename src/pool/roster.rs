//! Who belongs to a pool, how each one is, and who may be picked: what must agree, under one lock.
//!
//! Nothing here locks, waits or logs: [`Pool`](crate::pool::Pool) holds it behind its lock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::pool::absent::Arrangements;
use crate::pool::balance::{self, Seat};
use crate::pool::health::{Health, State};
use crate::pool::load::{Load, Loads};
use crate::pool::settings::{BackendSpec, PoolSettings, ProbeKind, WhenAllDown};
use crate::pool::sticky::StickyKey;
use crate::pool::{Backend, Forced};

/// One backend in its pool.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // independent facts about one backend
pub struct Member {
    /// As configured. Several members have the same if its name has several addresses.
    pub spec: Arc<BackendSpec>,
    pub backend: Arc<Backend>,
    pub health: Health,
    /// Why its state is what it is, in words.
    pub cause: String,
    /// Its weight now: the configured one, or what was set at run time.
    pub weight: u32,
    pub drains: Drains,
    pub forced: Option<Forced>,
    /// It came when others were there already: it gets requests once a probe has found it well.
    pub is_late: bool,
    /// A probe has found it bad before any found it well.
    pub is_known_bad: bool,
    /// It is to go as soon as one of those that replace it has answered.
    pub is_retiring: bool,
    /// Since when its share grows; none: it has all of it.
    pub warm_since: Option<Instant>,
    /// What a client's cookie calls it.
    pub token: u64,
    /// When the last probe began.
    pub probed_at: Option<Instant>,
    /// How many there were.
    pub n_probes: u64,
    /// An exchange just failed: the next one shall come at once.
    pub is_hinted: bool,
}

/// Who asked that a backend get no new requests. Any is enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drains {
    /// An operator, by the admin API.
    pub by_operator: bool,
    /// A file in the drain directory.
    pub by_file: bool,
    /// The backend itself, by its health check.
    pub by_itself: bool,
}

impl Drains {
    /// Whether anybody asked.
    pub fn any(self) -> bool {
        self.by_operator || self.by_file || self.by_itself
    }
}

impl Member {
    /// Whether requests may go there, as far as it alone is concerned.
    pub fn is_open(&self) -> bool {
        let is_well = match self.forced {
            Some(Forced::Up) => true,
            Some(Forced::Down) => false,
            None => self.health.state() != State::Down,
        };
        is_well && !self.drains.any()
    }

    /// Whether it gets one request at a time.
    fn is_on_trial(&self) -> bool {
        self.health.state() == State::Trial && self.forced.is_none()
    }

    /// Whether it has not shown yet that it works, and came where others do. Without probes it
    /// never could, and is like any other.
    fn is_newcomer(&self, settings: &PoolSettings) -> bool {
        let is_unknown = self.health.state() == State::Unknown && self.forced.is_none();
        self.is_late && is_unknown && settings.probe.kind != ProbeKind::Off
    }

    /// Whether it gets requests without a limit, so that others are free to go.
    pub fn is_serving(&self, settings: &PoolSettings) -> bool {
        self.is_open() && !self.is_on_trial() && !self.is_newcomer(settings)
    }

    /// How long its share grows after it came back.
    fn slow_start(&self, settings: &PoolSettings) -> Duration {
        self.spec.slow_start.unwrap_or(settings.slow_start)
    }
}

/// Those among whom picks choose, side by side: `seats` for the policies, `places` for the rest.
#[derive(Debug, Default)]
pub struct Tier {
    pub seats: Vec<Seat>,
    pub places: Vec<Place>,
    /// How many exchanges each has: apart, because a pick may look at all of them, and at nothing
    /// else.
    pub loads: Vec<Load>,
    pub max_weight: u32,
    pub total_weight: u64,
    /// All weights are the same.
    pub are_even: bool,
    /// Somebody's share is growing.
    pub is_warming: bool,
}

/// What a pick needs of one of them beside its seat.
#[derive(Debug)]
pub struct Place {
    pub backend: Arc<Backend>,
    /// Exchanges at a time.
    pub limit: usize,
    pub is_trial: bool,
    /// Since when its share grows, and for how long.
    pub warm: Option<(Instant, Duration)>,
    pub token: u64,
}

impl Tier {
    fn fill<'a>(&mut self, members: impl Iterator<Item = &'a Member>, settings: &PoolSettings) {
        self.seats.clear();
        self.places.clear();
        self.loads.clear();
        for member in members {
            let over = member.slow_start(settings);
            self.seats.push(Seat {
                weight: member.weight,
                identity: member.backend.identity,
            });
            self.loads.push(member.backend.load.clone());
            self.places.push(Place {
                backend: Arc::clone(&member.backend),
                limit: member.spec.max_connections.unwrap_or(usize::MAX),
                is_trial: member.is_on_trial(),
                warm: member
                    .warm_since
                    .filter(|_| !over.is_zero())
                    .map(|since| (since, over)),
                token: member.token,
            });
        }
        let weights = || self.seats.iter().map(|seat| seat.weight);
        self.max_weight = weights().max().unwrap_or(0);
        self.total_weight = weights().map(u64::from).sum();
        self.are_even = balance::are_even(&self.seats);
        self.is_warming = self.places.iter().any(|place| place.warm.is_some());
    }

    /// How many exchanges a place has, by what it should have of them now.
    pub fn load(&self, idx: usize, now: Instant) -> usize {
        let n = self.loads[idx].n();
        let mut share = None;
        if self.is_warming {
            share = self.places[idx].growing_share(now);
        }
        share.map_or(n, |share| balance::warm_load(n, share))
    }
}

impl Place {
    /// Its share, if it is still growing.
    fn growing_share(&self, now: Instant) -> Option<u32> {
        let (since, over) = self.warm?;
        let elapsed = now.saturating_duration_since(since);
        Some(balance::warm_share(elapsed, over))
    }

    /// Whether its growing share gives it this turn.
    pub fn is_warm_enough(&self, now: Instant) -> bool {
        let share = self.growing_share(now);
        share.is_none_or(|share| self.backend.is_warm_enough(share))
    }
}

/// All of a pool that must agree.
#[derive(Debug)]
pub struct Roster {
    pub settings: Arc<PoolSettings>,
    pub members: Vec<Member>,
    /// Who may be picked …
    pub ready: Tier,
    /// … and who if none of these is left.
    pub backups: Tier,
    pub sticky: Option<StickyKey>,
    /// Where new members' loads come from.
    pub loads: Loads,
    /// The last arrangements.
    pub(super) arrangements: Arrangements,
}

impl Roster {
    pub fn new(settings: Arc<PoolSettings>, sticky: Option<StickyKey>) -> Roster {
        Roster {
            settings,
            members: Vec::new(),
            ready: Tier::default(),
            backups: Tier::default(),
            sticky,
            loads: Loads::new(),
            arrangements: Arrangements::default(),
        }
    }

    /// The member that this backend is, unless it is gone.
    pub fn member_mut(&mut self, id: u64) -> Option<&mut Member> {
        self.members
            .iter_mut()
            .find(|member| member.backend.id == id)
    }

    /// All that go by this name: that of the configuration, or one member's own.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Member> {
        self.members
            .iter()
            .filter(move |m| m.spec.name == name || m.backend.name == name)
    }

    /// How many may get requests.
    pub fn n_open(&self) -> usize {
        self.members.iter().filter(|m| m.is_open()).count()
    }

    /// Whether exchanges may take this one out: never the last one, and never more of the pool
    /// than was allowed. Who is on trial does not count as another: it takes one request at a time.
    pub fn may_eject(&self, id: u64) -> bool {
        let is_other = |m: &&Member| m.backend.id != id && m.is_serving(&self.settings);
        let n_ejected = self
            .members
            .iter()
            .filter(|m| m.backend.id != id && m.health.is_ejected())
            .count();
        let most = self.settings.passive.max_ejected_percent as usize * self.members.len() / 100;
        n_ejected < most && self.members.iter().any(|m| is_other(&m))
    }

    /// Who may be picked, after any change. Nobody else decides this.
    ///
    /// Before its first probe a backend counts as up, unless it came late, and others are there. A
    /// backup is picked while nobody else is left; a pool of one is always tried: nobody is better.
    /// For the same reason a trial is no limit where all others are on trial too, or down.
    pub fn arrange(&mut self) {
        let Roster {
            settings,
            members,
            ready,
            backups,
            arrangements,
            ..
        } = self;
        let is_known = |m: &&Member| m.is_open() && !m.is_newcomer(settings);
        let has_known = members.iter().any(|m| is_known(&m));
        let may = |m: &&Member| is_known(m) || !has_known && m.is_open();
        let is_main = |m: &&Member| !m.spec.is_backup;
        ready.fill(members.iter().filter(may).filter(is_main), settings);
        backups.fill(members.iter().filter(may).filter(|m| !is_main(m)), settings);
        let may_try = members.len() == 1 || settings.when_all_down == WhenAllDown::Try;
        if ready.seats.is_empty() && backups.seats.is_empty() && may_try {
            let is_wanted = |m: &&Member| !m.drains.any() && m.forced != Some(Forced::Down);
            ready.fill(members.iter().filter(is_wanted), settings);
            arrangements.note(members.iter().filter(|m| !is_wanted(m)));
        } else {
            arrangements.note(members.iter().filter(|m| !may(m)));
        }
        let mut places = ready.places.iter().chain(&backups.places);
        if places.all(|place| place.is_trial) {
            for place in ready.places.iter_mut().chain(&mut backups.places) {
                place.is_trial = false;
            }
        }
    }

    /// The number of the arrangement that holds now.
    pub fn n_arrangement(&self) -> u64 {
        self.arrangements.newest()
    }

    /// A probe has found this one well: takes out those that it and others replace, if it gets
    /// requests now. Well once is not enough for one that was down before.
    pub fn retire_the_replaced(&mut self, id: u64) -> Vec<Member> {
        let has_old = self.members.iter().any(|m| m.is_retiring);
        let settings = Arc::clone(&self.settings);
        let is_new = |m: &mut Member| !m.is_retiring && m.is_serving(&settings);
        if !has_old || !self.member_mut(id).is_some_and(is_new) {
            return Vec::new();
        }
        let gone = self.members.extract_if(.., |m| m.is_retiring).collect();
        self.arrange();
        gone
    }

    /// A probe has found this one bad. Whether it was the last of those that came with a reload,
    /// and now none of them is known to work; told once.
    pub fn is_last_hope(&mut self, id: u64) -> bool {
        let has_old = self.members.iter().any(|m| m.is_retiring);
        let note = |m: &mut Member| !std::mem::replace(&mut m.is_known_bad, true);
        let is_news = self.member_mut(id).is_some_and(note);
        let mut new = self.members.iter().filter(|m| !m.is_retiring);
        has_old && is_news && new.all(|m| m.is_known_bad)
    }

    /// Ends the slow start of those whose share has grown to all of it.
    pub fn end_warming(&mut self, now: Instant) {
        let Roster {
            settings, members, ..
        } = self;
        let mut has_ended = false;
        for member in members {
            let over = member.slow_start(settings);
            if member
                .warm_since
                .is_some_and(|since| now.saturating_duration_since(since) >= over)
            {
                member.warm_since = None;
                has_ended = true;
            }
        }
        if has_ended {
            self.arrange();
        }
    }
}
