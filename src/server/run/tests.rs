//! What the main thread does while a reload waits for names.

use crossbeam_channel::bounded;

use super::*;

#[test]
fn a_stop_does_not_wait_for_names() {
    // Goal: the end is asked for while a look-up hangs: the wait is over, and the end is what
    // comes next, before reloads that were asked for. Trick: nobody ever tells `found`.
    let (_tell, found) = bounded(1);
    let (tell_event, events) = bounded(9);
    let (asker, _told) = bounded(1);
    for event in [
        Event::Reload(None),
        Event::Reload(Some(asker)),
        Event::Reload(None),
        Event::Stop("SIGTERM"),
    ] {
        tell_event.send(event).expect("there is room");
    }
    let mut later = VecDeque::new();
    assert_eq!(await_found(&found, &events, &mut later), None);
    let later: Vec<Event> = later.into();
    let wanted = matches!(
        later[..],
        [
            Event::Stop("SIGTERM"),
            Event::Reload(None),
            Event::Reload(Some(_))
        ]
    );
    assert!(wanted, "{later:?}");
}

#[test]
fn addresses_are_awaited_and_reloads_are_kept_for_later() {
    // Goal: what comes before the addresses is not lost, and a look-up that broke off finds
    // nothing.
    let (tell, found) = bounded(1);
    let (tell_event, events) = bounded(1);
    let mut later = VecDeque::new();
    tell_event.send(Event::Reload(None)).expect("there is room");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Full until the first one was taken.
            tell_event.send(Event::Reload(None)).expect("it is awaited");
            tell.send(Found::new()).expect("it is awaited");
        });
        assert!(await_found(&found, &events, &mut later).is_some());
    });
    assert!(later.len() + events.len() >= 1, "{later:?}");
    drop(tell);
    later.clear();
    assert_eq!(await_found(&found, &events, &mut later), Some(Found::new()));
}
