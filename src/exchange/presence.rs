//! Whether a client is still there, while something else is waited for.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::intake::Peer;
use crate::system::peek;

/// The client closed. One that has only said all it had to say looks the same, and is treated the
/// same, as by nginx and Go. Not for a hidden socket: a library may have closed its reading side.
#[cfg(target_os = "linux")]
pub const CLOSED: PollFlags = PollFlags::RDHUP;
#[cfg(not(target_os = "linux"))]
pub const CLOSED: PollFlags = PollFlags::empty();

/// Whether the client has gone away, as far as a look at its socket tells. A hidden socket is not
/// searched for.
pub fn is_gone(peer: Option<&Peer>) -> bool {
    let Some(Peer::Here(socket)) = peer else {
        return false;
    };
    let mut fds = [PollFd::new(socket, CLOSED)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // An error says nothing about the client.
    let is_told = rustix::event::poll(&mut fds, Some(&at_once)).is_ok();
    is_told && !fds[0].revents().is_empty() || CLOSED.is_empty() && is_at_end(socket)
}

/// The same for systems whose poll does not tell.
fn is_at_end(socket: &OwnedFd) -> bool {
    peek(socket) == Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::net::Shutdown;
    use std::sync::Arc;

    use crate::system::tcp_pair;

    #[test]
    fn a_client_that_closes_is_gone_and_one_that_is_silent_is_not() {
        let (client, socket) = tcp_pair();
        let peer = Peer::Here(Arc::new(socket.into()));
        assert!(!is_gone(Some(&peer)));
        assert!(!is_gone(None), "nobody knows");
        client.shutdown(Shutdown::Both).expect("it is connected");
        drop(client);
        let is_seen = || {
            let Peer::Here(socket) = &peer else {
                unreachable!("it is here")
            };
            is_gone(Some(&peer)) && is_at_end(socket)
        };
        // On the loopback at once, or nearly.
        assert!((0..1_000_000).any(|_| is_seen()));
    }
}
