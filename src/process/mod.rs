//! The process around the balancer: what was typed, what it means, signals, the log, the demo.

pub mod args;
pub mod config;
pub mod demo;
pub mod limits;
pub mod logging;
mod options;
pub mod signals;
mod values;
