//! A raw client: writes the bytes it is told to and reads answers strictly.

use std::net::{SocketAddr, TcpStream};

use super::message::{Framing, Head, text};
use super::wire::{Cut, Wire};

pub struct Client(pub Wire);

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: Head,
    pub content: Vec<u8>,
    /// How reading the content ended: an error says how the answer was cut short.
    pub end: Result<(), Cut>,
}

impl Answer {
    pub fn text(&self) -> String {
        text(&self.content)
    }
}

impl Client {
    #[track_caller]
    pub fn connect(addr: SocketAddr) -> Self {
        Self::over(TcpStream::connect(addr).expect("threadbare accepts connections"))
    }

    #[track_caller]
    pub fn over(stream: TcpStream) -> Self {
        Self(Wire::new(stream).expect("a fresh connection takes its options"))
    }

    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0
            .send(bytes.as_ref())
            .expect("threadbare reads what a client sends");
    }

    /// One whole GET. Fails unless a complete answer comes.
    #[track_caller]
    pub fn get(&mut self, target: &str) -> Answer {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: front.test\r\n\r\n"));
        self.answer()
    }

    /// The complete answer to any method but HEAD.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        self.answer_to("GET")
    }

    /// The complete answer to `method`.
    #[track_caller]
    pub fn answer_to(&mut self, method: &str) -> Answer {
        let answer = self.try_answer(method).expect("an answer comes");
        assert_eq!(answer.end, Ok(()), "the answer is complete: {answer:?}");
        answer
    }

    /// An answer that may be cut short; an error when not even a whole head came.
    pub fn try_answer(&mut self, method: &str) -> Result<Answer, Cut> {
        let head = self.head()?;
        let framing = head.answer_framing(method)?;
        let mut content = Vec::new();
        let end = self
            .0
            .content(framing, &mut |piece| content.extend_from_slice(piece));
        let status = status_of(&head.line).expect("head() checked the status line");
        Ok(Answer {
            status,
            head,
            content,
            end,
        })
    }

    /// Only the head of an answer; the content is the caller's to read.
    pub fn head(&mut self) -> Result<Head, Cut> {
        let head = self.0.head()?;
        match status_of(&head.line) {
            Some(_) => Ok(head),
            None => Err(Cut::Malformed(head.line)),
        }
    }

    /// Exactly this many bytes of content.
    pub fn take(&mut self, length: usize) -> Result<Vec<u8>, Cut> {
        let mut taken = Vec::new();
        self.0.content(Framing::Sized(length), &mut |piece| {
            taken.extend_from_slice(piece);
        })?;
        Ok(taken)
    }

    /// The data of the next chunk, empty for the last one.
    pub fn chunk(&mut self) -> Result<Vec<u8>, Cut> {
        let mut taken = Vec::new();
        self.0.chunk(&mut |piece| taken.extend_from_slice(piece))?;
        Ok(taken)
    }

    /// Everything up to the connection's end, and how it ended.
    pub fn rest(&mut self) -> (Vec<u8>, Cut) {
        let mut rest = Vec::new();
        let cut = self.0.drain(&mut |piece| rest.extend_from_slice(piece));
        (rest, cut)
    }

    /// Fails unless the connection ends now, with not one more byte.
    #[track_caller]
    pub fn assert_ended(&mut self) {
        let (rest, cut) = self.rest();
        assert_eq!(text(&rest), "", "bytes after the last answer, then {cut:?}");
        assert!(
            matches!(cut, Cut::Closed | Cut::Reset),
            "the connection ends, not {cut:?}"
        );
    }

    /// Goes away as a process that was killed does.
    pub fn reset(self) {
        self.0.reset();
    }
}

/// The code in `HTTP/1.1 200 OK` or `HTTP/1.0 299 `, and in nothing looser.
fn status_of(line: &str) -> Option<u16> {
    let rest = line
        .strip_prefix("HTTP/1.1 ")
        .or_else(|| line.strip_prefix("HTTP/1.0 "))?;
    let (code, _) = rest.split_once(' ')?;
    let three_digits = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
    code.parse().ok().filter(|_| three_digits)
}
