//! Does what was ordered: requests one after the other, and a line about each.

use std::io::Write;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::admin::json::{
    Added, Changed, Drain, Drained, Force, ForcedState, NewBackend, Reloaded, Status, Weigh,
};
use crate::percent;
use crate::pool::BackendSpec;
use crate::process::ctl::client::{Answer, Client};
use crate::process::ctl::order::{Action, Change, Order};
use crate::process::ctl::table::{harmless, table};
use crate::process::ctl::told::{good, left_in_flight, read, see, stragglers};
use crate::process::ctl::{FAILED, why};
use crate::process::values::duration_text;

/// How long an answer may take that nothing has to be waited for.
const PATIENCE: Duration = Duration::from_secs(15);
/// The same for a reload, which looks names up.
const RELOAD_PATIENCE: Duration = Duration::from_secs(75);

/// Does it, and returns the exit code. An error is a line of its own, and ends nothing else.
pub fn perform(command: &str, order: &Order, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let client = Client {
        at: &order.at,
        token: order.token.as_ref(),
    };
    let work = Work { order, client };
    let mut exit_code = 0;
    // A reader that went away is no reason to leave the rest undone.
    work.perform(&mut |told| match told {
        Ok(text) => {
            let _ = writeln!(out, "{text}");
        }
        Err(reason) => {
            exit_code = FAILED;
            for line in reason.lines() {
                let _ = writeln!(err, "{command}: {}", harmless(line));
            }
        }
    });
    exit_code
}

struct Work<'a> {
    order: &'a Order,
    client: Client<'a>,
}

/// Where a backend is: its pool, and its name there.
struct Place {
    pool: String,
    name: String,
}

impl Place {
    fn path(&self) -> String {
        let (pool, name) = (percent::encode(&self.pool), percent::encode(&self.name));
        format!("/pools/{pool}/backends/{name}")
    }
}

/// Who is told what became of each thing.
type Tell<'a> = dyn FnMut(Result<String, String>) + 'a;

