//! The client of the benches where wrk is the wrong one: it asks at a fixed rate, or one request
//! after the other, or a program that has just been started.
//!
//! - `ask steady ADDRESS CONNECTIONS RATE SECONDS`: request k is due at k/RATE seconds, on
//!   connection k mod CONNECTIONS, whether or not the earlier answers are there. Latency counts
//!   from when a request was due, so that a stall is seen by all that were due in it.
//! - `ask turn ADDRESS CONNECTIONS REQUESTS`: one request after the other, over each connection in
//!   its turn.
//! - `ask first ADDRESS TIMES PROGRAM ARGUMENT...`: starts the program TIMES times, and asks it
//!   until it answers. The time begins before fork and exec.
//! - `ask once ADDRESS`: succeeds if it is answered.
//!
//! One thread does it all. It prints `measured REQUESTS MICROSECONDS P50 P99 FAILED`, latencies in
//! microseconds; for `first` these are the times to the first answer. `late` is how much of the
//! p99 is this program's own: from when a request was due to when it was sent.

use std::collections::VecDeque;
use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

mod message;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n";
const USAGE: &str = "usage: ask steady ADDRESS CONNECTIONS RATE SECONDS
       ask turn ADDRESS CONNECTIONS REQUESTS
       ask first ADDRESS TIMES PROGRAM ARGUMENT...
       ask once ADDRESS";
/// No answer takes longer, and after the last request so long is waited for what is missing.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a program that does not listen yet is left alone.
const PAUSE: Duration = Duration::from_micros(100);

fn main() -> io::Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["steady", address, n, rate, seconds] => {
            let seconds = number(seconds)?;
            steady(parse(address)?, number(n)?, number(rate)?, seconds)
        }
        ["turn", address, n, n_requests] => turn(parse(address)?, number(n)?, number(n_requests)?),
        ["first", address, times, program @ ..] if !program.is_empty() => {
            first(parse(address)?, number(times)?, program)
        }
        ["once", address] => Line::open(parse(address)?)?.ask().map(|_| ()),
        _ => Err(io::Error::other(USAGE)),
    }
}

fn parse(word: &str) -> io::Result<SocketAddr> {
    word.parse().map_err(io::Error::other)
}

fn number(word: &str) -> io::Result<u32> {
    let number = word.parse().map_err(io::Error::other)?;
    if number == 0 {
        return Err(io::Error::other(USAGE));
    }
    Ok(number)
}

/// What came out of a run.
#[derive(Default)]
struct Tally {
    latencies: Vec<Duration>,
    delays: Vec<Duration>,
    n_failed: u32,
}

impl Tally {
    fn print(mut self, took: Duration) {
        self.latencies.sort_unstable();
        self.delays.sort_unstable();
        println!(
            "measured {} {} {} {} {}",
            self.latencies.len(),
            took.as_micros(),
            percentile(&self.latencies, 50).as_micros(),
            percentile(&self.latencies, 99).as_micros(),
            self.n_failed
        );
        println!("late {}", percentile(&self.delays, 99).as_micros());
    }
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get(last * percent / 100)
        .copied()
        .unwrap_or_default()
}

/// A connection, and what is due on it.
struct Line {
    address: SocketAddr,
    stream: TcpStream,
    received: Vec<u8>,
    /// When the request under way was due.
    asked: Option<Instant>,
    /// When those behind it were.
    waiting: VecDeque<Instant>,
}

impl Line {
    fn open(address: SocketAddr) -> io::Result<Line> {
        Ok(Line {
            address,
            stream: connect(address)?,
            received: Vec::new(),
            asked: None,
            waiting: VecDeque::new(),
        })
    }

    /// One request and its answer; gives the latency.
    fn ask(&mut self) -> io::Result<Duration> {
        let begun = Instant::now();
        self.stream.write_all(REQUEST)?;
        while !self.receive()? {}
        Ok(begun.elapsed())
    }

    /// Sends what is due, if nothing is under way; gives when that was due.
    fn send_next(&mut self) -> io::Result<Option<Instant>> {
        if self.asked.is_some() {
            return Ok(None);
        }
        self.asked = self.waiting.pop_front();
        if self.asked.is_some() {
            self.stream.write_all(REQUEST)?;
        }
        Ok(self.asked)
    }

