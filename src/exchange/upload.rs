//! Streams content to a backend, and notices a backend that answers before it has all of it.
//!
//! Without this, a worker would wait for a client that pauses in mid-content while the answer it
//! pauses for is already here (RFC 9112 §9.3: a server may answer early, and close).

use std::io::{self, Read};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::exchange::content::ContentReader;
use crate::exchange::desk::Desk;
use crate::exchange::interim::{Seen, look};
use crate::intake::Found;
use crate::system::timespec;

/// The content of one attempt, as ureq reads it.
pub struct Upload<'a> {
    reader: ContentReader<'a>,
    desk: &'a Desk,
    idle_timeout: Duration,
    /// The sockets of client and backend, once they were looked for; none inside: no such luck.
    sockets: Option<Sockets>,
}

enum Sockets {
    Both {
        client: Arc<OwnedFd>,
        backend: TcpStream,
    },
    Unknown,
}

impl<'a> Upload<'a> {
    pub fn new(reader: ContentReader<'a>, desk: &'a Desk, idle_timeout: Duration) -> Upload<'a> {
        Upload {
            reader,
            desk,
            idle_timeout,
            sockets: None,
        }
    }

    /// Waits until the client has sent more; an error when the backend has an answer first.
    fn wait(&mut self) -> io::Result<()> {
        let find = || {
            let client = self
                .reader
                .peer()
                .map_or(Found::Unknown, |peer| peer.find());
            let backend = self.desk.with(|attempt| attempt.uploading.take());
            match (client, backend) {
                (Found::Here(client), Some(backend)) => Sockets::Both { client, backend },
                _ => Sockets::Unknown,
            }
        };
        let Sockets::Both { client, backend } = self.sockets.get_or_insert_with(find) else {
            return Ok(());
        };
        loop {
            let mut fds = [
                PollFd::new(client, PollFlags::IN),
                PollFd::new(backend, PollFlags::IN),
            ];
            let start = Instant::now();
            let polled = rustix::event::poll(&mut fds, Some(&timespec(self.idle_timeout)));
            self.reader.note_wait(start.elapsed());
            match polled {
                Ok(0) => {
                    self.reader.note_stall();
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Ok(_) if !fds[1].revents().is_empty() => {}
                // Interrupted: the read that follows waits as well.
                Ok(_) | Err(Errno::INTR) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            // An interim answer is none, and each one is as good as a byte of the client's.
            let seen = look(backend, self.desk);
            let is_early = !matches!(seen, Ok(Seen::Nothing | Seen::Continue));
            self.desk.with(|attempt| attempt.is_early = is_early);
            if is_early {
                return Err(io::Error::other(
                    "it answered before it had all of the content",
                ));
            }
        }
    }
}

impl Read for Upload<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.reader.is_mid_stream() {
            self.wait()?;
        }
        self.reader.read(buffer)
    }
}
