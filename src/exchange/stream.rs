//! A connection to a backend, read with patience: for as long as a limit says, and while the
//! client is there.
//!
//! Lent by the pool to one exchange, on the worker's thread.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::exchange::desk::Desk;
use crate::exchange::presence::CLOSED;
use crate::intake::{Found, Peer};
use crate::system::timespec;

/// A read gives up after this, and what else may have happened is looked at; shorter where a
/// timeout is. Short, so that a client that goes away frees its worker at once; long enough that
/// a quick answer costs one call.
pub const TICK: Duration = Duration::from_millis(20);
/// How long a backend may be silent before a client's socket is searched for, where that costs.
const SEARCH_AFTER: Duration = Duration::from_millis(500);

/// A connection in use.
#[derive(Debug)]
pub struct BackendStream {
    /// The connection. Its reads give up after a [`TICK`].
    pub stream: TcpStream,
    desk: Arc<Desk>,
    /// What is known of the client's socket: looked for by the first long wait.
    client: Option<Found>,
    /// What happens to it when the client goes away; an error or a reset is told anyway.
    gone: PollFlags,
}

impl BackendStream {
    /// Takes a connection into use.
    pub fn new(stream: TcpStream, desk: Arc<Desk>) -> BackendStream {
        BackendStream {
            stream,
            desk,
            client: None,
            gone: PollFlags::empty(),
        }
    }

    /// Receives what comes within `limit` from `start`, which is now. Only waits that are longer
    /// than a [`TICK`] cost more than the one call of `receive`.
    ///
    /// Fails with `TimedOut` after that, and when the client went away.
    pub fn read(
        &mut self,
        start: Instant,
        limit: Duration,
        mut receive: impl FnMut(&mut TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            match receive(&mut self.stream) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let waited = start.elapsed();
                    if waited >= limit {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    self.be_patient(waited, limit)?;
                }
                result => return result,
            }
        }
    }

    /// Waits for the backend, and for a client that goes away meanwhile. `waited` is how long the
    /// backend has been silent already.
    pub fn be_patient(&mut self, waited: Duration, limit: Duration) -> io::Result<()> {
        let mut left = limit.saturating_sub(waited);
        if self.client.is_none() {
            let peer = self.desk.with(|attempt| attempt.peer.clone());
            match peer {
                // Searching costs, and most answers are here before it would pay.
                Some(Peer::Hidden(..)) if waited < SEARCH_AFTER => {
                    left = left.min(SEARCH_AFTER.saturating_sub(waited));
                }
                peer => {
                    if matches!(peer, Some(Peer::Here(_))) {
                        self.gone = CLOSED;
                    }
                    self.client = Some(peer.map_or(Found::Unknown, |peer| peer.find()));
                }
            }
        }
        let client = match &self.client {
            Some(Found::Here(client)) => Some(client),
            Some(Found::Gone) => return Err(self.client_went_away()),
            Some(Found::Unknown) | None => None,
        };
        let mut fds = vec![PollFd::new(&self.stream, PollFlags::IN)];
        fds.extend(client.map(|client| PollFd::new(client, self.gone)));
        match rustix::event::poll(&mut fds, Some(&timespec(left))) {
            Ok(_)
                if fds
                    .get(1)
                    .is_some_and(|client| !client.revents().is_empty()) =>
            {
                Err(self.client_went_away())
            }
            // Whether the time is over, is looked at before the next wait.
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn client_went_away(&self) -> io::Error {
        self.desk.with(|attempt| attempt.client_is_gone = true);
        io::Error::other("the client went away")
    }
}
