//! The rules of the house as a test: what neither rustc nor clippy checks, line by line.
//!
//! Each rule carries a bad example and is tested to catch it: a rule that finds nothing there has
//! died unnoticed. Rules read code with comments and literals blanked, unless they are about text,
//! so these files may name what they forbid.

#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/source.rs"]
mod source;

use std::fs;
use std::path::Path;
use std::process::Command;

use rules::rules;
use source::{Source, read_sources};

const TOP: &str = env!("CARGO_MANIFEST_DIR");

/// Convention demands these at the top level; every other file lives in one of the folders.
const TOP_LEVEL: &[&str] = &[
    ".ci",
    ".git",
    ".gitignore",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "Makefile",
    "README.md",
    "bench",
    "src",
    "target",
    "tests",
];

#[test]
fn every_file_keeps_every_rule() {
    let mut sources = Vec::new();
    for folder in ["src", "tests", "bench"] {
        read_sources(Path::new(TOP), folder, &mut sources);
    }
    let mut findings = Vec::new();
    for source in &sources {
        for rule in rules() {
            for line in (rule.find)(source) {
                findings.push(format!("{}:{line}: {}", source.path, rule.demand));
            }
        }
    }
    assert!(
        sources.len() > 5,
        "the walk found only {} files",
        sources.len()
    );
    assert!(
        findings.is_empty(),
        "{} findings:\n{}",
        findings.len(),
        findings.join("\n")
    );
}

#[test]
fn every_rule_catches_its_bad_example_and_lets_a_good_one_pass() {
    let good = Source::new(
        "src/server.rs",
        "//! What it is.\nfn f() { g(\"unsafe\"); } // sleep\n",
    );
    for rule in rules() {
        let bad = Source::new(rule.bad_path, &rule.bad_text);
        assert!(
            !(rule.find)(&bad).is_empty(),
            "this rule is dead: {}",
            rule.demand
        );
        assert!(
            (rule.find)(&good).is_empty(),
            "this rule is against all: {}",
            rule.demand
        );
    }
}

#[test]
fn the_top_level_holds_only_what_convention_demands() {
    let mut names = Vec::new();
    for entry in fs::read_dir(TOP).expect("the top level can be listed") {
        let name = entry.expect("an entry can be read").file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    let strays = strays(&names);
    assert!(
        strays.is_empty(),
        "these belong into src, tests or bench: {strays:?}"
    );
}

#[test]
fn a_stray_at_the_top_level_is_noticed() {
    let names = ["src", "docs", "notes.md"].map(str::to_owned);
    assert_eq!(strays(&names), ["docs", "notes.md"]);
}

/// The goal: no option without a word in the README. The trick: the binary itself lists them.
#[test]
fn the_readme_mentions_every_option_that_help_prints() {
    let help = Command::new(env!("CARGO_BIN_EXE_threadbare"))
        .arg("--help")
        .output()
        .expect("the binary of this package can be run");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(
        options_of(&help).contains(&"--listen"),
        "not a list of options:\n{help}"
    );
    let readme = fs::read_to_string(Path::new(TOP).join("README.md"))
        .expect("README.md is at the top level and is UTF-8");
    let missing = unmentioned(&help, &readme);
    assert!(missing.is_empty(), "README.md does not mention {missing:?}");
}

#[test]
fn an_option_is_mentioned_only_by_its_whole_name() {
    let help = "usage: [--queue <n>]\n  --queue-timeout   --a----, -x and --.";
    assert_eq!(options_of(help), ["--queue", "--queue-timeout"]);
    assert_eq!(unmentioned(help, "`--queue-timeout 5s`"), ["--queue"]);
}

fn strays(names: &[String]) -> Vec<&str> {
    names
        .iter()
        .map(String::as_str)
        .filter(|name| !TOP_LEVEL.contains(name))
        .collect()
}

fn unmentioned<'help>(help: &'help str, readme: &str) -> Vec<&'help str> {
    let mentioned = options_of(readme);
    options_of(help)
        .into_iter()
        .filter(|option| !mentioned.contains(option))
        .collect()
}

/// The options `--like-this` in a text, each as often as it stands there.
fn options_of(text: &str) -> Vec<&str> {
    text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-'))
        .filter(|word| !word.ends_with('-'))
        .filter(|word| {
            word.strip_prefix("--")
                .is_some_and(|name| !name.starts_with('-'))
        })
        .collect()
}
