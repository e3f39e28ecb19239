//! What events lead to what state.

use super::scene::{Rules, SECOND, Scene};
use super::*;

#[track_caller]
fn assert_states(rules: &Rules, cases: &[(&str, State, usize)]) {
    for (events, state, n_changes) in cases {
        let mut scene = Scene::new(rules.clone());
        scene.play(events);
        let seen = (scene.health.state(), scene.n_changes);
        assert_eq!(seen, (*state, *n_changes), "{events:?}");
    }
}

#[test]
fn events_lead_to_the_right_state() {
    use State::{Down, Unknown, Up};
    let cases = [
        ("", Unknown, 0),
        ("+", Up, 0),
        ("-", Down, 1),
        // fall 3, and a good probe between starts the count again
        ("+--", Up, 0),
        ("+---", Down, 1),
        ("+--+--", Up, 0),
        ("+--+---", Down, 1),
        // rise 2, and a bad probe between starts the count again; no trial for what probes did
        ("-+", Down, 1),
        ("-++", Up, 2),
        ("-+-+", Down, 1),
        ("-+-++", Up, 2),
        // three failures in the window, none good between
        ("+xx", Up, 0),
        ("+xxx", Down, 1),
        ("+xxox", Up, 0),
        ("+xx.,x", Up, 0),
        ("+xx.x", Down, 1),
        ("xxx", Down, 1),
        ("+xxxxxxx", Down, 1),
        // an answer to an older request does not bring it back
        ("+xxxo", Down, 1),
        ("-o", Down, 1),
        // the last one up is never ejected by exchanges, but probes may
        ("+llllll", Up, 0),
        ("+llllll---", Down, 1),
        ("+llx", Down, 1),
    ];
    assert_states(&Rules::default(), &cases);
}

#[test]
fn what_exchanges_took_down_comes_back_on_trial() {
    use State::{Down, Trial, Unknown, Up};
    let cases = [
        // ejected: held for two seconds, and until rise good probes are in; then on trial
        ("+xxx++", Down, 1),
        ("+xxx++,+", Down, 1),
        // who could not be connected to is well when probes can
        ("+ccc++,+", Down, 1),
        ("+ccc++,,+", Up, 2),
        ("+ccc++,,t", Up, 2),
        ("+ccx,,++", Trial, 2),
        ("+cccx,,++", Up, 2),
        ("+xxx++,,+", Trial, 2),
        ("+xxx,,+", Down, 1),
        ("+xxx,,++", Trial, 2),
        ("+xxx,,+-+", Down, 1),
        // the end of that time needs no further probe
        ("+xxx++t", Down, 1),
        ("+xxx++,t", Down, 1),
        ("+xxx++,,t", Trial, 2),
        ("+xxx+,,t", Down, 1),
        ("+xxx++-,,t", Down, 1),
        // on trial: one answer, and it is up; one failure, and it is down for twice as long
        ("+xxx,,++o", Up, 3),
        ("+xxx,,++x", Down, 3),
        ("+xxx,,++x,,,++", Down, 3),
        ("+xxx,,++x,,,++,+", Trial, 4),
        ("+xxx,,++x,,,,++o", Up, 5),
        ("+xxx,,++x,,,,++x,,,,,,,++", Down, 5),
        ("+xxx,,++x,,,,++x,,,,,,,,++", Trial, 6),
        // rise good probes end a trial that nobody asks for; bad ones too, and another follows
        ("+xxx,,+++", Trial, 2),
        ("+xxx,,++++", Up, 3),
        ("+xxx,,++--", Trial, 2),
        ("+xxx,,++--+--", Trial, 2),
        ("+xxx,,++--+--+", Up, 3),
        ("+xxx,,++---", Down, 3),
        ("+xxx,,++---++", Trial, 4),
        // the last one is never ejected, also not again
        ("+xxx,,++l", Up, 3),
        // the second ejection is longer, also after it was up
        ("+xxx,,++oxxx,,,++", Down, 4),
        ("+xxx,,++oxxx,,,,++", Trial, 5),
        // up again, it must fail as often as ever
        ("+xxx,,++oxx", Up, 3),
        ("+xxx,,++o--", Up, 3),
        // a tick changes nothing where probes decide
        ("t", Unknown, 0),
        ("+t", Up, 0),
        ("-....t", Down, 1),
        ("-+t", Down, 1),
    ];
    assert_states(&Rules::default(), &cases);
}

