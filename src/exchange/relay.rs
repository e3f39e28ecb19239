//! Passes an answer's content from the backend to the client, piece by piece as it comes.

use std::io::{self, Write as _};

use crate::exchange::answer::Framing;
use crate::intake::Client;

/// A piece of content, bytes. Larger pieces cost fewer calls, and each worker holds one.
pub const PIECE: usize = 16 * 1024;
/// A piece of a content that is known to be long, in either direction: a quarter of the calls.
pub const LONG_PIECE: usize = 64 * 1024;
/// What is long, bytes.
pub const LONG: u64 = 256 * 1024;
/// Room before a piece for the line that begins a chunk: up to 16 hexadecimal digits and CRLF.
const CHUNK_LINE: usize = 18;

/// Why an answer was not passed on to its end.
#[derive(Debug)]
pub enum Broken {
    /// The backend failed.
    Backend(io::Error),
    /// The client went away, or stopped reading for the idle timeout.
    Client(io::Error),
}

/// Sends `out`, which holds the head, and the content behind it, but for the last piece, which is
/// left in `out`: the caller settles everything with the backend before the client, who may ask
/// again at once, can see that its answer is complete.
///
/// `read` appends a piece of the content, about as many bytes as it is told at most, and says how
/// many; 0 is the end.
///
/// When `is_here` says that content came with the head, the first piece goes out in the same
/// write; otherwise the head goes first, because the content may take any time (server-sent
/// events).
pub fn relay(
    out: &mut Vec<u8>,
    mut read: impl FnMut(&mut Vec<u8>, usize) -> io::Result<usize>,
    framing: Framing,
    is_here: bool,
    client: &mut dyn Client,
) -> Result<(), Broken> {
    let mut n_total = 0;
    if !is_here && !matches!(framing, Framing::Empty | Framing::Sized(0)) {
        flush(out, client)?;
    }
    loop {
        let n = read_piece(out, &mut read, framing, n_total).map_err(Broken::Backend)?;
        n_total += n as u64;
        match framing {
            Framing::Sized(length) if n == 0 && n_total < length => {
                return Err(Broken::Backend(io::ErrorKind::UnexpectedEof.into()));
            }
            Framing::Chunked if n == 0 => out.extend_from_slice(b"0\r\n\r\n"),
            _ => {}
        }
        if n == 0 {
            return Ok(());
        }
        // The last piece of a sized content waits here for the read that finds nothing more.
        if framing != Framing::Sized(n_total) {
            flush(out, client)?;
        }
    }
}

/// Writes what is left, if anything is.
pub fn flush(out: &mut Vec<u8>, client: &mut dyn Client) -> Result<(), Broken> {
    if out.is_empty() {
        return Ok(());
    }
    let written = client.write(out).map_err(Broken::Client);
    out.clear();
    written
}

