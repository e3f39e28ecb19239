//! The command line as typed: every option with its default. argh makes the parser and --help.

use std::time::Duration;

use argh::FromArgs;
use log::LevelFilter;

use crate::intake::ListenAt;
use crate::pool::BackendUrl;
use crate::process::config::{Command, Listener};
use crate::process::values;

/// threadbare: an HTTP/1.1 load balancer made of bare threads.
///
/// `threadbare demo` starts three small backends and a balancer before them;
/// `threadbare demo-backend --listen ADDRESS` starts one such backend alone.
#[derive(FromArgs, Debug)]
pub struct Options {
    /// nothing (balance over --backend), `demo`, or `demo-backend`
    #[argh(positional, from_str_fn(values::command))]
    pub command: Option<Command>,

    /// address to listen on: IP:PORT, [IPv6]:PORT, NAME:PORT, unix:PATH, or systemd for the sockets
    /// it hands over; repeat it for each; port 0 takes a free one
    /// (default 0.0.0.0:8080; the demo listens on 127.0.0.1:8080)
    #[argh(option, from_str_fn(values::listen))]
    pub listen: Vec<ListenAt>,

    /// who takes connections in: `gate`, or `tiny_http`, which is for teaching (default gate)
    #[argh(option, default = "Listener::Gate", from_str_fn(values::listener))]
    pub listener: Listener,

    /// each connection begins with a PROXY header, version 1 or 2, of the TCP balancer before us
    #[argh(switch)]
    pub accept_proxy: bool,

    /// addresses whose X-Forwarded fields are kept: an IP, IP/BITS, or unix for clients on a Unix
    /// socket; repeat it for each (no default)
    #[argh(option, from_str_fn(values::trust))]
    pub trust: Vec<String>,

    /// a backend, `http://HOST[:PORT][/BASE]`; repeat it for each (no default)
    #[argh(option, from_str_fn(values::backend))]
    pub backend: Vec<BackendUrl>,

    /// worker threads, each serves one exchange at a time (default 64)
    #[argh(option, default = "64", from_str_fn(values::workers))]
    pub workers: usize,

    /// requests that may wait for a worker; one more gets 503 (default 1024)
    #[argh(option, default = "1024", from_str_fn(values::queue))]
    pub queue: usize,

    /// how long a request may wait for a worker before it gets 503 (default 5s)
    #[argh(
        option,
        default = "Duration::from_secs(5)",
        from_str_fn(values::duration)
    )]
    pub queue_timeout: Duration,

    /// retries of a safe or idempotent request that failed after it was sent (default 1)
    #[argh(option, default = "1", from_str_fn(values::retries))]
    pub retries: u32,

    /// how long connecting to a backend may take (default 2s)
    #[argh(
        option,
        default = "Duration::from_secs(2)",
        from_str_fn(values::duration)
    )]
    pub connect_timeout: Duration,

    /// how long a backend may take to begin its answer, else 504 (default 60s)
    #[argh(
        option,
        default = "Duration::from_secs(60)",
        from_str_fn(values::duration)
    )]
    pub response_timeout: Duration,

    /// how long a tunnel (WebSocket) may be idle; 0 is no limit (default 1h)
    #[argh(
        option,
        default = "Duration::from_secs(3600)",
        from_str_fn(values::duration_or_off)
    )]
    pub tunnel_idle_timeout: Duration,

    /// threads beside the workers for exchanges that take long (default 256)
    #[argh(option, default = "256", from_str_fn(values::long_haul))]
    pub long_haul: usize,

    /// how long an exchange may hold a worker before it becomes a long-haul thread; a tenth of it
    /// while requests wait (default 2s)
    #[argh(
        option,
        default = "Duration::from_secs(2)",
        from_str_fn(values::duration)
    )]
    pub long_haul_after: Duration,

    /// the share of the workers that one of several backends may hold (default 50%)
    #[argh(option, default = "50", from_str_fn(values::percent))]
    pub backend_share: usize,

    /// how long a client or a backend may stall in the middle of a message (default 30s)
    #[argh(
        option,
        default = "Duration::from_secs(30)",
        from_str_fn(values::duration)
    )]
    pub idle_timeout: Duration,

    /// connections at a time; one more closes the oldest idle one, or waits (default 4096)
    #[argh(option, default = "4096", from_str_fn(values::connections))]
    pub max_connections: usize,

    /// connections at a time from one address; one more gets 429; 0 is no limit (default 0)
    #[argh(option, default = "0", from_str_fn(values::count))]
    pub max_connections_per_client: usize,

    /// requests on one connection before it is closed; 0 is no limit (default 0)
    #[argh(option, default = "0", from_str_fn(values::count))]
    pub max_requests: usize,

    /// longest target of a request, else 414 (default 8KiB)
    #[argh(option, default = "8 * 1024", from_str_fn(values::target_size))]
    pub max_target: usize,

    /// most fields of a request, else 431 (default 100)
    #[argh(option, default = "100", from_str_fn(values::fields))]
    pub max_fields: usize,

    /// names and values of its fields together, else 431 (default 32KiB)
    #[argh(option, default = "32 * 1024", from_str_fn(values::fields_size))]
    pub max_fields_size: usize,

    /// longest content of a request, else 413; 0 is no limit (default 0)
    #[argh(option, default = "0", from_str_fn(values::content_size))]
    pub max_content: u64,

    /// how long the head of a request may take in all, else 408 (default 10s)
    #[argh(
        option,
        default = "Duration::from_secs(10)",
        from_str_fn(values::duration)
    )]
    pub header_timeout: Duration,

    /// how long a connection may be idle between two requests (default 75s)
    #[argh(
        option,
        default = "Duration::from_secs(75)",
        from_str_fn(values::duration)
    )]
    pub keep_alive_timeout: Duration,

    /// bytes a second that a client must send of a content, or take of an answer, on average after
    /// the idle timeout; 0 is no limit (default 256)
    #[argh(option, default = "256", from_str_fn(values::rate))]
    pub min_rate: u64,

    /// how often the health thread dials every backend (default 10s)
    #[argh(
        option,
        default = "Duration::from_secs(10)",
        from_str_fn(values::duration)
    )]
    pub health_interval: Duration,

    /// how long such a dial may take (default 2s)
    #[argh(
        option,
        default = "Duration::from_secs(2)",
        from_str_fn(values::duration)
    )]
    pub health_timeout: Duration,

    /// how long requests in flight may take to finish after SIGINT or SIGTERM (default 5s)
    #[argh(
        option,
        default = "Duration::from_secs(5)",
        from_str_fn(values::duration)
    )]
    pub shutdown_timeout: Duration,

    /// off, error, warn, info, debug or trace (default info)
    #[argh(option, default = "LevelFilter::Info", from_str_fn(values::level))]
    pub log_level: LevelFilter,

    /// check the options, print what would run, and exit with 0, or with 2 if they are wrong
    #[argh(switch)]
    pub check: bool,

    /// print the version and exit
    #[argh(switch)]
    pub version: bool,
}
