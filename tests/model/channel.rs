//! A bounded channel of loom's lock and condition variable, in place of crossbeam's.
//!
//! It has the part of crossbeam's contract that the wave leans on: a message goes to one receiver;
//! a full channel gives the message back; receivers get what is in it before they learn that the
//! last sender is gone, and then all of them learn it. Absent are sends that block and deadlines
//! (nobody here sends that way, and a deadline would hide a lost wake-up), and that senders learn
//! of receivers gone: they ignore it.

use std::collections::VecDeque;
use std::sync::Arc;

use loom::sync::{Condvar, Mutex, MutexGuard};

use crate::NO_PANIC;

pub struct Sender<T>(Arc<Channel<T>>);

pub struct Receiver<T>(Arc<Channel<T>>);

/// The last sender is gone, and nothing is left.
#[derive(Debug, PartialEq, Eq)]
pub struct Disconnected;

struct Channel<T> {
    capacity: usize,
    state: Mutex<State<T>>,
    /// A message came, or the last sender is gone.
    changed: Condvar,
}

struct State<T> {
    waiting: VecDeque<T>,
    n_senders: usize,
}

pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let state = State {
        waiting: VecDeque::new(),
        n_senders: 1,
    };
    let channel = Arc::new(Channel {
        capacity,
        state: Mutex::new(state),
        changed: Condvar::new(),
    });
    (Sender(Arc::clone(&channel)), Receiver(channel))
}

impl<T> Channel<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().expect(NO_PANIC)
    }
}

impl<T> Sender<T> {
    /// Gives the message back when the channel is full.
    pub fn try_send(&self, message: T) -> Result<(), T> {
        let mut state = self.0.lock();
        if state.waiting.len() >= self.0.capacity {
            return Err(message);
        }
        state.waiting.push_back(message);
        self.0.changed.notify_one();
        Ok(())
    }
}

impl<T> Receiver<T> {
    /// Waits for a message.
    pub fn recv(&self) -> Result<T, Disconnected> {
        let mut state = self.0.lock();
        loop {
            if let Some(message) = state.waiting.pop_front() {
                return Ok(message);
            }
            if state.n_senders == 0 {
                return Err(Disconnected);
            }
            let changed = self.0.changed.wait(state);
            state = changed.expect(NO_PANIC);
        }
    }

    /// A message that is there already.
    pub fn try_recv(&self) -> Option<T> {
        self.0.lock().waiting.pop_front()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.0.lock().n_senders += 1;
        Sender(Arc::clone(&self.0))
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        Receiver(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        // A failed model unwinds outside of loom's world, where its locks are gone.
        if std::thread::panicking() {
            return;
        }
        let mut state = self.0.lock();
        state.n_senders -= 1;
        if state.n_senders == 0 {
            self.0.changed.notify_all();
        }
    }
}
