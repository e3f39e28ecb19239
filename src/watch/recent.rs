//! The last exchanges, for people who ask what became of one: a ring that never grows.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::watch::story::Story;

/// The last exchanges.
#[derive(Debug)]
pub struct Recent {
    /// Each protects one story, held to exchange it for another or to read it: two workers meet in
    /// one only if one of them is a whole round behind.
    places: Vec<Mutex<Option<Box<Story>>>>,
    /// The number of the next story. Relaxed: no two get the same, and that is all; a reader that
    /// is behind misses the last.
    next: AtomicU64,
}

impl Recent {
    /// Of so many.
    pub fn new(n: usize) -> Recent {
        Recent {
            places: (0..n).map(|_| Mutex::new(None)).collect(),
            next: AtomicU64::new(1),
        }
    }

    /// Remembers a story, and gives another one in exchange, of which only the memory is of use.
    pub fn remember(&self, mut story: Box<Story>) -> Option<Box<Story>> {
        story.n = self.next.fetch_add(1, Ordering::Relaxed);
        let mut place = self.places[self.place_of(story.n)].lock();
        place.replace(story)
    }

    /// Looks at the stories, the newest first, until `look` has seen enough (false).
    pub fn each(&self, mut look: impl FnMut(&Story) -> bool) {
        let newest = self.next.load(Ordering::Relaxed);
        for back in 1..=self.places.len() as u64 {
            let Some(n) = newest.checked_sub(back) else {
                return;
            };
            let place = self.places[self.place_of(n)].lock();
            // Another one: its worker is a step behind, or a round ahead.
            let story = place.as_deref().filter(|story| story.n == n);
            if story.is_some_and(|story| !look(story)) {
                return;
            }
        }
    }

    fn place_of(&self, n: u64) -> usize {
        // It is below the length.
        usize::try_from(n % self.places.len() as u64).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_last_ones_are_there_newest_first_and_older_ones_come_back() {
        let recent = Recent::new(4);
        let story = || Box::new(Story::new(0, Instant::now()));
        for n in 1..=6 {
            let old = recent.remember(story());
            assert_eq!(old.map(|old| old.n), (n > 4).then(|| n - 4));
        }
        let mut seen = Vec::new();
        recent.each(|story| {
            seen.push(story.n);
            true
        });
        assert_eq!(seen, [6, 5, 4, 3]);
        seen.clear();
        recent.each(|story| {
            seen.push(story.n);
            seen.len() < 2
        });
        assert_eq!(seen, [6, 5]);
    }

    #[test]
    fn many_threads_remember_and_no_story_is_there_twice() {
        let recent = Recent::new(64);
        std::thread::scope(|scope| {
            for slot in 0..4 {
                let recent = &recent;
                scope.spawn(move || {
                    let mut spare = None;
                    for _ in 0..10_000 {
                        let new = || Box::new(Story::new(slot, Instant::now()));
                        spare = recent.remember(spare.take().unwrap_or_else(new));
                    }
                });
            }
        });
        let mut seen = Vec::new();
        recent.each(|story| {
            seen.push(story.n);
            true
        });
        assert!(seen.windows(2).all(|pair| pair[0] > pair[1]), "{seen:?}");
        assert_eq!(seen.first(), Some(&40_000));
    }
}
