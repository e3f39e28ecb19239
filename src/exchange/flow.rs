//! One direction of a tunnel: a bounded buffer between two sockets; and what became of both.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};

/// Room for what one direction holds, bytes. More if more was there before the tunnel, and in bulk.
const PIECE: usize = 16 * 1024;

/// Room in bulk, to which it doubles each time that a read fills it, bytes. What it costs is mostly
/// waits and calls: they are a sixteenth then (bench/README.md, Tunnels; there too: why no splice).
const BULK: usize = 256 * 1024;

/// The room that bulk took goes back once no read has been as large as a piece for so long.
const CALM: Duration = Duration::from_secs(1);

/// One direction.
pub struct Flow {
    buffer: Vec<u8>,
    /// What of `buffer` was read and is not written yet.
    start: usize,
    end: usize,
    /// When a read was as large as a piece.
    last_bulk: Instant,
    /// The end of what comes was read.
    pub has_ended: bool,
    /// The end was passed on, behind the last byte.
    pub is_over: bool,
    /// Bytes that were passed on.
    pub n_written: u64,
}

impl Flow {
    /// `ahead` has been read already.
    pub fn new(mut ahead: Vec<u8>) -> Flow {
        let end = ahead.len();
        ahead.resize(end.max(PIECE), 0);
        Flow {
            buffer: ahead,
            start: 0,
            end,
            last_bulk: Instant::now(),
            has_ended: false,
            is_over: false,
            n_written: 0,
        }
    }

    /// Whether all that was read is written.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether to read on.
    pub fn wants_input(&self) -> bool {
        self.is_empty() && !self.has_ended
    }

