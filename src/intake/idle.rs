//! Threads that have nothing to do: they sleep, and for each job one of them is woken, the one
//! that fell asleep last.
//!
//! The wait of a channel's own `recv` spins and yields for some microseconds before it sleeps,
//! which pays where a message comes within that time. Between two requests it rarely does, and
//! what is burnt on it is what the others on a small machine's cores would have needed. The last
//! one, because its stack and its buffers are still in the cache; and no second one while the
//! first has not looked yet, who wakes it himself if there is more than he can take.

use crate::sync::Mutex;
use crate::sync::thread::{self, Thread, ThreadId};

/// Who sleeps.
#[derive(Debug, Default)]
pub struct Idle {
    /// Protects who sleeps, and whether somebody was woken, which must agree. Held for a push or a
    /// pop; threads are woken outside.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Who fell asleep last is on top.
    sleepers: Vec<Thread>,
    /// Somebody was woken, and has not looked yet. Whatever came before he looks, he sees.
    is_called: bool,
}

impl Idle {
    /// Waits until `look` finds something. No deadline: it must find something at the end, behind
    /// a [`Idle::call_all`].
    ///
    /// Whoever adds something that `look` may find calls [`Idle::call`] behind it. `has_more` says
    /// whether there is more to be found.
    pub fn wait<T>(&self, mut look: impl FnMut() -> Option<T>, has_more: impl Fn() -> bool) -> T {
        // Most find something here, and cost nobody anything.
        if let Some(found) = look() {
            return found;
        }
        loop {
            let me = self.lie_down();
            // Once more: who called before this saw nobody.
            if let Some(found) = look() {
                if !self.get_up(me) {
                    // The call was for something else, which is somebody else's now.
                    self.pass_on(&has_more);
                }
                return found;
            }
            while !self.was_called(me) {
                thread::park();
            }
            if let Some(found) = look() {
                self.pass_on(&has_more);
                return found;
            }
        }
    }

    /// Something has come: wakes one, if one sleeps and none is on his way already.
    pub fn call(&self) {
        let sleeper = {
            let mut state = self.state.lock();
            if state.is_called {
                return;
            }
            let sleeper = state.sleepers.pop();
            state.is_called = sleeper.is_some();
            sleeper
        };
        if let Some(sleeper) = sleeper {
            sleeper.unpark();
        }
    }

    /// The end has come: wakes all.
    pub fn call_all(&self) {
        let sleepers = {
            let mut state = self.state.lock();
            std::mem::take(&mut state.sleepers)
        };
        for sleeper in sleepers {
            sleeper.unpark();
        }
    }

    fn lie_down(&self) -> ThreadId {
        let thread = thread::current();
        let me = thread.id();
        self.state.lock().sleepers.push(thread);
        me
    }

    /// Whether nobody has called this one meanwhile.
    fn get_up(&self, me: ThreadId) -> bool {
        let mut state = self.state.lock();
        let place = state.sleepers.iter().rposition(|other| other.id() == me);
        match place {
            Some(place) => drop(state.sleepers.remove(place)),
            None => state.is_called = false,
        }
        place.is_some()
    }

    /// Whether this one was called; then he looks next.
    fn was_called(&self, me: ThreadId) -> bool {
        let mut state = self.state.lock();
        let is_asleep = state.sleepers.iter().any(|other| other.id() == me);
        if !is_asleep {
            state.is_called = false;
        }
        !is_asleep
    }

    /// Who was called has taken something: if there is more, it is for the next one.
    fn pass_on(&self, has_more: &impl Fn() -> bool) {
        if has_more() {
            self.call();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
