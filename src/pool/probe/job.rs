//! One probe in progress: a socket, and what it waits for.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::connect;

use crate::pool::dial::{is_self_connected, open_socket};
use crate::pool::probe::answer::Answer;
use crate::pool::probe::{Found, Target, ill};
use crate::pool::{HttpProbe, ProbeKind};
use crate::system::{is_lack_of_means, plain};

/// A probe that has a socket. Dropping it closes that.
#[derive(Debug)]
pub struct Job {
    stream: TcpStream,
    address: SocketAddr,
    deadline: Instant,
    timeout: Duration,
    phase: Phase,
    /// None: it is enough to be connected.
    question: Option<Box<Question>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    Asking,
    Listening,
}

#[derive(Debug)]
struct Question {
    request: Vec<u8>,
    n_sent: usize,
    answer: Answer,
}

/// What came of beginning.
#[derive(Debug)]
pub enum Begun {
    /// It waits for its socket.
    Pending(Job),
    /// It is over already.
    Decided(Found),
    /// This machine has no means for it.
    NoMeans(io::Error),
}

impl Job {
    /// Begins to connect.
    pub fn begin(target: &Target, now: Instant) -> Begun {
        match open_socket(target.address) {
            Ok(fd) => Job::connect(fd, target, now),
            Err(error) => Begun::failed(error, target.address),
        }
    }

    /// The same on a socket of the caller's.
    pub(super) fn connect(fd: OwnedFd, target: &Target, now: Instant) -> Begun {
        let address = target.address;
        match connect(&fd, &address) {
            // An established connection is noticed by the first poll: it can be written to.
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Begun::failed(error, address),
        }
        let question = match &target.kind {
            ProbeKind::Http(probe) => Some(Box::new(Question::new(probe, target))),
            ProbeKind::Tcp | ProbeKind::Off => None,
        };
        Begun::Pending(Job {
            stream: TcpStream::from(fd),
            address,
            deadline: now + target.timeout,
            timeout: target.timeout,
            phase: Phase::Connecting,
            question,
        })
    }

    /// When its time is over.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// For poll.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// What has to happen on its socket before it can go on.
    pub fn awaits(&self) -> PollFlags {
        match self.phase {
            Phase::Connecting | Phase::Asking => PollFlags::OUT,
            Phase::Listening => PollFlags::IN,
        }
    }

    /// What it means that its time is over.
    pub fn late(&self) -> Found {
        let what = match self.phase {
            Phase::Connecting => "connect",
            Phase::Asking | Phase::Listening => "health check",
        };
        Found::Bad(format!("{what}: timed out after {:?}", self.timeout))
    }

    /// Goes on by one step, now that the socket is ready; some once it is decided.
    pub fn advance(&mut self, scratch: &mut [u8]) -> Option<Found> {
        if self.phase == Phase::Connecting {
            if let Err(error) = self.check_connected() {
                return Some(refused(&error));
            }
            self.phase = Phase::Asking;
        }
        let Some(question) = &mut self.question else {
            return Some(Found::Good);
        };
        let step = match self.phase {
            Phase::Connecting | Phase::Asking => question.send(&self.stream),
            Phase::Listening => question.receive(&self.stream, scratch),
        };
        match step {
            Ok(found) => {
                if question.is_sent() {
                    self.phase = Phase::Listening;
                }
                found
            }
            Err(error) if is_for_later(&error) => None,
            Err(error) => Some(ill(&plain(&error))),
        }
    }

    fn check_connected(&self) -> io::Result<()> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        if is_self_connected(&self.stream, self.address) {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        Ok(())
    }
}

impl Begun {
    pub(super) fn failed(errno: Errno, address: SocketAddr) -> Begun {
        let error = io::Error::from(errno);
        // Of IPv6 this may also mean that this machine has none, and then it is no passing lack.
        let is_no_ipv6 = errno == Errno::ADDRNOTAVAIL && address.is_ipv6();
        if is_lack_of_means(&error) && !is_no_ipv6 {
            Begun::NoMeans(error)
        } else {
            Begun::Decided(refused(&error))
        }
    }
}

impl Question {
    fn new(probe: &HttpProbe, target: &Target) -> Question {
        let (base, path) = (&target.base, &probe.path);
        let host = probe.host.as_ref().unwrap_or(&target.authority);
        let request = format!(
            "GET {base}{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: threadbare-health\r\n\
             Accept: */*\r\nConnection: close\r\n\r\n"
        );
        Question {
            request: request.into_bytes(),
            n_sent: 0,
            answer: Answer::new(probe.clone()),
        }
    }

    fn is_sent(&self) -> bool {
        self.n_sent == self.request.len()
    }

    fn send(&mut self, mut stream: &TcpStream) -> io::Result<Option<Found>> {
        match stream.write(&self.request[self.n_sent..])? {
            0 => return Err(ErrorKind::WriteZero.into()),
            n => self.n_sent += n,
        }
        Ok(None)
    }

    fn receive(&mut self, mut stream: &TcpStream, scratch: &mut [u8]) -> io::Result<Option<Found>> {
        let n = stream.read(scratch)?;
        if n == 0 {
            return Ok(Some(self.answer.end()));
        }
        Ok(self.answer.read(&scratch[..n]))
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn refused(error: &io::Error) -> Found {
    Found::Bad(format!("connect: {}", plain(error)))
}
