//! The health thread's loop: probe who is due, report, wait; sooner where something is changing.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};

use crate::pool::balance;
use crate::pool::probe::{Found, Prober, Target};
use crate::pool::settings::ProbeKind;
use crate::pool::{Pool, Pools};
use crate::watch::{Doing, Lane, Pulse};

/// The longest that the thread does not look at who is due: pools change without telling it.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// The longest that probes in progress keep the thread from noticing that it shall end.
const PROBE_SLICE: Duration = Duration::from_millis(50);
/// The least time between two probes of a backend, however many exchanges fail.
const MIN_INTERVAL: Duration = Duration::from_millis(200);
/// How often idle connections are looked through for old ones.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// A probe comes earlier or later than its interval by up to so many thousandths of it, so that
/// balancers that were started together do not all look at the same moment.
const JITTER_PERMILLE: u64 = 100;

/// The body of the thread `health`.
///
/// A hint says that an exchange just failed: look now. Ends when all senders of hints are gone,
/// which the workers hold: the last one that returns ends this thread. Beats at each turn: no wait
/// is longer than `LOOK_INTERVAL`.
pub fn run(pools: &Pools, hints: &Receiver<()>, pulse: &Pulse, lane: &Lane) {
    let mut prober = Prober::new();
    let mut next_sweep = Instant::now();
    let mut shown = Doing::Idle;
    loop {
        pulse.beat();
        let now = Instant::now();
        let all = pools.all();
        let mut next = now + LOOK_INTERVAL;
        for pool in all.iter() {
            pool.tick(now);
            let (targets, next_due) = pool.due_probes(now, |id| prober.is_probing(id));
            for target in targets {
                prober.begin(target, now);
            }
            next = next.min(next_due.unwrap_or(next));
        }
        if now >= next_sweep {
            next_sweep = now + SWEEP_INTERVAL;
            for backend in all.iter().flat_map(|pool| pool.backends()) {
                backend.close_old_idle(now);
            }
        }
        let doing = if prober.is_empty() {
            Doing::Idle
        } else {
            Doing::Probing
        };
        if doing != shown {
            lane.set(doing, now);
            shown = doing;
        }
        if prober.is_empty() {
            match hints.recv_deadline(next) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        let mut found = Vec::new();
        let left = next.saturating_duration_since(Instant::now());
        prober.wait(left.min(PROBE_SLICE), |id, what| found.push((id, what)));
        for (id, what) in found {
            let now = Instant::now();
            // In none of them: it was removed meanwhile.
            let _ = all.iter().any(|pool| pool.probed(id, &what, now));
        }
        if hints.try_recv() == Err(TryRecvError::Disconnected) {
            return;
        }
    }
}

impl Pool {
    /// Whom to probe now, and when the next is due. They count as probed from now on.
    fn due_probes(
        &self,
        now: Instant,
        is_probing: impl Fn(u64) -> bool,
    ) -> (Vec<Target>, Option<Instant>) {
        let mut homeless = Vec::new();
        let mut next: Option<Instant> = None;
        let mut targets = Vec::new();
        {
            let mut roster = self.roster.write();
            let settings = roster.settings.clone();
            let probe = &settings.probe;
            if probe.kind == ProbeKind::Off {
                return (targets, next);
            }
            for member in &mut roster.members {
                let backend = &member.backend;
                let interval = if member.is_hinted {
                    MIN_INTERVAL
                } else if member.health.is_changing(now) {
                    probe.fast_interval.min(probe.interval)
                } else {
                    probe.interval
                };
                let permille = 1000 + jitter(backend.id, member.n_probes);
                let jittered = interval * u32::try_from(permille).unwrap_or(1000) / 1000;
                let due = member.probed_at.map_or(now, |at| at + jittered);
                if is_probing(backend.id) {
                    continue; // overdue or not, its probe comes first, and its end wakes us
                }
                if due > now {
                    next = Some(next.map_or(due, |next| next.min(due)));
                    continue;
                }
                member.probed_at = Some(now);
                member.is_hinted = false;
                member.n_probes += 1;
                match backend.address {
                    Some(address) => targets.push(Target {
                        key: backend.id,
                        address,
                        kind: probe.kind.clone(),
                        authority: backend.authority.clone(),
                        base: backend.url.base().to_owned(),
                        timeout: probe.timeout,
                    }),
                    None => homeless.push(backend.id),
                }
            }
        }
        for id in homeless {
            let found = Found::Bad("its name has no address yet".to_owned());
            let _ = self.probed(id, &found, now); // it is here, or was until just now
        }
        (targets, next)
    }
}

/// How far a probe is off its interval, in thousandths of it.
fn jitter(id: u64, n_probes: u64) -> i32 {
    let drawn = balance::scatter(id << 32 ^ n_probes) % (2 * JITTER_PERMILLE + 1);
    i32::try_from(drawn).unwrap_or(0) - i32::try_from(JITTER_PERMILLE).unwrap_or(0)
}
