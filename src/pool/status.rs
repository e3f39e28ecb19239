//! A pool as it is at one moment, for people and programs that ask.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::pool::{Forced, Pool, State};
use crate::watch::{N_CLASSES, Sums};

/// A pool as it is at one moment.
#[derive(Clone, Debug)]
pub struct PoolReport {
    /// Its name.
    pub name: String,
    /// Its policy, as it is written in a configuration.
    pub policy: String,
    /// Exchanges now.
    pub n_in_flight: usize,
    /// Requests ever.
    pub n_requests: u64,
    /// Answers that no backend gave, in the order of [`Class::ALL`](crate::watch::Class::ALL).
    pub own_answers: [u64; N_CLASSES],
    /// Its backends, in order.
    pub backends: Vec<BackendReport>,
}

/// A backend as it is at one moment.
#[derive(Clone, Debug)]
pub struct BackendReport {
    /// Its name, unique in its pool.
    pub name: String,
    /// Its URL.
    pub url: String,
    /// Where it is; none while its name has no address.
    pub address: Option<SocketAddr>,
    /// Up, down, unknown or trial.
    pub state: &'static str,
    /// How long it has been in this state.
    pub since: Duration,
    /// Why.
    pub cause: String,
    /// Enabled or drained.
    pub mode: &'static str,
    /// Up or down, if it is so whatever probes say.
    pub forced: Option<&'static str>,
    /// Its weight now.
    pub weight: u32,
    /// Whether it gets requests only while no other is up.
    pub is_backup: bool,
    /// Exchanges at a time.
    pub max_connections: Option<usize>,
    /// Exchanges now.
    pub n_in_flight: usize,
    /// Attempts ever.
    pub n_requests: u64,
    /// Attempts that failed by its fault.
    pub n_failures: u64,
    /// Never given again.
    pub id: u64,
    /// Answers that were passed on, in the order of [`Class::ALL`](crate::watch::Class::ALL).
    pub answers: [u64; N_CLASSES],
    /// How long these took.
    pub times: Sums,
}

impl Pool {
    /// How many backends get requests.
    pub fn n_up(&self) -> usize {
        self.roster.read().n_open()
    }

    /// How many backends there are.
    pub fn n_backends(&self) -> usize {
        self.roster.read().members.len()
    }

    /// The state of each backend.
    pub fn states(&self) -> Vec<State> {
        let roster = self.roster.read();
        roster.members.iter().map(|m| m.health.state()).collect()
    }

    /// All of it, for people.
    pub fn report(&self, now: Instant) -> PoolReport {
        let roster = self.roster.read();
        let backends = roster.members.iter().map(|member| BackendReport {
            name: member.backend.name.clone(),
            url: format!("http://{}", member.backend.url),
            address: member.backend.address,
            state: match member.health.state() {
                State::Unknown => "unknown",
                State::Up => "up",
                State::Down => "down",
                State::Trial => "trial",
            },
            since: now.saturating_duration_since(member.health.since()),
            cause: member.cause.clone(),
            mode: if member.drains.any() {
                "drained"
            } else {
                "enabled"
            },
            forced: member.forced.map(Forced::name),
            weight: member.weight,
            is_backup: member.spec.is_backup,
            max_connections: member.spec.max_connections,
            n_in_flight: member.backend.n_in_flight(),
            n_requests: member.backend.n_requests(),
            n_failures: member.backend.n_failures(),
            id: member.backend.id,
            answers: member.backend.tally.classes(),
            times: member.backend.tally.times().sums(),
        });
        PoolReport {
            name: self.name.clone(),
            policy: roster.settings.policy.to_string(),
            n_in_flight: self.traffic.n_active(),
            n_requests: self.traffic.n_requests(),
            own_answers: self.own_answers.classes(),
            backends: backends.collect(),
        }
    }
}
