//! A client together with whether its answer has begun, which decides how a failure can be told.

use std::io;

use crate::intake::{Client, Ending, Job, Peer};

/// A client, and whether its answer has begun: from then on only a cut can tell of a failure.
pub struct Watched {
    pub client: Box<dyn Client>,
    pub has_begun: bool,
}

impl Client for Watched {
    fn read_content(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.client.read_content(buffer)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.has_begun = true;
        self.client.write(bytes)
    }

    fn peer(&self) -> Option<Peer> {
        self.client.peer()
    }

    fn finish(self: Box<Self>, ending: Ending) -> Option<Job> {
        self.client.finish(ending)
    }
}
