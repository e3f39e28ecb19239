//! A request whose content is read before it is queued: as far as it is short.
//!
//! So a client that sends slowly holds no worker, and the request can be repeated. Longer content
//! goes on to the worker as it stands: what is here, and how to read the rest.

use std::time::Instant;

use crate::intake::check::Limits;
use crate::intake::gate::Settings;
use crate::intake::gate::content::Decoder;
use crate::intake::{ClientRequest, ContentFraming, Limit, MAX_HELD, Refusal};

/// A request that is complete as far as a worker needs it.
#[derive(Debug)]
pub struct Arrived {
    pub request: Box<ClientRequest>,
    /// Content that is in memory already.
    pub held: Vec<u8>,
    pub unread: Unread,
}

/// What is left to read of a content.
#[derive(Debug)]
pub enum Unread {
    Nothing,
    /// So many bytes.
    Sized(u64),
    Chunked(Box<Decoder>),
}

/// A request whose content is being read.
#[derive(Debug)]
pub struct Ahead {
    request: Box<ClientRequest>,
    unread: Unread,
    held: Vec<u8>,
    last_byte: Instant,
}

impl Ahead {
    /// Behind this head.
    pub fn new(request: Box<ClientRequest>, now: Instant) -> Ahead {
        let unread = match request.framing {
            ContentFraming::Empty | ContentFraming::Sized(0) => Unread::Nothing,
            ContentFraming::Sized(n) => Unread::Sized(n),
            ContentFraming::Chunked => Unread::Chunked(Box::new(Decoder::new(request.framing))),
        };
        Ahead {
            request,
            unread,
            held: Vec::new(),
            last_byte: now,
        }
    }

    /// Whether there is something to read ahead: content that may be short, and that the client
    /// sends without being told to (100).
    pub fn is_wanted(&self) -> bool {
        let may_fit = match self.unread {
            Unread::Nothing => false,
            Unread::Sized(n) => n <= MAX_HELD as u64,
            Unread::Chunked(_) => true,
        };
        may_fit && !self.request.expects_continue
    }

    /// Takes what has come; true when it is a worker's turn: this is all, or too long to hold.
    pub fn take(
        &mut self,
        input: &mut Vec<u8>,
        limits: &Limits,
        now: Instant,
    ) -> Result<bool, Refusal> {
        if !input.is_empty() {
            self.last_byte = now;
        }
        let is_over = match &mut self.unread {
            Unread::Nothing => true,
            Unread::Sized(left) => {
                let n = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                self.held.extend_from_slice(&input[..n]);
                input.drain(..n);
                *left -= n as u64;
                *left == 0
            }
            Unread::Chunked(decoder) => decode_all(decoder, input, &mut self.held)?,
        };
        if is_over {
            self.unread = Unread::Nothing;
        }
        let n_held = self.held.len();
        if limits.max_content.is_some_and(|most| n_held as u64 > most) {
            return Err(Limit::MaxContent.refusal());
        }
        Ok(is_over || n_held > MAX_HELD)
    }

    /// Hands it on.
    pub fn arrive(self) -> Arrived {
        Arrived {
            request: self.request,
            held: self.held,
            unread: self.unread,
        }
    }

    /// The line that the request began with, as it was understood.
    pub fn line(&self) -> Vec<u8> {
        let method = self.request.method.as_bytes();
        let version = self.request.version.name().as_bytes();
        [method, &self.request.target, version].join(&b' ')
    }

    /// Until when the next bytes must come, for content that began at `start`; and what is exceeded
    /// if they do not.
    pub fn deadline(&self, start: Instant, settings: &Settings) -> (Instant, Limit) {
        let stalled = self.last_byte + settings.idle_timeout;
        match settings.pace.deadline(start, self.held.len() as u64) {
            Some(slow) if slow < stalled => (slow, Limit::MinRate),
            _ => (stalled, Limit::IdleTimeout),
        }
    }
}

/// Decodes all that has come; true at the end of the content.
fn decode_all(
    decoder: &mut Decoder,
    input: &mut Vec<u8>,
    held: &mut Vec<u8>,
) -> Result<bool, Refusal> {
    let start = held.len();
    // Decoded is never longer than what came, so it fits, and all of the input is consumed.
    held.resize(start + input.len(), 0);
    let step = decoder.decode(input, &mut held[start..]);
    let (n_in, n_out) = step.map_err(|_| Refusal::new(400, "the content is malformed"))?;
    held.truncate(start + n_out);
    input.drain(..n_in);
    Ok(decoder.is_ended())
}
