//! The health of one backend: a state, and when what happens to it changes the state.
//!
//! Pure: it is told the time and the rules, owns no lock and starts nothing. Two sources feed it,
//! the probes of the health thread (active) and the exchanges of the workers (passive).
//!
//! What probes took down comes back by probes alone, and so does what could not be connected to.
//! What exchanges took down otherwise, they have to prove well again: probes may see nothing wrong
//! with a backend that fails every request.

use std::time::{Duration, Instant};

use crate::pool::{Passive, Probe, ProbeKind};

/// Being up this long makes the next ejection last as long as a first one.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(300);
/// No ejection is longer, whatever the settings say.
const LONGEST_EJECTION: Duration = Duration::from_secs(7 * 86_400);
/// How long after going down a backend counts as [changing](Health::is_changing).
const FRESH: Duration = Duration::from_secs(10);

/// Whether requests go to a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not probed yet. Gets requests: a balancer that starts must not refuse what would work.
    Unknown,
    /// Gets requests.
    Up,
    /// Gets none, until it comes back.
    Down,
    /// Was ejected, and that time is over: gets one request at a time, whose end decides.
    Trial,
}

/// How an exchange failed, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It could not be connected to, which is what probes try as well: they can tell when that
    /// works again, and no request has to.
    Connecting,
    /// Anything behind that.
    Answering,
}

/// A change of state, to be logged once by whoever caused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The state that it had.
    pub from: State,
    /// The state that it has now.
    pub to: State,
    /// How long it had been in the other state.
    pub lasted: Duration,
}

/// State and history of one backend.
#[derive(Clone, Debug)]
pub struct Health {
    state: State,
    since: Instant,
    /// Whether exchanges took it down, and none has brought it back yet.
    is_ejected: bool,
    /// What took it down, if exchanges did.
    fault: Fault,
    /// Probes in a row that speak against `state`.
    contrary_probes: u32,
    /// Good probes in a trial for which no request has come.
    quiet_probes: u32,
    /// Failed exchanges without a success between them, and when the first one was.
    failures: u32,
    first_failure: Instant,
    rate: Rate,
    /// Times in a row that exchanges took it down.
    n_ejections: u32,
    held_until: Instant,
}

/// What the share of failed exchanges is taken over: a window that begins with a failure.
#[derive(Clone, Debug)]
struct Rate {
    begun: Instant,
    n_failures: u32,
    /// The backend's exchanges before the window.
    n_before: u64,
}

impl Health {
    /// A backend nobody has probed yet.
    pub fn new(now: Instant) -> Health {
        Health {
            state: State::Unknown,
            since: now,
            is_ejected: false,
            fault: Fault::Answering,
            contrary_probes: 0,
            quiet_probes: 0,
            failures: 0,
            first_failure: now,
            rate: Rate::new(now),
            n_ejections: 0,
            held_until: now,
        }
    }

    /// Makes it what an earlier process knew of it: in this state, and whether exchanges are what
    /// took it down. It then comes back as if its time were over, and its next ejection is longer.
    pub fn restore(&mut self, state: State, by_exchanges: bool, now: Instant) {
        *self = Health::new(now);
        if state == State::Trial || (state == State::Down && by_exchanges) {
            self.is_ejected = true;
            self.n_ejections = 1;
            self.state = State::Down;
        } else {
            self.state = state;
        }
    }

