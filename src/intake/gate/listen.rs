//! The listening sockets: TCP, Unix, or handed over by systemd; and what accepted ones inherit.

use std::fmt;
use std::fs;
use std::io;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, TcpListener, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, FdFlags};
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};

use crate::intake::ListenAt;
use crate::intake::gate::handed_over::HandedOver;
use crate::system::timespec;

/// Connections that may wait to be accepted; the system's own maximum may be lower.
const BACKLOG: i32 = 4096;
/// A peer that is gone without a word is noticed after a minute and six probes 10 s apart. Only
/// tunnels live long enough to need it.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(10), 6);

/// What a blocking call on an accepted socket waits for at most.
#[derive(Clone, Copy, Debug)]
pub struct SocketTimeouts {
    pub read: Duration,
    pub write: Duration,
}

/// A socket that connections come in on.
#[derive(Debug)]
pub struct ListeningSocket {
    pub socket: OwnedFd,
    pub bound: Bound,
    /// Whether what is accepted has its options from here; else each gets its own.
    pub gives_options: bool,
}

/// Where that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    Tcp(SocketAddr),
    /// The file is removed at the end, unless someone else has put another there.
    Unix(PathBuf, Option<FileId>),
    /// A Unix socket that someone else made.
    Inherited(String),
}

/// Device and inode: two files of one name differ in it.
type FileId = (u64, u64);

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Tcp(address) => write!(f, "{address}"),
            Bound::Unix(path, _) => write!(f, "unix:{}", path.display()),
            Bound::Inherited(name) => write!(f, "{name}"),
        }
    }
}

/// Binds what one `--listen` of `all` asks for: one socket, or several that systemd handed over.
pub fn bind(
    at: &ListenAt,
    all: &[ListenAt],
    timeouts: SocketTimeouts,
    handed_over: &mut HandedOver,
) -> io::Result<Vec<ListeningSocket>> {
    match at {
        ListenAt::Tcp(text) => {
            let addresses: Vec<_> = text.to_socket_addrs()?.collect();
            let listener = match addresses.as_slice() {
                [SocketAddr::V6(address)] if leaves_ipv4(address, all) => bind_ipv6_only(address)?,
                addresses => TcpListener::bind(addresses)?,
            };
            Ok(vec![tcp(listener, timeouts)?])
        }
        ListenAt::Unix(path) => {
            remove_stale(path)?;
            let listener = UnixListener::bind(path)?;
            let bound = Bound::Unix(path.clone(), file_id(path));
            Ok(vec![unix(listener, bound)?])
        }
        ListenAt::Systemd(name) => handed_over.take(name.as_deref(), timeouts),
    }
}

/// Whether a place for all of IPv6 has to leave that port of IPv4 to another one of `all`: by
/// itself it takes both (Linux, unless `net.ipv6.bindv6only` says otherwise).
fn leaves_ipv4(address: &SocketAddrV6, all: &[ListenAt]) -> bool {
    let is_its_port = |at: &ListenAt| match at {
        ListenAt::Tcp(text) => {
            let other = text.parse::<SocketAddrV4>();
            other.is_ok_and(|other| other.port() == address.port())
        }
        ListenAt::Unix(_) | ListenAt::Systemd(_) => false,
    };
    address.ip().is_unspecified() && address.port() != 0 && all.iter().any(is_its_port)
}

/// As [`TcpListener::bind`] does it, which has no way to set this option.
fn bind_ipv6_only(address: &SocketAddrV6) -> io::Result<TcpListener> {
    let socket = rustix::net::socket(AddressFamily::INET6, SocketType::STREAM, None)?;
    // As for all that the standard library opens: nobody whom we start inherits it.
    rustix::io::fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    // What is left of an earlier run's connections is no obstacle.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_ipv6_v6only(&socket, true)?;
    rustix::net::bind(&socket, address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// One that is bound already.
pub fn tcp(listener: TcpListener, timeouts: SocketTimeouts) -> io::Result<ListeningSocket> {
    let bound = Bound::Tcp(listener.local_addr()?);
    let socket = OwnedFd::from(listener);
    rustix::net::listen(&socket, BACKLOG)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    set_options(&socket, timeouts)?;
    set_tcp_options(&socket)?;
    // What came in before the options were set does not have them.
    let gives_options = cfg!(target_os = "linux") && !is_someone_there(&socket);
    Ok(ListeningSocket {
        socket,
        bound,
        gives_options,
    })
}

/// Whether a connection waits to be accepted.
pub fn is_someone_there(socket: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(socket, PollFlags::IN)];
    poll(&mut fds, Some(&timespec(Duration::ZERO))).is_ok_and(|n| n > 0)
}

/// The same for a Unix socket.
pub fn unix(listener: UnixListener, bound: Bound) -> io::Result<ListeningSocket> {
    let socket = OwnedFd::from(listener);
    rustix::net::listen(&socket, BACKLOG)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(ListeningSocket {
        socket,
        bound,
        gives_options: false,
    })
}

/// Timeouts of blocking calls. Linux gives an accepted TCP socket those of its listener.
pub fn set_options(socket: &OwnedFd, timeouts: SocketTimeouts) -> io::Result<()> {
    sockopt::set_socket_timeout(socket, Timeout::Recv, Some(timeouts.read))?;
    sockopt::set_socket_timeout(socket, Timeout::Send, Some(timeouts.write))?;
    Ok(())
}

/// Small answers leave at once, and a peer that is gone is noticed.
pub fn set_tcp_options(socket: &OwnedFd) -> io::Result<()> {
    let (idle, interval, n_probes) = KEEPALIVE;
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, idle)?;
    sockopt::set_tcp_keepintvl(socket, interval)?;
    sockopt::set_tcp_keepcnt(socket, n_probes)?;
    Ok(())
}

/// A socket file that nobody listens on is left from an earlier run. Anything else is somebody's.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(file) if !file.file_type().is_socket() => {
            Err(io::Error::other("what is there is no socket, and stays"))
        }
        Ok(_) if is_refused(path)? => fs::remove_file(path),
        _ => Ok(()), // an error is one of bind, too
    }
}

/// Whether a connect is refused; one that would have to wait has met somebody.
fn is_refused(path: &Path) -> io::Result<bool> {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    let address = SocketAddrUnix::new(path)?;
    Ok(rustix::net::connect(&socket, &address) == Err(Errno::CONNREFUSED))
}

fn file_id(path: &Path) -> Option<FileId> {
    let file = fs::symlink_metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

impl Drop for ListeningSocket {
    fn drop(&mut self) {
        if let Bound::Unix(path, file) = &self.bound
            && file_id(path) == *file
        {
            let _ = fs::remove_file(path); // an error: someone has removed it already
        }
    }
}
