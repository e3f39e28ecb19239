//! What is wrong with a configuration: all of it, each with its place; and where what was given.

use std::collections::BTreeMap;

/// Where something was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// On the command line.
    CommandLine,
    /// In this line of the file, from 1.
    Line(usize),
}

impl Place {
    /// An option as it is written there: `--queue-timeout`, `queue_timeout`.
    pub fn name(self, option: &str) -> String {
        match self {
            Place::CommandLine => format!("--{option}"),
            Place::Line(_) => key_of(option),
        }
    }

    /// The same with a value: `--listener gate`, `listener = "gate"`.
    pub fn assignment(self, option: &str, value: &str) -> String {
        match self {
            Place::CommandLine => format!("--{option} {value}"),
            Place::Line(_) => format!("{} = \"{value}\"", key_of(option)),
        }
    }
}

/// An option's name in the file.
pub fn key_of(option: &str) -> String {
    option.replace('-', "_")
}

/// What is wrong, as far as it has been found.
#[derive(Debug)]
pub struct Faults {
    /// The file's name, as it was given.
    file: String,
    found: Vec<(Place, String)>,
}

impl Faults {
    /// None yet, in this file.
    pub fn new(file: &str) -> Faults {
        Faults {
            file: file.to_owned(),
            found: Vec::new(),
        }
    }

    /// One more: what is wrong, and what is right.
    pub fn add(&mut self, place: Place, text: impl Into<String>) {
        self.found.push((place, text.into()));
    }

    /// Takes those away that follow from the first so many: they stand in a line of these, or
    /// behind `cut`.
    pub fn forget_what_follows(&mut self, n: usize, cut: Option<Place>) {
        let rest = self.found.split_off(n);
        let is_news = |(place, _): &(Place, String)| {
            cut.is_none_or(|cut| *place < cut) && !self.found.iter().any(|(p, _)| p == place)
        };
        let news: Vec<_> = rest.into_iter().filter(is_news).collect();
        self.found.extend(news);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// One line for each, in the order of the file behind what the command line has.
    pub fn into_lines(mut self) -> Vec<String> {
        self.found.sort_by_key(|(place, _)| *place);
        let line = |(place, text): &(Place, String)| {
            let text = one_line(text);
            match place {
                Place::CommandLine => format!("threadbare: {text}"),
                Place::Line(number) => format!("{}:{number}: {text}", self.file),
            }
        };
        self.found.iter().map(line).collect()
    }
}

/// A log collector wants one line, and a terminal no control bytes.
pub fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let clean = |letter: char| {
        if letter.is_control() {
            '\u{fffd}'
        } else {
            letter
        }
    };
    words.join(" ").chars().map(clean).collect()
}

/// Where each option was given, by its flag's name.
#[derive(Debug, Default)]
pub struct Given(BTreeMap<&'static str, Place>);

impl Given {
    /// It was given here, which counts before where it was given until now.
    pub fn note(&mut self, option: &'static str, place: Place) {
        self.0.insert(option, place);
    }

    /// Where.
    pub fn place(&self, option: &str) -> Option<Place> {
        self.0.get(option).copied()
    }
}
