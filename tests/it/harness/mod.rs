//! What every test stands on: the real binary, scripted backends, raw clients, and one deadline.

mod backend;
mod client;
mod message;
mod pattern;
mod ports;
mod tape;
mod threadbare;
mod wire;

use std::time::Duration;

pub use backend::{Backend, Conn, ok};
pub use client::{Answer, Client};
pub use message::{Framing, Head, Seen, text};
pub use pattern::Pattern;
pub use ports::HangingPort;
pub use tape::Gate;
pub use threadbare::{Threadbare, command, level, run};
pub use wire::Cut;

/// How long anything is awaited before a test fails: far above what a busy machine needs, so that
/// it passes in no healthy run; far below what a person would wait for a hung one.
pub const DEADLINE: Duration = Duration::from_secs(20);
