//! What one exchange went through, from the queue to its end.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::intake::ClientRequest;
use crate::pool::{Backend, PassedOver, Picking};
use crate::watch::fate::Fate;

/// Bytes of a target that are kept for people.
const MAX_TARGET: usize = 256;
/// The field of W3C Trace Context that says of which trace a request is a part. It is passed on as
/// it is, like any other end-to-end field: we begin no span.
const TRACEPARENT: &str = "traceparent";
/// Bytes of it that are kept: version 00 has 55, and later ones may have more behind those.
const MAX_TRACE: usize = 128;
/// Attempts that are told one by one; of others only the last is.
const MAX_ATTEMPTS: usize = 16;

/// What one exchange went through. A worker has one and uses it again and again; those that are
/// remembered are exchanged for it.
#[derive(Debug)]
pub struct Story {
    /// Counted from 1 on, for this process.
    pub n: u64,
    /// The slot of the thread that served it.
    pub slot: usize,
    /// For whom; none on a Unix socket.
    pub client: Option<IpAddr>,
    /// Method, target and version; empty unless it is to be remembered.
    pub line: Vec<u8>,
    /// What it is called in X-Request-Id; empty if it is called nothing.
    pub request_id: Vec<u8>,
    /// The traceparent that it came with; empty if there is none, or it is not to be remembered.
    pub trace: Vec<u8>,
    /// When its head was complete and it was put on the queue.
    pub queued: Instant,
    /// When a worker took it.
    pub begun: Instant,
    /// When its last byte was written.
    pub ended: Instant,
    /// It came to a pool.
    pub has_pool: bool,
    /// The name of its pool; empty unless it is to be remembered.
    pub pool: String,
    /// How many attempts it had.
    pub n_attempts: u64,
    /// Those of them that are remembered, in order.
    pub attempts: Vec<Attempt>,
    /// Of the answer; 0: there was none.
    pub status: u16,
    /// Content of the request, and what came through a tunnel, bytes.
    pub bytes_in: u64,
    /// The answer, its head included, and what went through a tunnel, bytes.
    pub bytes_out: u64,
    /// Its head alone, bytes; known where it was written.
    pub head_out: u64,
    /// How it ended.
    pub fate: Fate,
    /// The reason of the last failure.
    pub cause: String,
}

/// One try at one backend.
#[derive(Debug)]
pub struct Attempt {
    /// Whom; none unless it is to be remembered.
    pub backend: Option<Arc<Backend>>,
    /// How it was chosen.
    pub picking: Picking,
    /// Who was passed over before; empty unless it is to be remembered.
    pub passed_over: Vec<PassedOver>,
    /// When it was picked.
    pub picked: Instant,
    /// When its connection was there.
    pub connected: Option<Instant>,
    /// The connection had been open already.
    pub is_reused: bool,
    /// When the request had been sent.
    pub sent: Option<Instant>,
    /// When the first byte of its answer came.
    pub first_byte: Option<Instant>,
    /// Why it failed; empty: it did not.
    pub failure: String,
}

impl Story {
    /// Of nothing yet.
    pub fn new(slot: usize, now: Instant) -> Story {
        Story {
            n: 0,
            slot,
            client: None,
            line: Vec::new(),
            request_id: Vec::new(),
            trace: Vec::new(),
            queued: now,
            begun: now,
            ended: now,
            has_pool: false,
            pool: String::new(),
            attempts: Vec::new(),
            n_attempts: 0,
            status: 0,
            bytes_in: 0,
            bytes_out: 0,
            head_out: 0,
            fate: Fate::default(),
            cause: String::new(),
        }
    }

    /// Begins anew, in the memory of the one before.
    pub fn begin(&mut self, slot: usize, queued: Instant, now: Instant) {
        self.slot = slot;
        (self.queued, self.begun, self.ended) = (queued.min(now), now, now);
        self.client = None;
        self.line.clear();
        self.request_id.clear();
        self.trace.clear();
        self.has_pool = false;
        self.pool.clear();
        self.attempts.clear();
        self.n_attempts = 0;
        (self.bytes_in, self.bytes_out, self.head_out) = (0, 0, 0);
        self.status = 0;
        self.fate = Fate::default();
        self.cause.clear();
    }

    /// Notes what people want to see of the request.
    pub fn note_request(&mut self, request: &ClientRequest) {
        self.client = request.address;
        let target = &request.target[..request.target.len().min(MAX_TARGET)];
        self.line.extend_from_slice(request.method.as_bytes());
        self.line.push(b' ');
        self.line.extend_from_slice(target);
        if target.len() < request.target.len() {
            self.line.extend_from_slice("…".as_bytes());
        }
        self.line.push(b' ');
        self.line
            .extend_from_slice(request.version.name().as_bytes());
        let trace = request.fields.all(TRACEPARENT).next().unwrap_or_default();
        self.trace
            .extend_from_slice(&trace[..trace.len().min(MAX_TRACE)]);
    }

    /// What it is called, if anything.
    pub fn request_id(&self) -> Option<&[u8]> {
        (!self.request_id.is_empty()).then_some(&self.request_id)
    }

    /// A backend was picked.
    pub fn begin_attempt(&mut self, backend: Option<Arc<Backend>>, picking: Picking, now: Instant) {
        self.n_attempts += 1;
        if self.attempts.len() == MAX_ATTEMPTS {
            self.attempts.pop();
        }
        self.attempts.push(Attempt {
            backend,
            picking,
            passed_over: Vec::new(),
            picked: now,
            connected: None,
            is_reused: false,
            sent: None,
            first_byte: None,
            failure: String::new(),
        });
    }

    /// Whether what the client got was a backend's answer, to its end or not.
    pub fn is_of_backend(&self) -> bool {
        use Fate::{Answered, ClientGone, ClientUnread, ContentBroke, Tunnelled};
        let fates = [Answered, ClientGone, ClientUnread, ContentBroke, Tunnelled];
        fates.contains(&self.fate) && self.status != 0
    }

    /// When the answer began; without one, when a worker took it.
    pub fn answer_began(&self) -> Instant {
        let last = self.attempts.last();
        last.and_then(|attempt| attempt.first_byte)
            .unwrap_or(self.begun)
    }

    /// The attempt in progress.
    pub fn attempt(&mut self) -> Option<&mut Attempt> {
        self.attempts.last_mut()
    }
}
