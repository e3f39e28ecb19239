//! Decodes a request's content as its bytes come: `ureq-proto` decodes, behind a strict check.
//!
//! Pure. Of chunked content only the data reaches the engine as it came, and is copied once, by the
//! engine; everything around the data is checked here and handed over in its plainest form (digits
//! CRLF data CRLF 0 CRLF CRLF), so that neither the engine's leniency nor its limits matter. Where
//! the two disagree, the content is malformed.

mod chunks;

use std::error::Error;
use std::fmt;
use std::io::Write;

use ureq_proto::BodyMode;
use ureq_proto::server::state::RecvBody;
use ureq_proto::server::{RecvRequestResult, Reply};

use crate::intake::ContentFraming;

use self::chunks::{Chunks, Step};

/// Content is not framed as it should be, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed content: {}", self.0)
    }
}

impl Error for Malformed {}

const DISAGREEMENT: Malformed = Malformed("the decoder disagrees with the check");

/// The content of one request.
#[derive(Debug)]
pub struct Decoder {
    /// None where there is no content.
    engine: Option<Reply<RecvBody>>,
    /// The check before the engine, of chunked content.
    chunks: Option<Chunks>,
}

impl Decoder {
    /// For content of this framing, of which nothing has been decoded yet.
    pub fn new(framing: ContentFraming) -> Decoder {
        let (field, chunks) = match framing {
            ContentFraming::Empty | ContentFraming::Sized(0) => (None, None),
            ContentFraming::Sized(n) => (Some(format!("content-length: {n}")), None),
            ContentFraming::Chunked => {
                let field = "transfer-encoding: chunked".to_owned();
                (Some(field), Some(Chunks::default()))
            }
        };
        Decoder {
            engine: field.map(|field| engine(&field)),
            chunks,
        }
    }

    /// Decodes from the front of `input` into `output`: how much was consumed, and written.
    ///
    /// Consumes all of the input, unless the content ends in it or has more data there than
    /// `output` holds. After an error what stands in `output` is worth nothing, and neither is the
    /// decoder.
    pub fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize), Malformed> {
        match (&mut self.engine, &mut self.chunks) {
            (None, _) => Ok((0, 0)),
            (Some(engine), None) => engine.read(input, output).map_err(|_| DISAGREEMENT),
            (Some(engine), Some(_)) if engine.is_ended() => Ok((0, 0)),
            (Some(engine), Some(chunks)) => decode_chunked(engine, chunks, input, output),
        }
    }

    /// Whether all of the content has been decoded.
    pub fn is_ended(&self) -> bool {
        self.engine.as_ref().is_none_or(Reply::is_ended)
    }

    /// What is left of content with a length, bytes; none for chunked content.
    pub fn left(&self) -> Option<u64> {
        match self.engine.as_ref().map(Reply::body_mode) {
            None => Some(0),
            Some(BodyMode::LengthDelimited(n)) => Some(n),
            Some(_) => None,
        }
    }
}

/// An engine that expects content so framed. Its request line is made up: the real one may have a
/// target that the engine refuses and browsers send.
fn engine(field: &str) -> Reply<RecvBody> {
    let head = format!("POST / HTTP/1.1\r\n{field}\r\n\r\n");
    let reply = Reply::new().ok().and_then(|mut reply| {
        reply.try_request(head.as_bytes()).ok()?;
        reply.proceed()
    });
    match reply {
        Some(RecvRequestResult::RecvBody(reply)) => reply,
        _ => unreachable!("a request with one framing field has content: {head:?}"),
    }
}

fn decode_chunked(
    engine: &mut Reply<RecvBody>,
    chunks: &mut Chunks,
    input: &[u8],
    output: &mut [u8],
) -> Result<(usize, usize), Malformed> {
    let (mut consumed, mut written) = (0, 0);
    loop {
        let (n, step) = chunks.next(&input[consumed..])?;
        consumed += n;
        match step {
            Step::More => break,
            Step::Size(size) => {
                let mut line = [0; 18]; // 16 digits and CRLF
                let mut rest = &mut line[..];
                write!(rest, "{size:x}\r\n").expect("a u64 has at most 16 digits");
                let unused = rest.len();
                feed(engine, &line[..line.len() - unused])?;
            }
            Step::Data(n) => {
                let n = n.min(output.len() - written);
                if n == 0 {
                    break;
                }
                let data = &input[consumed..consumed + n];
                let read = engine.read(data, &mut output[written..written + n]);
                if !matches!(read, Ok(done) if done == (n, n)) {
                    return Err(DISAGREEMENT);
                }
                chunks.take(n);
                consumed += n;
                written += n;
            }
            Step::ChunkEnd => feed(engine, b"\r\n")?,
            Step::End => {
                feed(engine, b"\r\n")?;
                if !engine.is_ended() {
                    return Err(DISAGREEMENT);
                }
                break;
            }
        }
    }
    Ok((consumed, written))
}

