//! What every test stands on: the real binary, scripted backends, raw clients, and one deadline.

mod admin;
mod backend;
mod client;
mod file;
mod folder;
mod hold;
mod load;
mod manager;
mod message;
mod pattern;
mod ports;
mod tape;
mod terminal;
mod threadbare;
mod wire;

use std::time::Duration;

pub use admin::{Admin, ask, backend_path, request};
pub use backend::{Backend, Conn, ok};
pub use client::{Answer, Client};
pub use file::ConfigFile;
pub use folder::Folder;
#[allow(unused_imports)] // the trait is for tests/interop, which has other mortals
pub use hold::{Mortal, hold};
pub use load::Counting;
pub use manager::Manager;
pub use message::{Framing, Head, Seen, in_chunks, text};
pub use pattern::Pattern;
pub use ports::{HangingPort, Port};
pub use tape::{Gate, Tape};
#[allow(unused_imports)] // for tests/it alone
pub use terminal::Terminal;
pub use threadbare::{Run, Threadbare, command, level, room_for, run, run_command};
pub use wire::Cut;

/// How long anything is awaited before a test fails: far above what a busy machine needs, so that
/// it passes in no healthy run; far below what a person would wait for a hung one.
pub const DEADLINE: Duration = Duration::from_secs(20);
