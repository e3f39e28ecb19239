//! The pools: sets of backends, who of them is up, and whose turn it is.
//!
//! Called by every worker (pick, report), by the health thread (probes), and by whoever changes a
//! pool at run time. Knows nothing of clients: a backend is an address that takes connections, and
//! an exchange failed or did not.

mod absent;
mod backend;
pub mod balance;
mod budget;
mod change;
mod check;
pub(crate) mod dial;
pub mod drain_dir;
mod health;
mod keep;
mod line;
mod load;
mod pick;
mod pools;
mod probe;
mod report;
mod resolve;
mod roster;
pub mod saved;
mod settings;
mod status;
mod sticky;
mod traffic;
mod update;
mod url;

use std::sync::Arc;
use std::sync::atomic::AtomicU64 as PlainU64;
use std::time::Instant;

pub use self::absent::Absent;
pub use self::backend::{Backend, Claim, Hold};
pub use self::budget::Retrying;
pub use self::change::{ChangeError, Forced};
pub use self::check::run as run_health;
pub use self::health::{Fault, State};
pub use self::pick::{NoPick, PassedOver, Picked, Picking, Wish};
pub use self::pools::Pools;
pub use self::probe::Found;
pub use self::resolve::{look_up_all, run as run_resolver};
pub use self::settings::{
    BackendSpec, HashKey, HttpProbe, Kinds, Passive, Policy, PoolSettings, PoolSpec, Probe,
    ProbeKind, Retry, Statuses, Sticky, WhenAllDown,
};
pub use self::status::{BackendReport, PoolReport};
pub use self::url::BackendUrl;

use self::backend::Identity;
use self::budget::RetryBudget;
use self::health::Health;
use self::roster::{Drains, Member, Roster};
use self::sticky::StickyKey;
use self::traffic::Traffic;
use crate::sync::{AtomicUsize, Ordering, RwLock};
use crate::watch::Tally;

/// The name of the one pool that options alone make.
pub const DEFAULT_NAME: &str = "default";

/// The backends, and the round robin over those that are up.
#[derive(Debug)]
pub struct Pool {
    name: String,
    /// Whose turn it is, counted without end; what is made of it is the policy's. Relaxed:
    /// publishes nothing else, the roster has its own lock. Two threads never get the same number,
    /// which is all that evenness needs. It wraps, on a 32-bit machine after four billion picks,
    /// which shifts the turn once.
    next: AtomicUsize,
    /// The same for further attempts of one request, so that they use up nobody's turn: of two
    /// backends, the one that fails would be the first for every request. Relaxed like `next`.
    next_again: AtomicUsize,
    /// The same for turns that fall to somebody who is passed over: they go round the others, so
    /// that no neighbour gets them all. Relaxed like `next`.
    detours: AtomicUsize,
    /// Workers that one backend may hold while others are up. Relaxed: set by the main thread at a
    /// reload, and a stale read is the limit of a moment ago.
    max_held: AtomicUsize,
    /// Protects who belongs to the pool, how each one is, and who may be picked, because these must
    /// agree. Held by readers for one pick and its claim, by writers for one report or change;
    /// never across I/O or logging. Of other locks only the traffic's is taken under it, by a claim
    /// that has lost its trial; nobody takes them the other way round.
    roster: RwLock<Roster>,
    /// How many retries its requests may have.
    budget: RetryBudget,
    /// Its counts, and those who wait for exchanges to end.
    traffic: Arc<Traffic>,
    /// Answers to its requests that no backend gave.
    pub own_answers: Tally,
    /// The next backend's id, of all pools. Relaxed: no two get the same, and that is all.
    ids: Arc<PlainU64>,
}

