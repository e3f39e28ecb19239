//! A scripted backend: a thread per connection runs the script, and every request it reads is
//! kept.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};

use super::DEADLINE;
use super::message::{Framing, Head, Seen};
use super::ports::Port;
use super::tape::{Gate, Tape};
use super::wire::{Cut, Wire};

/// Runs once for each connection; the first error ends it, and its end closes the connection.
pub type Script = dyn Fn(Conn) -> Result<(), Cut> + Send + Sync;

pub struct Backend {
    pub addr: SocketAddr,
    /// Every request in the order in which it was read.
    pub seen: Tape<Seen>,
    /// What scripts say about themselves.
    pub notes: Tape<String>,
    /// Keeps the port ours while nothing listens on it, so that dials are refused.
    port: Port,
    script: Arc<Script>,
    running: Option<Running>,
}

struct Running {
    acceptor: JoinHandle<()>,
    stopping: Arc<AtomicBool>,
    live: Arc<Mutex<Vec<Weak<TcpStream>>>>,
}

impl Backend {
    pub fn start(script: impl Fn(Conn) -> Result<(), Cut> + Send + Sync + 'static) -> Self {
        let mut backend = Self::refusing(script);
        backend.restart();
        backend
    }

    /// A backend that isn't there yet: its port refuses until [`Backend::restart`].
    pub fn refusing(script: impl Fn(Conn) -> Result<(), Cut> + Send + Sync + 'static) -> Self {
        let port = Port::take();
        let (seen, notes) = (Tape::new(), Tape::new());
        Self {
            addr: port.addr,
            seen,
            notes,
            port,
            script: Arc::new(script),
            running: None,
        }
    }

    /// Answers every request with 200 and this content.
    pub fn answering(content: &'static str) -> Self {
        Self::start(move |conn| conn.serve(|_| ok(content)))
    }

    /// Answers every request with 200 and this content, but those to `/slow` only once the gate is
    /// open.
    pub fn holding(content: &'static str, gate: &Gate) -> Self {
        let gate = gate.clone();
        Self::start(move |mut conn| {
            loop {
                if conn.request()?.head.word(1) == "/slow" {
                    gate.pass()?;
                }
                conn.send(ok(content))?;
            }
        })
    }

    /// The same, and puts its content on a tape that several share when a request has come: so it
    /// is known who has how many, whichever it is.
    pub fn holding_on(content: &'static str, gate: &Gate, arrivals: &Tape<&'static str>) -> Self {
        let (gate, arrivals) = (gate.clone(), arrivals.clone());
        Self::start(move |mut conn| {
            loop {
                let is_slow = conn.request()?.head.word(1) == "/slow";
                arrivals.push(content);
                if is_slow {
                    gate.pass()?;
                }
                conn.send(ok(content))?;
            }
        })
    }

