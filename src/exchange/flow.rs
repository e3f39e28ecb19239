//! One direction of a tunnel: a bounded buffer between two sockets; and what became of both.

use std::fmt;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};

/// Room for what one direction holds, bytes. More only if more was there before the tunnel.
const PIECE: usize = 16 * 1024;

/// One direction.
pub struct Flow {
    buffer: Vec<u8>,
    /// What of `buffer` was read and is not written yet.
    start: usize,
    end: usize,
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
        match rustix::net::recv(from, &mut self.buffer[..], RecvFlags::DONTWAIT) {
            Ok((_, 0)) => self.has_ended = true,
            Ok((_, n)) => (self.start, self.end) = (0, n),
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
