//! What happened to a backend: told by workers and probes, made a state, logged once.

use std::sync::Arc;
use std::time::Instant;

use log::{info, warn};

use crate::pool::health::{Change, Fault, Health, State};
use crate::pool::probe::Found;
use crate::pool::roster::{Member, Roster};
use crate::pool::settings::{PoolSettings, ProbeKind};
use crate::pool::{Backend, Pool};

/// A change of state, and what there is to say about it.
struct News {
    backend: Arc<Backend>,
    change: Change,
    cause: String,
    n_open: usize,
    n: usize,
}

/// What a probe has changed.
#[derive(Default)]
struct Probed {
    news: Option<News>,
    /// Who began or ended to drain itself.
    self_drain: Option<Arc<Backend>>,
    /// Who is replaced by it.
    gone: Vec<Member>,
    /// It was the last hope of those that came with a reload.
    are_all_bad: bool,
}

impl Pool {
    /// Reports an exchange that failed by the backend's fault.
    pub fn exchange_failed(&self, backend: &Backend, fault: Fault, cause: &str, now: Instant) {
        backend.note_failure();
        let (id, n_requests) = (backend.id, backend.n_requests());
        let news = {
            let mut roster = self.roster.write();
            if let Some(member) = roster.member_mut(id) {
                member.is_hinted = true;
            }
            tell_member(
                &mut roster,
                id,
                cause,
                now,
                |health, settings, may_eject| {
                    health.exchange_failed(&settings.passive, now, fault, may_eject, n_requests)
                },
            )
        };
        self.publish(news);
    }

    /// Reports an exchange that got an answer.
    pub fn exchange_succeeded(&self, backend: &Backend) {
        if backend.is_news() {
            let now = Instant::now();
            self.tell(backend.id, "it answers", now, |health, _, _| {
                health.exchange_succeeded(now)
            });
        }
    }

    /// Reports what a probe of the health thread found. False: no such backend is here.
    pub fn probed(&self, id: u64, found: &Found, now: Instant) -> bool {
        let probed = {
            let mut roster = self.roster.write();
            note_probe(&mut roster, id, found, now)
        };
        let Some(Probed {
            news,
            self_drain,
            gone,
            are_all_bad,
        }) = probed
        else {
            return false;
        };
        let is_quiet = news.is_none() && self_drain.is_none() && gone.is_empty();
        if let Some(backend) = self_drain {
            self.settle_idle(&backend);
            let label = &backend.label;
            if *found == Found::Draining {
                info!("backend {label} drains itself: it gets no new requests");
            } else {
                info!("backend {label} does not drain itself any more");
            }
        }
        if let Some(news) = news {
            announce(&news);
        }
        for member in gone {
            member.backend.set_keeps_idle(false);
            info!("backend {} is gone: it is replaced", member.backend.label);
        }
        if are_all_bad {
            let name = &self.name;
            warn!("pool {name}: none of its new backends answers; the old ones stay");
        }
        if !is_quiet {
            self.traffic.ring_all();
        }
        true
    }

    /// What the passing of time does: who was ejected may be tried again, who warmed up is warm.
    pub(super) fn tick(&self, now: Instant) {
        let ids: Vec<u64> = {
            let mut roster = self.roster.write();
            roster.end_warming(now);
            let settings = roster.settings.clone();
            let is_due = |health: &Health| {
                health
                    .next_tick(&settings.probe)
                    .is_some_and(|at| now >= at)
            };
            let due = roster.members.iter().filter(|m| is_due(&m.health));
            due.map(|member| member.backend.id).collect()
        };
        for id in ids {
            self.tell(id, "its time out is over", now, |health, settings, _| {
                health.tick(&settings.probe, now)
            });
        }
    }

    /// Tells the health of one backend what happened, keeps the lists of who may be picked in step,
    /// and logs the change, if it was one.
    fn tell(
        &self,
        id: u64,
        cause: &str,
        now: Instant,
        tell: impl FnOnce(&mut Health, &PoolSettings, bool) -> Option<Change>,
    ) {
        let news = {
            let mut roster = self.roster.write();
            tell_member(&mut roster, id, cause, now, tell)
        };
        self.publish(news);
    }

