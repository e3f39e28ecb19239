//! The content of a client's request on its way to a backend: held in memory, or streamed.

use std::io::{self, Read};
use std::time::Duration;

use crate::exchange::fields::Length;
use crate::exchange::retry::Replay;
use crate::intake::{Client, ClientRequest, ContentFraming, MAX_HELD, Peer};

/// How the client failed us while we read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientFailure {
    /// It sent nothing for the idle timeout.
    Stalled,
    /// Its content is malformed.
    Malformed,
    /// Its content is longer than the limit that was set.
    TooLarge,
    /// It went away.
    Gone,
}

impl From<&io::Error> for ClientFailure {
    fn from(error: &io::Error) -> ClientFailure {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientFailure::Stalled,
            io::ErrorKind::InvalidData => ClientFailure::Malformed,
            io::ErrorKind::FileTooLarge => ClientFailure::TooLarge,
            _ => ClientFailure::Gone,
        }
    }
}

/// The content of one request.
pub struct Content {
    /// All of it, or what was read ahead of a stream.
    held: Vec<u8>,
    /// How much of `held` this attempt has passed on.
    position: usize,
    /// Whether more has to be read from the client, behind the held part.
    has_more: bool,
    /// Whether some of that has been passed on, and is gone.
    is_touched: bool,
    /// How many bytes have been passed on of it.
    n_streamed: u64,
    length: Length,
    /// Whether the client sends none of it before it is told to (100).
    is_withheld: bool,
    failure: Option<ClientFailure>,
}

impl Content {
    /// Takes what fits into memory. Content that the client only sends when told to (100) is left
    /// where it is until a backend wants it.
    pub fn read(
        request: &ClientRequest,
        client: &mut dyn Client,
    ) -> Result<Content, ClientFailure> {
        let length = match request.framing {
            ContentFraming::Empty => Length::Unannounced,
            ContentFraming::Sized(n) => Length::Sized(n),
            ContentFraming::Chunked => Length::Chunked,
        };
        let mut content = Content {
            held: Vec::new(),
            position: 0,
            has_more: false,
            is_touched: false,
            n_streamed: 0,
            length,
            is_withheld: false,
            failure: None,
        };
        let fits = match length {
            Length::Unannounced | Length::Sized(0) => return Ok(content),
            Length::Sized(n) => n <= MAX_HELD as u64,
            Length::Chunked => true,
        };
        if request.expects_continue || !fits {
            content.has_more = true;
            content.is_withheld = request.expects_continue;
            return Ok(content);
        }
        if content
            .hold(client)
            .map_err(|error| ClientFailure::from(&error))?
        {
            content.length = Length::Sized(content.held.len() as u64);
        } else {
            content.has_more = true;
        }
        Ok(content)
    }

    /// Reads into memory; true when that was all of it.
    fn hold(&mut self, client: &mut dyn Client) -> io::Result<bool> {
        const PIECE: usize = 8 * 1024;
        loop {
            let start = self.held.len();
            if self.length == Length::Sized(start as u64) {
                return Ok(true);
            }
            // One byte more than is held tells content of just that length from longer one.
            if start > MAX_HELD {
                return Ok(false);
            }
            self.held.resize(start + PIECE.min(MAX_HELD + 1 - start), 0);
            let read = client.read_content(&mut self.held[start..]);
            self.held.truncate(start + *read.as_ref().unwrap_or(&0));
            if read? == 0 {
                return Ok(true);
            }
        }
    }

    /// How it is announced to the backend.
    pub fn length(&self) -> Length {
        self.length
    }

    /// Whether there is none to send.
    pub fn is_empty(&self) -> bool {
        matches!(self.length, Length::Unannounced | Length::Sized(0))
    }

    /// Whether another attempt could send it.
    pub fn replay(&self) -> Replay {
        if self.is_touched {
            Replay::Impossible
        } else {
            Replay::Possible
        }
    }

    /// Whether all of it has been read from the client: if not, its connection can't be kept.
    pub fn is_read(&self) -> bool {
        !self.has_more
    }

    /// Whether the client still waits to be told (100) that its content is wanted. The first read
    /// tells it.
    pub fn waits_for_100(&self) -> bool {
        self.is_withheld && !self.is_touched
    }

    /// How the client failed, if it was the client.
    pub fn failure(&self) -> Option<ClientFailure> {
        self.failure
    }

    /// A reader for one attempt.
    pub fn reader<'a>(&'a mut self, client: &'a mut dyn Client) -> ContentReader<'a> {
        self.position = 0;
        ContentReader {
            content: self,
            client,
        }
    }
}

/// Reads the held part first, then from the client.
pub struct ContentReader<'a> {
    content: &'a mut Content,
    client: &'a mut dyn Client,
}

impl ContentReader<'_> {
    /// Whether the next read is one in the middle of a stream, with nothing of it in any buffer:
    /// then the client's socket tells when there is more.
    pub fn is_mid_stream(&self) -> bool {
        let content = &*self.content;
        content.has_more && content.n_streamed > 0 && self.client.is_drained()
    }

    /// The client's socket, if it can be found.
    pub fn peer(&self) -> Option<Peer> {
        self.client.peer()
    }

    /// The client was waited for, for so long.
    pub fn note_wait(&mut self, took: Duration) {
        self.client.note_wait(took);
    }

    /// The client sent nothing for too long.
    pub fn note_stall(&mut self) {
        self.content.failure = Some(ClientFailure::Stalled);
    }
}

