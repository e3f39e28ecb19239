//! The program's own log: one line a record on standard error, with time, level and thread.

use std::io::{LineWriter, stderr};

use log::LevelFilter;
use simplelog::{ConfigBuilder, LevelPadding, ThreadLogMode, WriteLogger};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// RFC 3339 in UTC, with milliseconds: always of the same width.
const TIME_FORMAT: &[BorrowedFormatItem<'static>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Starts the log. Call once, before the first thread. A reload sets another level with
/// [`log::set_max_level`], so the logger itself has none.
///
/// Only records of this crate are kept: what ureq and `tiny_http` say at debug level would name
/// fields of the client's request, and what matters of it is said again by us with its cause.
pub fn start(level: LevelFilter) {
    let config = ConfigBuilder::new()
        .set_time_format_custom(TIME_FORMAT)
        .set_time_level(LevelFilter::Error)
        .set_thread_level(LevelFilter::Error)
        .set_thread_mode(ThreadLogMode::Names)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .set_level_padding(LevelPadding::Off)
        .add_filter_allow_str("threadbare")
        .build();
    // simplelog writes a record in pieces; LineWriter makes it one write, so that lines of
    // several processes on one terminal do not mix.
    WriteLogger::init(LevelFilter::Trace, config, LineWriter::new(stderr()))
        .expect("the log is started once, by main");
    log::set_max_level(level);
}
