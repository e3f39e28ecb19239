//! What the balancer counts about itself for its last log line, and what is under way now.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::counted::counted;

/// Sums since the start. All Relaxed: each is read alone, for a log line, and publishes nothing
/// else; a stale read is a number that was right a moment ago.
#[derive(Debug, Default)]
pub struct Counters {
    /// Exchanges that workers took up.
    exchanges: AtomicU64,
    /// Exchanges in progress now.
    in_flight: AtomicUsize,
    /// Tunnels that were opened.
    tunnels: AtomicU64,
    /// Tunnels open now; their exchanges are in flight too.
    open_tunnels: AtomicUsize,
    /// Attempts beyond the first of an exchange.
    further_attempts: AtomicU64,
    /// Requests refused because of the queue.
    refused: AtomicU64,
    /// Answers that were cut short.
    cut: AtomicU64,
}

impl Counters {
    /// A worker takes a request up; until the end of the returned value it is in flight.
    pub fn begin_exchange(&self) -> InFlight<'_> {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self)
    }

    /// An exchange becomes a tunnel; until the end of the returned value it is open.
    pub fn begin_tunnel(&self) -> OpenTunnel<'_> {
        self.tunnels.fetch_add(1, Ordering::Relaxed);
        self.open_tunnels.fetch_add(1, Ordering::Relaxed);
        OpenTunnel(self)
    }

    /// An exchange tries once more.
    pub fn note_further_attempt(&self) {
        self.further_attempts.fetch_add(1, Ordering::Relaxed);
    }

    /// A request was refused because the queue was full, or closed, or too slow, or because every
    /// backend had its share of the workers.
    pub fn note_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// An answer was cut short.
    pub fn note_cut(&self) {
        self.cut.fetch_add(1, Ordering::Relaxed);
    }

    /// Exchanges in progress now.
    pub fn n_in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Tunnels open now. Each is an exchange in progress too.
    pub fn n_tunnels(&self) -> usize {
        self.open_tunnels.load(Ordering::Relaxed)
    }

    /// The sums in one line, for the end of the log.
    pub fn summary(&self) -> String {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        format!(
            "{}, {}, {}, {} refused by the queue, {} cut short",
            counted(get(&self.exchanges), "exchange"),
            counted(get(&self.tunnels), "tunnel"),
            counted(get(&self.further_attempts), "further attempt"),
            get(&self.refused),
            get(&self.cut),
        )
    }
}

/// An exchange in progress: ends when dropped, also by a panic.
#[derive(Debug)]
pub struct InFlight<'a>(&'a Counters);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An open tunnel: ends when dropped, also by a panic.
#[derive(Debug)]
pub struct OpenTunnel<'a>(&'a Counters);

impl Drop for OpenTunnel<'_> {
    fn drop(&mut self) {
        self.0.open_tunnels.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_is_in_flight_until_it_ends_or_panics() {
        let counters = Counters::default();
        let one = counters.begin_exchange();
        let panicked = std::panic::catch_unwind(|| {
            let _two = counters.begin_exchange();
            panic!("on purpose, to see the count go back");
        });
        assert!(panicked.is_err());
        assert_eq!(counters.n_in_flight(), 1);
        drop(one);
        assert_eq!(counters.n_in_flight(), 0);
        assert!(counters.summary().starts_with("2 exchanges"));
    }
    #[test]
    fn a_tunnel_is_open_until_it_ends_and_is_an_exchange_too() {
        let counters = Counters::default();
        let exchange = counters.begin_exchange();
        let tunnel = counters.begin_tunnel();
        assert_eq!((counters.n_in_flight(), counters.n_tunnels()), (1, 1));
        drop(tunnel);
        assert_eq!((counters.n_in_flight(), counters.n_tunnels()), (1, 0));
        drop(exchange);
        assert!(
            counters
                .summary()
                .starts_with("1 exchange, 1 tunnel, 0 further attempts,")
        );
    }
}
