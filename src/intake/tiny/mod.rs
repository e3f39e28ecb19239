//! The `tiny_http` listener: a page of code, right for trusted networks and for teaching.
//!
//! `tiny_http` starts threads of its own: one that accepts, and one for each connection, which
//! reads heads and hands out requests. The thread `listener` (ours) takes these, checks them and
//! puts them on the queue. What `tiny_http` can't be made to do stands in the README's table.

mod accept;
mod client;
mod connections;
mod nudge;
mod socket;

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use log::debug;
use tiny_http::{HTTPVersion, Request, Server};

use crate::intake::check::Limits;
use crate::intake::fields::Fields;
use crate::intake::{
    ClientRequest, ContentFraming, Ended, Ending, Job, Queue, Refusal, Version, check, method_named,
};
use crate::watch::Pulse;

use self::accept::{AcceptWatch, Accepting};
use self::client::TinyClient;
use self::connections::{Arrival, Connections, discard};
use self::nudge::{Nudge, count_descriptors};

/// Connections that may wait to be accepted; the system's own maximum may be lower.
const BACKLOG: i32 = 4096;
/// How often the accept thread is looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);
/// Nothing came in for this long after the stop: what was on its way has arrived.
const QUIET: Duration = Duration::from_millis(20);

/// A bound listener with `tiny_http`'s threads behind it.
pub struct TinyListener {
    server: Server,
    /// A second descriptor of the listening socket, to stop it.
    socket: TcpListener,
    address: SocketAddr,
    connections: Arc<Connections>,
    watch: AcceptWatch,
    idle_timeout: Duration,
    pulse: Arc<Pulse>,
    /// Open ones before the first client could connect.
    n_descriptors: usize,
}

impl TinyListener {
    /// Binds `listen` (HOST:PORT) and starts to accept.
    pub fn bind(listen: &str, idle_timeout: Duration, limits: Limits) -> io::Result<TinyListener> {
        let addresses: Vec<_> = listen.to_socket_addrs()?.collect();
        let listener = TcpListener::bind(addresses.as_slice())?;
        set_options(&listener, idle_timeout)?;
        let socket = listener.try_clone()?;
        let address = listener.local_addr()?;
        let watch = AcceptWatch::new(&listener);
        let n_descriptors = count_descriptors();
        let server = Server::from_listener(listener, None).map_err(io::Error::other)?;
        let connections = Arc::new(Connections::new(limits));
        Ok(TinyListener {
            server,
            socket,
            address,
            connections,
            watch,
            idle_timeout,
            pulse: Arc::default(),
            n_descriptors,
        })
    }

    /// Where it listens, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The listener thread's sign of life.
    pub fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    /// Makes [`TinyListener::run`] look at `stopping` at once.
    pub fn wake(&self) {
        self.server.unblock();
    }

    /// The body of the thread `listener`: fills the queue until `stopping`, then closes it, and
    /// refuses what still comes in on old connections until `finished`.
    pub fn run(&self, mut queue: Queue, stopping: &AtomicBool, finished: &AtomicBool) -> Ended {
        let mut next_watch = Instant::now() + WATCH_INTERVAL;
        let mut accepting = Accepting::new(&self.server, self.watch, &self.socket);
        let mut nudge = Nudge::new(self.address, self.idle_timeout, self.n_descriptors);
        // Acquire pairs with the signal handler's store: who sees it set is behind the signal.
        while !stopping.load(Ordering::Acquire) {
            self.pulse.beat();
            let now = Instant::now();
            if now >= next_watch {
                next_watch = now + WATCH_INTERVAL;
                if !accepting.is_alive() {
                    return Ended::Died("its accept thread is gone".to_owned());
                }
            }
            nudge.look(now);
            let next_expiry = queue.expire(now).unwrap_or(next_watch);
            let next = next_watch.min(next_expiry).min(nudge.next_look());
            match accepting.next(next.saturating_duration_since(now)) {
                Ok(Some(request)) => {
                    nudge.note_request();
                    self.admit(request, &mut queue);
                }
                Ok(None) => {}
                Err(error) => return Ended::Died(error.to_string()),
            }
        }
        self.stop_accepting();
        self.drain(&mut accepting, &mut queue, finished);
        Ended::Stopped
    }

    /// Everything that was on its way when the stop came is still served; then the queue closes.
    fn drain(&self, accepting: &mut Accepting<'_>, queue: &mut Queue, finished: &AtomicBool) {
        let mut quiet_at = Instant::now() + QUIET;
        while Instant::now() < quiet_at {
            self.pulse.beat();
            queue.expire(Instant::now());
            let left = quiet_at.saturating_duration_since(Instant::now());
            // An error here is the accept thread's, which has just been stopped.
            if let Ok(Some(request)) = accepting.next(left.max(QUIET / 4)) {
                self.admit(request, queue);
                quiet_at = Instant::now() + QUIET;
            }
        }
        queue.close();
        while !finished.load(Ordering::Acquire) {
            self.pulse.beat();
            if let Ok(Some(request)) = accepting.next(WATCH_INTERVAL) {
                self.admit(request, queue);
            }
        }
    }

