//! The options as meant: one validated value that the rest of the program can rely on.

use std::fmt::Write as _;
use std::time::Duration;

use log::LevelFilter;

use crate::pool::BackendUrl;

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

/// Everything that can be chosen, validated. Defaults stand in [`args`](crate::process::args).
#[derive(Clone, Debug)]
pub struct Config {
    /// What to run.
    pub command: Command,
    /// Where to listen, HOST:PORT; looked up when the socket is bound.
    pub listen: String,
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
    /// Bound on connecting to a backend, over all addresses of its name.
    pub connect_timeout: Duration,
    /// Bound on the time between the end of the request and the end of the answer's head.
    pub response_timeout: Duration,
    /// Bound on a single stall inside a message, on either side, and on an idle client.
    pub idle_timeout: Duration,
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

    /// What would run, for `--check`: one `name = value` a line.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &dyn std::fmt::Display| {
            writeln!(text, "{name:<16} = {value}").expect("a String takes any text");
        };
        line("listen", &self.listen);
        for backend in &self.backends {
            line("backend", &format!("http://{backend}"));
        }
        if self.command == Command::Demo {
            line("backend", &"three of the demo's own, on free ports");
        }
        line("workers", &self.n_workers);
        line("queue", &self.queue_capacity);
        line("queue-timeout", &format!("{:?}", self.queue_timeout));
        line("retries", &self.retries);
        line("connect-timeout", &format!("{:?}", self.connect_timeout));
        line("response-timeout", &format!("{:?}", self.response_timeout));
        line("idle-timeout", &format!("{:?}", self.idle_timeout));
        line("health-interval", &format!("{:?}", self.health_interval));
        line("health-timeout", &format!("{:?}", self.health_timeout));
        line("shutdown-timeout", &format!("{:?}", self.shutdown_timeout));
        line("log-level", &self.log_level.to_string().to_lowercase());
        text
    }
}
