//! Connections to our own listener, closed at once, that keep `tiny_http`'s threads going.
//!
//! Two weaknesses of `tiny_http` are mended by them. Its accept loop ends when accepting times
//! out, and it does, because the timeout that bounds stalled clients is inherited from the
//! listening socket. And its thread pool counts a thread as idle until it has really woken, so
//! that of a burst of connections many may be queued for few threads, and wait until one of these
//! is done with its client, which on a kept-alive connection can take for ever. But when no thread
//! is idle, one more connection starts one more thread, which looks into that queue once it is
//! done with its own.
//!
//! Which connections wait there cannot be seen, so the nudges go by the number of open
//! descriptors: as many as it grew by, and a few as long as there are more than the threads that
//! the pool always has could serve.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use log::debug;

use crate::intake::tiny::socket;

/// The time between two looks, while requests come in …
const BUSY_INTERVAL: Duration = Duration::from_millis(50);
/// … and while none do.
const QUIET_INTERVAL: Duration = Duration::from_millis(250);
/// Nudges with each look, while there are so many descriptors that some may wait.
const TRICKLE: usize = 2;
/// Descriptors that the connections can have which `tiny_http`'s four lasting threads serve.
const SERVED: usize = 8;
/// Nudges that may follow each other without a pause …
const MAX_TOKENS: usize = 256;
/// … and how many more with each look: clients that connect anew for each request cost no more.
const TOKENS_PER_LOOK: usize = 8;
/// Connecting to ourselves takes no time, unless the backlog is full, and then others do the same.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(20);

/// Decides when to nudge. Owned by the listener thread.
pub struct Nudge {
    address: SocketAddr,
    /// Longest time without a connection.
    heartbeat: Duration,
    last: Instant,
    last_look: Instant,
    has_requests: bool,
    /// Open descriptors at the start, and at the last look.
    n_at_start: usize,
    n_at_look: usize,
    tokens: usize,
}

impl Nudge {
    /// For a listener at this address, whose `accept()` times out after `accept_timeout`.
    pub fn new(listener: SocketAddr, accept_timeout: Duration, n_at_start: usize) -> Nudge {
        let mut address = listener;
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        let now = Instant::now();
        Nudge {
            address,
            heartbeat: accept_timeout / 3,
            last: now,
            last_look: now,
            has_requests: false,
            n_at_start,
            n_at_look: n_at_start,
            tokens: MAX_TOKENS,
        }
    }

    /// A request came in: there may be a burst of connections.
    pub fn note_request(&mut self) {
        self.has_requests = true;
    }

    /// When to call [`Nudge::look`] next.
    pub fn next_look(&self) -> Instant {
        self.last_look
            + if self.has_requests {
                BUSY_INTERVAL
            } else {
                QUIET_INTERVAL
            }
    }

    /// Looks, if it is time to, and nudges, if some connection may wait for a thread.
    pub fn look(&mut self, now: Instant) {
        if now < self.next_look() {
            return;
        }
        let n = count_descriptors();
        self.has_requests = false;
        self.last_look = now;
        self.tokens = (self.tokens + TOKENS_PER_LOOK).min(MAX_TOKENS);
        // A connection has two descriptors: this makes two nudges for each.
        let grown = n.saturating_sub(self.n_at_look);
        self.n_at_look = n;
        let trickle = if n > self.n_at_start + SERVED {
            TRICKLE
        } else {
            0
        };
        let heartbeat = usize::from(now >= self.last + self.heartbeat);
        let n_nudges = grown.max(trickle).min(self.tokens).max(heartbeat);
        if n_nudges > 0 {
            self.last = now;
            self.tokens = self.tokens.saturating_sub(n_nudges);
            self.nudge(n_nudges);
        }
    }

    fn nudge(&self, n_nudges: usize) {
        for _ in 0..n_nudges {
            match TcpStream::connect_timeout(&self.address, CONNECT_TIMEOUT) {
                // A reset leaves no port behind in TIME_WAIT.
                Ok(stream) => crate::system::reset(&stream),
                Err(error) => {
                    // Busy with others is as good, and dead is noticed by the watch.
                    debug!("no connection to our own listener: {error}");
                    return;
                }
            }
        }
    }
}

/// Open descriptors of the process; 0 where they cannot be listed.
pub fn count_descriptors() -> usize {
    fs::read_dir(socket::DESCRIPTORS).map_or(0, Iterator::count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn n_nudges(listener: &TcpListener) -> usize {
        std::iter::from_fn(|| listener.accept().ok()).count()
    }

    /// A nudge for a listener of the test's own, and a clock that has just begun.
    fn nudge_for(listener: &TcpListener) -> (Nudge, Instant) {
        listener.set_nonblocking(true).expect("a socket can be");
        let address = listener.local_addr().expect("it is bound");
        let nudge = Nudge::new(address, Duration::from_secs(30), count_descriptors());
        let start = nudge.last;
        (nudge, start)
    }

    /// Other tests of this process open and close descriptors at the same time, so that only
    /// bounds can be asserted: the growth is set by hand.
    #[test]
    fn growth_is_nudged_at_the_next_look_and_silence_by_a_heartbeat() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (mut nudge, start) = nudge_for(&listener);
        nudge.note_request();
        nudge.n_at_look = 0;
        nudge.look(start);
        assert_eq!(n_nudges(&listener), 0, "it is not time to look yet");
        let now = nudge.next_look();
        assert_eq!(now, start + BUSY_INTERVAL);
        nudge.look(now);
        assert!(n_nudges(&listener) >= 3, "the descriptors of any process");
        nudge.n_at_start = usize::MAX - SERVED;
        nudge.n_at_look = usize::MAX;
        assert_eq!(nudge.next_look(), now + QUIET_INTERVAL);
        nudge.look(nudge.next_look());
        assert_eq!(
            n_nudges(&listener),
            0,
            "no growth, and no time for a heartbeat"
        );
        nudge.n_at_look = usize::MAX;
        nudge.look(now + Duration::from_secs(10));
        assert_eq!(n_nudges(&listener), 1, "a third of the timeout has passed");
    }

    #[test]
    fn nudges_go_on_while_connections_may_wait_and_are_bounded() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (mut nudge, _) = nudge_for(&listener);
        nudge.n_at_start = 0;
        nudge.tokens = 0;
        let mut total = 0;
        for _ in 0..10 {
            nudge.n_at_look = 0;
            nudge.look(nudge.next_look());
            total += n_nudges(&listener);
        }
        assert!(total <= 10 * TOKENS_PER_LOOK, "{total}");
        nudge.n_at_look = usize::MAX;
        nudge.n_at_start = 0;
        nudge.tokens = MAX_TOKENS;
        if count_descriptors() > SERVED {
            nudge.look(nudge.next_look());
            assert_eq!(n_nudges(&listener), TRICKLE);
        }
    }
}