    fn admit(&self, request: Request, queue: &mut Queue) {
        let Some(&address) = request.remote_addr() else {
            debug!("a request without an address: only a Unix socket has that");
            return discard(request);
        };
        match self.connections.arrive(address, request) {
            Arrival::Serve(request) => queue.push(job_from(request, address, &self.connections)),
            Arrival::Held => {}
            Arrival::Refuse(request) => {
                let job = job_from(request, address, &self.connections);
                // Cut answers nothing, so no next request is served behind it.
                let _ = job.client.finish(Ending::Cut);
            }
        }
    }

    fn stop_accepting(&self) {
        // Ends a blocked accept() on Linux. Elsewhere accepting goes on until the process ends,
        // and what comes in is refused.
        if let Err(error) = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Read) {
            debug!("the listening socket stays open: {error}");
        }
    }
}

/// Makes a job of a request whose turn it is.
fn job_from(request: Request, address: SocketAddr, connections: &Arc<Connections>) -> Job {
    let (mut head, mut refusal) = read_head(&request, address);
    if refusal.is_none() {
        refusal = check::check(&mut head, &connections.limits)
            .and_then(|()| check_reader(&head))
            .err();
    }
    // `tiny_http` may have read a refused head otherwise than we did: its content stays untouched,
    // and the connection ends.
    let has_length = |name| head.fields.all(name).next().is_some();
    let framing = match refusal {
        None => Some(head.framing),
        Some(_) if has_length("Content-Length") || has_length("Transfer-Encoding") => None,
        Some(_) => Some(ContentFraming::Empty),
    };
    let is_last = is_last(&head);
    head.keep_alive &= !is_last;
    let client = TinyClient::new(
        request,
        address,
        framing,
        head.expects_continue,
        is_last,
        Arc::clone(connections),
    );
    Job {
        request: Box::new(head),
        refusal,
        client: Box::new(client),
        queued_at: Instant::now(),
    }
}

fn read_head(request: &Request, address: SocketAddr) -> (ClientRequest, Option<Refusal>) {
    let lines = request.headers();
    let mut fields = Fields::with_capacity(lines.len(), 64 * lines.len());
    for line in lines {
        fields.push(
            line.field.as_str().as_str().as_bytes(),
            line.value.as_str().as_bytes(),
        );
    }
    let (version, refusal) = match request.http_version() {
        HTTPVersion(1, 1) => (Version::Http11, None),
        HTTPVersion(1, 0) => (Version::Http10, None),
        _ => {
            let reason = "a version other than HTTP/1.0 and HTTP/1.1";
            (Version::Http11, Some(Refusal::new(505, reason)))
        }
    };
    let head = ClientRequest {
        method: method_named(request.method().as_str()),
        target: request.url().as_bytes().to_vec(),
        version,
        fields,
        host: None,
        framing: ContentFraming::Empty,
        expects_continue: false,
        upgrade: false,
        keep_alive: false,
        address: Some(address.ip()),
    };
    (head, refusal)
}

/// Whether `tiny_http` takes this request for the last of its connection: by the same rule as
/// `tiny_http` itself, which looks at the first Connection line only, and for parts of words.
fn is_last(head: &ClientRequest) -> bool {
    let connection = head
        .fields
        .all("Connection")
        .next()
        .map(<[u8]>::to_ascii_lowercase);
    let has = |word: &[u8]| {
        connection
            .as_ref()
            .is_some_and(|value| value.windows(word.len()).any(|w| w == word))
    };
    has(b"close") || has(b"upgrade") || (head.version == Version::Http10 && !has(b"keep-alive"))
}

/// With an upgrade asked for, `tiny_http` hands out the connection undecoded: a length can still be
/// counted, chunks can't be read.
fn check_reader(head: &ClientRequest) -> Result<(), Refusal> {
    let connection = head.fields.all("Connection").next().unwrap_or_default();
    let asks_upgrade = connection
        .to_ascii_lowercase()
        .windows(7)
        .any(|w| w == b"upgrade");
    if asks_upgrade && head.framing == ContentFraming::Chunked {
        return Err(Refusal::new(400, "chunked content with an upgrade"));
    }
    Ok(())
}

/// What accepted sockets shall inherit from the listening one.
fn set_options(listener: &TcpListener, idle_timeout: Duration) -> io::Result<()> {
    rustix::net::listen(listener, BACKLOG)?;
    #[cfg(target_os = "linux")]
    {
        use rustix::net::sockopt::{Timeout, set_socket_timeout, set_tcp_nodelay};
        set_tcp_nodelay(listener, true)?;
        set_socket_timeout(listener, Timeout::Send, Some(idle_timeout))?;
        set_socket_timeout(listener, Timeout::Recv, Some(idle_timeout))?;
    }
    #[cfg(not(target_os = "linux"))]
    let _ = idle_timeout; // not inherited there: the README's table says so
    Ok(())
}
