//! A list that grows while others wait for something in it: log lines, requests that a backend
//! got.

use std::fmt::Debug;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use super::DEADLINE;
use super::wire::Cut;

/// Clones share one list.
pub struct Tape<T>(Arc<Shared<T>>);

struct Shared<T> {
    state: Mutex<State<T>>,
    grown: Condvar,
}

struct State<T> {
    items: Vec<T>,
    /// Nothing will be added any more: waiting on is pointless.
    ended: bool,
}

impl<T> Clone for Tape<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Clone + Debug> Tape<T> {
    pub fn new() -> Self {
        let state = State {
            items: Vec::new(),
            ended: false,
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            grown: Condvar::new(),
        }))
    }

    pub fn push(&self, item: T) {
        self.lock().items.push(item);
        self.0.grown.notify_all();
    }

    pub fn end(&self) {
        self.lock().ended = true;
        self.0.grown.notify_all();
    }

    pub fn items(&self) -> Vec<T> {
        self.lock().items.clone()
    }

    pub fn len(&self) -> usize {
        self.lock().items.len()
    }

    /// Waits until `find` finds what it looks for. Fails with what was awaited and all that came.
    #[track_caller]
    pub fn wait<R>(&self, awaited: &str, find: impl Fn(&[T]) -> Option<R>) -> R {
        self.wait_or_not(|state| find(&state.items))
            .unwrap_or_else(|| panic!("awaited {awaited}, got {:#?}", self.items()))
    }

    /// Waits until there are `n` items and returns those that are there then.
    #[track_caller]
    pub fn wait_for(&self, n: usize, what: &str) -> Vec<T> {
        let awaited = format!("{n} {what}");
        self.wait(&awaited, |items| (items.len() >= n).then(|| items.to_vec()))
    }

    /// The first item ever, or `None` at the deadline: for a caller with more to tell than this
    /// list.
    pub fn first(&self) -> Option<T> {
        self.wait_or_not(|state| state.items.first().cloned())
    }

    /// Waits until nothing can be added any more.
    #[track_caller]
    pub fn wait_for_end(&self, what: &str) {
        self.wait_or_not(|state| state.ended.then_some(()))
            .unwrap_or_else(|| panic!("awaited the end of {what}, got {:#?}", self.items()));
    }

    fn wait_or_not<R>(&self, find: impl Fn(&State<T>) -> Option<R>) -> Option<R> {
        let started = Instant::now();
        let mut state = self.lock();
        loop {
            let found = find(&state);
            let left = DEADLINE.saturating_sub(started.elapsed());
            if found.is_some() || state.ended || left.is_zero() {
                return found;
            }
            let waited = self.0.grown.wait_timeout(state, left);
            (state, _) = waited.expect("no thread panics while it holds the list");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0
            .state
            .lock()
            .expect("no thread panics while it holds the list")
    }
}

/// Holds scripts back until a test opens it. Clones share one gate.
#[derive(Clone)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn closed() -> Self {
        Self(Arc::new((Mutex::new(false), Condvar::new())))
    }

    pub fn open(&self) {
        *self
            .0
            .0
            .lock()
            .expect("no thread panics while it holds a gate") = true;
        self.0.1.notify_all();
    }

    /// Whether nobody has opened it yet.
    pub fn is_closed(&self) -> bool {
        let open = self.0.0.lock();
        !*open.expect("no thread panics while it holds a gate")
    }

    /// Passes once the gate is open. [`Cut::Silent`] when nobody opens it before the deadline.
    pub fn pass(&self) -> Result<(), Cut> {
        let open = self
            .0
            .0
            .lock()
            .expect("no thread panics while it holds a gate");
        let waited = self.0.1.wait_timeout_while(open, DEADLINE, |open| !*open);
        let (open, _) = waited.expect("no thread panics while it holds a gate");
        if *open { Ok(()) } else { Err(Cut::Silent) }
    }
}
