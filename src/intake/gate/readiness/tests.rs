//! The same story, told of both kinds of readiness.

use super::{epoll, poll};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

const LONG: Option<Duration> = Some(Duration::from_secs(20));
const SHORT: Option<Duration> = Some(Duration::from_millis(1));

fn pair() -> (OwnedFd, UnixStream) {
    let (near, far) = UnixStream::pair().expect("a pair of sockets");
    (OwnedFd::from(near), far)
}

/// What both kinds do, so that the same story can be told of each.
trait Kind: Sync {
    fn watch(&self, fd: &OwnedFd, token: u64) -> io::Result<()>;
    fn watch_again(&self, fd: &OwnedFd, token: u64) -> io::Result<()>;
    fn forget(&self, fd: &OwnedFd, token: u64);
    fn wake(&self);
    fn wait(&self, ready: &mut Vec<u64>, timeout: Option<Duration>) -> io::Result<()>;
}

impl Kind for epoll::Readiness {
    fn watch(&self, fd: &OwnedFd, token: u64) -> io::Result<()> {
        self.watch(fd, token)
    }
    fn watch_again(&self, fd: &OwnedFd, token: u64) -> io::Result<()> {
        self.watch_again(fd, token)
    }
    fn forget(&self, fd: &OwnedFd, token: u64) {
        self.forget(fd, token);
    }
    fn wake(&self) {
        self.wake();
    }
    fn wait(&self, ready: &mut Vec<u64>, timeout: Option<Duration>) -> io::Result<()> {
        self.wait(ready, timeout)
    }
}

impl Kind for poll::Readiness {
    fn watch(&self, fd: &OwnedFd, token: u64) -> io::Result<()> {
        self.watch(fd, token)
    }
    fn watch_again(&self, fd: &OwnedFd, token: u64) -> io::Result<()> {
        self.watch_again(fd, token)
    }
    fn forget(&self, fd: &OwnedFd, token: u64) {
        self.forget(fd, token);
    }
    fn wake(&self) {
        self.wake();
    }
    fn wait(&self, ready: &mut Vec<u64>, timeout: Option<Duration>) -> io::Result<()> {
        self.wait(ready, timeout)
    }
}

fn tell(kind: &impl Kind) {
    let (near, mut far) = pair();
    let mut ready = Vec::new();
    let mut wait = |timeout| {
        kind.wait(&mut ready, timeout).expect("a wait");
        ready.clone()
    };
    let nothing = [0; 0];
    kind.watch(&near, 7).expect("watched");
    assert_eq!(wait(SHORT), nothing, "nothing was written yet");
    far.write_all(b"x").expect("there is room");
    // The other kind is woken by what is watched, so that it watches that too.
    let mut wait_for_one = || loop {
        let ready = wait(LONG);
        if !ready.is_empty() {
            return ready;
        }
    };
    assert_eq!(wait_for_one(), [7]);
    far.write_all(b"x").expect("there is room");
    // Armed again from another thread while this one waits.
    let start = Instant::now();
    let again = thread::scope(|scope| {
        scope.spawn(|| kind.watch_again(&near, 8).expect("watched"));
        wait_for_one()
    });
    assert_eq!(again, [8], "what is readable already is reported at once");
    thread::scope(|scope| {
        scope.spawn(|| kind.wake());
        assert_eq!(wait(LONG), nothing, "woken for nothing in particular");
    });
    assert_eq!(wait(SHORT), nothing, "it is reported once");
    kind.watch_again(&near, 9).expect("watched");
    kind.forget(&near, 9);
    assert_eq!(wait(SHORT), nothing, "forgotten is not reported");
    assert!(
        start.elapsed() < LONG.unwrap_or_default(),
        "nobody overslept"
    );
}

#[test]
fn a_descriptor_is_reported_once_for_each_time_it_is_watched() {
    for _ in 0..50 {
        tell(&epoll::Readiness::new().expect("it can be made"));
        tell(&poll::Readiness::new().expect("it can be made"));
    }
}
