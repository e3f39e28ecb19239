//! A worker among clients that panic, or leave content unread.

use super::*;
use crate::intake::ContentFraming;
use crate::pool::BackendUrl;
use crossbeam_channel::unbounded;
use std::io;

/// A client that panics where it is told to, and reports what it was answered, and its ending.
struct Panicking {
    on_read: bool,
    on_write: bool,
    seen: Sender<String>,
}

impl Client for Panicking {
    fn read_content(&mut self, _: &mut [u8]) -> io::Result<usize> {
        assert!(!self.on_read, "on purpose, while reading");
        Ok(1)
    }
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        assert!(!self.on_write, "on purpose, while writing");
        let line = String::from_utf8_lossy(bytes)
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();
        self.seen.send(line).expect("the test waits for it");
        Ok(())
    }
    fn finish(self: Box<Self>, ending: Ending) -> Option<Job> {
        self.seen
            .send(format!("{ending:?}"))
            .expect("the test waits for it");
        None
    }
}

fn job(on_read: bool, on_write: bool, seen: &Sender<String>) -> Job {
    let request = ClientRequest {
        framing: ContentFraming::Sized(1),
        ..ClientRequest::example("PUT")
    };
    let client = Panicking {
        on_read,
        on_write,
        seen: seen.clone(),
    };
    Job {
        request: Box::new(request),
        refusal: None,
        client: Box::new(client),
        queued_at: Instant::now(),
    }
}

/// The trick: clients that panic inside the exchange, with a worker that serves all three.
#[test]
fn a_panic_costs_its_request_and_never_the_worker() {
    let refused = BackendUrl::parse("http://127.0.0.1:1").expect("a good URL");
    let pool = Pool::of(vec![refused], Instant::now());
    let shared = Shared::example(pool);
    let (jobs, received) = unbounded();
    let (seen, answers) = unbounded();
    for (on_read, on_write) in [(true, false), (true, true), (false, false)] {
        jobs.send(job(on_read, on_write, &seen))
            .expect("the receiver is there");
    }
    drop((jobs, seen));
    let worker = std::thread::spawn(move || {
        shared.serve_all(received);
        let backend = Arc::clone(&shared.pools.all()[0].backends()[0]);
        let n_left = shared.crew.take_leaving().len();
        let n_held = backend.n_held() + backend.n_in_flight();
        (shared.counters.n_in_flight(), n_held, n_left)
    });
    let answers: Vec<String> = answers.iter().collect();
    let wanted = [
        "HTTP/1.1 500 Internal Server Error",
        "Close",
        "Cut", // even telling of it fails
        "HTTP/1.1 503 Service Unavailable",
        "Keep",
    ];
    assert_eq!(answers, wanted);
    assert_eq!(
        worker.join().expect("the worker lives on"),
        (0, 0, 1),
        "none is left in flight or held, and the worker has left"
    );
}

/// A client with long content that may or may not be read behind an answer.
struct Unread(bool, Sender<Ending>);

impl Client for Unread {
    fn read_content(&mut self, _: &mut [u8]) -> io::Result<usize> {
        panic!("nobody wants it");
    }
    fn write(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
    fn can_skip_content(&self) -> bool {
        self.0
    }
    fn finish(self: Box<Self>, ending: Ending) -> Option<Job> {
        self.1.send(ending).expect("the test waits for it");
        None
    }
}

#[test]
fn a_connection_is_kept_if_what_is_unread_can_be_skipped() {
    let refused = BackendUrl::parse("http://127.0.0.1:1").expect("a good URL");
    let shared = Shared::example(Pool::of(vec![refused], Instant::now()));
    let (jobs, received) = unbounded();
    let (seen, endings) = unbounded();
    for (can_skip, expects_continue) in [(true, false), (false, false), (true, true)] {
        let request = ClientRequest {
            framing: ContentFraming::Sized(1 << 20),
            expects_continue,
            ..ClientRequest::example("PUT")
        };
        let job = Job {
            request: Box::new(request),
            refusal: None,
            client: Box::new(Unread(can_skip, seen.clone())),
            queued_at: Instant::now(),
        };
        jobs.send(job).expect("the receiver is there");
    }
    drop((jobs, seen));
    shared.serve_all(received);
    let endings: Vec<Ending> = endings.iter().collect();
    assert_eq!(endings, [Ending::Keep, Ending::Close, Ending::Close]);
}
