//! The lock and the atomic of the pick, in the form that the model test can replace.
//!
//! `tests/model` builds the crate with `--cfg loom`, where these two are loom's, which runs every
//! interleaving. Everywhere else they are the real ones.

#[cfg(not(loom))]
pub use parking_lot::RwLock;
#[cfg(not(loom))]
pub use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(loom)]
pub use self::model::RwLock;
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicUsize, Ordering};

#[cfg(loom)]
mod model {
    /// loom's lock with `parking_lot`'s signature: no poisoning, no results.
    #[derive(Debug)]
    pub struct RwLock<T>(loom::sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub fn new(value: T) -> RwLock<T> {
            RwLock(loom::sync::RwLock::new(value))
        }

        pub fn read(&self) -> loom::sync::RwLockReadGuard<'_, T> {
            self.0.read().expect("loom's locks are never poisoned here")
        }

        pub fn write(&self) -> loom::sync::RwLockWriteGuard<'_, T> {
            self.0
                .write()
                .expect("loom's locks are never poisoned here")
        }
    }
}
