//! The configuration file: TOML, of which every fault is found in one go, each with its line.
//!
//! toml keeps the place of each value; what a value may be is known to `values`, so that file and
//! flags say the same. Variables of the environment are put into values that are parsed already:
//! none can break out of its string, and comments are left alone.

mod env;
mod nearest;
mod pool;
mod reader;
mod route;

use std::fs::File;
use std::io::Read;

use toml::Spanned;
use toml::de::{DeString, DeTable};

pub use self::env::protect;

use self::pool::read_pools;
use self::reader::{Reader, in_order};
use self::route::read_routes;
use crate::exchange::route::{Action, FieldEdits, Prefix, RouteSpec};
use crate::pool::PoolSpec;
use crate::process::config::Config;
use crate::process::faults::{Faults, Given, Place, key_of};
use crate::process::setting::{POOL_SETTINGS, PROCESS_SETTINGS};
use crate::system::plain;

/// Ten thousand backends fit, and nobody fills the memory by a wrong path.
const MAX_BYTES: u64 = 4 << 20;

/// Gets the file's bytes. The error says why not.
pub fn load(path: &str) -> Result<Vec<u8>, String> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?
            .take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| plain(&error))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err("it is larger than 4MiB".to_owned());
    }
    Ok(bytes)
}

/// Reads the file into the configuration, and notes where each option of the process stands.
pub fn read(
    bytes: &[u8],
    variable: &dyn Fn(&str) -> Option<String>,
    config: &mut Config,
    given: &mut Given,
    faults: &mut Faults,
) {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = &bytes[..error.valid_up_to()];
            let line = good.split(|&byte| byte == b'\n').count();
            return faults.add(Place::Line(line), "bytes that are not UTF-8; want UTF-8");
        }
    };
    let n_faults = faults.len();
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader::new(text, variable, faults);
    let cut = report_syntax(&mut reader, &errors);
    let n_syntax_faults = reader.faults.len();
    let is_whole = n_syntax_faults == n_faults;
    read_table(&mut reader, table.get_ref(), config, given, is_whole);
    reader.faults.forget_what_follows(n_syntax_faults, cut);
}

/// The first fault of each line. An array that is not closed takes all that follows it for its own,
/// and nothing said of that is true: where this begins is returned.
fn report_syntax(reader: &mut Reader, errors: &[toml::de::Error]) -> Option<Place> {
    let mut errors: Vec<_> = errors
        .iter()
        .map(|error| (error.span().unwrap_or_default(), error.message()))
        .collect();
    errors.sort_by_key(|(span, _)| span.start);
    let mut last = None;
    for (span, message) in errors {
        let place = reader.place(&span);
        if last == Some(place) {
            continue;
        }
        last = Some(place);
        let text = what_is_wrong(message, reader.text.get(span).unwrap_or_default());
        reader.faults.add(place, text);
        if message.contains("array") {
            return last;
        }
    }
    None
}

/// What toml says, as we say it: what is wrong, then what is right.
fn what_is_wrong(message: &str, text: &str) -> String {
    if message.starts_with("string values must be quoted") {
        return "no value, or a text without quotes; want a value, as in key = \"text\"".to_owned();
    }
    if message.contains("duplicate") {
        return format!("{text} is there already; give each key and table once");
    }
    if message.contains("array elements") {
        return "an array that does not go on or end; want , or ]".to_owned();
    }
    match message.replacen(", expected ", "; want ", 1) {
        message if message.contains("; want ") => message,
        message => format!("{message}; want TOML"),
    }
}

/// `is_whole`: whether nothing of the file is missing in the table, so that what is not there is
/// not there.
fn read_table(
    reader: &mut Reader,
    table: &DeTable,
    config: &mut Config,
    given: &mut Given,
    is_whole: bool,
) {
    let (mut pools, mut routes) = (Vec::new(), None);
    for (key, value) in in_order(table) {
        match key.get_ref().as_ref() {
            "pool" => pools = read_pools(reader, value),
            "route" => routes = Some(value),
            _ => reader
                .setting(key, value, &PROCESS_SETTINGS, config, given)
                .unwrap_or_else(|| unknown_at_the_top(reader, key)),
        }
    }
    let names: Vec<&str> = pools.iter().map(|(spec, _)| spec.name.as_str()).collect();
    let mut all_read = true;
    if let Some(value) = routes {
        (config.routes, all_read) = read_routes(reader, value, &names);
    }
    if is_whole && all_read {
        match (pools.as_slice(), config.routes.as_slice()) {
            ([], _) if !table.contains_key("pool") => reader.faults.add(
                Place::Line(1),
                "no pool; want [pool.NAME] with backends = [\"http://HOST:PORT\"]",
            ),
            ([(only, _)], []) => config.routes.push(route_to(only)),
            (pools, routes) => check_reach(reader, pools, routes),
        }
    }
    config.pools = pools.into_iter().map(|(spec, _)| spec).collect();
}

fn unknown_at_the_top(reader: &mut Reader, key: &Spanned<DeString>) {
    let name: &str = key.get_ref();
    let is_of_pools = |known: &str| known == name || name == "backends" || name == "backend";
    if POOL_SETTINGS.iter().any(|s| is_of_pools(&key_of(s.name))) {
        let text = format!("{name} is an option of a pool; want it in [pool.NAME]");
        return reader.fault(&key.span(), text);
    }
    let mut known: Vec<String> = PROCESS_SETTINGS.iter().map(|s| key_of(s.name)).collect();
    known.extend(["pool", "route"].map(str::to_owned));
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    reader.unknown(key, &known, "an option, [pool.NAME] or [[route]]");
}

/// A pool that no request can get to was not meant so.
fn check_reach(reader: &mut Reader, pools: &[(PoolSpec, Place)], routes: &[RouteSpec]) {
    if let ([_, (_, place), ..], []) = (pools, routes) {
        let text = format!("{} pools and no route; want [[route]] to each", pools.len());
        return reader.faults.add(*place, text);
    }
    for (PoolSpec { name, .. }, place) in pools {
        let leads_here = |route: &RouteSpec| match &route.action {
            Action::Forward { pool, .. } => pool == name,
            Action::RedirectToHttps { .. } => false,
        };
        if !routes.iter().any(leads_here) {
            let text = format!("no route to pool {name}; want [[route]] with pool = \"{name}\"");
            reader.faults.add(*place, text);
        }
    }
}

/// The route of everything to one pool.
pub fn route_to(pool: &PoolSpec) -> RouteSpec {
    RouteSpec {
        host: None,
        path: "/".to_owned(),
        action: Action::Forward {
            pool: pool.name.clone(),
            prefix: Prefix::Keep,
            request_fields: FieldEdits::default(),
            response_fields: FieldEdits::default(),
        },
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub use self::tests::read_text;
