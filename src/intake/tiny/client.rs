//! A client's connection as `tiny_http` gives it, for the time of one exchange.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tiny_http::Request;

use crate::intake::tiny::connections::{Connections, discard};
use crate::intake::tiny::{job_from, socket};
use crate::intake::{Client, ContentFraming, Ending, Job, Peer};
use crate::system::{self, peek};

/// `tiny_http` reads content up to this length before it hands out the request.
const READ_AHEAD: u64 = 1024;
/// How long unread content is drained behind an early answer, so that the client reads the answer
/// before it meets a reset (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(1);

/// The way to the client of one request.
pub struct TinyClient {
    side: Side,
    unread: Unread,
    address: SocketAddr,
    /// `tiny_http` reads no further request of this connection, and closes it behind the answer.
    is_last: bool,
    connections: Arc<Connections>,
}

/// `tiny_http` gives either the content or the way back, never both.
enum Side {
    /// The content can be read.
    Asking(Request),
    /// The answer can be written.
    Answering(Box<dyn Write + Send>),
    /// The answer is written past `tiny_http`, because content is still unread: taking its writer
    /// would first block until all of the content has come.
    Direct(Request, TcpStream),
    /// Nothing more can be done.
    Over,
}

/// What is left of the content.
enum Unread {
    Nothing,
    /// So many bytes, already in memory.
    Ahead(u64),
    /// So many bytes.
    Sized(u64),
    Chunked,
    /// Some, of a length that nobody should believe: the head was refused.
    Unknown,
}

impl TinyClient {
    /// For a request whose head has been checked; without a `framing` where the head was refused,
    /// and its content, if there is any, must not be touched.
    pub fn new(
        request: Request,
        address: SocketAddr,
        framing: Option<ContentFraming>,
        expects_continue: bool,
        is_last: bool,
        connections: Arc<Connections>,
    ) -> TinyClient {
        let unread = match framing {
            None => Unread::Unknown,
            Some(ContentFraming::Empty | ContentFraming::Sized(0)) => Unread::Nothing,
            Some(ContentFraming::Sized(n)) if n <= READ_AHEAD && !expects_continue => {
                Unread::Ahead(n)
            }
            Some(ContentFraming::Sized(n)) => Unread::Sized(n),
            Some(ContentFraming::Chunked) => Unread::Chunked,
        };
        TinyClient {
            side: Side::Asking(request),
            unread,
            address,
            is_last,
            connections,
        }
    }

    /// The first write: from now on the content is out of reach.
    fn begin_answer(&mut self) {
        let is_unread = !matches!(self.unread, Unread::Nothing | Unread::Ahead(_));
        self.side = match std::mem::replace(&mut self.side, Side::Over) {
            Side::Asking(request) => {
                match is_unread.then(|| socket::find(self.address)).flatten() {
                    Some(stream) => Side::Direct(request, stream),
                    // Also where the socket is not found, because the client is gone.
                    None => Side::Answering(request.into_writer()),
                }
            }
            begun => begun,
        };
    }

    /// Closes our side, drains what the client still sends, and lets go of the request.
    fn linger(request: Request, mut stream: &TcpStream) {
        let _ = stream.shutdown(Shutdown::Write); // an error: it is closed already
        let deadline = Instant::now() + LINGER;
        let mut scratch = [0; 4096];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
                break;
            }
            if !matches!(stream.read(&mut scratch), Ok(n) if n > 0) {
                break;
            }
        }
        // Without this, letting go of the request would wait for the rest of its content.
        system::reset(stream);
        discard(request);
    }

    fn end_connection(&mut self, stream: Option<&TcpStream>) {
        let identity = stream.and_then(socket::identity);
        for request in self.connections.end(self.address, identity) {
            discard(request);
        }
    }
}

impl Client for TinyClient {
    fn read_content(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Side::Asking(request) = &mut self.side else {
            return Err(io::Error::other("the answer has begun"));
        };
        match self.unread {
            Unread::Nothing => Ok(0),
            Unread::Unknown => Err(io::ErrorKind::InvalidData.into()),
            Unread::Sized(left) | Unread::Ahead(left) => {
                let most = usize::try_from(left)
                    .unwrap_or(usize::MAX)
                    .min(buffer.len());
                let n = request.as_reader().read(&mut buffer[..most])?;
                if n == 0 && most > 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                let left = left - n as u64;
                self.unread = match self.unread {
                    _ if left == 0 => Unread::Nothing,
                    Unread::Ahead(_) => Unread::Ahead(left),
                    _ => Unread::Sized(left),
                };
                Ok(n)
            }
            Unread::Chunked => {
                let n = request
                    .as_reader()
                    .read(buffer)
                    .map_err(|error| match error.kind() {
                        io::ErrorKind::InvalidInput => io::ErrorKind::InvalidData.into(),
                        _ => error,
                    })?;
                if n == 0 && !buffer.is_empty() {
                    // tiny_http's decoder takes the end of the connection in mid-chunk for the
                    // end of the content. Only the socket tells which of the two it was.
                    if is_closed(self.address) {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    self.unread = Unread::Nothing;
                }
                Ok(n)
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.begin_answer();
        match &mut self.side {
            Side::Answering(writer) => {
                writer.write_all(bytes)?;
                writer.flush()
            }
            Side::Direct(_, stream) => stream.write_all(bytes),
            Side::Asking(_) | Side::Over => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn peer(&self) -> Option<Peer> {
        Some(Peer::Hidden(self.address, socket::look_for))
    }

    fn is_drained(&self) -> bool {
        // What `tiny_http` buffers ahead of a sized content is given out by the first read.
        matches!(self.unread, Unread::Sized(_))
    }

    fn finish(mut self: Box<Self>, ending: Ending) -> Option<Job> {
        match (std::mem::replace(&mut self.side, Side::Over), ending) {
            (Side::Answering(writer), Ending::Keep | Ending::Close)
                if self.is_last || ending == Ending::Keep =>
            {
                drop(writer);
                let next = self.connections.next(self.address)?;
                Some(job_from(next, self.address, &self.connections))
            }
            (Side::Answering(writer), Ending::Keep | Ending::Close) => {
                drop(writer);
                let stream = socket::find(self.address);
                if let Some(stream) = &stream {
                    let _ = stream.shutdown(Shutdown::Write); // an error: it is closed already
                }
                self.end_connection(stream.as_ref());
                None
            }
            (Side::Direct(request, stream), Ending::Keep | Ending::Close) => {
                TinyClient::linger(request, &stream);
                self.end_connection(Some(&stream));
                None
            }
            (side, _) => {
                let stream = match &side {
                    Side::Direct(_, stream) => stream.try_clone().ok(),
                    _ => socket::find(self.address),
                };
                if let Some(stream) = &stream {
                    system::reset(stream);
                }
                match side {
                    Side::Asking(request) | Side::Direct(request, _) => discard(request),
                    Side::Answering(writer) => drop(writer),
                    Side::Over => {}
                }
                self.end_connection(stream.as_ref());
                None
            }
        }
    }
}

/// Whether the client has closed its side of the connection, or all of it.
fn is_closed(address: SocketAddr) -> bool {
    let Some(stream) = socket::find(address) else {
        return true;
    };
    match peek(&stream) {
        Ok(n) => n == 0,
        Err(error) => error != rustix::io::Errno::AGAIN,
    }
}
