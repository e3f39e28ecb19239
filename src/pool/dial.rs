//! Dials many backends side by side from one thread: non-blocking connects, and one poll for all.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, connect, socket, sockopt};

use crate::system::{plain, timespec};

/// The longest that a dial in progress keeps the thread from noticing that it shall end.
const POLL_SLICE: Duration = Duration::from_millis(50);

/// One backend's dial: connected through any address is good.
struct Dial {
    idx: usize,
    /// Connects in progress.
    pending: Vec<(OwnedFd, SocketAddr)>,
    last_error: String,
}

/// Dials every target (an index and its addresses) and reports each result as soon as it is
/// known, at the latest after `timeout`. Returns early, with the rest unreported, when `is_over`.
///
/// A target is not reported at all when we lack descriptors: that is no fault of the backend.
pub fn dial_all(
    targets: Vec<(usize, Vec<SocketAddr>)>,
    timeout: Duration,
    is_over: impl Fn() -> bool,
    mut report: impl FnMut(usize, Result<(), String>),
) {
    let deadline = Instant::now() + timeout;
    let mut dials = Vec::with_capacity(targets.len());
    for (idx, addresses) in targets {
        match begin(idx, &addresses) {
            Begun::Pending(dial) => dials.push(dial),
            Begun::Done(result) => report(idx, result),
            Begun::NoMeans(error) => log::warn!("cannot dial, and know nothing new: {error}"),
        }
    }
    while !dials.is_empty() && !is_over() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            for dial in dials.drain(..) {
                report(
                    dial.idx,
                    Err(format!("connect: timed out after {timeout:?}")),
                );
            }
            return;
        }
        wait(&dials, left.min(POLL_SLICE));
        dials.retain_mut(|dial| match advance(dial) {
            None => true,
            Some(result) => {
                report(dial.idx, result);
                false
            }
        });
    }
}

enum Begun {
    Pending(Dial),
    Done(Result<(), String>),
    NoMeans(Errno),
}

fn begin(idx: usize, addresses: &[SocketAddr]) -> Begun {
    let mut dial = Dial {
        idx,
        pending: Vec::new(),
        last_error: "its name has no address yet".to_owned(),
    };
    for &address in addresses {
        let fd = match open_socket(address) {
            Ok(fd) => fd,
            Err(error) => return Begun::NoMeans(error),
        };
        match connect(&fd, &address) {
            Ok(()) if is_self_connected(&fd, address) => {}
            Ok(()) => return Begun::Done(Ok(())),
            Err(Errno::INPROGRESS) => dial.pending.push((fd, address)),
            Err(error) => dial.last_error = describe(error),
        }
    }
    if dial.pending.is_empty() {
        Begun::Done(Err(dial.last_error))
    } else {
        Begun::Pending(dial)
    }
}

