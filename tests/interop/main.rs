//! threadbare among real peers: nginx, Python and Go behind it, curl and wrk before it.
//!
//! The goal: what scripted peers can't show, because we scripted them. Each test starts its own
//! peers on ports of their own and is skipped, with a line that says so, where a peer is not
//! installed; `make interop` shows those lines.

mod backends;
mod balancer;
mod content;
mod curl;
mod fronts;
mod load;
mod peer;
mod plain;
