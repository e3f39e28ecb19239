//! ureq's way to a backend: connects, keeps connections, and sends our head in place of its own.
//!
//! ureq drives an exchange (framing, timeouts, what may be reused) through its `Transport` trait.
//! Behind that trait, three things are ours: idle connections belong to the [`Backend`], not to
//! ureq's pool; the bytes of the head are written by [`fields`](crate::exchange::fields), so that
//! a target or a field is never changed on the way; and what happened on the wire is noted for
//! the retry rule.
//!
//! All of this runs on the worker's own thread, inside its call of ureq.

use std::fmt;
use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use ureq::unversioned::transport::{Buffers, NextTimeout, Transport};

use crate::exchange::buffers::{WireBuffers, write_all};
use crate::exchange::desk::{Desk, Opening, Phase};
use crate::exchange::interim::{Seen, look, take_ahead};
use crate::exchange::presence::CLOSED;
use crate::intake::{Found, Peer};
use crate::pool::Backend;
use crate::system::timespec;
use crate::watch::Doing;

/// A read gives up after this, and what else may have happened is looked at; shorter where a
/// timeout is. Short, so that a client that goes away frees its worker at once; long enough that
/// a quick answer costs one call.
pub const TICK: Duration = Duration::from_millis(20);
/// How long a backend may be silent before a client's socket is searched for, where that costs.
const SEARCH_AFTER: Duration = Duration::from_millis(500);
/// How long a backend that was asked whether it wants the content may be silent; then it gets it.
const AWAIT_CONTINUE: Duration = Duration::from_secs(1);
/// One connection to a backend, while ureq uses it.
pub struct Wire {
    /// None once it was put aside as early.
    stream: Option<TcpStream>,
    backend: Arc<Backend>,
    desk: Arc<Desk>,
    buffers: WireBuffers,
    head_is_sent: bool,
    /// False when only the answer is read: the request is on its way already.
    sends: bool,
    /// ureq found the exchange complete, and the connection good for another.
    may_be_kept: bool,
    /// What is known of the client's socket: looked for by the first long wait.
    client: Option<Found>,
    /// What happens to it when the client goes away; an error or a reset is told anyway.
    gone: PollFlags,
    idle_timeout: Duration,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wire to {}", self.backend.url)
    }
}

impl Wire {
    /// Takes a connection into use. `sends` is false when the request is on its way already, and
    /// only the answer is read.
    pub fn new(
        stream: TcpStream,
        backend: Arc<Backend>,
        desk: Arc<Desk>,
        buffers: WireBuffers,
        sends: bool,
        idle_timeout: Duration,
    ) -> Wire {
        Wire {
            stream: Some(stream),
            backend,
            desk,
            buffers,
            head_is_sent: false,
            sends,
            may_be_kept: false,
            client: None,
            gone: PollFlags::empty(),
            idle_timeout,
        }
    }

