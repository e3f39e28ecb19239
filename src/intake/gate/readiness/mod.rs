//! Waits for many descriptors at once, each of them once: what a waiter thread is made of.
//!
//! On Linux over epoll, by rustix: measured beside mio and polling (`bench/readiness.rs`), handing
//! a connection to another thread and taking it back costs one system call here, because epoll
//! itself can disarm what it has reported; mio, which always reports edges, needs two, and polling
//! needs `unsafe`. Elsewhere over `poll`, which looks at every descriptor each time: right for
//! the tens of connections of a development machine. Both are tested on Linux.

#[cfg(target_os = "linux")]
mod epoll;
#[cfg(any(not(target_os = "linux"), test))]
mod poll;

#[cfg(target_os = "linux")]
pub use self::epoll::Readiness;
#[cfg(not(target_os = "linux"))]
pub use self::poll::Readiness;

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

/// Ends a wait from another thread: a socket pair of which one end is always watched.
#[derive(Debug)]
struct Waker {
    near: UnixStream,
    far: UnixStream,
}

impl Waker {
    fn new() -> io::Result<Waker> {
        let (near, far) = UnixStream::pair()?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        Ok(Waker { near, far })
    }

    fn wake(&self) {
        // Full: it is woken already.
        let _ = (&self.far).write(&[0]);
    }

    fn drain(&self) {
        let mut scratch = [0; 64];
        while matches!((&self.near).read(&mut scratch), Ok(n) if n > 0) {}
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
