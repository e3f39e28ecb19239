//! Accepts connections while there is room, and pauses when there is none: never for good.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{debug, warn};
use rustix::io::Errno;
use rustix::net::{RecvFlags, Shutdown, shutdown};

use crate::intake::gate::Shared;
use crate::intake::gate::connection::{Connection, PIECE};
use crate::intake::gate::listen::{
    ListeningSocket, SocketTimeouts, is_someone_there, set_options, set_tcp_options,
};
use crate::intake::{ClientRequest, Limit};
use crate::system::{is_lack_of_means, plain};

/// Connections accepted from one socket before others have their turn.
const MAX_AT_ONCE: usize = 64;
/// How long to pause when the system lacks descriptors or memory and nothing idle can be closed.
const PAUSE: Duration = Duration::from_millis(100);
/// The log tells of pauses no more often than this.
const EPISODE: Duration = Duration::from_secs(10);
/// Tokens of the listening sockets count down from here; connections count up.
const FIRST_TOKEN: u64 = u64::MAX - 1;

/// The listening sockets, and whether they are being listened to. Owned by the waiter.
pub struct Acceptor {
    sockets: Vec<ListeningSocket>,
    timeouts: SocketTimeouts,
    pause: Pause,
    told_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    /// Accepting.
    Not,
    /// Until a connection ends, or is idle and can be closed.
    Full,
    /// Until then, or until a connection ends.
    NoMeans(Instant),
}

/// What came of one accept.
enum Accepted {
    One(Box<Connection>),
    /// Nobody waits.
    Nobody,
    /// This one went away, or was sent away.
    Next,
    /// No more for now.
    Paused,
}

impl Acceptor {
    /// Starts to watch the sockets.
    pub fn new(sockets: Vec<ListeningSocket>, shared: &Shared) -> io::Result<Acceptor> {
        for (i, listening) in sockets.iter().enumerate() {
            shared.lot.readiness.watch(&listening.socket, token(i))?;
        }
        Ok(Acceptor {
            sockets,
            timeouts: shared.settings.timeouts(),
            pause: Pause::Not,
            told_at: None,
        })
    }

    /// Accepts what waits on the socket of this token, and gives each to `take`; false if it is
    /// not a listening socket's. An error ends the gate.
    pub fn accept(
        &mut self,
        token: u64,
        shared: &Arc<Shared>,
        mut take: impl FnMut(Box<Connection>),
    ) -> io::Result<bool> {
        let i = usize::try_from(FIRST_TOKEN - token.min(FIRST_TOKEN)).unwrap_or(usize::MAX);
        if i >= self.sockets.len() {
            return Ok(false);
        }
        for _ in 0..MAX_AT_ONCE {
            match self.accept_one(i, shared)? {
                Accepted::One(connection) => take(connection),
                Accepted::Next => {}
                Accepted::Nobody => break,
                Accepted::Paused => return Ok(true),
            }
        }
        self.watch(i, shared)?;
        Ok(true)
    }

    /// Accepts all that waits, whatever the limits say about pauses: nothing comes after it.
    pub fn accept_last(&mut self, shared: &Arc<Shared>, mut take: impl FnMut(Box<Connection>)) {
        for i in 0..self.sockets.len() {
            loop {
                match self.accept_one(i, shared) {
                    Ok(Accepted::One(connection)) => take(connection),
                    Ok(Accepted::Next) => {}
                    Ok(Accepted::Nobody | Accepted::Paused) | Err(_) => break,
                }
            }
        }
        self.sockets.clear();
    }

    /// When to try again by itself.
    pub fn resumes_at(&self, shared: &Shared) -> Option<Instant> {
        match self.pause {
            Pause::NoMeans(at) => Some(at),
            Pause::Full => shared.lot.idle_since(),
            Pause::Not => None,
        }
    }

    /// Listens again if there is room now.
    pub fn resume(&mut self, shared: &Shared, now: Instant) -> io::Result<()> {
        let may = match self.pause {
            Pause::Not => return Ok(()),
            Pause::Full => !shared.lot.wait_for_room_or_idle(now),
            Pause::NoMeans(at) => now >= at && !shared.lot.wait_for_room(),
        };
        if !may {
            return Ok(());
        }
        debug!("accepting again: {} connections", shared.lot.n_open());
        self.pause = Pause::Not;
        (0..self.sockets.len()).try_for_each(|i| self.watch(i, shared))
    }

    fn watch(&self, i: usize, shared: &Shared) -> io::Result<()> {
        let readiness = &shared.lot.readiness;
        readiness.watch_again(&self.sockets[i].socket, token(i))
    }

