//! Intake: what a listener hands to the workers, and the bounded queue between them.
//!
//! Nothing here knows a backend. A listener makes [`Job`]s; [`Queue`] takes them or refuses them
//! without ever blocking; the workers see only [`Job`], so any listener can feed them.

pub mod check;
pub mod fields;
pub mod gate;
mod idle;
mod jobs;
mod limit;
mod listening;
pub mod own;
pub mod proxy_status;
mod queue;
mod request;
pub mod tiny;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::idle::Idle;
pub use self::jobs::{Jobs, Traffic};
pub use self::limit::Limit;
pub use self::listening::{Census, CensusTaker, Listening, Waker};
pub use self::queue::{Queue, Refused, RetryAfter, queue};
pub use self::request::{ClientRequest, ContentFraming, Refusal, Version, method_named};

/// Content up to this length is held in memory, so that it can be sent again, and so that a client
/// that sends it slowly holds no worker; bytes.
pub const MAX_HELD: usize = 64 * 1024;

/// One request on its way to a worker, with the connection that it came on.
pub struct Job {
    /// The request's head. Boxed, as the queue has room for as many jobs as it may hold at most.
    pub request: Box<ClientRequest>,
    /// Set when the request must not be forwarded: the worker answers with this.
    pub refusal: Option<Refusal>,
    /// The way back, and to the content.
    pub client: Box<dyn Client>,
    /// When it was put on the queue.
    pub queued_at: Instant,
}

/// A client's connection for the time of one exchange.
///
/// Read the content first, then write the answer: the first write ends the reading.
pub trait Client: Send {
    /// Reads decoded content; 0 is its proper end. A content that ends too early, stalls
    /// ([`io::ErrorKind::WouldBlock`] or [`io::ErrorKind::TimedOut`]) or is malformed
    /// ([`io::ErrorKind::InvalidData`]) or too long ([`io::ErrorKind::FileTooLarge`]) is an error.
    fn read_content(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Tells of a wait for more content that was spent outside of [`Client::read_content`], for the
    /// rate that a client must keep.
    fn note_wait(&mut self, _took: Duration) {}

    /// Writes a piece of the answer, head included, and passes it on at once.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Writes a whole short answer without waiting for a client that does not read.
    fn write_now(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes)
    }

    /// What is written from now on ends with the connection: until [`Client::finish`], nothing else
    /// that ends it, not even the death of this process, may look like the answer's end.
    fn begin_until_close(&mut self) {}

    /// How to reach the client's socket, for waits in which the client may go away; none where
    /// there is no such way.
    fn peer(&self) -> Option<Peer> {
        None
    }

    /// Whether nothing of the content is in a buffer, so that the socket tells when more of it is
    /// here.
    fn is_drained(&self) -> bool {
        false
    }

    /// Whether the content that is still unread is so short that it can be read behind the answer,
    /// and the connection kept.
    fn can_skip_content(&self) -> bool {
        false
    }

    /// Whether [`Client::tunnel`] will give the connection.
    fn can_tunnel(&self) -> bool {
        false
    }

    /// The connection itself, once 101 has been written: from then on its bytes are not HTTP.
    fn tunnel(&mut self) -> Option<ClientTunnel> {
        None
    }

    /// Takes the request back before the end, for the memory of it: the next one may use that.
    fn take_back(&mut self, _: Box<ClientRequest>) {}

    /// Ends the exchange. Some: the next request of the same connection, which is here already, or
    /// has come while this thread had nothing better to do than to wait for it.
    fn finish(self: Box<Self>, ending: Ending) -> Option<Job>;

    /// The same for a thread that is about to leave. Some only where no one else could serve it.
    fn finish_and_leave(self: Box<Self>, ending: Ending) -> Option<Job> {
        self.finish(ending)
    }
}

/// A client's connection that has left HTTP behind.
#[derive(Debug)]
pub struct ClientTunnel {
    /// The socket, in blocking mode.
    pub socket: Arc<OwnedFd>,
    /// What the client has sent already.
    pub ahead: Vec<u8>,
}

/// A way to a client's socket.
#[derive(Clone, Debug)]
pub enum Peer {
    /// The socket itself.
    Here(Arc<OwnedFd>),
    /// It has to be searched for, at a cost that only long waits justify.
    Hidden(SocketAddr, fn(SocketAddr) -> Found),
}

/// What became of a client's connection.
#[derive(Clone, Debug)]
pub enum Found {
    /// It is there: the socket, or a second descriptor of it.
    Here(Arc<OwnedFd>),
    /// It is gone.
    Gone,
    /// There is no way to tell.
    Unknown,
}

impl Peer {
    /// Looks for the socket.
    pub fn find(&self) -> Found {
        match self {
            Peer::Here(socket) => Found::Here(Arc::clone(socket)),
            Peer::Hidden(address, find) => find(*address),
        }
    }
}

/// How an exchange leaves its client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Complete on both sides: the next request may come.
    Keep,
    /// The answer is complete and is the last.
    Close,
    /// The answer is not complete, or there is none, and the mere end of the connection shows that.
    Short,
    /// The same where the end of the connection would be taken for the answer's: the client must
    /// see that it is none.
    Cut,
}

/// How the listener thread ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// As it was asked to.
    Stopped,
    /// By itself, for this reason; no connection is accepted any more.
    Died(String),
}

/// One `--listen`: where to take connections in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAt {
    /// HOST:PORT, looked up when it is bound.
    Tcp(String),
    /// A Unix socket at this path.
    Unix(PathBuf),
    /// The sockets of this name that systemd has handed over; without a name, all that no other
    /// option names.
    Systemd(Option<String>),
}

impl fmt::Display for ListenAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAt::Tcp(text) => f.write_str(text),
            ListenAt::Unix(path) => write!(f, "unix:{}", path.display()),
            ListenAt::Systemd(None) => f.write_str("systemd"),
            ListenAt::Systemd(Some(name)) => write!(f, "systemd:{name}"),
        }
    }
}
