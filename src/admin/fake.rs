//! A site without a balancer, and a client without a socket, for tests.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;

use crate::admin::sight::Sight;
use crate::admin::site::{
    BackendReport, ChangeError, Forced, PoolReport, ReloadError, Site, Straggler,
};
use crate::intake::{Client, Ending, Job, Peer};
use crate::pool::{BackendSpec, BackendUrl};

/// A pool `default` and others, and what was done to them.
pub struct FakeSite {
    /// Protects the backends and the orders; held for one call.
    state: Mutex<State>,
    /// A message, or its end, ends each wait for a drain: all is done then.
    done: Receiver<()>,
    /// What a reload says.
    pub reloaded: Result<String, ReloadError>,
}

/// The backends of each pool, and the calls that were neither a change nor a look.
#[derive(Default)]
struct State {
    pools: BTreeMap<String, Vec<FakeBackend>>,
    orders: Vec<&'static str>,
}

struct FakeBackend {
    spec: BackendSpec,
    is_drained: bool,
    weight: u32,
    forced: Option<Forced>,
    n_in_flight: usize,
}

impl FakeSite {
    /// Pools by name with backends by URL; dropping the sender ends all that is in flight.
    pub fn new(pools: &[(&str, &[&str])]) -> (FakeSite, Sender<()>) {
        let (finish, done) = bounded(0);
        let backends = |urls: &[&str]| urls.iter().map(|url| backend(spec(url))).collect();
        let pools = pools.iter();
        let pools = pools.map(|(name, urls)| ((*name).to_owned(), backends(urls)));
        let state = State {
            pools: pools.collect(),
            orders: Vec::new(),
        };
        let site = FakeSite {
            state: Mutex::new(state),
            done,
            reloaded: Ok("+ web3 weight=2\n~ web1 weight 1→3\n".to_owned()),
        };
        (site, finish)
    }

    /// Makes a backend have exchanges.
    pub fn occupy(&self, pool: &str, name: &str, n_in_flight: usize) {
        let occupied = self.change(pool, name, |backend| {
            backend.n_in_flight = n_in_flight;
            true
        });
        assert_eq!(occupied, Ok(true));
    }

    /// What was ordered.
    pub fn orders(&self) -> Vec<&'static str> {
        self.state.lock().orders.clone()
    }

    fn change(
        &self,
        pool: &str,
        name: &str,
        change: impl FnOnce(&mut FakeBackend) -> bool,
    ) -> Result<bool, ChangeError> {
        let mut state = self.state.lock();
        let backends = state.pools.get_mut(pool).ok_or_else(|| no_pool(pool))?;
        let backend = backends.iter_mut().find(|b| b.spec.name == name);
        let unknown = || ChangeError::Unknown(format!("pool {pool} has no backend {name}"));
        Ok(change(backend.ok_or_else(unknown)?))
    }
}

fn no_pool(pool: &str) -> ChangeError {
    ChangeError::Unknown(format!("there is no pool {pool}"))
}

fn spec(url: &str) -> BackendSpec {
    BackendSpec::new(BackendUrl::parse(url).expect("a good URL"))
}

fn backend(spec: BackendSpec) -> FakeBackend {
    FakeBackend {
        weight: spec.weight,
        spec,
        is_drained: false,
        forced: None,
        n_in_flight: 0,
    }
}

impl Site for FakeSite {
    fn sight(&self) -> Option<&Sight> {
        None
    }

    fn report(&self, _: Instant) -> Vec<PoolReport> {
        let report = |backend: &FakeBackend| BackendReport {
            name: backend.spec.name.clone(),
            url: format!("http://{}", backend.spec.url),
            address: Some(([127, 0, 0, 1], 80).into()),
            state: "up",
            since: Duration::from_millis(1500),
            cause: "it takes connections".to_owned(),
            mode: if backend.is_drained {
                "drained"
            } else {
                "enabled"
            },
            forced: backend.forced.map(|forced| match forced {
                Forced::Up => "up",
                Forced::Down => "down",
            }),
            weight: backend.weight,
            is_backup: backend.spec.is_backup,
            max_connections: backend.spec.max_connections,
            n_in_flight: backend.n_in_flight,
            n_requests: 120,
            n_failures: 1,
            id: 1,
            answers: [0; 6],
            times: crate::watch::Sums::default(),
        };
        let state = self.state.lock();
        let pools = state.pools.iter().map(|(name, backends)| PoolReport {
            name: name.clone(),
            policy: "round-robin".to_owned(),
            n_in_flight: backends.iter().map(|b| b.n_in_flight).sum(),
            n_requests: 240,
            own_answers: [0; 6],
            backends: backends.iter().map(report).collect(),
        });
        pools.collect()
    }

