//! Looks for a text in the content of an answer, as it comes.
//!
//! Tolerant: it passes nothing on, so all that an odd framing can do is to hide the text.

use crate::pool::probe::answer::{BROKEN_OFF, MALFORMED};
use crate::pool::probe::{Found, ill};

/// The part of the content that is searched.
pub(super) const MAX_SEARCHED_BYTES: usize = 64 * 1024;
/// Digits of a chunk's size: all that 64 bits need.
const MAX_SIZE_DIGITS: u32 = 16;

/// The content of an answer, of which a part may have come.
#[derive(Debug)]
pub struct Content {
    framing: Framing,
    search: Search,
}

/// How the content's end is found, and how far it is away.
#[derive(Debug)]
pub enum Framing {
    /// All up to the end of the connection.
    ToEnd,
    /// So many bytes.
    Length(u64),
    /// Chunks, and where in them we are.
    Chunks(Place),
}

/// A place between or in chunks (RFC 9112 §7.1).
#[derive(Debug)]
pub enum Place {
    /// In the digits of a size.
    Size {
        /// What they say so far.
        n: u64,
        /// How many there were.
        n_digits: u32,
    },
    /// In what follows the size in its line.
    Extension(u64),
    /// In a chunk, with so many bytes left.
    Data(u64),
    /// In the line's end after a chunk.
    AfterData,
}

impl Framing {
    /// Chunks, before the first one.
    pub fn chunked() -> Framing {
        Framing::Chunks(Place::START)
    }
}

impl Place {
    const START: Place = Place::Size { n: 0, n_digits: 0 };
}

impl Content {
    /// Nothing has come yet.
    pub fn new(framing: Framing, text: &str) -> Content {
        Content {
            framing,
            search: Search::new(text),
        }
    }

    /// Takes what came next; some once the text is found, or can't be any more.
    pub fn read(&mut self, bytes: &[u8]) -> Option<Found> {
        match &mut self.framing {
            Framing::ToEnd => self.search.read(bytes),
            Framing::Length(left) => {
                let piece = take(bytes, left);
                let found = self.search.read(piece);
                found.or_else(|| (*left == 0).then(missing))
            }
            Framing::Chunks(place) => read_chunks(place, &mut self.search, bytes),
        }
    }

    /// The connection has ended, and nothing was decided before.
    pub fn end(&self) -> Found {
        match self.framing {
            Framing::ToEnd => missing(),
            Framing::Length(_) | Framing::Chunks(_) => ill(BROKEN_OFF),
        }
    }
}

fn read_chunks(place: &mut Place, search: &mut Search, mut bytes: &[u8]) -> Option<Found> {
    while let Some((&first, rest)) = bytes.split_first() {
        if let Place::Data(left) = place {
            let piece = take(bytes, left);
            bytes = &bytes[piece.len()..];
            if *left == 0 {
                *place = Place::AfterData;
            }
            if let Some(found) = search.read(piece) {
                return Some(found);
            }
            continue;
        }
        bytes = rest;
        let next = after(place, first);
        if matches!(next, Some(Place::Data(0))) {
            return Some(missing()); // the last chunk
        }
        match next {
            Some(next) => *place = next,
            None => return Some(ill(MALFORMED)),
        }
    }
    None
}

/// Where a byte outside of a chunk leads; none if it may not stand there.
fn after(place: &Place, byte: u8) -> Option<Place> {
    match (place, byte) {
        (&Place::Size { n, n_digits }, _) if byte.is_ascii_hexdigit() => {
            let digit = char::from(byte).to_digit(16).unwrap_or_default();
            (n_digits < MAX_SIZE_DIGITS).then_some(Place::Size {
                n: n << 4 | u64::from(digit),
                n_digits: n_digits + 1,
            })
        }
        (Place::Size { n_digits: 0, .. }, _) => None,
        (Place::Size { n, .. } | Place::Extension(n), b'\n') => Some(Place::Data(*n)),
        (Place::Size { n, .. }, b'\r' | b';' | b' ' | b'\t') | (Place::Extension(n), _) => {
            Some(Place::Extension(*n))
        }
        (Place::AfterData, b'\r') => Some(Place::AfterData),
        (Place::AfterData, b'\n') => Some(Place::START),
        (Place::Size { .. } | Place::Data(_) | Place::AfterData, _) => None,
    }
}

/// The part of the bytes that belongs to the `left` ones, which become fewer by it.
fn take<'b>(bytes: &'b [u8], left: &mut u64) -> &'b [u8] {
    let n = usize::try_from(*left)
        .unwrap_or(usize::MAX)
        .min(bytes.len());
    *left -= n as u64;
    &bytes[..n]
}

/// Keeps no more of what came than could be the begin of the text.
#[derive(Debug)]
struct Search {
    text: Vec<u8>,
    tail: Vec<u8>,
    n_left: usize,
}

impl Search {
    fn new(text: &str) -> Search {
        Search {
            text: text.as_bytes().to_vec(),
            tail: Vec::new(),
            n_left: MAX_SEARCHED_BYTES,
        }
    }

    fn read(&mut self, piece: &[u8]) -> Option<Found> {
        let piece = &piece[..piece.len().min(self.n_left)];
        self.n_left -= piece.len();
        self.tail.extend_from_slice(piece);
        let n_text = self.text.len().max(1);
        if self.tail.windows(n_text).any(|window| window == self.text) {
            return Some(Found::Good);
        }
        let n_old = self.tail.len().saturating_sub(n_text - 1);
        self.tail.drain(..n_old);
        (self.n_left == 0).then(missing)
    }
}

fn missing() -> Found {
    ill("its text is not in the answer")
}