#[test]
fn the_settings_say_how_many_and_how_long() {
    use State::{Down, Trial, Up};
    let mut rules = Rules::default();
    rules.probe.fall = 1;
    rules.probe.rise = 1;
    assert_states(&rules, &[("+-", Down, 1), ("+-+", Up, 2)]);
    rules.probe.rise = 4;
    assert_states(&rules, &[("-+++", Down, 1), ("-++++", Up, 2)]);
    rules.passive.max_failures = 1;
    rules.passive.window = SECOND;
    assert_states(&rules, &[("+x", Down, 1)]);
    rules.passive.max_failures = 2;
    assert_states(&rules, &[("+x,x", Down, 1), ("+x,,x", Up, 0)]);
    rules.passive.eject_time = 3 * SECOND;
    rules.passive.max_eject_time = 4 * SECOND;
    let cases = [
        ("+xx,,++++", Down, 1),
        ("+xx,,,++++", Trial, 2),
        ("+xx,,,++++x,,,++++", Down, 3),
        ("+xx,,,++++x,,,,++++", Trial, 4),
        ("+xx,,,++++x,,,,++++x,,,,++++", Trial, 6),
    ];
    assert_states(&rules, &cases);
}

#[test]
fn no_number_of_failures_ejects_where_the_rules_say_never() {
    let mut rules = Rules::default();
    rules.passive.max_failures = 0;
    let events = "+".to_owned() + &"x".repeat(1000);
    assert_states(&rules, &[(&events, State::Up, 0)]);
}

#[test]
fn a_share_of_failures_ejects_from_its_least_number_on() {
    use State::{Down, Trial, Up};
    let mut rules = Rules::default();
    rules.passive.max_failures = 0;
    rules.passive.failure_rate_percent = Some(50);
    rules.passive.failure_rate_min = 6;
    let cases = [
        ("xxxxx", State::Unknown, 0),
        ("+xxxxx", Up, 0),
        ("+xxxxxx", Down, 1),
        // half of them, and just below
        ("+xoxooxx", Down, 1),
        ("+xoxooox", Up, 0),
        ("+xoxoooxx", Down, 1),
        // what was before the window's first failure does not count
        ("+oooooooooooooxxxxx", Up, 0),
        ("+oooooooooooooxxxxxx", Down, 1),
        // a new window after ten seconds
        ("+xxxxx.x", Down, 1),
        ("+xxxxx.,x", Up, 0),
        ("+xxxxx.,xxxxx", Up, 0),
        ("+xxxxx.,xxxxxx", Down, 1),
        // the last one up stays, and is judged as soon as it isn't the last
        ("+llllllll", Up, 0),
        ("+llllllllx", Down, 1),
        // after its trial all counts begin anew
        ("+xxxxxx,,++oxxxxx", Up, 3),
        ("+xxxxxx,,++oxxxxxx", Down, 4),
        ("+xxxxxx,,++x", Down, 3),
        ("+xxxxxx,,++", Trial, 2),
    ];
    assert_states(&rules, &cases);
}

#[test]
fn without_probes_time_brings_a_backend_on_trial() {
    use State::{Down, Trial, Unknown, Up};
    let mut rules = Rules::default();
    rules.probe.kind = ProbeKind::Off;
    let cases = [
        ("t", Unknown, 0),
        ("o", Unknown, 0),
        ("xxx,t", Down, 1),
        ("xxx,,t", Trial, 2),
        ("xxx,,to", Up, 3),
        ("xxx,,tx,,,t", Down, 3),
        ("xxx,,tx,,,,t", Trial, 4),
        // taken down by probes, before a reload switched them off
        ("-t", Trial, 2),
        ("-to", Up, 3),
        ("-tx,t", Down, 3),
        ("-tx,,t", Trial, 4),
    ];
    assert_states(&rules, &cases);
}

