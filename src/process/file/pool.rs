//! The pools of the file: `[pool.NAME]`, and their backends in short and in long.

use toml::Spanned;
use toml::de::{DeString, DeValue};

use crate::pool::{BackendSpec, BackendUrl, PoolSpec};
use crate::process::draft::PoolDraft;
use crate::process::faults::{Given, Place, key_of};
use crate::process::file::reader::{Reader, Value, in_order};
use crate::process::setting::{POOL_SETTINGS, PROCESS_SETTINGS, Takes};
use crate::process::values;

/// The keys of a backend in long.
const BACKEND_KEYS: [&str; 6] = [
    "url",
    "name",
    "weight",
    "backup",
    "max_connections",
    "slow_start",
];

/// Reads all pools, each with the place of its name, in the order of the file.
pub fn read_pools(reader: &mut Reader, value: &Value) -> Vec<(PoolSpec, Place)> {
    let DeValue::Table(pools) = value.get_ref() else {
        reader.wrong("pool", value, "want tables [pool.NAME]");
        return Vec::new();
    };
    let mut read = Vec::new();
    for (name, value) in in_order(pools) {
        let place = reader.place(&name.span());
        if let Err(wanted) = values::pool_name(name.get_ref()) {
            reader.fault(
                &name.span(),
                format!("pool {:?} has a bad name; {wanted}", name.get_ref()),
            );
        }
        if let Some(spec) = read_pool(reader, name, value) {
            read.push((spec, place));
        }
    }
    read
}

fn read_pool(reader: &mut Reader, name: &Spanned<DeString>, value: &Value) -> Option<PoolSpec> {
    let name_text: &str = name.get_ref();
    let DeValue::Table(pool) = value.get_ref() else {
        let wanted = format!("want a table [pool.{name_text}]");
        reader.wrong(&format!("pool.{name_text}"), value, &wanted);
        return None;
    };
    let mut draft = PoolDraft::default();
    let mut given = Given::default();
    let n_faults = reader.faults.len();
    for (key, value) in in_order(pool) {
        match key.get_ref().as_ref() {
            "backends" => reader.list("backends", value, &mut |text, place| {
                draft.backends.push((values::backend(text)?, place));
                Ok(())
            }),
            "backend" => read_backends(reader, value, &mut draft),
            _ => reader
                .setting(key, value, &POOL_SETTINGS, &mut draft, &mut given)
                .unwrap_or_else(|| unknown_in_pool(reader, key)),
        }
    }
    draft.given = given;
    // One whose backends can't be read is not empty.
    if draft.backends.is_empty() && reader.faults.len() == n_faults {
        reader.fault(
            &name.span(),
            format!("pool {name_text} has no backend; want backends = [\"http://HOST:PORT\"]"),
        );
    }
    Some(draft.finish(name_text, reader.faults))
}

fn unknown_in_pool(reader: &mut Reader, key: &Spanned<DeString>) {
    let name: &str = key.get_ref();
    if PROCESS_SETTINGS.iter().any(|s| key_of(s.name) == name) {
        let text = format!("{name} is no option of a pool; want it before the first [table]");
        return reader.fault(&key.span(), text);
    }
    let mut known: Vec<String> = POOL_SETTINGS.iter().map(|s| key_of(s.name)).collect();
    known.extend(["backends", "backend"].map(str::to_owned));
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    reader.unknown(
        key,
        &known,
        "backends, [[pool.NAME.backend]] or an option of a pool",
    );
}

fn read_backends(reader: &mut Reader, value: &Value, draft: &mut PoolDraft) {
    let DeValue::Array(backends) = value.get_ref() else {
        return reader.wrong(
            "backend",
            value,
            "want [[pool.NAME.backend]], or backends = [...]",
        );
    };
    for value in backends {
        let place = reader.place(&value.span());
        if let Some(spec) = read_backend(reader, value) {
            draft.backends.push((spec, place));
        }
    }
}

fn read_backend(reader: &mut Reader, value: &Value) -> Option<BackendSpec> {
    let DeValue::Table(table) = value.get_ref() else {
        reader.wrong(
            "backend",
            value,
            "want a table with url = \"http://HOST:PORT\"",
        );
        return None;
    };
    let Some((_, url)) = table.iter().find(|(key, _)| key.get_ref() == "url") else {
        reader.fault(
            &value.span(),
            "a backend without url; want url = \"http://HOST:PORT\"",
        );
        return None;
    };
    let mut spec = reader
        .text("url", url, BackendUrl::parse)
        .map(BackendSpec::new);
    // Without a URL the rest is still looked at.
    let scratch = || BackendSpec::new(BackendUrl::parse("http://localhost").expect("it is one"));
    let mut filled = spec.clone().unwrap_or_else(scratch);
    for (key, value) in in_order(table) {
        let name: &str = key.get_ref();
        match name {
            "url" => {}
            "backup" => filled.is_backup = reader.switch(name, value).unwrap_or_default(),
            _ if BACKEND_KEYS.contains(&name) => {
                let mut set = |text: &str| values::set_backend_option(&mut filled, name, text);
                let takes = if name == "name" {
                    Takes::Text
                } else {
                    Takes::TextOrNumber
                };
                reader.one(name, value, takes, &mut set);
            }
            _ => reader.unknown(key, &BACKEND_KEYS, &BACKEND_KEYS.join(", ")),
        }
    }
    spec.as_mut().map(|_| filled)
}
