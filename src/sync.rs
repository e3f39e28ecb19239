//! The locks and atomics of what is modelled, in the form that the model tests can replace.
//!
//! `tests/model` builds the crate with `--cfg loom`, where these are loom's, which runs every
//! interleaving. Everywhere else they are the real ones.

#[cfg(not(loom))]
pub use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
#[cfg(not(loom))]
pub use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

#[cfg(loom)]
pub use loom::thread;
#[cfg(not(loom))]
pub use std::thread;

#[cfg(loom)]
pub use self::model::{Condvar, Mutex, MutexGuard, RwLock, wait_until};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Waits for the condition variable until the deadline; spurious wake-ups are the caller's.
#[cfg(not(loom))]
pub fn wait_until<'a, T>(
    condvar: &Condvar,
    mut guard: parking_lot::MutexGuard<'a, T>,
    deadline: std::time::Instant,
) -> parking_lot::MutexGuard<'a, T> {
    condvar.wait_until(&mut guard, deadline);
    guard
}

#[cfg(loom)]
mod model {
    use std::time::Instant;

    pub use loom::sync::Condvar;

    const NO_POISON: &str = "loom's locks are never poisoned here";

    /// loom's lock with `parking_lot`'s signature: no poisoning, no results.
    #[derive(Debug, Default)]
    pub struct Mutex<T>(loom::sync::Mutex<T>);

    pub use loom::sync::MutexGuard;

    impl<T> Mutex<T> {
        pub fn new(value: T) -> Mutex<T> {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect(NO_POISON)
        }
    }

    /// The same for the lock of readers and writers.
    #[derive(Debug)]
    pub struct RwLock<T>(loom::sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub fn new(value: T) -> RwLock<T> {
            RwLock(loom::sync::RwLock::new(value))
        }

        pub fn read(&self) -> loom::sync::RwLockReadGuard<'_, T> {
            self.0.read().expect(NO_POISON)
        }

        pub fn write(&self) -> loom::sync::RwLockWriteGuard<'_, T> {
            self.0.write().expect(NO_POISON)
        }
    }

    /// Waits for the condition variable. Time does not pass in a model: no wait times out, so one
    /// that nobody ends is a deadlock, which loom reports.
    pub fn wait_until<'a, T>(
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
        _: Instant,
    ) -> MutexGuard<'a, T> {
        condvar.wait(guard).expect(NO_POISON)
    }
}
