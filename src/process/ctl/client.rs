//! One request, of the admin API or whom a health check asks: a connection, a request, an answer;
//! all with one deadline.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::admin::Token;
use crate::intake::ListenAt;
use crate::system::plain;

/// Connecting, over all addresses of a name.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer: a hundred thousand backends.
const MAX_ANSWER: usize = 64 << 20;
/// Its head.
const MAX_HEAD: usize = 64 << 10;
const MAX_FIELDS: usize = 64;

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The content.
    pub content: Vec<u8>,
}

/// The way to the admin API, or to a listener.
pub struct Client<'a> {
    /// Where it is.
    pub at: &'a ListenAt,
    /// What to show there.
    pub token: Option<&'a Token>,
}

/// A connected socket of either kind.
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Client<'_> {
    /// Asks, and waits so long for all of the answer. The error is one line.
    pub fn ask(
        &self,
        method: &str,
        path: &str,
        content: Option<&[u8]>,
        patience: Duration,
    ) -> Result<Answer, String> {
        let request = self.request(method, path, content);
        self.exchange(&request, patience, Socket::receive)
    }

    /// Asks by GET, and waits so long for the status; the rest of the answer is not read.
    pub fn ask_status(&self, path: &str, patience: Duration) -> Result<u16, String> {
        let request = self.request("GET", path, None);
        self.exchange(&request, patience, Socket::receive_status)
    }

    fn exchange<T>(
        &self,
        request: &[u8],
        patience: Duration,
        receive: fn(&mut Socket, Instant) -> io::Result<T>,
    ) -> Result<T, String> {
        let at = self.at;
        let deadline = Instant::now() + patience;
        let mut socket = self
            .connect(deadline)
            .map_err(|error| format!("cannot reach {at}: {}", plain(&error)))?;
        let answered = socket
            .send(request, deadline)
            .and_then(|()| receive(&mut socket, deadline));
        answered.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                format!("{at} did not answer within {patience:?}")
            }
            _ => format!("{at}: {}", plain(&error)),
        })
    }

    fn connect(&self, deadline: Instant) -> io::Result<Socket> {
        match self.at {
            // std connects to a Unix socket without a deadline. It blocks only while the listener's
            // backlog is full, which the listener's own thread empties at once.
            ListenAt::Unix(path) => connect_unix(path),
            at => connect_tcp(&at.to_string(), deadline),
        }
    }

    fn request(&self, method: &str, path: &str, content: Option<&[u8]>) -> Vec<u8> {
        let host = match self.at {
            ListenAt::Unix(_) => "localhost".to_owned(),
            at => at.to_string(),
        };
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
             User-Agent: threadbare/{}\r\n",
            env!("CARGO_PKG_VERSION")
        );
        if let Some(token) = self.token {
            let _ = write!(head, "Authorization: {}\r\n", token.authorization()); // never fails
        }
        let content = content.unwrap_or_default();
        if !content.is_empty() {
            head.push_str("Content-Type: application/json\r\n");
        }
        if method != "GET" {
            let _ = write!(head, "Content-Length: {}\r\n", content.len()); // never fails
        }
        head.push_str("\r\n");
        [head.as_bytes(), content].concat()
    }
}

fn connect_unix(path: &Path) -> io::Result<Socket> {
    UnixStream::connect(path).map(Socket::Unix)
}

