//! Intake: what a listener hands to the workers, and the bounded queue between them.
//!
//! Nothing here knows a backend. A listener makes [`Job`]s; [`Queue`] takes them or refuses them
//! without ever blocking; the workers see only [`Job`], so any listener can feed them.

pub mod check;
pub mod fields;
mod queue;
mod request;
pub mod tiny;

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

pub use self::queue::{Queue, Refused, queue};
pub use self::request::{ClientRequest, ContentFraming, Refusal, Version};

/// One request on its way to a worker, with the connection that it came on.
pub struct Job {
    /// The request's head.
    pub request: ClientRequest,
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
    /// ([`io::ErrorKind::InvalidData`]) is an error.
    fn read_content(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes a piece of the answer, head included, and passes it on at once.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// How to find the client's socket, for waits that are long enough to look whether anyone is
    /// still there; none where there is no such way.
    fn peer(&self) -> Option<Peer> {
        None
    }

    /// Ends the exchange. Some: the next request of the same connection, already here.
    fn finish(self: Box<Self>, ending: Ending) -> Option<Job>;
}

/// A way to a client's socket that costs nothing until it is used.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    address: SocketAddr,
    find: fn(SocketAddr) -> Found,
}

/// What became of a client's connection.
#[derive(Debug)]
pub enum Found {
    /// It is there: a second descriptor of the socket.
    Here(TcpStream),
    /// It is gone.
    Gone,
    /// There is no way to tell.
    Unknown,
}

impl Peer {
    /// Looks for the socket.
    pub fn find(self) -> Found {
        (self.find)(self.address)
    }
}

/// How an exchange leaves its client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Complete on both sides: the next request may come.
    Keep,
    /// The answer is complete and is the last.
    Close,
    /// The answer is not complete, or there is none: the client must see that.
    Cut,
}