impl Read for ContentReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let content = &mut *self.content;
        let held = &content.held[content.position..];
        if !held.is_empty() {
            let n = held.len().min(buffer.len());
            buffer[..n].copy_from_slice(&held[..n]);
            content.position += n;
            return Ok(n);
        }
        if !content.has_more || buffer.is_empty() {
            return Ok(0);
        }
        content.is_touched = true;
        match self.client.read_content(buffer) {
            Ok(n) => {
                content.n_streamed += n as u64;
                // A sized content is over with its last byte: nobody reads on to see a zero.
                content.has_more = n > 0 && content.length != Length::Sized(content.n_streamed);
                Ok(n)
            }
            Err(error) => {
                content.failure = Some(ClientFailure::from(&error));
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::intake::{Ending, Job};

    /// Gives so many bytes in pieces, then the end, or an error.
    struct Giver {
        left: usize,
        error: Option<io::ErrorKind>,
    }

    impl Client for Giver {
        fn read_content(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = self.left.min(buffer.len()).min(1000);
            self.left -= n;
            match self.error {
                Some(kind) if n == 0 => Err(kind.into()),
                _ => Ok(n),
            }
        }
        fn write(&mut self, _: &[u8]) -> io::Result<()> {
            Ok(())
        }
        fn finish(self: Box<Self>, _: Ending) -> Option<Job> {
            None
        }
    }

    fn request(framing: ContentFraming, expects_continue: bool) -> ClientRequest {
        ClientRequest {
            framing,
            expects_continue,
            ..ClientRequest::example("PUT")
        }
    }

    #[test]
    fn content_is_held_up_to_the_limit_and_streamed_above_it() {
        let n = MAX_HELD as u64;
        let cases = [
            (ContentFraming::Empty, 0, Length::Unannounced, true),
            (ContentFraming::Sized(0), 0, Length::Sized(0), true),
            (ContentFraming::Sized(n), MAX_HELD, Length::Sized(n), true),
            (
                ContentFraming::Sized(n + 1),
                MAX_HELD + 1,
                Length::Sized(n + 1),
                false,
            ),
            (ContentFraming::Chunked, MAX_HELD, Length::Sized(n), true),
            (
                ContentFraming::Chunked,
                MAX_HELD + 1,
                Length::Chunked,
                false,
            ),
        ];
        for (framing, left, length, is_held) in cases {
            let mut client = Giver { left, error: None };
            let mut content =
                Content::read(&request(framing, false), &mut client).expect("it gives");
            assert_eq!(content.length(), length, "{framing:?}");
            assert_eq!(content.is_read(), is_held, "{framing:?}");
            assert_eq!(content.replay(), Replay::Possible, "nothing is gone yet");
            for _ in 0..=usize::from(is_held) {
                let n_read = io::copy(&mut content.reader(&mut client), &mut io::sink());
                assert_eq!(n_read.expect("it gives"), left as u64, "{framing:?}");
            }
            assert!(content.is_read(), "{framing:?}");
            let replay = if is_held {
                Replay::Possible
            } else {
                Replay::Impossible
            };
            assert_eq!(content.replay(), replay, "{framing:?}");
        }
    }

    #[test]
    fn content_that_waits_for_100_is_not_touched_before_a_backend_is_there() {
        let mut client = Giver {
            left: 5,
            error: None,
        };
        let request = request(ContentFraming::Sized(5), true);
        let mut content = Content::read(&request, &mut client).expect("nothing is read");
        assert_eq!(client.left, 5);
        assert_eq!(content.replay(), Replay::Possible);
        assert!(content.waits_for_100());
        assert!(!content.is_read());
        let mut five = [0; 5];
        content
            .reader(&mut client)
            .read_exact(&mut five)
            .expect("it gives");
        assert!(content.is_read());
        assert!(!content.waits_for_100());
        assert_eq!(content.replay(), Replay::Impossible);
    }

    #[test]
    fn a_failing_client_is_told_from_a_failing_backend() {
        let cases = [
            (io::ErrorKind::WouldBlock, ClientFailure::Stalled),
            (io::ErrorKind::TimedOut, ClientFailure::Stalled),
            (io::ErrorKind::InvalidData, ClientFailure::Malformed),
            (io::ErrorKind::FileTooLarge, ClientFailure::TooLarge),
            (io::ErrorKind::UnexpectedEof, ClientFailure::Gone),
            (io::ErrorKind::ConnectionReset, ClientFailure::Gone),
        ];
        for (kind, failure) in cases {
            let mut client = Giver {
                left: 10,
                error: Some(kind),
            };
            let small = Content::read(&request(ContentFraming::Sized(20), false), &mut client);
            assert_eq!(small.err(), Some(failure));
            let mut client = Giver {
                left: 10,
                error: Some(kind),
            };
            let large = request(ContentFraming::Sized(1 << 20), false);
            let mut content = Content::read(&large, &mut client).expect("it is streamed");
            let copied = io::copy(&mut content.reader(&mut client), &mut io::sink());
            assert!(copied.is_err());
            assert_eq!(content.failure(), Some(failure));
        }
    }
}
