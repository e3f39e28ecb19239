//! `threadbare service`: prints what a service manager needs to run it, with the options typed.
//!
//! The options are checked as for a start, file included, and what is printed fits them: a port
//! below 1024 gets its capability, the token its credential, a state file its place, and the limit
//! on descriptors follows from the connections.

mod hidden;
mod procd;
mod systemd;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::intake::ListenAt;
use crate::process::args::{self, Asked};
use crate::process::config::{Command, Config};
use crate::process::limits;
use crate::watch::access::LogAt;

/// Descriptors that a service may have at least: reloads may bring backends.
const LEAST_DESCRIPTORS: usize = 65_536;
/// The manager waits so much longer for the end than the process says that it takes.
const END_MARGIN: Duration = Duration::from_secs(5);
/// Options whose value is a path: a service does not start where it was typed.
const PATHS: [&str; 5] = [
    "--access-log",
    "--config",
    "--admin-token-file",
    "--state-file",
    "--drain-dir",
];

const HELP: &str = "\
Usage: threadbare service systemd|procd [OPTIONS]

Prints a unit file of systemd, or an init script of OpenWrt's procd, that runs threadbare with these
options, which are checked as for a start. As in:

  threadbare service systemd --config /etc/threadbare.toml > /etc/systemd/system/threadbare.service
  threadbare service procd --config /etc/threadbare.toml > /etc/init.d/threadbare
";

/// What is printed from.
struct Service {
    /// The program itself.
    program: PathBuf,
    /// What was typed behind the manager's name, with absolute paths.
    words: Vec<String>,
    /// What that means.
    config: Config,
}

/// What the words behind `service` ask for: a text to print, or lines that say what is wrong.
/// `program` is where this one is.
pub fn text(words: &[&str], program: io::Result<PathBuf>) -> Result<String, Vec<String>> {
    match words {
        ["systemd", words @ ..] => {
            let service = service(words, program)?;
            let faults = hidden::faults(&service);
            if faults.is_empty() {
                return Ok(systemd::unit(&service));
            }
            let line = |fault: String| format!("threadbare service: {fault}");
            Err(faults.into_iter().map(line).collect())
        }
        ["procd", words @ ..] => service(words, program).map(|service| procd::script(&service)),
        ["--help" | "help", ..] => Ok(HELP.to_owned()),
        [] => fault("want systemd or procd; see threadbare service --help"),
        [word, ..] => fault(&format!(
            "{word:?}: want systemd or procd; see threadbare service --help"
        )),
    }
}

fn fault<T>(text: &str) -> Result<T, Vec<String>> {
    Err(vec![format!("threadbare service: {text}")])
}

/// What runs by these words.
fn service(words: &[&str], program: io::Result<PathBuf>) -> Result<Service, Vec<String>> {
    let words = absolute(words);
    let typed: Vec<&str> = words.iter().map(String::as_str).collect();
    let config = match args::read(&typed)? {
        Asked::Run(config) if config.command == Command::Balance && !config.check_only => *config,
        _ => return fault("the options run no balancer; see threadbare service --help"),
    };
    let program = match program {
        Ok(program) => program,
        Err(error) => return fault(&format!("where this program is cannot be told: {error}")),
    };
    Ok(Service {
        program,
        words,
        config,
    })
}

/// The words, with paths that do not depend on where they were typed.
fn absolute(words: &[&str]) -> Vec<String> {
    let mut is_path = false;
    let absolute = words.iter().map(|word| {
        // `-` is no path, but what the manager logs.
        let is_file = is_path && *word != "-";
        let path = is_file.then(|| std::path::absolute(word).ok()).flatten();
        is_path = PATHS.contains(word);
        let path = path.and_then(|path| path.to_str().map(str::to_owned));
        path.unwrap_or_else(|| (*word).to_owned())
    });
    absolute.collect()
}

impl Service {
    /// How many descriptors it may need, rounded up.
    fn n_descriptors(&self) -> usize {
        let config = &self.config;
        let n_backends = config.pools.iter().map(|pool| pool.backends.len()).sum();
        let reserved = limits::n_reserved(config.n_workers, config.max_long_haul, n_backends);
        let n = reserved + config.max_connections;
        n.next_power_of_two().max(LEAST_DESCRIPTORS)
    }

    /// How long its end may take, in whole seconds.
    fn stop_seconds(&self) -> u64 {
        let took = self.config.shutdown_timeout + END_MARGIN;
        took.as_secs() + u64::from(took.subsec_nanos() > 0)
    }

    /// Whether it listens where only the mighty may.
    fn has_low_port(&self) -> bool {
        let mut places = self.config.listen.iter().chain(&self.config.admin);
        places.any(|at| match at {
            ListenAt::Tcp(text) => {
                let port = text
                    .rsplit_once(':')
                    .and_then(|(_, port)| port.parse().ok());
                port.is_some_and(|port: u16| (1..1024).contains(&port))
            }
            _ => false,
        })
    }

    fn takes_sockets(&self) -> bool {
        let mut places = self.config.listen.iter().chain(&self.config.admin);
        places.any(|at| matches!(at, ListenAt::Systemd(_)))
    }

    /// Where its Unix sockets are.
    fn sockets(&self) -> impl Iterator<Item = &Path> {
        let places = self.config.listen.iter().chain(&self.config.admin);
        places.filter_map(|at| match at {
            ListenAt::Unix(path) => Some(path.as_path()),
            _ => None,
        })
    }

    /// The file of the access log, if it has one.
    fn access_log(&self) -> Option<&Path> {
        match &self.config.access_log {
            Some(LogAt::Path(path)) => Some(path),
            Some(LogAt::Stdout) | None => None,
        }
    }

    /// Folders in which it makes files: sockets, the state, and the access log.
    fn written(&self) -> Vec<&Path> {
        let files = self.sockets().chain(self.config.state_file.as_deref());
        let files = files.chain(self.access_log());
        let mut folders: Vec<&Path> = files.filter_map(Path::parent).collect();
        folders.sort_unstable();
        folders.dedup();
        folders
    }
}

#[cfg(test)]
mod tests;
