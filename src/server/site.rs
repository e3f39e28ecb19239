//! What serves: the pools and the routes to them, and how a reload changes both.
//!
//! Owned by the main thread, which alone applies a configuration; workers and health thread see
//! what it publishes through [`Editions`] and [`Pools`].

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Instant, SystemTime};

use crossbeam_channel::Sender;
use log::{info, warn};

use crate::counted::counted;
use crate::exchange::{Crew, Edition, Editions, Shared};
use crate::intake::RetryAfter;
use crate::pool::drain_dir::DrainDir;
use crate::pool::saved::{self, Keeper, MAX_HEALTH_AGE, Saved};
use crate::pool::{self, BackendSpec, BackendUrl, Pool, PoolSpec, Pools};
use crate::process::config::Config;
use crate::server::diff;
use crate::server::meant::{max_held, running, settings};
use crate::system;
use crate::watch::access::AccessLog;
use crate::watch::{Counters, Watch};

/// The running configuration.
pub struct Site {
    /// All pools.
    pub pools: Arc<Pools>,
    /// The way to them.
    pub editions: Arc<Editions>,
    /// As it runs: of the last reload, and of the start where a reload can't change it.
    config: Config,
    /// Lets the resolver look at once. Capacity 1: one message is as good as many; disconnected is
    /// the resolver's end.
    look_up: Sender<()>,
    /// Where scripts drain backends.
    drain_dir: Option<DrainDir>,
    /// Where what was done at run time is kept.
    keeper: Option<Keeper>,
    /// The last attempt to write failed, which was said.
    is_keeper_failing: bool,
}

impl Site {
    /// Makes the pools, and looks their names up, which blocks as long as the resolver does.
    pub fn new(config: &Config, look_up: Sender<()>) -> Site {
        let pools = Pools::new();
        pools.set_resolve_interval(config.resolve_interval);
        let now = Instant::now();
        let make = |spec: &PoolSpec| Arc::new(Pool::new(spec, pools.ids(), now));
        let list: Vec<_> = config.pools.iter().map(make).collect();
        for pool in &list {
            pool.set_share(max_held(config));
            pool::look_up_all(pool);
        }
        let path = config.state_file.as_deref();
        let saved = path.and_then(|path| saved::read(path, MAX_HEALTH_AGE, SystemTime::now()));
        for (pool, was) in list.iter().filter_map(|pool| {
            let was = saved.as_ref()?.pools.get(pool.name())?;
            Some((pool, was))
        }) {
            pool.restore(was, now);
        }
        let edition = Edition::new(settings(config), &config.routes, &list);
        pools.replace(list);
        let mut site = Site {
            pools: Arc::new(pools),
            editions: Arc::new(Editions::new(edition)),
            config: config.clone(),
            look_up,
            drain_dir: config.drain_dir.clone().map(DrainDir::new),
            keeper: config.state_file.clone().map(Keeper::new),
            is_keeper_failing: false,
        };
        site.look_into_drain_dir();
        site
    }

    /// Whether [`Site::keep_up`] is to be called, about each second.
    pub fn needs_upkeep(&self) -> bool {
        self.drain_dir.is_some() || self.keeper.is_some()
    }

    /// Drains and enables what files say, and writes the state file if something has changed.
    pub fn keep_up(&mut self) {
        self.look_into_drain_dir();
        let Some(keeper) = &mut self.keeper else {
            return;
        };
        let state = saved_of(&self.pools);
        match keeper.keep(Instant::now(), &state) {
            Ok(true) if std::mem::take(&mut self.is_keeper_failing) => {
                info!("the state file {} can be written again", keeper.path());
            }
            // Said once, not at each attempt: a full disk shall not be filled further.
            Err(error) if !std::mem::replace(&mut self.is_keeper_failing, true) => {
                warn_of_state_file(keeper, &error);
            }
            _ => {}
        }
    }

    /// Writes the state file for the last time.
    pub fn keep_last(&mut self) {
        let state = saved_of(&self.pools);
        if let Some(keeper) = &mut self.keeper
            && let Err(error) = keeper.keep_last(&state)
        {
            warn_of_state_file(keeper, &error);
        }
    }

    fn look_into_drain_dir(&mut self) {
        let Some(dir) = &mut self.drain_dir else {
            return;
        };
        let names = dir.look();
        for pool in self.pools.all().iter() {
            pool.drain_by_files(names, Instant::now());
        }
    }

    /// What all workers share.
    pub fn share(
        &self,
        stopping: Arc<AtomicBool>,
        crew: Crew,
        retry_after: RetryAfter,
        access_log: Option<Arc<AccessLog>>,
    ) -> Shared {
        let config = &self.config;
        let n_threads = config.n_workers + config.max_long_haul;
        let watch = Watch::new(n_threads, Instant::now()).with_access_log(access_log);
        let watch = if config.admin.is_some() {
            watch.with_recent()
        } else {
            watch
        };
        Shared {
            pools: Arc::clone(&self.pools),
            editions: Arc::clone(&self.editions),
            stopping,
            counters: Arc::new(Counters::default()),
            watch: Arc::new(watch),
            crew: Arc::new(crew),
            retry_after,
        }
    }

