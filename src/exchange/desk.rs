//! What a worker and the transport that it lends to ureq tell each other about one attempt.

use std::net::TcpStream;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::exchange::buffers::WireBuffers;
use crate::intake::Peer;
use crate::pool::Backend;

/// How far an attempt has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing has been sent.
    Connecting,
    /// Some of the request may have been sent.
    Sending,
    /// All of it has been sent; the answer's head is awaited.
    Waiting,
    /// The answer's head is here.
    Answered,
}

/// Where the connection of an attempt comes from.
#[derive(Debug, Default)]
pub enum Source {
    /// An idle one, else a new one.
    #[default]
    Any,
    /// A new one.
    New,
    /// This one: its backend answered before it took all of the request.
    Early(TcpStream),
}

/// What a worker and the transport that it lends to ureq tell each other about one attempt.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // independent facts about one attempt
pub struct Attempt {
    /// In: whom to connect to.
    pub backend: Option<Arc<Backend>>,
    /// In: where the connection comes from.
    pub source: Source,
    /// In: the head to send.
    pub head: Vec<u8>,
    /// In: content follows, and its first piece goes out together with the head.
    pub has_content: bool,
    /// In: not all of the content is in memory.
    pub is_streamed: bool,
    /// In: the client's socket, to see whether it is still there.
    pub peer: Option<Peer>,
    /// Out: the client went away while the backend was waited for.
    pub client_is_gone: bool,
    /// Between: a second descriptor of the connection that content is streamed to.
    pub uploading: Option<TcpStream>,
    /// Between: the backend has answered before it had all of the content.
    pub is_early: bool,
    /// Out: how far it came.
    pub phase: Phase,
    /// Out: the connection had served an exchange before.
    pub is_reused: bool,
    /// Out: some byte of an answer was received.
    pub has_received: bool,
    /// Out: the answer's head, as received.
    pub response_head: Vec<u8>,
    /// Out: bytes of the answer that are here already, behind the head.
    pub n_buffered: usize,
    /// Out: a connection on which an answer came, or may have come, before all was sent.
    pub early: Option<TcpStream>,
    /// Buffers of the worker, lent to the connection that is in use.
    pub buffers: Option<WireBuffers>,
}

/// Protects the attempt, because ureq wants its transports to be `Sync`. Never contended: the
/// worker and the transport run on the same thread, one after the other; held for a few fields.
#[derive(Debug)]
pub struct Desk(Mutex<Attempt>);

impl Desk {
    pub fn new() -> Desk {
        Desk(Mutex::new(Attempt {
            backend: None,
            source: Source::Any,
            head: Vec::new(),
            has_content: false,
            is_streamed: false,
            peer: None,
            client_is_gone: false,
            uploading: None,
            is_early: false,
            phase: Phase::Connecting,
            is_reused: false,
            has_received: false,
            response_head: Vec::new(),
            n_buffered: 0,
            early: None,
            buffers: None,
        }))
    }

    /// Reads or changes the attempt.
    pub fn with<T>(&self, look: impl FnOnce(&mut Attempt) -> T) -> T {
        look(&mut self.0.lock())
    }
}
