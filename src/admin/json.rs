//! The shapes of the API's JSON, for both of its ends: the handlers and `threadbare ctl`.
//!
//! What is asked is read strictly: an unknown key is an error that names it. What is answered may
//! get further keys, which an older `ctl` passes over.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::admin::site::{BackendReport, PoolReport, Straggler};
use crate::pool::{BackendSpec, BackendUrl};
use crate::process::values;

/// Everything: `GET /status`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    /// Of the program.
    pub version: String,
    /// Of the process.
    pub pid: u32,
    /// Since the start.
    pub uptime_seconds: f64,
    /// All pools.
    pub pools: Vec<PoolStatus>,
}

/// `GET /pools`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Pools {
    /// All pools.
    pub pools: Vec<PoolStatus>,
}

/// `GET /pools/POOL`.
#[derive(Debug, Serialize, Deserialize)]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// Its policy, as it is written in a configuration.
    pub policy: String,
    /// Exchanges now.
    pub in_flight: usize,
    /// Requests ever.
    pub requests: u64,
    /// Its backends, in order.
    pub backends: Vec<BackendStatus>,
}

/// `GET /pools/POOL/backends/NAME`.
#[derive(Debug, Serialize, Deserialize)]
pub struct BackendStatus {
    /// Its name, unique in its pool.
    pub name: String,
    /// Its URL.
    pub url: String,
    /// Where it is.
    pub address: Option<String>,
    /// Up, down, unknown or trial.
    pub state: String,
    /// How long it has been in this state.
    pub since_seconds: f64,
    /// Why.
    pub cause: String,
    /// Enabled or drained.
    pub mode: String,
    /// Up or down, if it is so whatever probes say.
    pub forced: Option<String>,
    /// Its weight now.
    pub weight: u32,
    /// Whether it gets requests only while no other is up.
    pub backup: bool,
    /// Exchanges at a time.
    pub max_connections: Option<usize>,
    /// Exchanges now.
    pub in_flight: usize,
    /// Attempts ever.
    pub requests: u64,
    /// Attempts that failed by its fault.
    pub failures: u64,
}

/// A thread that is still in an exchange with a backend.
#[derive(Debug, Serialize, Deserialize)]
pub struct StragglerStatus {
    /// Its name.
    pub thread: String,
    /// For whom; none on a Unix socket.
    pub client: Option<String>,
    /// Method and target.
    pub request: String,
    /// How long the exchange has lasted.
    pub since_seconds: f64,
}

/// A backend to add.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewBackend {
    /// Where it is.
    pub url: String,
    /// What it is called; stands in the path instead where that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Default no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<bool>,
    /// Default no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<usize>,
    /// A duration. Default the pool's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_start: Option<String>,
}

/// How long a drain is waited for.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    /// A duration. Default 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
}

/// Another weight.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weigh {
    /// From 1 on.
    pub weight: u32,
}

/// A forced state.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Force {
    /// Up, down, or as probes say.
    pub state: ForcedState,
}

/// See there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ForcedState {
    /// It gets requests whatever probes say.
    Up,
    /// It gets none.
    Down,
    /// Probes say.
    Auto,
}

/// Where nothing is asked beside method and path: `{}`, or no content.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// What a change has done.
#[derive(Debug, Serialize, Deserialize)]
pub struct Changed {
    /// Whether anything is other than before.
    pub changed: bool,
}

/// What adding has done.
#[derive(Debug, Serialize, Deserialize)]
pub struct Added {
    /// Whether it was not there before.
    pub changed: bool,
    /// What it is called.
    pub name: String,
}

/// What draining has done.
#[derive(Debug, Serialize, Deserialize)]
pub struct Drained {
    /// Whether it was not drained before.
    pub changed: bool,
    /// Whether nothing is in flight any more.
    pub drained: bool,
    /// Exchanges now.
    pub in_flight: usize,
    /// Whose these are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stragglers: Vec<StragglerStatus>,
}