    /// Lets everybody know who is concerned.
    fn publish(&self, news: Option<News>) {
        if let Some(news) = news {
            announce(&news);
            self.traffic.ring_all();
        }
    }
}

/// What a probe found, put down. None: the backend is not here.
fn note_probe(roster: &mut Roster, id: u64, found: &Found, now: Instant) -> Option<Probed> {
    let settings = roster.settings.clone();
    let member = roster.member_mut(id)?;
    let drains = match found {
        Found::Good => false,
        Found::Draining => true,
        // Who drains itself and then ends gets no request while that is found out either.
        Found::Bad(_) => member.drains.by_itself,
    };
    let is_asked = member.backend.is_in_trial();
    let mut probed = Probed::default();
    if member.drains.by_itself != drains {
        member.drains.by_itself = drains;
        member.warm_since = Some(now).filter(|_| !drains);
        probed.self_drain = Some(Arc::clone(&member.backend));
        roster.arrange();
    }
    probed.news = match found {
        Found::Bad(cause) => tell_member(roster, id, cause, now, |health, settings, _| {
            health.probe_bad(&settings.probe, now)
        }),
        Found::Good | Found::Draining => {
            let cause = match settings.probe.kind {
                ProbeKind::Http(_) => "its health check is good",
                ProbeKind::Tcp | ProbeKind::Off => "it takes connections",
            };
            tell_member(roster, id, cause, now, |health, settings, _| {
                let is_decided_by_request = is_asked && health.state() == State::Trial;
                if is_decided_by_request {
                    return None;
                }
                health.probe_good(&settings.probe, now)
            })
        }
    };
    match found {
        Found::Good => probed.gone = roster.retire_the_replaced(id),
        Found::Draining => {}
        Found::Bad(_) => probed.are_all_bad = roster.is_last_hope(id),
    }
    Some(probed)
}

fn tell_member(
    roster: &mut Roster,
    id: u64,
    cause: &str,
    now: Instant,
    tell: impl FnOnce(&mut Health, &PoolSettings, bool) -> Option<Change>,
) -> Option<News> {
    let may_eject = roster.may_eject(id);
    let settings = roster.settings.clone();
    let member = roster.member_mut(id)?;
    let was = member.health.state();
    let change = tell(&mut member.health, &settings, may_eject);
    let is = member.health.state();
    // Not worth a line at the start, but for one that came later.
    let change = change.or_else(|| {
        (was != is && member.is_late).then(|| Change {
            from: was,
            to: is,
            lasted: now.saturating_duration_since(member.health.since()),
        })
    });
    if was == is && change.is_none() {
        return None;
    }
    cause.clone_into(&mut member.cause);
    if is == State::Trial {
        // Its next success is what it is on trial for.
        member.backend.want_news();
    }
    // Not at the start: then all are cold, and there is nobody else.
    if is == State::Up && (was != State::Unknown || member.is_late) {
        member.warm_since = Some(now);
    }
    let backend = Arc::clone(&member.backend);
    roster.arrange();
    let change = change?;
    Some(News {
        backend,
        change,
        cause: cause.to_owned(),
        n_open: roster.n_open(),
        n: roster.members.len(),
    })
}

/// Logs a change, once, by the thread that caused it.
fn announce(news: &News) {
    let News {
        backend,
        change,
        cause,
        n_open,
        n,
    } = news;
    let label = &backend.label;
    let lasted = format!("{:.1}s", change.lasted.as_secs_f64());
    match change.to {
        State::Down => {
            backend.close_idle();
            let was = match change.from {
                State::Trial => "on trial",
                // Before its first probe, or before its name was found.
                State::Unknown => "unknown",
                _ => "up",
            };
            warn!("backend {label} is down: {cause} (was {was} for {lasted}); {n_open} of {n} up");
        }
        State::Trial => info!(
            "backend {label} is on trial: {cause} (was down for {lasted}); {n_open} of {n} up"
        ),
        State::Up | State::Unknown => {
            let was = match change.from {
                State::Trial => "on trial",
                State::Unknown => "unknown",
                _ => "down",
            };
            info!("backend {label} is up: {cause} (was {was} for {lasted}); {n_open} of {n} up");
        }
    }
}
