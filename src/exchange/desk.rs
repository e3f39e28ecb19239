//! What a worker and the transport that it lends to ureq tell each other about one attempt.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use crate::exchange::buffers::WireBuffers;
use crate::exchange::fields::Length;
use crate::exchange::interim::is_switch;
use crate::exchange::response_content::SizedContent;
use crate::exchange::response_head::ResponseHead;
use crate::intake::Peer;
use crate::pool::Backend;
use crate::watch::Sheet;

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

/// A connection that has left HTTP behind.
#[derive(Debug)]
pub struct Switched {
    /// The connection.
    pub stream: TcpStream,
    /// What came behind the head of the answer.
    pub behind: Vec<u8>,
}

/// How a request begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The head is all there is, or all that has not been sent.
    Alone,
    /// The head goes out together with the first piece of content.
    WithContent,
    /// The head goes first, and the content when the backend asks for it (100), or says nothing.
    AwaitingContinue,
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
    /// In: what goes out with the head. Alone, once the head has been sent.
    pub opening: Opening,
    /// In: HEAD is asked, so that no content comes, whatever is announced.
    pub is_head: bool,
    /// In: the backend is asked to switch to another protocol.
    pub asks_to_switch: bool,
    /// In: how long the content is.
    pub length: Length,
    /// In: not all of the content is in memory.
    pub is_streamed: bool,
    /// In: the client's socket, to see whether it is still there.
    pub peer: Option<Peer>,
    /// Out: the client went away while the backend was waited for.
    pub client_is_gone: bool,
    /// Between: a second descriptor of the connection that content is streamed to.
    pub uploading: Option<TcpStream>,
    /// Between: what was read of the backend's answer while the request was still being sent.
    pub ahead: Vec<u8>,
    /// Between: the backend has answered before it had all of the content.
    pub is_early: bool,
    /// Out: how far it came.
    pub phase: Phase,
    /// Out: the connection had served an exchange before.
    pub is_reused: bool,
    /// Out: some byte of an answer was received.
    pub has_received: bool,
    /// Out: when a new connection was there, when all was sent, when an answer began.
    pub marks: Marks,
    /// Out: the answer's head, as received.
    pub response_head: ResponseHead,
    /// Out: the content behind it, where ureq has no part in that.
    pub sized: Option<SizedContent>,
    /// Out: bytes of the answer that are here already, behind the head.
    pub n_buffered: usize,
    /// Out: a connection on which an answer came, or may have come, before all was sent.
    pub early: Option<TcpStream>,
    /// Out: a connection that speaks another protocol now.
    pub switched: Option<Switched>,
    /// Buffers of the worker, lent to the connection that is in use.
    pub buffers: Option<WireBuffers>,
}

/// When an attempt came how far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Marks {
    /// A new connection was there.
    pub connected: Option<Instant>,
    /// The request had been sent.
    pub sent: Option<Instant>,
    /// The first byte of an answer came.
    pub first_byte: Option<Instant>,
}

impl Attempt {
    /// Puts the connection aside if it speaks another protocol now, as it was asked to; else gives
    /// it back. `input` is what ureq did not read of it.
    pub fn keep_switched(&mut self, stream: TcpStream, input: &[u8]) -> Option<TcpStream> {
        if !self.asks_to_switch || !is_switch(self.response_head.bytes()) {
            return Some(stream);
        }
        let behind = [input, &self.ahead].concat();
        self.switched = Some(Switched { stream, behind });
        None
    }
}

/// Protects the attempt, because ureq wants its transports to be `Sync`. Never contended: the
/// worker and the transport run on the same thread, one after the other; held for a few fields.
#[derive(Debug)]
pub struct Desk {
    attempt: Mutex<Attempt>,
    /// Of the worker's thread: what it does now.
    pub sheet: Arc<Sheet>,
}

impl Desk {
    pub fn new(sheet: Arc<Sheet>) -> Desk {
        let attempt = Attempt {
            backend: None,
            source: Source::Any,
            head: Vec::new(),
            opening: Opening::Alone,
            is_head: false,
            asks_to_switch: false,
            length: Length::Unannounced,
            is_streamed: false,
            peer: None,
            client_is_gone: false,
            uploading: None,
            ahead: Vec::new(),
            is_early: false,
            phase: Phase::Connecting,
            is_reused: false,
            has_received: false,
            marks: Marks::default(),
            response_head: ResponseHead::default(),
            sized: None,
            n_buffered: 0,
            early: None,
            switched: None,
            buffers: None,
        };
        Desk {
            attempt: Mutex::new(attempt),
            sheet,
        }
    }

    /// Drops what lies here and knows the desk: without this, neither would ever go.
    pub fn clear(&self) {
        // Each outside the lock, and the content first: it gives its buffers back.
        drop(self.with(|attempt| attempt.sized.take()));
        drop(self.with(|attempt| attempt.buffers.take()));
    }

    /// Reads or changes the attempt.
    pub fn with<T>(&self, look: impl FnOnce(&mut Attempt) -> T) -> T {
        look(&mut self.attempt.lock())
    }
}
