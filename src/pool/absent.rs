//! Who was no candidate when a backend was picked, for people who ask later.

use std::collections::VecDeque;

use crate::pool::Pool;
use crate::pool::health::State;
use crate::pool::roster::Member;

/// Arrangements that are remembered.
const N_KEPT: usize = 32;
/// Backends that are named of each.
const MAX_NAMED: usize = 32;

/// A backend that could not be picked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    /// Its name.
    pub name: String,
    /// Why, in words.
    pub why: String,
}

/// The last arrangements of a roster. Part of it, and behind its lock.
#[derive(Debug, Default)]
pub struct Arrangements {
    /// How many there have been.
    n: u64,
    /// The last ones, the newest first.
    last: VecDeque<Vec<Absent>>,
}

impl Arrangements {
    /// The number of the newest.
    pub fn newest(&self) -> u64 {
        self.n
    }

    /// A new one, in which these can't be picked.
    pub fn note<'a>(&mut self, absent: impl Iterator<Item = &'a Member>) {
        self.n += 1;
        self.last.truncate(N_KEPT - 1);
        let named = absent.take(MAX_NAMED).map(|member| Absent {
            name: member.backend.name.clone(),
            why: why(member),
        });
        self.last.push_front(named.collect());
    }

    /// Who could not be picked then; none if that is too long ago.
    fn of(&self, n: u64) -> Option<&Vec<Absent>> {
        let back = usize::try_from(self.n.checked_sub(n)?).ok()?;
        self.last.get(back)
    }
}

fn why(member: &Member) -> String {
    let drains = member.drains;
    let why = if drains.by_operator {
        "it is drained by an operator"
    } else if drains.by_file {
        "it is drained by the drain directory"
    } else if drains.by_itself {
        "it drains itself"
    } else if member.forced.is_some() {
        "it is forced down"
    } else if member.health.state() == State::Down {
        return format!("it is down: {}", member.cause);
    } else {
        "no probe has found it well yet"
    };
    why.to_owned()
}

impl Pool {
    /// Who was no candidate when that arrangement held (see
    /// [`Picking`](crate::pool::Picking)), up to some; none if it is forgotten.
    pub fn absent(&self, arrangement: u64) -> Option<Vec<Absent>> {
        self.roster.read().arrangements.of(arrangement).cloned()
    }
}
