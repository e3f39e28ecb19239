//! Values of the file, read as flags are: as texts, and every fault with its line.

use std::collections::HashSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeInteger, DeString, DeTable, DeValue};

use crate::process::faults::{Faults, Given, Place, key_of};
use crate::process::file::env::expand;
use crate::process::file::nearest::nearest;
use crate::process::setting::{Kind, Setting, Takes};
use crate::process::values;

/// A value with its place.
pub type Value<'i> = Spanned<DeValue<'i>>;

/// A text longer than this is not repeated in a complaint; characters.
const MAX_SHOWN: usize = 60;

/// What reads one value after the other, and collects what is wrong.
pub struct Reader<'a> {
    /// All of the file.
    pub text: &'a str,
    /// Where its lines end.
    line_ends: Vec<usize>,
    /// The environment.
    variable: &'a dyn Fn(&str) -> Option<String>,
    /// What is wrong.
    pub faults: &'a mut Faults,
}

impl<'a> Reader<'a> {
    /// Before the first value.
    pub fn new(
        text: &'a str,
        variable: &'a dyn Fn(&str) -> Option<String>,
        faults: &'a mut Faults,
    ) -> Reader<'a> {
        Reader {
            text,
            line_ends: text.match_indices('\n').map(|(at, _)| at).collect(),
            variable,
            faults,
        }
    }

    /// The line of a place in the text.
    pub fn place(&self, span: &Range<usize>) -> Place {
        Place::Line(1 + self.line_ends.partition_point(|&end| end < span.start))
    }

    /// One more fault.
    pub fn fault(&mut self, span: &Range<usize>, text: impl Into<String>) {
        let place = self.place(span);
        self.faults.add(place, text);
    }

    /// Reads one value by what reads the flag's; `set` says what is wanted.
    pub fn one(
        &mut self,
        key: &str,
        value: &Value,
        takes: Takes,
        set: &mut dyn FnMut(&str) -> Result<(), String>,
    ) {
        self.read_one(&format!("{key} is"), value, takes, set);
    }

    /// The same; `what` is how a complaint begins.
    fn read_one(
        &mut self,
        what: &str,
        value: &Value,
        takes: Takes,
        set: &mut dyn FnMut(&str) -> Result<(), String>,
    ) {
        let text = match value.get_ref() {
            DeValue::String(text) => match self.expanded(text, &value.span()) {
                Some(text) => text,
                None => return,
            },
            DeValue::Integer(number) if takes == Takes::TextOrNumber => decimal(number),
            _ => {
                let wanted = match takes {
                    Takes::Text => "want a string".to_owned(),
                    Takes::TextOrNumber => set("").err().unwrap_or_default(),
                };
                return self.complain(what, value, &wanted);
            }
        };
        if let Err(wanted) = set(&text) {
            let text = match value.get_ref() {
                DeValue::String(_) if is_secret(what) => "***".to_owned(),
                DeValue::String(_) => format!("{text:?}"),
                _ => text,
            };
            self.fault(&value.span(), format!("{what} {text}; {wanted}"));
        }
    }

    /// Reads one text.
    pub fn text<T>(
        &mut self,
        key: &str,
        value: &Value,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let mut found = None;
        self.one(key, value, Takes::Text, &mut |text| {
            found = Some(read(text)?);
            Ok(())
        });
        found
    }

    /// Reads true or false.
    pub fn switch(&mut self, key: &str, value: &Value) -> Option<bool> {
        if let DeValue::Boolean(is_on) = value.get_ref() {
            return Some(*is_on);
        }
        let mut found = None;
        self.one(key, value, Takes::TextOrNumber, &mut |text| {
            found = Some(values::switch(text)?);
            Ok(())
        });
        found
    }

    /// Reads several values, or one without brackets.
    pub fn list(
        &mut self,
        key: &str,
        value: &Value,
        add: &mut dyn FnMut(&str, Place) -> Result<(), String>,
    ) {
        let values = match value.get_ref() {
            DeValue::Array(values) => values.iter().collect(),
            _ => vec![value],
        };
        let what = match value.get_ref() {
            DeValue::Array(_) => format!("{key} has"),
            _ => format!("{key} is"),
        };
        for value in values {
            let place = self.place(&value.span());
            let mut add = |text: &str| add(text, place);
            self.read_one(&what, value, Takes::TextOrNumber, &mut add);
        }
    }

    /// Reads an option of one of the tables. None: it has no such key.
    pub fn setting<D, C>(
        &mut self,
        key: &Spanned<DeString>,
        value: &Value,
        settings: &'static [Setting<D, C>],
        draft: &mut D,
        given: &mut Given,
    ) -> Option<()> {
        let name: &str = key.get_ref();
        let setting = settings.iter().find(|s| key_of(s.name) == name)?;
        given.note(setting.name, self.place(&key.span()));
        match setting.kind {
            Kind::One { takes, set, .. } => {
                self.one(name, value, takes, &mut |text| set(draft, text));
            }
            Kind::Switch { set, .. } => {
                if let Some(is_on) = self.switch(name, value) {
                    set(draft, is_on);
                }
            }
            Kind::List {
                can_be_empty,
                clear,
                add,
                ..
            } => {
                clear(draft);
                if value.get_ref().as_array().is_some_and(|a| a.is_empty()) && !can_be_empty {
                    let wanted = add(draft, "").err().unwrap_or_default();
                    self.wrong(name, value, &wanted);
                }
                self.list(name, value, &mut |text, _| add(draft, text));
            }
        }
        Some(())
    }

    /// A key that nobody knows here.
    pub fn unknown(&mut self, key: &Spanned<DeString>, known: &[&str], or_else: &str) {
        let name = key.get_ref();
        let wanted = nearest(name, known.iter().copied()).unwrap_or(or_else);
        self.fault(&key.span(), format!("unknown key {name}; want {wanted}"));
    }

    /// A value of a type that cannot be meant.
    pub fn wrong(&mut self, key: &str, value: &Value, wanted: &str) {
        self.complain(&format!("{key} is"), value, wanted);
    }

    fn complain(&mut self, what: &str, value: &Value, wanted: &str) {
        let text = self.text.get(value.span()).unwrap_or_default();
        let text = match value.get_ref() {
            DeValue::Table(_) => "a table",
            DeValue::Array(_) if text.contains('\n') => "an array",
            _ if text.chars().count() > MAX_SHOWN => value.get_ref().type_str(),
            _ => text,
        };
        self.fault(&value.span(), format!("{what} {text}; {wanted}"));
    }

    fn expanded(&mut self, text: &str, span: &Range<usize>) -> Option<String> {
        match expand(text, self.variable) {
            Ok(text) => Some(text),
            Err(faults) => {
                for fault in faults {
                    self.fault(span, fault);
                }
                None
            }
        }
    }
}

/// The entries of a table in the order of the file.
pub fn in_order<'t, 'i>(table: &'t DeTable<'i>) -> Vec<(&'t Spanned<DeString<'i>>, &'t Value<'i>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// Whether two of these are one name, whatever their case; which.
pub fn first_twice<'n>(names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let mut seen = HashSet::new();
    names
        .into_iter()
        .find(|name| !seen.insert(name.to_ascii_lowercase()))
}

/// Secrets do not go into logs.
fn is_secret(what: &str) -> bool {
    what.starts_with("sticky_secret ")
}

fn decimal(number: &DeInteger) -> String {
    i128::from_str_radix(number.as_str(), number.radix())
        .map_or_else(|_| number.to_string(), |n| n.to_string())
}