/// Hands over what is not data: all of it must be taken, and nothing come of it.
fn feed(engine: &mut Reply<RecvBody>, framing: &[u8]) -> Result<(), Malformed> {
    match engine.read(framing, &mut []) {
        Ok((n, 0)) if n == framing.len() => Ok(()),
        _ => Err(DISAGREEMENT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of input given in pieces so long, with room for so much output: the content and
    /// how much input is left over, or nothing if it does not end or is malformed.
    fn decode(
        framing: ContentFraming,
        input: &[u8],
        piece: usize,
        room: usize,
    ) -> Option<(Vec<u8>, usize)> {
        let mut decoder = Decoder::new(framing);
        let (mut content, mut output) = (Vec::new(), vec![0; room]);
        let (mut at, mut end) = (0, 0);
        while !decoder.is_ended() {
            let (consumed, written) = decoder.decode(&input[at..end], &mut output).ok()?;
            assert!(
                at + consumed == end || decoder.is_ended() || written == room,
                "consumed {consumed} of {} and wrote {written}",
                end - at
            );
            content.extend_from_slice(&output[..written]);
            at += consumed;
            if at == end {
                if end == input.len() && !decoder.is_ended() {
                    return None;
                }
                end = input.len().min(end + piece);
            }
        }
        assert_eq!(decoder.decode(b"0\r\n\r\n", &mut output), Ok((0, 0)));
        Some((content, input.len() - at))
    }

    #[test]
    fn splits_and_room_change_nothing() {
        let chunked = b"5;x\r\nhello\r\n00C \t;y=\"z\"\r\n, wide world\r\n0\r\nA: b\r\n\r\nGET";
        let all = b"hello, wide worldGET";
        for piece in 1..=chunked.len() {
            for room in 1..=20 {
                let decoded = decode(ContentFraming::Chunked, chunked, piece, room);
                assert_eq!(decoded, Some((all[..17].to_vec(), 3)), "{piece} {room}");
                let decoded = decode(ContentFraming::Sized(17), all, piece, room);
                assert_eq!(decoded, Some((all[..17].to_vec(), 3)), "{piece} {room}");
                assert_eq!(
                    decode(ContentFraming::Chunked, b"1\r\naa\r\n", piece, room),
                    None
                );
            }
        }
    }

    #[test]
    fn no_output_is_needed_for_what_is_not_data() {
        let mut decoder = Decoder::new(ContentFraming::Chunked);
        assert_eq!(decoder.decode(b"1;x\r\na", &mut []), Ok((5, 0)));
        assert_eq!(decoder.decode(b"a\r\n0\r\n\r\n", &mut [0]), Ok((8, 1)));
        assert!(decoder.is_ended());
    }

    #[test]
    fn what_is_left_is_known_of_content_with_a_length_only() {
        for framing in [ContentFraming::Empty, ContentFraming::Sized(0)] {
            let mut decoder = Decoder::new(framing);
            assert_eq!((decoder.is_ended(), decoder.left()), (true, Some(0)));
            assert_eq!(decoder.decode(b"GET", &mut [0]), Ok((0, 0)));
        }
        let mut decoder = Decoder::new(ContentFraming::Sized(u64::MAX));
        assert_eq!(decoder.decode(b"ab", &mut [0; 9]), Ok((2, 2)));
        assert_eq!(
            (decoder.is_ended(), decoder.left()),
            (false, Some(u64::MAX - 2))
        );
        let mut decoder = Decoder::new(ContentFraming::Sized(2));
        assert_eq!(decoder.decode(b"abc", &mut [0]), Ok((1, 1)));
        assert_eq!(decoder.left(), Some(1));
        assert_eq!(decoder.decode(b"bc", &mut [0; 9]), Ok((1, 1)));
        assert_eq!((decoder.is_ended(), decoder.left()), (true, Some(0)));
        let decoder = Decoder::new(ContentFraming::Chunked);
        assert_eq!((decoder.is_ended(), decoder.left()), (false, None));
    }

    #[test]
    fn the_largest_size_is_taken_by_both() {
        let mut decoder = Decoder::new(ContentFraming::Chunked);
        let step = decoder.decode(b"ffffffffffffffff\r\nab", &mut [0; 9]);
        if cfg!(target_pointer_width = "64") {
            assert_eq!(step, Ok((20, 2)));
        } else {
            assert!(step.is_err());
        }
    }
}
