//! Connects to one address, and never to ourselves.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, socket};

/// [`TcpStream::connect_timeout`] that does not take a connection to itself for a backend.
pub fn connect_one(address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, timeout)?;
    if is_self_connected(&stream, address) {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

/// Whether the kernel connected the socket to itself.
///
/// Dialing a dead port of the ephemeral range on this machine over and over, one attempt in tens
/// of thousands gets that very port as its own, and TCP's simultaneous open then succeeds: a dead
/// backend would look alive, and could not bind its port again.
pub fn is_self_connected(stream: &TcpStream, address: SocketAddr) -> bool {
    stream.local_addr().is_ok_and(|local| local == address)
}

/// A socket that can be connected to this address without waiting for it.
pub fn open_socket(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let fd = socket(family, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&fd, true)?;
    Ok(fd)
}