    /// Answers every request with the bytes that `reply` makes of it.
    pub fn replying(reply: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start(move |conn| conn.serve(&reply))
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// How the log tells that this backend is `up` or `down` now.
    pub fn is(&self, state: &str) -> String {
        format!("backend {} is {state}: ", self.addr)
    }

    #[track_caller]
    pub fn await_requests(&self, n: usize) -> Vec<Seen> {
        self.seen.wait_for(n, "requests at the backend")
    }

    #[track_caller]
    pub fn await_note(&self, wanted: &str) {
        let find = |notes: &[String]| notes.iter().any(|note| note == wanted).then_some(());
        self.notes.wait(wanted, find);
    }

    /// Closes the listening socket and all connections. From here on dials are refused.
    pub fn stop(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        running.stopping.store(true, SeqCst);
        // accept() has no deadline; a connection of our own makes it look at the flag.
        let _ = TcpStream::connect(self.addr);
        running
            .acceptor
            .join()
            .expect("the accept loop does not panic");
        for stream in running
            .live
            .lock()
            .expect("nobody panics with the list")
            .drain(..)
        {
            if let Some(stream) = stream.upgrade() {
                // An error means that the peer has closed it already.
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }

    pub fn restart(&mut self) {
        assert!(self.running.is_none(), "restart() follows stop()");
        let listener = self.port.listen();
        let stopping = Arc::new(AtomicBool::new(false));
        let live = Arc::new(Mutex::new(Vec::new()));
        let shared = Shared {
            script: Arc::clone(&self.script),
            seen: self.seen.clone(),
            notes: self.notes.clone(),
            stopping: Arc::clone(&stopping),
            live: Arc::clone(&live),
        };
        let acceptor = thread::spawn(move || shared.accept(&listener));
        self.running = Some(Running {
            acceptor,
            stopping,
            live,
        });
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Shared {
    script: Arc<Script>,
    seen: Tape<Seen>,
    notes: Tape<String>,
    stopping: Arc<AtomicBool>,
    live: Arc<Mutex<Vec<Weak<TcpStream>>>>,
}

impl Shared {
    fn accept(&self, listener: &TcpListener) {
        for number in 0.. {
            let accepted = listener.accept();
            if self.stopping.load(SeqCst) {
                return;
            }
            let Ok((stream, _)) = accepted else { continue };
            // A dial that was reset before it was accepted has nothing to serve.
            let _ = self.serve(stream, number);
        }
    }

    fn serve(&self, stream: TcpStream, number: usize) -> io::Result<()> {
        let wire = Wire::new(stream)?;
        self.live
            .lock()
            .expect("nobody panics with the list")
            .push(wire.handle());
        let (seen, notes) = (self.seen.clone(), self.notes.clone());
        let conn = Conn {
            wire,
            seen,
            notes,
            number,
        };
        let script = Arc::clone(&self.script);
        thread::spawn(move || script(conn));
        Ok(())
    }
}

/// One connection to a scripted backend.
pub struct Conn {
    wire: Wire,
    seen: Tape<Seen>,
    notes: Tape<String>,
    pub number: usize,
}

impl Conn {
    /// Reads a whole request and keeps it.
    pub fn request(&mut self) -> Result<Seen, Cut> {
        let head = self.next_head()?;
        let mut content = Vec::new();
        let framing = head.request_framing()?;
        self.wire
            .content(framing, &mut |piece| content.extend_from_slice(piece))?;
        let seen = Seen {
            connection: self.number,
            head,
            content,
        };
        self.seen.push(seen.clone());
        Ok(seen)
    }

    /// Reads and keeps only the head; the content is the script's to read.
    pub fn head(&mut self) -> Result<Head, Cut> {
        let head = self.next_head()?;
        let (connection, content) = (self.number, Vec::new());
        self.seen.push(Seen {
            connection,
            head: head.clone(),
            content,
        });
        Ok(head)
    }

    /// An idle connection waits for its next request as long as it is kept: `stop()` ends it.
    fn next_head(&mut self) -> Result<Head, Cut> {
        self.wire.set_patience(None)?;
        let head = self.wire.head()?;
        self.wire.set_patience(Some(DEADLINE))?;
        Ok(head)
    }

    pub fn content(&mut self, framing: Framing, take: &mut dyn FnMut(&[u8])) -> Result<(), Cut> {
        self.wire.content(framing, take)
    }

    /// The next chunk of a content, and its length: 0 for the last one.
    pub fn chunk(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<usize, Cut> {
        self.wire.chunk(take)
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Cut> {
        self.wire.send(bytes.as_ref())
    }

    /// Tells the test something, by [`Backend::await_note`].
    pub fn note(&self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// The notes themselves, for scripts that say something after the connection is gone or while
    /// it is borrowed.
    pub fn note_later(&self) -> Tape<String> {
        self.notes.clone()
    }

    /// Says that nothing more will be sent, and keeps reading.
    pub fn finish_sending(&self) -> Result<(), Cut> {
        self.wire.finish_sending()
    }

    /// Waits until the peer ends the connection and says how; what it still sends is dropped.
    pub fn end(&mut self) -> Cut {
        self.wire.drain(&mut |_| ())
    }

    /// Answers request after request until the peer closes.
    pub fn serve(mut self, reply: impl Fn(&Seen) -> Vec<u8>) -> Result<(), Cut> {
        loop {
            let seen = self.request()?;
            let reply = reply(&seen);
            let head_only = seen.head.word(0) == "HEAD";
            let head_end = reply.windows(4).position(|four| four == b"\r\n\r\n");
            let end = head_end
                .filter(|_| head_only)
                .map_or(reply.len(), |at| at + 4);
            self.send(&reply[..end])?;
        }
    }

    /// Tears the connection down instead of closing it.
    pub fn reset(self) {
        self.wire.reset();
    }
}

/// A plain 200 with this content.
pub fn ok(content: &str) -> Vec<u8> {
    let length = content.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{content}").into_bytes()
}
