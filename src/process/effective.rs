//! The configuration as TOML, for `--check`: what would run, so that it can be read back.

use std::fmt::{self, Write as _};

use crate::exchange::route::{Action, FieldEdits, Prefix, RouteSpec};
use crate::pool::{BackendSpec, PoolSpec};
use crate::process::config::{Command, Config};
use crate::process::faults::key_of;
use crate::process::file::protect;
use crate::process::setting::{POOL_SETTINGS, PROCESS_SETTINGS, Setting, Told};
use crate::process::values::duration_text;

impl Config {
    /// What would run, as a file that means the same.
    pub fn describe(&self) -> String {
        let mut page = Page(String::new());
        page.settings(&PROCESS_SETTINGS, self);
        for pool in &self.pools {
            page.pool(pool);
        }
        if self.command == Command::Demo {
            page.line("# and three backends of the demo's own, on free ports");
        }
        for route in &self.routes {
            page.route(route);
        }
        page.0
    }
}

/// What has been written.
struct Page(String);

impl Page {
    fn line(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    fn entry(&mut self, key: &str, value: &Told) {
        if *value != Told::Nothing {
            writeln!(self.0, "{key} = {value}").expect("a String takes any text");
        }
    }

    fn settings<D, C>(&mut self, settings: &'static [Setting<D, C>], from: &C) {
        for setting in settings {
            self.entry(&key_of(setting.name), &(setting.tell)(from));
        }
    }

    fn pool(&mut self, pool: &PoolSpec) {
        let name = &pool.name;
        self.line(&format!("\n[pool.{name}]"));
        self.settings(&POOL_SETTINGS, &pool.settings);
        for backend in &pool.backends {
            self.line(&format!("\n[[pool.{name}.backend]]"));
            self.backend(backend);
        }
    }

    fn backend(&mut self, backend: &BackendSpec) {
        self.entry("url", &format!("http://{}", backend.url).into());
        // The name that follows from the URL may be one that nobody could give.
        if backend.name != backend.url.to_string() {
            self.entry("name", &backend.name.clone().into());
        }
        self.entry("weight", &backend.weight.into());
        self.entry("backup", &backend.is_backup.into());
        self.entry("max_connections", &backend.max_connections.into());
        let slow_start = backend.slow_start.map(duration_text);
        self.entry("slow_start", &slow_start.into());
    }

    fn route(&mut self, route: &RouteSpec) {
        self.line("\n[[route]]");
        self.entry("host", &route.host.clone().into());
        self.entry("path", &route.path.clone().into());
        let (pool, prefix, request_fields, response_fields) = match &route.action {
            Action::RedirectToHttps { port } => {
                let https = match port {
                    443 => "https".to_owned(),
                    port => format!("https:{port}"),
                };
                return self.entry("redirect", &https.into());
            }
            Action::Forward {
                pool,
                prefix,
                request_fields,
                response_fields,
            } => (pool, prefix, request_fields, response_fields),
        };
        self.entry("pool", &pool.clone().into());
        match prefix {
            Prefix::Keep => {}
            Prefix::Replace(path) if path == "/" => self.entry("strip_prefix", &true.into()),
            Prefix::Replace(path) => self.entry("replace_prefix", &path.clone().into()),
        }
        self.edits("fields", request_fields);
        self.edits("response_fields", response_fields);
    }

    fn edits(&mut self, of: &str, edits: &FieldEdits) {
        if !edits.set.is_empty() {
            let set = edits.set.iter();
            let set: Vec<String> = set
                .map(|(name, value)| format!("{} = {}", quoted(name), quoted(&protect(value))))
                .collect();
            self.line(&format!("set_{of} = {{ {} }}", set.join(", ")));
        }
        if !edits.remove.is_empty() {
            self.entry(&format!("remove_{of}"), &edits.remove.clone().into());
        }
    }
}

impl fmt::Display for Told {
    /// As a value of TOML.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Told::Nothing => Ok(()),
            Told::Text(text) => f.write_str(&quoted(&protect(text))),
            Told::Number(n) => write!(f, "{n}"),
            Told::Flag(is_on) => write!(f, "{is_on}"),
            Told::List(texts) => {
                let texts: Vec<String> = texts.iter().map(|t| quoted(&protect(t))).collect();
                write!(f, "[{}]", texts.join(", "))
            }
        }
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            _ if letter.is_ascii_control() => {
                write!(quoted, "\\u{:04x}", u32::from(letter)).expect("a String takes any text");
            }
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
