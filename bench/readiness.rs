//! What it costs to hand a readable connection over and to watch it again: ours, mio, polling.
//!
//! One cycle is what the waiter and a worker do for a request that is not lingered for: a byte
//! comes, the waiter is told, nobody watches the socket while it is served, then it is watched
//! again. The rest of the request is left out. Run with `make readiness`.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use divan::{Bencher, main as run};
use threadbare::intake::gate::readiness::Readiness;

/// Connections that are watched and silent meanwhile.
const N_IDLE: [usize; 2] = [0, 1000];

fn main() {
    run();
}

/// A socket with its far end.
struct Line {
    near: UnixStream,
    far: UnixStream,
}

impl Line {
    fn new() -> Line {
        let (near, far) = UnixStream::pair().expect("a pair of sockets");
        near.set_nonblocking(true).expect("it takes the option");
        Line { near, far }
    }

    fn say(&mut self) {
        self.far.write_all(b"x").expect("there is room");
    }

    fn hear(&mut self) {
        self.near.read_exact(&mut [0]).expect("a byte is there");
    }
}

fn idle_lines(n: usize) -> Vec<Line> {
    // Two descriptors each: a soft limit of 1024 would be too low.
    threadbare::process::limits::raise_descriptor_limit();
    (0..n).map(|_| Line::new()).collect()
}

#[divan::bench(args = N_IDLE)]
fn ours(bencher: Bencher, n_idle: usize) {
    let readiness = Readiness::new().expect("it can be made");
    let idle = idle_lines(n_idle);
    for (i, line) in idle.iter().enumerate() {
        readiness.watch(&line.near, i as u64).expect("watched");
    }
    let mut line = Line::new();
    readiness.watch(&line.near, n_idle as u64).expect("watched");
    let mut ready = Vec::new();
    bencher.bench_local(|| {
        line.say();
        readiness.wait(&mut ready, None).expect("a wait");
        line.hear();
        let token = *ready.first().expect("a byte is there");
        readiness.watch_again(&line.near, token).expect("watched");
    });
}

#[divan::bench(args = N_IDLE)]
fn mio(bencher: Bencher, n_idle: usize) {
    use mio::unix::SourceFd;
    use mio::{Events, Interest, Poll, Token};
    let mut poll = Poll::new().expect("it can be made");
    let idle = idle_lines(n_idle);
    let watch = |poll: &Poll, line: &Line, i: usize| {
        let fd = line.near.as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&fd), Token(i), Interest::READABLE)
            .expect("watched");
    };
    for (i, line) in idle.iter().enumerate() {
        watch(&poll, line, i);
    }
    let mut line = Line::new();
    watch(&poll, &line, n_idle);
    let mut events = Events::with_capacity(256);
    bencher.bench_local(|| {
        line.say();
        poll.poll(&mut events, None).expect("a wait");
        // It reports every edge: a socket in other hands would wake the waiter for each byte.
        let fd = line.near.as_raw_fd();
        poll.registry()
            .deregister(&mut SourceFd(&fd))
            .expect("it was watched");
        line.hear();
        watch(&poll, &line, n_idle);
    });
}

#[divan::bench(args = N_IDLE)]
#[allow(unsafe_code)]
fn polling(bencher: Bencher, n_idle: usize) {
    use polling::{Event, Events, Poller};
    let poller = Poller::new().expect("it can be made");
    let idle = idle_lines(n_idle);
    let mut line = Line::new();
    for (i, line) in idle.iter().chain([&line]).enumerate() {
        // SAFETY: the sockets live until the poller is gone: they are dropped after its last use.
        unsafe { poller.add(&line.near, Event::readable(i)) }.expect("watched");
    }
    let mut events = Events::new();
    bencher.bench_local(|| {
        line.say();
        events.clear();
        poller.wait(&mut events, None).expect("a wait");
        line.hear();
        poller
            .modify(&line.near, Event::readable(n_idle))
            .expect("watched");
    });
    for line in idle.iter().chain([&line]) {
        poller.delete(&line.near).expect("it was watched");
    }
}
