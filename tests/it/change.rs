//! The promise of a pool that changes, under load; tests/interop has the same for longer.

use std::time::Duration;

use crate::harness::{Counting, hold};

#[test]
fn no_request_is_lost_while_everything_changes() {
    // Goal: two seconds of GET and POST over 64 connections, while backends are added, drained,
    // removed, reloaded twenty times, killed and restarted: nothing fails but a POST that a killed
    // backend had, and who is drained gets nothing. Trick: raw clients that keep each failure with
    // its time, and kills with theirs; backends that count.
    let (a, b) = (Counting::start(), Counting::start());
    let told = hold(Duration::from_secs(2), &mut [Box::new(a), Box::new(b)]);
    println!("{told}");
}
