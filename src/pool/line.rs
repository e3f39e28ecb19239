//! The line of requests that wait for a backend with room: first come, first served.
//!
//! One who stands in line looks for room only when called: by an exchange that ended, by the one
//! before who could not use what was there, or because it has become the first. So a place that
//! gets free wakes one thread, whoever comes while others wait stands behind them, and no call is
//! lost: it stands in the line until it is answered.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::pool::traffic::Traffic;
use crate::sync::{Condvar, wait_until};

/// Why one in line is to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Call {
    /// It has become the first: there may be more room than the one before has taken.
    First,
    /// There is room, or was. Who can't use it calls the next.
    Room,
}

/// Those who wait, in the order in which they came. Its lock is the pool's
/// [`Traffic`](crate::pool::traffic::Traffic)'s.
#[derive(Debug, Default)]
pub struct Line {
    places: VecDeque<Place>,
    n_ever: u64,
}

#[derive(Debug)]
struct Place {
    ticket: u64,
    call: Option<Call>,
    called: Arc<Condvar>,
}

impl Place {
    fn call(&mut self, call: Call) {
        self.call = self.call.max(Some(call));
        self.called.notify_one();
    }
}

impl Line {
    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// There is room for one.
    pub fn call_first(&mut self) {
        if let Some(first) = self.places.front_mut() {
            first.call(Call::Room);
        }
    }

    /// Backends came or went: each looks for itself.
    pub fn call_all(&mut self) {
        for place in &mut self.places {
            place.call(Call::Room);
        }
    }

    /// Puts somebody at the end. The first looks at once: there may have been room since it looked
    /// last, and nobody there to be called.
    fn join(&mut self) -> (u64, Arc<Condvar>) {
        self.n_ever += 1;
        let called = Arc::new(Condvar::new());
        self.places.push_back(Place {
            ticket: self.n_ever,
            call: Some(Call::First).filter(|_| self.places.is_empty()),
            called: Arc::clone(&called),
        });
        (self.n_ever, called)
    }

    fn position(&self, ticket: u64) -> usize {
        let mut places = self.places.iter();
        let found = places.position(|place| place.ticket == ticket);
        found.expect("who stands in line is in it until it leaves")
    }

    fn leave(&mut self, ticket: u64) {
        let idx = self.position(ticket);
        self.places.remove(idx);
        if let Some(first) = self.places.front_mut() {
            first.call(Call::First);
        }
        // Who leaves from the middle went past some who could not use what was there.
        if idx > 0
            && let Some(next) = self.places.get_mut(idx)
        {
            next.call(Call::Room);
        }
    }
}

/// Somebody's place in the line, until it is dropped.
#[derive(Debug)]
pub struct InLine<'a> {
    traffic: &'a Traffic,
    ticket: u64,
    called: Arc<Condvar>,
    /// The last call.
    call: Call,
}

impl<'a> InLine<'a> {
    /// Joins the line of this pool.
    pub fn join(traffic: &'a Traffic) -> InLine<'a> {
        let (ticket, called) = traffic.with_line(Line::join);
        InLine {
            traffic,
            ticket,
            called,
            call: Call::First,
        }
    }

    /// Waits to be called, until the deadline. Whether it was.
    pub fn await_call(&mut self, deadline: Instant) -> bool {
        let mut waiting = self.traffic.lock_waiting();
        loop {
            let idx = waiting.line.position(self.ticket);
            if let Some(call) = waiting.line.places[idx].call.take() {
                self.call = call;
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            waiting = wait_until(&self.called, waiting, deadline);
        }
    }

    /// What it was called for is of no use to it.
    pub fn pass_on(&self) {
        if self.call == Call::Room {
            self.traffic.with_line(|line| {
                let idx = line.position(self.ticket) + 1;
                if let Some(next) = line.places.get_mut(idx) {
                    next.call(Call::Room);
                }
            });
        }
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.traffic.with_line(|line| line.leave(self.ticket));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn calls(line: &Line) -> Vec<Option<Call>> {
        line.places.iter().map(|place| place.call).collect()
    }

    #[test]
    fn a_place_calls_the_first_and_who_cannot_use_it_the_next() {
        let traffic = Traffic::new();
        let now = Instant::now();
        let mut waiting = [(); 3].map(|()| InLine::join(&traffic));
        let seen = || traffic.with_line(|line| calls(line));
        assert_eq!(seen(), [Some(Call::First), None, None]);
        assert!(waiting[0].await_call(now), "it may look at once");
        waiting[0].pass_on();
        assert_eq!(seen(), [None; 3], "it was called for nothing certain");
        assert!(!waiting[1].await_call(now), "its time is over");
        traffic.with_line(Line::call_first);
        assert!(waiting[0].await_call(now));
        waiting[0].pass_on();
        assert_eq!(seen(), [None, Some(Call::Room), None]);
        let [first, second, third] = waiting;
        drop(second); // it was served
        assert_eq!(seen(), [Some(Call::First), Some(Call::Room)]);
        drop(first);
        assert_eq!(seen(), [Some(Call::Room)], "the stronger call stands");
        drop(third);
        traffic.with_line(|line| assert!(line.is_empty()));
    }
}
