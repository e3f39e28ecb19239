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
    /// Appends what comes, `room` bytes at most, and says how much. 0: there is no more, which is
    /// for the caller to compare with what was announced.
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
    /// The worker's buffers, with what came together with the head. None once given back.
    buffers: Option<WireBuffers>,
    /// Bytes that were not read yet.
    left: u64,
    closes: bool,
    /// When the last bytes came, or nearly.
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
            buffers: Some(buffers),
            left: announced.length,
            closes: announced.closes,
            last_read,
            idle_timeout,
        }
    }

    /// What has come and was not read.
    fn pending(&self) -> &[u8] {
        self.buffers.as_ref().map_or(&[], WireBuffers::pending)
    }

    /// See [`ResponseContent::read`].
    fn read(&mut self, out: &mut Vec<u8>, room: usize) -> io::Result<usize> {
        if self.left == 0 {
            self.end();
            return Ok(0);
        }
        let most = usize::try_from(self.left).map_or(room, |left| left.min(room));
        let n = match (&mut self.buffers, &mut self.stream) {
            (Some(buffers), _) if !buffers.pending().is_empty() => buffers.take(out, most),
            (_, Some(stream)) => {
                let start = out.len();
                out.reserve(most);
                self.last_read = Instant::now();
                let limit = Some(self.idle_timeout);
                let n = stream.read(self.last_read, limit, |stream| {
                    Ok(rustix::io::read(stream, spare_capacity(out))?)
                })?;
                if n > most {
                    // What was not announced is no content, and nobody can tell what it is.
                    out.truncate(start + most);
                    self.closes = true;
                }
                n.min(most)
            }
            _ => 0,
        };
        self.left -= n as u64;
        Ok(n)
    }

    /// All of it was read: the next exchange may have the connection, unless the backend closes it,
    /// or has sent more than it announced.
    fn end(&mut self) {
        let stream = self.stream.take();
        if let Some(stream) = stream
            && !self.closes
            && self.pending().is_empty()
        {
            self.backend.keep_idle(stream.stream, self.last_read);
        }
    }
}

impl Drop for SizedContent {
    fn drop(&mut self) {
        if let Some(buffers) = self.buffers.take() {
            buffers.give_back();
        }
    }
}
