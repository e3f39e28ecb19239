//! One client's connection: its socket, the bytes that came ahead, and how far its request is.
//!
//! Pure but for [`Connection::receive`]: `advance` makes a request of the bytes in memory, or says
//! what is missing. Held by one thread at a time, or parked in the lot.

use std::borrow::Cow;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::net::RecvFlags;

use crate::intake::gate::ahead::{Ahead, Arrived, Unread};
use crate::intake::gate::head::{self, HeadScan};
use crate::intake::gate::lot::Ticket;
use crate::intake::gate::{Settings, proxy};
use crate::intake::{ClientRequest, Limit, Refusal};

/// Most bytes read from a socket in one call; what an idle connection never keeps.
pub const PIECE: usize = 16 * 1024;

/// How long a fresh connection is not yet idle: its request is on the way. A tenth of a second is
/// long for that, and short for whoever waits for the place of one that says nothing.
const FRESH: Duration = Duration::from_millis(100);

/// How long a client may take to read the last answer of its connection.
const LAST_ANSWER: Duration = Duration::from_secs(2);

/// A client's connection.
#[derive(Debug)]
pub struct Connection {
    /// The socket, in blocking mode: the waiter says with each call that it will not wait.
    pub socket: Arc<OwnedFd>,
    /// Who sent it; none on a Unix socket. From the PROXY header where that is accepted.
    pub address: Option<IpAddr>,
    /// Received, and not part of a request yet.
    pub input: Vec<u8>,
    /// Whether the waiter's readiness knows the socket.
    pub is_watched: bool,
    stage: Stage,
    /// When the stage began.
    since: Instant,
    /// Requests so far.
    n_requests: u64,
    /// Bytes of the answers before the current one: whoever pipelines need not have read them.
    n_behind: u64,
    /// From the answer before to the latest request.
    pause: Duration,
    ticket: Ticket,
}

#[derive(Debug)]
enum Stage {
    /// A PROXY header is awaited.
    Proxy,
    /// The head of a request is awaited.
    Head(HeadScan),
    /// The content behind it.
    Content(Box<Ahead>),
    /// Unread content behind an answer, which nobody wants any more.
    Skip(u64),
    /// All there is of the last answer was sent, and our side is closed. What still comes is
    /// dropped, so that the client reads that before it meets a reset (RFC 9112 §9.6).
    Linger,
}

/// What the bytes so far amount to.
#[derive(Debug)]
pub enum Progress {
    /// More must come.
    Wait,
    /// A request.
    Arrived(Arrived),
    /// No request, and what to say about that.
    Refused(Refusal),
    /// Nothing that could be answered.
    Hopeless(&'static str),
}

/// Why a connection's time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Nothing was under way: it just ends.
    Silent,
    /// A request was under way.
    Tell(Refusal),
}

impl Connection {
    /// A connection that was accepted now.
    pub fn new(
        socket: OwnedFd,
        address: Option<IpAddr>,
        ticket: Ticket,
        settings: &Settings,
        now: Instant,
    ) -> Connection {
        let stage = if settings.accept_proxy {
            Stage::Proxy
        } else {
            Stage::Head(HeadScan::default())
        };
        Connection {
            socket: Arc::new(socket),
            address,
            input: Vec::new(),
            is_watched: false,
            stage,
            since: now,
            n_requests: 0,
            n_behind: 0,
            pause: Duration::ZERO,
            ticket,
        }
    }

    /// Its number.
    pub fn id(&self) -> u64 {
        self.ticket.id
    }

    /// Whether the request that is being served is its first: no answer came before.
    pub fn is_at_first(&self) -> bool {
        self.n_requests <= 1
    }

    /// Whether a request on it was answered, while another is awaited or comes in.
    pub fn was_answered(&self) -> bool {
        self.n_requests > u64::from(matches!(self.stage, Stage::Content(_)))
    }

    /// Whether its next request is worth waiting for so long: the one before came within that time.
    pub fn comes_within(&self, wait: Duration) -> bool {
        self.pause <= wait
    }

    /// Receives what is there, or with no flags waits for it. 0: the client has ended.
    pub fn receive(&mut self, flags: RecvFlags) -> io::Result<usize> {
        self.input.reserve(PIECE);
        loop {
            let room = spare_capacity(&mut self.input);
            match rustix::net::recv(&*self.socket, room, flags) {
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok((_, n)) => return Ok(n),
            }
        }
    }

    /// The next stage begins: the head of a request, behind what is left of the content.
    pub fn begin_next(&mut self, unread: &Unread, now: Instant) {
        self.since = now;
        self.stage = match unread {
            Unread::Sized(left) if *left > 0 => Stage::Skip(*left),
            _ => Stage::Head(HeadScan::default()),
        };
    }

    /// An answer of so many bytes has been written, and is not the last.
    pub fn note_written(&mut self, n_bytes: u64) {
        self.n_behind += n_bytes;
    }

    /// How much the client need not have read, behind a last answer of so many bytes.
    pub fn n_unread(&self, n_bytes: u64) -> u64 {
        self.n_behind + n_bytes
    }

    /// Nothing but the client's end is awaited from now on.
    pub fn begin_lingering(&mut self, now: Instant) {
        self.since = now;
        self.input = Vec::new();
        self.stage = Stage::Linger;
    }

    /// Whether only the client's end is awaited.
    pub fn is_lingering(&self) -> bool {
        matches!(self.stage, Stage::Linger)
    }

