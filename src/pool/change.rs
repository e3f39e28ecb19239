//! What an operator changes about a pool while it works; no request is lost over it.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use log::{info, warn};
use serde::{Deserialize, Serialize};

use crate::pool::roster::{Member, Roster};
use crate::pool::settings::{BackendSpec, Policy};
use crate::pool::{Backend, Pool};
use crate::system;

/// Members of a pool at most: what a pick may have to look at.
const MAX_MEMBERS: usize = 4096;

/// A state that a backend has because an operator says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Forced {
    /// It gets requests whatever probes and exchanges say.
    Up,
    /// It gets none.
    Down,
}

impl Forced {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Forced::Up => "up",
            Forced::Down => "down",
        }
    }
}

/// Why a change was not made. The text is a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeError {
    /// There is no such backend.
    Unknown(String),
    /// It contradicts what is there.
    Conflict(String),
    /// It makes no sense.
    Invalid(String),
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangeError::Unknown(text)
            | ChangeError::Conflict(text)
            | ChangeError::Invalid(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for ChangeError {}

impl Pool {
    /// Adds a backend. False: it is there already, as it is described. It gets requests once a
    /// probe has found it well, or at once while nobody else is up.
    ///
    /// Looks its name up, if it has one, which blocks as long as the system's resolver does.
    pub fn add(&self, spec: BackendSpec, now: Instant) -> Result<bool, ChangeError> {
        let addresses = match spec.url.look_up() {
            Ok(addresses) => addresses.into_iter().map(Some).collect(),
            Err(error) => {
                let (name, error) = (&spec.name, system::plain(&error));
                warn!("backend {name}: look-up: {error}; it is tried again");
                vec![None]
            }
        };
        let (labels, n) = {
            let mut roster = self.roster.write();
            if !may_add(&roster, &spec)? {
                return Ok(false);
            }
            let labels = self.join(&mut roster, &Arc::new(spec), &addresses, now);
            roster.arrange();
            (labels, roster.members.len())
        };
        info!("backend {} is added; {n} in the pool", labels.join(", "));
        self.traffic.ring_all();
        Ok(true)
    }

    /// Puts members for these addresses on the roster, as late ones. Returns their labels.
    pub(super) fn join(
        &self,
        roster: &mut Roster,
        spec: &Arc<BackendSpec>,
        addresses: &[Option<SocketAddr>],
        now: Instant,
    ) -> Vec<String> {
        let mut labels = Vec::new();
        for &address in addresses {
            let mut member = self.member(roster, spec, address, now);
            member.is_late = true;
            labels.push(member.backend.label.clone());
            roster.members.push(member);
        }
        labels
    }

    /// Lets a backend get no new requests; what it has goes on. False: it was so already.
    pub fn drain(&self, name: &str, _: Instant) -> Result<bool, ChangeError> {
        let changed = self.change_all(name, |member| {
            !std::mem::replace(&mut member.drains.by_operator, true)
        })?;
        for backend in &changed {
            self.settle_idle(backend);
            let (label, n) = (&backend.label, backend.n_in_flight());
            info!("backend {label} is drained by an operator; {n} in flight");
        }
        Ok(!changed.is_empty())
    }

    /// Lets a drained backend get requests again. False: it was so already.
    pub fn enable(&self, name: &str, now: Instant) -> Result<bool, ChangeError> {
        let changed = self.change_all(name, |member| {
            let was_drained = std::mem::replace(&mut member.drains.by_operator, false);
            if was_drained {
                member.warm_since = Some(now);
            }
            was_drained
        })?;
        for backend in &changed {
            self.settle_idle(backend);
            info!("backend {} is enabled by an operator", backend.label);
        }
        Ok(!changed.is_empty())
    }

    /// Drains the backends that these names mean, and no others, for the drain directory.
    pub fn drain_by_files(&self, names: &BTreeSet<String>, now: Instant) {
        let changed: Vec<_> = {
            let mut roster = self.roster.write();
            let mut changed = Vec::new();
            for member in &mut roster.members {
                let is_meant =
                    names.contains(&member.spec.name) || names.contains(&member.backend.name);
                if std::mem::replace(&mut member.drains.by_file, is_meant) != is_meant {
                    member.warm_since = Some(now).filter(|_| !is_meant);
                    changed.push((Arc::clone(&member.backend), is_meant));
                }
            }
            if !changed.is_empty() {
                roster.arrange();
            }
            changed
        };
        for (backend, is_meant) in &changed {
            self.settle_idle(backend);
            let what = if *is_meant { "drained" } else { "enabled" };
            info!("backend {} is {what} by the drain directory", backend.label);
        }
        if !changed.is_empty() {
            self.traffic.ring_all();
        }
    }

    /// Takes a backend out. What it has goes on. False: it is not there.
    pub fn remove(&self, name: &str, _: Instant) -> Result<bool, ChangeError> {
        let (gone, n) = {
            let mut roster = self.roster.write();
            let is_meant = |m: &mut Member| m.spec.name == name || m.backend.name == name;
            let gone: Vec<Member> = roster.members.extract_if(.., is_meant).collect();
            roster.arrange();
            (gone, roster.members.len())
        };
        for member in &gone {
            let backend = &member.backend;
            backend.set_keeps_idle(false);
            let n_in_flight = backend.n_in_flight();
            let label = &backend.label;
            info!("backend {label} is removed; {n_in_flight} in flight; {n} left in the pool");
        }
        self.traffic.ring_all();
        Ok(!gone.is_empty())
    }

    /// Gives a backend another weight. False: it has it already.
    pub fn weigh(&self, name: &str, weight: u32, _: Instant) -> Result<bool, ChangeError> {
        if !(1..=BackendSpec::MAX_WEIGHT).contains(&weight) {
            let max = BackendSpec::MAX_WEIGHT;
            let text = format!("weight {weight}: want a whole number from 1 to {max}");
            return Err(ChangeError::Invalid(text));
        }
        if weight != 1 && self.settings().policy == Policy::RoundRobin {
            let text = format!("round-robin knows no weights; pool {} has it", self.name);
            return Err(ChangeError::Conflict(text));
        }
        let changed = self.change_all(name, |member| {
            std::mem::replace(&mut member.weight, weight) != weight
        })?;
        for backend in &changed {
            info!("backend {} has weight {weight} now", backend.label);
        }
        Ok(!changed.is_empty())
    }

    /// Makes a backend up or down whatever probes say, or lets them say again. False: it is so.
    pub fn force(
        &self,
        name: &str,
        forced: Option<Forced>,
        _: Instant,
    ) -> Result<bool, ChangeError> {
        let changed = self.change_all(name, |member| {
            std::mem::replace(&mut member.forced, forced) != forced
        })?;
        for backend in &changed {
            match forced {
                Some(state) => info!("backend {} is forced {}", backend.label, state.name()),
                None => info!("backend {} is as its probes say again", backend.label),
            }
            if forced == Some(Forced::Down) {
                backend.close_idle();
            }
        }
        Ok(!changed.is_empty())
    }

    /// Waits until a backend has no exchange, or the deadline. Returns how many are left.
    ///
    /// Drained before, a backend gets no request after this has returned 0: who claims does it
    /// under the roster's lock, behind which the drain stands.
    pub fn await_drained(&self, name: &str, deadline: Instant) -> usize {
        let backends: Vec<Arc<Backend>> = {
            let roster = self.roster.read();
            roster.named(name).map(|m| Arc::clone(&m.backend)).collect()
        };
        let mut waiter = self.traffic.await_quiet();
        loop {
            waiter.look();
            let n_left: usize = backends.iter().map(|b| b.load.mark()).sum();
            if n_left == 0 || Instant::now() >= deadline {
                return n_left;
            }
            waiter.wait(deadline);
        }
    }

    /// Lets a backend keep idle connections unless it is drained, after a change of that. Whoever
    /// comes second with what it saw first looks again: so the last state is what stays.
    pub(super) fn settle_idle(&self, backend: &Backend) {
        let mut is_drained = self.is_drained(backend);
        loop {
            backend.set_keeps_idle(!is_drained);
            let was_drained = std::mem::replace(&mut is_drained, self.is_drained(backend));
            if was_drained == is_drained {
                return;
            }
        }
    }

    /// Whether anybody wants that it gets no new requests.
    fn is_drained(&self, backend: &Backend) -> bool {
        let mut roster = self.roster.write();
        let member = roster.member_mut(backend.id);
        member.is_none_or(|member| member.drains.any())
    }

    /// The backends that this name means, by [`Backend::id`].
    pub fn ids_of(&self, name: &str) -> Vec<u64> {
        let roster = self.roster.read();
        roster.named(name).map(|member| member.backend.id).collect()
    }

    /// Changes all members of this name; `change` tells whether it changed one. Returns those.
    fn change_all(
        &self,
        name: &str,
        mut change: impl FnMut(&mut Member) -> bool,
    ) -> Result<Vec<Arc<Backend>>, ChangeError> {
        let changed = {
            let mut roster = self.roster.write();
            let mut is_known = false;
            let mut changed = Vec::new();
            for member in &mut roster.members {
                if member.spec.name == name || member.backend.name == name {
                    is_known = true;
                    if change(member) {
                        changed.push(Arc::clone(&member.backend));
                    }
                }
            }
            if !is_known {
                let text = format!("pool {} has no backend {name}", self.name);
                return Err(ChangeError::Unknown(text));
            }
            roster.arrange();
            changed
        };
        self.traffic.ring_all();
        Ok(changed)
    }
}

/// Whether a backend is new to the roster. False: it is there, as it is described.
fn may_add(roster: &Roster, spec: &BackendSpec) -> Result<bool, ChangeError> {
    for member in &roster.members {
        let other = &member.spec;
        if **other == *spec {
            return Ok(false);
        }
        if other.name == spec.name {
            let text = format!("backend {} is there already, and not the same", spec.name);
            return Err(ChangeError::Conflict(text));
        }
        if other.url == spec.url {
            let text = format!("http://{} is there already, as {}", spec.url, other.name);
            return Err(ChangeError::Conflict(text));
        }
    }
    if spec.weight != 1 && roster.settings.policy == Policy::RoundRobin {
        let text = "round-robin knows no weights".to_owned();
        return Err(ChangeError::Conflict(text));
    }
    if roster.members.len() >= MAX_MEMBERS {
        let text = format!("a pool has at most {MAX_MEMBERS} backends");
        return Err(ChangeError::Invalid(text));
    }
    Ok(true)
}
