//! The command line as typed: every option as a text, if it was given. argh makes the parser and
//! --help; the defaults it tells stand in `Config::default` and `PoolSettings::default`.

use argh::FromArgs;

use crate::process::config::Command;
use crate::process::values;

/// threadbare: an HTTP/1.1 load balancer made of bare threads.
///
/// `threadbare demo` starts three small backends and a balancer before them;
/// `threadbare demo-backend --listen ADDRESS` starts one such backend alone.
/// `threadbare top` shows what a running balancer does, `threadbare why ID` what became of one
/// request, `threadbare ctl` changes it,
/// `threadbare healthcheck` tells whether it is well, `threadbare service systemd|procd` prints
/// what starts one; each has a --help of its own.
#[derive(FromArgs, Debug)]
#[allow(clippy::struct_excessive_bools)] // switches
pub struct Options {
    /// nothing (balance over --backend, or what --config says), `demo`, or `demo-backend`
    #[argh(positional, from_str_fn(values::command))]
    pub command: Option<Command>,

    /// the configuration file; what is typed here goes before what it says
    #[argh(option)]
    pub config: Option<String>,

    /// address to listen on: IP:PORT, [IPv6]:PORT, NAME:PORT, unix:PATH, or systemd for the sockets
    /// it hands over, systemd:NAME for those of a name; repeat it for each; port 0 takes a free one
    /// (default 0.0.0.0:8080; the demo listens on 127.0.0.1:8080)
    #[argh(option)]
    pub listen: Vec<String>,

    /// who takes connections in: `gate`, or `tiny_http`, which is for teaching (default gate)
    #[argh(option)]
    pub listener: Option<String>,

    /// each connection begins with a PROXY header, version 1 or 2, of the TCP balancer before us
    #[argh(switch)]
    pub accept_proxy: bool,

    /// addresses whose X-Forwarded fields are kept: an IP, IP/BITS, or unix for clients on a Unix
    /// socket; repeat it for each (no default)
    #[argh(option)]
    pub trust: Vec<String>,

    /// worker threads, each serves one exchange at a time (default 64)
    #[argh(option)]
    pub workers: Option<String>,

    /// requests that may wait for a worker; one more gets 503 (default 1024)
    #[argh(option)]
    pub queue: Option<String>,

    /// how long a request may wait for a worker before it gets 503 (default 5s)
    #[argh(option)]
    pub queue_timeout: Option<String>,

    /// connections at a time; one more closes the oldest idle one, or waits (default 4096)
    #[argh(option)]
    pub max_connections: Option<String>,

    /// connections at a time from one address; one more gets 429; 0 is no limit (default 0)
    #[argh(option)]
    pub max_connections_per_client: Option<String>,

    /// requests on one connection before it is closed; 0 is no limit (default 0)
    #[argh(option)]
    pub max_requests: Option<String>,

    /// longest target of a request, else 414 (default 8KiB)
    #[argh(option)]
    pub max_target: Option<String>,

    /// most fields of a request, else 431 (default 100)
    #[argh(option)]
    pub max_fields: Option<String>,

    /// names and values of its fields together, else 431 (default 32KiB)
    #[argh(option)]
    pub max_fields_size: Option<String>,

    /// longest content of a request, else 413; 0 is no limit (default 0)
    #[argh(option)]
    pub max_content: Option<String>,

    /// how long the head of a request may take in all, else 408 (default 10s)
    #[argh(option)]
    pub header_timeout: Option<String>,

    /// how long a connection may be idle between two requests (default 75s)
    #[argh(option)]
    pub keep_alive_timeout: Option<String>,

    /// bytes a second that a client must send of a content, or take of an answer, on average after
    /// the idle timeout; 0 is no limit (default 256)
    #[argh(option)]
    pub min_rate: Option<String>,

    /// how long connecting to a backend may take (default 2s)
    #[argh(option)]
    pub connect_timeout: Option<String>,

    /// how long a backend may take to begin its answer, else 504 (default 60s)
    #[argh(option)]
    pub response_timeout: Option<String>,

    /// how long a client or a backend may stall in the middle of a message (default 30s)
    #[argh(option)]
    pub idle_timeout: Option<String>,

    /// how long a tunnel (WebSocket) may be idle; 0 is no limit (default 1h)
    #[argh(option)]
    pub tunnel_idle_timeout: Option<String>,

    /// threads beside the workers for exchanges that take long (default 256)
    #[argh(option)]
    pub long_haul: Option<String>,

    /// how long an exchange may hold a worker before it becomes a long-haul thread; a tenth of it
    /// while requests wait (default 2s)
    #[argh(option)]
    pub long_haul_after: Option<String>,

    /// the share of the workers that one of several backends may hold (default 50%)
    #[argh(option)]
    pub backend_share: Option<String>,

    /// how often the names of backends are looked up again (default 30s)
    #[argh(option)]
    pub resolve_interval: Option<String>,

    /// how long requests in flight may take to finish after SIGINT or SIGTERM (default 5s)
    #[argh(option)]
    pub shutdown_timeout: Option<String>,

    /// where the admin API listens: IP:PORT, unix:PATH or systemd:NAME; with a token, unless on
    /// loopback or a Unix socket of its own (no default)
    #[argh(option)]
    pub admin: Option<String>,

    /// the file of the bearer token that the admin API asks for (no default)
    #[argh(option)]
    pub admin_token_file: Option<String>,

    /// keeps drains, weights and health over a restart (no default)
    #[argh(option)]
    pub state_file: Option<String>,

    /// a backend drains while this folder has a file of its name (no default)
    #[argh(option)]
    pub drain_dir: Option<String>,