    /// Makes of the bytes in memory what can be made of them. `spare` is a request that is over,
    /// for its memory.
    pub fn advance(
        &mut self,
        settings: &Settings,
        now: Instant,
        mut spare: Option<Box<ClientRequest>>,
    ) -> Progress {
        loop {
            let step = match &mut self.stage {
                Stage::Proxy => self.advance_proxy(now),
                Stage::Head(_) => self.advance_head(settings, now, spare.take()),
                Stage::Content(_) => return self.advance_content(settings, now),
                Stage::Skip(left) => {
                    let n = usize::try_from(*left)
                        .map_or(self.input.len(), |left| left.min(self.input.len()));
                    *left -= n as u64;
                    let is_over = *left == 0;
                    self.input.drain(..n);
                    if is_over {
                        self.begin_next(&Unread::Nothing, now);
                        continue;
                    }
                    Some(Progress::Wait)
                }
                Stage::Linger => {
                    self.input.clear();
                    Some(Progress::Wait)
                }
            };
            if let Some(progress) = step {
                return progress;
            }
        }
    }

    fn advance_proxy(&mut self, now: Instant) -> Option<Progress> {
        match proxy::read(&self.input) {
            proxy::Header::Incomplete => Some(Progress::Wait),
            proxy::Header::Malformed => Some(Progress::Hopeless("no PROXY header")),
            proxy::Header::Complete { length, client } => {
                self.input.drain(..length);
                if let Some(client) = client {
                    let client = client.to_canonical();
                    self.address = Some(client);
                    if !self.ticket.charge(client) {
                        let refusal = Limit::MaxConnectionsPerClient.refusal();
                        return Some(Progress::Refused(refusal));
                    }
                }
                // The deadline of the head goes on from where it began.
                let since = self.since;
                self.begin_next(&Unread::Nothing, now);
                self.since = since;
                None
            }
        }
    }

    /// None: the content is next.
    fn advance_head(
        &mut self,
        settings: &Settings,
        now: Instant,
        spare: Option<Box<ClientRequest>>,
    ) -> Option<Progress> {
        let Stage::Head(scan) = &mut self.stage else {
            return Some(Progress::Wait);
        };
        let had_begun = scan.has_begun();
        if !had_begun && self.n_requests > 0 {
            self.pause = now.saturating_duration_since(self.since);
        }
        let length = match scan.scan(&self.input, &settings.limits) {
            Ok(Some(length)) => length,
            Ok(None) => {
                if scan.has_begun() && !had_begun && self.n_requests > 0 {
                    self.since = now; // its deadline counts from the first byte
                }
                return Some(Progress::Wait);
            }
            Err(refusal) => return Some(Progress::Refused(refusal)),
        };
        let parsed = head::parse(&self.input[..length], self.address, &settings.limits, spare);
        let mut request = match parsed {
            Ok(request) => request,
            Err(refusal) => return Some(Progress::Refused(refusal)),
        };
        self.input.drain(..length);
        self.n_requests += 1;
        if settings
            .max_requests
            .is_some_and(|most| self.n_requests >= most)
        {
            request.keep_alive = false;
        }
        let ahead = Ahead::new(request, now);
        if !ahead.is_wanted() {
            return Some(Progress::Arrived(ahead.arrive()));
        }
        self.since = now;
        self.stage = Stage::Content(Box::new(ahead));
        None
    }

    fn advance_content(&mut self, settings: &Settings, now: Instant) -> Progress {
        let Stage::Content(ahead) = &mut self.stage else {
            return Progress::Wait;
        };
        match ahead.take(&mut self.input, &settings.limits, now) {
            Ok(true) => {}
            Ok(false) => return Progress::Wait,
            Err(refusal) => return Progress::Refused(refusal),
        }
        match std::mem::replace(&mut self.stage, Stage::Head(HeadScan::default())) {
            Stage::Content(ahead) => Progress::Arrived(ahead.arrive()),
            _ => Progress::Wait,
        }
    }

    /// Until when it may stay as it is, and since when it is idle, or from when on, if it is.
    pub fn deadline(&self, settings: &Settings) -> (Instant, Option<Instant>) {
        match &self.stage {
            Stage::Head(scan) if !scan.has_begun() && self.n_requests > 0 => {
                (self.since + settings.keep_alive_timeout, Some(self.since))
            }
            Stage::Head(scan) if scan.has_begun() => (self.since + settings.header_timeout, None),
            Stage::Proxy if !self.input.is_empty() => (self.since + settings.header_timeout, None),
            Stage::Proxy | Stage::Head(_) => {
                let idle_from = self.since + FRESH;
                (self.since + settings.header_timeout, Some(idle_from))
            }
            Stage::Content(ahead) => (ahead.deadline(self.since, settings).0, None),
            Stage::Skip(_) => (self.since + settings.header_timeout, None),
            Stage::Linger => (self.since + LAST_ANSWER, None),
        }
    }

    /// What to say when the deadline has passed.
    pub fn expiry(&self, settings: &Settings) -> Expiry {
        let limit = match &self.stage {
            Stage::Head(scan) if scan.has_begun() => Limit::HeaderTimeout,
            Stage::Content(ahead) => ahead.deadline(self.since, settings).1,
            _ => return Expiry::Silent,
        };
        Expiry::Tell(limit.refusal())
    }

    /// The first line of what came of a request, for the log; more than that where it has not
    /// ended.
    pub fn raw_line(&self) -> Cow<'_, [u8]> {
        match &self.stage {
            Stage::Content(ahead) => Cow::Owned(ahead.line()),
            _ => Cow::Borrowed(&self.input),
        }
    }

    /// A request to answer when there is none that could be read.
    pub fn stand_in(&self) -> ClientRequest {
        let method = if self.input.starts_with(b"HEAD ") {
            "HEAD"
        } else {
            "GET"
        };
        ClientRequest::stand_in(method, self.address)
    }
}
