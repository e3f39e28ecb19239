//! A connection to a backend, read and written with patience: for as long as a limit says, and
//! while the client is there.
//!
//! Lent by the pool to one exchange, on the worker's thread.

use std::io::{self, IoSlice, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::exchange::desk::Desk;
use crate::exchange::interim::{Seen, look};
use crate::exchange::presence::CLOSED;
use crate::intake::{Found, Peer};
use crate::system::timespec;

/// A read or a write gives up after this, and what else may have happened is looked at; shorter
/// where a timeout is. Short, so that a client that goes away frees its worker at once; long enough
/// that a quick answer costs one call.
pub const TICK: Duration = Duration::from_millis(20);
/// How long a backend may be silent before a client's socket is searched for, where that costs.
const SEARCH_AFTER: Duration = Duration::from_millis(500);

/// A connection in use.
#[derive(Debug)]
pub struct BackendStream {
    /// The connection. Its reads and writes give up after a [`TICK`].
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
                    self.await_input(waited, limit)?;
                }
                result => return result,
            }
        }
    }

    /// Sends both parts, in as few calls as the socket takes. Only where none of it goes for a
    /// [`TICK`] does it cost more: then this also looks what the backend says.
    ///
    /// Fails with `BrokenPipe` when that has answered or ended, which wants no more, with
    /// `WouldBlock` when nothing has gone for `limit`, and when the client went away.
    pub fn write_all(&mut self, head: &[u8], content: &[u8], limit: Duration) -> io::Result<()> {
        let mut parts = [IoSlice::new(head), IoSlice::new(content)];
        let mut left = &mut parts[..];
        IoSlice::advance_slices(&mut left, 0);
        let mut stuck_since = None;
        while let Some(first) = left.first() {
            let sent = match left.len() {
                1 => self.stream.write(first), // which the kernel can do with less ado
                _ => self.stream.write_vectored(left),
            };
            match sent {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    IoSlice::advance_slices(&mut left, n);
                    stuck_since = None;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let now = Instant::now();
                    let waited = now - *stuck_since.get_or_insert(now);
                    if waited >= limit {
                        return Err(error);
                    }
                    self.be_patient(PollFlags::IN | PollFlags::OUT, waited, limit)?;
                    if let Seen::Answer | Seen::End = look(&self.stream, &self.desk)? {
                        return Err(io::ErrorKind::BrokenPipe.into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until the backend says something. `waited` is how long it has been silent already.
    pub fn await_input(&mut self, waited: Duration, limit: Duration) -> io::Result<()> {
        self.be_patient(PollFlags::IN, waited, limit)
    }

    /// Waits for the backend, and for a client that goes away meanwhile.
    fn be_patient(
        &mut self,
        events: PollFlags,
        waited: Duration,
        limit: Duration,
    ) -> io::Result<()> {
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
        let mut fds = vec![PollFd::new(&self.stream, events)];
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

#[cfg(test)]
mod tests {
    use super::*;

    use std::io::Read;
    use std::thread;

    use crate::system::tcp_pair;
    use crate::watch::Sheet;

    /// More than both sockets hold.
    const MUCH: usize = 64 << 20;
    const LONG: Duration = Duration::from_secs(20);

    /// The backend's end, and ours.
    fn connected() -> (TcpStream, BackendStream) {
        let (far, near) = tcp_pair();
        near.set_write_timeout(Some(TICK)).expect("a socket");
        let desk = Arc::new(Desk::new(Arc::new(Sheet::new(Instant::now()))));
        (far, BackendStream::new(near, desk))
    }

    fn write_much(stream: &mut BackendStream, limit: Duration) -> io::ErrorKind {
        let much = vec![b'x'; MUCH];
        let sent = stream.write_all(b"head", &much, limit);
        sent.expect_err("nobody reads it").kind()
    }

    #[test]
    fn what_is_read_slowly_is_sent_whole() {
        let (mut far, mut near) = connected();
        let content: Vec<u8> = (0..=250).cycle().take(8 << 20).collect();
        let wanted = [b"head", &content[..]].concat();
        let reader = thread::spawn(move || {
            let mut got = Vec::new();
            far.read_to_end(&mut got).map(|_| got)
        });
        near.write_all(b"head", &content, LONG).expect("it is read");
        drop(near);
        let got = reader.join().expect("no panic").expect("it is open");
        assert!(got == wanted);
    }

    #[test]
    fn an_answer_is_seen_while_the_backend_reads_nothing() {
        let (mut far, mut near) = connected();
        let answer = b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n";
        far.write_all(answer).expect("it fits");
        assert_eq!(write_much(&mut near, LONG), io::ErrorKind::BrokenPipe);
        assert_eq!(near.desk.with(|attempt| attempt.ahead.clone()), answer);
    }

    #[test]
    fn a_backend_that_ends_its_side_wants_no_more() {
        let (far, mut near) = connected();
        far.shutdown(std::net::Shutdown::Write).expect("it is open");
        assert_eq!(write_much(&mut near, LONG), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_client_that_goes_away_ends_the_wait_for_room() {
        let (_far, mut near) = connected();
        let (client, socket) = tcp_pair();
        let peer = Peer::Here(Arc::new(socket.into()));
        near.desk.with(|attempt| attempt.peer = Some(peer));
        // A reset is told on every system.
        rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO)).expect("a socket");
        drop(client);
        assert_eq!(write_much(&mut near, LONG), io::ErrorKind::Other);
        assert!(near.desk.with(|attempt| attempt.client_is_gone));
    }

    #[test]
    fn a_backend_that_takes_nothing_is_given_up_after_the_limit() {
        let (_far, mut near) = connected();
        let limit = Duration::from_millis(50);
        let start = Instant::now();
        assert_eq!(write_much(&mut near, limit), io::ErrorKind::WouldBlock);
        assert!(start.elapsed() >= limit);
    }
}
