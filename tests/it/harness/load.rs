//! Load from raw clients that count every failure, and the backends under it that count every
//! request: for what must hold while backends come, go and die.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::DEADLINE;
use super::ports::Port;

/// A backend that answers everything with 200 and `ok`, and only counts: under a long load a list
/// of all requests would be most of the memory.
pub struct Counting {
    pub addr: SocketAddr,
    port: Port,
    n_requests: Arc<AtomicUsize>,
    running: Option<Accepting>,
}

struct Accepting {
    stopping: Arc<AtomicBool>,
    live: Arc<Mutex<Vec<TcpStream>>>,
    thread: JoinHandle<()>,
}

impl Counting {
    pub fn start() -> Self {
        let port = Port::take();
        let mut backend = Self {
            addr: port.addr,
            port,
            n_requests: Arc::default(),
            running: None,
        };
        backend.restart();
        backend
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Requests whose head was read, ever.
    pub fn n_requests(&self) -> usize {
        self.n_requests.load(SeqCst)
    }

    pub fn restart(&mut self) {
        let listener = self.port.listen();
        let (stopping, live) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let accept = {
            let (stopping, live) = (Arc::clone(&stopping), Arc::clone(&live));
            let n_requests = Arc::clone(&self.n_requests);
            move || accept(&listener, &stopping, &live, &n_requests)
        };
        self.running = Some(Accepting {
            stopping,
            live,
            thread: thread::spawn(accept),
        });
    }

    /// As a process dies: nobody listens any more, and every connection ends in the middle of
    /// whatever it is.
    pub fn kill(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        running.stopping.store(true, SeqCst);
        // accept() has no deadline; a connection of our own makes it look at the flag.
        let _ = TcpStream::connect(self.addr);
        running
            .thread
            .join()
            .expect("the accept loop does not panic");
        for stream in lock(&running.live).drain(..) {
            let _ = stream.shutdown(Shutdown::Both); // an error: the peer has closed it already
        }
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.kill();
    }
}

fn accept(
    listener: &TcpListener,
    stopping: &AtomicBool,
    live: &Mutex<Vec<TcpStream>>,
    n_requests: &Arc<AtomicUsize>,
) {
    while let Ok((stream, _)) = listener.accept() {
        if stopping.load(SeqCst) {
            return;
        }
        // A dial that was reset before it was accepted has nothing to serve.
        let Ok(handle) = stream.try_clone() else {
            continue;
        };
        let mut live = lock(live);
        // Who has ended is not kept: else a probe each moment would take a descriptor each.
        live.retain(|stream| stream.peer_addr().is_ok());
        live.push(handle);
        drop(live);
        let n_requests = Arc::clone(n_requests);
        thread::spawn(move || serve(&stream, &n_requests));
    }
}

/// Answers request after request until the connection ends.
fn serve(stream: &TcpStream, n_requests: &AtomicUsize) {
    let mut reader = BufReader::new(stream);
    while let Ok(head) = read_head(&mut reader) {
        n_requests.fetch_add(1, SeqCst);
        let mut content = vec![0; length(&head)];
        let answered = reader
            .read_exact(&mut content)
            .and_then(|()| (&*stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
        if answered.is_err() {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both); // whoever else has the socket: it is over
}

/// A request that was not answered with a whole 200.
#[derive(Clone, Debug)]
pub struct Failure {
    pub method: &'static str,
    pub sent: Instant,
    pub ended: Instant,
    pub what: String,
}

/// Clients that ask as fast as they are answered, every other one with content that must not be
/// sent twice.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

struct Shared {
    at: SocketAddr,
    stopping: AtomicBool,
    sums: Mutex<Sums>,
    grown: Condvar,
}

#[derive(Clone, Debug, Default)]
pub struct Sums {
    pub n_gets: usize,
    pub n_posts: usize,
    pub failures: Vec<Failure>,
}

impl Load {
    pub fn start(at: SocketAddr, n_clients: usize) -> Self {
        let shared = Arc::new(Shared {
            at,
            stopping: AtomicBool::new(false),
            sums: Mutex::default(),
            grown: Condvar::new(),
        });
        let run = |n| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.run(n))
        };
        let clients = (0..n_clients).map(run).collect();
        Self { shared, clients }
    }

    /// Waits until so many more requests are answered. False: none of them came in time.
    pub fn await_answers(&self, n: usize) -> bool {
        let sums = lock(&self.shared.sums);
        let enough = sums.n_gets + sums.n_posts + n;
        let few = |sums: &mut Sums| sums.n_gets + sums.n_posts < enough;
        let waited = self.shared.grown.wait_timeout_while(sums, DEADLINE, few);
        let (sums, timeout) = waited.expect("no client panics with the sums");
        drop(sums);
        !timeout.timed_out()
    }

    /// Lets every client finish its request.
    pub fn stop(self) -> Sums {
        self.shared.stopping.store(true, SeqCst);
        for client in self.clients {
            client.join().expect("clients count, and do not panic");
        }
        lock(&self.shared.sums).clone()
    }
}

impl Shared {
    fn run(&self, n: usize) {
        let mut reader = None;
        let mut n_asked = n;
        while !self.stopping.load(SeqCst) {
            n_asked += 1;
            let method = if n_asked.is_multiple_of(2) {
                "GET"
            } else {
                "POST"
            };
            let sent = Instant::now();
            let result = self.ask(&mut reader, method);
            let mut sums = lock(&self.sums);
            match method {
                "GET" => sums.n_gets += 1,
                _ => sums.n_posts += 1,
            }
            if let Err(what) = result {
                sums.failures.push(Failure {
                    method,
                    sent,
                    ended: Instant::now(),
                    what,
                });
            }
            self.grown.notify_all();
        }
    }

    /// One request, over the connection that there is or a new one.
    fn ask(&self, reader: &mut Option<BufReader<TcpStream>>, method: &str) -> Result<(), String> {
        let mut connected = match reader.take() {
            Some(connected) => connected,
            None => BufReader::new(connect(self.at).map_err(|e| format!("connect: {e}"))?),
        };
        let content = if method == "POST" { "content" } else { "" };
        let request = format!(
            "{method} /load HTTP/1.1\r\nHost: front.test\r\nContent-Length: {}\r\n\r\n{content}",
            content.len()
        );
        let sent = connected.get_mut().write_all(request.as_bytes());
        sent.map_err(|e| format!("send: {e}"))?;
        let head = read_head(&mut connected).map_err(|e| format!("head: {e}"))?;
        let mut content = vec![0; length(&head)];
        let read = connected.read_exact(&mut content);
        read.map_err(|e| format!("content: {e}"))?;
        let closes = head.to_ascii_lowercase().contains("\r\nconnection: close");
        *reader = Some(connected).filter(|_| !closes);
        if head.starts_with("HTTP/1.1 200 ") {
            return Ok(());
        }
        let content = String::from_utf8_lossy(&content);
        Err(format!(
            "{}: {content}",
            head.lines().next().unwrap_or_default()
        ))
    }
}

fn connect(at: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(at)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    Ok(stream)
}

/// A head with the empty line behind it.
fn read_head(reader: &mut impl BufRead) -> io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

/// What Content-Length says: ours are plain, and chunks nobody sends here.
fn length(head: &str) -> usize {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let field = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    field
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics with it")
}
