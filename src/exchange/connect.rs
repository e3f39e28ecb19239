//! Gives ureq its connections: an idle one of the backend's if it is still open, else a new one.

use std::fmt;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use rustix::io::Errno;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, NextTimeout};

use crate::exchange::Timeouts;
use crate::exchange::buffers::WireBuffers;
use crate::exchange::desk::{Desk, Source};
use crate::exchange::stream::TICK;
use crate::exchange::transport::Wire;
use crate::pool::{Backend, dial};
use crate::system::peek;

/// ureq asks for a resolver; the addresses are the pool's business.
#[derive(Debug)]
pub struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(
        &self,
        _: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}

/// Gives ureq a connection to the backend of the attempt.
pub struct WireConnector {
    pub desk: Arc<Desk>,
    pub timeouts: Timeouts,
}

impl fmt::Debug for WireConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WireConnector")
    }
}

impl Connector for WireConnector {
    type Out = Wire;

    fn connect(
        &self,
        _: &ConnectionDetails,
        _: Option<()>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let (backend, source) = self.desk.with(|attempt| {
            let backend = attempt
                .backend
                .clone()
                .expect("the worker sets it before each attempt");
            (backend, std::mem::take(&mut attempt.source))
        });
        let is_early = matches!(source, Source::Early(_));
        let idle = if matches!(source, Source::Any) {
            take_open(&backend)
        } else {
            None
        };
        let is_reused = idle.is_some();
        let stream = match (idle, source) {
            (Some(stream), _) | (None, Source::Early(stream)) => stream,
            (None, _) => self.open(&backend)?,
        };
        let connected = (!is_reused && !is_early).then(Instant::now);
        let (buffers, length) = self.desk.with(|attempt| {
            if connected.is_some() {
                attempt.marks.connected = connected;
            }
            // An early answer comes on the connection that the attempt already has.
            attempt.is_reused = is_reused || (is_early && attempt.is_reused);
            (attempt.buffers.take(), attempt.length)
        });
        let mut buffers = buffers.unwrap_or_else(|| WireBuffers::new(Arc::clone(&self.desk)));
        buffers.expect(length);
        let desk = Arc::clone(&self.desk);
        Ok(Some(Wire::new(
            stream,
            backend,
            desk,
            buffers,
            !is_early,
            self.timeouts,
        )))
    }
}

impl WireConnector {
    fn open(&self, backend: &Backend) -> io::Result<TcpStream> {
        let no_address = || io::Error::other("its name has no address yet");
        let address = backend.address.ok_or_else(no_address)?;
        let stream = dial::connect_one(address, self.timeouts.connect)?;
        stream.set_nodelay(true)?;
        let tick = TICK.min(self.timeouts.idle).min(self.timeouts.response);
        stream.set_write_timeout(Some(tick))?;
        stream.set_read_timeout(Some(tick))?;
        Ok(stream)
    }
}

/// An idle connection that is still open: with nothing to read, and no end of it.
fn take_open(backend: &Backend) -> Option<TcpStream> {
    while let Some(stream) = backend.take_idle() {
        if matches!(peek(&stream), Err(Errno::AGAIN)) {
            return Some(stream);
        }
    }
    None
}
