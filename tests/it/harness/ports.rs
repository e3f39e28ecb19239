//! Ports that refuse or swallow connections for as long as a test needs them to.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

#[cfg(not(target_os = "linux"))]
use rustix::net::socket;
#[cfg(target_os = "linux")]
use rustix::net::socket_with;
use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, sockopt};

/// A port that stays ours: bound for good, listened on only at times. While nobody listens the
/// system refuses connections, and no other test can be given the port.
pub struct Port {
    pub addr: SocketAddr,
    _holder: OwnedFd,
}

impl Port {
    pub fn take() -> Self {
        let holder = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let addr = getsockname(&holder).expect("a bound socket has an address");
        let addr = SocketAddr::try_from(addr).expect("it was bound to an IPv4 address");
        Self {
            addr,
            _holder: holder,
        }
    }

    pub fn listen(&self) -> TcpListener {
        let listener = bound(self.addr);
        listen(&listener, 1024).expect("a bound socket listens");
        TcpListener::from(listener)
    }
}

/// `SO_REUSEADDR` lets a second socket bind to the holder's port as long as the holder does not
/// listen.
fn bound(addr: SocketAddr) -> OwnedFd {
    let fd = stream_socket();
    sockopt::set_socket_reuseaddr(&fd, true).expect("a socket takes SO_REUSEADDR");
    bind(&fd, &addr).expect("a loopback port can be bound");
    fd
}

/// Closed in every child from its birth on: a listening socket that a child of another test
/// inherits would never refuse.
#[cfg(target_os = "linux")]
fn stream_socket() -> OwnedFd {
    let flags = rustix::net::SocketFlags::CLOEXEC;
    let fd = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None);
    fd.expect("a socket is granted")
}

/// Without `SOCK_CLOEXEC` a child that starts between the two calls inherits the socket.
#[cfg(not(target_os = "linux"))]
fn stream_socket() -> OwnedFd {
    let fd = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket is granted");
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC).expect("a socket takes CLOEXEC");
    fd
}

/// A port where connecting neither succeeds nor fails: its listener never accepts and its backlog
/// is full, so that the system drops every further SYN, as a host that vanished does.
pub struct HangingPort {
    pub addr: SocketAddr,
    _listener: OwnedFd,
    _filling: Vec<TcpStream>,
}

impl HangingPort {
    pub fn take() -> Self {
        let listener = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        listen(&listener, 0).expect("a bound socket listens");
        let addr = getsockname(&listener).expect("a bound socket has an address");
        let addr = SocketAddr::try_from(addr).expect("it was bound to an IPv4 address");
        let mut filling = Vec::new();
        // Linux holds one connection more than asked for, others a few.
        while let Ok(stream) = TcpStream::connect_timeout(&addr, Duration::from_millis(100)) {
            filling.push(stream);
            assert!(filling.len() < 1000, "the backlog never fills");
        }
        Self {
            addr,
            _listener: listener,
            _filling: filling,
        }
    }
}
