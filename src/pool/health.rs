//! The health of one backend: a state, and when what happens to it changes the state.
//!
//! Pure: it is told the time, owns no lock and starts nothing. Two sources feed it, the dials of
//! the health thread (active) and the exchanges of the workers (passive).

use std::time::{Duration, Instant};

/// Bad dials in a row that take an up backend down (`HAProxy`'s `fall`).
pub const FALL: u32 = 3;
/// Good dials in a row that bring a down backend up (`HAProxy`'s `rise`).
pub const RISE: u32 = 2;
/// Failed exchanges, with none that succeeded between them, that take a backend down.
pub const MAX_FAILURES: u32 = 3;
/// The window in which they must fall (nginx's `fail_timeout`).
pub const FAILURE_WINDOW: Duration = Duration::from_secs(10);
/// How long a backend that exchanges took down stays so at least, doubled each time …
const FIRST_HOLD: Duration = Duration::from_secs(2);
/// … up to this.
const MAX_HOLD: Duration = Duration::from_secs(60);
/// Being up this long makes the next hold the first one again.
const HOLD_FORGOTTEN_AFTER: Duration = Duration::from_secs(300);
/// How long after going down a backend counts as [changing](Health::is_changing).
const FRESH: Duration = Duration::from_secs(10);

/// Whether requests go to a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not dialed yet. Gets requests: a balancer that starts must not refuse what would work.
    Unknown,
    /// Gets requests.
    Up,
    /// Gets none, until good dials bring it back.
    Down,
}

/// A change of state, to be logged once by whoever caused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
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
    /// Dials in a row that speak against `state`.
    contrary_dials: u32,
    failures: u32,
    first_failure: Instant,
    /// Times in a row that exchanges took it down.
    n_ejections: u32,
    held_until: Instant,
}

impl Health {
    /// A backend nobody has dialed yet.
    pub fn new(now: Instant) -> Health {
        Health {
            state: State::Unknown,
            since: now,
            contrary_dials: 0,
            failures: 0,
            first_failure: now,
            n_ejections: 0,
            held_until: now,
        }
    }

    /// Whether requests go there.
    pub fn is_up(&self) -> bool {
        self.state != State::Down
    }

    /// The state now.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether the next dials should follow quickly: the state may change, or just did.
    pub fn is_changing(&self, now: Instant) -> bool {
        let is_fresh = now.saturating_duration_since(self.since) < FRESH;
        self.contrary_dials > 0 || (self.state == State::Down && is_fresh)
    }

    /// A dial connected.
    pub fn dial_succeeded(&mut self, now: Instant) -> Option<Change> {
        match self.state {
            State::Unknown => {
                // Not a change worth a line: it got requests before and gets them now.
                self.state = State::Up;
                None
            }
            State::Up => {
                self.contrary_dials = 0;
                None
            }
            State::Down => {
                self.contrary_dials = (self.contrary_dials + 1).min(RISE);
                let is_good = self.contrary_dials == RISE && now >= self.held_until;
                is_good.then(|| self.change(State::Up, now))
            }
        }
    }

    /// A dial was refused, found no way, or timed out.
    pub fn dial_failed(&mut self, now: Instant) -> Option<Change> {
        match self.state {
            State::Unknown => Some(self.change(State::Down, now)),
            State::Up => {
                self.contrary_dials += 1;
                (self.contrary_dials >= FALL).then(|| self.change(State::Down, now))
            }
            State::Down => {
                self.contrary_dials = 0;
                None
            }
        }
    }

    /// An exchange failed by the backend's fault. `may_eject` is false for the last one up.
    pub fn exchange_failed(&mut self, now: Instant, may_eject: bool) -> Option<Change> {
        if self.state == State::Down {
            return None;
        }
        if now.saturating_duration_since(self.first_failure) > FAILURE_WINDOW {
            self.failures = 0;
        }
        if self.failures == 0 {
            self.first_failure = now;
        }
        self.failures += 1;
        if self.failures < MAX_FAILURES || !may_eject {
            return None;
        }
        if now.saturating_duration_since(self.since) > HOLD_FORGOTTEN_AFTER {
            self.n_ejections = 0;
        }
        let hold = FIRST_HOLD
            .saturating_mul(1 << self.n_ejections.min(16))
            .min(MAX_HOLD);
        self.n_ejections += 1;
        self.held_until = now + hold;
        Some(self.change(State::Down, now))
    }

