//! A connection in the hands of a worker: blocking reads and writes with deadlines, for the time
//! of one exchange; then it goes on to its next request, or back to the lot.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::debug;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, shutdown};

use crate::intake::gate::ahead::{Arrived, Unread};
use crate::intake::gate::connection::{Connection, Progress};
use crate::intake::gate::pace::Pace;
use crate::intake::gate::{Shared, refuse};
use crate::intake::{Client, ClientTunnel, Ending, Job, Limit, MAX_HELD, Peer};
use crate::system::{reset, timespec};

/// The client of one request.
pub struct GateClient {
    shared: Arc<Shared>,
    connection: Box<Connection>,
    /// Content that was read ahead, and how much of it has been given out.
    held: Vec<u8>,
    n_given: usize,
    unread: Unread,
    /// The client waits for 100 before it sends the content.
    expects_continue: bool,
    /// Content given out so far, for the limit.
    n_content: u64,
    reading: Pace,
    writing: Pace,
}

/// Makes a job of a request that has arrived.
pub fn job(shared: &Arc<Shared>, connection: Box<Connection>, arrived: Arrived) -> Job {
    let Arrived {
        request,
        held,
        unread,
    } = arrived;
    let client = GateClient {
        shared: Arc::clone(shared),
        connection,
        held,
        n_given: 0,
        unread,
        expects_continue: request.expects_continue,
        n_content: 0,
        reading: Pace::default(),
        writing: Pace::default(),
    };
    Job {
        request,
        refusal: None,
        client: Box::new(client),
        queued_at: Instant::now(),
    }
}

impl GateClient {
    /// Reads content without a length, or behind what is in memory: into the connection's buffer.
    fn receive(&mut self) -> io::Result<()> {
        self.wait_for(|connection| connection.receive(RecvFlags::empty()))?;
        Ok(())
    }

    /// Reads content of a known length, as much as is left of it, without a buffer between.
    fn receive_into(&mut self, buffer: &mut [u8], left: u64) -> io::Result<usize> {
        let most = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let n = self.wait_for(|connection| {
            let room = &mut buffer[..most];
            let (_, n) = rustix::net::recv(&*connection.socket, room, RecvFlags::empty())?;
            Ok(n)
        })?;
        self.unread = match left - n as u64 {
            0 => Unread::Nothing,
            left => Unread::Sized(left),
        };
        Ok(n)
    }

    /// Waits for more bytes of the content, as long as the idle timeout allows.
    fn wait_for(
        &mut self,
        mut receive: impl FnMut(&mut Connection) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let start = Instant::now();
        let n = loop {
            match receive(&mut self.connection) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The socket gives up soon, because that is how long a worker lingers on it.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.await_input(start)?;
                }
                result => break result?,
            }
        };
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.reading
            .note(start.elapsed(), n, &self.shared.settings.pace)?;
        Ok(n)
    }

    fn await_input(&self, start: Instant) -> io::Result<()> {
        let timeout = self.shared.settings.idle_timeout;
        let left = timeout.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut fds = [PollFd::new(&*self.connection.socket, PollFlags::IN)];
        match poll(&mut fds, Some(&timespec(left))) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives out what is in memory; none when more has to be received first.
    fn give(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let held = &self.held[self.n_given..];
        if !held.is_empty() {
            let n = held.len().min(buffer.len());
            buffer[..n].copy_from_slice(&held[..n]);
            self.n_given += n;
            return Ok(Some(n));
        }
        let input = &mut self.connection.input;
        match &mut self.unread {
            Unread::Nothing => Ok(Some(0)),
            Unread::Sized(left) => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX);
                let n = most.min(input.len()).min(buffer.len());
                buffer[..n].copy_from_slice(&input[..n]);
                input.drain(..n);
                *left -= n as u64;
                if *left == 0 {
                    self.unread = Unread::Nothing;
                }
                Ok((n > 0).then_some(n))
            }
            Unread::Chunked(decoder) => {
                let (n_in, n_out) = decoder
                    .decode(input, buffer)
                    .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
                input.drain(..n_in);
                if decoder.is_ended() {
                    self.unread = Unread::Nothing;
                    return Ok(Some(n_out));
                }
                Ok((n_out > 0).then_some(n_out))
            }
        }
    }

    /// The connection, ready for its next request.
    fn into_next(self) -> (Arc<Shared>, Box<Connection>) {
        let mut connection = self.connection;
        connection.begin_next(&self.unread, Instant::now());
        (self.shared, connection)
    }

    /// The next request, if it is here, or comes while nobody else needs this worker.
    fn next(self) -> Option<Job> {
        let (shared, mut connection) = self.into_next();
        let mut may_wait = true;
        loop {
            let may_stay = shared.may_stay();
            if !may_stay && connection.input.is_empty() {
                shared.park(connection);
                return None;
            }
            // At the stop the queue may be closed already: what is here is served here.
            if !may_stay && !shared.is_stopping() {
                shared.lot.hand_in(connection);
                return None;
            }
            if !connection.input.is_empty() {
                match connection.advance(&shared.settings, Instant::now()) {
                    Progress::Arrived(arrived) => return Some(job(&shared, connection, *arrived)),
                    Progress::Wait => {}
                    Progress::Refused(refusal) => {
                        refuse(&shared, connection, refusal);
                        return None;
                    }
                    Progress::Hopeless(_) => return None,
                }
            }
            if !may_wait || !may_stay {
                shared.park(connection);
                return None;
            }
            // One wait, for as long as the socket's own timeout: the linger time.
            may_wait = false;
            match connection.receive(RecvFlags::empty()) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    debug!("an idle client went away: {error}");
                    return None;
                }
            }
        }
    }

    /// Ends our side, and lets the client read the answer before the connection is closed.
    fn close(mut self) {
        let is_clean = matches!(self.unread, Unread::Nothing) && self.connection.input.is_empty();
        let socket = Arc::clone(&self.connection.socket);
        if shutdown(&*socket, Shutdown::Write).is_err() {
            return; // it is gone already
        }
        let received = self.connection.receive(RecvFlags::DONTWAIT);
        let is_quiet = matches!(&received, Err(e) if e.kind() == io::ErrorKind::WouldBlock);
        if is_clean && (is_quiet || matches!(received, Ok(0))) {
            return;
        }
        let GateClient {
            shared,
            mut connection,
            ..
        } = self;
        connection.begin_lingering(Instant::now());
        shared.park(connection);
    }
}