    fn stream(&self) -> io::Result<&TcpStream> {
        self.stream
            .as_ref()
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Sends the head and the first piece of content in one call, or a further piece.
    fn send(&mut self, amount: usize) -> io::Result<()> {
        // ureq's first output is its own idea of the head. Ours takes its place.
        if !self.head_is_sent {
            self.head_is_sent = true;
            let opening = self.desk.with(|attempt| {
                attempt.phase = Phase::Sending;
                attempt.opening
            });
            if opening != Opening::Alone {
                self.desk.sheet.lane.set(Doing::Sending, Instant::now());
            }
            return match opening {
                Opening::WithContent => Ok(()),
                Opening::Alone => self.send_head(0),
                Opening::AwaitingContinue => {
                    self.send_head(0)?;
                    self.await_continue()
                }
            };
        }
        if self.desk.with(|attempt| attempt.opening) == Opening::WithContent {
            return self.send_head(amount);
        }
        // A backend that answers, or ends, before it has all of the content wants no more.
        let stream = self.stream()?;
        match look(stream, &self.desk)? {
            Seen::Nothing | Seen::Continue => {
                write_all(stream, &[], self.buffers.output_part(amount))
            }
            Seen::Answer | Seen::End => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Sends the head, and the content that is to go out with it.
    fn send_head(&mut self, amount: usize) -> io::Result<()> {
        let stream = self.stream()?;
        let (head, is_streamed) = self.desk.with(|attempt| {
            attempt.opening = Opening::Alone;
            (std::mem::take(&mut attempt.head), attempt.is_streamed)
        });
        let sent = write_all(stream, &head, self.buffers.output_part(amount));
        // Where that was not all of it, the rest is streamed, and the backend watched meanwhile.
        let uploading = if is_streamed {
            stream.try_clone().ok()
        } else {
            None
        };
        self.desk.with(|attempt| {
            attempt.head = head;
            attempt.uploading = uploading;
        });
        sent
    }

    /// Waits until the backend asks for the content, or has been silent for so long that it may
    /// not know how to ask (RFC 9110 §10.1.1). An answer instead is an error, as it is while
    /// content is sent.
    ///
    /// ureq can wait like this too, but takes a 100 with fields for an answer, and any other
    /// interim answer for 100.
    fn await_continue(&mut self) -> io::Result<()> {
        let start = Instant::now();
        loop {
            let stream = self.stream()?;
            match look(stream, &self.desk)? {
                Seen::Continue => return Ok(()),
                Seen::Answer => return Err(io::ErrorKind::BrokenPipe.into()),
                Seen::End => return Err(io::ErrorKind::UnexpectedEof.into()),
                Seen::Nothing => {}
            }
            let waited = start.elapsed();
            if waited >= AWAIT_CONTINUE {
                return Ok(());
            }
            self.be_patient(waited, Some(AWAIT_CONTINUE))?;
        }
    }

    /// Reads what comes, for as long as `limit`, or once the answer has begun, the idle timeout.
    ///
    /// The socket gives up after a [`TICK`]; only waits longer than that cost more than the read.
    fn wait_for_input(&mut self, limit: Option<Duration>) -> io::Result<usize> {
        let (phase, n_ahead) = self.desk.with(|attempt| {
            let n_ahead = take_ahead(&mut attempt.ahead, || self.buffers.input_append_buf());
            (attempt.phase, n_ahead)
        });
        if n_ahead > 0 {
            return Ok(n_ahead);
        }
        let limit = if phase == Phase::Answered {
            Some(self.idle_timeout)
        } else {
            limit
        };
        let start = Instant::now();
        let is_awaited = phase == Phase::Waiting && self.desk.note_sent(start);
        loop {
            let Some(mut stream) = self.stream.as_ref() else {
                return Err(io::ErrorKind::NotConnected.into());
            };
            match stream.read(self.buffers.input_append_buf()) {
                Ok(n) if is_awaited && n > 0 => {
                    self.desk.note_first_byte();
                    return Ok(n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let waited = start.elapsed();
                    if limit.is_some_and(|limit| waited >= limit) {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    self.be_patient(waited, limit)?;
                }
                Err(error)
                    if phase == Phase::Answered
                        && error.kind() == io::ErrorKind::ConnectionReset =>
                {
                    // ureq takes a reset for a proper end where the end of the connection is the
                    // end of the content. It is not.
                    return Err(io::Error::other("connection reset by peer"));
                }
                result => return result,
            }
        }
    }

    /// Waits for the backend, and for a client that goes away meanwhile. `waited` is how long the
    /// backend has been silent already.
    fn be_patient(&mut self, waited: Duration, limit: Option<Duration>) -> io::Result<()> {
        let mut left = limit.map(|limit| limit.saturating_sub(waited));
        if self.client.is_none() {
            let peer = self.desk.with(|attempt| attempt.peer.clone());
            match peer {
                // Searching costs, and most answers are here before it would pay.
                Some(Peer::Hidden(..)) if waited < SEARCH_AFTER => {
                    let pause = SEARCH_AFTER.saturating_sub(waited);
                    left = Some(left.map_or(pause, |left| left.min(pause)));
                }
                peer => {
                    if matches!(peer, Some(Peer::Here(_))) {
                        self.gone = CLOSED;
                    }
                    self.client = Some(peer.map_or(Found::Unknown, |peer| peer.find()));
                }
            }
        }
        let stream = self.stream()?;
        let client = match &self.client {
            Some(Found::Here(client)) => Some(client),
            Some(Found::Gone) => return Err(self.client_went_away()),
            Some(Found::Unknown) | None => None,
        };
        let mut fds = vec![PollFd::new(stream, PollFlags::IN)];
        fds.extend(client.map(|client| PollFd::new(client, self.gone)));
        let left = left.map(timespec);
        match rustix::event::poll(&mut fds, left.as_ref()) {
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

impl Transport for Wire {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        if !self.sends {
            return Ok(());
        }
        if let Err(error) = self.send(amount) {
            let is_over = self.desk.with(|attempt| attempt.client_is_gone);
            if error.kind() != io::ErrorKind::WouldBlock && !is_over {
                // Its answer may be here all the same: whoever closes early has said why.
                let stream = self.stream.take();
                self.desk.with(|attempt| attempt.early = stream);
            }
            return Err(error.into());
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.desk.with(|attempt| {
            if attempt.phase == Phase::Sending {
                attempt.phase = Phase::Waiting;
            }
        });
        let limit = (!timeout.after.is_not_happening()).then_some(*timeout.after);
        match self.wait_for_input(limit) {
            Ok(n) => {
                self.buffers.input_appended(n);
                Ok(n > 0)
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                Err(ureq::Error::Timeout(timeout.reason))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// ureq asks this once, when an exchange is complete and it would put the connection into its
    /// pool, which holds none and drops it: our own keeps it then.
    fn is_open(&mut self) -> bool {
        self.may_be_kept = self.sends;
        true
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let stream = self.stream.take();
        let stream = stream.and_then(|stream| {
            let input = self.buffers.input();
            self.desk
                .with(|attempt| attempt.keep_switched(stream, input))
        });
        let buffers = std::mem::replace(
            &mut self.buffers,
            WireBuffers::empty(Arc::clone(&self.desk)),
        );
        self.desk
            .with(|attempt| attempt.buffers = Some(buffers.cleared()));
        let Some(stream) = stream else {
            return;
        };
        if self.may_be_kept {
            self.backend.keep_idle(stream, Instant::now());
        } else {
            self.desk.with(|attempt| {
                if std::mem::take(&mut attempt.is_early) {
                    attempt.early = Some(stream);
                }
            });
        }
    }
}
