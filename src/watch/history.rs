//! The last minutes, second by second: taken by the thread `sampler`, read by whoever looks.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use parking_lot::Mutex;

use crate::pool::{BackendReport, PoolReport};
use crate::watch::{Sums, Totals};

/// How often a sample is taken.
const STEP: Duration = Duration::from_secs(1);
/// Samples of the whole that are kept: five minutes.
const N_SAMPLES: usize = 300;
/// Samples of one backend that are kept.
const N_SPARKS: usize = 60;
/// Changes of state that are kept.
const N_EVENTS: usize = 50;
/// Seconds after which the times of a backend begin anew: percentiles are of the last one to two
/// of these.
const N_RECENT: u64 = 10;

/// One second of all requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// When it ended, s since 1970.
    pub unix_seconds: u64,
    /// Requests that ended in it.
    pub n: u64,
    /// Those that a backend, this program or a limit ended.
    pub n_errors: u64,
    /// How long the middle one took; none without any.
    pub p50_ms: Option<f64>,
    /// What one of a hundred exceeded.
    pub p99_ms: Option<f64>,
}

/// A change of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it was seen, ms since 1970.
    pub unix_ms: u64,
    /// What it was.
    pub text: String,
}

/// One backend's last minute.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BackendHistory {
    /// Its requests in each second, the oldest first.
    pub sparks: VecDeque<u64>,
    /// Its failures in each second.
    pub failures: VecDeque<u64>,
    /// The times at the beginning of the recent past, and at a later moment.
    past: [Sums; 2],
    n_before: u64,
    n_failures_before: u64,
}

impl BackendHistory {
    /// Of these seconds at most, requests and failures each second.
    pub fn rates(&self, seconds: usize) -> (f64, f64) {
        (mean(&self.sparks, seconds), mean(&self.failures, seconds))
    }

    /// The times of what has come recently.
    pub fn recent(&self, times: &Sums) -> Sums {
        times.since(&self.past[0])
    }
}

fn mean(numbers: &VecDeque<u64>, most: usize) -> f64 {
    let n = numbers.len().min(most);
    let sum: u64 = numbers.iter().rev().take(n).sum();
    // Exact below 2^32 in one second.
    f64::from(u32::try_from(sum).unwrap_or(u32::MAX))
        / f64::from(u32::try_from(n.max(1)).unwrap_or(1))
}

/// What of a backend is news when it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Standing {
    state: &'static str,
    mode: &'static str,
    forced: Option<&'static str>,
    /// Of one that is down; else it says nothing new.
    cause: Option<String>,
}

impl Standing {
    fn of(backend: &BackendReport) -> Standing {
        Standing {
            state: backend.state,
            mode: backend.mode,
            forced: backend.forced,
            cause: (backend.state == "down").then(|| backend.cause.clone()),
        }
    }

    /// In words. The mode only where it is news: most are enabled, and stay so.
    fn told(&self, mode_before: &str) -> String {
        let mut told = self.state.to_owned();
        if self.mode != mode_before {
            told = format!("{told}, {}", self.mode);
        }
        if let Some(forced) = self.forced {
            told = format!("{told}, forced {forced}");
        }
        if let Some(cause) = &self.cause {
            told = format!("{told}: {cause}");
        }
        told
    }
}

/// What is remembered.
#[derive(Debug, Default)]
pub struct Past {
    /// The whole, the oldest first.
    pub samples: VecDeque<Sample>,
    /// Each backend, by its id.
    pub backends: HashMap<u64, BackendHistory>,
    /// Changes, the newest first.
    pub events: VecDeque<Event>,
    before: Totals,
    /// Each backend as it was, with its label, which a further pool makes longer.
    states: HashMap<u64, (String, Standing)>,
    n_steps: u64,
}

/// The last minutes.
#[derive(Debug, Default)]
pub struct History {
    /// Protects all of it, which belongs together. Held by the sampler for one step, and by whoever
    /// looks to copy.
    past: Mutex<Past>,
}

impl History {
    /// Looks at what is remembered.
    pub fn look<T>(&self, look: impl FnOnce(&Past) -> T) -> T {
        look(&self.past.lock())
    }

    /// Takes one sample.
    pub fn take(&self, totals: Totals, pools: &[PoolReport], now: SystemTime) {
        self.past.lock().step(totals, pools, now);
    }
}

