//! The routes of the file: `[[route]]`, each to a pool or to https.

use toml::de::DeValue;

use crate::exchange::route::{Action, FieldEdits, Prefix, RouteSpec};
use crate::process::faults::{Given, Place};
use crate::process::file::reader::{Reader, Value, first_twice, in_order};
use crate::process::values::{self, Edit};

/// The keys of a route.
const ROUTE_KEYS: [&str; 10] = [
    "host",
    "path",
    "pool",
    "strip_prefix",
    "replace_prefix",
    "set_fields",
    "remove_fields",
    "set_response_fields",
    "remove_response_fields",
    "redirect",
];

/// A route while it is read.
struct Draft {
    host: Option<String>,
    path: Option<String>,
    pool: Option<String>,
    strips: bool,
    replacement: Option<String>,
    request: FieldEdits,
    response: FieldEdits,
    redirect: Option<u16>,
    given: Given,
}

/// Reads all routes, each with its place. `pools` are the names that there are. Some routes may
/// have been left out: then false comes with the others.
pub fn read_routes(reader: &mut Reader, value: &Value, pools: &[&str]) -> (Vec<RouteSpec>, bool) {
    let DeValue::Array(tables) = value.get_ref() else {
        reader.wrong("route", value, "want [[route]] for each");
        return (Vec::new(), false);
    };
    let mut routes: Vec<(RouteSpec, Place)> = Vec::new();
    for value in tables {
        let place = reader.place(&value.span());
        let Some(route) = read_route(reader, value, place, pools) else {
            continue;
        };
        let is_same = |(other, _): &&(RouteSpec, Place)| {
            (&other.host, &other.path) == (&route.host, &route.path)
        };
        if let Some((_, Place::Line(line))) = routes.iter().find(is_same) {
            let text = format!(
                "no request gets to this route: line {line} has the same host and path; want \
                 another of them"
            );
            reader.faults.add(place, text);
        }
        routes.push((route, place));
    }
    let all_read = routes.len() == tables.len();
    (
        routes.into_iter().map(|(route, _)| route).collect(),
        all_read,
    )
}

fn read_route(
    reader: &mut Reader,
    value: &Value,
    place: Place,
    pools: &[&str],
) -> Option<RouteSpec> {
    let DeValue::Table(table) = value.get_ref() else {
        reader.wrong("route", value, "want tables [[route]]");
        return None;
    };
    let mut draft = Draft {
        host: None,
        path: None,
        pool: None,
        strips: false,
        replacement: None,
        request: FieldEdits::default(),
        response: FieldEdits::default(),
        redirect: None,
        given: Given::default(),
    };
    for (key, value) in in_order(table) {
        let name: &str = key.get_ref();
        match ROUTE_KEYS.into_iter().find(|known| *known == name) {
            Some(known) => {
                draft.given.note(known, reader.place(&key.span()));
                read_key(reader, known, value, &mut draft);
            }
            None => reader.unknown(key, &ROUTE_KEYS, &ROUTE_KEYS.join(", ")),
        }
    }
    finish(reader, draft, place, pools)
}

fn read_key(reader: &mut Reader, key: &str, value: &Value, draft: &mut Draft) {
    match key {
        "host" => draft.host = reader.text(key, value, values::route_host),
        "path" => draft.path = reader.text(key, value, values::route_path),
        "pool" => draft.pool = reader.text(key, value, |name| Ok(name.to_owned())),
        "strip_prefix" => draft.strips = reader.switch(key, value).unwrap_or_default(),
        "replace_prefix" => draft.replacement = reader.text(key, value, values::route_path),
        "set_fields" => {
            draft.request.set = read_set(reader, key, value, Edit::SetInRequest);
        }
        "remove_fields" => {
            draft.request.remove = read_remove(reader, key, value, Edit::RemoveFromRequest);
        }
        "set_response_fields" => {
            draft.response.set = read_set(reader, key, value, Edit::OfResponse);
        }
        "remove_response_fields" => {
            draft.response.remove = read_remove(reader, key, value, Edit::OfResponse);
        }
        _ => draft.redirect = reader.text(key, value, values::redirect),
    }
}

fn read_set(reader: &mut Reader, key: &str, value: &Value, edit: Edit) -> Vec<(String, String)> {
    let DeValue::Table(table) = value.get_ref() else {
        reader.wrong(key, value, "want a table, as in { \"X-Api\" = \"1\" }");
        return Vec::new();
    };
    let mut lines = Vec::new();
    for (field, value) in in_order(table) {
        let name: &str = field.get_ref();
        if let Err(wanted) = values::edited_field(name, edit) {
            reader.fault(&field.span(), format!("{key} has {name:?}; {wanted}"));
        }
        let read = |text: &str| values::field_value(name, text);
        if let Some(text) = reader.text(name, value, read) {
            lines.push((name.to_owned(), text));
        }
    }
    if let Some(name) = first_twice(lines.iter().map(|(name, _)| name.as_str())) {
        let text = format!("{key} has {name} twice; give each field once, whatever its case");
        reader.fault(&value.span(), text);
    }
    lines
}

fn read_remove(reader: &mut Reader, key: &str, value: &Value, edit: Edit) -> Vec<String> {
    let mut names = Vec::new();
    reader.list(key, value, &mut |name, _| {
        names.push(values::edited_field(name, edit)?);
        Ok(())
    });
    names
}

/// The route, if what was read goes together. None: what it is for, or where it leads, could not be
/// read.
fn finish(reader: &mut Reader, draft: Draft, place: Place, pools: &[&str]) -> Option<RouteSpec> {
    let given = |key: &str| draft.given.place(key);
    let action = if given("redirect").is_some() {
        let of_pools = ROUTE_KEYS[2..].iter().filter(|key| **key != "redirect");
        let both: Vec<_> = of_pools
            .filter_map(|key| Some((key, given(key)?)))
            .collect();
        for (key, place) in &both {
            let text = format!("{key} does not go with redirect; want one or the other");
            reader.faults.add(*place, text);
        }
        let port = draft.redirect.filter(|_| both.is_empty())?;
        Action::RedirectToHttps { port }
    } else {
        if let (true, Some(place)) = (draft.strips, given("replace_prefix")) {
            let text = "replace_prefix does not go with strip_prefix; want one or the other";
            reader.faults.add(place, text);
        }
        let Some(place) = given("pool") else {
            let text = "a route to nowhere; want pool = \"NAME\" or redirect = \"https\"";
            reader.faults.add(place, text);
            return None;
        };
        let pool = draft.pool?;
        if !pools.contains(&pool.as_str()) {
            let known = pools.join(", ");
            let text = format!("there is no pool {pool:?}; want one of: {known}");
            reader.faults.add(place, text);
            return None;
        }
        let prefix = match draft.replacement {
            Some(path) => Prefix::Replace(path),
            None if draft.strips => Prefix::Replace("/".to_owned()),
            None => Prefix::Keep,
        };
        Action::Forward {
            pool,
            prefix,
            request_fields: draft.request,
            response_fields: draft.response,
        }
    };
    // Without the host or the path that was meant it is another route.
    let is_lost = |key: &str, is_read: bool| given(key).is_some() && !is_read;
    if is_lost("host", draft.host.is_some()) || is_lost("path", draft.path.is_some()) {
        return None;
    }
    Some(RouteSpec {
        host: draft.host,
        path: draft.path.unwrap_or_else(|| "/".to_owned()),
        action,
    })
}
