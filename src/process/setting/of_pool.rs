//! The options of a pool: those of one on the command line, those of each in the file.

use crate::pool::{HttpProbe, Kinds, Policy, PoolSettings, ProbeKind, Sticky, WhenAllDown};
use crate::process::draft::PoolDraft;
use crate::process::setting::{Kind, Setting, Told, listed, put, put_some};
use crate::process::values::{self, kinds_texts, statuses_texts};

type Row = Setting<PoolDraft, PoolSettings>;

/// All of them, in the order in which they are told.
pub static POOL_SETTINGS: [Row; 33] = [
    Row::text(
        "policy",
        |o| o.policy.as_deref(),
        |d, text| put_some(&mut d.policy, values::policy(text)),
        |s| s.policy.to_string().into(),
    ),
    Row::one(
        "hash-max-load",
        |o| o.hash_max_load.as_deref(),
        |d, text| put_some(&mut d.hash_max_load, values::overload(text)),
        |s| max_load(s).map(per_cent).into(),
    ),
    Row::text(
        "sticky",
        |o| o.sticky.as_deref(),
        |d, text| put(&mut d.sticky.cookie, values::cookie(text)),
        |s| sticky(s, |c| Some(c.cookie.clone())),
    ),
    Row::text(
        "sticky-secret",
        |o| o.sticky_secret.as_deref(),
        |d, text| put_some(&mut d.sticky.secret, values::secret(text)),
        |s| sticky(s, |c| c.secret.clone()),
    ),
    Row::one(
        "sticky-max-age",
        |o| o.sticky_max_age.as_deref(),
        |d, text| put_some(&mut d.sticky.max_age, values::cookie_age(text)),
        |s| sticky(s, |c| c.max_age),
    ),
    Setting {
        name: "sticky-secure",
        kind: Kind::Switch {
            typed: |o| o.sticky_secure,
            set: |d, is_on| d.sticky.is_secure = is_on,
        },
        tell: |s| sticky(s, |c| c.is_secure.then_some(true)),
    },
    Row::text(
        "health",
        |o| o.health.as_deref(),
        |d, text| put_some(&mut d.probe, values::probe(text)),
        |s| probe_word(s).to_owned().into(),
    ),
    Row::text(
        "health-path",
        |o| o.health_path.as_deref(),
        |d, text| put(&mut d.http.path, values::probe_path(text)),
        |s| http(s, |h| Some(h.path.clone())),
    ),
    Row::text(
        "health-host",
        |o| o.health_host.as_deref(),
        |d, text| put_some(&mut d.http.host, values::probe_host(text)),
        |s| http(s, |h| h.host.clone()),
    ),
    Setting {
        name: "health-expect",
        kind: Kind::List {
            can_be_empty: false,
            typed: |o| listed(o.health_expect.as_deref()),
            clear: |d| d.http.expect.0.clear(),
            add: |d, text| values::add_statuses(&mut d.http.expect, text),
        },
        tell: |s| http(s, |h| Some(statuses_texts(&h.expect))),
    },
    Row::text(
        "health-text",
        |o| o.health_text.as_deref(),
        |d, text| put_some(&mut d.http.text, values::probe_text(text)),
        |s| http(s, |h| h.text.clone()),
    ),
    Row::text(
        "health-drain-field",
        |o| o.health_drain_field.as_deref(),
        |d, text| put_some(&mut d.http.drain_field, values::field_name(text)),
        |s| http(s, |h| h.drain_field.clone()),
    ),
    Row::one(
        "health-interval",
        |o| o.health_interval.as_deref(),
        |d, text| put(&mut d.settings.probe.interval, values::duration(text)),
        |s| s.probe.interval.into(),
    ),
    Row::one(
        "health-fast-interval",
        |o| o.health_fast_interval.as_deref(),
        |d, text| put(&mut d.settings.probe.fast_interval, values::duration(text)),
        |s| s.probe.fast_interval.into(),
    ),
    Row::one(
        "health-timeout",
        |o| o.health_timeout.as_deref(),
        |d, text| put(&mut d.settings.probe.timeout, values::duration(text)),
        |s| s.probe.timeout.into(),
    ),
    Row::one(
        "rise",
        |o| o.rise.as_deref(),
        |d, text| put(&mut d.settings.probe.rise, values::in_a_row(text)),
        |s| s.probe.rise.into(),
    ),
    Row::one(
        "fall",
        |o| o.fall.as_deref(),
        |d, text| put(&mut d.settings.probe.fall, values::in_a_row(text)),
        |s| s.probe.fall.into(),
    ),
    Row::one(
        "max-failures",
        |o| o.max_failures.as_deref(),
        |d, text| {
            put(
                &mut d.settings.passive.max_failures,
                values::exchanges(text),
            )
        },
        |s| s.passive.max_failures.into(),
    ),
    Row::one(
        "failure-window",
        |o| o.failure_window.as_deref(),
        |d, text| put(&mut d.settings.passive.window, values::duration(text)),
        |s| s.passive.window.into(),
    ),
    Row::one(
        "failure-rate",
        |o| o.failure_rate.as_deref(),
        |d, text| {
            put_some(
                &mut d.settings.passive.failure_rate_percent,
                values::part(text),
            )
        },
        |s| s.passive.failure_rate_percent.map(per_cent).into(),
    ),
    Row::one(
        "failure-rate-min",
        |o| o.failure_rate_min.as_deref(),
        |d, text| {
            put(
                &mut d.settings.passive.failure_rate_min,
                values::exchanges(text),
            )
        },
        |s| s.passive.failure_rate_min.into(),
    ),
    Row::one(
        "eject-time",
        |o| o.eject_time.as_deref(),
        |d, text| put(&mut d.settings.passive.eject_time, values::duration(text)),
        |s| s.passive.eject_time.into(),
    ),
    Row::one(
        "max-eject-time",
        |o| o.max_eject_time.as_deref(),
        |d, text| {
            put(
                &mut d.settings.passive.max_eject_time,
                values::duration(text),
            )
        },
        |s| s.passive.max_eject_time.into(),
    ),
    Row::one(
        "max-ejected",
        |o| o.max_ejected.as_deref(),
        |d, text| {
            put(
                &mut d.settings.passive.max_ejected_percent,
                values::part_or_none(text),
            )
        },
        |s| per_cent(s.passive.max_ejected_percent).into(),
    ),
    Setting {
        name: "fail-on",
        kind: Kind::List {
            can_be_empty: true,
            typed: |o| listed(o.fail_on.as_deref()),
            clear: |d| d.settings.passive.fail_on = Kinds::default(),
            add: |d, text| values::add_kind(&mut d.settings.passive.fail_on, text),
        },
        tell: |s| kinds_texts(&s.passive.fail_on).into(),
    },
    Row::one(
        "when-all-down",
        |o| o.when_all_down.as_deref(),
        |d, text| put(&mut d.settings.when_all_down, values::when_all_down(text)),
        |s| all_down_word(s).to_owned().into(),
    ),
    Row::one(
        "slow-start",
        |o| o.slow_start.as_deref(),
        |d, text| {
            put(
                &mut d.settings.slow_start,
                values::duration_or_at_once(text),
            )
        },
        |s| s.slow_start.into(),
    ),
    Row::one(
        "retries",
        |o| o.retries.as_deref(),
        |d, text| put(&mut d.settings.retry.retries, values::retries(text)),
        |s| s.retry.retries.into(),
    ),
    Setting {
        name: "retry-on",
        kind: Kind::List {
            can_be_empty: true,
            typed: |o| listed(o.retry_on.as_deref()),
            clear: |d| d.settings.retry.on = Kinds::default(),
            add: |d, text| values::add_kind(&mut d.settings.retry.on, text),
        },
        tell: |s| kinds_texts(&s.retry.on).into(),
    },
    Setting {
        name: "retry-methods",
        kind: Kind::List {
            // Without one, all count: an empty list would read as none.
            can_be_empty: false,
            typed: |o| listed(o.retry_methods.as_deref()),
            clear: |d| d.settings.retry.methods.clear(),
            add: |d, text| {
                d.settings.retry.methods.push(values::retry_method(text)?);
                Ok(())
            },
        },
        tell: |s| {
            let methods = Some(&s.retry.methods).filter(|methods| !methods.is_empty());
            methods.cloned().into()
        },
    },
    Setting {
        name: "retry-idempotency-key",
        kind: Kind::Switch {
            typed: |o| o.retry_idempotency_key,
            set: |d, is_on| d.settings.retry.trusts_idempotency_key = is_on,
        },
        tell: |s| s.retry.trusts_idempotency_key.into(),
    },
    Row::one(
        "retry-budget",
        |o| o.retry_budget.as_deref(),
        |d, text| {
            put(
                &mut d.settings.retry.budget_percent,
                values::part_or_none(text),
            )
        },
        |s| per_cent(s.retry.budget_percent).into(),
    ),
    Row::one(
        "retry-budget-min",
        |o| o.retry_budget_min.as_deref(),
        |d, text| put(&mut d.settings.retry.budget_min, values::exchanges(text)),
        |s| s.retry.budget_min.into(),
    ),
];

fn per_cent(n: u32) -> String {
    format!("{n}%")
}

fn max_load(settings: &PoolSettings) -> Option<u32> {
    match settings.policy {
        Policy::Hash {
            max_load_percent, ..
        } => max_load_percent,
        _ => None,
    }
}

fn sticky<T: Into<Told>>(settings: &PoolSettings, tell: fn(&Sticky) -> Option<T>) -> Told {
    settings.sticky.as_ref().and_then(tell).into()
}

fn http<T: Into<Told>>(settings: &PoolSettings, tell: fn(&HttpProbe) -> Option<T>) -> Told {
    match &settings.probe.kind {
        ProbeKind::Http(probe) => tell(probe).into(),
        _ => Told::Nothing,
    }
}

fn probe_word(settings: &PoolSettings) -> &'static str {
    match settings.probe.kind {
        ProbeKind::Off => "off",
        ProbeKind::Tcp => "tcp",
        ProbeKind::Http(_) => "http",
    }
}

fn all_down_word(settings: &PoolSettings) -> &'static str {
    match settings.when_all_down {
        WhenAllDown::Refuse => "503",
        WhenAllDown::Try => "try",
    }
}
