//! Readiness over poll, for systems without epoll.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::Waker;
use crate::system::timespec;

/// The descriptors that are watched, by all threads.
#[derive(Debug)]
pub struct Readiness {
    /// Protects the duplicates of what is watched, by token; held to add, take out or copy.
    watched: Mutex<HashMap<u64, OwnedFd>>,
    waker: Waker,
}

impl Readiness {
    /// Watches nothing yet.
    pub fn new() -> io::Result<Readiness> {
        Ok(Readiness {
            watched: Mutex::new(HashMap::new()),
            waker: Waker::new()?,
        })
    }

    /// Reports `token` once, when `fd` can be read from or has ended.
    pub fn watch(&self, fd: &impl AsFd, token: u64) -> io::Result<()> {
        let duplicate = fd.as_fd().try_clone_to_owned()?;
        let before = self.watched.lock().insert(token, duplicate);
        drop(before); // closed outside the lock
        self.waker.wake();
        Ok(())
    }

    /// The same, once more. Any thread may call it.
    pub fn watch_again(&self, fd: &impl AsFd, token: u64) -> io::Result<()> {
        self.watch(fd, token)
    }

    /// Reports it no more.
    pub fn forget(&self, _fd: &impl AsFd, token: u64) {
        let before = self.watched.lock().remove(&token);
        drop(before); // closed outside the lock
    }

    /// Ends a wait, the current one or the next.
    pub fn wake(&self) {
        self.waker.wake();
    }

    /// Waits until something is reported, someone wakes, or the time is over. `None`: for ever.
    pub fn wait(&self, ready: &mut Vec<u64>, timeout: Option<Duration>) -> io::Result<()> {
        ready.clear();
        // Taken out for the wait, so that no lock is held across it.
        let watched: Vec<(u64, OwnedFd)> = self.watched.lock().drain().collect();
        let mut fds = vec![PollFd::new(&self.waker.near, PollFlags::IN)];
        fds.extend(watched.iter().map(|(_, fd)| PollFd::new(fd, PollFlags::IN)));
        let timeout = timeout.map(timespec);
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        if is_ready[0] {
            self.waker.drain();
        }
        let mut left = self.watched.lock();
        for ((token, fd), is_ready) in watched.into_iter().zip(&is_ready[1..]) {
            if *is_ready {
                ready.push(token);
            } else {
                // What was watched again meanwhile is newer.
                left.entry(token).or_insert(fd);
            }
        }
        Ok(())
    }
}