fn open_socket(address: SocketAddr) -> Result<OwnedFd, Errno> {
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

/// Waits until some connect is decided, or the time is over.
fn wait(dials: &[Dial], at_most: Duration) {
    let pending = dials.iter().flat_map(|dial| &dial.pending);
    let mut fds: Vec<_> = pending
        .map(|(fd, _)| PollFd::new(fd, PollFlags::OUT))
        .collect();
    // An interrupted poll is like one that timed out: the caller looks at every socket anyway.
    let _ = poll(&mut fds, Some(&timespec(at_most)));
}

/// Looks at the connects of one dial; some once it is decided.
fn advance(dial: &mut Dial) -> Option<Result<(), String>> {
    let mut is_good = false;
    let last_error = &mut dial.last_error;
    dial.pending
        .retain(|(fd, address)| match progress(fd, *address) {
            Progress::Connected => {
                is_good = true;
                false
            }
            Progress::Failed(error) => {
                *last_error = describe(error);
                false
            }
            Progress::Waiting => true,
        });
    if is_good {
        return Some(Ok(()));
    }
    dial.pending
        .is_empty()
        .then(|| Err(std::mem::take(last_error)))
}

enum Progress {
    Waiting,
    Connected,
    Failed(Errno),
}

fn progress(fd: &OwnedFd, address: SocketAddr) -> Progress {
    let mut fds = [PollFd::new(fd, PollFlags::OUT)];
    match poll(&mut fds, Some(&timespec(Duration::ZERO))) {
        Ok(n) if n > 0 => {}
        _ => return Progress::Waiting,
    }
    match sockopt::socket_error(fd) {
        Ok(Ok(())) if is_self_connected(fd, address) => Progress::Failed(Errno::CONNREFUSED),
        Ok(Ok(())) => Progress::Connected,
        Ok(Err(error)) | Err(error) => Progress::Failed(error),
    }
}

/// Whether the kernel connected the socket to itself.
///
/// Dialing a dead port of the ephemeral range on this machine over and over, one attempt in tens
/// of thousands gets that very port as its own, and TCP's simultaneous open then succeeds: a dead
/// backend would look alive, and could not bind its port again.
pub fn is_self_connected(fd: &OwnedFd, address: SocketAddr) -> bool {
    rustix::net::getsockname(fd)
        .ok()
        .and_then(|local| SocketAddr::try_from(local).ok())
        .is_some_and(|local| local == address)
}

fn describe(error: Errno) -> String {
    format!("connect: {}", plain(&io::Error::from(error)))
}

/// [`TcpStream::connect_timeout`] that does not take a connection to itself for a backend.
pub fn connect_one(address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, timeout)?;
    if stream.local_addr()? == address {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// The trick: a listener whose backlog is full leaves further connects unanswered, so they
    /// hang without any address that is not ours. Many of those, one refused, one good.
    #[test]
    fn dead_targets_do_not_delay_each_other_or_the_good_ones() {
        let good = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let refused = {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            listener.local_addr().expect("it is bound")
        };
        let (hanging, _fill) = hanging_address();
        let mut targets: Vec<_> = (0..50).map(|i| (i, vec![hanging])).collect();
        targets.push((50, vec![refused]));
        targets.push((51, vec![good.local_addr().expect("it is bound")]));
        targets.push((52, vec![]));
        targets.push((53, vec![refused, good.local_addr().expect("it is bound")]));

        let mut order = Vec::new();
        let timeout = Duration::from_millis(300);
        let start = Instant::now();
        dial_all(
            targets,
            timeout,
            || false,
            |idx, result| order.push((idx, result)),
        );
        assert!(
            start.elapsed() < 10 * timeout,
            "fifty hang one after another"
        );

        order[..4].sort_by_key(|(idx, _)| *idx);
        assert_eq!(
            order[0],
            (50, Err("connect: connection refused".to_owned()))
        );
        assert_eq!(order[1], (51, Ok(())));
        assert_eq!(
            order[2],
            (52, Err("its name has no address yet".to_owned()))
        );
        assert_eq!(order[3], (53, Ok(())));
        assert_eq!(order.len(), 54);
        assert!(
            order[4..]
                .iter()
                .all(|(_, r)| r.as_ref().is_err_and(|e| e.contains("300ms")))
        );
    }

    #[test]
    fn dials_end_early_when_it_is_over() {
        let (hanging, _fill) = hanging_address();
        let day = Duration::from_secs(86_400);
        dial_all(
            vec![(0, vec![hanging])],
            day,
            || true,
            |_, _| panic!("nothing is known"),
        );
    }

    fn hanging_address() -> (SocketAddr, (OwnedFd, Vec<OwnedFd>)) {
        let listener = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        rustix::net::bind(&listener, &any).expect("a free port");
        rustix::net::listen(&listener, 0).expect("it listens");
        let address = rustix::net::getsockname(&listener).expect("it is bound");
        let address = SocketAddr::try_from(address).expect("an internet address");
        let fill = (0..4).map(|_| {
            let fd = open_socket(address).expect("a socket");
            let _ = connect(&fd, &address); // in progress, or refused once the backlog is full
            fd
        });
        (address, (listener, fill.collect()))
    }
}
