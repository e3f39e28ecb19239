//! The access log: a line for each request that is over, written by a thread of its own.
//!
//! Who served a request makes its line, in memory of its own, and puts it on the channel, which
//! never blocks. The thread `access-log` takes what has come together and writes it at once.

mod clock;
mod field;
mod file;
mod format;
mod value;
mod writer;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded};

pub use self::file::look;
pub use self::format::Format;
pub use self::writer::{Orders, Writer};

use self::clock::Stamp;
use self::field::Entry;
use self::format::Part;
use self::value::{write_json, write_text};
use crate::intake::{ClientRequest, Refusal};
use crate::watch::{Fate, Story};

/// Lines that wait to be written. At 100,000 requests/s they come together while the writer waits
/// for more, three times over; above that, or while the disk or a pipe stands, they are dropped.
const MAX_LINES: usize = 8_192;
/// The same in bytes: a client that sends long targets shall not fill the memory.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Of a line's memory, kept for the next one.
const KEPT: usize = 4 * 1024;
/// Of a request that could not be read, bytes that are logged.
const MAX_RAW: usize = 1024;

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogAt {
    /// To the standard output.
    Stdout,
    /// To the file of this path.
    Path(PathBuf),
}

impl fmt::Display for LogAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogAt::Stdout => f.write_str("-"),
            LogAt::Path(path) => path.display().fmt(f),
        }
    }
}

/// What everyone who ends a request shares.
#[derive(Debug)]
pub struct AccessLog {
    format: Format,
    /// Capacity `MAX_LINES`, because what comes together while the writer waits must fit; full
    /// means that a line is dropped and counted; disconnected means that the writer has ended.
    lines: Sender<Box<[u8]>>,
    /// Bytes of the lines in the channel. Relaxed, as all of these: publishes nothing else; a stale
    /// read bounds them a little more or less.
    n_queued: AtomicUsize,
    /// Lines that were written.
    n_written: AtomicU64,
    /// Lines for which there was no room.
    n_overflowed: AtomicU64,
    /// Lines that could not be written.
    n_failed: AtomicU64,
}

/// What one thread writes its lines with, one after the other.
#[derive(Debug, Default)]
pub struct Pen {
    line: Vec<u8>,
    stamp: Stamp,
}

impl AccessLog {
    /// Of this format; the other end of its channel is the writer's.
    fn new(format: Format) -> (AccessLog, Receiver<Box<[u8]>>) {
        let (lines, queued) = bounded(MAX_LINES);
        let log = AccessLog {
            format,
            lines,
            n_queued: AtomicUsize::new(0),
            n_written: AtomicU64::new(0),
            n_overflowed: AtomicU64::new(0),
            n_failed: AtomicU64::new(0),
        };
        (log, queued)
    }

    /// A request is over. Never blocks.
    pub fn note(&self, pen: &mut Pen, story: &Story, request: Option<&ClientRequest>) {
        let Pen { line, stamp } = pen;
        stamp.set(SystemTime::now());
        let entry = Entry {
            story,
            request,
            stamp,
        };
        line.clear();
        self.format.write(line, &entry);
        line.push(b'\n');
        self.push(line);
        line.shrink_to(KEPT);
    }

    /// The listener has refused what it could not take for a request; `raw` is what came of it, and
    /// so many bytes were answered. Never blocks.
    pub fn note_refused(
        &self,
        client: Option<IpAddr>,
        raw: &[u8],
        refusal: Refusal,
        n_written: (u64, u64),
    ) {
        let mut story = Story::new(0, Instant::now());
        story.client = client;
        // An empty line before the request is none of its own (RFC 9112 §2.2).
        let mut lines = raw.split(|&byte| byte == b'\r' || byte == b'\n');
        let line = lines.find(|line| !line.is_empty()).unwrap_or_default();
        story
            .line
            .extend_from_slice(&line[..line.len().min(MAX_RAW)]);
        story.fate = Fate::of_refusal(refusal);
        // Nothing was answered if nothing was written.
        story.status = if n_written.1 > 0 { refusal.status } else { 0 };
        refusal.reason.clone_into(&mut story.cause);
        (story.head_out, story.bytes_out) = n_written;
        self.note(&mut Pen::default(), &story, None);
    }

