//! What a pool is told about itself: plain data, without a rule of its own but its defaults.

use std::fmt;
use std::time::Duration;

use crate::pool::BackendUrl;

/// One backend as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendSpec {
    /// Unique in its pool; as in the log. Unless told, host, port and base of the URL.
    pub name: String,
    /// Where it is. A name with several addresses makes several members.
    pub url: BackendUrl,
    /// Its part of the requests beside the others', 1 to [`BackendSpec::MAX_WEIGHT`]. Default 1.
    pub weight: u32,
    /// Gets requests only while no other is up. Default no.
    pub is_backup: bool,
    /// Exchanges at a time; the next one goes to another backend, or waits. Default no limit.
    pub max_connections: Option<usize>,
    /// How long its share grows from a tenth to all of it after it came back. Default the pool's.
    pub slow_start: Option<Duration>,
}

impl BackendSpec {
    /// The largest weight (`HAProxy`'s).
    pub const MAX_WEIGHT: u32 = 256;

    /// This backend, with every default.
    pub fn new(url: BackendUrl) -> BackendSpec {
        BackendSpec {
            name: url.to_string(),
            url,
            weight: 1,
            is_backup: false,
            max_connections: None,
            slow_start: None,
        }
    }
}

/// A pool as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSpec {
    /// Unique among the pools.
    pub name: String,
    /// How it behaves.
    pub settings: PoolSettings,
    /// Its backends, in the order given.
    pub backends: Vec<BackendSpec>,
}

/// How a pool behaves.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PoolSettings {
    /// Whose turn it is.
    pub policy: Policy,
    /// Whether a client stays with its backend.
    pub sticky: Option<Sticky>,
    /// How the health thread looks.
    pub probe: Probe,
    /// What exchanges say about a backend.
    pub passive: Passive,
    /// What is done while nobody is up.
    pub when_all_down: WhenAllDown,
    /// How long the share of a backend that came back grows to all of it; zero: at once.
    pub slow_start: Duration,
    /// What is tried again.
    pub retry: Retry,
}

/// Whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Policy {
    /// Each in turn. All weights are 1.
    #[default]
    RoundRobin,
    /// Each in turn as often as its weight says, and never in bursts.
    WeightedRoundRobin,
    /// Who has the fewest exchanges for its weight.
    LeastConnections,
    /// The one of two drawn by lot that has fewer exchanges for its weight.
    RandomTwoChoices,
    /// The same key always to the same backend, as long as that is up.
    Hash {
        /// What of the request.
        key: HashKey,
        /// A backend that has more than this share of the average load is passed over, percent,
        /// above 100. None: no bound.
        max_load_percent: Option<u32>,
    },
}

impl Policy {
    /// See [`Policy::Hash`].
    pub fn max_load_percent(&self) -> Option<u32> {
        match self {
            Policy::Hash {
                max_load_percent, ..
            } => *max_load_percent,
            _ => None,
        }
    }
}

/// What of a request is hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// The client's address, as X-Forwarded-For ends with it.
    ClientAddress,
    /// The target.
    Uri,
    /// The value of this field.
    Field(String),
    /// The value of this cookie.
    Cookie(String),
}

impl fmt::Display for Policy {
    /// As it is written in a configuration, but for the bound on load.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Policy::RoundRobin => f.write_str("round-robin"),
            Policy::WeightedRoundRobin => f.write_str("weighted-round-robin"),
            Policy::LeastConnections => f.write_str("least-connections"),
            Policy::RandomTwoChoices => f.write_str("random-two-choices"),
            Policy::Hash { key, .. } => match key {
                HashKey::ClientAddress => f.write_str("ip-hash"),
                HashKey::Uri => f.write_str("uri-hash"),
                HashKey::Field(name) => write!(f, "header-hash:{name}"),
                HashKey::Cookie(name) => write!(f, "cookie-hash:{name}"),
            },
        }
    }
}

/// A cookie of ours by which a client stays with its backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sticky {
    /// Its name.
    pub cookie: String,
    /// From which the opaque values are made, so that they stay the same over restarts and in
    /// several balancers. None: drawn at the start.
    pub secret: Option<String>,
    /// Max-Age; none: to the end of the browser's session.
    pub max_age: Option<Duration>,
    /// Whether browsers shall send it over TLS only (TLS ends before us).
    pub is_secure: bool,
}

