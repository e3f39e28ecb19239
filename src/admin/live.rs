//! Everything that changes from second to second, in JSON: `GET /live`, for the page and `top`.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::admin::json::seconds;
use crate::admin::sight::Sight;
use crate::exchange::PostReport;
use crate::intake::{Census, Limit};
use crate::pool::{BackendReport, PoolReport};
use crate::watch::history::{BackendHistory, Past, unix_ms};
use crate::watch::{By, Doing, Fate, Totals, millis};

/// Seconds over which rates are taken.
const N_RATE: usize = 5;

/// One look. `host` is what the asker calls us: a change from a page has to come from there, which
/// the page knows of itself.
pub fn look(
    sight: &Sight,
    pools: &[PoolReport],
    host: Option<&[u8]>,
    (uptime, now): (Duration, Instant),
) -> Value {
    let totals = sight.watch.totals();
    let names = names_of(pools);
    let posts = sight.crew.posts();
    let crew = posts.iter().map(|p| thread(sight, p, &names, now));
    let threads: Vec<Value> = crew.chain(bystanders(sight, now)).collect();
    let census = (sight.census)();
    let mut live = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "uptime_seconds": seconds(uptime),
        "now_unix_ms": unix_ms(SystemTime::now()),
        "stopping": sight.is_stopping(),
        "host": host.map(|host| host.escape_ascii().to_string()),
        "listeners": sight.listeners,
        "queue": {
            "depth": sight.jobs.len(),
            "capacity": sight.queue_capacity,
            "wait_p50_ms": totals.queued.percentile_ms(50),
            "wait_p99_ms": totals.queued.percentile_ms(99),
        },
        "connections": {
            "open": census.map(|census| census.n_open),
            "idle": census.map(|census| census.n_idle),
        },
        "in_flight": sight.counters.n_in_flight(),
        "tunnels": sight.counters.n_tunnels(),
        "threads": threads,
        "totals": {
            "exchanges": totals.n(),
            "retries": totals.retries,
            "refused": refused(&totals),
            "cut": totals.of(Fate::ContentBroke),
            "tunnels": totals.of(Fate::Tunnelled),
            "bytes_in": totals.bytes_in,
            "bytes_out": totals.bytes_out,
        },
        "limits": limits(&totals, census.as_ref()),
    });
    sight.history.look(|past| {
        live["pools"] = pools.iter().map(|pool| pool_of(pool, past)).collect();
        live["history"] = history(past);
        let events = past.events.iter();
        live["events"] = events
            .map(|event| json!({"unix_ms": event.unix_ms, "text": event.text}))
            .collect();
    });
    live
}

fn names_of(pools: &[PoolReport]) -> HashMap<u64, (&str, &str)> {
    let backends = pools
        .iter()
        .flat_map(|pool| pool.backends.iter().map(move |b| (pool, b)));
    backends
        .map(|(pool, b)| (b.id, (pool.name.as_str(), b.name.as_str())))
        .collect()
}

fn thread(
    sight: &Sight,
    post: &PostReport,
    names: &HashMap<u64, (&str, &str)>,
    now: Instant,
) -> Value {
    let sheet = sight.watch.known_sheet(post.slot);
    let (doing, lasts) = sheet.map_or((Doing::Idle, None), |sheet| {
        let (doing, lasts) = sheet.lane.look(now);
        (doing, Some(lasts))
    });
    let exchange = post.exchange.as_ref().filter(|_| doing != Doing::Idle);
    let name = exchange.and_then(|(id, _, _)| names.get(id));
    json!({
        "name": post.thread,
        "kind": if post.is_long_haul { "long-haul" } else { "worker" },
        "phase": doing.name(),
        "for_ms": lasts.map(millis),
        "request": exchange.map(|(_, _, line)| line),
        "client": exchange.and_then(|(_, client, _)| client.map(|c| c.to_string())),
        "pool": name.map(|(pool, _)| pool),
        "backend": name.map(|(_, backend)| backend),
    })
}

/// Those that serve no requests of clients. `waiter` and `listener` feed the queue.
fn bystanders(sight: &Sight, now: Instant) -> impl Iterator<Item = Value> {
    let all = sight.watch.bystanders.all().into_iter();
    all.map(move |(name, lane)| {
        let (doing, lasts) = lane.look(now);
        let kind = match name.as_str() {
            "waiter" | "listener" => "waiter",
            _ => "other",
        };
        let (phase, lasts) = (doing.name(), millis(lasts));
        json!({"name": name, "kind": kind, "phase": phase, "for_ms": lasts})
    })
}

fn pool_of(pool: &PoolReport, past: &Past) -> Value {
    let backends = pool.backends.iter();
    json!({
        "name": pool.name,
        "policy": pool.policy,
        "in_flight": pool.n_in_flight,
        "requests": pool.n_requests,
        "backends": backends.map(|b| backend_of(b, past.backends.get(&b.id))).collect::<Value>(),
    })
}

fn backend_of(backend: &BackendReport, past: Option<&BackendHistory>) -> Value {
    let (rate, error_rate) = past.map_or((0.0, 0.0), |past| past.rates(N_RATE));
    let times = past.map(|past| past.recent(&backend.times));
    let percentile = |percent| {
        times
            .as_ref()
            .and_then(|times| times.percentile_ms(percent))
    };
    json!({
        "name": backend.name,
        "url": backend.url,
        "address": backend.address.map(|address| address.to_string()),
        "state": backend.state,
        "since_seconds": seconds(backend.since),
        "cause": backend.cause,
        "mode": backend.mode,
        "forced": backend.forced,
        "weight": backend.weight,
        "backup": backend.is_backup,
        "max_connections": backend.max_connections,
        "in_flight": backend.n_in_flight,
        "requests": backend.n_requests,
        "failures": backend.n_failures,
        "rate": rate,
        "error_rate": error_rate,
        "p50_ms": percentile(50),
        "p99_ms": percentile(99),
        "spark": past.map(|past| &past.sparks),
    })
}

fn history(past: &Past) -> Value {
    let samples = &past.samples;
    json!({
        "seconds": samples.iter().map(|s| s.unix_seconds).collect::<Value>(),
        "requests": samples.iter().map(|s| s.n).collect::<Value>(),
        "errors": samples.iter().map(|s| s.n_errors).collect::<Value>(),
        "p50_ms": samples.iter().map(|s| s.p50_ms).collect::<Value>(),
        "p99_ms": samples.iter().map(|s| s.p99_ms).collect::<Value>(),
    })
}

fn refused(totals: &Totals) -> u64 {
    let fates = [
        Fate::QueueFull,
        Fate::QueueTimeout,
        Fate::BackendsBusy,
        Fate::BackendsFull,
    ];
    fates.iter().map(|fate| totals.of(*fate)).sum()
}

/// What was hit: limits of the listener by their options, those of exchanges by their fates.
fn limits(totals: &Totals, census: Option<&Census>) -> Value {
    let of_listener = census.into_iter().flat_map(|census| {
        let limits = Limit::ALL.into_iter().zip(census.n_at_limit);
        limits.map(|(limit, n)| (limit.option(), n, limit.refusal().reason))
    });
    let of_exchanges = Fate::all().filter(|fate| fate.by() == By::Limit);
    let of_exchanges = of_exchanges.map(|fate| (fate.name(), totals.of(fate), fate.meaning()));
    of_listener
        .chain(of_exchanges)
        .filter(|(_, hits, _)| *hits > 0)
        .map(|(name, hits, meaning)| json!({"name": name, "hits": hits, "meaning": meaning}))
        .collect()
}