    fn accept_one(&mut self, i: usize, shared: &Arc<Shared>) -> io::Result<Accepted> {
        // Room first: what is accepted without a place would have to be sent away again.
        match self.make_room(i, shared) {
            Room::Free => {}
            Room::NotNeeded => return Ok(Accepted::Nobody),
            Room::None => return Ok(Accepted::Paused),
        }
        let (socket, address) = match accept(&self.sockets[i].socket) {
            Ok(accepted) => accepted,
            Err(Errno::AGAIN) => return Ok(Accepted::Nobody),
            Err(error) if is_lack_of_means(&error.into()) => {
                return Ok(self.lack_means(shared, error));
            }
            // No socket any more: nothing can be accepted ever again.
            Err(error @ (Errno::BADF | Errno::INVAL | Errno::NOTSOCK)) => return Err(error.into()),
            // The client went away while it waited, or its network did (accept(2)).
            Err(error) => {
                debug!("accept: {error}");
                return Ok(Accepted::Next);
            }
        };
        if !self.sockets[i].gives_options && !self.prepare(&socket, address.is_some()) {
            return Ok(Accepted::Next);
        }
        let client = address.map(|address| address.ip().to_canonical());
        let Some(mut ticket) = shared.lot.admit() else {
            return Ok(Accepted::Next); // not reached: nobody else admits
        };
        // Behind a balancer the client is known only from the PROXY header.
        let counted = client.filter(|_| !shared.settings.accept_proxy);
        if counted.is_some_and(|client| !ticket.charge(client)) {
            send_away(&socket, client, shared);
            return Ok(Accepted::Next);
        }
        let (settings, now) = (&shared.settings, Instant::now());
        let connection = Connection::new(socket, client, ticket, settings, now);
        Ok(Accepted::One(Box::new(connection)))
    }

    /// Timeouts, where they are not inherited; false when it is gone already.
    fn prepare(&self, socket: &OwnedFd, is_tcp: bool) -> bool {
        rustix::io::ioctl_fionbio(socket, false).is_ok()
            && set_options(socket, self.timeouts).is_ok()
            && (!is_tcp || set_tcp_options(socket).is_ok())
    }

    /// Sees that one more connection may come in; if need be by closing the one that has been idle
    /// for longest.
    fn make_room(&mut self, i: usize, shared: &Shared) -> Room {
        if !shared.lot.wait_for_room() {
            return Room::Free;
        }
        if !is_someone_there(&self.sockets[i].socket) {
            return Room::NotNeeded;
        }
        if let Some(connection) = shared.lot.take_oldest_idle(Instant::now()) {
            debug!("closed the oldest idle connection to make room");
            drop(connection);
            return Room::Free;
        }
        // Asked again: the last look at the idle ones may have missed an end.
        if !shared.lot.wait_for_room() {
            return Room::Free;
        }
        let n_open = shared.lot.n_open();
        self.tell(&format!("{n_open} connections, none of them idle"));
        self.pause = Pause::Full;
        Room::None
    }

    fn lack_means(&mut self, shared: &Shared, error: Errno) -> Accepted {
        if let Some(connection) = shared.lot.take_oldest_idle(Instant::now()) {
            debug!("closed the oldest idle connection: {error}");
            drop(connection);
            return Accepted::Next;
        }
        shared.lot.wait_for_an_end();
        let error = plain(&error.into());
        self.tell(&format!("{error}, and no connection is idle"));
        self.pause = Pause::NoMeans(Instant::now() + PAUSE);
        Accepted::Paused
    }

    /// One line for an episode, however often it pauses and resumes in it.
    fn tell(&mut self, why: &str) {
        let now = Instant::now();
        let was_told = self.told_at.is_some_and(|at| now < at + EPISODE);
        if !was_told {
            warn!("accepting pauses: {why}");
            self.told_at = Some(now);
        }
    }
}

/// Whether the next connection can come in.
enum Room {
    Free,
    /// There is none, and nobody waits for it.
    NotNeeded,
    None,
}

/// Says why, as far as the client is there to hear it.
fn send_away(socket: &OwnedFd, client: Option<IpAddr>, shared: &Shared) {
    let refusal = Limit::MaxConnectionsPerClient.refusal();
    // What it has sent already is read, because closing over it would reset the answer away.
    let mut raw = [0; PIECE];
    let received = rustix::net::recv(socket, &mut raw, RecvFlags::DONTWAIT);
    let n = received.map_or(0, |(_, n)| n);
    let told = shared.tell(socket, &ClientRequest::stand_in("GET", None), refusal);
    shared.note_refused(client, &raw[..n], refusal, &told);
    let _ = shutdown(socket, Shutdown::Write);
}

fn token(i: usize) -> u64 {
    FIRST_TOKEN - i as u64
}

#[cfg(target_os = "linux")]
fn accept(socket: &OwnedFd) -> Result<(OwnedFd, Option<SocketAddr>), Errno> {
    use rustix::net::{SocketFlags, acceptfrom_with};
    let (accepted, address) = acceptfrom_with(socket, SocketFlags::CLOEXEC)?;
    Ok((accepted, address.and_then(|a| SocketAddr::try_from(a).ok())))
}

#[cfg(not(target_os = "linux"))]
fn accept(socket: &OwnedFd) -> Result<(OwnedFd, Option<SocketAddr>), Errno> {
    let (accepted, address) = rustix::net::acceptfrom(socket)?;
    rustix::io::fcntl_setfd(&accepted, rustix::io::FdFlags::CLOEXEC)?;
    Ok((accepted, address.and_then(|a| SocketAddr::try_from(a).ok())))
}
