//! Everything slow at once: clients that drip heads and contents, or read a byte now and then,
//! while others ask small questions.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, connect, socket, sockopt};

use crate::balancer::Balancer;
use crate::peer::wait;

const DRIPPING_HEADS: usize = 500;
const DRIPPING_CONTENTS: usize = 200;
const SLOW_READERS: usize = 100;

/// What a slow reader asks for, and how much of it it takes in each of its turns; bytes.
const BIG: usize = 50 << 20;
const TURN: Duration = Duration::from_millis(500);
const READ_IN_TURN: usize = 5 * 1024;

/// How long small requests are counted: before the attack, as it begins, and while it lasts.
const COUNTED: Duration = Duration::from_secs(5);
/// Between two small requests of one client.
const PACE: Duration = Duration::from_millis(5);
/// A small request that takes longer has not been answered.
const PATIENCE: Duration = Duration::from_secs(20);

/// The goal: every small request is answered with 200, on old connections and on new ones. How
/// long they took is told beside the same on the quiet machine; it is not judged, as the machine
/// also runs the attackers.
#[test]
fn small_requests_are_answered_while_everything_slow_comes_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let backend = listener.local_addr().expect("it is bound");
    // Ends with the test's process: accept has no other end.
    thread::spawn(move || serve(&listener));
    let balancer = Balancer::start(&[backend], &[]);
    let quiet = ask_small(balancer.addr);
    let is_over = AtomicBool::new(false);
    let (begun, lasting) = thread::scope(|scope| {
        scope.spawn(|| drip_heads(balancer.addr, &is_over));
        scope.spawn(|| drip_contents(balancer.addr, &is_over));
        scope.spawn(|| read_slowly(balancer.addr, &is_over));
        let attacked = (ask_small(balancer.addr), ask_small(balancer.addr));
        is_over.store(true, Ordering::Relaxed);
        attacked
    });
    let all = [("quiet", quiet), ("begun", begun), ("lasting", lasting)];
    for (when, asked) in &all {
        println!("{when}: {}", asked.text());
    }
    println!(
        "peak memory: {} MiB",
        balancer.peak_memory_mib().unwrap_or(0)
    );
    for (when, asked) in &all {
        assert_eq!(asked.n_failed, 0, "{when}");
    }
}

/// The backend: a thread for each connection.
fn serve(listener: &TcpListener) {
    for stream in listener.incoming().flatten() {
        thread::spawn(move || answer_all(stream));
    }
}

fn answer_all(mut stream: TcpStream) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut input = Vec::new();
    loop {
        let head = read_head(&mut stream, &mut input)?;
        if head.starts_with("POST") {
            // Its content never ends.
            while stream.read(&mut [0; 1024]).ok()? > 0 {}
            return None;
        }
        let length = if head.starts_with("GET /big") { BIG } else { 2 };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        let piece = [b'x'; 16 * 1024];
        let mut left = length;
        while left > 0 {
            let n = left.min(piece.len());
            stream.write_all(&piece[..n]).ok()?;
            left -= n;
        }
    }
}

/// A head as text, its end included; what came behind it stays in `input`.
fn read_head(stream: &mut TcpStream, input: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(at) = input.windows(4).position(|four| four == b"\r\n\r\n") {
            let head: Vec<u8> = input.drain(..at + 4).collect();
            return String::from_utf8(head).ok();
        }
        let mut piece = [0; 4096];
        let n = stream.read(&mut piece).ok().filter(|n| *n > 0)?;
        input.extend_from_slice(&piece[..n]);
    }
}

/// How long small requests took, in their order.
struct Asked {
    times: Vec<Duration>,
    n_failed: usize,
}

impl Asked {
    fn text(&self) -> String {
        let mut times = self.times.clone();
        times.sort();
        let at = |percent: usize| times.get(times.len().saturating_sub(1) * percent / 100);
        let n = times.len();
        let ms = |time: Option<&Duration>| time.map_or(0.0, Duration::as_secs_f64) * 1e3;
        let (p50, p99, worst) = (ms(at(50)), ms(at(99)), ms(times.last()));
        let failed = self.n_failed;
        format!(
            "{n} answered, {failed} failed; p50 {p50:.3} ms, p99 {p99:.3} ms, worst {worst:.3} ms"
        )
    }
}

