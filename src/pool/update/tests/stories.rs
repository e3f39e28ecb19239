//! Who serves while a pool is replaced, step by step.

use proptest::prelude::*;
use proptest::test_runner::Config;

use super::scene::Scene;

/// Who is there at the start; steps, and behind each who serves then; who is there in the end.
type Story = (&'static str, &'static str, &'static str);

const STORIES: &[Story] = &[
    // All are new: until the first good probe, through reloads that come between.
    ("a", "+a:a =b:a =b:a +b:b", "b"),
    ("ab", "=cd:ab -c:ab +d:d =cd:d", "cd"),
    // Bad, then good: once is not enough, or nobody would serve.
    ("a", "=bc:a -b:a -c:a +b:a +b:b", "bc"),
    // Back again.
    ("a", "=b:a =a:a +b:a", "a"),
    ("a", "=b:a -b:a =a:a =b:a +b:b", "b"),
    // Another one while one waits.
    ("a", "=b:a =c:a +b:ab +c:c", "c"),
    ("a", "=b:a -b:a =c:a +c:c", "c"),
    // The old ones fail meanwhile.
    ("a", "+a:a =b:a -a:a -a:a -a:b", "b(a)"),
    // Who stays serves, or does not.
    ("ab", "=ac:a +c:ac", "ac"),
    ("ab", "-a:b =ac:b -c:b +c:b +c:c", "ac"),
    ("ab", "-a:b =ac:b +a:b +a:a", "ac"),
    ("ab", "-b:a =c:a +c:c", "c"),
    // New is better than nobody.
    ("ab", "-a:b -b: =c:c", "c"),
];

#[test]
fn somebody_who_works_serves_at_every_step() {
    // Goal: who serves, step by step, and who is there in the end. Trick: a table of small stories.
    for (start, steps, members) in STORIES {
        let scene = Scene::probed(start);
        for step in steps.split(' ') {
            let (step, serving) = step.split_once(':').expect("a step tells who serves");
            scene.play(step);
            assert_eq!(scene.serving(), serving, "{step} of {start}, {steps}");
        }
        assert_eq!(scene.members(), *members, "{start}, {steps}");
    }
}

fn sets() -> impl Strategy<Value = String> {
    let letters = prop::sample::subsequence(vec!['a', 'b', 'c', 'd'], 1..=4);
    letters.prop_map(|letters| letters.into_iter().collect())
}

fn steps() -> impl Strategy<Value = Vec<String>> {
    let name = || prop::sample::select(vec!['a', 'b', 'c', 'd']);
    let step = prop_oneof![
        1 => sets().prop_map(|set| format!("={set}")),
        2 => name().prop_map(|name| format!("+{name}")),
        1 => name().prop_map(|name| format!("-{name}")),
    ];
    prop::collection::vec(step, 0..30)
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn a_reload_never_takes_the_last_one_that_works(start in sets(), steps in steps()) {
        // Goal: whatever happens, the pool has who is wanted, and others only while none of those
        // is known to work; and no step but a bad probe takes the last one that is up.
        let scene = Scene::probed(&start);
        let mut wanted = start.clone();
        let n_serving = || {
            let roster = scene.pool.roster.read();
            roster.members.iter().filter(|m| m.is_serving(&scene.settings)).count()
        };
        for step in &steps {
            let n_before = n_serving();
            scene.play(step);
            if let Some(set) = step.strip_prefix('=') {
                set.clone_into(&mut wanted);
            }
            let roster = scene.pool.roster.read();
            let new = roster.members.iter().filter(|m| !m.is_retiring);
            let names: Vec<&str> = new.map(|m| m.spec.name.as_str()).collect();
            prop_assert_eq!(names.concat(), wanted.as_str(), "{}", step);
            drop(roster);
            let has_some = step.starts_with('-') || n_before == 0 || n_serving() > 0;
            prop_assert!(has_some, "{} of {:?}", step, steps);
        }
    }
}