    fn push(&self, line: &[u8]) {
        let n = line.len();
        // Counted before it is there, so that the writer never takes off what was not yet added.
        let n_queued = self.n_queued.fetch_add(n, Ordering::Relaxed) + n;
        if n_queued > MAX_BYTES || self.lines.try_send(line.into()).is_err() {
            self.n_queued.fetch_sub(n, Ordering::Relaxed);
            self.n_overflowed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines that were written.
    pub fn n_written(&self) -> u64 {
        self.n_written.load(Ordering::Relaxed)
    }

    /// Lines for which there was no room, because they came faster than they could be written.
    pub fn n_overflowed(&self) -> u64 {
        self.n_overflowed.load(Ordering::Relaxed)
    }

    /// Lines that could not be written.
    pub fn n_failed(&self) -> u64 {
        self.n_failed.load(Ordering::Relaxed)
    }

    /// Lines that wait to be written.
    pub fn n_waiting(&self) -> u64 {
        self.lines.len() as u64
    }
}

impl Format {
    /// Writes a line, without its end.
    fn write(&self, out: &mut Vec<u8>, entry: &Entry) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Field(field) if self.is_json => write_json(out, &entry.value(*field)),
                Part::Field(field) => write_text(out, &entry.value(*field)),
            }
        }
    }
}

/// A log and its writer: opens what is to be written, and fails where that can't be.
pub fn open(
    at: &LogAt,
    format: Format,
    orders: Orders,
) -> std::io::Result<(Arc<AccessLog>, Writer)> {
    let (log, lines) = AccessLog::new(format);
    let log = Arc::new(log);
    let writer = Writer::open(at, Arc::clone(&log), lines, orders)?;
    Ok((log, writer))
}

#[cfg(test)]
mod tests {
    use super::field::Field;
    use super::*;

    fn story() -> Story {
        let mut story = Story::new(0, Instant::now());
        (story.status, story.bytes_out, story.head_out) = (200, 150, 100);
        story
    }

    fn line(format: &str, story: &Story, request: Option<&ClientRequest>) -> String {
        let format = Format::parse(format).expect("it is one");
        let (log, lines) = AccessLog::new(format);
        log.note(&mut Pen::default(), story, request);
        let line = lines.try_recv().expect("it is there").into_vec();
        String::from_utf8(line).expect("lines are text")
    }

    /// With hostile fields.
    fn request() -> ClientRequest {
        let mut fields = crate::intake::fields::Fields::default();
        fields.push(b"Referer", b"http://a/\"\\");
        fields.push(b"USER-AGENT", b"me \xe9\t");
        fields.push(b"traceparent", b"00-ab-cd-01");
        ClientRequest {
            target: b"/a?b=\xc3\xa4\"".to_vec(),
            host: Some(b"a.test".to_vec()),
            address: "192.0.2.1".parse().ok(),
            fields,
            ..ClientRequest::example("GET")
        }
    }

    #[test]
    fn common_and_combined_are_those_of_apache_and_nginx() {
        let common = line("common", &story(), Some(&request()));
        let (client, rest) = common.split_at("192.0.2.1 - - [".len());
        assert_eq!(client, "192.0.2.1 - - [");
        let (time, rest) = rest.split_at("28/Nov/2026:22:38:08 +0000".len());
        assert!(time.ends_with(" +0000"), "{time}");
        let wanted = "] \"GET /a?b=\\xC3\\xA4\\x22 HTTP/1.1\" 200 50";
        assert_eq!(rest, format!("{wanted}\n"));
        let combined = line("combined", &story(), Some(&request()));
        let fields = "\"http://a/\\x22\\x5C\" \"me \\xE9\\x09\"";
        assert!(
            combined.ends_with(&format!("{wanted} {fields}\n")),
            "{combined}"
        );
    }