/// Four clients: two keep their connection, two connect for each request.
fn ask_small(addr: SocketAddr) -> Asked {
    let clients: Vec<_> = (0..4)
        .map(|i| thread::spawn(move || ask_for_a_while(addr, i % 2 == 0)))
        .collect();
    let mut all = Asked {
        times: Vec::new(),
        n_failed: 0,
    };
    for client in clients {
        let asked = client.join().expect("an asking client does not panic");
        all.times.extend(asked.times);
        all.n_failed += asked.n_failed;
    }
    all
}

fn ask_for_a_while(addr: SocketAddr, keeps: bool) -> Asked {
    let mut asked = Asked {
        times: Vec::new(),
        n_failed: 0,
    };
    let begun = Instant::now();
    let mut kept = None;
    while begun.elapsed() < COUNTED {
        let start = Instant::now();
        let mut stream = kept.take();
        if ask(addr, &mut stream).is_some() {
            asked.times.push(start.elapsed());
        } else {
            asked.n_failed += 1;
        }
        kept = stream.filter(|_| keeps);
        wait(PACE);
    }
    asked
}

/// One small request; the connection stays in `stream` if it was answered.
fn ask(addr: SocketAddr, stream: &mut Option<TcpStream>) -> Option<()> {
    let mut connection = match stream.take() {
        Some(connection) => connection,
        None => TcpStream::connect_timeout(&addr, PATIENCE).ok()?,
    };
    connection.set_read_timeout(Some(PATIENCE)).ok()?;
    connection
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .ok()?;
    let mut input = Vec::new();
    let head = read_head(&mut connection, &mut input)?;
    while input.len() < 2 {
        let mut piece = [0; 2];
        let n = connection.read(&mut piece).ok().filter(|n| *n > 0)?;
        input.extend_from_slice(&piece[..n]);
    }
    *stream = Some(connection);
    head.starts_with("HTTP/1.1 200").then_some(())
}

/// Opens `n` connections, begins on each, and drips a byte a second; opens those anew that ended.
fn drip(addr: SocketAddr, n: usize, begin: impl Fn(usize) -> String, is_over: &AtomicBool) {
    let open = |i| {
        let mut stream = TcpStream::connect_timeout(&addr, PATIENCE).ok()?;
        stream.write_all(begin(i).as_bytes()).ok()?;
        Some(stream)
    };
    let mut streams: Vec<Option<TcpStream>> = (0..n).map(open).collect();
    while !is_over.load(Ordering::Relaxed) {
        for (i, stream) in streams.iter_mut().enumerate() {
            let is_fine = stream.as_mut().is_some_and(|s| s.write_all(b"x").is_ok());
            if !is_fine {
                *stream = open(i);
            }
        }
        wait(Duration::from_secs(1));
    }
}

fn drip_heads(addr: SocketAddr, is_over: &AtomicBool) {
    let begin = |_| "GET / HTTP/1.1\r\nX: ".to_owned();
    drip(addr, DRIPPING_HEADS, begin, is_over);
}

/// Half of them so short that they are read ahead, half so long that they take a worker.
fn drip_contents(addr: SocketAddr, is_over: &AtomicBool) {
    let begin = |i| {
        let length = if i % 2 == 0 { 20_000 } else { 1_000_000 };
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")
    };
    drip(addr, DRIPPING_CONTENTS, begin, is_over);
}

fn read_slowly(addr: SocketAddr, is_over: &AtomicBool) {
    let open = |_| {
        // A small buffer: what the system reads ahead for it is not read slowly.
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).ok()?;
        sockopt::set_socket_recv_buffer_size(&socket, READ_IN_TURN).ok()?;
        connect(&socket, &addr).ok()?;
        let mut stream = TcpStream::from(socket);
        stream
            .write_all(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
            .ok()?;
        stream.set_nonblocking(true).ok()?;
        Some(stream)
    };
    let mut streams: Vec<Option<TcpStream>> = (0..SLOW_READERS).map(open).collect();
    let mut piece = [0; READ_IN_TURN];
    while !is_over.load(Ordering::Relaxed) {
        for stream in streams.iter_mut().flatten() {
            let _ = stream.read(&mut piece); // nothing there yet: the next turn
        }
        wait(TURN);
    }
}
