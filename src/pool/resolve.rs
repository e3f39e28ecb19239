//! Looks up the names of backends, at the start and again and again; never on the request path.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use log::{info, warn};

use crate::pool::roster::{Drains, Member};
use crate::pool::settings::BackendSpec;
use crate::pool::{Backend, Pool, Pools};
use crate::system;
use crate::watch::{Doing, Lane};

/// Looks every name up once, before the first request. A name that is not found is a warning:
/// the backend gets no connections until a later look-up finds it.
///
/// Blocks as long as the system's resolver does (resolv.conf, commonly 10 s); at once for
/// addresses.
pub fn look_up_all(pool: &Pool) {
    for spec in pool.names() {
        let found = spec.url.look_up();
        pool.resolved(&spec, found, Arrival::WithAll, Instant::now());
    }
}

/// The body of the thread `resolver`.
///
/// Ends when the pools are gone. Nobody joins it: the look-up is a library call without a deadline,
/// and the end of the process must not wait for it. A message on `asked` means: now; disconnected
/// is the end.
pub fn run(pools: &Weak<Pools>, asked: &Receiver<()>, lane: &Lane) {
    let interval = || pools.upgrade().map(|pools| pools.resolve_interval());
    while let Some(interval) = interval() {
        if asked.recv_timeout(interval) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
        let Some(pools) = pools.upgrade() else { return };
        lane.set(Doing::LookingUp, Instant::now());
        for pool in pools.all().iter() {
            for spec in pool.names() {
                let found = spec.url.look_up();
                pool.resolved(&spec, found, Arrival::Late, Instant::now());
            }
        }
        lane.set(Doing::Idle, Instant::now());
    }
}

/// How new members come to a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Before the first request: nobody is better.
    WithAll,
    /// While others are there.
    Late,
}

impl Pool {
    /// The backends that have to be looked up.
    fn names(&self) -> Vec<Arc<BackendSpec>> {
        let roster = self.roster.read();
        let mut specs: Vec<Arc<BackendSpec>> = Vec::new();
        for member in roster.members.iter().filter(|m| m.spec.url.is_name()) {
            if !specs.iter().any(|spec| Arc::ptr_eq(spec, &member.spec)) {
                specs.push(Arc::clone(&member.spec));
            }
        }
        specs
    }

    /// Gives a backend the members that its name's addresses ask for. Who stays keeps its health
    /// and all else; a failing look-up keeps the last answer, if there ever was one.
    fn resolved(
        &self,
        spec: &Arc<BackendSpec>,
        found: io::Result<Vec<SocketAddr>>,
        arrival: Arrival,
        now: Instant,
    ) {
        let addresses = match found {
            Ok(addresses) => addresses,
            Err(error) => {
                let (name, error) = (&spec.name, system::plain(&error));
                let what_follows = if self.has_addresses(spec) {
                    "the last answer is kept"
                } else {
                    "it is tried again"
                };
                warn!("backend {name}: look-up: {error}; {what_follows}");
                return;
            }
        };
        let (come, gone) = self.move_to(spec, &addresses, arrival, now);
        for backend in &gone {
            backend.set_keeps_idle(false);
        }
        let had_one = gone.iter().any(|backend| backend.address.is_some());
        if arrival == Arrival::Late && (had_one || !come.is_empty()) {
            info!("backend {} has new addresses: {addresses:?}", spec.name);
            self.traffic.ring_all();
        }
    }

    /// Whether a look-up has ever found something.
    fn has_addresses(&self, spec: &Arc<BackendSpec>) -> bool {
        let roster = self.roster.read();
        let mut members = roster.members.iter();
        members.any(|m| Arc::ptr_eq(&m.spec, spec) && m.backend.address.is_some())
    }

    /// Returns who came, by label, and who is gone.
    fn move_to(
        &self,
        spec: &Arc<BackendSpec>,
        addresses: &[SocketAddr],
        arrival: Arrival,
        now: Instant,
    ) -> (Vec<String>, Vec<Arc<Backend>>) {
        let mut roster = self.roster.write();
        let is_its = |member: &Member| Arc::ptr_eq(&member.spec, spec);
        let Some(at) = roster.members.iter().position(is_its) else {
            return (Vec::new(), Vec::new()); // removed meanwhile
        };
        let before: Vec<_> = roster.members.extract_if(.., |m| is_its(m)).collect();
        // What an operator said of all of them holds for those that come; what one of them says of
        // itself, or was told alone, does not.
        let drains = Drains {
            by_operator: before.iter().all(|m| m.drains.by_operator),
            by_file: before.iter().all(|m| m.drains.by_file),
            by_itself: false,
        };
        let (first, weight) = (before[0].forced, before[0].weight);
        let is_retiring = before[0].is_retiring;
        let forced = first.filter(|_| before.iter().all(|m| m.forced == first));
        let mut labels = Vec::new();
        let mut gone: Vec<_> = before.iter().map(|m| Arc::clone(&m.backend)).collect();
        let mut before = before;
        let mut after = Vec::with_capacity(addresses.len());
        for &address in addresses {
            let old = before
                .iter()
                .position(|m| m.backend.address == Some(address));
            if let Some(idx) = old {
                let member = before.swap_remove(idx);
                gone.retain(|backend| backend.id != member.backend.id);
                after.push(member);
                continue;
            }
            let mut member = self.member(&mut roster, spec, Some(address), now);
            member.is_late = arrival == Arrival::Late;
            (member.drains, member.forced, member.weight) = (drains, forced, weight);
            member.is_retiring = is_retiring;
            labels.push(member.backend.label.clone());
            after.push(member);
        }
        roster.members.splice(at..at, after);
        roster.arrange();
        (labels, gone)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
