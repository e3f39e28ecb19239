//! What several rooms ask of the system: error texts, timeouts for `poll`, lacks, what a socket has
//! and how it ends, ends of threads, keys that nobody knows.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
#[cfg(test)]
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::thread::JoinHandle;
use std::time::Duration;

use log::error;
use rustix::event::Timespec;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::net::sockopt::set_socket_linger;

/// An error's text without the number that the standard library adds.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text[..end].to_lowercase()
}

/// A duration as the system calls want it.
pub fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// Whether a call failed because this process or machine lacks descriptors, memory or ports.
pub fn is_lack_of_means(error: &io::Error) -> bool {
    let ours = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
        Errno::NOBUFS,
        Errno::ADDRNOTAVAIL,
    ];
    let number = error.raw_os_error();
    number.is_some_and(|number| ours.iter().any(|errno| errno.raw_os_error() == number))
}

/// How many bytes a read would find, of one at most, without waiting and without reading it; 0 is
/// the end of the connection.
pub fn peek(socket: impl AsFd) -> Result<usize, Errno> {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    rustix::net::recv(socket, &mut [0; 1], flags).map(|(_, n)| n)
}

/// Resets a TCP connection at once, whoever else holds its socket; shuts any other socket down.
pub fn reset(socket: impl AsFd) {
    use rustix::net::{Shutdown, connect_unspec, shutdown};
    // Disconnecting a TCP socket (connect to AF_UNSPEC) sends the reset without waiting for the
    // last duplicate to be closed. Where that is not known, closing both ways has to do.
    if connect_unspec(&socket).is_err() {
        let _ = shutdown(&socket, Shutdown::Both); // an error: it is closed already
    }
}

/// Makes a reset of whatever closes a TCP connection, also of the death of this process.
pub fn reset_when_closed(socket: impl AsFd) {
    let _ = set_socket_linger(socket, Some(Duration::ZERO)); // an error: it is closed already
}

/// Takes [`reset_when_closed`] back.
pub fn end_when_closed(socket: impl AsFd) {
    let _ = set_socket_linger(socket, None); // an error: it is closed already
}

/// A key that nobody knows, another one each time: the standard library draws what it is made of
/// from the system's randomness.
pub fn draw_key() -> [u8; 16] {
    let draw = || RandomState::new().build_hasher().finish();
    let both = u128::from(draw()) << 64 | u128::from(draw());
    both.to_le_bytes()
}

/// Joins a thread. What panics is contained where it matters, so a panic that ends one is news.
pub fn join<T>(thread: JoinHandle<T>) -> Option<T> {
    let name = thread.thread().name().unwrap_or_default().to_owned();
    let ended = thread.join();
    if ended.is_err() {
        error!("the thread {name} had panicked");
    }
    ended.ok()
}

/// Both ends of a TCP connection: who came, and who was there.
#[cfg(test)]
pub fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let far = TcpStream::connect(address).expect("someone listens");
    (far, listener.accept().expect("someone connected").0)
}
