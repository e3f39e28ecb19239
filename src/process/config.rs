//! The options as meant: one validated value that the rest of the program can rely on.

use std::fmt::{self, Write as _};
use std::time::Duration;

use log::LevelFilter;

use crate::intake::ListenAt;
use crate::intake::check::Limits;
use crate::pool::BackendUrl;
use crate::process::values::size_text;

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

/// Everything that can be chosen, validated. Defaults stand in `options.rs`.
#[derive(Clone, Debug)]
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
    /// The backends, in the order given. Never empty for [`Command::Balance`].
    pub backends: Vec<BackendUrl>,
    /// Worker threads, 1 to 4096.
    pub n_workers: usize,
    /// Jobs that may wait for a worker; one more is refused with 503.
    pub queue_capacity: usize,
    /// How long a job may wait before it is refused with 503.
    pub queue_timeout: Duration,
    /// Retries after a failure behind the point where the request may have been sent.
    pub retries: u32,
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
    /// Time between two rounds of the health thread.
    pub health_interval: Duration,
    /// Bound on one dial of the health thread.
    pub health_timeout: Duration,
    /// Bound on the graceful stop.
    pub shutdown_timeout: Duration,
    /// What the log keeps.
    pub log_level: LevelFilter,
    /// Only describe what would run.
    pub check_only: bool,
}

impl Config {
    /// Checks what no single option can know.
    pub fn validate(&self) -> Result<(), String> {
        if self.listener == Listener::TinyHttp {
            self.validate_tiny_http()?;
        }
        match self.command {
            Command::Balance if self.backends.is_empty() => {
                return Err(
                    "no backend given: add --backend http://HOST:PORT for each, \
                            or try threadbare demo"
                        .to_owned(),
                );
            }
            Command::Demo | Command::DemoBackend if !self.backends.is_empty() => {
                return Err(format!(
                    "--backend http://{} does not go with the demo, which brings its own",
                    self.backends[0]
                ));
            }
            _ => {}
        }
        for (i, backend) in self.backends.iter().enumerate() {
            if self.backends[..i].contains(backend) {
                return Err(format!(
                    "--backend http://{backend} is given twice; give each one once"
                ));
            }
        }
        Ok(())
    }

    fn validate_tiny_http(&self) -> Result<(), String> {
        let needs = |what: &str| {
            Err(format!(
                "{what} needs --listener gate: tiny_http listens on one HOST:PORT, and knows no \
                 PROXY header"
            ))
        };
        match self.listen.as_slice() {
            _ if self.accept_proxy => needs("--accept-proxy"),
            [ListenAt::Tcp(_)] => Ok(()),
            [other] => needs(&format!("--listen {other}")),
            _ => needs("more than one --listen"),
        }
    }

    /// What would run, for `--check`: one `name = value` a line.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &dyn fmt::Display| {
            writeln!(text, "{name:<26} = {value}").expect("a String takes any text");
        };
        let limit = |n: Option<u64>| n.unwrap_or(0);
        let time = |duration: Duration| format!("{duration:?}");
        for at in &self.listen {
            line("listen", at);
        }
        line("listener", &self.listener);
        line("accept-proxy", &self.accept_proxy);
        for trusted in &self.trust {
            line("trust", trusted);
        }
        for backend in &self.backends {
            line("backend", &format!("http://{backend}"));
        }
        if self.command == Command::Demo {
            line("backend", &"three of the demo's own, on free ports");
        }
        line("workers", &self.n_workers);
        line("queue", &self.queue_capacity);
        line("queue-timeout", &time(self.queue_timeout));
        line("retries", &self.retries);
        line("max-connections", &self.max_connections);
        let per_client = self.max_connections_per_client.unwrap_or(0);
        line("max-connections-per-client", &per_client);
        line("max-requests", &limit(self.max_requests));
        let size = |n: usize| size_text(n as u64);
        line("max-target", &size(self.limits.max_target));
        line("max-fields", &self.limits.max_fields);
        line("max-fields-size", &size(self.limits.max_fields_bytes));
        line("max-content", &size_text(limit(self.limits.max_content)));
        line("header-timeout", &time(self.header_timeout));
        line("keep-alive-timeout", &time(self.keep_alive_timeout));
        line("min-rate", &limit(self.min_rate));
        line("connect-timeout", &time(self.connect_timeout));
        line("response-timeout", &time(self.response_timeout));
        line("idle-timeout", &time(self.idle_timeout));
        let tunnel_idle = self.tunnel_idle_timeout.unwrap_or_default();
        line("tunnel-idle-timeout", &time(tunnel_idle));
        line("long-haul", &self.max_long_haul);
        line("long-haul-after", &time(self.long_haul_after));
        line("backend-share", &format!("{}%", self.backend_share_percent));
        line("health-interval", &time(self.health_interval));
        line("health-timeout", &time(self.health_timeout));
        line("shutdown-timeout", &time(self.shutdown_timeout));
        line("log-level", &self.log_level.to_string().to_lowercase());
        text
    }
}
