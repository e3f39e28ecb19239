//! Finds the socket under a `tiny_http` request, which `tiny_http` itself keeps out of reach.
//!
//! It is needed to end a connection: with a reset when an answer was cut short, with a FIN when
//! an answer is the last, and to answer while content is still unread. The process's own table of
//! descriptors is searched for the one with the client's address, which takes some microseconds a
//! descriptor and happens only then.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use crate::intake::Found;

/// Where the system lists the descriptors of a process.
#[cfg(target_os = "linux")]
pub const DESCRIPTORS: &str = "/proc/self/fd";
#[cfg(not(target_os = "linux"))]
pub const DESCRIPTORS: &str = "/dev/fd";

/// A duplicate of the socket connected to this client; none when it is gone, or the table of
/// descriptors cannot be read (no /proc).
pub fn find(client: SocketAddr) -> Option<TcpStream> {
    search(fs::read_dir(DESCRIPTORS).ok()?, client)
}

/// The same, and tells the two reasons for none apart. A connection that was reset is gone, even
/// while its descriptor is open: it has no peer any more.
pub fn look_for(client: SocketAddr) -> Found {
    let Ok(entries) = fs::read_dir(DESCRIPTORS) else {
        return Found::Unknown;
    };
    let found = search(entries, client).map(|stream| Arc::new(OwnedFd::from(stream)));
    found.map_or(Found::Gone, Found::Here)
}

fn search(entries: fs::ReadDir, client: SocketAddr) -> Option<TcpStream> {
    entries.flatten().find_map(|entry| {
        let fd: RawFd = entry.file_name().to_str()?.parse().ok()?;
        let stream = TcpStream::from(duplicate(fd).ok()?);
        // Anything that is not a connected internet socket fails this, and is closed again.
        (stream.peer_addr().ok()? == client).then_some(stream)
    })
}

#[allow(unsafe_code)]
fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the number was just read from the table of open descriptors, and is borrowed for
    // this one call. If another thread has closed it meanwhile, dup() fails, or duplicates what
    // has taken its place, which the caller then recognizes by its address. Nothing is read,
    // written or closed but the duplicate.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    borrowed.try_clone_to_owned()
}

/// A number that no other socket of this machine has while this one, or a duplicate, is open.
pub fn identity(stream: &TcpStream) -> Option<u64> {
    let file = File::from(OwnedFd::from(stream.try_clone().ok()?));
    file.metadata().ok().map(|metadata| metadata.ino())
}

/// The same for a descriptor that someone else owns; none once it is closed.
pub fn identity_of(fd: RawFd) -> Option<u64> {
    fs::metadata(format!("{DESCRIPTORS}/{fd}"))
        .ok()
        .map(|metadata| metadata.ino())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::{reset, tcp_pair};
    use std::io::Read;

    #[test]
    fn a_client_is_found_by_its_address_and_only_while_it_is_there() {
        let (client, served) = tcp_pair();
        let address = client.local_addr().expect("connected");
        let found = find(address).expect("it is open");
        assert_eq!(identity(&found), identity(&served));
        assert_ne!(identity(&found), identity(&client));
        drop((found, served));
        assert!(find(address).is_none());
    }

    #[test]
    fn a_reset_is_seen_at_once_by_the_peer_and_by_a_blocked_reader() {
        let (mut client, served) = tcp_pair();
        let mut blocked = served.try_clone().expect("a duplicate");
        let reader = std::thread::spawn(move || blocked.read(&mut [0; 9]).unwrap_or(0));
        reset(&served);
        let error = client
            .read(&mut [0; 9])
            .expect_err("the connection was reset");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(reader.join().expect("it does not panic"), 0);
    }
}