    /// As it is now.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether some backend is a name.
    pub fn has_names(&self) -> bool {
        let mut specs = self.config.pools.iter().flat_map(|pool| &pool.backends);
        specs.any(|spec| spec.url.is_name())
    }

    /// The names that are new in a configuration: what [`Site::reload`] wants to have looked up.
    pub fn new_names(&self, config: &Config) -> Vec<BackendUrl> {
        let is_here = |pool: &PoolSpec, wanted: &BackendSpec| {
            let before = self.config.pools.iter().find(|b| b.name == pool.name);
            let is_it = |spec: &BackendSpec| spec.name == wanted.name && spec.url == wanted.url;
            before.is_some_and(|before| before.backends.iter().any(is_it))
        };
        let mut names = Vec::new();
        for pool in &config.pools {
            for spec in pool.backends.iter().filter(|spec| spec.url.is_name()) {
                if !is_here(pool, spec) && !names.contains(&spec.url) {
                    names.push(spec.url.clone());
                }
            }
        }
        names
    }

    /// Applies a configuration that was checked. Exchanges in progress go on as they began; those
    /// that begin afterwards see all of it. Returns what changed, a line for each.
    ///
    /// `found` has the addresses of new names; one that it does not have is left to the resolver.
    pub fn reload(&mut self, config: Config, found: &Found) -> Vec<String> {
        let mut lines = diff::settings(&self.config, &config);
        lines.extend(diff::routes(&self.config.routes, &config.routes));
        let config = running(config, &self.config);
        let now = Instant::now();
        let several = config.pools.len() > 1 || self.config.pools.len() > 1;
        let mut list = Vec::new();
        for spec in &config.pools {
            let known = self.pools.find(&spec.name);
            if known.is_none() {
                lines.push(format!("+ pool {}", spec.name));
            }
            let pool = known.unwrap_or_else(|| self.make_pool(spec, now));
            pool.set_share(max_held(&config));
            let changes = pool.update(spec, &|url| addresses(url, found), now);
            let prefix = if several {
                format!("{}: ", spec.name)
            } else {
                String::new()
            };
            lines.extend(changes.into_iter().map(|line| format!("{prefix}{line}")));
            list.push(pool);
        }
        // The routes first: then nothing comes to the pools that go.
        let edition = Edition::new(settings(&config), &config.routes, &list);
        self.editions.replace(edition);
        let before = self.pools.all();
        self.pools.replace(list.clone());
        for pool in before.iter() {
            if !list.iter().any(|kept| kept.name() == pool.name()) {
                lines.push(format!("- pool {}", pool.name()));
                pool.close_down();
            }
        }
        self.pools.set_resolve_interval(config.resolve_interval);
        self.config = config;
        self.look_into_drain_dir();
        // Full: it will look anyway.
        let _ = self.look_up.try_send(());
        lines
    }

    /// A new pool, as yet without backends.
    fn make_pool(&self, spec: &PoolSpec, now: Instant) -> Arc<Pool> {
        let empty = PoolSpec {
            backends: Vec::new(),
            ..spec.clone()
        };
        Arc::new(Pool::new(&empty, self.pools.ids(), now))
    }
}

fn warn_of_state_file(keeper: &Keeper, error: &io::Error) {
    let (path, error) = (keeper.path(), system::plain(error));
    warn!("the state file {path} can't be written: {error}");
}

fn saved_of(pools: &Pools) -> Saved {
    let pools = pools.all();
    let saved = pools
        .iter()
        .map(|pool| (pool.name().to_owned(), pool.saved()));
    Saved {
        pools: saved.collect(),
    }
}

/// The addresses of names that are new with a reload.
pub type Found = HashMap<BackendUrl, Vec<SocketAddr>>;

/// Looks names up, which blocks as long as the resolver does. One that is not found is looked up
/// again by the thread `resolver`.
pub fn look_up(names: Vec<BackendUrl>) -> Found {
    let mut found = Found::new();
    for url in names {
        match url.look_up() {
            Ok(addresses) => {
                found.insert(url, addresses);
            }
            Err(error) => warn!(
                "backend {url}: look-up: {}; it is tried again",
                system::plain(&error)
            ),
        }
    }
    found
}

/// Where a backend is; one without an address if its name was not found.
fn addresses(url: &BackendUrl, found: &Found) -> Vec<Option<SocketAddr>> {
    match (url.address(), found.get(url)) {
        (Some(address), _) => vec![Some(address)],
        (None, Some(addresses)) => addresses.iter().copied().map(Some).collect(),
        (None, None) => vec![None],
    }
}

/// Logs what a reload changed.
pub fn log_changes(lines: &[String]) {
    if lines.is_empty() {
        info!("reloaded: nothing has changed");
        return;
    }
    info!("reloaded: {}", counted(lines.len(), "change"));
    for line in lines {
        info!("  {line}");
    }
}