    fn add(&self, pool: &str, spec: BackendSpec, _: Instant) -> Result<bool, ChangeError> {
        let mut state = self.state.lock();
        let backends = state.pools.get_mut(pool).ok_or_else(|| no_pool(pool))?;
        if backends.iter().any(|b| b.spec == spec) {
            return Ok(false);
        }
        if backends
            .iter()
            .any(|b| b.spec.name == spec.name || b.spec.url == spec.url)
        {
            return Err(ChangeError::Conflict("another one is there".to_owned()));
        }
        backends.push(backend(spec));
        Ok(true)
    }

    fn drain(&self, pool: &str, name: &str, _: Instant) -> Result<bool, ChangeError> {
        self.change(pool, name, |b| !std::mem::replace(&mut b.is_drained, true))
    }

    fn enable(&self, pool: &str, name: &str, _: Instant) -> Result<bool, ChangeError> {
        self.change(pool, name, |b| std::mem::replace(&mut b.is_drained, false))
    }

    fn remove(&self, pool: &str, name: &str, _: Instant) -> Result<bool, ChangeError> {
        let mut state = self.state.lock();
        let backends = state.pools.get_mut(pool).ok_or_else(|| no_pool(pool))?;
        let n_before = backends.len();
        backends.retain(|b| b.spec.name != name);
        Ok(backends.len() < n_before)
    }

    fn weigh(&self, pool: &str, name: &str, weight: u32, _: Instant) -> Result<bool, ChangeError> {
        self.change(pool, name, |b| {
            std::mem::replace(&mut b.weight, weight) != weight
        })
    }

    fn force(
        &self,
        pool: &str,
        name: &str,
        forced: Option<Forced>,
        _: Instant,
    ) -> Result<bool, ChangeError> {
        assert_ne!(
            name, "127.0.0.1:666",
            "on purpose, to see what a panic costs"
        );
        self.change(pool, name, |b| {
            std::mem::replace(&mut b.forced, forced) != forced
        })
    }

    fn await_drained(&self, pool: &str, name: &str, deadline: Instant) -> usize {
        let look = || {
            let mut n_in_flight = 0;
            let _ = self.change(pool, name, |b| {
                n_in_flight = b.n_in_flight;
                false
            });
            n_in_flight
        };
        if look() > 0
            && self
                .done
                .recv_deadline(deadline)
                .is_err_and(|e| e.is_disconnected())
        {
            self.occupy(pool, name, 0);
        }
        look()
    }

    fn stragglers(&self, _: &str, _: &str, _: Instant) -> Vec<Straggler> {
        vec![Straggler {
            thread: "worker-4".to_owned(),
            client: Some([192, 0, 2, 1].into()),
            request: "GET /slow".to_owned(),
            since: Duration::from_secs(12),
        }]
    }

    fn reload(&self, _: Instant) -> Result<String, ReloadError> {
        self.state.lock().orders.push("reload");
        self.reloaded.clone()
    }

    fn stop(&self) -> bool {
        self.state.lock().orders.push("stop");
        true
    }
}

/// What a client has got, and how its exchange ended.
#[derive(Default)]
pub struct Seen {
    /// All that was written.
    pub text: String,
    /// The ending.
    pub ending: Option<Ending>,
}

/// A client that sends this content, and keeps what it gets where a test can see it.
pub struct FakeClient {
    /// What it still has to send.
    pub content: Vec<u8>,
    /// See there; protects what one test looks at in the end.
    pub seen: Arc<Mutex<Seen>>,
    /// Its socket, if it has one.
    pub peer: Option<Peer>,
}

impl Client for FakeClient {
    fn read_content(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.content.len().min(buffer.len());
        buffer[..n].copy_from_slice(&self.content[..n]);
        self.content.drain(..n);
        Ok(n)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.seen
            .lock()
            .text
            .push_str(&String::from_utf8_lossy(bytes));
        Ok(())
    }

    fn peer(&self) -> Option<Peer> {
        self.peer.clone()
    }

    fn finish(self: Box<Self>, ending: Ending) -> Option<Job> {
        self.seen.lock().ending = Some(ending);
        None
    }
}
