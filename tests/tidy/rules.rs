//! The rules that read one file at a time, each with a bad example that it must catch.

use crate::source::Source;

/// The longest file and function of src/, in lines, and the longest line anywhere, in characters.
const FILE_LINES: usize = 350;
const FUNCTION_LINES: usize = 70;
const LINE_CHARS: usize = 100;

/// Linux keeps this many bytes of a thread's name.
const THREAD_NAME_BYTES: usize = 15;
const COUNTER_DIGITS: usize = 5;

/// The only files that may say `unsafe`, each block with its SAFETY sentence.
const UNSAFE_FILES: &[&str] = &["src/intake/tiny/socket.rs", "bench/readiness.rs"];

/// Each crate's name keeps to its room; an entry is how the paths of the room's files begin.
const ROOMS: &[(&str, &[&str])] = &[
    ("tiny_http", &["src/intake/tiny", "src/process/demo"]),
    ("ureq", &["src/exchange/"]),
    ("ureq_proto", &["src/intake/gate/content"]),
    (
        "argh",
        &[
            "src/process/args.rs",
            "src/process/ctl/",
            "src/process/healthcheck.rs",
            "src/process/options.rs",
            "src/process/top/order.rs",
        ],
    ),
    (
        "serde_json",
        &[
            "src/admin/",
            "src/pool/saved",
            "src/process/ctl/",
            "src/process/logging.rs",
            "src/watch/access/",
            "src/process/top/",
        ],
    ),
    ("crossterm", &["src/process/top/screen.rs"]),
    ("ppp", &["src/intake/gate/proxy.rs"]),
    (
        "siphasher",
        &[
            "src/exchange/request_id.rs",
            "src/pool/balance/mod.rs",
            "src/pool/sticky.rs",
        ],
    ),
    ("libm", &["src/pool/balance/hash.rs"]),
    ("listenfd", &["src/intake/gate/handed_over.rs"]),
    ("signal_hook", &["src/process/signals.rs"]),
    ("simplelog", &["src/process/logging.rs"]),
    ("toml", &["src/process/file"]),
];

/// The only files of src/ that may start a thread (or, for the demo, a process).
const SPAWNING_FILES: &[&str] = &[
    "src/server.rs",
    "src/server/admin.rs",
    "src/process/demo",
    "src/process/top/threads.rs",
];

/// Unit tests that have a file of their own.
const TEST_FILES: &[&str] = &[
    "src/exchange/route/find/tests.rs",
    "src/exchange/tunnel/tests.rs",
    "src/exchange/upgrade/tests.rs",
    "src/exchange/worker/tests.rs",
    "src/intake/idle/tests.rs",
    "src/intake/gate/client/tests.rs",
    "src/intake/gate/lot/tests.rs",
    "src/intake/gate/readiness/tests.rs",
    "src/admin/tests",
    "src/pool/balance/hash/tests.rs",
    "src/pool/balance/load/tests.rs",
    "src/pool/balance/tests.rs",
    "src/pool/balance/turn/tests.rs",
    "src/pool/health/properties.rs",
    "src/pool/health/scene.rs",
    "src/pool/health/tests.rs",
    "src/pool/probe/answer/tests.rs",
    "src/pool/probe/tests",
    "src/pool/resolve/tests.rs",
    "src/pool/saved/tests.rs",
    "src/pool/tests",
    "src/process/ctl/tests",
    "src/process/top/draw/tests.rs",
    "src/pool/update/tests",
    "src/process/effective/tests",
    "src/process/file/tests",
    "src/process/service/tests.rs",
    "src/server/diff/tests.rs",
    "src/server/life/tests.rs",
    "src/server/notify/tests.rs",
    "src/server/run/tests.rs",
];

/// Spelt in halves: these are forbidden in text too, and this file is read like the others.
const NOTES_TO_SELF: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];

/// What a file must keep to, how the lines that break it are found, and an example that does.
pub struct Rule {
    pub demand: &'static str,
    pub find: fn(&Source) -> Vec<usize>,
    pub bad_path: &'static str,
    pub bad_text: String,
}

pub fn rules() -> Vec<Rule> {
    let long_function = format!("fn f() {{\n{}}}\n", "    a();\n".repeat(FUNCTION_LINES - 1));
    vec![
        rule(
            "the first line is a //! sentence",
            no_sentence,
            "bench/a.rs",
            "use std::io;",
        ),
        rule(
            "a file has at most 350 lines",
            long_file,
            "src/a.rs",
            &"a\n".repeat(FILE_LINES + 1),
        ),
        rule(
            "a line has at most 100 characters",
            long_lines,
            "tests/a.rs",
            &"ä".repeat(101),
        ),
        rule(
            "a function has at most 70 lines",
            long_functions,
            "src/a.rs",
            &long_function,
        ),
        rule(
            "nobody sleeps: wait on a channel with a timeout",
            |source| lines_with(&source.code, &["sleep"]),
            "tests/a.rs",
            "fn f() { std::thread::sleep(d) }",
        ),
        rule(
            "no unwrap: handle it, or expect() with a sentence",
            |source| lines_with(&source.code, &[".unwrap()"]),
            "tests/a.rs",
            "fn f() { a().unwrap() }",
        ),
        rule(
            "nothing unfinished: no todo!, unimplemented!, dbg!",
            |source| lines_with(&source.code, &["todo!", "unimplemented!", "dbg!"]),
            "bench/a.rs",
            "fn f() { dbg!(a) }",
        ),
        rule(
            "no test is ignored",
            |source| lines_with(&source.code, &["#[ignore"]),
            "tests/a.rs",
            "#[test]\n#[ignore = \"slow\"]\nfn f() {}",
        ),
        rule(
            "no note to self stays in the text",
            |source| lines_with(&source.text, NOTES_TO_SELF),
            "src/a.rs",
            concat!("// TO", "DO: finish"),
        ),
        rule(
            "a crate's name keeps to its room",
            strayed_names,
            "src/pool/a.rs",
            "use ureq::Agent;",
        ),
        rule(
            "only server.rs, the demo and top start threads",
            spawns,
            "src/a.rs",
            "thread::spawn(f);",
        ),
        rule(
            "unsafe keeps to its short list",
            unsafes,
            "tests/a.rs",
            "fn f() { unsafe { a() } }",
        ),
        rule(
            "a thread's name has at most 15 bytes",
            long_thread_names,
            "src/server.rs",
            "fn f() { spawn(&format!(\"long-worker-{n}\"), g) }",
        ),
    ]
}

