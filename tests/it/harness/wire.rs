//! One TCP stream read strictly as HTTP/1.1: heads, and content by its framing. Both kinds of peer
//! use it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::DEADLINE;
use super::message::{Framing, Head, malformed, parse, text};

const PIECE: usize = 64 * 1024;
const MAX_HEAD: usize = 256 * 1024;

/// Why reading or writing ended before it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The peer closed in an orderly way (FIN).
    Closed,
    /// The peer tore the connection down (RST).
    Reset,
    /// Nothing came before the deadline.
    Silent,
    /// What came is not HTTP/1.1 as RFC 9112 wants it.
    Malformed(String),
}

impl From<io::Error> for Cut {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
                Self::Reset
            }
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::Silent,
            _ => Self::Malformed(error.to_string()),
        }
    }
}

pub struct Wire {
    stream: Arc<TcpStream>,
    /// Read and not handed out yet: `buffer[taken..filled]`.
    buffer: Vec<u8>,
    taken: usize,
    filled: usize,
}

impl Wire {
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(DEADLINE))?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(Self {
            stream: Arc::new(stream),
            buffer: vec![0; PIECE],
            taken: 0,
            filled: 0,
        })
    }

    /// For ending the connection from elsewhere. It keeps the socket no longer than the wire does:
    /// a copy of the descriptor would keep it open behind the back of whoever closes it.
    pub fn handle(&self) -> Weak<TcpStream> {
        Arc::downgrade(&self.stream)
    }

    /// `None` waits for as long as the peer keeps the connection.
    pub fn set_patience(&self, patience: Option<Duration>) -> Result<(), Cut> {
        Ok(self.stream.set_read_timeout(patience)?)
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Cut> {
        Ok((&*self.stream).write_all(bytes)?)
    }

    /// Says that nothing more will be sent, and keeps reading.
    pub fn finish_sending(&self) -> Result<(), Cut> {
        Ok(self.stream.shutdown(Shutdown::Write)?)
    }

    /// Makes the close that follows a reset, which is what a crashing peer looks like.
    pub fn reset(self) {
        let linger = Some(Duration::ZERO);
        rustix::net::sockopt::set_socket_linger(&*self.stream, linger)
            .expect("a connected socket takes SO_LINGER");
    }

    pub fn head(&mut self) -> Result<Head, Cut> {
        let end = loop {
            let unread = &self.buffer[self.taken..self.filled];
            let found = unread.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(at) = found {
                break self.taken + at + 4;
            }
            if unread.len() > MAX_HEAD {
                return Err(malformed(unread));
            }
            let begun = !unread.is_empty();
            match self.fill() {
                Err(Cut::Closed) if begun => {
                    return Err(malformed(&self.buffer[self.taken..self.filled]));
                }
                filled => filled?,
            }
        };
        let head = parse(&self.buffer[self.taken..end])?;
        self.taken = end;
        Ok(head)
    }

    /// Hands the content to `take` piece by piece; an error says how it was cut short.
    pub fn content(&mut self, framing: Framing, take: &mut dyn FnMut(&[u8])) -> Result<(), Cut> {
        match framing {
            Framing::None => Ok(()),
            Framing::Sized(length) => self.sized(length, take),
            Framing::Chunked => self.chunked(take),
            Framing::UntilClose => match self.drain(take) {
                Cut::Closed => Ok(()),
                cut => Err(cut),
            },
        }
    }

    pub fn sized(&mut self, length: usize, take: &mut dyn FnMut(&[u8])) -> Result<(), Cut> {
        let mut left = length;
        while left > 0 {
            if self.taken == self.filled {
                self.fill()?;
            }
            let n = left.min(self.filled - self.taken);
            take(&self.buffer[self.taken..self.taken + n]);
            self.taken += n;
            left -= n;
        }
        Ok(())
    }

    /// The next chunk's data, empty for the last chunk, whose end is read too.
    pub fn chunk(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<usize, Cut> {
        let line = self.line()?;
        let hex = !line.is_empty() && line.iter().all(u8::is_ascii_hexdigit);
        let size = usize::from_str_radix(&text(&line), 16);
        let size = size.ok().filter(|_| hex).ok_or_else(|| malformed(&line))?;
        self.sized(size, take)?;
        // Neither side of threadbare passes trailers on, so the line after the last chunk is empty
        // too.
        let end = self.line()?;
        if end.is_empty() {
            Ok(size)
        } else {
            Err(malformed(&end))
        }
    }

    fn chunked(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<(), Cut> {
        while self.chunk(take)? > 0 {}
        Ok(())
    }

    /// Reads until the connection ends and says how it did.
    pub fn drain(&mut self, take: &mut dyn FnMut(&[u8])) -> Cut {
        loop {
            take(&self.buffer[self.taken..self.filled]);
            self.taken = self.filled;
            if let Err(cut) = self.fill() {
                return cut;
            }
        }
    }

    fn line(&mut self) -> Result<Vec<u8>, Cut> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            self.sized(1, &mut |byte| line.extend_from_slice(byte))?;
        }
        line.truncate(line.len() - 2);
        Ok(line)
    }

    fn fill(&mut self) -> Result<(), Cut> {
        if self.taken == self.filled {
            (self.taken, self.filled) = (0, 0);
        }
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.filled + PIECE, 0);
        }
        let read = loop {
            match (&*self.stream).read(&mut self.buffer[self.filled..]) {
                // A debugger or a frozen machine: nothing that the peer did.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.filled += read;
        if read == 0 { Err(Cut::Closed) } else { Ok(()) }
    }
}
