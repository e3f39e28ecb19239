//! The options of the process as a whole.

use crate::process::config::Config;
use crate::process::setting::{Kind, Setting, put, put_limit, put_some, repeated};
use crate::process::values::{self, size_text};

type Row = Setting<Config, Config>;

/// All of them, in the order in which they are told.
pub static PROCESS_SETTINGS: [Row; 36] = [
    Setting {
        name: "listen",
        kind: Kind::List {
            can_be_empty: false,
            typed: |o| repeated(&o.listen),
            clear: |c| c.listen.clear(),
            add: |c, text| {
                c.listen.push(values::listen(text)?);
                Ok(())
            },
        },
        tell: |c| texts(&c.listen).into(),
    },
    Row::text(
        "listener",
        |o| o.listener.as_deref(),
        |c, text| put(&mut c.listener, values::listener(text)),
        |c| c.listener.to_string().into(),
    ),
    Setting {
        name: "accept-proxy",
        kind: Kind::Switch {
            typed: |o| o.accept_proxy,
            set: |c, is_on| c.accept_proxy = is_on,
        },
        tell: |c| c.accept_proxy.into(),
    },
    Setting {
        name: "trust",
        kind: Kind::List {
            can_be_empty: true,
            typed: |o| repeated(&o.trust),
            clear: |c| c.trust.clear(),
            add: |c, text| {
                c.trust.push(values::trust(text)?);
                Ok(())
            },
        },
        tell: |c| c.trust.clone().into(),
    },
    Row::one(
        "workers",
        |o| o.workers.as_deref(),
        |c, text| put(&mut c.n_workers, values::workers(text)),
        |c| c.n_workers.into(),
    ),
    Row::one(
        "queue",
        |o| o.queue.as_deref(),
        |c, text| put(&mut c.queue_capacity, values::queue(text)),
        |c| c.queue_capacity.into(),
    ),
    Row::one(
        "queue-timeout",
        |o| o.queue_timeout.as_deref(),
        |c, text| put(&mut c.queue_timeout, values::duration(text)),
        |c| c.queue_timeout.into(),
    ),
    Row::one(
        "max-connections",
        |o| o.max_connections.as_deref(),
        |c, text| put(&mut c.max_connections, values::connections(text)),
        |c| c.max_connections.into(),
    ),
    Row::one(
        "max-connections-per-client",
        |o| o.max_connections_per_client.as_deref(),
        |c, text| put_limit(&mut c.max_connections_per_client, values::count(text)),
        |c| c.max_connections_per_client.unwrap_or(0).into(),
    ),
    Row::one(
        "max-requests",
        |o| o.max_requests.as_deref(),
        |c, text| put_limit(&mut c.max_requests, values::requests(text)),
        |c| c.max_requests.unwrap_or(0).into(),
    ),
    Row::one(
        "max-target",
        |o| o.max_target.as_deref(),
        |c, text| put(&mut c.limits.max_target, values::target_size(text)),
        |c| size_text(c.limits.max_target as u64).into(),
    ),
    Row::one(
        "max-fields",
        |o| o.max_fields.as_deref(),
        |c, text| put(&mut c.limits.max_fields, values::fields(text)),
        |c| c.limits.max_fields.into(),
    ),
    Row::one(
        "max-fields-size",
        |o| o.max_fields_size.as_deref(),
        |c, text| put(&mut c.limits.max_fields_bytes, values::fields_size(text)),
        |c| size_text(c.limits.max_fields_bytes as u64).into(),
    ),
    Row::one(
        "max-content",
        |o| o.max_content.as_deref(),
        |c, text| put_limit(&mut c.limits.max_content, values::content_size(text)),
        |c| size_text(c.limits.max_content.unwrap_or(0)).into(),
    ),
    Row::one(
        "header-timeout",
        |o| o.header_timeout.as_deref(),
        |c, text| put(&mut c.header_timeout, values::duration(text)),
        |c| c.header_timeout.into(),
    ),
    Row::one(
        "keep-alive-timeout",
        |o| o.keep_alive_timeout.as_deref(),
        |c, text| put(&mut c.keep_alive_timeout, values::duration(text)),
        |c| c.keep_alive_timeout.into(),
    ),
    Row::one(
        "min-rate",
        |o| o.min_rate.as_deref(),
        |c, text| put_limit(&mut c.min_rate, values::rate(text)),
        |c| c.min_rate.unwrap_or(0).into(),
    ),
    Row::one(
        "connect-timeout",
        |o| o.connect_timeout.as_deref(),
        |c, text| put(&mut c.connect_timeout, values::duration(text)),
        |c| c.connect_timeout.into(),
    ),
    Row::one(
        "response-timeout",
        |o| o.response_timeout.as_deref(),
        |c, text| put(&mut c.response_timeout, values::duration(text)),
        |c| c.response_timeout.into(),
    ),
    Row::one(
        "idle-timeout",
        |o| o.idle_timeout.as_deref(),
        |c, text| put(&mut c.idle_timeout, values::duration(text)),
        |c| c.idle_timeout.into(),
    ),
    Row::one(
        "tunnel-idle-timeout",
        |o| o.tunnel_idle_timeout.as_deref(),
        |c, text| put_limit(&mut c.tunnel_idle_timeout, values::duration_or_off(text)),
        |c| c.tunnel_idle_timeout.unwrap_or_default().into(),
    ),
    Row::one(
        "long-haul",
        |o| o.long_haul.as_deref(),
        |c, text| put(&mut c.max_long_haul, values::long_haul(text)),
        |c| c.max_long_haul.into(),
    ),
    Row::one(
        "long-haul-after",
        |o| o.long_haul_after.as_deref(),
        |c, text| put(&mut c.long_haul_after, values::duration(text)),
        |c| c.long_haul_after.into(),
    ),
    Row::one(
        "backend-share",
        |o| o.backend_share.as_deref(),
        |c, text| put(&mut c.backend_share_percent, values::percent(text)),
        |c| format!("{}%", c.backend_share_percent).into(),
    ),
    Row::one(
        "resolve-interval",
        |o| o.resolve_interval.as_deref(),
        |c, text| put(&mut c.resolve_interval, values::duration(text)),
        |c| c.resolve_interval.into(),
    ),
    Row::one(
        "shutdown-timeout",
        |o| o.shutdown_timeout.as_deref(),
        |c, text| put(&mut c.shutdown_timeout, values::duration(text)),
        |c| c.shutdown_timeout.into(),
    ),
    Row::text(
        "admin",
        |o| o.admin.as_deref(),
        |c, text| put_some(&mut c.admin, values::admin(text)),
        |c| c.admin.as_ref().map(ToString::to_string).into(),
    ),
    Row::text(
        "admin-token-file",
        |o| o.admin_token_file.as_deref(),
        |c, text| put_some(&mut c.admin_token_file, values::path(text)),
        |c| c.admin_token_file.clone().into(),
    ),
    Row::text(
        "state-file",
        |o| o.state_file.as_deref(),
        |c, text| put_some(&mut c.state_file, values::path(text)),
        |c| c.state_file.clone().into(),
    ),
    Row::text(
        "drain-dir",
        |o| o.drain_dir.as_deref(),
        |c, text| put_some(&mut c.drain_dir, values::path(text)),
        |c| c.drain_dir.clone().into(),
    ),
    Row::text(
        "request-id",
        |o| o.request_id.as_deref(),
        |c, text| put(&mut c.request_ids, values::request_ids(text)),
        |c| c.request_ids.word().to_owned().into(),
    ),
    Row::text(
        "proxy-status",
        |o| o.proxy_status.as_deref(),
        |c, text| put_some(&mut c.proxy_status, values::proxy_status(text)),
        |c| c.proxy_status.clone().into(),
    ),
    Row::text(
        "access-log",
        |o| o.access_log.as_deref(),
        |c, text| put_some(&mut c.access_log, values::access_log(text)),
        |c| c.access_log.as_ref().map(ToString::to_string).into(),
    ),
    Row::text(
        "access-format",
        |o| o.access_format.as_deref(),
        |c, text| put(&mut c.access_format, values::access_format(text)),
        |c| c.access_format.to_string().into(),
    ),
    Row::text(
        "log-level",
        |o| o.log_level.as_deref(),
        |c, text| put(&mut c.log_level, values::level(text)),
        |c| c.log_level.to_string().to_lowercase().into(),
    ),
    Row::text(
        "log-format",
        |o| o.log_format.as_deref(),
        |c, text| put(&mut c.log_format, values::log_format(text)),
        |c| c.log_format.word().to_owned().into(),
    ),
];

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}
