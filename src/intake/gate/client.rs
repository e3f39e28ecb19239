//! A connection in the hands of a worker: blocking reads and writes with deadlines, for the time
//! of one exchange; then it goes on to its next request, or back to the lot.

mod reading;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::debug;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, shutdown};

use crate::intake::gate::ahead::{Arrived, Unread};
use crate::intake::gate::connection::{Connection, Progress};
use crate::intake::gate::pace::Pace;
use crate::intake::gate::{LINGER, Shared, refuse};
use crate::intake::{Client, ClientRequest, ClientTunnel, Ending, Job, MAX_HELD, Peer};
use crate::system::{end_when_closed, reset, reset_when_closed};

/// Memory of a request that the next one of the connection may use, bytes. One that had more gives
/// it back, or a small request that comes slowly would hold it.
const MAX_SPARE: usize = 8 * 1024;

/// An answer up to this length needs no lingering if the client is quiet when it ends: it does not
/// wait in our socket for the client to read, bytes. Most connections for a single request end so,
/// with no further system call.
const SURELY_TAKEN: u64 = 64 * 1024;

/// The client of one request, and then of the next on its connection.
pub struct GateClient {
    shared: Arc<Shared>,
    connection: Box<Connection>,
    /// The request before, for its memory. Gone with the worker, so that an idle connection is
    /// small.
    spare: Option<Box<ClientRequest>>,
    /// Content that was read ahead, and how much of it has been given out.
    held: Vec<u8>,
    n_given: usize,
    unread: Unread,
    /// The client waits for 100 before it sends the content.
    expects_continue: bool,
    /// Content given out so far, for the limit.
    n_content: u64,
    /// The answer ends with the connection, which is reset if anything but us ends it.
    is_until_close: bool,
    reading: Pace,
    writing: Pace,
}

/// Makes a job of a request that has arrived now.
pub fn job(
    shared: &Arc<Shared>,
    connection: Box<Connection>,
    arrived: Arrived,
    now: Instant,
) -> Job {
    let client = Box::new(GateClient {
        shared: Arc::clone(shared),
        connection,
        spare: None,
        held: Vec::new(),
        n_given: 0,
        unread: Unread::Nothing,
        expects_continue: false,
        n_content: 0,
        is_until_close: false,
        reading: Pace::default(),
        writing: Pace::default(),
    });
    client.begin(arrived, now)
}

impl GateClient {
    /// The job of a request that has arrived now, on the connection that it has.
    fn begin(mut self: Box<Self>, arrived: Arrived, now: Instant) -> Job {
        let Arrived {
            request,
            held,
            unread,
        } = arrived;
        (self.held, self.n_given, self.unread) = (held, 0, unread);
        self.expects_continue = request.expects_continue;
        self.n_content = 0;
        (self.reading, self.writing) = (Pace::default(), Pace::default());
        Job {
            request,
            refusal: None,
            client: self,
            queued_at: now,
        }
    }

    /// The next request, if it is here, or comes while nobody else needs this worker, from a client
    /// that was quick the last time.
    fn next(mut self: Box<Self>) -> Option<Job> {
        self.begin_next();
        let mut may_wait = self.connection.comes_within(LINGER);
        loop {
            let may_stay = self.shared.may_stay();
            let is_here = !self.connection.input.is_empty();
            // At the stop the queue may be closed already: what is here is served here.
            if is_here && !may_stay && !self.shared.is_stopping() {
                self.shared.lot.hand_in(self.connection);
                return None;
            }
            if is_here {
                let now = Instant::now();
                match self
                    .connection
                    .advance(&self.shared.settings, now, self.spare.take())
                {
                    Progress::Arrived(arrived) => return Some(self.begin(arrived, now)),
                    Progress::Wait => {}
                    Progress::Refused(refusal) => {
                        refuse(&self.shared, self.connection, refusal);
                        return None;
                    }
                    Progress::Hopeless(_) => return None,
                }
            }
            if !may_wait || !may_stay {
                self.shared.park(self.connection);
                return None;
            }
            // One wait, for as long as the socket's own timeout: the linger time.
            may_wait = false;
            match self.connection.receive(RecvFlags::empty()) {
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

    fn begin_next(&mut self) {
        self.connection.note_written(self.writing.n_bytes());
        self.connection.begin_next(&self.unread, Instant::now());
    }

    /// Ends our side, and lets the client read the answer before the connection is closed.
    fn close(mut self) {
        if self.is_until_close {
            end_when_closed(&*self.connection.socket);
        }
        let is_clean = matches!(self.unread, Unread::Nothing) && self.connection.input.is_empty();
        if shutdown(&*self.connection.socket, Shutdown::Write).is_err() {
            return; // it is gone already
        }
        if self.connection.n_unread(self.writing.n_bytes()) > SURELY_TAKEN {
            return self.linger();
        }
        let received = self.connection.receive(RecvFlags::DONTWAIT);
        let is_quiet = matches!(&received, Err(e) if e.kind() == io::ErrorKind::WouldBlock);
        if is_clean && (is_quiet || matches!(received, Ok(0))) {
            return;
        }
        self.linger();
    }

    /// Ends our side inside of an answer. A reset would be a louder end, but it would also take
    /// complete answers away that are still on their way: it is for connections that had none.
    fn close_inside(self) {
        if self.connection.is_at_first() {
            reset(&*self.connection.socket);
        } else if shutdown(&*self.connection.socket, Shutdown::Write).is_ok() {
            self.linger();
        }
    }

    /// Lets the client read what is on its way to it; our side has ended.
    fn linger(mut self) {
        self.connection.begin_lingering(Instant::now());
        self.shared.park(self.connection);
    }
}

impl Client for GateClient {
    fn read_content(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if std::mem::take(&mut self.expects_continue) {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        self.read(buffer)
    }

    fn note_wait(&mut self, took: Duration) {
        self.reading.note_wait(took);
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        // The first piece mostly fits into the socket's buffer, and then no time is spent on the
        // client that would have to be measured.
        if self.writing.is_new() {
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match rustix::net::send(&*self.connection.socket, bytes, flags) {
                Ok(n) => {
                    bytes = &bytes[n..];
                    let pace = &self.shared.settings.pace;
                    self.writing.note(Duration::ZERO, n, pace)?;
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
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

    fn begin_until_close(&mut self) {
        self.is_until_close = true;
        reset_when_closed(&*self.connection.socket);
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

    fn take_back(&mut self, request: Box<ClientRequest>) {
        self.spare = spare_of(request);
    }

    fn finish(self: Box<Self>, ending: Ending) -> Option<Job> {
        match ending {
            Ending::Keep => self.next(),
            Ending::Close | Ending::Short | Ending::Cut => self.finish_and_leave(ending),
        }
    }

    fn finish_and_leave(mut self: Box<Self>, ending: Ending) -> Option<Job> {
        match ending {
            Ending::Keep => {
                self.begin_next();
                self.shared.put_down(self.connection);
            }
            Ending::Close => self.close(),
            Ending::Short => self.close_inside(),
            Ending::Cut => reset(&*self.connection.socket),
        }
        None
    }
}

/// What is kept of a request that is over.
fn spare_of(request: Box<ClientRequest>) -> Option<Box<ClientRequest>> {
    Some(request).filter(|request| request.n_reserved() <= MAX_SPARE)
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

#[cfg(test)]
mod tests;
