//! The options as meant: one validated value that the rest of the program can rely on.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;

use crate::admin::needs_token;
use crate::exchange::request_id::RequestIds;
use crate::exchange::route::RouteSpec;
use crate::intake::ListenAt;
use crate::intake::check::Limits;
use crate::pool::PoolSpec;
use crate::process::faults::{Faults, Given, Place};
use crate::process::logging::LogFormat;
use crate::watch::access::{Format, LogAt};

/// What to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The balancer before the given backends.
    Balance,
    /// Three built-in backends, each a process, and the balancer before them.
    Demo,
    /// One of the demo's backends alone.
    DemoBackend,
}

/// Who takes connections in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Our own.
    Gate,
    /// That of the crate `tiny_http`.
    TinyHttp,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Listener::Gate => "gate",
            Listener::TinyHttp => "tiny_http",
        })
    }
}

/// Everything that can be chosen, validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What to run.
    pub command: Command,
    /// Who takes connections in.
    pub listener: Listener,
    /// Where to listen; never empty.
    pub listen: Vec<ListenAt>,
    /// Whether each connection begins with a PROXY header.
    pub accept_proxy: bool,
    /// Whose X-Forwarded fields are kept.
    pub trust: Vec<String>,
    /// The file that this was read from.
    pub config_file: Option<PathBuf>,
    /// The pools, in the order given; never empty, nor is any of them for [`Command::Balance`]. The
    /// options alone make one, `default`.
    pub pools: Vec<PoolSpec>,
    /// The routes, in the order given; never empty, and each pool has one.
    pub routes: Vec<RouteSpec>,
    /// Worker threads, 1 to 4096.
    pub n_workers: usize,
    /// Jobs that may wait for a worker; one more is refused with 503.
    pub queue_capacity: usize,
    /// How long a job may wait before it is refused with 503.
    pub queue_timeout: Duration,
    /// Connections at a time.
    pub max_connections: usize,
    /// Connections at a time from one address.
    pub max_connections_per_client: Option<usize>,
    /// Requests on one connection.
    pub max_requests: Option<u64>,
    /// Bounds on the size of a request.
    pub limits: Limits,
    /// Bound on the head of a request, from its first byte to its last.
    pub header_timeout: Duration,
    /// Bound on a connection's idleness between two requests.
    pub keep_alive_timeout: Duration,
    /// Bytes a second that a client must send or take on average.
    pub min_rate: Option<u64>,
    /// Bound on connecting to a backend, over all addresses of its name.
    pub connect_timeout: Duration,
    /// Bound on the time between the end of the request and the end of the answer's head.
    pub response_timeout: Duration,
    /// Bound on a single stall inside a message, on either side.
    pub idle_timeout: Duration,
    /// Bound on a tunnel through which nothing flows.
    pub tunnel_idle_timeout: Option<Duration>,
    /// Threads beside the workers for exchanges that take long.
    pub max_long_haul: usize,
    /// How long an exchange may hold a worker.
    pub long_haul_after: Duration,
    /// The share of the workers that one of several backends may hold, 1 to 100.
    pub backend_share_percent: usize,
    /// Time between two look-ups of the backends' names.
    pub resolve_interval: Duration,
    /// Where the admin API listens: an address or a Unix socket.
    pub admin: Option<ListenAt>,
    /// The file of the token that it asks for. Always there unless it listens on the loopback or a
    /// Unix socket.
    pub admin_token_file: Option<PathBuf>,
    /// What keeps drains, weights and health over a restart.
    pub state_file: Option<PathBuf>,
    /// The folder in which a file drains the backend of its name.
    pub drain_dir: Option<PathBuf>,
    /// Bound on the graceful stop.
    pub shutdown_timeout: Duration,
    /// Whose X-Request-Id counts.
    pub request_ids: RequestIds,
    /// What we are called in Proxy-Status.
    pub proxy_status: Option<String>,
    /// Where each request is logged.
    pub access_log: Option<LogAt>,
    /// How.
    pub access_format: Format,
    /// What the log keeps.
    pub log_level: LevelFilter,
    /// How it is written.
    pub log_format: LogFormat,
    /// Only describe what would run.
    pub check_only: bool,
}

impl Default for Config {
    /// What is meant where nothing is said; without pools and routes.
    fn default() -> Config {
        Config {
            command: Command::Balance,
            listener: Listener::Gate,
            listen: vec![ListenAt::Tcp("0.0.0.0:8080".to_owned())],
            accept_proxy: false,
            trust: Vec::new(),
            config_file: None,
            pools: Vec::new(),
            routes: Vec::new(),
            n_workers: 64,
            queue_capacity: 1024,
            queue_timeout: Duration::from_secs(5),
            max_connections: 4096,
            max_connections_per_client: None,
            max_requests: None,
            limits: Limits::default(),
            header_timeout: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(75),
            min_rate: Some(256),
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(30),
            tunnel_idle_timeout: Some(Duration::from_secs(3600)),
            max_long_haul: 256,
            long_haul_after: Duration::from_secs(2),
            backend_share_percent: 50,
            resolve_interval: Duration::from_secs(30),
            admin: None,
            admin_token_file: None,
            state_file: None,
            drain_dir: None,
            shutdown_timeout: Duration::from_secs(5),
            request_ids: RequestIds::Off,
            proxy_status: None,
            access_log: None,
            access_format: Format::default(),
            log_level: LevelFilter::Info,
            log_format: LogFormat::Text,
            check_only: false,
        }
    }
}

impl Config {
    /// Checks what no single option of the process can know.
    pub fn validate(&self, given: &Given, faults: &mut Faults) {
        let place = |option: &str| given.place(option).unwrap_or(Place::CommandLine);
        if self.listener == Listener::TinyHttp {
            self.validate_tiny_http(given, faults);
        }
        refuse_idle_token(given, faults);
        if self.admin_token_file.is_none()
            && let Some(at) = self.admin.as_ref().filter(|at| needs_token(at))
        {
            let place = place("admin");
            let (admin, token) = (place.name("admin"), place.name("admin-token-file"));
            faults.add(
                place,
                format!(
                    "{admin} {at} can be reached from other machines; want {token} too, or \
                     127.0.0.1 or unix:PATH"
                ),
            );
        }
    }

    fn validate_tiny_http(&self, given: &Given, faults: &mut Faults) {
        let listener = given.place("listener").unwrap_or(Place::CommandLine);
        let mut needs = |place: Place, what: &str| {
            faults.add(
                place,
                format!(
                    "{what} needs {}: tiny_http listens on one HOST:PORT, and knows no PROXY \
                     header",
                    place.assignment("listener", "gate")
                ),
            );
        };
        if self.accept_proxy {
            let place = given.place("accept-proxy").unwrap_or(listener);
            needs(place, &place.name("accept-proxy"));
        }
        let place = given.place("listen").unwrap_or(listener);
        match self.listen.as_slice() {
            [] | [ListenAt::Tcp(_)] => {}
            [other] => needs(place, &format!("{} {other}", place.name("listen"))),
            _ => needs(place, &format!("more than one {}", place.name("listen"))),
        }
    }
}

/// Without an API there is nobody who would ask for it.
fn refuse_idle_token(given: &Given, faults: &mut Faults) {
    if let (Some(place), None) = (given.place("admin-token-file"), given.place("admin")) {
        let (token, admin) = (place.name("admin-token-file"), place.name("admin"));
        faults.add(
            place,
            format!("{token} does nothing alone; want {admin} too, as in 127.0.0.1:9901"),
        );
    }
}
