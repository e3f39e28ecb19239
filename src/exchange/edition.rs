//! What a reload replaces as a whole: routes, their pools, and what exchanges may take.
//!
//! Written by the main thread, read by every worker. An exchange keeps the edition that it began
//! with to its end.

use std::borrow::Cow;
use std::sync::Arc;

use crate::exchange::Settings;
use crate::exchange::edits::Edits;
use crate::exchange::fields::Changes;
use crate::exchange::route::{Action, FieldEdits, Prefix, RouteSpec, Routes, rewrite_target};
use crate::intake::ClientRequest;
use crate::pool::{Pool, PoolSettings};
use crate::sync::{AtomicU64, Mutex, Ordering};
use crate::watch::Story;

/// One state of the configuration, as exchanges see it.
#[derive(Debug)]
pub struct Edition {
    /// What exchanges may take.
    pub settings: Settings,
    routes: Routes,
    /// What is done, by the index that `routes` gives.
    actions: Vec<Destination>,
}

/// What is done with a request.
#[derive(Debug)]
pub enum Destination {
    /// It goes to a pool.
    Pool(Box<Forwarding>),
    /// The client is sent to https, with this port.
    RedirectToHttps(u16),
}

/// How requests go to a pool.
#[derive(Debug)]
pub struct Forwarding {
    /// Where to.
    pub pool: Arc<Pool>,
    /// How the pool behaves: as of this edition.
    pub settings: Arc<PoolSettings>,
    /// The prefix of the route, and what becomes of it.
    path: String,
    prefix: Prefix,
    /// What is changed in the backend's request.
    request_fields: Option<Edits>,
    /// What is changed in the client's response.
    response_fields: Option<Edits>,
}

impl Forwarding {
    /// The target that a backend gets, behind its base.
    pub fn target<'a>(&self, target: &'a [u8]) -> Cow<'a, [u8]> {
        rewrite_target(target, &self.path, &self.prefix)
    }

    /// What is changed in the backend's request.
    pub fn request_edits(&self) -> Option<&Edits> {
        self.request_fields.as_ref()
    }

    /// What is changed in the client's response, which gets this cookie, its id, and our name in
    /// Proxy-Status.
    pub fn response_changes<'a>(
        &'a self,
        set_cookie: Option<&'a [u8]>,
        story: &'a Story,
        settings: &'a Settings,
    ) -> Changes<'a> {
        Changes {
            edits: self.response_fields.as_ref(),
            set_cookie,
            request_id: story.request_id(),
            proxy_status: settings.proxy_status.as_deref(),
        }
    }
}

/// None where nothing is edited.
fn edits(edits: &FieldEdits) -> Option<Edits> {
    (*edits != FieldEdits::default()).then(|| Edits::new(edits))
}

impl Edition {
    /// These routes to these pools. Every pool that a route names is among them: the configuration
    /// was checked.
    pub fn new(settings: Settings, routes: &[RouteSpec], pools: &[Arc<Pool>]) -> Edition {
        let action = |route: &RouteSpec| match &route.action {
            Action::RedirectToHttps { port } => Destination::RedirectToHttps(*port),
            Action::Forward {
                pool,
                prefix,
                request_fields,
                response_fields,
            } => {
                let pool = pools.iter().find(|known| known.name() == pool);
                let pool = pool.expect("the configuration was checked: the pool is there");
                Destination::Pool(Box::new(Forwarding {
                    pool: Arc::clone(pool),
                    settings: pool.settings(),
                    path: route.path.clone(),
                    prefix: prefix.clone(),
                    request_fields: edits(request_fields),
                    response_fields: edits(response_fields),
                }))
            }
        };
        Edition {
            settings,
            routes: Routes::new(routes),
            actions: routes.iter().map(action).collect(),
        }
    }

    /// All requests to one pool: for tests.
    #[cfg(test)]
    pub fn example(pool: &Arc<Pool>, timeouts: crate::exchange::Timeouts) -> Edition {
        let settings = Settings::example(timeouts);
        let route = RouteSpec::all_to(pool.name());
        Edition::new(settings, &[route], &[Arc::clone(pool)])
    }

    /// What is done with a request; none: no route fits it.
    pub fn find(&self, request: &ClientRequest) -> Option<&Destination> {
        self.routes.find(request).map(|idx| &self.actions[idx])
    }
}

/// The edition that exchanges begin with now.
#[derive(Debug)]
pub struct Editions {
    /// Counts the editions. Release in `replace` pairs with Acquire in `take_newer`; a stale read
    /// costs an exchange that begins at the same moment the edition before.
    n: AtomicU64,
    /// Protects the edition; held to copy or replace it. Behind the number, so that a worker whose
    /// edition is the newest never locks.
    now: Mutex<Arc<Edition>>,
}

impl Editions {
    /// Begins with this one.
    pub fn new(edition: Edition) -> Editions {
        Editions {
            n: AtomicU64::new(1),
            now: Mutex::new(Arc::new(edition)),
        }
    }

    /// The newest edition, with its number for [`Editions::take_newer`].
    pub fn newest(&self) -> (u64, Arc<Edition>) {
        // The number first: at worst the edition is newer than it says, and is taken once more.
        let n = self.n.load(Ordering::Acquire);
        (n, Arc::clone(&self.now.lock()))
    }

    /// The newest edition, if it is another one than that of this number.
    pub fn take_newer(&self, than: u64) -> Option<(u64, Arc<Edition>)> {
        (self.n.load(Ordering::Acquire) != than).then(|| self.newest())
    }

    /// Exchanges that begin from now on begin with this one.
    pub fn replace(&self, edition: Edition) {
        let before = std::mem::replace(&mut *self.now.lock(), Arc::new(edition));
        self.n.fetch_add(1, Ordering::Release);
        drop(before); // outside the lock
    }
}
