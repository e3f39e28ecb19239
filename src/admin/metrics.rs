//! What is counted, in the Prometheus text format: `GET /metrics`.

use std::fmt::{Display, Write as _};
use std::time::Instant;

use crate::admin::sight::Sight;
use crate::intake::{Census, Limit};
use crate::pool::PoolReport;
use crate::watch::access::AccessLog;
use crate::watch::{By, Class, Fate, Sums, Totals};

/// Of the format (version 0.0.4 of Prometheus' text exposition).
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics.
pub fn text(sight: &Sight, pools: &[PoolReport], now: Instant) -> String {
    let mut page = Page(String::with_capacity(16 * 1024));
    of_process(&mut page, sight, now);
    of_requests(&mut page, sight, pools);
    of_backends(&mut page, pools);
    if let Some(log) = &sight.watch.access_log {
        of_access_log(&mut page, log);
    }
    page.0
}

fn of_process(page: &mut Page, sight: &Sight, now: Instant) {
    page.head("build_info", "gauge", "The version, as a label; always 1.");
    let version = env!("CARGO_PKG_VERSION");
    page.line("build_info", &[("version", version)], 1);
    page.single(
        "queue_length",
        "gauge",
        "Requests that wait for a worker.",
        sight.jobs.len(),
    );
    let about = "Requests that the queue holds at most.";
    page.single("queue_capacity", "gauge", about, sight.queue_capacity);
    let about = "Exchanges that threads are in.";
    page.single(
        "exchanges_in_flight",
        "gauge",
        about,
        sight.counters.n_in_flight(),
    );
    page.single(
        "tunnels_open",
        "gauge",
        "Open tunnels.",
        sight.counters.n_tunnels(),
    );
    if let Some(census) = (sight.census)() {
        page.head(
            "connections",
            "gauge",
            "Clients' connections, by what they do.",
        );
        let n_active = census.n_open.saturating_sub(census.n_idle);
        page.line("connections", &[("state", "idle")], census.n_idle);
        page.line("connections", &[("state", "active")], n_active);
        of_listener(page, &census);
    }
    page.head("threads", "gauge", "Threads that serve, by what they do.");
    let posts = sight.crew.posts();
    let n_long_haul = posts.iter().filter(|post| post.is_long_haul).count();
    page.line("threads", &[("kind", "worker")], posts.len() - n_long_haul);
    page.line("threads", &[("kind", "long_haul")], n_long_haul);
    let is_busy = |slot| {
        let sheet = sight.watch.known_sheet(slot);
        sheet.is_some_and(|sheet| sheet.lane.look(now).0 != crate::watch::Doing::Idle)
    };
    let n_busy = posts.iter().filter(|post| is_busy(post.slot)).count();
    page.single(
        "threads_busy",
        "gauge",
        "Threads that serve a request now.",
        n_busy,
    );
}

fn of_listener(page: &mut Page, census: &Census) {
    let about = "What the listener refused before the queue, by the option that set the limit; \
                 none: malformed, or not done here.";
    page.head("listener_refusals_total", "counter", about);
    for (limit, n) in Limit::ALL.iter().zip(census.n_at_limit) {
        let labels = [("limit", limit.option())];
        page.line("listener_refusals_total", &labels, n);
    }
    let labels = [("limit", "none")];
    page.line("listener_refusals_total", &labels, census.n_refused);
}

fn of_requests(page: &mut Page, sight: &Sight, pools: &[PoolReport]) {
    let totals = sight.watch.totals();
    let about = "Requests by how they ended: README has the table of fates.";
    page.head("exchanges_total", "counter", about);
    for (fate, n) in Fate::all().zip(totals.fates) {
        let labels = [
            ("fate", fate.name()),
            ("by", fate.by().name()),
            ("phase", fate.phase()),
        ];
        page.line("exchanges_total", &labels, n);
    }
    page.head(
        "limit_hits_total",
        "counter",
        "Requests that ended at a limit.",
    );
    for (fate, n) in Fate::all().zip(totals.fates) {
        if fate.by() == By::Limit {
            page.line("limit_hits_total", &[("limit", fate.name())], n);
        }
    }
    of_answers(page, &totals, pools);
    of_traffic(page, &totals);
}

fn of_answers(page: &mut Page, totals: &Totals, pools: &[PoolReport]) {
    let about = "Requests by pool, the backend that answered (none: we did), and class of status.";
    page.head("requests_total", "counter", about);
    let mut requests = |pool: &str, backend: &str, classes: &[u64]| {
        for (class, n) in Class::ALL.iter().zip(classes) {
            // Most never come: 1,000 backends would have 6,000 lines.
            if *n > 0 || *class == Class::Successful {
                let labels = [("pool", pool), ("backend", backend), ("code", class.name())];
                page.line("requests_total", &labels, n);
            }
        }
    };
    requests("", "", &totals.poolless);
    for pool in pools {
        requests(&pool.name, "", &pool.own_answers);
        for backend in &pool.backends {
            requests(&pool.name, &backend.name, &backend.answers);
        }
    }
}

