//! What no sequence of events ever leads to.

use proptest::prelude::*;

use super::scene::{Rules, SECOND, Scene};
use super::*;

/// Whether an event may make this change.
fn is_documented(event: char, was: &Health, change: &Change) -> bool {
    use State::{Down, Trial, Unknown, Up};
    match (change.from, change.to) {
        (Unknown | Up, Down) => matches!(event, '-' | 'x'),
        (Trial, Down) => matches!(event, '-' | 'x'),
        (Trial, Up) => matches!(event, 'o' | 'l' | '+'),
        (Down, Up) => event == '+' && !was.is_ejected(),
        (Down, Trial) => matches!(event, '+' | 't'),
        _ => false,
    }
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let kinds = prop_oneof![Just(ProbeKind::Off), Just(ProbeKind::Tcp)];
    let probe = (kinds, 0_u32..5, 0_u32..5);
    let passive = (
        0_u32..5,
        proptest::option::of(0_u32..120),
        0_u32..8,
        0_u32..15,
        0_u32..5,
        0_u32..12,
    );
    (probe, passive).prop_map(|((kind, rise, fall), passive)| {
        let mut rules = Rules::default();
        rules.probe.kind = kind;
        rules.probe.rise = rise;
        rules.probe.fall = fall;
        rules.passive.max_failures = passive.0;
        rules.passive.failure_rate_percent = passive.1;
        rules.passive.failure_rate_min = passive.2;
        rules.passive.window = passive.3 * SECOND;
        rules.passive.eject_time = passive.4 * SECOND;
        rules.passive.max_eject_time = passive.5 * SECOND;
        rules
    })
}

proptest! {
    // Goal: nothing that can happen, in whatever order and under whatever rules, leads past them.
    // Trick: each change is held against the table of all that are documented.
    #[test]
    fn no_sequence_of_events_leads_past_the_rules(
        rules in any_rules(),
        events in proptest::collection::vec(
            proptest::sample::select(vec!['+', '-', 'x', 'l', 'o', 't', '.', ',']),
            0..200,
        ),
    ) {
        let mut scene = Scene::new(rules.clone());
        for event in events {
            let was = scene.health.clone();
            let change = scene.event(event);
            let health = &scene.health;
            if let Some(change) = &change {
                prop_assert_eq!((change.from, change.to), (was.state(), health.state()));
                prop_assert!(is_documented(event, &was, change), "{event}: {change:?}");
                prop_assert_eq!(health.since(), scene.now);
            } else {
                let is_known_now = was.state() == State::Unknown && health.state() == State::Up;
                prop_assert!(was.state() == health.state() || (is_known_now && event == '+'));
            }
            let to = change.map(|change| change.to);
            if to == Some(State::Down) && event == 'x' {
                let hold = health.held_until - scene.now;
                let Passive { eject_time, max_eject_time, .. } = rules.passive;
                prop_assert!(hold <= max_eject_time && hold >= eject_time.min(max_eject_time));
                prop_assert!(health.is_ejected());
            }
            if to == Some(State::Trial) {
                prop_assert!(scene.now >= health.held_until);
                let is_off = rules.probe.kind == ProbeKind::Off;
                prop_assert!(is_off || was.contrary_probes + 1 >= rules.probe.rise);
            }
            prop_assert!(!(health.is_ejected() && health.is_up()));
            let is_due = health.next_tick(&rules.probe).is_some();
            prop_assert!(health.state() == State::Down || !is_due);
        }
    }
}
