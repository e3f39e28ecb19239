//! A client together with whether its answer has begun, which decides how a failure can be told.

use std::io;
use std::time::Duration;

use crate::intake::{Client, ClientRequest, ClientTunnel, Ending, Job, Peer};

/// A client, and whether its answer has begun: from then on only a cut can tell of a failure.
pub struct Watched {
    pub client: Box<dyn Client>,
    pub has_begun: bool,
    /// Bytes of its content that were read.
    pub n_read: u64,
    /// Bytes of its answer that were written.
    pub n_written: u64,
}

impl Watched {
    pub fn new(client: Box<dyn Client>) -> Watched {
        Watched {
            client,
            has_begun: false,
            n_read: 0,
            n_written: 0,
        }
    }
}

impl Client for Watched {
    fn read_content(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.client.read_content(buffer)?;
        self.n_read += n as u64;
        Ok(n)
    }

    fn note_wait(&mut self, took: Duration) {
        self.client.note_wait(took);
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.has_begun = true;
        self.client.write(bytes)?;
        self.n_written += bytes.len() as u64;
        Ok(())
    }

    fn write_now(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.has_begun = true;
        self.client.write_now(bytes)?;
        self.n_written += bytes.len() as u64;
        Ok(())
    }

    fn begin_until_close(&mut self) {
        self.client.begin_until_close();
    }

    fn peer(&self) -> Option<Peer> {
        self.client.peer()
    }

    fn is_drained(&self) -> bool {
        self.client.is_drained()
    }

    fn can_skip_content(&self) -> bool {
        self.client.can_skip_content()
    }

    fn can_tunnel(&self) -> bool {
        self.client.can_tunnel()
    }

    fn tunnel(&mut self) -> Option<ClientTunnel> {
        self.client.tunnel()
    }

    fn take_back(&mut self, request: Box<ClientRequest>) {
        self.client.take_back(request);
    }

    fn finish(self: Box<Self>, ending: Ending) -> Option<Job> {
        self.client.finish(ending)
    }

    fn finish_and_leave(self: Box<Self>, ending: Ending) -> Option<Job> {
        self.client.finish_and_leave(ending)
    }
}