impl Pool {
    /// A pool of these backends, all of them unknown, which counts as up. Backends with an address
    /// are there at once; the others when they have been looked up.
    pub fn new(spec: &PoolSpec, ids: &Arc<PlainU64>, now: Instant) -> Pool {
        let settings = Arc::new(spec.settings.clone());
        let sticky = StickyKey::of(&spec.settings);
        let pool = Pool {
            name: spec.name.clone(),
            next: AtomicUsize::new(0),
            next_again: AtomicUsize::new(0),
            detours: AtomicUsize::new(0),
            max_held: AtomicUsize::new(usize::MAX),
            roster: RwLock::new(Roster::new(settings, sticky)),
            budget: RetryBudget::new(),
            traffic: Arc::new(Traffic::new()),
            own_answers: Tally::default(),
            ids: Arc::clone(ids),
        };
        {
            let mut roster = pool.roster.write();
            for spec in &spec.backends {
                let member = pool.member(
                    &mut roster,
                    &Arc::new(spec.clone()),
                    spec.url.address(),
                    now,
                );
                roster.members.push(member);
            }
            roster.arrange();
        }
        pool
    }

    /// A pool of these, with every default: for benches, and for tests that want nothing special.
    pub fn of(urls: Vec<BackendUrl>, now: Instant) -> Pool {
        let spec = PoolSpec {
            name: DEFAULT_NAME.to_owned(),
            settings: PoolSettings::default(),
            backends: urls.into_iter().map(BackendSpec::new).collect(),
        };
        Pool::new(&spec, &Arc::new(PlainU64::new(1)), now)
    }

    /// The same pool, in which one backend holds at most so many workers while others are up.
    #[must_use]
    pub fn with_share(self, max_held: usize) -> Pool {
        self.set_share(max_held);
        self
    }

    /// Workers that one backend may hold from now on while others are up.
    pub fn set_share(&self, max_held: usize) {
        self.max_held.store(max_held, Ordering::Relaxed);
    }

    /// Its name, unique among the pools.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it behaves now.
    pub fn settings(&self) -> Arc<PoolSettings> {
        Arc::clone(&self.roster.read().settings)
    }

    /// A request has come that is for this pool.
    pub fn note_request(&self) {
        self.traffic.note_request();
    }

    /// Begins a retry, if the budget has one left; it lasts until what is returned is dropped.
    pub fn begin_retry(&self, rule: &Retry) -> Option<Retrying<'_>> {
        self.budget.begin(self.traffic.n_requests(), rule)
    }

    /// Requests ever.
    pub fn n_requests(&self) -> u64 {
        self.traffic.n_requests()
    }

    /// Closes all idle connections: this process has run out of descriptors.
    pub fn close_idle(&self) {
        for backend in self.backends() {
            backend.close_idle();
        }
    }

    /// A member that is not on the roster yet.
    fn member(
        &self,
        roster: &mut Roster,
        spec: &Arc<BackendSpec>,
        address: Option<std::net::SocketAddr>,
        now: Instant,
    ) -> Member {
        let name = match address {
            Some(address) if spec.url.is_name() => format!("{}@{}", spec.name, address.ip()),
            _ => spec.name.clone(),
        };
        let label = if self.name == DEFAULT_NAME {
            name.clone()
        } else {
            format!("{}/{name}", self.name)
        };
        let sticky = roster.sticky.as_ref();
        let token = sticky.map_or(0, |key| key.token(&self.name, &name));
        let backend = Backend::new(Identity {
            id: self.ids.fetch_add(1, Ordering::Relaxed),
            name,
            label,
            url: &spec.url,
            address,
            load: roster.loads.give(),
            traffic: &self.traffic,
        });
        Member {
            spec: Arc::clone(spec),
            backend: Arc::new(backend),
            health: Health::new(now),
            cause: "not probed yet".to_owned(),
            weight: spec.weight,
            drains: Drains::default(),
            forced: None,
            is_late: false,
            is_known_bad: false,
            is_retiring: false,
            warm_since: None,
            token,
            probed_at: None,
            n_probes: 0,
            is_hinted: false,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
