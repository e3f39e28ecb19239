//! The black-box tests: the real binary between raw clients and scripted backends, over real
//! sockets.
//!
//! Every test starts its own server on a free port, so they run in any order and side by side.
//! Nothing sleeps: what a test waits for is an event (a request that arrived, a log line, a
//! connection that ended) with one deadline.

mod answers;
mod bad_answers;
mod balance;
mod clients;
mod content;
mod demo;
mod expectations;
mod fields;
mod forwarding;
mod framing;
mod gate;
mod harness;
mod health;
mod kept;
mod limits;
mod long_haul;
mod malformed;
mod pipelining;
mod queue;
mod refusals;
mod retry;
mod share;
mod shutdown;
mod streaming;
mod truncation;
mod tunnels;
mod usage;
