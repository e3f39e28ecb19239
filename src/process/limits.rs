//! The limit on open descriptors: raised as far as the system lets us.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Descriptors for everything but clients and backends.
const OTHERS: usize = 32;

/// How many clients' connections a process with so many descriptors has room for, if each worker
/// is to find some for its backends, and each long-haul thread one: never fewer than a quarter.
pub fn room_for_clients(
    n_descriptors: u64,
    n_workers: usize,
    max_long_haul: usize,
    n_backends: usize,
) -> usize {
    let n = usize::try_from(n_descriptors).unwrap_or(usize::MAX);
    let reserved = n_reserved(n_workers, max_long_haul, n_backends);
    n.saturating_sub(reserved).max(n / 4).max(1)
}

/// Descriptors for all but clients: each worker keeps one open for each backend, and uses one.
pub fn n_reserved(n_workers: usize, max_long_haul: usize, n_backends: usize) -> usize {
    OTHERS + n_workers * (n_backends + 1) + max_long_haul
}

/// Raises the soft limit on open descriptors to the hard one and returns it, `None` for none.
///
/// Every client costs a descriptor, and every exchange one more; the usual soft limit of 1024 is a
/// relic of `select()`.
pub fn raise_descriptor_limit() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return limit.current;
    }
    let soft = limit.current;
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        // macOS refuses "unlimited" here; what we had is then what we have.
        log::warn!("descriptor limit stays at {soft:?}: {error}");
        return soft;
    }
    limit.current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_leave_descriptors_for_backends() {
        assert_eq!(room_for_clients(1024, 64, 256, 3), 1024 - 32 - 256 - 256);
        assert_eq!(room_for_clients(64, 64, 256, 3), 16);
        assert_eq!(room_for_clients(0, 64, 256, 3), 1);
    }
}