fn rule(
    demand: &'static str,
    find: fn(&Source) -> Vec<usize>,
    bad_path: &'static str,
    bad_text: &str,
) -> Rule {
    Rule {
        demand,
        find,
        bad_path,
        bad_text: bad_text.to_owned(),
    }
}

fn no_sentence(source: &Source) -> Vec<usize> {
    if source.text.starts_with("//! ") {
        Vec::new()
    } else {
        vec![1]
    }
}

fn long_file(source: &Source) -> Vec<usize> {
    let is_long = source.is_in(&["src/"]) && source.text.lines().count() > FILE_LINES;
    if is_long {
        vec![FILE_LINES + 1]
    } else {
        Vec::new()
    }
}

fn long_lines(source: &Source) -> Vec<usize> {
    let is_long = |(_, line): &(usize, &str)| line.chars().count() > LINE_CHARS;
    numbered(&source.text)
        .filter(is_long)
        .map(|(number, _)| number)
        .collect()
}

fn long_functions(source: &Source) -> Vec<usize> {
    if !source.is_in(&["src/"]) {
        return Vec::new();
    }
    let starts = lines_with(&source.code, &["fn"]);
    starts
        .into_iter()
        .filter(|&start| function_lines(&source.code, start) > FUNCTION_LINES)
        .collect()
}

/// Counts braces from the line of the `fn` on: blanked code has none that do not pair.
fn function_lines(code: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    for (n_before, line) in code.lines().skip(start - 1).enumerate() {
        for letter in line.chars() {
            match letter {
                '{' => depth += 1,
                '}' if depth <= 1 => return n_before + 1,
                '}' => depth -= 1,
                // A declaration without a body.
                ';' if depth == 0 => return n_before + 1,
                _ => {}
            }
        }
    }
    code.lines().count() + 1 - start
}

fn strayed_names(source: &Source) -> Vec<usize> {
    if !source.is_in(&["src/"]) {
        return Vec::new();
    }
    let strays = ROOMS.iter().filter(|(_, room)| !source.is_in(room));
    strays
        .flat_map(|(name, _)| lines_with(&source.code, &[name]))
        .collect()
}

/// Unit tests at the end of a file may start threads: these end with their test.
fn spawns(source: &Source) -> Vec<usize> {
    if !source.is_in(&["src/"]) || source.is_in(SPAWNING_FILES) || source.is_in(TEST_FILES) {
        return Vec::new();
    }
    let product = source
        .code
        .split("#[cfg(test)]\nmod ")
        .next()
        .unwrap_or_default();
    lines_with(product, &["thread::spawn", "thread::Builder", ".spawn("])
}

fn unsafes(source: &Source) -> Vec<usize> {
    if source.is_in(UNSAFE_FILES) {
        Vec::new()
    } else {
        lines_with(&source.code, &["unsafe"])
    }
}

/// Reads the literal, or the pattern, that stands where a thread is named.
fn long_thread_names(source: &Source) -> Vec<usize> {
    if !source.is_in(SPAWNING_FILES) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for naming in ["spawn(", "name(", "thread_name = "] {
        for (start, _) in source.text.match_indices(naming) {
            let value = source.text[start + naming.len()..]
                .trim_start()
                .trim_start_matches('&');
            let value = value.strip_prefix("format!(").unwrap_or(value).trim_start();
            let quoted = value
                .strip_prefix('"')
                .and_then(|rest| rest.split_once('"'));
            if quoted.is_some_and(|(name, _)| name_bytes(name) > THREAD_NAME_BYTES) {
                found.push(source.text[..start].lines().count());
            }
        }
    }
    found
}

/// The longest name that a pattern gives, if what it counts stays below 100,000.
fn name_bytes(pattern: &str) -> usize {
    let mut length = 0;
    let mut rest = pattern;
    while let Some((before, (_, after))) = rest
        .split_once('{')
        .and_then(|(before, at)| Some((before, at.split_once('}')?)))
    {
        length += before.len() + COUNTER_DIGITS;
        rest = after;
    }
    length + rest.len()
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(idx, line)| (idx + 1, line))
}

/// The numbers of the lines that hold one of these, not as a part of a longer name.
fn lines_with(text: &str, wanted: &[&str]) -> Vec<usize> {
    let has_one = |line: &str| wanted.iter().any(|word| has_word(line, word));
    numbered(text)
        .filter(|(_, line)| has_one(line))
        .map(|(number, _)| number)
        .collect()
}

fn has_word(line: &str, word: &str) -> bool {
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back().is_some_and(is_name);
        let after = line[start + word.len()..]
            .chars()
            .next()
            .is_some_and(is_name);
        !(before && word.starts_with(is_name) || after && word.ends_with(is_name))
    })
}