impl Client for GateClient {
    fn read_content(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if std::mem::take(&mut self.expects_continue) {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let given = match self.unread {
                Unread::Sized(left) if self.is_drained() => Some(self.receive_into(buffer, left)?),
                _ => self.give(buffer)?,
            };
            if let Some(n) = given {
                self.n_content += n as u64;
                let most = self.shared.settings.limits.max_content;
                if most.is_some_and(|most| self.n_content > most) {
                    return Err(io::Error::new(
                        io::ErrorKind::FileTooLarge,
                        Limit::MaxContent.refusal().reason,
                    ));
                }
                return Ok(n);
            }
            self.receive()?;
        }
    }

    fn note_wait(&mut self, took: Duration) {
        self.reading.note_wait(took);
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let start = Instant::now();
            // Gives up after the idle timeout, which the socket has from its listener.
            let n = match rustix::net::send(&*self.connection.socket, bytes, SendFlags::NOSIGNAL) {
                Ok(n) => n,
                Err(Errno::INTR) => 0,
                Err(error) => return Err(error.into()),
            };
            bytes = &bytes[n..];
            self.writing
                .note(start.elapsed(), n, &self.shared.settings.pace)?;
        }
        Ok(())
    }

    fn write_now(&mut self, bytes: &[u8]) -> io::Result<()> {
        send_now(&self.connection.socket, bytes)
    }

    fn peer(&self) -> Option<Peer> {
        Some(Peer::Here(Arc::clone(&self.connection.socket)))
    }

    fn is_drained(&self) -> bool {
        let is_over = matches!(self.unread, Unread::Nothing);
        !is_over && self.n_given == self.held.len() && self.connection.input.is_empty()
    }

    fn can_skip_content(&self) -> bool {
        match self.unread {
            Unread::Nothing => true,
            Unread::Sized(left) => !self.expects_continue && left <= MAX_HELD as u64,
            Unread::Chunked(_) => false,
        }
    }

    fn can_tunnel(&self) -> bool {
        true
    }

    fn tunnel(&mut self) -> Option<ClientTunnel> {
        Some(ClientTunnel {
            socket: Arc::clone(&self.connection.socket),
            ahead: std::mem::take(&mut self.connection.input),
        })
    }

    fn finish(self: Box<Self>, ending: Ending) -> Option<Job> {
        match ending {
            Ending::Keep => self.next(),
            Ending::Close | Ending::Cut => self.finish_and_leave(ending),
        }
    }

    fn finish_and_leave(self: Box<Self>, ending: Ending) -> Option<Job> {
        match ending {
            Ending::Keep => {
                let (shared, connection) = self.into_next();
                shared.put_down(connection);
            }
            Ending::Close => self.close(),
            Ending::Cut => reset(&*self.connection.socket),
        }
        None
    }
}

/// Sends all of it without waiting, or fails.
pub fn send_now(socket: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    match rustix::net::send(socket, bytes, flags) {
        Ok(n) if n == bytes.len() => Ok(()),
        Ok(_) => Err(io::ErrorKind::WouldBlock.into()),
        Err(error) => Err(error.into()),
    }
}
