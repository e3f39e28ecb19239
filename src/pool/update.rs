//! A pool after a reload: the same pool, with other settings and other backends.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use log::info;

use crate::pool::roster::{Member, Roster};
use crate::pool::settings::{BackendSpec, Policy, PoolSpec, ProbeKind};
use crate::pool::sticky::StickyKey;
use crate::pool::{Backend, BackendUrl, Pool};

/// The addresses of a backend: one without an address if its name has none yet. Looked up before,
/// so that nobody waits for it here.
pub type LookUp<'a> = dyn Fn(&BackendUrl) -> Vec<Option<SocketAddr>> + 'a;

/// What a reload made of a pool's backends.
struct Moved {
    lines: Vec<String>,
    gone: Vec<Arc<Backend>>,
    /// Those that are to go and stay for now, since this reload.
    n_retiring: usize,
}

impl Pool {
    /// Takes these settings and backends from now on. Returns what changed about the backends, a
    /// line for each. Backends that are the same keep everything: counts, health, connections,
    /// and what was set at run time.
    ///
    /// If none of those who get requests stays, those who are to go stay too, until a probe has
    /// found one of the new ones well.
    pub fn update(&self, spec: &PoolSpec, look_up: &LookUp, now: Instant) -> Vec<String> {
        let (freed, moved) = {
            let mut roster = self.roster.write();
            self.take_settings(&mut roster, spec);
            let freed = end_self_drains(&mut roster);
            let moved = self.take_backends(&mut roster, spec, look_up, now);
            roster.arrange();
            (freed, moved)
        };
        let Moved {
            lines,
            gone,
            n_retiring,
        } = moved;
        for backend in freed {
            backend.set_keeps_idle(true);
        }
        for backend in gone {
            backend.set_keeps_idle(false);
        }
        if n_retiring > 0 {
            let name = &self.name;
            info!("pool {name}: none of its backends serves yet; {n_retiring} before them stay");
        }
        self.traffic.ring_all();
        lines
    }

    /// It gets no new requests, as no route leads here any more: nothing is kept for them.
    pub fn close_down(&self) {
        for backend in self.backends() {
            backend.set_keeps_idle(false);
        }
    }

    fn take_settings(&self, roster: &mut Roster, spec: &PoolSpec) {
        let secret = |sticky: &Option<crate::pool::Sticky>| {
            sticky.as_ref().map(|sticky| sticky.secret.clone())
        };
        let keeps_key = secret(&roster.settings.sticky) == secret(&spec.settings.sticky);
        if *roster.settings != spec.settings {
            roster.settings = Arc::new(spec.settings.clone());
        }
        if !keeps_key {
            roster.sticky = StickyKey::of(&spec.settings);
            let key = roster.sticky.clone();
            for member in &mut roster.members {
                let token = |key: &StickyKey| key.token(&self.name, &member.backend.name);
                member.token = key.as_ref().map_or(0, token);
            }
        }
    }

    fn take_backends(
        &self,
        roster: &mut Roster,
        spec: &PoolSpec,
        look_up: &LookUp,
        now: Instant,
    ) -> Moved {
        let mut before = std::mem::take(&mut roster.members);
        let mut lines = Vec::new();
        let settings = Arc::clone(&roster.settings);
        let mut is_served = false;
        for wanted in &spec.backends {
            let is_it = |m: &mut Member| m.spec.name == wanted.name && m.spec.url == wanted.url;
            let mut kept: Vec<Member> = before.extract_if(.., is_it).collect();
            if kept.is_empty() {
                lines.push(line_of_new(wanted));
                let addresses = look_up(&wanted.url);
                self.join(roster, &Arc::new(wanted.clone()), &addresses, now);
                continue;
            }
            let changes = changes(&kept[0].spec, wanted);
            if kept[0].is_retiring {
                // The configuration before did not have it.
                lines.push(line_of_new(wanted));
            } else if !changes.is_empty() {
                lines.push(format!("~ {}{changes}", wanted.name));
            }
            let wanted = Arc::new(wanted.clone());
            for member in &mut kept {
                // What was set at run time stays where weights count, unless the file has another.
                let is_weighted = settings.policy != Policy::RoundRobin;
                if member.spec.weight != wanted.weight || !is_weighted {
                    member.weight = wanted.weight;
                }
                member.spec = Arc::clone(&wanted);
                member.is_retiring = false;
                is_served |= member.is_serving(&settings);
            }
            roster.members.append(&mut kept);
        }
        for member in &before {
            let name = &member.spec.name;
            let line = format!("- {name}");
            if !member.is_retiring && !lines.contains(&line) {
                lines.push(line);
            }
        }
        let is_probed = settings.probe.kind != ProbeKind::Off;
        let mut gone = Vec::new();
        let mut n_retiring = 0;
        let has_new = !roster.members.is_empty();
        for mut member in before {
            if !is_served && has_new && is_probed && member.is_open() {
                n_retiring += usize::from(!member.is_retiring);
                member.is_retiring = true;
                roster.members.push(member);
            } else {
                gone.push(member.backend);
            }
        }
        Moved {
            lines,
            gone,
            n_retiring,
        }
    }
}

/// Where nobody asks any more how it is, a backend that drains itself could never say that it wants
/// requests again. Returns those whom nobody else drains.
fn end_self_drains(roster: &mut Roster) -> Vec<Arc<Backend>> {
    let mut freed = Vec::new();
    if roster.settings.probe.kind == ProbeKind::Off {
        for member in &mut roster.members {
            let drained_itself = std::mem::replace(&mut member.drains.by_itself, false);
            if drained_itself && !member.drains.any() {
                freed.push(Arc::clone(&member.backend));
            }
        }
    }
    freed
}

fn line_of_new(spec: &BackendSpec) -> String {
    let mut line = format!("+ {}", spec.name);
    let mut add = |text: String| line.push_str(&text);
    if spec.name != spec.url.to_string() {
        add(format!(" url=http://{}", spec.url));
    }
    if spec.weight != 1 {
        add(format!(" weight={}", spec.weight));
    }
    if spec.is_backup {
        add(" backup".to_owned());
    }
    if let Some(n) = spec.max_connections {
        add(format!(" max_connections={n}"));
    }
    if let Some(over) = spec.slow_start {
        add(format!(" slow_start={over:?}"));
    }
    line
}

/// ` weight 1→3`: what differs, apart from name and URL.
fn changes(from: &BackendSpec, to: &BackendSpec) -> String {
    let mut text = String::new();
    let mut compare = |name: &str, from: String, to: String| {
        if from != to {
            write!(text, " {name} {from}→{to}").expect("a String takes any text");
        }
    };
    let or_none = |n: Option<usize>| n.map_or("none".to_owned(), |n| n.to_string());
    let or_pools =
        |over: Option<std::time::Duration>| over.map_or("pool's".to_owned(), |d| format!("{d:?}"));
    compare("weight", from.weight.to_string(), to.weight.to_string());
    compare(
        "backup",
        from.is_backup.to_string(),
        to.is_backup.to_string(),
    );
    compare(
        "max_connections",
        or_none(from.max_connections),
        or_none(to.max_connections),
    );
    compare(
        "slow_start",
        or_pools(from.slow_start),
        or_pools(to.slow_start),
    );
    text
}

#[cfg(all(test, not(loom)))]
mod tests;