    #[test]
    fn json_has_every_field_and_null_for_what_there_is_none_of() {
        let text = line("json", &story(), Some(&request()));
        let told: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        for field in Field::ALL.iter().filter(|field| **field != Field::ClfTime) {
            assert!(told.get(field.name()).is_some(), "{}", field.name());
        }
        assert_eq!(told["client"], "192.0.2.1");
        assert_eq!(told["host"], "a.test");
        assert_eq!(told["traceparent"], "00-ab-cd-01");
        assert_eq!(told["status"], 200);
        assert_eq!(told["pool"], serde_json::Value::Null);
        assert_eq!(told["fate"], "OK");
        assert_eq!(told["user_agent"], "me \u{e9}\t");
    }

    #[test]
    fn what_could_not_be_read_is_its_first_line() {
        let (log, lines) = AccessLog::new(Format::parse("common").expect("it is one"));
        let refusal = Refusal::new(400, "no");
        let many = [b'x'; 2 * MAX_RAW];
        for (raw, wanted) in [
            (&b"GET / HTTP/9\r\nHost: a"[..], "\"GET / HTTP/9\""),
            (b"\x16\x03\x01\n", "\"\\x16\\x03\\x01\""),
            (b"\r\nGET /x HTTP/9\r\n", "\"GET /x HTTP/9\""),
            (b"", "\"-\""),
            (&many, &format!("\"{}\"", "x".repeat(MAX_RAW))),
        ] {
            log.note_refused(None, raw, refusal, (90, 100));
            let line = lines.try_recv().expect("it is there").into_vec();
            let line = String::from_utf8(line).expect("it is text");
            assert!(line.starts_with("- - - ["), "{line}");
            assert!(line.ends_with(&format!("] {wanted} 400 10\n")), "{line}");
        }
    }

    #[test]
    fn one_more_than_fits_is_dropped_and_counted_and_so_is_what_is_too_long() {
        let (log, lines) = AccessLog::new(Format::parse("{method}").expect("it is one"));
        let (story, request) = (story(), ClientRequest::example("GET"));
        let mut pen = Pen::default();
        for _ in 0..MAX_LINES + 3 {
            log.note(&mut pen, &story, Some(&request));
        }
        assert_eq!((log.n_waiting(), log.n_overflowed()), (MAX_LINES as u64, 3));
        assert_eq!(
            log.n_queued.load(Ordering::Relaxed),
            MAX_LINES * "GET\n".len()
        );
        while lines.try_recv().is_ok() {}
        log.n_queued.store(0, Ordering::Relaxed);
        let large = ClientRequest::example(&"x".repeat(MAX_BYTES / 4));
        for _ in 0..4 {
            log.note(&mut pen, &story, Some(&large));
        }
        assert_eq!((log.n_waiting(), log.n_overflowed()), (3, 4));
    }

    #[test]
    fn many_threads_write_and_every_line_arrives_or_is_counted() {
        let (log, lines) = AccessLog::new(Format::parse("{method}").expect("it is one"));
        let n_read = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let (story, request) = (story(), ClientRequest::example("GET"));
                        let mut pen = Pen::default();
                        for _ in 0..10_000 {
                            log.note(&mut pen, &story, Some(&request));
                        }
                    })
                })
                .collect();
            let mut n_read = 0;
            while threads.iter().any(|thread| !thread.is_finished()) || !lines.is_empty() {
                while let Ok(line) = lines.try_recv() {
                    log.n_queued.fetch_sub(line.len(), Ordering::Relaxed);
                    n_read += 1;
                }
            }
            n_read
        });
        assert_eq!(n_read + log.n_overflowed(), 40_000);
        assert_eq!(log.n_queued.load(Ordering::Relaxed), 0);
    }
}
