//! What a backend says while its request is still being sent: interim answers, or its answer.
//!
//! Pure but for one read that never waits. What was read and is not interim stays ahead, for ureq
//! to read first.

use std::io;
use std::net::TcpStream;

use httparse::Status;
use rustix::io::Errno;
use rustix::net::RecvFlags;

use crate::exchange::buffers::MAX_RESPONSE_HEAD;
use crate::exchange::desk::Desk;

/// Read in one go; interim answers are short.
const PIECE: usize = 2048;

/// Field lines of an interim answer that are read at most.
const MAX_FIELDS: usize = 32;

/// What a backend has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing that counts, or not to its end.
    Nothing,
    /// That it wants the content: 100.
    Continue,
    /// Its answer has begun.
    Answer,
    /// It closed the connection.
    End,
}

/// Reads what is there, without waiting, and takes whole interim answers away.
pub fn look(stream: &TcpStream, desk: &Desk) -> io::Result<Seen> {
    let mut piece = [0; PIECE];
    let n = match rustix::net::recv(stream, &mut piece, RecvFlags::DONTWAIT) {
        Ok((_, n)) => Some(n),
        Err(Errno::AGAIN | Errno::INTR) => None,
        Err(error) => return Err(error.into()),
    };
    let seen = desk.with(|attempt| {
        if let Some(n) = n.filter(|&n| n > 0) {
            attempt.has_received = true;
            attempt.ahead.extend_from_slice(&piece[..n]);
        }
        take_interim(&mut attempt.ahead)
    });
    match seen {
        Seen::Nothing if n == Some(0) => Ok(Seen::End),
        seen => Ok(seen),
    }
}

/// Takes whole interim answers away, up to the answer itself. That counts more than a 100 before
/// it: once it was read, no poll of the socket tells of it.
fn take_interim(ahead: &mut Vec<u8>) -> Seen {
    let mut seen = Seen::Nothing;
    while !ahead.is_empty() {
        // The first line says whether there is anything to wait for: `HTTP/1.1 1`.
        if ahead.get(9).is_some_and(|&digit| digit != b'1') || ahead.len() > MAX_RESPONSE_HEAD {
            return Seen::Answer;
        }
        match interim_length(ahead) {
            Some(Status::Partial) => break,
            Some(Status::Complete(n)) => {
                if status(&ahead[..n]).starts_with(b"100") {
                    seen = Seen::Continue;
                }
                ahead.drain(..n);
            }
            // What can't be understood is for ureq to find out.
            None => return Seen::Answer,
        }
    }
    seen
}

/// How long the interim answer at the start is, or that not all of a head is there; none where
/// something else stands there.
pub fn interim_length(bytes: &[u8]) -> Option<Status<usize>> {
    let mut lines = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let parsed = httparse::Response::new(&mut lines).parse(bytes).ok()?;
    match parsed {
        Status::Complete(n) if !is_interim(&bytes[..n]) => None,
        parsed => Some(parsed),
    }
}

/// Whether a head is that of an interim answer (1xx, but 101 is final: RFC 9110 §15.2).
pub fn is_interim(head: &[u8]) -> bool {
    status(head).starts_with(b"1") && !is_switch(head)
}

/// Whether a head says that the protocol is another from here on (101).
pub fn is_switch(head: &[u8]) -> bool {
    status(head).starts_with(b"101")
}

fn status(head: &[u8]) -> &[u8] {
    head.split(|&b| b == b' ').nth(1).unwrap_or_default()
}

/// Moves what is ahead into a buffer, as much as fits. The buffer is asked for only if need be.
pub fn take_ahead<'a>(ahead: &mut Vec<u8>, buffer: impl FnOnce() -> &'a mut [u8]) -> usize {
    if ahead.is_empty() {
        return 0;
    }
    let buffer = buffer();
    let n = ahead.len().min(buffer.len());
    buffer[..n].copy_from_slice(&ahead[..n]);
    ahead.drain(..n);
    n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interim_answers_are_taken_away_and_the_answer_is_left() {
        let go = "HTTP/1.1 100 Continue\r\n\r\n";
        let with_fields = "HTTP/1.1 100 Go on\r\nDate: x\r\n\r\n";
        let hint = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
        let answer = "HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno";
        let switch = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
        let many = format!("HTTP/1.1 103 x\r\n{}\r\n", "A: b\r\n".repeat(33));
        let cases: [(&[&str], Seen, &str); 14] = [
            (&[], Seen::Nothing, ""),
            (&[go], Seen::Continue, ""),
            (&[with_fields], Seen::Continue, ""),
            (&[hint], Seen::Nothing, ""),
            (&[hint, go, answer], Seen::Answer, answer),
            (&[go, hint, "HTTP/1."], Seen::Continue, "HTTP/1."),
            (&[hint, answer], Seen::Answer, answer),
            (&[hint, "HTTP/1.1 10"], Seen::Nothing, "HTTP/1.1 10"),
            (
                &["HTTP/1.1 100 Continue\r\n"],
                Seen::Nothing,
                "HTTP/1.1 100 Continue\r\n",
            ),
            (&["HTTP/1.1 4"], Seen::Answer, "HTTP/1.1 4"),
            (&["HTTP/1."], Seen::Nothing, "HTTP/1."),
            (&[switch], Seen::Answer, switch),
            (&["nonsense\r\n\r\n"], Seen::Answer, "nonsense\r\n\r\n"),
            (&[&many], Seen::Answer, &many),
        ];
        for (said, wanted, left) in cases {
            let mut ahead = said.concat().into_bytes();
            assert_eq!(take_interim(&mut ahead), wanted, "{said:?}");
            assert_eq!(String::from_utf8_lossy(&ahead), left, "{said:?}");
        }
    }

    #[test]
    fn an_interim_answer_may_come_byte_by_byte() {
        let mut ahead = Vec::new();
        let hint = b"HTTP/1.1 102 Wait\r\n\r\n";
        let go = b"HTTP/1.1 100 Continue\r\n\r\n";
        let (last, before) = go.split_last().expect("it has bytes");
        for byte in hint.iter().chain(before) {
            ahead.push(*byte);
            assert_eq!(take_interim(&mut ahead), Seen::Nothing);
        }
        ahead.push(*last);
        assert_eq!(take_interim(&mut ahead), Seen::Continue);
        assert!(ahead.is_empty());
    }

    #[test]
    fn what_is_ahead_is_read_first_and_in_order() {
        let mut ahead = b"abcde".to_vec();
        let mut buffer = [0; 3];
        assert_eq!(take_ahead(&mut ahead, || &mut buffer), 3);
        assert_eq!((&buffer, &ahead[..]), (b"abc", &b"de"[..]));
        assert_eq!(take_ahead(&mut ahead, || &mut buffer), 2);
        assert_eq!(&buffer, b"dec");
    }
}
