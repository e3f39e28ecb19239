//! Readiness over epoll: what was reported is disarmed by the system itself (EPOLLONESHOT).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

use super::Waker;
use crate::system::timespec;

/// Reports taken from the system at a time.
const MAX_EVENTS: usize = 256;
/// The waker's own token; connections count from 0 and never come here.
const WAKER: u64 = u64::MAX;

/// The descriptors that are watched, by all threads.
#[derive(Debug)]
pub struct Readiness {
    epoll: OwnedFd,
    waker: Waker,
}

impl Readiness {
    /// Watches nothing yet.
    pub fn new() -> io::Result<Readiness> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let waker = Waker::new()?;
        epoll::add(
            &epoll,
            &waker.near,
            EventData::new_u64(WAKER),
            EventFlags::IN,
        )?;
        Ok(Readiness { epoll, waker })
    }

    /// Reports `token` once, when `fd` can be read from or has ended. Closing it ends the watch.
    pub fn watch(&self, fd: &impl AsFd, token: u64) -> io::Result<()> {
        let events = EventFlags::IN | EventFlags::RDHUP | EventFlags::ONESHOT;
        epoll::add(&self.epoll, fd, EventData::new_u64(token), events)?;
        Ok(())
    }

    /// The same, once more, for what was watched before. Any thread may call it.
    pub fn watch_again(&self, fd: &impl AsFd, token: u64) -> io::Result<()> {
        let events = EventFlags::IN | EventFlags::RDHUP | EventFlags::ONESHOT;
        epoll::modify(&self.epoll, fd, EventData::new_u64(token), events)?;
        Ok(())
    }

    /// Reports it no more.
    pub fn forget(&self, fd: &impl AsFd, _token: u64) {
        let _ = epoll::delete(&self.epoll, fd); // an error: it was not watched
    }

    /// Ends a wait, the current one or the next.
    pub fn wake(&self) {
        self.waker.wake();
    }

    /// Waits until something is reported, someone wakes, or the time is over. `None`: for ever.
    pub fn wait(&self, ready: &mut Vec<u64>, timeout: Option<Duration>) -> io::Result<()> {
        ready.clear();
        let mut room = [const { MaybeUninit::<Event>::uninit() }; MAX_EVENTS];
        let timeout = timeout.map(timespec);
        let (events, _) = match epoll::wait(&self.epoll, &mut room[..], timeout.as_ref()) {
            Ok(events) => events,
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for event in events {
            let token = event.data.u64();
            if token == WAKER {
                self.waker.drain();
            } else {
                ready.push(token);
            }
        }
        Ok(())
    }
}
