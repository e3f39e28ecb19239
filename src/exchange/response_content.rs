//! The content of a backend's answer, as it is read.
//!
//! ureq decodes what is chunked, and what ends with the connection. Content that has announced its
//! length needs counting only, and comes straight from the socket: ureq's way costs a copy of each
//! byte. What ureq would decide at its end, whether the connection is good for another exchange, is
//! then decided here.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use ureq::BodyReader;

use crate::exchange::buffers::WireBuffers;
use crate::exchange::response_head::Announced;
use crate::exchange::stream::BackendStream;
use crate::pool::Backend;

/// Content, one way or the other. Dropped before its end, it closes the connection.
pub enum ResponseContent {
    /// By ureq.
    Decoded(BodyReader<'static>),
    /// Of known length.
    Sized(SizedContent),
}

impl ResponseContent {
    /// Appends what comes, about `room` bytes at most, and says how much. 0: there is no more,
    /// which is for the caller to compare with what was announced.
    pub fn read(&mut self, out: &mut Vec<u8>, room: usize) -> io::Result<usize> {
        match self {
            ResponseContent::Decoded(content) => read_decoded(content, out, room),
            ResponseContent::Sized(content) => content.read(out, room),
        }
    }
}

fn read_decoded(content: &mut BodyReader, out: &mut Vec<u8>, room: usize) -> io::Result<usize> {
    let start = out.len();
    out.resize(start + room, 0);
    let result = loop {
        match content.read(&mut out[start..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result,
        }
    };
    out.truncate(start + result.as_ref().unwrap_or(&0));
    result
}

/// Content of known length.
#[derive(Debug)]
pub struct SizedContent {
    /// None once the connection was given back.
    stream: Option<BackendStream>,
    backend: Arc<Backend>,
    /// The worker's buffers, with what came together with the head.
    buffers: WireBuffers,
    /// Bytes that were not read yet.
    left: u64,
    closes: bool,
    /// When the last bytes came.
    last_read: Instant,
    idle_timeout: Duration,
}

impl SizedContent {
    /// `buffers` has what came behind the head, at `last_read`.
    pub fn new(
        announced: Announced,
        stream: BackendStream,
        backend: Arc<Backend>,
        buffers: WireBuffers,
        last_read: Instant,
        idle_timeout: Duration,
    ) -> SizedContent {
        SizedContent {
            stream: Some(stream),
            backend,
            buffers,
            left: announced.length,
            closes: announced.closes,
            last_read,
            idle_timeout,
        }
    }

    /// See [`ResponseContent::read`].
    fn read(&mut self, out: &mut Vec<u8>, room: usize) -> io::Result<usize> {
        if self.left == 0 {
            self.end();
            return Ok(0);
        }
        let most = usize::try_from(self.left).map_or(room, |left| left.min(room));
        let mut n = self.buffers.take(out, most);
        if n == 0 {
            n = self.receive(out, most)?;
        }
        self.left -= n as u64;
        Ok(n)
    }

    /// Appends what comes from the socket: as much as there is room for, which may be more than was
    /// asked for, but nothing that was not announced.
    fn receive(&mut self, out: &mut Vec<u8>, most: usize) -> io::Result<usize> {
        let Some(stream) = &mut self.stream else {
            return Ok(0);
        };
        let start = out.len();
        out.reserve(most);
        let n = stream.read(Instant::now(), self.idle_timeout, |stream| {
            Ok(rustix::io::read(stream, spare_capacity(out))?)
        })?;
        self.last_read = Instant::now();
        let n_content = usize::try_from(self.left).map_or(n, |left| left.min(n));
        if n_content < n {
            // Nobody can tell what the rest is.
            out.truncate(start + n_content);
            self.closes = true;
        }
        Ok(n_content)
    }

    /// All of it was read: the next exchange may have the connection, unless the backend closes it,
    /// or has sent more than it announced.
    fn end(&mut self) {
        let stream = self.stream.take();
        if let Some(stream) = stream
            && !self.closes
            && self.buffers.pending().is_empty()
        {
            self.backend.keep_idle(stream.stream, self.last_read);
        }
    }
}

impl Drop for SizedContent {
    fn drop(&mut self) {
        if self.left == 0 {
            self.end(); // nobody looked for an end behind nothing
        }
        self.buffers.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::io::Write;
    use std::net::TcpStream;

    use crate::exchange::desk::Desk;
    use crate::pool::{BackendUrl, Pool};
    use crate::system::tcp_pair;
    use crate::watch::Sheet;

    const MINUTE: Duration = Duration::from_secs(60);

    /// A backend that has sent this behind its head; the content that was announced, on a desk.
    fn content(sent: &[u8], length: u64, closes: bool) -> (SizedContent, Arc<Desk>, TcpStream) {
        let now = Instant::now();
        let (near, mut far) = tcp_pair();
        let address = far.local_addr().expect("connected");
        far.write_all(sent).expect("it fits");
        let url = BackendUrl::parse(&format!("http://{address}")).expect("a good URL");
        let backend = Pool::of(vec![url], now).backends().remove(0);
        let desk = Arc::new(Desk::new(Arc::new(Sheet::new(now))));
        let stream = BackendStream::new(near, Arc::clone(&desk));
        let buffers = WireBuffers::new(Arc::clone(&desk));
        let announced = Announced { length, closes };
        let content = SizedContent::new(announced, stream, backend, buffers, now, MINUTE);
        (content, desk, far)
    }

    #[test]
    fn whatever_room_there_is_no_byte_is_lost_or_added() {
        let bytes: Vec<u8> = (0..=250).cycle().take(60_000).collect();
        for (capacity, room, n_more) in [
            (0, 16, 0),
            (100, 1, 0),
            (40_000, 16_384, 0),
            (100_000, 16_384, 0),
            (100_000, 16_384, 9),
            (100_000, 100_000, 9),
        ] {
            let length = bytes.len() - n_more;
            let (mut content, _desk, _far) = content(&bytes, length as u64, false);
            let backend = Arc::clone(&content.backend);
            let mut out = Vec::with_capacity(capacity);
            let mut n_read = 0;
            loop {
                let n = content.read(&mut out, room).expect("nobody fails");
                n_read += n;
                assert_eq!(out.len(), n_read, "{capacity} {room}");
                if n == 0 {
                    break;
                }
            }
            assert!(out == bytes[..length], "{capacity} {room} {n_read}");
            // More than was announced may be in the socket still: then the next look finds it.
            let is_kept = backend.take_idle().is_some();
            assert!(is_kept || n_more > 0, "{capacity} {room}");
        }
    }

    #[test]
    fn a_connection_is_kept_once_nothing_is_left_to_read() {
        for (length, closes, is_kept) in [(0, false, true), (0, true, false), (1, false, false)] {
            let (content, _desk, _far) = content(b"", length, closes);
            let backend = Arc::clone(&content.backend);
            drop(content);
            assert_eq!(backend.take_idle().is_some(), is_kept, "{length} {closes}");
        }
    }

    #[test]
    fn a_desk_goes_with_the_content_that_lies_on_it() {
        let (content, desk, _far) = content(b"", 1, false);
        desk.with(|attempt| attempt.sized = Some(content));
        desk.clear();
        assert_eq!(Arc::strong_count(&desk), 1);
    }
}