    /// Whether requests go there without a limit.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Unknown | State::Up)
    }

    /// The state now.
    pub fn state(&self) -> State {
        self.state
    }

    /// Since when it has this state; unknown and up are one here.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Whether exchanges took it down, and none has brought it back yet: it is down or on trial.
    pub fn is_ejected(&self) -> bool {
        self.is_ejected
    }

    /// Whether the next probes should follow quickly: the state may change, or just did.
    pub fn is_changing(&self, now: Instant) -> bool {
        let is_fresh = now.saturating_duration_since(self.since) < FRESH;
        match self.state {
            State::Unknown | State::Trial => true,
            State::Up => self.contrary_probes > 0,
            State::Down => self.contrary_probes > 0 || is_fresh,
        }
    }

    /// A probe found it well. Not told of one on trial while its request is under way: that
    /// decides.
    pub fn probe_good(&mut self, settings: &Probe, now: Instant) -> Option<Change> {
        match self.state {
            State::Unknown => {
                // Not a change worth a line: it got requests before and gets them now.
                self.state = State::Up;
                None
            }
            State::Up => {
                self.contrary_probes = 0;
                None
            }
            State::Trial => {
                // Nobody asks: then probes are all there is to know.
                self.contrary_probes = 0;
                self.quiet_probes = self.quiet_probes.saturating_add(1);
                (self.quiet_probes >= settings.rise).then(|| self.change(State::Up, now))
            }
            State::Down => {
                self.contrary_probes = self.contrary_probes.saturating_add(1);
                if self.is_ejected {
                    return self.tick(settings, now);
                }
                (self.contrary_probes >= settings.rise).then(|| self.change(State::Up, now))
            }
        }
    }

    /// A probe found it ill, or found nobody.
    pub fn probe_bad(&mut self, settings: &Probe, now: Instant) -> Option<Change> {
        match self.state {
            State::Unknown => Some(self.change(State::Down, now)),
            State::Up | State::Trial => {
                self.contrary_probes = self.contrary_probes.saturating_add(1);
                (self.contrary_probes >= settings.fall).then(|| self.change(State::Down, now))
            }
            State::Down => {
                self.contrary_probes = 0;
                None
            }
        }
    }

    /// An exchange failed by the backend's fault.
    ///
    /// `may_eject` is false for the last one up, and when enough of the pool is ejected already;
    /// one on trial goes up then. `n_requests` is how many exchanges the backend has had since
    /// whenever, with this one.
    pub fn exchange_failed(
        &mut self,
        settings: &Passive,
        now: Instant,
        fault: Fault,
        may_eject: bool,
        n_requests: u64,
    ) -> Option<Change> {
        self.fault = if self.state == State::Down {
            self.fault
        } else {
            fault
        };
        match self.state {
            State::Down => None,
            State::Trial if may_eject => Some(self.eject(settings, now)),
            State::Trial => Some(self.change(State::Up, now)),
            State::Unknown | State::Up => {
                let are_many = self.count_failure(settings, now);
                let is_rate_high = self.rate.count_failure(settings, now, n_requests);
                ((are_many || is_rate_high) && may_eject).then(|| self.eject(settings, now))
            }
        }
    }

    /// An exchange got an answer that is none of the failures.
    pub fn exchange_succeeded(&mut self, now: Instant) -> Option<Change> {
        self.failures = 0;
        (self.state == State::Trial).then(|| self.change(State::Up, now))
    }

    /// Time has passed: what is due changes. Needed at [`Health::next_tick`], and harmless before.
    pub fn tick(&mut self, settings: &Probe, now: Instant) -> Option<Change> {
        let is_due = self.next_tick(settings).is_some_and(|due| now >= due);
        let has_proof = self.fault == Fault::Connecting && settings.kind != ProbeKind::Off;
        let to = if has_proof { State::Up } else { State::Trial };
        is_due.then(|| self.change(to, now))
    }

    /// When something changes without any event; none if nothing does.
    ///
    /// That is the end of an ejection, if no probe speaks against it. Without probes it is also how
    /// a backend comes back that they took down before they were switched off.
    pub fn next_tick(&self, settings: &Probe) -> Option<Instant> {
        let is_off = settings.kind == ProbeKind::Off;
        let is_well = is_off || (self.is_ejected && self.contrary_probes >= settings.rise);
        let due = if self.is_ejected {
            self.held_until
        } else {
            self.since
        };
        (self.state == State::Down && is_well).then_some(due)
    }

    /// Counts a failure, and says whether it is one too many in a row.
    fn count_failure(&mut self, settings: &Passive, now: Instant) -> bool {
        if now.saturating_duration_since(self.first_failure) > settings.window {
            self.failures = 0;
        }
        if self.failures == 0 {
            self.first_failure = now;
        }
        self.failures = self.failures.saturating_add(1);
        settings.max_failures != 0 && self.failures >= settings.max_failures
    }

    fn eject(&mut self, settings: &Passive, now: Instant) -> Change {
        let was_well = self.is_up() && now.saturating_duration_since(self.since) > FORGOTTEN_AFTER;
        if was_well {
            self.n_ejections = 0;
        }
        let hold = settings
            .eject_time
            .saturating_mul(1 << self.n_ejections.min(16))
            .min(settings.max_eject_time)
            .min(LONGEST_EJECTION);
        self.n_ejections = self.n_ejections.saturating_add(1);
        self.held_until = now + hold;
        self.is_ejected = true;
        self.change(State::Down, now)
    }

    fn change(&mut self, to: State, now: Instant) -> Change {
        let change = Change {
            from: self.state,
            to,
            lasted: now.saturating_duration_since(self.since),
        };
        self.state = to;
        self.since = now;
        self.is_ejected &= to != State::Up;
        self.contrary_probes = 0;
        self.quiet_probes = 0;
        self.failures = 0;
        self.rate = Rate::new(now);
        change
    }
}

impl Rate {
    fn new(now: Instant) -> Rate {
        Rate {
            begun: now,
            n_failures: 0,
            n_before: 0,
        }
    }

    /// Counts a failure, and says whether they have become too great a share.
    fn count_failure(&mut self, settings: &Passive, now: Instant, n_requests: u64) -> bool {
        let Some(percent) = settings.failure_rate_percent else {
            return false;
        };
        let is_over = now.saturating_duration_since(self.begun) > settings.window;
        if self.n_failures == 0 || is_over {
            *self = Rate {
                begun: now,
                n_failures: 0,
                n_before: n_requests.saturating_sub(1),
            };
        }
        self.n_failures = self.n_failures.saturating_add(1);
        let n_failures = u64::from(self.n_failures);
        // Threads that count and report side by side may be late with either.
        let n = n_requests.saturating_sub(self.n_before).max(n_failures);
        let is_share_high = n_failures * 100 >= u64::from(percent).saturating_mul(n);
        n >= u64::from(settings.failure_rate_min) && is_share_high
    }
}

#[cfg(all(test, not(loom)))]
mod properties;
#[cfg(all(test, not(loom)))]
mod scene;
#[cfg(all(test, not(loom)))]
mod tests;