/// How the health thread looks at each backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What it does.
    pub kind: ProbeKind,
    /// From the start of one probe of a backend to the start of the next, give or take a tenth.
    pub interval: Duration,
    /// The same while the backend changes its state; never longer than `interval`.
    pub fast_interval: Duration,
    /// Bound on one probe, all of it.
    pub timeout: Duration,
    /// Good probes in a row that bring a backend up.
    pub rise: u32,
    /// Bad probes in a row that take it down; the very first one does alone.
    pub fall: u32,
}

/// What a probe does.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum ProbeKind {
    /// Nothing: only exchanges tell.
    Off,
    /// Connects.
    #[default]
    Tcp,
    /// Connects, and asks.
    Http(HttpProbe),
}

/// A request whose answer says whether a backend is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProbe {
    /// The target of the GET; begins with `/`. The backend's base goes before it.
    pub path: String,
    /// The Host field; none: the backend's own.
    pub host: Option<String>,
    /// The good statuses.
    pub expect: Statuses,
    /// What a good answer's content has in its first 64 KiB.
    pub text: Option<String>,
    /// The name of a field by which a backend drains itself: an answer 503 that has it, whatever
    /// its value, means that the backend wants no new requests and is not ill.
    pub drain_field: Option<String>,
}

/// A set of statuses, as ranges from first to last, in the order given.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Statuses(pub Vec<(u16, u16)>);

impl Statuses {
    /// Whether it has this one.
    pub fn has(&self, status: u16) -> bool {
        let Statuses(ranges) = self;
        ranges
            .iter()
            .any(|&(first, last)| (first..=last).contains(&status))
    }
}

/// What exchanges say about a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passive {
    /// What counts as a failure.
    pub fail_on: Kinds,
    /// Failures without a success between them that eject; 0: never.
    pub max_failures: u32,
    /// The share of failed exchanges in the window that ejects, percent; none: never.
    pub failure_rate_percent: Option<u32>,
    /// Exchanges in the window below which the rate says nothing.
    pub failure_rate_min: u32,
    /// The window in which failures must fall (nginx's `fail_timeout`).
    pub window: Duration,
    /// How long the first ejection lasts; each further one twice as long …
    pub eject_time: Duration,
    /// … up to this.
    pub max_eject_time: Duration,
    /// Exchanges never eject more than this share of a pool, and never the last one that is up.
    pub max_ejected_percent: u32,
}

/// Kinds of failures of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[allow(clippy::struct_excessive_bools)] // a set
pub struct Kinds {
    /// Not connected. (For retries this is no choice: another backend is tried anyway.)
    pub connect: bool,
    /// The connection broke before the head of an answer.
    pub reset: bool,
    /// No head of an answer in time.
    pub timeout: bool,
    /// An answer that can't be understood.
    pub bad_answer: bool,
    /// An answer with one of these statuses.
    pub statuses: Statuses,
}

/// What is done while nobody is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WhenAllDown {
    /// 503 at once.
    #[default]
    Refuse,
    /// All are tried as if they were up.
    Try,
}

/// What is tried again after it may have been sent, and how often. Never what could be done twice:
/// the rule in `exchange::retry` stands above all of this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Retries of one request. Default 1.
    pub retries: u32,
    /// After what. Default a reset.
    pub on: Kinds,
    /// The methods; empty: all idempotent ones.
    pub methods: Vec<String>,
    /// A request with Idempotency-Key may be retried whatever its method.
    pub trusts_idempotency_key: bool,
    /// Retries at a time, in percent of the requests of late …
    pub budget_percent: u32,
    /// … and so many in any case.
    pub budget_min: u32,
}

impl Default for Probe {
    fn default() -> Probe {
        Probe {
            kind: ProbeKind::default(),
            interval: Duration::from_secs(10),
            fast_interval: Duration::from_secs(1),
            timeout: Duration::from_secs(2),
            rise: 2,
            fall: 3,
        }
    }
}

impl Default for Passive {
    fn default() -> Passive {
        Passive {
            fail_on: Kinds {
                connect: true,
                reset: true,
                timeout: true,
                bad_answer: true,
                statuses: Statuses::default(),
            },
            max_failures: 3,
            failure_rate_percent: None,
            failure_rate_min: 20,
            window: Duration::from_secs(10),
            eject_time: Duration::from_secs(2),
            max_eject_time: Duration::from_secs(60),
            max_ejected_percent: 100,
        }
    }
}

impl Default for Retry {
    fn default() -> Retry {
        Retry {
            retries: 1,
            on: Kinds {
                reset: true,
                ..Kinds::default()
            },
            methods: Vec::new(),
            trusts_idempotency_key: false,
            budget_percent: 20,
            budget_min: 3,
        }
    }
}
