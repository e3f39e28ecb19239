//! How a worker reads its client's content: from memory first, then from the socket, for as long as
//! the idle timeout and the least rate allow.

use std::io;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::RecvFlags;

use crate::intake::gate::ahead::Unread;
use crate::intake::gate::client::GateClient;
use crate::intake::gate::connection::Connection;
use crate::intake::{Client, Limit};
use crate::system::timespec;

impl GateClient {
    /// Reads decoded content; 0 is its end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let given = match self.unread {
                Unread::Sized(left) if self.is_drained() => Some(self.receive_into(buffer, left)?),
                _ => self.give(buffer)?,
            };
            if let Some(n) = given {
                self.n_content += n as u64;
                let most = self.shared.settings.limits.max_content;
                if most.is_some_and(|most| self.n_content > most) {
                    return Err(io::Error::new(
                        io::ErrorKind::FileTooLarge,
                        Limit::MaxContent.refusal().reason,
                    ));
                }
                return Ok(n);
            }
            self.receive()?;
        }
    }

    /// Reads content without a length, or behind what is in memory: into the connection's buffer.
    fn receive(&mut self) -> io::Result<()> {
        self.wait_for(|connection| connection.receive(RecvFlags::empty()))?;
        Ok(())
    }

    /// Reads content of a known length, as much as is left of it, without a buffer between.
    fn receive_into(&mut self, buffer: &mut [u8], left: u64) -> io::Result<usize> {
        let most = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let n = self.wait_for(|connection| {
            let room = &mut buffer[..most];
            let (_, n) = rustix::net::recv(&*connection.socket, room, RecvFlags::empty())?;
            Ok(n)
        })?;
        self.unread = match left - n as u64 {
            0 => Unread::Nothing,
            left => Unread::Sized(left),
        };
        Ok(n)
    }

    /// Waits for more bytes of the content, as long as the idle timeout allows.
    fn wait_for(
        &mut self,
        mut receive: impl FnMut(&mut Connection) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let start = Instant::now();
        let n = loop {
            match receive(&mut self.connection) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The socket gives up soon, because that is how long a worker lingers on it.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.await_input(start)?;
                }
                result => break result?,
            }
        };
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.reading
            .note(start.elapsed(), n, &self.shared.settings.pace)?;
        Ok(n)
    }

    fn await_input(&self, start: Instant) -> io::Result<()> {
        let timeout = self.shared.settings.idle_timeout;
        let left = timeout.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut fds = [PollFd::new(&*self.connection.socket, PollFlags::IN)];
        match poll(&mut fds, Some(&timespec(left))) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives out what is in memory; none when more has to be received first.
    fn give(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let held = &self.held[self.n_given..];
        if !held.is_empty() {
            let n = held.len().min(buffer.len());
            buffer[..n].copy_from_slice(&held[..n]);
            self.n_given += n;
            return Ok(Some(n));
        }
        let input = &mut self.connection.input;
        match &mut self.unread {
            Unread::Nothing => Ok(Some(0)),
            Unread::Sized(left) => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX);
                let n = most.min(input.len()).min(buffer.len());
                buffer[..n].copy_from_slice(&input[..n]);
                input.drain(..n);
                *left -= n as u64;
                if *left == 0 {
                    self.unread = Unread::Nothing;
                }
                Ok((n > 0).then_some(n))
            }
            Unread::Chunked(decoder) => {
                let (n_in, n_out) = decoder
                    .decode(input, buffer)
                    .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
                input.drain(..n_in);
                if decoder.is_ended() {
                    self.unread = Unread::Nothing;
                    return Ok(Some(n_out));
                }
                Ok((n_out > 0).then_some(n_out))
            }
        }
    }
}
