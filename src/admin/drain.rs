//! A drain that is waited for: until nothing is in flight, or the deadline names who still is.

use std::time::{Duration, Instant};

use crate::admin::Admin;
use crate::admin::json::{Drained, StragglerStatus};
use crate::admin::problem::{Answer, Left, Problem};
use crate::exchange::presence::is_gone;
use crate::intake::Client;

/// A wait is cut into steps no longer than this: between them is looked whether the process ends,
/// and whether the client is still there.
const STEP: Duration = Duration::from_millis(250);

impl Admin {
    /// Drains a backend, and waits until nothing is in flight there, or the timeout.
    pub(super) fn drain(
        &self,
        pool: &str,
        name: &str,
        timeout: Duration,
        client: &dyn Client,
    ) -> Result<Answer, Problem> {
        let now = Instant::now();
        let changed = self.site.drain(pool, name, now)?;
        // A look without a wait, for which nobody needs leave.
        let mut n_left = self.site.await_drained(pool, name, now);
        if n_left > 0 && !timeout.is_zero() {
            let Some(_waiting) = self.begin_wait() else {
                let detail = "too many drains are waited for; this backend is drained all the same";
                let problem = Problem::new(503, detail).with_field("Retry-After", "1");
                return Err(self.tell_stragglers(problem, pool, name, n_left));
            };
            let deadline = now + timeout;
            n_left = self.await_drained(pool, name, deadline, client)?;
            if n_left > 0 {
                let (status, why) = if self.is_stopping() {
                    (503, "this server is shutting down".to_owned())
                } else {
                    (504, format!("after {timeout:?}"))
                };
                let detail = format!("{n_left} still in flight: {why}; it gets no new requests");
                let problem = Problem::new(status, detail);
                return Err(self.tell_stragglers(problem, pool, name, n_left));
            }
        }
        let drained = Drained {
            changed,
            drained: n_left == 0,
            in_flight: n_left,
            stragglers: match n_left {
                0 => Vec::new(),
                _ => self.stragglers(pool, name),
            },
        };
        // 202: it is drained, and what was asked for is not over.
        let status = if n_left == 0 { 200 } else { 202 };
        Ok(Answer::json(status, &drained))
    }

    /// Waits in steps. Returns how much is left in flight.
    fn await_drained(
        &self,
        pool: &str,
        name: &str,
        deadline: Instant,
        client: &dyn Client,
    ) -> Result<usize, Problem> {
        let peer = client.peer();
        loop {
            let step = deadline.min(Instant::now() + STEP);
            let n_left = self.site.await_drained(pool, name, step);
            if n_left == 0 || Instant::now() >= deadline || self.is_stopping() {
                return Ok(n_left);
            }
            if is_gone(peer.as_ref()) {
                // Nobody reads this, or only the half that has nothing more to say.
                return Err(Problem::new(
                    408,
                    "the client closed its side while it waited",
                ));
            }
        }
    }

    fn tell_stragglers(&self, mut told: Problem, pool: &str, name: &str, n: usize) -> Problem {
        told.left = Some(Box::new(Left {
            in_flight: n,
            stragglers: self.stragglers(pool, name),
        }));
        told
    }

    fn stragglers(&self, pool: &str, name: &str) -> Vec<StragglerStatus> {
        let stragglers = self.site.stragglers(pool, name, Instant::now());
        stragglers.into_iter().map(Into::into).collect()
    }
}
