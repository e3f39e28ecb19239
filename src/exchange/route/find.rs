//! Finds the route of a request: by its host, then by the longest path.
//!
//! Pure, and for an ordinary request without memory of its own. A search costs one look-up for the
//! host and each of its parents, and one binary search over the paths of each of those that have
//! routes.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::net::Ipv6Addr;

use crate::exchange::route::{RouteSpec, path};
use crate::intake::ClientRequest;

/// No name in the DNS is longer; a longer host has no route of its own. Bounds the parents that
/// are looked up.
const MAX_NAME: usize = 255;

/// Routes, ready to be searched.
#[derive(Debug)]
pub struct Routes {
    /// By name.
    exact: HashMap<Vec<u8>, Paths>,
    /// By the name that they are below.
    below: HashMap<Vec<u8>, Paths>,
    /// For every host, and for none.
    any: Paths,
}

/// The paths of one host.
#[derive(Debug, Default)]
struct Paths {
    /// In order of the bytes.
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    prefix: Vec<u8>,
    route: usize,
    /// The longest other entry that this one begins with, byte for byte.
    parent: Option<usize>,
}

impl Routes {
    /// Of two for the same host and path, the first counts.
    pub fn new(specs: &[RouteSpec]) -> Routes {
        let mut exact: HashMap<_, BTreeMap<_, _>> = HashMap::new();
        let mut below: HashMap<_, BTreeMap<_, _>> = HashMap::new();
        let mut any = BTreeMap::new();
        for (idx, spec) in specs.iter().enumerate() {
            let host = spec.host.as_deref();
            let paths = match host.map(|host| (host, host.strip_prefix("*."))) {
                None => &mut any,
                Some((_, Some(parent))) => below.entry(name_of_spec(parent)).or_default(),
                Some((host, None)) => exact.entry(name_of_spec(host)).or_default(),
            };
            let prefix = path::prefix(&spec.path).into_owned();
            paths.entry(prefix).or_insert(idx);
        }
        let compile = |groups: HashMap<Vec<u8>, BTreeMap<_, _>>| {
            let compiled = groups.into_iter();
            compiled
                .map(|(name, paths)| (name, Paths::new(paths)))
                .collect()
        };
        Routes {
            exact: compile(exact),
            below: compile(below),
            any: Paths::new(any),
        }
    }

    /// The index of the route that a request takes, if one fits.
    ///
    /// A host's own routes come before those of its parents, nearest first, and those before the
    /// ones for any host; a host whose routes don't fit the path leaves it to the next.
    pub fn find(&self, request: &ClientRequest) -> Option<usize> {
        let path = match &request.target[..] {
            b"*" => b"/",
            target => path::split(target).0,
        };
        let path = path::normal(path);
        self.find_by_host(request, &path)
            .or_else(|| self.any.find(&path))
    }

    fn find_by_host(&self, request: &ClientRequest, path: &[u8]) -> Option<usize> {
        if self.exact.is_empty() && self.below.is_empty() {
            return None;
        }
        let name = name(request.host.as_deref()?);
        let exact = self.exact.get(&name[..]);
        if let Some(route) = exact.and_then(|paths| paths.find(path)) {
            return Some(route);
        }
        if self.below.is_empty() || name.len() > MAX_NAME {
            return None;
        }
        parents(&name).find_map(|parent| self.below.get(parent)?.find(path))
    }
}

impl Paths {
    fn new(by_prefix: BTreeMap<Vec<u8>, usize>) -> Paths {
        let mut entries: Vec<Entry> = Vec::with_capacity(by_prefix.len());
        for (prefix, route) in by_prefix {
            let mut parent = entries.len().checked_sub(1);
            while let Some(idx) = parent
                && !prefix.starts_with(&entries[idx].prefix)
            {
                parent = entries[idx].parent;
            }
            entries.push(Entry {
                prefix,
                route,
                parent,
            });
        }
        Paths { entries }
    }

    /// The longest that fits. Whatever a path begins with, the last entry that is not behind the
    /// path in order begins with it too: so all that can fit are that entry and its parents.
    fn find(&self, path: &[u8]) -> Option<usize> {
        let n_before = self
            .entries
            .partition_point(|entry| &entry.prefix[..] <= path);
        let mut idx = n_before.checked_sub(1);
        while let Some(entry) = idx.map(|idx| &self.entries[idx]) {
            if path::below(path, &entry.prefix).is_some() {
                return Some(entry.route);
            }
            idx = entry.parent;
        }
        None
    }
}

/// The names that a name is below, the nearest first.
fn parents(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    let dots = name.iter().enumerate().filter(|&(_, &b)| b == b'.');
    dots.map(|(at, _)| &name[at + 1..])
}

fn name_of_spec(host: &str) -> Vec<u8> {
    name(host.as_bytes()).into_owned()
}

/// A host as it is compared: without port and the dot of the root, in lower case, and an IPv6
/// address in its one canonical form.
fn name(host: &[u8]) -> Cow<'_, [u8]> {
    let host = without_port(host);
    if let Some(address) = ipv6(host) {
        return Cow::Owned(format!("[{address}]").into_bytes());
    }
    let name = host.strip_suffix(b".").unwrap_or(host);
    if name.iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

fn ipv6(host: &[u8]) -> Option<Ipv6Addr> {
    let inner = host.strip_prefix(b"[")?.strip_suffix(b"]")?;
    str::from_utf8(inner).ok()?.parse().ok()
}

/// A Host's value up to its port. It was checked to be a host.
pub fn without_port(host: &[u8]) -> &[u8] {
    let end = match host.first() {
        Some(b'[') => host.iter().position(|&b| b == b']').map(|at| at + 1),
        _ => host.iter().position(|&b| b == b':'),
    };
    &host[..end.unwrap_or(host.len())]
}

#[cfg(test)]
mod tests;
