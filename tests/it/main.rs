//! The black-box tests: the real binary between raw clients and scripted backends, over real
//! sockets.
//!
//! Every test starts its own server on a free port, so they run in any order and side by side.
//! Nothing sleeps: what a test waits for is an event (a request that arrived, a log line, a
//! connection that ended) with one deadline.

mod access_log;
mod admin;
mod answers;
mod backups;
mod bad_answers;
mod balance;
mod change;
mod clients;
mod config_file;
mod content;
mod ctl;
mod demo;
mod expectations;
mod fields;
mod forwarding;
mod framing;
mod gate;
mod harness;
mod health;
mod http_health;
mod kept;
mod kept_state;
mod limits;
mod long_haul;
mod malformed;
mod many_backends;
mod names;
mod passive_health;
mod pipelining;
mod policies;
mod proxy_status;
mod queue;
mod refusals;
mod reload;
mod request_id;
mod retries;
mod retry;
mod returning;
mod routes;
mod service;
mod share;
mod shutdown;
mod slow_start;
mod sticky;
mod streaming;
mod top;
mod truncation;
mod tunnels;
mod usage;
mod watch;
