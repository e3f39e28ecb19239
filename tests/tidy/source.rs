//! A Rust file as the rules read it: its text, and its text with comments and literals blanked.

use std::fs;
use std::path::Path;

/// One file: its path from the top, its text, and its code, which is the text line for line with
/// spaces where comments, strings and character literals were.
pub struct Source {
    pub path: String,
    pub text: String,
    pub code: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
            code: blank(text),
        }
    }

    /// Whether the path begins with one of these.
    pub fn is_in(&self, beginnings: &[&str]) -> bool {
        beginnings
            .iter()
            .any(|beginning| self.path.starts_with(beginning))
    }
}

/// Every Rust file under `folder`, at any depth.
pub fn read_sources(top: &Path, folder: &str, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(top.join(folder)).expect("a folder of the package can be listed") {
        let entry = entry.expect("an entry can be read");
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            read_sources(top, &path, sources);
        } else if Path::new(&path)
            .extension()
            .is_some_and(|extension| extension == "rs")
        {
            let text = fs::read_to_string(entry.path()).expect("a source file is UTF-8");
            sources.push(Source::new(&path, &text));
        }
    }
}

/// The text with comments and literals turned into spaces.
fn blank(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let dull = dull_length(rest, code.chars().next_back());
        if dull == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.extend(
                rest[..dull]
                    .chars()
                    .map(|c| if c == '\n' { '\n' } else { ' ' }),
            );
            rest = &rest[dull..];
        }
    }
    code
}

/// How many bytes of comment or literal stand at the start of `rest`; 0 means code.
fn dull_length(rest: &str, before: Option<char>) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment_length(rest);
    }
    if rest.starts_with('"') {
        return quoted_length(rest, '"');
    }
    let mut letters = rest.chars();
    match (letters.next(), letters.next(), letters.next()) {
        // A lifetime has no second quote right after one letter.
        (Some('\''), Some('\\'), _) => quoted_length(rest, '\''),
        (Some('\''), Some(letter), Some('\'')) => 2 + letter.len_utf8(),
        (Some('r'), Some('"' | '#'), _) if may_precede_raw(before) => raw_length(rest),
        _ => 0,
    }
}

/// The `r` of `r"` begins a literal, also after `b` or `c`; the one that ends a name does not.
fn may_precede_raw(before: Option<char>) -> bool {
    before.is_none_or(|c| matches!(c, 'b' | 'c') || !(c.is_alphanumeric() || c == '_'))
}

/// The length of `r#"..."#`, or 0 for a raw name such as `r#type`.
fn raw_length(rest: &str) -> usize {
    let n_hashes = rest[1..].chars().take_while(|&c| c == '#').count();
    let body = n_hashes + 2;
    if !rest[body - 1..].starts_with('"') {
        return 0;
    }
    let close = format!("\"{}", "#".repeat(n_hashes));
    rest[body..]
        .find(&close)
        .map_or(rest.len(), |at| body + at + close.len())
}

fn quoted_length(rest: &str, quote: char) -> usize {
    let mut escaped = true;
    for (at, letter) in rest.char_indices() {
        if letter == quote && !escaped {
            return at + 1;
        }
        escaped = letter == '\\' && !escaped;
    }
    rest.len()
}

fn block_comment_length(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

#[test]
fn blanking_keeps_code_and_lines_and_drops_comments_and_literals() {
    let cases = [
        ("a // b", "a"),
        ("a /* b /* c */ d */ e", "a e"),
        ("a \"b\" c", "a c"),
        ("a \"b\\\"c\\\\\" d", "a d"),
        ("a \"// b\" c", "a c"),
        ("a 'b' c", "a c"),
        ("a '\\'' c", "a c"),
        ("a '\"' c", "a c"),
        ("fn a<'b>(c: &'b str)", "fn a<'b>(c: &'b str)"),
        ("a r\"b\\\" c", "a c"),
        ("a r#\"b \"c\" d\"# e", "a e"),
        ("a br\"b\" c", "a b c"),
        ("a r#type b", "a r#type b"),
        ("for\"a\"", "for"),
    ];
    for (text, code) in cases {
        let blanked = blank(&format!("{text}\nlast"));
        let kept: Vec<&str> = blanked.split_whitespace().collect();
        assert_eq!(kept.join(" "), format!("{code} last"), "from {text}");
        assert_eq!(blanked.lines().count(), 2, "from {text}");
    }
    assert_eq!(blank("\"a\nb\"\nc"), "  \n  \nc");
}
