//! The requests of `tiny_http`'s servers: one, unless accepting has timed out.
//!
//! Accepted sockets inherit the listening socket's receive timeout, and only so can stalled clients
//! be bounded here; but it also times `accept()` out, which ends `tiny_http`'s accept thread. The
//! nudges keep that from happening, but on a machine that is busy enough one comes too late. Then a
//! further server on the same socket goes on accepting, while the one before still serves its
//! connections.

use std::io;
use std::iter;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use log::warn;
use tiny_http::{Request, Server};

use crate::intake::tiny::socket;

/// Further servers at most; one more timeout ends the listener.
const MAX_REVIVALS: usize = 16;
/// While there are several servers, the older ones are looked at this often.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// All servers of a listener. Owned by the listener thread.
pub struct Accepting<'a> {
    first: &'a Server,
    later: Vec<Server>,
    /// On the newest.
    watch: AcceptWatch,
    /// A second descriptor of the listening socket.
    socket: &'a TcpListener,
    /// The last look found no accept thread; what it said last may still be on its way.
    is_suspect: bool,
}

impl<'a> Accepting<'a> {
    /// Begins with one server, whose own descriptor is watched.
    pub fn new(first: &'a Server, watch: AcceptWatch, socket: &'a TcpListener) -> Accepting<'a> {
        Accepting {
            first,
            later: Vec::new(),
            watch,
            socket,
            is_suspect: false,
        }
    }

    /// The next request of any server; none after `wait`, or when woken. An error is the end.
    pub fn next(&mut self, wait: Duration) -> io::Result<Option<Request>> {
        let received = match self.later.last() {
            None => self.first.recv_timeout(wait),
            Some(newest) => {
                let servers = iter::once(self.first).chain(&self.later);
                let here = servers
                    .map(Server::try_recv)
                    .find(|r| !matches!(r, Ok(None)));
                here.unwrap_or_else(|| newest.recv_timeout(wait.min(POLL_INTERVAL)))
            }
        };
        match received {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.revive(error).map(|()| None)
            }
            received => received,
        }
    }

    /// Whether someone accepts. A dead accept thread is believed at the second look.
    pub fn is_alive(&mut self) -> bool {
        let was_suspect = self.is_suspect;
        self.is_suspect = !self.watch.is_accepting();
        !(was_suspect && self.is_suspect)
    }

    fn revive(&mut self, error: io::Error) -> io::Result<()> {
        if self.later.len() >= MAX_REVIVALS {
            return Err(error);
        }
        warn!("accepting timed out on a busy machine, and is started again");
        let listener = self.socket.try_clone()?;
        self.watch = AcceptWatch::new(&listener);
        self.is_suspect = false;
        self.later
            .push(Server::from_listener(listener, None).map_err(io::Error::other)?);
        Ok(())
    }
}

/// Notices that `tiny_http`'s accept thread is gone.
///
/// An accept error ends that thread with one message, a panic in it (out of descriptors) without
/// any, and the process would live on deaf. But the thread owns the listening descriptor, and
/// closes it in either case.
#[derive(Clone, Copy)]
pub struct AcceptWatch {
    fd: RawFd,
    identity: Option<u64>,
}

impl AcceptWatch {
    /// For the descriptor that the accept thread will own.
    pub fn new(listener: &TcpListener) -> AcceptWatch {
        let fd = listener.as_raw_fd();
        let identity = socket::identity_of(fd);
        if identity.is_none() {
            warn!("no list of descriptors here: a dead accept thread would not be noticed");
        }
        AcceptWatch { fd, identity }
    }

    fn is_accepting(&self) -> bool {
        // The number may be another file's by now: then the identity differs.
        self.identity.is_none() || socket::identity_of(self.fd) == self.identity
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpStream;

    /// The trick: no nudges, so that accepting times out, and then a client.
    #[test]
    fn a_timed_out_accept_is_taken_up_by_a_new_server() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        crate::intake::tiny::set_options(&listener, Duration::from_millis(50))
            .expect("it takes them");
        let address = listener.local_addr().expect("it is bound");
        let socket = listener.try_clone().expect("a descriptor");
        let watch = AcceptWatch::new(&listener);
        let server = Server::from_listener(listener, None).expect("it starts");
        let mut accepting = Accepting::new(&server, watch, &socket);
        if cfg!(target_os = "linux") {
            while accepting.later.is_empty() {
                let next = accepting
                    .next(Duration::from_secs(10))
                    .expect("a timeout is no end");
                assert!(next.is_none(), "nobody has asked");
            }
        }
        let mut client = TcpStream::connect(address).expect("the port was never closed");
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("someone is there");
        let request = loop {
            let next = accepting
                .next(Duration::from_secs(10))
                .expect("it goes on accepting");
            if let Some(request) = next {
                break request;
            }
        };
        assert_eq!(request.url(), "/");
    }
}
