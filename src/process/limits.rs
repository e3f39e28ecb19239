//! The limit on open descriptors: raised as far as the system lets us.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the soft limit on open descriptors to the hard one and returns it, `None` for none.
///
/// Every client costs this listener two descriptors and every exchange one more, and running out
/// ends its accept loop; the usual soft limit of 1024 is a relic of `select()`.
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