    /// Reads what is there, without waiting.
    pub fn read(&mut self, from: BorrowedFd) -> Result<(), Errno> {
        let room = self.buffer.len();
        if self.end == room && room < BULK {
            self.make_room((2 * room).min(BULK));
        }
        match rustix::net::recv(from, &mut self.buffer[..], RecvFlags::DONTWAIT) {
            Ok((_, 0)) => self.has_ended = true,
            Ok((_, n)) => {
                (self.start, self.end) = (0, n);
                if n >= PIECE {
                    self.last_bulk = Instant::now();
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Writes what the socket takes, and the end behind the last byte. True if a byte moved.
    pub fn write(&mut self, to: BorrowedFd) -> Result<bool, Errno> {
        let mut n_moved = 0;
        if !self.is_empty() {
            let left = &self.buffer[self.start..self.end];
            // SIGPIPE is ignored: Rust's start-up code sees to that.
            match rustix::net::send(to, left, SendFlags::DONTWAIT) {
                Ok(n) => n_moved = n,
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error),
            }
            self.start += n_moved;
            self.n_written += n_moved as u64;
        }
        if self.has_ended && self.is_empty() && !self.is_over {
            self.is_over = true;
            rustix::net::shutdown(to, Shutdown::Write)?;
        }
        Ok(n_moved > 0)
    }

    /// How long the room that bulk took is kept; `None`: there is none, or bytes wait in it.
    pub fn until_calm(&self) -> Option<Duration> {
        let is_spare = self.is_empty() && self.buffer.len() > PIECE;
        is_spare.then(|| CALM.saturating_sub(self.last_bulk.elapsed()))
    }

    /// Gives the room that bulk took back, if it is time.
    pub fn calm_down(&mut self) {
        if self.until_calm() == Some(Duration::ZERO) {
            self.make_room(PIECE);
        }
    }

    /// Another buffer, in place of one of which all is written.
    fn make_room(&mut self, n: usize) {
        self.buffer = vec![0; n];
        (self.start, self.end) = (0, 0);
    }
}

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Backend,
}

/// What ended a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Both sides have said all they had to say, this one first.
    Done(Side),
    /// This side's connection broke.
    Broke(Side, Errno),
    /// No byte moved for the idle timeout.
    Idle,
}

/// What happened in a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Bytes that the backend's socket took.
    pub n_to_backend: u64,
    /// Bytes that the client's socket took.
    pub n_to_client: u64,
    /// What ended it.
    pub end: End,
    /// Something was lost: whoever is left must see a reset, and never a clean end.
    pub is_cut: bool,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (up, down) = (self.n_to_backend, self.n_to_client);
        write!(f, "{up} bytes to the backend, {down} to the client, ")?;
        match self.end {
            End::Done(Side::Client) => write!(f, "ended by the client"),
            End::Done(Side::Backend) => write!(f, "ended by the backend"),
            End::Broke(Side::Client, error) => write!(f, "the client broke off: {error}"),
            End::Broke(Side::Backend, error) => write!(f, "the backend broke off: {error}"),
            End::Idle => write!(f, "idle for too long"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use rustix::net::sockopt;

    /// The far and the near end of one side; either way it holds more than a flow does.
    fn pair() -> (UnixStream, UnixStream) {
        let (far, near) = UnixStream::pair().expect("two descriptors");
        for socket in [&far, &near] {
            sockopt::set_socket_send_buffer_size(socket, 2 * BULK).expect("a socket");
            sockopt::set_socket_recv_buffer_size(socket, 2 * BULK).expect("a socket");
            socket.set_nonblocking(true).expect("a socket");
        }
        (far, near)
    }

    /// As if the last bulk had been just so long ago.
    fn let_calm_pass(flow: &mut Flow) {
        let now = Instant::now();
        flow.last_bulk = now.checked_sub(CALM).expect("the machine runs for longer");
    }

    /// The trick: who sends says each time just as much as the room takes that there was last.
    #[test]
    fn room_doubles_in_bulk_has_a_bound_and_goes_back_in_calm() {
        let ((mut client, near), (mut backend, to)) = (pair(), pair());
        let mut flow = Flow::new(Vec::new());
        for wanted in [1, 2, 2, 4, 4, 8, 8, 16, 16, 16].map(|times| times * PIECE) {
            let bytes = vec![7; flow.buffer.len()];
            client.write_all(&bytes).expect("it fits");
            flow.read(near.as_fd()).expect("it is open");
            assert_eq!(flow.buffer.len(), wanted);
            // What waits is never thrown away, be it for ever.
            let_calm_pass(&mut flow);
            flow.calm_down();
            assert_eq!((flow.until_calm(), flow.wants_input()), (None, false));
            assert_eq!(flow.write(to.as_fd()), Ok(true));
            let mut passed_on = vec![0; bytes.len()];
            backend.read_exact(&mut passed_on).expect("all of it");
            assert!(flow.is_empty() && passed_on == bytes);
        }
        assert_eq!(flow.buffer.len(), BULK);

        // Small talk is no bulk, and does not take the room away before its time.
        flow.last_bulk = Instant::now();
        client.write_all(b"small").expect("it fits");
        flow.read(near.as_fd()).expect("it is open");
        assert_eq!(flow.write(to.as_fd()), Ok(true));
        assert!(flow.until_calm().is_some_and(|left| left <= CALM));
        let_calm_pass(&mut flow);
        assert_eq!(flow.until_calm(), Some(Duration::ZERO));
        flow.calm_down();
        assert_eq!((flow.buffer.len(), flow.until_calm()), (PIECE, None));
    }

    /// The trick: each step is of a random size and may fall short, on one thread, and calm comes
    /// in the midst of it. The pattern's period is no power of two.
    #[test]
    fn no_byte_is_lost_while_room_comes_and_goes() {
        const TOTAL: usize = 20_000_000;
        let pattern: Vec<u8> = (0..251).cycle().take(251 + 4 * BULK).collect();
        let ((mut client, near), (mut backend, to)) = (pair(), pair());
        let mut flow = Flow::new(Vec::new());
        let mut state = 1_usize;
        let mut below = |bound: usize| {
            state = state.wrapping_mul(25_214_903_917).wrapping_add(11);
            (state >> 12) % bound
        };
        let (mut n_sent, mut n_taken, mut most) = (0, 0, 0);
        let mut room = vec![0; 4 * BULK];
        while n_taken < TOTAL {
            let n = (1 + below(4 * BULK)).min(TOTAL - n_sent);
            let at = n_sent % 251;
            // An error: there is no room.
            n_sent += client.write(&pattern[at..at + n]).unwrap_or(0);
            for _ in 0..below(8) {
                if flow.wants_input() {
                    flow.read(near.as_fd()).expect("it is open");
                }
                flow.write(to.as_fd()).expect("it is open");
                most = most.max(flow.buffer.len());
            }
            if below(8) == 0 {
                let_calm_pass(&mut flow);
                flow.calm_down();
            }
            let n = 1 + below(4 * BULK);
            let n = backend.read(&mut room[..n]).unwrap_or(0);
            let at = n_taken % 251;
            assert!(room[..n] == pattern[at..at + n]);
            n_taken += n;
        }
        assert_eq!((flow.n_written, most), (TOTAL as u64, BULK));
    }
}
