//! The bytes between ureq and a backend's socket. They belong to the worker, which lends them to
//! the connection in use: an idle connection costs a descriptor and no memory.

use std::sync::Arc;
use std::time::Instant;

use httparse::Status;
use ureq::unversioned::transport::Buffers;

use crate::exchange::desk::{Desk, Phase};
use crate::exchange::fields::Length;
use crate::exchange::interim::{interim_length, is_interim};
use crate::exchange::relay::{LONG, LONG_PIECE};
use crate::exchange::response_head::Announced;

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

    /// Ones without memory.
    fn empty(desk: Arc<Desk>) -> WireBuffers {
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

    /// Makes room for larger pieces of a long content.
    pub fn expect(&mut self, length: Length) {
        if matches!(length, Length::Sized(n) if n >= LONG) {
            self.output.resize(LONG_PIECE, 0);
        }
    }

    /// All of it, for another owner: what stays has no memory.
    pub fn hand_over(&mut self) -> WireBuffers {
        let empty = WireBuffers::empty(Arc::clone(&self.desk));
        std::mem::replace(self, empty)
    }

    /// Back onto the desk, ready for the next connection. Room that a long head or a long content
    /// took is freed.
    pub fn give_back(&mut self) {
        let buffers = self.hand_over().cleared();
        self.desk.with(|attempt| attempt.buffers = Some(buffers));
    }

    fn cleared(mut self) -> WireBuffers {
        self.start = 0;
        self.end = 0;
        self.has_progressed = false;
        for (buffer, size) in [
            (&mut self.input, INPUT_SIZE),
            (&mut self.output, OUTPUT_SIZE),
        ] {
            if buffer.len() > size {
                buffer.truncate(size);
                buffer.shrink_to_fit();
            }
        }
        self
    }

    /// The first `amount` bytes of the output.
    pub fn output_part(&self, amount: usize) -> &[u8] {
        &self.output[..amount]
    }

    /// Notes what was received into the room for it, and when, if that was read from the socket.
    pub fn received(&mut self, n: usize, at: Option<Instant>) {
        self.end += n;
        let n_buffered = self.end - self.start;
        self.desk.with(|attempt| {
            attempt.has_received |= n > 0;
            attempt.n_buffered = n_buffered;
            attempt.marks.first_byte = attempt.marks.first_byte.or(at);
        });
    }

    /// What was received and not read.
    pub fn pending(&self) -> &[u8] {
        &self.input[self.start..self.end]
    }

    /// Appends what is pending, `most` bytes at most.
    pub fn take(&mut self, out: &mut Vec<u8>, most: usize) -> usize {
        let pending = self.pending();
        let n = pending.len().min(most);
        out.extend_from_slice(&pending[..n]);
        self.start += n;
        n
    }

    /// Takes away whole interim answers that come where an answer is awaited: ureq takes a 100 with
    /// fields for a malformed one. Whether something else is pending.
    pub fn skip_interim(&mut self) -> bool {
        // The first line says whether there is anything to look for: `HTTP/1.1 1`.
        if self.pending().get(9) == Some(&b'1') {
            let is_awaited = self.desk.with(|attempt| attempt.phase == Phase::Waiting);
            while is_awaited && let Some(Status::Complete(n)) = interim_length(self.pending()) {
                self.start += n;
            }
        }
        self.start < self.end
    }

    /// Takes the head of an answer that has announced its length, if that is what is pending, and
    /// all of it.
    pub fn take_sized(&mut self) -> Option<Announced> {
        let pending = &self.input[self.start..self.end];
        let (n, announced) = self.desk.with(|attempt| {
            // What is ahead would have to be read before the socket.
            let is_awaited =
                attempt.phase == Phase::Waiting && !attempt.is_head && attempt.ahead.is_empty();
            let (n, announced) = is_awaited
                .then(|| attempt.response_head.take_sized(pending))
                .flatten()?;
            attempt.phase = Phase::Answered;
            attempt.n_buffered = pending.len() - n;
            Some((n, announced))
        })?;
        self.start += n;
        Some(announced)
    }
}

impl Buffers for WireBuffers {
    fn output(&mut self) -> &mut [u8] {
        &mut self.output
    }

    fn input(&self) -> &[u8] {
        self.pending()
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
        self.received(amount, None);
    }

    fn input_consume(&mut self, amount: usize) {
        self.has_progressed = amount > 0;
        let from = self.start;
        self.start += amount;
        let (consumed, n_buffered) = (&self.input[from..self.start], self.end - self.start);
        self.desk.with(|attempt| {
            attempt.n_buffered = n_buffered;
            // ureq consumes a head as a whole, and an interim one (1xx) like a final one: what is
            // consumed last while we wait is the head of the answer.
            if amount > 0 && attempt.phase == Phase::Waiting {
                attempt.response_head.set(consumed);
                if !is_interim(consumed) {
                    attempt.phase = Phase::Answered;
                }
            }
        });
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        self.input_append_buf();
        (&mut self.input[self.end..], &mut self.output)
    }

