//! Endless content in which a byte lost, doubled or moved anywhere is noticed, and that needs no
//! memory.

/// A prime, so that the pattern never falls into step with buffers.
const PERIOD: usize = 65_521;

/// A place in the pattern, for its writer or its checker.
pub struct Pattern {
    bytes: Vec<u8>,
    at: usize,
}

impl Pattern {
    pub fn new() -> Self {
        let mut state = 1_u32;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        Self {
            bytes: (0..PERIOD).map(next).collect(),
            at: 0,
        }
    }

    /// The next piece, at most `limit` bytes.
    pub fn piece(&mut self, limit: usize) -> &[u8] {
        let from = self.at % PERIOD;
        let n = limit.min(PERIOD - from);
        self.at += n;
        &self.bytes[from..from + n]
    }

    /// The next `length` bytes in one piece.
    pub fn take(&mut self, length: usize) -> Vec<u8> {
        let mut taken = Vec::with_capacity(length);
        while taken.len() < length {
            let left = length - taken.len();
            taken.extend_from_slice(self.piece(left));
        }
        taken
    }

    /// Fails unless these are the bytes that come next.
    #[track_caller]
    pub fn check(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let at = self.at;
            let wanted = self.piece(bytes.len());
            let (came, rest) = bytes.split_at(wanted.len());
            assert!(
                came == wanted,
                "the content differs somewhere after byte {at}"
            );
            bytes = rest;
        }
    }

    /// How many bytes were written or checked.
    pub fn len(&self) -> usize {
        self.at
    }
}