#[test]
fn a_tick_is_due_when_an_ejection_ends_and_never_else() {
    let off = Probe {
        kind: ProbeKind::Off,
        ..Probe::default()
    };
    let on = Probe::default();
    let cases = [
        ("", &on, None),
        ("+", &on, None),
        ("-", &on, None),
        ("+xxx", &on, None),
        ("+xxx+", &on, None),
        ("+xxx++", &on, Some(2)),
        ("+xxx++-", &on, None),
        ("+xxx++,,t", &on, None),
        ("", &off, None),
        ("+xxx", &off, Some(2)),
        ("+xxx,,t", &off, None),
        ("-", &off, Some(0)),
    ];
    for (events, probe, wanted) in cases {
        let rules = Rules {
            probe: probe.clone(),
            ..Rules::default()
        };
        let mut scene = Scene::new(rules);
        let start = scene.now;
        scene.play(events);
        let wanted = wanted.map(|seconds| start + seconds * SECOND);
        assert_eq!(scene.health.next_tick(probe), wanted, "{events:?}");
    }
}

#[test]
fn an_ejection_has_a_longest_time_and_is_forgotten_after_good_times() {
    let again = "xxx".to_owned() + &",".repeat(60) + "++o";
    let capped = "+".to_owned() + &again.repeat(20);
    assert_states(&Rules::default(), &[(&capped, State::Up, 60)]);
    // Five minutes to the second are not more than five minutes.
    let well = "+".to_owned() + &again.repeat(8);
    let kept = well.clone() + &".".repeat(30) + "xxx,,++";
    assert_states(&Rules::default(), &[(&kept, State::Down, 25)]);
    let forgotten = well + &".".repeat(30) + ",xxx,,++";
    assert_states(&Rules::default(), &[(&forgotten, State::Trial, 26)]);
    // A trial that nobody came to for a long time is no good time.
    let idle = "+xxx,,++".to_owned() + &".".repeat(31) + "x,,,++";
    assert_states(&Rules::default(), &[(&idle, State::Down, 3)]);
}

#[test]
fn an_ejection_can_be_as_long_as_a_duration_can() {
    let mut rules = Rules::default();
    rules.passive.eject_time = Duration::MAX;
    rules.passive.max_eject_time = Duration::MAX;
    assert_states(&rules, &[("+xxx.++t", State::Down, 1)]);
}

#[test]
fn a_change_tells_what_was_before_and_for_how_long() {
    let mut scene = Scene::new(Rules::default());
    let start = scene.now;
    scene.play("+.--");
    let change = scene.event('-');
    let wanted = Change {
        from: State::Up,
        to: State::Down,
        lasted: 10 * SECOND,
    };
    assert_eq!(change, Some(wanted));
    assert_eq!(scene.health.since(), start + 10 * SECOND);
}

#[test]
fn probes_are_quick_only_around_a_change() {
    let cases = [
        ("", true),
        ("+", false),
        ("+-", true),
        ("+-+", false),
        ("-", true),
        ("-,,,,,,,,,", true),
        ("-.", false),
        ("-.+", true),
        ("+xxx", true),
        ("+xxx.", false),
        ("+xxx,,++....", true),
        ("+xxx,,++o", false),
    ];
    for (events, wanted) in cases {
        let mut scene = Scene::new(Rules::default());
        scene.play(events);
        let is_changing = scene.health.is_changing(scene.now);
        assert_eq!(is_changing, wanted, "{events:?}");
    }
}

#[test]
fn what_is_restored_goes_on_where_it_was() {
    use State::{Down, Trial, Unknown, Up};
    let cases = [
        (Up, false, "", Up),
        // Known to have been well: no single probe takes it down.
        (Up, false, "--", Up),
        (Up, false, "---", Down),
        (Unknown, false, "-", Down),
        (Down, false, "", Down),
        (Down, false, "+", Down),
        (Down, false, "++", Up),
        (Down, true, "t", Down),
        (Down, true, "++", Trial),
        (Down, true, "++o", Up),
        (Down, true, "++x,,,++", Down),
        (Down, true, "++x,,,,++", Trial),
        (Trial, true, "", Down),
        (Trial, false, "++", Trial),
    ];
    for (state, by_exchanges, events, wanted) in cases {
        let mut scene = Scene::new(Rules::default());
        scene.play("+xx");
        scene.health.restore(state, by_exchanges, scene.now);
        scene.play(events);
        let case = format!("{state:?} by exchanges: {by_exchanges}, {events:?}");
        assert_eq!(scene.health.state(), wanted, "{case}");
    }
}