/// Appends one piece of content as the client shall see it. 0: there is no more.
fn read_piece(
    out: &mut Vec<u8>,
    read: &mut impl FnMut(&mut Vec<u8>, usize) -> io::Result<usize>,
    framing: Framing,
    n_before: u64,
) -> io::Result<usize> {
    let start = out.len();
    let gap = if framing == Framing::Chunked {
        CHUNK_LINE
    } else {
        0
    };
    // No more room than can be filled, because room may be filled with zeros first; but some,
    // because the read that finds nothing more is what ends the content.
    let room = match framing {
        Framing::Empty => 1,
        Framing::Sized(length) => {
            let most = if length < LONG { PIECE } else { LONG_PIECE };
            let left = usize::try_from(length.saturating_sub(n_before));
            left.map_or(most, |left| left.clamp(1, most))
        }
        Framing::Chunked | Framing::UntilClose => PIECE,
    };
    out.resize(start + gap, 0);
    let result = read(out, room);
    let n = *result.as_ref().unwrap_or(&0);
    if n == 0 {
        out.truncate(start);
        return result;
    }
    if framing == Framing::Chunked {
        // The length with leading zeros fills its room (RFC 9112 §7.1 allows them).
        let line = &mut out[start..start + gap];
        write!(&mut line[..], "{n:016x}\r\n").expect("the room is made for it");
        out.extend_from_slice(b"\r\n");
    }
    Ok(n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::{Ending, Job};

    struct Taker(Vec<Vec<u8>>);

    impl Client for Taker {
        fn read_content(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Ok(0)
        }
        fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.0.push(bytes.to_vec());
            Ok(())
        }
        fn finish(self: Box<Self>, _: Ending) -> Option<Job> {
            None
        }
    }

    /// One read gives one piece; an error at the end if `fails`.
    struct Pieces(Vec<&'static str>, bool);

    impl Pieces {
        fn read(&mut self, out: &mut Vec<u8>, room: usize) -> io::Result<usize> {
            if self.0.is_empty() {
                return if self.1 {
                    Err(io::ErrorKind::ConnectionReset.into())
                } else {
                    Ok(0)
                };
            }
            let piece = self.0.remove(0).as_bytes();
            assert!(piece.len() <= room);
            out.extend_from_slice(piece);
            Ok(piece.len())
        }
    }

    fn writes(pieces: &[&'static str], framing: Framing, is_here: bool) -> Vec<String> {
        let mut client = Taker(Vec::new());
        let mut out = b"HEAD ".to_vec();
        let mut content = Pieces(pieces.to_vec(), false);
        relay(
            &mut out,
            |out, room| content.read(out, room),
            framing,
            is_here,
            &mut client,
        )
        .expect("nobody fails");
        flush(&mut out, &mut client).expect("nobody fails");
        client
            .0
            .into_iter()
            .map(|w| String::from_utf8(w).expect("it is text"))
            .collect()
    }

    #[test]
    fn content_is_framed_and_each_piece_goes_out_at_once() {
        use Framing::{Chunked, Empty, Sized, UntilClose};
        assert_eq!(writes(&["ab", "c"], Sized(3), true), ["HEAD ab", "c"]);
        assert_eq!(writes(&["ab", "c"], Sized(3), false), ["HEAD ", "ab", "c"]);
        assert_eq!(writes(&["ab"], UntilClose, true), ["HEAD ab"]);
        assert_eq!(writes(&[], Sized(0), true), ["HEAD "]);
        assert_eq!(writes(&[], Sized(0), false), ["HEAD "]);
        assert_eq!(writes(&[], Empty, false), ["HEAD "]);
        let chunk = "0000000000000002\r\nab\r\n";
        assert_eq!(
            writes(&["ab"], Chunked, true),
            [format!("HEAD {chunk}").as_str(), "0\r\n\r\n"]
        );
        assert_eq!(
            writes(&["ab"], Chunked, false),
            ["HEAD ", chunk, "0\r\n\r\n"]
        );
        assert_eq!(writes(&[], Chunked, true), ["HEAD 0\r\n\r\n"]);
    }

    #[test]
    fn a_long_content_is_passed_on_in_longer_pieces() {
        let rooms_for = |framing, n_total: usize| {
            let (mut out, mut client) = (Vec::new(), Taker(Vec::new()));
            let (mut rooms, mut left) = (Vec::new(), n_total);
            let read = |out: &mut Vec<u8>, room: usize| {
                rooms.push(room);
                let n = room.min(left);
                left -= n;
                out.resize(out.len() + n, b'x');
                Ok(n)
            };
            relay(&mut out, read, framing, true, &mut client).expect("nobody fails");
            rooms
        };
        let long = 5 * LONG_PIECE;
        let sized = |n: usize| Framing::Sized(n as u64);
        assert_eq!(rooms_for(sized(long + 7), long + 7)[..2], [LONG_PIECE; 2]);
        assert_eq!(rooms_for(sized(long + 7), long + 7)[5..], [7, 1]);
        assert_eq!(
            rooms_for(sized(2 * PIECE + 7), 2 * PIECE + 7),
            [PIECE, PIECE, 7, 1]
        );
        assert_eq!(rooms_for(Framing::Chunked, long)[..2], [PIECE; 2]);
    }

    #[test]
    fn content_that_breaks_off_never_gets_an_end() {
        let cases = [
            (Framing::Sized(5), true),
            (Framing::Chunked, true),
            (Framing::UntilClose, true),
            (Framing::Sized(5), false),
        ];
        for (framing, fails) in cases {
            let mut client = Taker(Vec::new());
            let mut content = Pieces(vec!["ab"], fails);
            let result = relay(
                &mut b"HEAD ".to_vec(),
                |out, room| content.read(out, room),
                framing,
                true,
                &mut client,
            );
            assert!(matches!(result, Err(Broken::Backend(_))), "{framing:?}");
            assert_eq!(
                client.0.len(),
                1,
                "{framing:?}: nothing follows the piece that came"
            );
        }
    }
}