fn connect_tcp(text: &str, deadline: Instant) -> io::Result<Socket> {
    let deadline = deadline.min(Instant::now() + CONNECT_TIMEOUT);
    let mut failed = io::Error::other("the name has no address");
    for address in text.to_socket_addrs()? {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => return Ok(Socket::Tcp(stream)),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

impl Socket {
    fn send(&mut self, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            let left = left_until(deadline)?;
            let sent = match self {
                Socket::Tcp(stream) => {
                    stream.set_write_timeout(Some(left))?;
                    stream.write(bytes)
                }
                Socket::Unix(stream) => {
                    stream.set_write_timeout(Some(left))?;
                    stream.write(bytes)
                }
            };
            match sent {
                Ok(n) => bytes = &bytes[n..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // It may have answered without reading all: that answer says why.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads an answer to the end that its length tells, or that of the connection.
    fn receive(&mut self, deadline: Instant) -> io::Result<Answer> {
        let mut received = Vec::new();
        let mut head = None;
        let mut piece = [0; 8192];
        loop {
            if head.is_none() {
                head = parse(&received)?;
            }
            if head.as_ref().is_some_and(|head| head.has_coding) {
                return Err(not_http());
            }
            if let Some(head) = &head
                && let Some(length) = head.length
                && received.len() >= head.n_bytes + length
            {
                received.truncate(head.n_bytes + length);
                return Ok(head.answer(&received));
            }
            let n = match self.read(&mut piece, deadline) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            };
            if n == 0 {
                return match head {
                    Some(head) if head.length.is_none() => Ok(head.answer(&received)),
                    _ => Err(io::Error::other("the answer broke off")),
                };
            }
            received.extend_from_slice(&piece[..n]);
            if received.len() > MAX_ANSWER {
                return Err(io::Error::other("the answer is too long"));
            }
        }
    }

    /// Reads the head of an answer that is not an interim one (RFC 9110 §15.2).
    fn receive_status(&mut self, deadline: Instant) -> io::Result<u16> {
        let mut received = Vec::new();
        let mut piece = [0; 8192];
        loop {
            while let Some(head) = parse(&received)? {
                if head.status >= 200 {
                    return Ok(head.status);
                }
                received.drain(..head.n_bytes);
            }
            let n = match self.read(&mut piece, deadline) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            };
            if n == 0 {
                return Err(io::Error::other("the answer broke off"));
            }
            received.extend_from_slice(&piece[..n]);
        }
    }

    fn read(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        let left = left_until(deadline)?;
        match self {
            Socket::Tcp(stream) => {
                stream.set_read_timeout(Some(left))?;
                stream.read(buffer)
            }
            Socket::Unix(stream) => {
                stream.set_read_timeout(Some(left))?;
                stream.read(buffer)
            }
        }
    }
}

fn left_until(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}

/// What the head of an answer says about the rest.
struct Head {
    status: u16,
    n_bytes: usize,
    /// None: the content ends with the connection.
    length: Option<usize>,
    /// A transfer coding, which no answer of the admin API has: it knows all its lengths.
    has_coding: bool,
}

impl Head {
    fn answer(&self, received: &[u8]) -> Answer {
        Answer {
            status: self.status,
            content: received[self.n_bytes..].to_vec(),
        }
    }
}

fn not_http() -> io::Error {
    io::Error::other("what answers there is no threadbare")
}

/// Parses a head; none while it is not complete.
fn parse(received: &[u8]) -> io::Result<Option<Head>> {
    let mut lines = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut lines);
    let parsed = response.parse(received).map_err(|_| not_http())?;
    let httparse::Status::Complete(n_bytes) = parsed else {
        let is_too_long = received.len() > MAX_HEAD;
        return if is_too_long {
            Err(not_http())
        } else {
            Ok(None)
        };
    };
    let (mut length, mut has_coding) = (None, false);
    for line in response.headers.iter() {
        has_coding |= line.name.eq_ignore_ascii_case("Transfer-Encoding");
        if line.name.eq_ignore_ascii_case("Content-Length") {
            let text = str::from_utf8(line.value).map_err(|_| not_http())?;
            length = Some(text.parse().map_err(|_| not_http())?);
        }
    }
    if length.is_some_and(|length| length > MAX_ANSWER) {
        return Err(not_http());
    }
    Ok(Some(Head {
        status: response.code.ok_or_else(not_http)?,
        n_bytes,
        length,
        has_coding,
    }))
}