    /// One read; true if the answer is whole with it.
    fn receive(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 16 * 1024];
        let n = self.stream.read(&mut buffer)?;
        if n == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.received.extend(&buffer[..n]);
        match message::length_of(&self.received) {
            Some(length) if length == self.received.len() => {}
            Some(length) if length < self.received.len() => {
                return Err(io::Error::other("more than one answer to one request"));
            }
            _ => return Ok(false),
        }
        if !self.received.starts_with(b"HTTP/1.1 200") {
            return Err(io::Error::other("the answer is not 200"));
        }
        self.received.clear();
        Ok(true)
    }

    /// After a failure: a new connection, on which only what had not been sent is due.
    fn reopen(&mut self) -> io::Result<()> {
        self.stream = connect(self.address)?;
        self.received.clear();
        self.asked = None;
        Ok(())
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn steady(address: SocketAddr, n_lines: u32, rate: u32, seconds: u32) -> io::Result<()> {
    let opened: io::Result<Vec<Line>> = (0..n_lines).map(|_| Line::open(address)).collect();
    let mut lines = opened?;
    let mut tally = Tally::default();
    let n_requests = rate * seconds;
    let begun = Instant::now();
    let due = |k: u32| begun + Duration::from_secs(1) * k / rate;
    let end = due(n_requests) + PATIENCE;
    let mut next = 0;
    loop {
        let now = Instant::now();
        while next < n_requests && due(next) <= now {
            let line = &mut lines[(next % n_lines) as usize];
            line.waiting.push_back(due(next));
            send(line, &mut tally)?;
            next += 1;
        }
        let is_idle = lines.iter().all(|line| line.asked.is_none());
        if next == n_requests && (is_idle || now > end) {
            break;
        }
        let until = if next < n_requests { due(next) } else { end };
        receive_any(&mut lines, until, &mut tally)?;
    }
    let left = lines.iter().map(|line| line.waiting.len());
    let asked = lines.iter().filter(|line| line.asked.is_some()).count();
    tally.n_failed += u32::try_from(left.sum::<usize>() + asked).unwrap_or(u32::MAX);
    tally.print(begun.elapsed());
    Ok(())
}

/// Waits for answers until then, and sends what was waiting for them.
fn receive_any(lines: &mut [Line], until: Instant, tally: &mut Tally) -> io::Result<()> {
    let mut fds = Vec::with_capacity(lines.len());
    let asked: Vec<usize> = (0..lines.len())
        .filter(|&i| lines[i].asked.is_some())
        .collect();
    for &i in &asked {
        fds.push(PollFd::new(&lines[i].stream, PollFlags::IN));
    }
    wait(&mut fds, until.saturating_duration_since(Instant::now()))?;
    let events: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
    for (i, _) in asked
        .into_iter()
        .zip(events)
        .filter(|(_, is_ready)| *is_ready)
    {
        let line = &mut lines[i];
        match line.receive() {
            Ok(true) => {
                let due = line
                    .asked
                    .take()
                    .expect("only lines with a request are read");
                tally.latencies.push(due.elapsed());
                send(line, tally)?;
            }
            Ok(false) => {}
            Err(_) => fail(line, tally)?,
        }
    }
    Ok(())
}

fn send(line: &mut Line, tally: &mut Tally) -> io::Result<()> {
    match line.send_next() {
        Ok(None) => Ok(()),
        Ok(Some(due)) => {
            tally.delays.push(due.elapsed());
            Ok(())
        }
        Err(_) => fail(line, tally),
    }
}

fn fail(line: &mut Line, tally: &mut Tally) -> io::Result<()> {
    tally.n_failed += 1;
    line.reopen()
}

/// `poll`, to the nanosecond. Without descriptors it is the way to let time pass.
fn wait(fds: &mut [PollFd<'_>], time: Duration) -> io::Result<()> {
    let time = Timespec::try_from(time).map_err(io::Error::other)?;
    match poll(fds, Some(&time)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn turn(address: SocketAddr, n_lines: u32, n_requests: u32) -> io::Result<()> {
    let opened: io::Result<Vec<Line>> = (0..n_lines).map(|_| Line::open(address)).collect();
    let mut lines = opened?;
    let mut tally = Tally::default();
    let begun = Instant::now();
    for k in 0..n_requests {
        let line = &mut lines[(k % n_lines) as usize];
        match line.ask() {
            Ok(latency) => tally.latencies.push(latency),
            Err(_) => fail(line, &mut tally)?,
        }
    }
    tally.print(begun.elapsed());
    Ok(())
}

fn first(address: SocketAddr, times: u32, program: &[&str]) -> io::Result<()> {
    let mut tally = Tally::default();
    let all_begun = Instant::now();
    for _ in 0..times {
        let begun = Instant::now();
        let mut child = Command::new(program[0])
            .args(&program[1..])
            .stderr(Stdio::null())
            .spawn()?;
        let mut answered = Line::open(address).and_then(|mut line| line.ask());
        while answered.is_err() && begun.elapsed() < PATIENCE {
            wait(&mut [], PAUSE)?;
            answered = Line::open(address).and_then(|mut line| line.ask());
        }
        match answered {
            Ok(_) => tally.latencies.push(begun.elapsed()),
            Err(_) => tally.n_failed += 1,
        }
        child.kill()?;
        child.wait()?;
    }
    tally.print(all_begun.elapsed());
    Ok(())
}
