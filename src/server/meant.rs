//! The options as each room wants them.

use std::sync::Arc;

use crate::exchange::{Settings, Timeouts, Trust};
use crate::intake::gate::{self, MinRate};
use crate::process::config::Config;

/// What an exchange may take.
pub fn settings(config: &Config) -> Settings {
    let mut trust = Trust::default();
    for member in &config.trust {
        trust.add(member).expect("it was read from the options");
    }
    Settings {
        queue_timeout: config.queue_timeout,
        timeouts: Timeouts {
            connect: config.connect_timeout,
            response: config.response_timeout,
            idle: config.idle_timeout,
        },
        trust: Arc::new(trust),
        tunnel_idle_timeout: config.tunnel_idle_timeout,
        request_ids: config.request_ids,
        proxy_status: config.proxy_status.as_deref().map(Arc::from),
    }
}

/// What runs after a reload: what the file says now, but for what is bound to what there is since
/// the start, which `diff` knows as such.
pub fn running(asked: Config, before: &Config) -> Config {
    let before = before.clone();
    Config {
        listener: before.listener,
        listen: before.listen,
        accept_proxy: before.accept_proxy,
        n_workers: before.n_workers,
        queue_capacity: before.queue_capacity,
        queue_timeout: before.queue_timeout,
        max_connections: before.max_connections,
        max_connections_per_client: before.max_connections_per_client,
        max_requests: before.max_requests,
        limits: before.limits,
        header_timeout: before.header_timeout,
        keep_alive_timeout: before.keep_alive_timeout,
        idle_timeout: before.idle_timeout,
        min_rate: before.min_rate,
        max_long_haul: before.max_long_haul,
        long_haul_after: before.long_haul_after,
        admin: before.admin,
        admin_token_file: before.admin_token_file,
        state_file: before.state_file,
        drain_dir: before.drain_dir,
        proxy_status: before.proxy_status,
        access_log: before.access_log,
        access_format: before.access_format,
        log_format: before.log_format,
        ..asked
    }
}

/// The share of the pool that one backend may hold; all of it is no limit.
pub fn max_held(config: &Config) -> usize {
    match config.backend_share_percent {
        100 => usize::MAX,
        percent => (config.n_workers * percent / 100).max(1),
    }
}

/// What a gate allows.
pub fn gate_settings(config: &Config) -> gate::Settings {
    gate::Settings {
        limits: config.limits,
        max_connections: config.max_connections,
        max_per_client: config.max_connections_per_client,
        max_requests: config.max_requests,
        header_timeout: config.header_timeout,
        keep_alive_timeout: config.keep_alive_timeout,
        idle_timeout: config.idle_timeout,
        pace: MinRate {
            bytes_per_second: config.min_rate,
            grace: config.idle_timeout,
        },
        accept_proxy: config.accept_proxy,
        n_workers: config.n_workers,
    }
}