    /// the X-Request-Id of each request, to backend and client: off; make, always ours; trusted, a
    /// proxy's of --trust is kept; keep, anyone's is (default off)
    #[argh(option)]
    pub request_id: Option<String>,

    /// our name in Proxy-Status (RFC 9209), which then every answer has (no default)
    #[argh(option)]
    pub proxy_status: Option<String>,

    /// where a line for each request is written: a path, which SIGUSR1 opens anew, or - for
    /// standard output (no default)
    #[argh(option)]
    pub access_log: Option<String>,

    /// its lines: common, combined, json, or a template as in "{client} {request} {status}"
    /// (default combined)
    #[argh(option)]
    pub access_format: Option<String>,

    /// off, error, warn, info, debug or trace (default info)
    #[argh(option)]
    pub log_level: Option<String>,

    /// text, or json: an object a line with time, level, thread and message (default text)
    #[argh(option)]
    pub log_format: Option<String>,

    /// a backend, `http://HOST[:PORT][/BASE]`, and its options behind commas: `name=NAME`,
    /// `weight=N`, `backup`, `max_connections=N`, `slow_start=DURATION`; repeat it for each
    /// (no default)
    #[argh(option)]
    pub backend: Vec<String>,

    /// whose turn it is: round-robin, weighted-round-robin, least-connections, random-two-choices,
    /// ip-hash, uri-hash, header-hash:NAME or cookie-hash:NAME (default round-robin)
    #[argh(option)]
    pub policy: Option<String>,

    /// a hash passes over who has more than this share of the average load, as in 125%
    /// (no default)
    #[argh(option)]
    pub hash_max_load: Option<String>,

    /// clients stay with their backend by a cookie of this name (no default)
    #[argh(option)]
    pub sticky: Option<String>,

    /// its values are made from this, the same over restarts; --check prints it (default: drawn)
    #[argh(option)]
    pub sticky_secret: Option<String>,

    /// how long browsers keep it (default: until they are closed)
    #[argh(option)]
    pub sticky_max_age: Option<String>,

    /// browsers send it over TLS only
    #[argh(switch)]
    pub sticky_secure: bool,

    /// how the health thread looks at backends: tcp, http or off (default tcp)
    #[argh(option)]
    pub health: Option<String>,

    /// the path that it asks for by http, which this implies (default /)
    #[argh(option)]
    pub health_path: Option<String>,

    /// the Host field it sends (default: the backend's own)
    #[argh(option)]
    pub health_host: Option<String>,

    /// the good statuses (default 200-399)
    #[argh(option)]
    pub health_expect: Option<String>,

    /// what a good answer's content has in its first 64 KiB (no default)
    #[argh(option)]
    pub health_text: Option<String>,

    /// a 503 that has this field drains the backend (no default)
    #[argh(option)]
    pub health_drain_field: Option<String>,

    /// how often it looks at each backend, give or take a tenth (default 10s)
    #[argh(option)]
    pub health_interval: Option<String>,

    /// the same while the backend changes its state (default 1s)
    #[argh(option)]
    pub health_fast_interval: Option<String>,

    /// how long one look may take (default 2s)
    #[argh(option)]
    pub health_timeout: Option<String>,

    /// good looks in a row that bring a backend up (default 2)
    #[argh(option)]
    pub rise: Option<String>,

    /// bad looks in a row that take it down (default 3)
    #[argh(option)]
    pub fall: Option<String>,

    /// failed exchanges in a row that eject a backend; 0 is never (default 3)
    #[argh(option)]
    pub max_failures: Option<String>,

    /// the time in which they must fall (default 10s)
    #[argh(option)]
    pub failure_window: Option<String>,

    /// the share of failed exchanges in the window that ejects, as in 50% (no default)
    #[argh(option)]
    pub failure_rate: Option<String>,

    /// exchanges in the window below which the rate says nothing (default 20)
    #[argh(option)]
    pub failure_rate_min: Option<String>,

    /// how long the first ejection lasts; each further one twice as long (default 2s)
    #[argh(option)]
    pub eject_time: Option<String>,

    /// up to this (default 60s)
    #[argh(option)]
    pub max_eject_time: Option<String>,

    /// exchanges eject no more than this share of the backends (default 100%)
    #[argh(option)]
    pub max_ejected: Option<String>,

    /// what counts as a failure, with commas: connect, reset, timeout, bad-answer, and statuses as
    /// in 502 or 5xx (default connect,reset,timeout,bad-answer)
    #[argh(option)]
    pub fail_on: Option<String>,

    /// while no backend is up: 503, or try them all (default 503)
    #[argh(option)]
    pub when_all_down: Option<String>,

    /// how long the share of a backend that came back grows to all of it; 0 is at once
    /// (default 0)
    #[argh(option)]
    pub slow_start: Option<String>,

    /// retries of a safe or idempotent request that failed after it was sent (default 1)
    #[argh(option)]
    pub retries: Option<String>,

    /// after what, of the same kinds (default reset)
    #[argh(option)]
    pub retry_on: Option<String>,

    /// which methods, with commas (default: GET, HEAD, OPTIONS, TRACE, PUT and DELETE)
    #[argh(option)]
    pub retry_methods: Option<String>,

    /// a request with the field Idempotency-Key is retried whatever its method
    #[argh(switch)]
    pub retry_idempotency_key: bool,

    /// retries at a time, as a share of the requests of late (default 20%)
    #[argh(option)]
    pub retry_budget: Option<String>,

    /// and so many in any case (default 3)
    #[argh(option)]
    pub retry_budget_min: Option<String>,

    /// check options and the files they name, print what would run, and exit with 0, or with 2 if
    /// something is wrong
    #[argh(switch)]
    pub check: bool,

    /// print the version and exit
    #[argh(switch)]
    pub version: bool,
}
