//! Passes bytes between a client and a backend that have left HTTP behind, in both directions.
//!
//! Runs on the thread that served the request, until both sides have said all, one of them breaks,
//! or nothing has moved for the idle timeout. Owns nothing but a buffer for each direction: what
//! the one side does not take is not read from the other.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::exchange::flow::{End, Flow, Report, Side};
use crate::system::timespec;

struct Tunnel<'a> {
    client: BorrowedFd<'a>,
    backend: BorrowedFd<'a>,
    to_backend: Flow,
    to_client: Flow,
    /// Who was the first to have said all.
    first: Option<Side>,
    /// A side that is closed both ways says so at every poll: where nothing else is wanted of it,
    /// it is not asked again.
    client_hung_up: bool,
    backend_hung_up: bool,
}

/// Passes bytes on until the end. What each side sent before the tunnel began goes first.
pub fn run(
    client: impl AsFd,
    from_client: Vec<u8>,
    backend: impl AsFd,
    from_backend: Vec<u8>,
    idle_timeout: Option<Duration>,
) -> Report {
    let mut tunnel = Tunnel {
        client: client.as_fd(),
        backend: backend.as_fd(),
        to_backend: Flow::new(from_client),
        to_client: Flow::new(from_backend),
        first: None,
        client_hung_up: false,
        backend_hung_up: false,
    };
    let end = tunnel.run(idle_timeout);
    let (up, down) = (&tunnel.to_backend, &tunnel.to_client);
    let is_cut = match end {
        End::Done(_) => false,
        End::Idle => !up.is_empty() || !down.is_empty(),
        // All that it had to say was passed on, and all that was for it was written.
        End::Broke(Side::Client, _) => !up.is_over || !down.is_empty(),
        End::Broke(Side::Backend, _) => !down.is_over || !up.is_empty(),
    };
    Report {
        n_to_backend: up.n_written,
        n_to_client: down.n_written,
        end,
        is_cut,
    }
}

impl Tunnel<'_> {
    fn run(&mut self, idle_timeout: Option<Duration>) -> End {
        let mut last_move = Instant::now();
        loop {
            if self.to_backend.is_over && self.to_client.is_over {
                return End::Done(self.first.unwrap_or(Side::Backend));
            }
            let left = idle_timeout.map(|t| t.saturating_sub(last_move.elapsed()));
            if left == Some(Duration::ZERO) {
                return End::Idle;
            }
            self.to_backend.calm_down();
            self.to_client.calm_down();
            let (up, down) = (self.to_backend.until_calm(), self.to_client.until_calm());
            let next = [left, up, down].into_iter().flatten().min();
            match self.wait(next).and_then(|ready| self.pass(ready)) {
                Ok(true) => last_move = Instant::now(),
                Ok(false) => {}
                Err((side, error)) => return End::Broke(side, error),
            }
        }
    }

    /// Waits until one of the sockets can do what is wanted of it; what each of them can do.
    fn wait(&mut self, left: Option<Duration>) -> Result<[PollFlags; 2], (Side, Errno)> {
        let wanted = |input: bool, output: bool| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, input);
            flags.set(PollFlags::OUT, output);
            flags
        };
        let (up, down) = (&self.to_backend, &self.to_client);
        let of_client = wanted(up.wants_input(), !down.is_empty());
        let of_backend = wanted(down.wants_input(), !up.is_empty());
        let mut fds = [
            PollFd::from_borrowed_fd(self.client, of_client),
            PollFd::from_borrowed_fd(self.backend, of_backend),
        ];
        let first = usize::from(self.client_hung_up && of_client.is_empty());
        let last = 2 - usize::from(self.backend_hung_up && of_backend.is_empty());
        match rustix::event::poll(&mut fds[first..last], left.map(timespec).as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            // Of memory, for the poll itself: no side is to blame, but one has to be named.
            Err(error) => return Err((Side::Client, error)),
        }
        let ready = [fds[0].revents(), fds[1].revents()];
        if of_client.is_empty() {
            self.client_hung_up |= hung_up(Side::Client, self.client, ready[0])?;
        }
        if of_backend.is_empty() {
            self.backend_hung_up |= hung_up(Side::Backend, self.backend, ready[1])?;
        }
        Ok(ready)
    }

    /// Reads and writes once in each direction, as far as it can be done without waiting.
    fn pass(&mut self, [client, backend]: [PollFlags; 2]) -> Result<bool, (Side, Errno)> {
        let by_client = |error| (Side::Client, error);
        let by_backend = |error| (Side::Backend, error);
        if !client.is_empty() && self.to_backend.wants_input() {
            self.to_backend.read(self.client).map_err(by_client)?;
        }
        if !backend.is_empty() && self.to_client.wants_input() {
            self.to_client.read(self.backend).map_err(by_backend)?;
        }
        let has_moved_up = self.to_backend.write(self.backend).map_err(by_backend)?;
        let has_moved_down = self.to_client.write(self.client).map_err(by_client)?;
        if self.first.is_none() {
            self.first = match (self.to_backend.has_ended, self.to_client.has_ended) {
                (true, _) => Some(Side::Client),
                (false, true) => Some(Side::Backend),
                (false, false) => None,
            };
        }
        Ok(has_moved_up || has_moved_down)
    }
}

/// Whether a socket of which nothing was wanted is closed both ways; an error if it broke.
fn hung_up(side: Side, socket: BorrowedFd, ready: PollFlags) -> Result<bool, (Side, Errno)> {
    if ready.contains(PollFlags::ERR) {
        let error = rustix::net::sockopt::socket_error(socket);
        let error = error.and_then(|told| told).err();
        return Err((side, error.unwrap_or(Errno::CONNRESET)));
    }
    Ok(ready.contains(PollFlags::HUP))
}

#[cfg(test)]
mod tests;
