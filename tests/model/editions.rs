//! The editions of the configuration under every interleaving of a reload with exchanges.

use std::sync::Arc;
use std::time::Duration;

use loom::thread;
use threadbare::exchange::request_id::RequestIds;
use threadbare::exchange::{Edition, Editions, Settings, Timeouts};

use crate::{NO_PANIC, Outcomes, run_all};

const MAX_PREEMPTIONS: usize = 4;

/// One that is known by its number.
fn edition(number: u64) -> Edition {
    let timeouts = Timeouts {
        connect: Duration::ZERO,
        response: Duration::ZERO,
        idle: Duration::ZERO,
    };
    let settings = Settings {
        queue_timeout: Duration::from_secs(number),
        timeouts,
        trust: Arc::default(),
        tunnel_idle_timeout: None,
        request_ids: RequestIds::Off,
        proxy_status: None,
    };
    Edition::new(settings, &[], &[])
}

fn number(edition: &Edition) -> u64 {
    edition.settings.queue_timeout.as_secs()
}

#[test]
fn an_exchange_begins_with_the_newest_edition_and_never_with_an_older_one_than_before() {
    // Goal: behind a reload that has returned, every exchange sees it; meanwhile each sees the old
    // one or the new one, and never the old one after the new. Trick: the editions are numbered as
    // `Editions` counts them, so a number that runs ahead of its edition shows: that worker would
    // never take the newer one.
    let seen = Outcomes::new();
    let noted = seen.clone();
    run_all(MAX_PREEMPTIONS, move || {
        let editions = Arc::new(Editions::new(edition(1)));
        let workers = [(); 2].map(|()| {
            let (editions, noted) = (Arc::clone(&editions), noted.clone());
            thread::spawn(move || {
                let (mut n, mut mine) = editions.newest();
                for _ in 0..2 {
                    assert!(number(&mine) >= n, "{n} is no promise of {mine:?}");
                    let before = number(&mine);
                    if let Some((newer_n, newer)) = editions.take_newer(n) {
                        (n, mine) = (newer_n, newer);
                    }
                    assert!(number(&mine) >= before);
                }
                noted.note(number(&mine));
            })
        });
        editions.replace(edition(2));
        let (n, newest) = editions.newest();
        assert_eq!((n, number(&newest)), (2, 2));
        assert!(editions.take_newer(1).is_some_and(|(_, e)| number(&e) == 2));
        assert!(editions.take_newer(2).is_none());
        for worker in workers {
            worker.join().expect(NO_PANIC);
        }
    });
    assert_eq!(seen.all(), [1, 2]);
}
