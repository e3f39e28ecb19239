//! The bytes between ureq and a backend's socket. They belong to the worker, which lends them to
//! the connection in use: an idle connection costs a descriptor and no memory.

use std::io::{self, IoSlice, Write};
use std::net::TcpStream;
use std::sync::Arc;

use ureq::unversioned::transport::Buffers;

use crate::exchange::desk::{Desk, Phase};
use crate::exchange::interim::is_interim;

/// Room for output: ureq's head, or a piece of content.
const OUTPUT_SIZE: usize = 16 * 1024;
/// Room for input at first.
const INPUT_SIZE: usize = 16 * 1024;
/// Room for input at most: the longest head of an answer. Longer: 502.
pub const MAX_RESPONSE_HEAD: usize = 64 * 1024;

/// One worker's buffers.
#[derive(Debug)]
pub struct WireBuffers {
    desk: Arc<Desk>,
    output: Vec<u8>,
    input: Vec<u8>,
    /// What of `input` is filled and not consumed.
    start: usize,
    end: usize,
    has_progressed: bool,
}

impl WireBuffers {
    pub fn new(desk: Arc<Desk>) -> WireBuffers {
        WireBuffers {
            output: vec![0; OUTPUT_SIZE],
            input: vec![0; INPUT_SIZE],
            ..WireBuffers::empty(desk)
        }
    }

    /// A stand-in without memory.
    pub fn empty(desk: Arc<Desk>) -> WireBuffers {
        let (output, input) = (Vec::new(), Vec::new());
        WireBuffers {
            desk,
            output,
            input,
            start: 0,
            end: 0,
            has_progressed: false,
        }
    }

    /// Ready for the next connection. Room that a long head took is given back.
    pub fn cleared(mut self) -> WireBuffers {
        self.start = 0;
        self.end = 0;
        self.has_progressed = false;
        if self.input.len() > INPUT_SIZE {
            self.input.truncate(INPUT_SIZE);
            self.input.shrink_to_fit();
        }
        self
    }

    /// The first `amount` bytes of the output.
    pub fn output_part(&self, amount: usize) -> &[u8] {
        &self.output[..amount]
    }

    fn note_buffered(&self) {
        let n_buffered = self.end - self.start;
        self.desk.with(|attempt| attempt.n_buffered = n_buffered);
    }
}

impl Buffers for WireBuffers {
    fn output(&mut self) -> &mut [u8] {
        &mut self.output
    }

    fn input(&self) -> &[u8] {
        &self.input[self.start..self.end]
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
        if self.end == self.input.len() {
            if self.start > 0 {
                self.input.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            } else {
                // A head that is longer than the buffer; ureq refuses it at the limit.
                let longer = (2 * self.input.len()).min(2 * MAX_RESPONSE_HEAD);
                self.input.resize(longer, 0);
            }
        }
        &mut self.input[self.end..]
    }

    fn input_appended(&mut self, amount: usize) {
        self.end += amount;
        self.desk.with(|attempt| attempt.has_received |= amount > 0);
        self.note_buffered();
    }

    fn input_consume(&mut self, amount: usize) {
        self.has_progressed = amount > 0;
        let consumed = &self.input[self.start..self.start + amount];
        self.desk.with(|attempt| {
            // ureq consumes a head as a whole, and an interim one (1xx) like a final one: what is
            // consumed last while we wait is the head of the answer.
            if amount > 0 && attempt.phase == Phase::Waiting {
                attempt.response_head.clear();
                attempt.response_head.extend_from_slice(consumed);
                if !is_interim(consumed) {
                    attempt.phase = Phase::Answered;
                }
            }
        });
        self.start += amount;
        self.note_buffered();
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        self.input_append_buf();
        (&mut self.input[self.end..], &mut self.output)
    }

    fn can_use_input(&self) -> bool {
        self.start < self.end && self.has_progressed
    }
}

/// Writes both parts, in as few calls as the socket takes.
pub fn write_all(mut stream: &TcpStream, head: &[u8], content: &[u8]) -> io::Result<()> {
    let mut parts = [IoSlice::new(head), IoSlice::new(content)];
    let mut left = &mut parts[..];
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match stream.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => IoSlice::advance_slices(&mut left, n),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use crate::watch::Sheet;

    use super::*;

    fn append(buffers: &mut WireBuffers, bytes: &[u8]) {
        buffers.input_append_buf()[..bytes.len()].copy_from_slice(bytes);
        buffers.input_appended(bytes.len());
    }

    fn new_desk() -> Desk {
        Desk::new(Arc::new(Sheet::new(Instant::now())))
    }

    #[test]
    fn the_last_head_consumed_is_the_answers() {
        let desk = Arc::new(new_desk());
        let mut buffers = WireBuffers::new(Arc::clone(&desk));
        desk.with(|attempt| attempt.phase = Phase::Waiting);
        let heads: [&[u8]; 2] = [b"HTTP/1.1 103 Hint\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"];
        append(&mut buffers, &[heads[0], heads[1], b"content"].concat());
        buffers.input_consume(heads[0].len());
        assert_eq!(desk.with(|attempt| attempt.phase), Phase::Waiting);
        buffers.input_consume(heads[1].len());
        desk.with(|attempt| {
            assert_eq!(attempt.phase, Phase::Answered);
            assert_eq!(attempt.response_head, heads[1]);
            assert_eq!(attempt.n_buffered, b"content".len());
        });
        buffers.input_consume(3);
        assert_eq!(buffers.input(), b"tent");
        assert_eq!(
            desk.with(|attempt| attempt.response_head.len()),
            heads[1].len()
        );
    }

    #[test]
    fn input_grows_for_a_long_head_and_shrinks_again() {
        let mut buffers = WireBuffers::new(Arc::new(new_desk()));
        let piece = vec![b'x'; INPUT_SIZE];
        append(&mut buffers, &piece);
        append(&mut buffers, &piece);
        append(&mut buffers, &piece[..7]);
        assert_eq!(buffers.input().len(), 2 * INPUT_SIZE + 7);
        buffers.input_consume(2 * INPUT_SIZE);
        assert_eq!(buffers.input(), &piece[..7]);
        assert_eq!(buffers.cleared().input.len(), INPUT_SIZE);
    }
}