    fn can_use_input(&self) -> bool {
        self.start < self.end && self.has_progressed
    }
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
            assert_eq!(attempt.response_head.bytes(), heads[1]);
            assert_eq!(attempt.n_buffered, b"content".len());
        });
        buffers.input_consume(3);
        assert_eq!(buffers.input(), b"tent");
        assert_eq!(
            desk.with(|attempt| attempt.response_head.bytes().len()),
            heads[1].len()
        );
    }

    #[test]
    fn the_head_of_a_sized_answer_is_taken_once_and_whole() {
        let desk = Arc::new(new_desk());
        let mut buffers = WireBuffers::new(Arc::clone(&desk));
        let head = b"HTTP/1.1 404 No\r\nContent-Length: 7\r\n\r\n";
        append(&mut buffers, &head[..20]);
        // Not before the request was sent, nor before all of the head is here.
        assert_eq!(buffers.take_sized(), None);
        desk.with(|attempt| attempt.phase = Phase::Waiting);
        assert_eq!(buffers.take_sized(), None);
        append(&mut buffers, &[&head[20..], b"content"].concat());
        let announced = buffers.take_sized().expect("the head is whole");
        assert_eq!((announced.length, announced.closes), (7, false));
        assert_eq!(buffers.take_sized(), None, "once for each answer");
        desk.with(|attempt| {
            assert_eq!(attempt.phase, Phase::Answered);
            assert_eq!(attempt.response_head.bytes(), head);
            assert_eq!(attempt.n_buffered, 7);
        });
        let mut content = b"its ".to_vec();
        assert_eq!(buffers.take(&mut content, 3), 3);
        assert_eq!(buffers.take(&mut content, 9), 4);
        assert_eq!(buffers.take(&mut content, 9), 0);
        assert_eq!(content, b"its content");
    }

    #[test]
    fn content_that_a_head_answer_announces_is_not_awaited() {
        let desk = Arc::new(new_desk());
        let mut buffers = WireBuffers::new(Arc::clone(&desk));
        desk.with(|attempt| (attempt.phase, attempt.is_head) = (Phase::Waiting, true));
        append(
            &mut buffers,
            b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
        );
        assert_eq!(buffers.take_sized(), None);
    }

    #[test]
    fn interim_answers_are_skipped_where_an_answer_is_awaited() {
        let go = "HTTP/1.1 100 Continue\r\nDate: x\r\n\r\n";
        let hint = "HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n";
        let answer = "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 1";
        let switch = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
        for (phase, received, left) in [
            (Phase::Waiting, &[go, hint, go, answer][..], answer),
            (Phase::Waiting, &[go, "HTTP/1.1 10"], "HTTP/1.1 10"),
            (Phase::Waiting, &[go], ""),
            (Phase::Waiting, &[hint, switch], switch),
            (Phase::Waiting, &["HTTP/1.1 100 \n\n"], ""),
            (Phase::Answered, &[go], go),
        ] {
            let desk = Arc::new(new_desk());
            let mut buffers = WireBuffers::new(Arc::clone(&desk));
            desk.with(|attempt| attempt.phase = phase);
            append(&mut buffers, received.concat().as_bytes());
            assert_eq!(buffers.skip_interim(), !left.is_empty());
            assert_eq!(buffers.pending(), left.as_bytes());
        }
    }

    #[test]
    fn room_grows_for_what_is_long_and_shrinks_again() {
        let mut buffers = WireBuffers::new(Arc::new(new_desk()));
        let piece = vec![b'x'; INPUT_SIZE];
        append(&mut buffers, &piece);
        append(&mut buffers, &piece);
        append(&mut buffers, &piece[..7]);
        assert_eq!(buffers.input().len(), 2 * INPUT_SIZE + 7);
        buffers.input_consume(2 * INPUT_SIZE);
        assert_eq!(buffers.input(), &piece[..7]);
        for length in [
            Length::Sized(LONG - 1),
            Length::Chunked,
            Length::Unannounced,
        ] {
            buffers.expect(length);
            assert_eq!(buffers.output().len(), OUTPUT_SIZE);
        }
        buffers.expect(Length::Sized(LONG));
        assert_eq!(buffers.output().len(), LONG_PIECE);
        let buffers = buffers.cleared();
        assert_eq!(buffers.input.capacity(), INPUT_SIZE);
        assert_eq!(buffers.output.capacity(), OUTPUT_SIZE);
    }
}
