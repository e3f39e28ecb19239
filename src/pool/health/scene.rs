//! One backend, its rules and its clock, for the tests.

use super::*;

pub const SECOND: Duration = Duration::from_secs(1);

/// The rules of one table.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub probe: Probe,
    pub passive: Passive,
}

/// A backend under these rules, and its clock.
pub struct Scene {
    rules: Rules,
    pub health: Health,
    pub now: Instant,
    n_requests: u64,
    pub n_changes: usize,
}

impl Scene {
    pub fn new(rules: Rules) -> Scene {
        let now = Instant::now();
        Scene {
            rules,
            health: Health::new(now),
            now,
            n_requests: 0,
            n_changes: 0,
        }
    }

    /// One letter an event: `+` good probe, `-` bad probe, `x` failed exchange, `l` the same when
    /// it must not be ejected, `c` one that could not connect, `o` good exchange, `t` tick, `.` ten
    /// seconds pass, `,` one passes.
    pub fn play(&mut self, events: &str) -> &mut Scene {
        for event in events.chars() {
            let change = self.event(event);
            self.n_changes += usize::from(change.is_some());
        }
        self
    }

    pub fn event(&mut self, event: char) -> Option<Change> {
        let (health, now) = (&mut self.health, self.now);
        let Rules { probe, passive } = &self.rules;
        match event {
            '+' => health.probe_good(probe, now),
            '-' => health.probe_bad(probe, now),
            'x' | 'l' | 'c' => {
                self.n_requests += 1;
                let fault = match event {
                    'c' => Fault::Connecting,
                    _ => Fault::Answering,
                };
                health.exchange_failed(passive, now, fault, event != 'l', self.n_requests)
            }
            'o' => {
                self.n_requests += 1;
                health.exchange_succeeded(now)
            }
            't' => health.tick(probe, now),
            '.' | ',' => {
                self.now += if event == '.' { 10 * SECOND } else { SECOND };
                None
            }
            _ => panic!("no event {event}"),
        }
    }
}
