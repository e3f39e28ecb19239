//! One option, as the command line, the file and `--check` know it: a name, what reads it, what
//! tells it. Two tables of them are all there is to know.

mod of_pool;
mod of_process;

use std::path::PathBuf;
use std::time::Duration;

pub use self::of_pool::POOL_SETTINGS;
pub use self::of_process::PROCESS_SETTINGS;

use crate::process::faults::{Faults, Given, Place};
use crate::process::options::Options;
use crate::process::values::duration_text;

/// An option. `D` is what it is read into, `C` what it is told from.
pub struct Setting<D: 'static, C: 'static> {
    /// The flag's name; the file's key has `_` for `-`.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind<D>,
    /// Its value as it stands.
    pub tell: fn(&C) -> Told,
}

/// What an option takes. `typed` is what the command line has of it.
pub enum Kind<D: 'static> {
    /// One value.
    One {
        /// Whether it can be written as a number in the file.
        takes: Takes,
        /// What was typed.
        typed: fn(&Options) -> Option<&str>,
        /// Reads it. The error says what is wanted; an empty text is always one.
        set: fn(&mut D, &str) -> Result<(), String>,
    },
    /// Yes or no.
    Switch {
        /// Whether it was typed.
        typed: fn(&Options) -> bool,
        /// Takes it over.
        set: fn(&mut D, bool),
    },
    /// Several values.
    List {
        /// Whether there may be none.
        can_be_empty: bool,
        /// What was typed.
        typed: fn(&Options) -> Option<Vec<&str>>,
        /// Forgets what there was until now.
        clear: fn(&mut D),
        /// Reads one more.
        add: fn(&mut D, &str) -> Result<(), String>,
    },
}

/// What stands in the file for one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A string.
    Text,
    /// A string or a number.
    TextOrNumber,
}

/// A value as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// There is none.
    Nothing,
    /// As a string.
    Text(String),
    /// As a number.
    Number(u64),
    /// As true or false.
    Flag(bool),
    /// As a list of strings.
    List(Vec<String>),
}

impl<D, C> Setting<D, C> {
    const fn one(
        name: &'static str,
        typed: fn(&Options) -> Option<&str>,
        set: fn(&mut D, &str) -> Result<(), String>,
        tell: fn(&C) -> Told,
    ) -> Setting<D, C> {
        let takes = Takes::TextOrNumber;
        let kind = Kind::One { takes, typed, set };
        Setting { name, kind, tell }
    }

    const fn text(
        name: &'static str,
        typed: fn(&Options) -> Option<&str>,
        set: fn(&mut D, &str) -> Result<(), String>,
        tell: fn(&C) -> Told,
    ) -> Setting<D, C> {
        let takes = Takes::Text;
        let kind = Kind::One { takes, typed, set };
        Setting { name, kind, tell }
    }

    /// Whether it was typed.
    pub fn is_typed(&self, options: &Options) -> bool {
        match self.kind {
            Kind::One { typed, .. } => typed(options).is_some(),
            Kind::Switch { typed, .. } => typed(options),
            Kind::List { typed, .. } => typed(options).is_some(),
        }
    }

    /// Takes over what was typed, if it was.
    pub fn take_typed(
        &self,
        options: &Options,
        draft: &mut D,
        given: &mut Given,
        faults: &mut Faults,
    ) {
        if !self.is_typed(options) {
            return;
        }
        given.note(self.name, Place::CommandLine);
        let mut check = |value: &str, result: Result<(), String>| {
            if let Err(wanted) = result {
                faults.add(Place::CommandLine, bad_option(self.name, value, &wanted));
            }
        };
        match self.kind {
            Kind::One { typed, set, .. } => {
                let value = typed(options).unwrap_or_default();
                check(value, set(draft, value));
            }
            Kind::Switch { set, .. } => set(draft, true),
            Kind::List {
                typed, clear, add, ..
            } => {
                clear(draft);
                for value in typed(options).unwrap_or_default() {
                    check(value, add(draft, value));
                }
            }
        }
    }
}

/// The line about an option that can't be read.
pub fn bad_option(name: &str, value: &str, wanted: &str) -> String {
    // Secrets do not go into logs.
    let is_secret = name == "sticky-secret";
    let value = if is_secret { "***" } else { value };
    format!("option '--{name}' with value '{value}': {wanted}; see threadbare --help")
}

/// Puts what was read into its place.
fn put<T>(place: &mut T, read: Result<T, String>) -> Result<(), String> {
    *place = read?;
    Ok(())
}

/// The same for what may be absent.
fn put_some<T>(place: &mut Option<T>, read: Result<T, String>) -> Result<(), String> {
    *place = Some(read?);
    Ok(())
}

/// The same for a number of which 0 is no limit.
fn put_limit<T: PartialEq + Default>(
    place: &mut Option<T>,
    read: Result<T, String>,
) -> Result<(), String> {
    *place = Some(read?).filter(|n| *n != T::default());
    Ok(())
}

/// An option that is repeated, as far as it was given.
fn repeated(texts: &[String]) -> Option<Vec<&str>> {
    (!texts.is_empty()).then(|| texts.iter().map(String::as_str).collect())
}

/// An option whose values stand between commas.
fn listed(text: Option<&str>) -> Option<Vec<&str>> {
    text.map(|text| text.split(',').map(str::trim).collect())
}

impl From<u64> for Told {
    fn from(n: u64) -> Told {
        Told::Number(n)
    }
}

impl From<usize> for Told {
    fn from(n: usize) -> Told {
        Told::Number(n as u64)
    }
}

impl From<u32> for Told {
    fn from(n: u32) -> Told {
        Told::Number(n.into())
    }
}

impl From<bool> for Told {
    fn from(is_on: bool) -> Told {
        Told::Flag(is_on)
    }
}

impl From<String> for Told {
    fn from(text: String) -> Told {
        Told::Text(text)
    }
}

impl From<Vec<String>> for Told {
    fn from(texts: Vec<String>) -> Told {
        Told::List(texts)
    }
}

impl From<Duration> for Told {
    fn from(duration: Duration) -> Told {
        Told::Text(duration_text(duration))
    }
}

impl From<PathBuf> for Told {
    fn from(path: PathBuf) -> Told {
        Told::Text(path.display().to_string())
    }
}

impl<T: Into<Told>> From<Option<T>> for Told {
    fn from(value: Option<T>) -> Told {
        value.map_or(Told::Nothing, Into::into)
    }
}
