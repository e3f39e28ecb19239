//! threadbare among real peers: nginx, Python, Go and another proxy behind it; curl, wrk, a browser
//! and other proxies before it.
//!
//! The goal: what scripted peers can't show, because we scripted them. Each test starts its own
//! peers on ports of their own and is skipped, with a line that says so, where a peer is not
//! installed; `make interop` shows those lines.

mod attack;
mod backends;
mod balancer;
mod change;
mod content;
mod curl;
mod forwarded;
mod fronts;
#[allow(dead_code, unused_imports)] // made for tests/it, which uses all of it
#[path = "../it/harness/mod.rs"]
mod harness;
mod load;
mod metrics;
mod page;
mod peer;
mod plain;
mod service;
mod slow;
mod uploads;
mod webdriver;
mod websocket;
