//! The process around the balancer: what was typed, what it means, signals, the log, the demo.

pub mod args;
pub mod config;
pub mod ctl;
pub mod demo;
mod draft;
mod effective;
mod faults;
mod file;
pub mod healthcheck;
pub mod limits;
pub mod logging;
pub mod notify;
mod options;
pub mod service;
mod setting;
mod shell;
pub mod signals;
pub mod top;
pub(crate) mod values;

pub use self::faults::one_line;
pub use crate::counted::counted;