    /// An exchange got an answer, whatever its status.
    pub fn exchange_succeeded(&mut self) {
        self.failures = 0;
    }

    fn change(&mut self, to: State, now: Instant) -> Change {
        let lasted = now.saturating_duration_since(self.since);
        self.state = to;
        self.since = now;
        self.contrary_dials = 0;
        self.failures = 0;
        Change { to, lasted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// One word an event: `+` good dial, `-` bad dial, `x` failed exchange, `l` the same for the
    /// last one up, `o` good exchange, `.` ten seconds pass, `,` one second passes.
    fn play(events: &str) -> (Health, usize) {
        let mut now = Instant::now();
        let mut health = Health::new(now);
        let mut n_changes = 0;
        for event in events.chars() {
            let change = match event {
                '+' => health.dial_succeeded(now),
                '-' => health.dial_failed(now),
                'x' => health.exchange_failed(now, true),
                'l' => health.exchange_failed(now, false),
                'o' => {
                    health.exchange_succeeded();
                    None
                }
                '.' | ',' => {
                    now += if event == '.' { 10 * SECOND } else { SECOND };
                    None
                }
                _ => panic!("no event {event}"),
            };
            n_changes += usize::from(change.is_some());
        }
        (health, n_changes)
    }

    #[test]
    fn events_lead_to_the_right_state() {
        use State::{Down, Unknown, Up};
        let cases = [
            ("", Unknown, 0),
            ("+", Up, 0),
            ("-", Down, 1),
            // fall 3, and a good dial between starts the count again
            ("+--", Up, 0),
            ("+---", Down, 1),
            ("+--+--", Up, 0),
            ("+--+---", Down, 1),
            // rise 2, and a bad dial between starts the count again
            ("-+", Down, 1),
            ("-++", Up, 2),
            ("-+-+", Down, 1),
            ("-+-++", Up, 2),
            // three failures in the window, none good between
            ("+xx", Up, 0),
            ("+xxx", Down, 1),
            ("+xxox", Up, 0),
            ("+xx.,x", Up, 0),
            ("+xx.x", Down, 1),
            ("xxx", Down, 1),
            ("+xxxxxxx", Down, 1),
            // the last one up is never ejected by exchanges, but dials may
            ("+llllll", Up, 0),
            ("+llllll---", Down, 1),
            ("+llx", Down, 1),
            // ejected: held for two seconds, then four
            ("+xxx++", Down, 1),
            ("+xxx++,+", Down, 1),
            ("+xxx++,,+", Up, 2),
            ("+xxx++,,+xxx++,,+", Down, 3),
            ("+xxx++,,+xxx++,,,,+", Up, 4),
        ];
        for (events, state, n_changes) in cases {
            let (health, seen) = play(events);
            assert_eq!((health.state(), seen), (state, n_changes), "{events:?}");
        }
    }

    #[test]
    fn a_hold_has_a_cap_and_is_forgotten_after_good_times() {
        let again = "xxx".to_owned() + &",".repeat(60) + "++";
        assert_eq!(
            play(&("+".to_owned() + &again.repeat(20))).0.state(),
            State::Up
        );
        let forgotten = "+".to_owned() + &again.repeat(8) + &".".repeat(31) + "xxx,,++";
        assert_eq!(play(&forgotten).0.state(), State::Up);
    }

    #[test]
    fn a_change_tells_how_long_the_state_before_lasted() {
        let start = Instant::now();
        let mut health = Health::new(start);
        health.dial_succeeded(start);
        for _ in 1..FALL {
            assert_eq!(health.dial_failed(start + 9 * SECOND), None);
        }
        let change = health.dial_failed(start + 9 * SECOND);
        assert_eq!(
            change,
            Some(Change {
                to: State::Down,
                lasted: 9 * SECOND
            })
        );
    }

    #[test]
    fn rounds_are_quick_only_around_a_change() {
        let cases = [
            ("+", false),
            ("+-", true),
            ("+-+", false),
            ("-", true),
            ("-.", false),
        ];
        for (events, wanted) in cases {
            let n_tens = events.matches('.').count();
            let (health, _) = play(events);
            let now = health.since + 10 * SECOND * u32::try_from(n_tens).expect("few");
            assert_eq!(health.is_changing(now), wanted, "{events:?}");
        }
    }
}
