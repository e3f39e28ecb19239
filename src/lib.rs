//! threadbare: an HTTP/1.1 load balancer made of bare threads.
//!
//! Blocking I/O, one bounded channel, a fixed pool of workers, and no async runtime anywhere. The
//! program is `main.rs` and this library; the library is here to be read, tested and taught, and
//! promises no stable interface.
//!
//! ```text
//!            ┌──────── parks what it has served ────────┐
//!            ▼                                          │
//! waiter ──[bounded channel of Jobs]──▶ worker-1 … worker-64 ──ureq──▶ backend
//!    │ full or too old         foreman ──▶    │ picks a backend that is up, by policy
//!    ▼                promotes and refills    │ retries by one pure rule
//! refuser: 503                                ▼ hints
//!                                          health: dials all backends side by side
//! ```
//!
//! # The map
//!
//! A request goes one way: [`intake`] → [`exchange`] → [`pool`] (pick) → [`exchange`] (forward,
//! answer).
//!
//! | room | what it knows | what it never knows |
//! |---|---|---|
//! | [`process`] | options, file, signals, log, demo, `ctl`, `top`, service manager | requests |
//! | [`intake`] | clients: listener, strict checks, the queue | backends |
//! | [`exchange`] | one request from its head to the last byte of its answer | who else is served |
//! | [`pool`] | backends: turn, health, dials, drains, idle connections | clients |
//! | [`admin`] | what operators may see and change, and who they are | how it is done |
//! | [`watch`] | sums, times, what each thread does, the access log | who reads: it asks nobody |
//! | [`server`] | which threads there are, and in which order they end | what they do |
//!
//! # Invariants
//!
//! - The waiter never blocks on a client or on the queue: what does not fit is refused by a thread
//!   of its own. A client that is idle, or sends slowly, holds no thread.
//! - A connection is in one place: parked with the waiter, in the queue, or with a worker.
//! - What a worker gets has one reading (RFC 9112), or it never gets it.
//! - The pool has its full number of workers free for short requests, as long as not all long-haul
//!   threads are out; and no backend that is not alone holds more than its share of them.
//! - An exchange never moves to another thread.
//! - A connection has one exchange at a time, and after its last answer it has no other.
//! - What may have reached a backend is sent again only if the method is idempotent and the content
//!   can be repeated ([`exchange::retry`]).
//! - After the first byte of an answer nothing is retried, and an answer that breaks off is never
//!   given an end: its connection is reset, or, behind complete answers and where the framing
//!   shows what is missing, ends inside of it. Where the end of the connection would be the
//!   answer's, the death of the process is a reset too.
//! - A client that fails is never held against a backend.
//! - Dials wait for no other dial, and no request waits for a look-up of a name.
//! - A backend is claimed under the lock of its pool's roster, and whoever takes it out of the
//!   lists does it under the same: after a drain has returned, no request reaches the backend
//!   ([`pool::Pool::await_drained`]).
//! - Only the main thread applies a configuration. An exchange sees one edition of it from its
//!   beginning to its end ([`exchange::Edition`]); a reload replaces the edition, and changes the
//!   pools in place, so that backends that stay keep all they have.
//! - The watchdog is fed only while waiter, workers and health thread get on (`server/life.rs`).
//! - Who only looks after the pools (health, resolver, admin) holds up no exchange. The admin API
//!   has its own listener, queue and threads, one of which never waits.
//! - The state file is written whole or not at all, by the main thread; what can't be believed of
//!   it is left out.
//! - The access log holds up no exchange, and not the end: a line that finds no room is counted.
//! - No lock is held across I/O or logging, and none across another but where its contract says
//!   so. Every queue has a bound, every wait a deadline or a sentence that says why not.
//! - Whatever happens to one exchange, panic included, costs that exchange.
//!
//! Absent on purpose: an async runtime, an HTTP parser of our own (httparse reads heads and
//! ureq-proto content, behind checks of ours; ureq reads answers, but for contents of a known
//! length, which need counting only), global state, and threads that sleep.
//!
//! # The tour
//!
//! An hour's reading, in this order:
//!
//! 1. [`server`]: every thread, who starts it, what ends it; the shutdown wave.
//! 2. [`intake::queue`]: why a bounded channel is enough, and what full means; `intake/idle.rs`:
//!    who sleeps, and who is woken.
//! 3. [`intake::gate`]: `waiter.rs` and `lot.rs`: thousands of clients and one thread; `head` and
//!    `content`: what is let in.
//! 4. [`exchange`]: the worker's loop (`worker.rs`), one exchange (`mod.rs`), and how a worker that
//!    takes long leaves the pool with its thread (`crew.rs`, `foreman.rs`).
//! 5. [`exchange::retry`]: the whole rule of retrying, as one function.
//! 6. [`pool`]: `roster.rs` and `pick.rs`, a choice and a claim under one lock; [`pool::balance`],
//!    the policies as pure functions; then `health.rs`, a state machine that is told the time, and
//!    `probe`, many probes in one thread. `traffic.rs`: who waits for a backend to be quiet, at no
//!    cost to the exchanges while nobody does.
//! 7. `exchange/transport.rs`: what it takes to put a library behind a seam; then `tunnel.rs`:
//!    two sockets, both directions, one thread.
//! 8. `server/site.rs` and `server/run.rs`: how a configuration is applied while all goes on; then
//!    [`admin`], what operators may do, behind one trait.
//! 9. `intake/tiny`: the other listener, and living with a library that can't be changed.
//! 10. `tests/model`: pick, drain, editions, crew, idle and wave, each under every interleaving
//!     with so many forced switches.

pub mod admin;
mod counted;
mod decimal;
pub mod exchange;
pub mod intake;
mod percent;
pub mod pool;
pub mod process;
pub mod server;
mod sync;
mod system;
pub mod watch;
