//! What of a pool outlives the process: taken for the state file, and put back at the next start.

use std::time::Instant;

use crate::pool::saved::{SavedBackend, SavedHealth, SavedPool};
use crate::pool::{Pool, State};

impl Pool {
    /// What an operator and the health thread did, of each backend.
    pub fn saved(&self) -> SavedPool {
        let roster = self.roster.read();
        let save = |member: &crate::pool::roster::Member| {
            let health = match member.health.state() {
                State::Unknown => None,
                State::Up => Some(SavedHealth::Up),
                State::Down if !member.health.is_ejected() => Some(SavedHealth::DownByProbes),
                State::Down | State::Trial => Some(SavedHealth::DownByExchanges),
            };
            let saved = SavedBackend {
                drained: member.drains.by_operator,
                weight: Some(member.weight).filter(|weight| *weight != member.spec.weight),
                forced: member.forced,
                health,
            };
            (member.backend.name.clone(), saved)
        };
        roster.members.iter().map(save).collect()
    }

    /// Makes the backends what they were. Before the first request: nobody is told.
    pub fn restore(&self, saved: &SavedPool, now: Instant) {
        let mut roster = self.roster.write();
        for member in &mut roster.members {
            let Some(was) = saved.get(&member.backend.name) else {
                continue;
            };
            member.drains.by_operator = was.drained;
            member.weight = was.weight.unwrap_or(member.weight);
            member.forced = was.forced;
            let (state, by_exchanges) = match was.health {
                None => continue,
                Some(SavedHealth::Up) => (State::Up, false),
                Some(SavedHealth::DownByProbes) => (State::Down, false),
                Some(SavedHealth::DownByExchanges) => (State::Down, true),
            };
            member.health.restore(state, by_exchanges, now);
            "as it was before the restart".clone_into(&mut member.cause);
        }
        roster.arrange();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    use crate::pool::{BackendUrl, Fault, Forced, Found, Wish};

    fn pool() -> Pool {
        let url = |n| BackendUrl::parse(&format!("http://127.0.0.1:{n}")).expect("a good URL");
        Pool::of((1..=4).map(url).collect(), Instant::now())
    }

    #[test]
    fn a_pool_is_after_a_restart_what_it_was_before() {
        let now = Instant::now();
        let before = pool();
        let backends = before.backends();
        before.drain("127.0.0.1:1", now).expect("it is there");
        let bad = Found::Bad("refused".to_owned());
        before.probed(backends[1].id, &bad, now);
        for _ in 0..3 {
            before.exchange_failed(&backends[2], Fault::Answering, "reset", now);
        }
        before
            .force("127.0.0.1:4", Some(Forced::Up), now)
            .expect("it is there");
        let saved = before.saved();

        let after = pool();
        after.restore(&saved, now);
        assert_eq!(after.saved(), saved);
        let wanted = [State::Unknown, State::Down, State::Down, State::Unknown];
        assert_eq!(after.states(), wanted);
        for _ in 0..8 {
            let picked = after.pick(&Wish::plain(now)).expect("the last one is up");
            assert_eq!(picked.claim.backend().name, "127.0.0.1:4");
        }
        // Who is not in the file is as configured, and what is not configured is nobody's.
        let strangers = saved.into_iter().map(|(name, was)| (name + "0", was));
        let fresh = pool();
        fresh.restore(&strangers.collect(), now);
        assert_eq!(fresh.saved(), pool().saved());
    }
}