impl Work<'_> {
    fn perform(&self, tell: &mut Tell<'_>) {
        match &self.order.action {
            Action::Status { as_json: true } => tell(self.raw_status()),
            Action::Status { as_json: false } => {
                let status = self.status();
                tell(status.map(|status| table(&status).trim_end().to_owned()));
            }
            Action::Why(id) => tell(why::ask(
                |path| see(&self.client, path, PATIENCE),
                id.as_deref(),
            )),
            Action::Add(specs) => self.add(specs, tell),
            Action::Change(Change::Drain, names) => self.drain(names, tell),
            Action::Change(change, names) => {
                for (name, place) in self.places(names) {
                    let changed = place.and_then(|place| self.change(*change, &place));
                    tell(about(&name, changed));
                }
            }
            Action::Reload => {
                let asked = self.ask("POST", "/reload", None::<&()>, RELOAD_PATIENCE);
                let reloaded = asked.and_then(|answer| read(&answer));
                tell(reloaded.map(|Reloaded { changes }| {
                    let changes: Vec<String> = changes.iter().map(|line| harmless(line)).collect();
                    match changes.as_slice() {
                        [] => "nothing has changed".to_owned(),
                        changes => changes.join("\n"),
                    }
                }));
            }
            Action::Shutdown => {
                let asked = self.ask("POST", "/shutdown", None::<&()>, PATIENCE);
                tell(asked.map(|_| "it is shutting down".to_owned()));
            }
        }
    }

    fn raw_status(&self) -> Result<String, String> {
        let answer = self.ask("GET", "/status", None::<&()>, PATIENCE)?;
        let text = String::from_utf8_lossy(&answer.content);
        Ok(text.trim_end().to_owned())
    }

    fn status(&self) -> Result<Status, String> {
        read(&self.ask("GET", "/status", None::<&()>, PATIENCE)?)
    }

    /// Asks, and takes every refusal for an error.
    fn ask(
        &self,
        method: &str,
        path: &str,
        content: Option<&impl Serialize>,
        patience: Duration,
    ) -> Result<Answer, String> {
        good(self.send(method, path, content, patience)?)
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        content: Option<&impl Serialize>,
        patience: Duration,
    ) -> Result<Answer, String> {
        let content = content.map(|content| {
            serde_json::to_vec(content).expect("all keys are text and all numbers finite")
        });
        self.client.ask(method, path, content.as_deref(), patience)
    }

    fn add(&self, specs: &[BackendSpec], tell: &mut Tell<'_>) {
        let pool = self.status().and_then(|status| self.only_pool(&status));
        let pool = match pool {
            Ok(pool) => pool,
            Err(reason) => return tell(Err(reason)),
        };
        for spec in specs {
            let place = Place {
                pool: pool.clone(),
                name: spec.name.clone(),
            };
            let new = NewBackend::from(spec);
            let added = self
                .ask("PUT", &place.path(), Some(&new), PATIENCE)
                .and_then(|answer| read(&answer))
                .map(|Added { changed, .. }| done("added", changed));
            tell(about(&spec.name, added));
        }
    }

    /// Drains all at once, and waits for one after the other: the last has had as long as all.
    fn drain(&self, names: &[String], tell: &mut Tell<'_>) {
        let deadline = Instant::now() + self.order.timeout;
        let mut places = self.places(names);
        if places.len() > 1 {
            for (_, place) in &mut places {
                let drained = place
                    .as_ref()
                    .map(|place| self.drain_one(place, Duration::ZERO));
                if let Ok(Err(reason)) = drained {
                    *place = Err(reason);
                }
            }
        }
        for (name, place) in places {
            let left = deadline.saturating_duration_since(Instant::now());
            let drained = place.and_then(|place| self.drain_one(&place, left));
            let told = drained.and_then(|drained| match drained.in_flight {
                0 => Ok("drained, nothing is in flight".to_owned()),
                n if self.order.timeout.is_zero() => Ok(format!("drained, {n} still in flight")),
                n => {
                    // As it was asked for: what was left of it for this one is nobody's concern.
                    let timeout = duration_text(self.order.timeout);
                    let who = stragglers(&drained.stragglers);
                    Err(format!(
                        "{n} still in flight after {timeout}; it gets no new requests{who}"
                    ))
                }
            });
            tell(about(&name, told));
        }
    }

    /// Also what is still in flight when the time is over, which is no refusal.
    fn drain_one(&self, place: &Place, timeout: Duration) -> Result<Drained, String> {
        let drain = Drain {
            timeout: Some(format!("{}ms", timeout.as_millis())),
        };
        let path = format!("{}/drain", place.path());
        let answer = self.send("POST", &path, Some(&drain), timeout + PATIENCE)?;
        if let Some(left) = left_in_flight(&answer) {
            return Ok(left);
        }
        read(&good(answer)?)
    }

    fn change(&self, change: Change, place: &Place) -> Result<String, String> {
        let path = place.path();
        let (done_as, asked) = match change {
            Change::Remove => (
                "removed".to_owned(),
                self.ask("DELETE", &path, None::<&()>, PATIENCE),
            ),
            Change::Weigh(weight) => (
                format!("weight {weight}"),
                self.ask(
                    "POST",
                    &format!("{path}/weight"),
                    Some(&Weigh { weight }),
                    PATIENCE,
                ),
            ),
            Change::Force(state) => (
                match state {
                    ForcedState::Up => "forced up".to_owned(),
                    ForcedState::Down => "forced down".to_owned(),
                    ForcedState::Auto => "as its probes say".to_owned(),
                },
                self.ask(
                    "POST",
                    &format!("{path}/state"),
                    Some(&Force { state }),
                    PATIENCE,
                ),
            ),
            Change::Enable | Change::Drain => (
                "enabled".to_owned(),
                self.ask("POST", &format!("{path}/enable"), None::<&()>, PATIENCE),
            ),
        };
        let Changed { changed } = read(&asked?)?;
        if change == Change::Remove && !changed {
            return Ok("was not there".to_owned());
        }
        Ok(done(&done_as, changed))
    }

    /// Finds the pool and the name of each; one look at the status is enough for all.
    fn places(&self, names: &[String]) -> Vec<(String, Result<Place, String>)> {
        let status = match self.status() {
            Ok(status) => status,
            Err(reason) => return vec![(String::new(), Err(reason))],
        };
        let place = |name: &String| (name.clone(), self.place(name, &status));
        names.iter().map(place).collect()
    }

    /// Finds a backend by its name, or by its URL or address where it has another name.
    fn place(&self, text: &str, status: &Status) -> Result<Place, String> {
        let is_asked = |name: &str| self.order.pool.as_deref().is_none_or(|pool| pool == name);
        let backends = || {
            let pools = status.pools.iter().filter(|pool| is_asked(&pool.name));
            pools.flat_map(|pool| pool.backends.iter().map(move |backend| (pool, backend)))
        };
        let mut found: Vec<_> = backends().filter(|(_, b)| b.name == text).collect();
        if found.is_empty() {
            let url = format!("http://{text}");
            let is_there = |address: &Option<String>| address.as_deref() == Some(text);
            // Of a name with several addresses each is a member: NAME@ADDRESS.
            let is_of = |member: &str| member.rsplit_once('@').is_some_and(|(of, _)| of == text);
            found = backends()
                .filter(|(_, b)| b.url == url || is_there(&b.address) || is_of(&b.name))
                .collect();
        }
        let place = |pool: &str, name: &str| Place {
            pool: pool.to_owned(),
            name: name.to_owned(),
        };
        match found.as_slice() {
            [(pool, backend)] => Ok(place(&pool.name, &backend.name)),
            // With a choice among none, none would be right.
            [] if self.order.pool.is_none() && status.pools.len() > 1 => {
                Err(format!("no pool has a backend {text}"))
            }
            // The balancer has the last word: a name may mean several members.
            [] => self.only_pool(status).map(|pool| place(&pool, text)),
            [(first, _), ..] if found.iter().all(|(pool, _)| pool.name == first.name) => {
                Ok(place(&first.name, text))
            }
            _ => {
                let mut pools: Vec<&str> = found.iter().map(|(p, _)| p.name.as_str()).collect();
                pools.dedup();
                Err(format!(
                    "it is in several pools, choose with --pool: {}",
                    pools.join(", ")
                ))
            }
        }
    }

    /// The pool that was chosen, or that there is no choice about.
    fn only_pool(&self, status: &Status) -> Result<String, String> {
        let names: Vec<&str> = status.pools.iter().map(|pool| pool.name.as_str()).collect();
        match (&self.order.pool, names.as_slice()) {
            (Some(pool), names) if names.contains(&pool.as_str()) => Ok(pool.clone()),
            (Some(pool), names) => {
                let names = names.join(", ");
                Err(format!("there is no pool {pool}; the pools are {names}"))
            }
            (None, [only]) => Ok((*only).to_owned()),
            (None, names) => Err(format!("choose a pool with --pool: {}", names.join(", "))),
        }
    }
}

fn done(what: &str, changed: bool) -> String {
    let already = if changed { "" } else { ", as before" };
    format!("{what}{already}")
}

/// The same with the name before it, where there is one.
fn about(name: &str, told: Result<String, String>) -> Result<String, String> {
    let with_name = |text: String| match name {
        "" => text,
        name => format!("{}: {text}", harmless(name)),
    };
    told.map(with_name).map_err(with_name)
}
