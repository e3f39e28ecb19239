//! A pool while its options are read one by one, and what they must mean together.

use std::collections::HashMap;

use crate::pool::{BackendSpec, HttpProbe, Policy, PoolSettings, PoolSpec, ProbeKind};
use crate::pool::{Statuses, Sticky};
use crate::process::faults::{Faults, Given, Place};
use crate::process::values::{ProbeWord, duration_text};

/// What has been read of a pool.
#[derive(Debug)]
pub struct PoolDraft {
    /// What stands for itself.
    pub settings: PoolSettings,
    /// Without its bound on load.
    pub policy: Option<Policy>,
    /// That bound, percent.
    pub hash_max_load: Option<u32>,
    /// What the probe was said to do.
    pub probe: Option<ProbeWord>,
    /// What it does if that is to ask.
    pub http: HttpProbe,
    /// Without a name there is no cookie.
    pub sticky: Sticky,
    /// The backends, and where each was given.
    pub backends: Vec<(BackendSpec, Place)>,
    /// Where each option was given.
    pub given: Given,
}

impl Default for PoolDraft {
    fn default() -> PoolDraft {
        PoolDraft {
            settings: PoolSettings::default(),
            policy: None,
            hash_max_load: None,
            probe: None,
            http: HttpProbe {
                path: "/".to_owned(),
                host: None,
                expect: Statuses(vec![(200, 399)]),
                text: None,
                drain_field: None,
            },
            sticky: Sticky {
                cookie: String::new(),
                secret: None,
                max_age: None,
                is_secure: false,
            },
            backends: Vec::new(),
            given: Given::default(),
        }
    }
}

impl PoolDraft {
    /// The pool, if what was read goes together. Whether it has any backend is asked elsewhere.
    pub fn finish(mut self, name: &str, faults: &mut Faults) -> PoolSpec {
        self.finish_policy(faults);
        self.finish_sticky(faults);
        self.finish_probe(faults);
        self.finish_times(faults);
        self.check_names(faults);
        PoolSpec {
            name: name.to_owned(),
            settings: self.settings,
            backends: self.backends.into_iter().map(|(spec, _)| spec).collect(),
        }
    }

    fn finish_policy(&mut self, faults: &mut Faults) {
        if self.policy.is_none() && self.given.place("policy").is_some() {
            return; // what it should be is not known
        }
        let mut policy = self.policy.clone().unwrap_or_default();
        match (&mut policy, self.given.place("hash-max-load")) {
            (
                Policy::Hash {
                    max_load_percent, ..
                },
                _,
            ) => *max_load_percent = self.hash_max_load,
            (_, None) => {}
            (policy, Some(place)) => faults.add(
                place,
                format!(
                    "{} does not go with {}; want ip-hash, uri-hash, header-hash:NAME or \
                     cookie-hash:NAME",
                    place.name("hash-max-load"),
                    place.assignment("policy", &policy.to_string())
                ),
            ),
        }
        let mut weighted = self.backends.iter().filter(|(spec, _)| spec.weight != 1);
        if let (Policy::RoundRobin, Some((spec, place))) = (&policy, weighted.next()) {
            let (url, weight) = (&spec.url, spec.weight);
            faults.add(
                *place,
                format!(
                    "weight {weight} of backend http://{url} does not go with {}; want \
                     weighted-round-robin, or another policy that knows weights",
                    place.assignment("policy", "round-robin")
                ),
            );
        }
        self.settings.policy = policy;
    }

    fn finish_sticky(&mut self, faults: &mut Faults) {
        if self.given.place("sticky").is_some() {
            self.settings.sticky = Some(self.sticky.clone());
            return;
        }
        for option in ["sticky-secret", "sticky-max-age", "sticky-secure"] {
            if let Some(place) = self.given.place(option) {
                let (option, cookie) = (place.name(option), place.name("sticky"));
                faults.add(
                    place,
                    format!("{option} does nothing alone; want {cookie} too, as in SRV"),
                );
            }
        }
    }

    fn finish_probe(&mut self, faults: &mut Faults) {
        if self.probe.is_none() && self.given.place("health").is_some() {
            return; // what it should be is not known
        }
        let implied = self.given.place("health-path").map(|_| ProbeWord::Http);
        let word = self.probe.or(implied).unwrap_or(ProbeWord::Tcp);
        self.settings.probe.kind = match word {
            ProbeWord::Off => ProbeKind::Off,
            ProbeWord::Tcp => ProbeKind::Tcp,
            ProbeWord::Http => {
                self.settings.probe.kind = ProbeKind::Http(self.http.clone());
                return;
            }
        };
        let word = if word == ProbeWord::Off { "off" } else { "tcp" };
        let of_http = [
            "health-path",
            "health-host",
            "health-expect",
            "health-text",
            "health-drain-field",
        ];
        for option in of_http {
            if let Some(place) = self.given.place(option) {
                faults.add(
                    place,
                    format!(
                        "{} does not go with {}; want {}",
                        place.name(option),
                        place.assignment("health", word),
                        place.assignment("health", "http")
                    ),
                );
            }
        }
    }

    /// Of two times of which one bounds the other, the one that was not given follows.
    fn finish_times(&mut self, faults: &mut Faults) {
        let (probe, passive) = (&mut self.settings.probe, &mut self.settings.passive);
        if probe.fast_interval > probe.interval {
            if let Some(place) = self.given.place("health-fast-interval") {
                let interval = duration_text(probe.interval);
                faults.add(
                    place,
                    format!(
                        "{} is longer than {}; want at most {interval}",
                        place.name("health-fast-interval"),
                        place.name("health-interval")
                    ),
                );
            }
            probe.fast_interval = probe.interval;
        }
        if passive.max_eject_time < passive.eject_time {
            if let Some(place) = self.given.place("max-eject-time") {
                let eject_time = duration_text(passive.eject_time);
                faults.add(
                    place,
                    format!(
                        "{} is shorter than {}; want at least {eject_time}",
                        place.name("max-eject-time"),
                        place.name("eject-time")
                    ),
                );
            }
            passive.max_eject_time = passive.eject_time;
        }
    }

    fn check_names(&self, faults: &mut Faults) {
        let (mut urls, mut names) = (HashMap::new(), HashMap::new());
        for (spec, place) in &self.backends {
            let (url, name) = (spec.url.to_string(), &spec.name);
            let what = if let Some(first) = urls.get(&url) {
                (format!("http://{url}"), *first, "give each one once")
            } else if let Some(first) = names.get(name) {
                (format!("name {name}"), *first, "give each one its own")
            } else {
                urls.insert(url, *place);
                names.insert(name, *place);
                continue;
            };
            match what {
                (what, Place::CommandLine, remedy) => {
                    faults.add(*place, format!("--backend {what} is given twice; {remedy}"));
                }
                (what, Place::Line(first), remedy) => faults.add(
                    *place,
                    format!("backend {what} is given twice, first in line {first}; {remedy}"),
                ),
            }
        }
    }
}
