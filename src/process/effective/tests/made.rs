//! Pools and edits at random, all of them valid, and full of what TOML or we could trip over.

use std::time::Duration;

use proptest::prelude::*;

use crate::exchange::route::FieldEdits;
use crate::pool::{BackendSpec, BackendUrl, HttpProbe, Kinds, Policy, PoolSettings, PoolSpec};
use crate::pool::{ProbeKind, Statuses, Sticky, WhenAllDown};
use crate::process::values;

fn text() -> impl Strategy<Value = String> {
    let letters = prop_oneof![
        4 => prop::sample::select(vec!['$', '{', '}', '"', '\\', '\'', '#', '\n', '\t', ' ', ',']),
        4 => prop::char::range(' ', '~'),
        1 => any::<char>(),
    ];
    let text = prop::collection::vec(letters, 8..40);
    text.prop_map(|letters| letters.into_iter().collect())
}

fn time() -> impl Strategy<Value = Duration> {
    let ms = prop_oneof![1..5000_u64, (1..1000_u64).prop_map(|s| s * 1000)];
    ms.prop_map(Duration::from_millis)
}

fn statuses() -> impl Strategy<Value = Statuses> {
    let range = (100..600_u16, 100..600_u16).prop_map(|(a, b)| (a.min(b), a.max(b)));
    prop::collection::vec(range, 1..4).prop_map(Statuses)
}

fn kinds() -> impl Strategy<Value = Kinds> {
    let kinds = (any::<[bool; 4]>(), prop::option::of(statuses()));
    kinds.prop_map(|([connect, reset, timeout, bad_answer], statuses)| Kinds {
        connect,
        reset,
        timeout,
        bad_answer,
        statuses: statuses.unwrap_or_default(),
    })
}

fn probe_kind() -> impl Strategy<Value = ProbeKind> {
    let http = (statuses(), prop::option::of(text()), any::<bool>());
    prop_oneof![
        Just(ProbeKind::Off),
        Just(ProbeKind::Tcp),
        http.prop_map(|(expect, text, is_long)| {
            ProbeKind::Http(HttpProbe {
                path: if is_long { "/${x}?y" } else { "/" }.to_owned(),
                host: is_long.then(|| "a.b:80".to_owned()),
                expect,
                text,
                drain_field: is_long.then(|| "X-Drain".to_owned()),
            })
        }),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    let names = "weighted-round-robin least-connections random-two-choices ip-hash uri-hash \
                 header-hash:X-${ cookie-hash:id";
    let names: Vec<&str> = names
        .split(' ')
        .filter(|name| !name.contains('{'))
        .collect();
    let policy = (prop::sample::select(names), prop::option::of(101..1000_u32));
    policy.prop_map(|(name, load)| {
        let mut policy = values::policy(name).expect("it is one of them");
        if let Policy::Hash {
            max_load_percent, ..
        } = &mut policy
        {
            *max_load_percent = load;
        }
        policy
    })
}

fn settings() -> impl Strategy<Value = PoolSettings> {
    let sticky = (
        prop::option::of(text()),
        prop::option::of(1..9999_u64),
        any::<bool>(),
    );
    let sticky = sticky.prop_map(|(secret, max_age, is_secure)| Sticky {
        cookie: "SRV".to_owned(),
        secret,
        max_age: max_age.map(Duration::from_secs),
        is_secure,
    });
    let times = (time(), time(), time(), time(), time());
    let numbers = (1..1000_u32, 0..1000_u32, 0..=100_u32, any::<bool>());
    let made = (
        policy(),
        prop::option::of(sticky),
        probe_kind(),
        kinds(),
        times,
        numbers,
    );
    made.prop_map(|(policy, sticky, kind, kinds, times, numbers)| {
        let mut settings = PoolSettings {
            policy,
            sticky,
            ..PoolSettings::default()
        };
        let (probe, passive) = (&mut settings.probe, &mut settings.passive);
        probe.kind = kind;
        (probe.timeout, passive.window, settings.slow_start) = (times.0, times.1, times.2);
        probe.interval = times.3.max(times.4);
        probe.fast_interval = times.3.min(times.4);
        passive.max_eject_time = probe.interval;
        passive.eject_time = probe.fast_interval;
        let (small, large, share, is_so) = numbers;
        (probe.rise, passive.max_failures) = (small, large);
        passive.failure_rate_percent = Some(share).filter(|&n| n > 0);
        (passive.max_ejected_percent, settings.retry.budget_percent) = (share, share);
        passive.fail_on = kinds.clone();
        settings.retry.on = kinds;
        settings.retry.trusts_idempotency_key = is_so;
        if is_so {
            settings.retry.methods = vec!["GET".to_owned(), "PUT".to_owned()];
            settings.when_all_down = WhenAllDown::Try;
        }
        settings
    })
}

/// A pool of this number.
pub fn pool(n: usize) -> impl Strategy<Value = PoolSpec> {
    let backend = (
        1..=256_u32,
        any::<bool>(),
        prop::option::of(1..99_usize),
        time(),
    );
    let backends = prop::collection::vec(backend, 1..4);
    (settings(), backends).prop_map(move |(settings, backends)| {
        let backend = |(i, (weight, is_backup, max_connections, slow_start))| BackendSpec {
            weight,
            is_backup,
            max_connections,
            slow_start: Some(slow_start).filter(|_| is_backup),
            ..BackendSpec::new(BackendUrl::parse(&format!("http://h{i}/b,c")).expect("a URL"))
        };
        PoolSpec {
            name: format!("pool-{n}"),
            settings,
            backends: backends.into_iter().enumerate().map(backend).collect(),
        }
    })
}

/// Changes of fields.
pub fn edits() -> impl Strategy<Value = FieldEdits> {
    let value = text().prop_map(|t| t.replace(char::is_control, "").trim().to_owned());
    prop::collection::vec(value, 0..3).prop_map(|values| FieldEdits {
        remove: values
            .iter()
            .map(|value| format!("R-{}", value.len()))
            .collect(),
        set: values
            .into_iter()
            .enumerate()
            .map(|(i, value)| (format!("X-{}", 9 - i), value))
            .collect(),
    })
}