/// The body of the thread `sampler`: takes a sample each second, until `stop` is disconnected.
pub fn run_sampler(
    history: &History,
    stop: &Receiver<()>,
    look: impl Fn(Instant) -> (Totals, Vec<PoolReport>),
) {
    let mut next = Instant::now();
    loop {
        let (totals, pools) = look(Instant::now());
        history.take(totals, &pools, SystemTime::now());
        next = (next + STEP).max(Instant::now());
        match stop.recv_deadline(next) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

impl Past {
    fn step(&mut self, totals: Totals, pools: &[PoolReport], now: SystemTime) {
        let unix_ms = unix_ms(now);
        if self.n_steps > 0 {
            let times = totals.whole.since(&self.before.whole);
            let n_errors = totals.n_errors() - self.before.n_errors();
            let sample = Sample {
                unix_seconds: unix_ms / 1_000,
                n: times.n(),
                n_errors,
                p50_ms: times.percentile_ms(50),
                p99_ms: times.percentile_ms(99),
            };
            push(&mut self.samples, sample, N_SAMPLES);
        }
        self.before = totals;
        let several = pools.len() > 1;
        let mut states = HashMap::new();
        for pool in pools {
            for backend in &pool.backends {
                self.step_backend(backend);
                let label = if several {
                    format!("{}/{}", pool.name, backend.name)
                } else {
                    backend.name.clone()
                };
                states.insert(backend.id, (label, Standing::of(backend)));
            }
        }
        self.backends.retain(|id, _| states.contains_key(id));
        self.note_changes(&states, unix_ms);
        self.states = states;
        self.n_steps += 1;
    }

    fn step_backend(&mut self, backend: &BackendReport) {
        let begins_anew = self.n_steps.is_multiple_of(N_RECENT);
        let known = self.backends.entry(backend.id).or_default();
        let n = backend.n_requests - known.n_before;
        let n_failures = backend.n_failures - known.n_failures_before;
        known.n_before = backend.n_requests;
        known.n_failures_before = backend.n_failures;
        push(&mut known.sparks, n, N_SPARKS);
        push(&mut known.failures, n_failures, N_SPARKS);
        if begins_anew {
            known.past.swap(0, 1);
            known.past[1] = backend.times.clone();
        }
    }

    /// A restart would tell of all backends at once: what was there at the first look is no news.
    fn note_changes(&mut self, states: &HashMap<u64, (String, Standing)>, unix_ms: u64) {
        if self.n_steps == 0 {
            return;
        }
        let mut texts = Vec::new();
        for (id, (label, now)) in states {
            match self.states.get(id) {
                None => texts.push(format!("backend {label} is added: {}", now.told("enabled"))),
                Some((_, before)) if before != now => {
                    texts.push(format!("backend {label} is {}", now.told(before.mode)));
                }
                Some(_) => {}
            }
        }
        let gone = self
            .states
            .iter()
            .filter(|(id, _)| !states.contains_key(id));
        texts.extend(gone.map(|(_, (label, _))| format!("backend {label} is removed")));
        texts.sort_unstable();
        for text in texts {
            self.events.truncate(N_EVENTS - 1);
            self.events.push_front(Event { unix_ms, text });
        }
    }
}

/// Milliseconds since 1970.
pub fn unix_ms(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn push<T>(queue: &mut VecDeque<T>, item: T, most: usize) {
    while queue.len() >= most {
        queue.pop_front();
    }
    queue.push_back(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(state: &'static str, mode: &'static str, forced: Option<&'static str>) -> Standing {
        let cause = (state == "down").then(|| "connect: refused".to_owned());
        Standing {
            state,
            mode,
            forced,
            cause,
        }
    }

    #[test]
    fn a_change_tells_the_mode_only_if_that_has_changed() {
        let mut past = Past {
            n_steps: 1,
            ..Past::default()
        };
        let steps = [
            (state("up", "enabled", None), "added: up"),
            (state("down", "enabled", None), "down: connect: refused"),
            (
                state("down", "drained", None),
                "down, drained: connect: refused",
            ),
            (state("up", "drained", None), "up"),
            (state("up", "enabled", None), "up, enabled"),
            (
                state("down", "enabled", Some("down")),
                "down, forced down: connect: refused",
            ),
        ];
        for (now, told) in steps {
            let states = HashMap::from([(7, ("web1".to_owned(), now))]);
            past.note_changes(&states, 1);
            past.states = states.clone();
            past.note_changes(&states, 2); // nothing has changed
            assert_eq!(past.events[0].text, format!("backend web1 is {told}"));
        }
        past.note_changes(&HashMap::new(), 3);
        assert_eq!(past.events[0].text, "backend web1 is removed");
        assert_eq!(past.events.len(), 7);
        let drained = HashMap::from([(8, ("web1".to_owned(), state("unknown", "drained", None)))]);
        past.note_changes(&drained, 4);
        let text = "backend web1 is added: unknown, drained";
        assert!(past.events.iter().any(|event| event.text == text));
    }
}
