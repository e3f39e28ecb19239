//! ureq's way to a backend: connects, keeps connections, and sends our head in place of its own.
//!
//! ureq drives an exchange through its `Transport` trait, step by step, and frames and decodes what
//! has no known length. Behind that trait, five things are ours: idle connections belong to the
//! [`Backend`], not to ureq's pool; the bytes of the head are written by
//! [`fields`](crate::exchange::fields), so that a target or a field is never changed on the way;
//! what happened on the wire is noted for the retry rule; deadlines are kept here, where the waits
//! are; and a content of known length is read by [`SizedContent`], without ureq.
//!
//! All of this runs on the worker's own thread, inside its call of ureq.

use std::fmt;
use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::unversioned::transport::{Buffers, NextTimeout, Transport};

use crate::exchange::Timeouts;
use crate::exchange::buffers::WireBuffers;
use crate::exchange::desk::{Desk, Opening, Phase};
use crate::exchange::interim::{Seen, look, take_ahead};
use crate::exchange::response_content::SizedContent;
use crate::exchange::response_head::Announced;
use crate::exchange::stream::BackendStream;
use crate::pool::Backend;
use crate::watch::Doing;

/// How long a backend that was asked whether it wants the content may be silent; then it gets it.
const AWAIT_CONTINUE: Duration = Duration::from_secs(1);

/// One connection to a backend, while ureq uses it.
pub struct Wire {
    /// None once it was put aside as early.
    stream: Option<BackendStream>,
    backend: Arc<Backend>,
    desk: Arc<Desk>,
    buffers: WireBuffers,
    head_is_sent: bool,
    /// False when only the answer is read: the request is on its way already.
    sends: bool,
    /// ureq found the exchange complete, and the connection good for another.
    may_be_kept: bool,
    /// What the answer says of its content, if ureq is to have no part in that.
    announced: Option<Announced>,
    /// When some of the head came last.
    received_at: Option<Instant>,
    timeouts: Timeouts,
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
        timeouts: Timeouts,
    ) -> Wire {
        Wire {
            stream: Some(BackendStream::new(stream, Arc::clone(&desk))),
            backend,
            desk,
            buffers,
            head_is_sent: false,
            sends,
            may_be_kept: false,
            announced: None,
            received_at: None,
            timeouts,
        }
    }

    fn stream(&self) -> io::Result<&TcpStream> {
        let lent = self.stream.as_ref().map(|lent| &lent.stream);
        lent.ok_or_else(|| io::ErrorKind::NotConnected.into())
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
            if opening == Opening::Alone {
                return self.send_head(0);
            }
            self.desk.sheet.lane.set(Doing::Sending, Instant::now());
            if opening == Opening::AwaitingContinue {
                self.send_head(0)?;
                return self.await_continue();
            }
            return Ok(()); // it goes with the first piece
        }
        if self.desk.with(|attempt| attempt.opening) == Opening::WithContent {
            return self.send_head(amount);
        }
        // A backend that answers, or ends, before it has all of the content wants no more.
        let stream = self.stream()?;
        match look(stream, &self.desk)? {
            Seen::Nothing | Seen::Continue => self.write_all(&[], amount),
            Seen::Answer | Seen::End => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Sends the head, and the content that is to go out with it.
    fn send_head(&mut self, amount: usize) -> io::Result<()> {
        let (head, is_streamed) = self.desk.with(|attempt| {
            attempt.opening = Opening::Alone;
            (std::mem::take(&mut attempt.head), attempt.is_streamed)
        });
        let sent = self.write_all(&head, amount);
        // Where that was not all of it, the rest is streamed, and the backend watched meanwhile.
        let stream = self.stream().ok().filter(|_| is_streamed);
        let uploading = stream.and_then(|stream| stream.try_clone().ok());
        self.desk.with(|attempt| {
            attempt.head = head;
            attempt.uploading = uploading;
        });
        sent
    }

    fn write_all(&mut self, head: &[u8], amount: usize) -> io::Result<()> {
        let lent = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        lent.write_all(head, self.buffers.output_part(amount), self.timeouts.idle)
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
            let lent = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            lent.await_input(waited, AWAIT_CONTINUE)?;
        }
    }

    /// Reads what comes: of the head within the response timeout, which began when the request had
    /// been sent, and of the content within the idle timeout.
    fn wait_for_input(&mut self) -> io::Result<usize> {
        let now = Instant::now();
        let (n_ahead, phase, waits_since) = self.desk.with(|attempt| {
            let n_ahead = take_ahead(&mut attempt.ahead, || self.buffers.input_append_buf());
            if attempt.phase == Phase::Sending {
                attempt.phase = Phase::Waiting;
            }
            let waits_since = attempt.marks.sent;
            if n_ahead == 0 && attempt.phase != Phase::Answered {
                attempt.marks.sent = waits_since.or(Some(now));
            }
            (n_ahead, attempt.phase, waits_since)
        });
        if n_ahead > 0 {
            return Ok(n_ahead);
        }
        let limit = if phase == Phase::Answered {
            self.timeouts.idle
        } else if let Some(since) = waits_since {
            self.timeouts.response.saturating_sub(now - since)
        } else {
            self.desk.sheet.lane.set(Doing::Waiting, now);
            self.timeouts.response
        };
        if limit.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let lent = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        match lent.read(now, limit, |stream| {
            stream.read(self.buffers.input_append_buf())
        }) {
            Ok(n) if n > 0 && phase != Phase::Answered => {
                self.received_at = Some(Instant::now());
                Ok(n)
            }
            // ureq takes a reset for a proper end where the end of the connection is the end of
            // the content. It is not.
            Err(error)
                if phase == Phase::Answered && error.kind() == io::ErrorKind::ConnectionReset =>
            {
                Err(io::Error::other("connection reset by peer"))
            }
            result => result,
        }
    }

    /// Waits for input that is more than interim answers.
    fn receive(&mut self) -> io::Result<usize> {
        loop {
            let n = self.wait_for_input()?;
            self.buffers.received(n, self.received_at);
            if n == 0 || self.buffers.skip_interim() {
                return Ok(n);
            }
        }
    }

    /// Whether the head of an answer that announces a length is here: then it is taken.
    fn take_sized(&mut self) -> bool {
        if self.sends && self.announced.is_none() {
            self.announced = self.buffers.take_sized();
        }
        self.announced.is_some()
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
                let stream = self.stream.take().map(|lent| lent.stream);
                self.desk.with(|attempt| attempt.early = stream);
            }
            return Err(error.into());
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        match self.receive() {
            Ok(n) => {
                if self.take_sized() {
                    // Nothing is left for ureq to do: this ends its call, and puts the content on
                    // the desk.
                    return Err(io::Error::from(io::ErrorKind::Other).into());
                }
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
        let stream = match (self.stream.take(), self.announced) {
            (Some(lent), Some(announced)) => {
                let backend = Arc::clone(&self.backend);
                let last_read = self.received_at.unwrap_or_else(Instant::now);
                let idle_timeout = self.timeouts.idle;
                let buffers = self.buffers.hand_over();
                let content =
                    SizedContent::new(announced, lent, backend, buffers, last_read, idle_timeout);
                let older = self.desk.with(|attempt| attempt.sized.replace(content));
                return drop(older); // outside the lock: it would give its buffers back
            }
            (Some(lent), None) => self
                .desk
                .with(|attempt| attempt.keep_switched(lent.stream, self.buffers.pending())),
            (None, _) => None,
        };
        self.buffers.give_back();
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