fn of_traffic(page: &mut Page, totals: &Totals) {
    let about = "Attempts beyond the first of a request.";
    page.single("retries_total", "counter", about, totals.retries);
    page.head(
        "backend_connections_total",
        "counter",
        "Attempts by their connection.",
    );
    page.line(
        "backend_connections_total",
        &[("connection", "new")],
        totals.connects,
    );
    page.line(
        "backend_connections_total",
        &[("connection", "reused")],
        totals.reuses,
    );
    let about = "Content of clients' requests, and what they sent through tunnels.";
    page.single("request_bytes_total", "counter", about, totals.bytes_in);
    page.single(
        "response_bytes_total",
        "counter",
        "Answers, heads included, and what clients got through tunnels.",
        totals.bytes_out,
    );
    let about = "From the queue to the end of the answer.";
    page.histogram("request_duration_seconds", about, &totals.whole);
    page.histogram(
        "queue_wait_seconds",
        "From the queue to a worker.",
        &totals.queued,
    );
    let about = "From a pick to its new connection.";
    page.histogram("backend_connect_seconds", about, &totals.connecting);
    let about = "From a pick to the first byte of the answer.";
    page.histogram("backend_first_byte_seconds", about, &totals.first_byte);
}

fn of_access_log(page: &mut Page, log: &AccessLog) {
    let about = "Lines of the access log that were written.";
    page.single("access_log_lines_total", "counter", about, log.n_written());
    let name = "access_log_dropped_total";
    let about = "Lines of the access log that were not, by why: they came too fast, or it failed.";
    page.head(name, "counter", about);
    page.line(name, &[("why", "full")], log.n_overflowed());
    page.line(name, &[("why", "error")], log.n_failed());
}

fn of_backends(page: &mut Page, pools: &[PoolReport]) {
    let mut each = |name: &str, kind: &str, about: &str, value: &dyn Fn(&Backend) -> u64| {
        page.head(name, kind, about);
        for pool in pools {
            for backend in &pool.backends {
                let labels = [("pool", &*pool.name), ("backend", &*backend.name)];
                page.line(name, &labels, value(backend));
            }
        }
    };
    let about = "Whether it gets requests, as far as its health is concerned.";
    each("backend_up", "gauge", about, &|b| {
        let is_down = b
            .forced
            .map_or(b.state == "down", |forced| forced == "down");
        u64::from(!is_down)
    });
    each("backend_drained", "gauge", "Whether it is drained.", &|b| {
        u64::from(b.mode == "drained")
    });
    each("backend_weight", "gauge", "Its weight now.", &|b| {
        u64::from(b.weight)
    });
    each(
        "backend_in_flight",
        "gauge",
        "Exchanges with it now.",
        &|b| b.n_in_flight as u64,
    );
    each(
        "backend_attempts_total",
        "counter",
        "Attempts at it.",
        &|b| b.n_requests,
    );
    each(
        "backend_failures_total",
        "counter",
        "Attempts that failed by its fault.",
        &|b| b.n_failures,
    );
}

type Backend = crate::pool::BackendReport;

/// The text as it grows.
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, about: &str) {
        let text = format!("# HELP threadbare_{name} {about}\n# TYPE threadbare_{name} {kind}\n");
        self.0 += &text;
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let text = &mut self.0;
        let _ = write!(text, "threadbare_{name}"); // a String takes anything
        for (idx, (label, value)) in labels.iter().enumerate() {
            text.push(if idx == 0 { '{' } else { ',' });
            let _ = write!(text, "{label}=\"{}\"", escaped(value));
        }
        if !labels.is_empty() {
            text.push('}');
        }
        let _ = writeln!(text, " {value}");
    }

    fn single(&mut self, name: &str, kind: &str, about: &str, value: impl Display) {
        self.head(name, kind, about);
        self.line(name, &[], value);
    }

    fn histogram(&mut self, name: &str, about: &str, sums: &Sums) {
        self.head(name, "histogram", about);
        let bucket = format!("{name}_bucket");
        for (bound, n) in sums.octaves() {
            self.line(&bucket, &[("le", &bound.to_string())], n);
        }
        self.line(&bucket, &[("le", "+Inf")], sums.n());
        self.line(&format!("{name}_sum"), &[], sums.sum_seconds());
        self.line(&format!("{name}_count"), &[], sums.n());
    }
}

/// As a label's value wants it.
fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