/// A problem, as `ctl` tells it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Complaint {
    /// One sentence.
    pub detail: String,
    /// All errors of a configuration.
    pub errors: Vec<String>,
    /// Exchanges that a drain has waited for in vain.
    pub in_flight: usize,
    /// Whose these are.
    pub stragglers: Vec<StragglerStatus>,
}

/// What a reload has done.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reloaded {
    /// One line each; none: nothing has changed.
    pub changes: Vec<String>,
}

/// What goes on after the answer.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stopping {
    /// Always.
    pub stopping: bool,
}

impl NewBackend {
    /// What it means; `name` is that of the path, if that has one.
    pub fn spec(self, name: Option<String>) -> Result<BackendSpec, String> {
        let url = BackendUrl::parse(&self.url)
            .map_err(|wanted| format!("url {:?}: {wanted}", self.url))?;
        let mut spec = BackendSpec::new(url);
        match (name, self.name) {
            (Some(path), Some(key)) if path != key => {
                return Err(format!("name {key:?}: the path says {path:?}"));
            }
            (Some(name), _) | (None, Some(name)) => spec.name = name,
            (None, None) => {}
        }
        if spec.name.is_empty() || spec.name.chars().any(char::is_control) {
            return Err(format!("name {:?}: want a name", spec.name));
        }
        if let Some(weight) = self.weight {
            spec.weight = check_weight(weight)?;
        }
        spec.is_backup = self.backup.unwrap_or(false);
        if self.max_connections == Some(0) {
            return Err("max_connections 0: want a number from 1 on".to_owned());
        }
        spec.max_connections = self.max_connections;
        let slow_start = self.slow_start.as_deref();
        spec.slow_start = slow_start
            .map(|text| duration(text).map_err(|wanted| format!("slow_start {text:?}: {wanted}")))
            .transpose()?;
        Ok(spec)
    }
}

/// A weight within its bounds.
pub fn check_weight(weight: u32) -> Result<u32, String> {
    let max = BackendSpec::MAX_WEIGHT;
    if (1..=max).contains(&weight) {
        Ok(weight)
    } else {
        Err(format!(
            "weight {weight}: want a whole number from 1 to {max}"
        ))
    }
}

/// A duration that may be none at all: `0s`.
pub fn duration(text: &str) -> Result<Duration, String> {
    if ["0", "0s", "0ms"].contains(&text) {
        return Ok(Duration::ZERO);
    }
    values::duration(text)
}

/// In milliseconds' steps: more digits say nothing.
pub fn seconds(duration: Duration) -> f64 {
    let ms = Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    ms.as_secs_f64()
}

impl From<&BackendSpec> for NewBackend {
    fn from(spec: &BackendSpec) -> NewBackend {
        NewBackend {
            url: format!("http://{}", spec.url),
            name: Some(spec.name.clone()),
            weight: Some(spec.weight),
            backup: Some(spec.is_backup),
            max_connections: spec.max_connections,
            slow_start: spec
                .slow_start
                .map(|slow_start| format!("{}ms", slow_start.as_millis())),
        }
    }
}

impl From<PoolReport> for PoolStatus {
    fn from(report: PoolReport) -> PoolStatus {
        PoolStatus {
            name: report.name,
            policy: report.policy,
            in_flight: report.n_in_flight,
            requests: report.n_requests,
            backends: report.backends.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<BackendReport> for BackendStatus {
    fn from(report: BackendReport) -> BackendStatus {
        BackendStatus {
            name: report.name,
            url: report.url,
            address: report.address.map(|address| address.to_string()),
            state: report.state.to_owned(),
            since_seconds: seconds(report.since),
            cause: report.cause,
            mode: report.mode.to_owned(),
            forced: report.forced.map(str::to_owned),
            weight: report.weight,
            backup: report.is_backup,
            max_connections: report.max_connections,
            in_flight: report.n_in_flight,
            requests: report.n_requests,
            failures: report.n_failures,
        }
    }
}

impl From<Straggler> for StragglerStatus {
    fn from(straggler: Straggler) -> StragglerStatus {
        StragglerStatus {
            thread: straggler.thread,
            client: straggler.client.map(|client| client.to_string()),
            request: straggler.request,
            since_seconds: seconds(straggler.since),
        }
    }
}
