//! The program's own log: one line a record on standard error, with time, level and thread.
//!
//! As text it is simplelog's. As JSON it is written here, because simplelog knows no JSON and has
//! no place for a format; both go through the one [`Log`] below, which keeps to one line.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{LineWriter, Write, stderr};
use std::thread;

use log::{LevelFilter, Log, Metadata, Record};
use serde::Serialize;
use simplelog::{ConfigBuilder, LevelPadding, ThreadLogMode, WriteLogger};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// RFC 3339 in UTC, with milliseconds: always of the same width.
const TIME_FORMAT: &[BorrowedFormatItem<'static>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Only records of this crate are kept: what ureq and `tiny_http` say at debug level would name
/// fields of the client's request, and what matters of it is said again by us with its cause.
const OURS: &str = "threadbare";

/// How a record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people: `2026-11-22T18:20:01.123Z [INFO] (main) listening on …`.
    Text,
    /// For collectors: an object with `time`, `level`, `thread` and `message`.
    Json,
}

impl LogFormat {
    /// As the option has it.
    pub fn word(self) -> &'static str {
        match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        }
    }
}

/// Starts the log. Call once, before the first thread. A reload sets another level with
/// [`log::set_max_level`], so the loggers themselves have none.
pub fn start(format: LogFormat, level: LevelFilter) {
    let logger = match format {
        LogFormat::Text => OneLine::Text(text_logger()),
        LogFormat::Json => OneLine::Json,
    };
    log::set_boxed_logger(Box::new(logger)).expect("the log is started once, by main");
    log::set_max_level(level);
}

fn text_logger() -> Box<dyn Log> {
    let config = ConfigBuilder::new()
        .set_time_format_custom(TIME_FORMAT)
        .set_time_level(LevelFilter::Error)
        .set_thread_level(LevelFilter::Error)
        .set_thread_mode(ThreadLogMode::Names)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .set_level_padding(LevelPadding::Off)
        .build();
    // simplelog writes a record in pieces; LineWriter makes it one write, so that lines of
    // several processes on one terminal do not mix.
    WriteLogger::new(LevelFilter::Trace, config, LineWriter::new(stderr()))
}

/// Writes each record as one line, whatever its message holds.
enum OneLine {
    Text(Box<dyn Log>),
    Json,
}

impl Log for OneLine {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with(OURS)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let message = message_of(record);
        match self {
            OneLine::Text(logger) => {
                let message = escaped(&message, "\\u{", "}");
                logger.log(
                    &Record::builder()
                        .metadata(record.metadata().clone())
                        .args(format_args!("{message}"))
                        .build(),
                );
            }
            OneLine::Json => {
                let thread = thread::current();
                let thread = thread.name().unwrap_or_default();
                let line = json(OffsetDateTime::now_utc(), record.level(), thread, &message);
                // One write, which no other thread's can break. An error: nobody reads the log.
                let _ = stderr().lock().write_all(line.as_bytes());
            }
        }
    }

    fn flush(&self) {}
}

fn message_of<'a>(record: &Record<'a>) -> Cow<'a, str> {
    let whole = record.args().as_str().map(Cow::Borrowed);
    whole.unwrap_or_else(|| Cow::Owned(record.args().to_string()))
}

/// One record, in the order in which it is written.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: &'a str,
    thread: &'a str,
    message: &'a str,
}

fn json(time: OffsetDateTime, level: log::Level, thread: &str, message: &str) -> String {
    let line = Line {
        time: time.format(TIME_FORMAT).unwrap_or_default(), // a year of more than four digits
        level: level.as_str(),
        thread,
        message,
    };
    let text = serde_json::to_string(&line).unwrap_or_default(); // texts can all be written
    // JSON lets the control characters behind ASCII stand as they are; a terminal obeys some.
    let mut text = escaped(&text, "\\u", "").into_owned();
    text.push('\n');
    text
}

/// The text without control characters: the hexadecimal number of each stands between these.
fn escaped<'a>(text: &'a str, before: &str, after: &str) -> Cow<'a, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if letter.is_control() {
            let n = u32::from(letter);
            let _ = write!(escaped, "{before}{n:04x}{after}"); // never fails
        } else {
            escaped.push(letter);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What no message may do: end its line, begin another, or command a terminal.
    const FORGED: &str =
        "a\n2026-11-22T18:20:01.123Z [INFO] (main) all is well\r\u{1b}[2J\u{9b}2J\"}\u{7f}\\";

    #[test]
    fn a_record_of_json_is_one_line_that_says_what_was_said() {
        let time = OffsetDateTime::UNIX_EPOCH;
        let line = json(time, log::Level::Warn, "worker-1\"", FORGED);
        let one = line.strip_suffix('\n').expect("it is a line");
        assert!(!one.contains(char::is_control), "{one}");
        let value: serde_json::Value = serde_json::from_str(one).expect("it is JSON");
        assert_eq!(value["time"], "1970-01-01T00:00:00.000Z");
        assert_eq!(value["level"], "WARN");
        assert_eq!(value["thread"], "worker-1\"");
        assert_eq!(value["message"], FORGED);
        assert_eq!(value.as_object().map(serde_json::Map::len), Some(4));
    }

    #[test]
    fn a_text_without_control_characters_stays_as_it_is() {
        for text in ["", "plain → \"ä\" \\"] {
            assert!(matches!(escaped(text, "<", ">"), Cow::Borrowed(same) if same == text));
        }
        assert_eq!(escaped("a\nb\u{85}", "<", ">"), "a<000a>b<0085>");
    }
}
