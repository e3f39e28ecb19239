//! What a reload changes, in lines for the log: `~ policy "round-robin" → "least-connections"`.

use crate::exchange::route::{Action, RouteSpec};
use crate::process::config::Config;

/// Options that are bound to what is there since the start: sockets, threads, the queue. A reload
/// says that they need a restart, each time, and goes on with the old ones.
const NEED_RESTART: &[&str] = &[
    "listen",
    "listener",
    "accept_proxy",
    "workers",
    "queue",
    "queue_timeout",
    "max_connections",
    "max_connections_per_client",
    "max_requests",
    "max_target",
    "max_fields",
    "max_fields_size",
    "max_content",
    "header_timeout",
    "keep_alive_timeout",
    "idle_timeout",
    "min_rate",
    "long_haul",
    "long_haul_after",
    "admin",
    "admin_token_file",
    "state_file",
    "drain_dir",
    "proxy_status",
    "access_log",
    "access_format",
    "log_format",
];

/// Options that differ, those of pools that are in both among them. `before` is what runs.
pub fn settings(before: &Config, after: &Config) -> Vec<String> {
    let (before, after) = (entries(before), entries(after));
    let find = |entries: &[Entry], wanted: &Entry| {
        let is_it = |entry: &&Entry| entry.section == wanted.section && entry.key == wanted.key;
        entries.iter().find(is_it).map(|entry| entry.value.clone())
    };
    let has_section = |entries: &[Entry], section: &str| {
        section.is_empty() || entries.iter().any(|entry| entry.section == section)
    };
    let mut lines = Vec::new();
    for new in after
        .iter()
        .filter(|new| has_section(&before, &new.section))
    {
        let old = find(&before, new);
        if old.as_ref() != Some(&new.value) {
            lines.push(new.line(old.as_deref().unwrap_or(NONE), &new.value));
        }
    }
    for old in before
        .iter()
        .filter(|old| has_section(&after, &old.section))
    {
        if find(&after, old).is_none() {
            lines.push(old.line(&old.value, NONE));
        }
    }
    lines
}

/// Routes that are in one of them only, and those that lead there in another way.
pub fn routes(before: &[RouteSpec], after: &[RouteSpec]) -> Vec<String> {
    let only_in = |these: &[RouteSpec], others: &[RouteSpec]| -> Vec<String> {
        let only = these.iter().filter(|route| !others.contains(route));
        only.map(describe).collect()
    };
    let (gone, come) = (only_in(before, after), only_in(after, before));
    let is_changed = |route: &&String| gone.contains(route) && come.contains(route);
    let changed = come.iter().filter(is_changed);
    let gone = gone.iter().filter(|route| !is_changed(route));
    let come = come.iter().filter(|route| !is_changed(route));
    let gone = gone.map(|route| format!("- route {route}"));
    let come = come.map(|route| format!("+ route {route}"));
    let changed = changed.map(|route| format!("~ route {route}"));
    gone.chain(come).chain(changed).collect()
}

fn describe(route: &RouteSpec) -> String {
    let host = route.host.as_deref().unwrap_or_default();
    let path = &route.path;
    match &route.action {
        Action::Forward { pool, .. } => format!("{host}{path} to {pool}"),
        Action::RedirectToHttps { .. } => format!("{host}{path} to https"),
    }
}

/// One option of the effective configuration.
struct Entry {
    /// Empty, or the name of a pool.
    section: String,
    key: String,
    value: String,
}

/// Where there is no value.
const NONE: &str = "none";

impl Entry {
    /// The line that says that this one differs.
    fn line(&self, old: &str, new: &str) -> String {
        let Entry { section, key, .. } = self;
        if key.ends_with("secret") {
            return format!("~ {section}.{key} is another"); // and nobody's business
        }
        if section.is_empty() && NEED_RESTART.contains(&key.as_str()) {
            return format!("~ {key} {old} → {new}: needs a restart; the old one stays");
        }
        let dot = if section.is_empty() { "" } else { "." };
        format!("~ {section}{dot}{key} {old} → {new}")
    }
}

/// The effective configuration without backends and routes, which are compared as what they are.
fn entries(config: &Config) -> Vec<Entry> {
    let text = config.describe();
    let mut section = Some(String::new());
    let mut entries = Vec::new();
    for line in text.lines() {
        if line.starts_with("[[") {
            section = None;
        } else if let Some(name) = line.strip_prefix("[pool.") {
            section = Some(name.trim_end_matches(']').to_owned());
        } else if let (Some(section), Some((key, value))) = (&section, line.split_once(" = ")) {
            let key = key.trim().to_owned();
            entries.push(Entry {
                section: section.clone(),
                key,
                value: value.to_owned(),
            });
        }
    }
    entries
}

#[cfg(all(test, not(loom)))]
mod tests;
