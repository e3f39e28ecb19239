//! How a line of the access log looks: a text with named fields in it, or an object of JSON.

use std::fmt;

use crate::watch::access::field::Field;

/// That of Apache and nginx, short.
const COMMON: &str = "{client} - - [{clf_time}] \"{request}\" {status} {content_out}";
/// The same, with two fields of the request.
const COMBINED: &str = "{client} - - [{clf_time}] \"{request}\" {status} {content_out} \
                        \"{referer}\" \"{user_agent}\"";

/// How a line looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// As the option has it.
    word: String,
    /// One behind the other.
    pub(super) parts: Vec<Part>,
    /// Fields are values of JSON.
    pub(super) is_json: bool,
}

/// A piece of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Field(Field),
}

impl Default for Format {
    fn default() -> Format {
        Format::parse("combined").expect("it is one of the names")
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.word)
    }
}

impl Format {
    /// Reads `common`, `combined`, `json` or a template. The error says what would be right.
    pub fn parse(word: &str) -> Result<Format, String> {
        let parts = match word {
            "common" => parts(COMMON)?,
            "combined" => parts(COMBINED)?,
            "json" => object(),
            template if template.contains('{') => parts(template)?,
            _ => return Err(wanted("")),
        };
        Ok(Format {
            word: word.to_owned(),
            parts,
            is_json: word == "json",
        })
    }
}

fn wanted(but: &str) -> String {
    let names: Vec<&str> = Field::ALL.iter().map(|field| field.name()).collect();
    let names = names.join(", ");
    format!(
        "want common, combined, json, or a template as in \"{{client}} {{status}}\"{but}; there \
         are {names}, and {{{{ and }}}} for braces"
    )
}

/// An object of JSON with every field, but one of the two times.
fn object() -> Vec<Part> {
    let mut parts = Vec::new();
    for field in Field::ALL.into_iter().filter(|&f| f != Field::ClfTime) {
        let before = if parts.is_empty() { '{' } else { ',' };
        parts.push(Part::Text(format!("{before}\"{}\":", field.name())));
        parts.push(Part::Field(field));
    }
    parts.push(Part::Text("}".to_owned()));
    parts
}

/// The pieces of a template.
fn parts(template: &str) -> Result<Vec<Part>, String> {
    if template.contains(char::is_control) {
        return Err(wanted(" without control characters"));
    }
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let brace = &rest[at..=at];
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix(brace) {
            text.push_str(brace);
            rest = behind;
            continue;
        }
        let Some((name, behind)) = rest.split_once('}').filter(|_| brace == "{") else {
            return Err(wanted(", its braces in pairs"));
        };
        let field = Field::of_name(name).ok_or_else(|| wanted(&format!(", not {name:?}")))?;
        if !text.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut text)));
        }
        parts.push(Part::Field(field));
        rest = behind;
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_texts_and_fields_in_their_order() {
        let text = |text: &str| Part::Text(text.to_owned());
        let (client, status) = (Part::Field(Field::Client), Part::Field(Field::Status));
        let cases = [
            ("{client}", vec![client.clone()]),
            ("{client}{status}", vec![client.clone(), status.clone()]),
            ("a {client} ä", vec![text("a "), client, text(" ä")]),
            ("{{{status}}}", vec![text("{"), status, text("}")]),
            ("{{}}", vec![text("{}")]),
        ];
        for (template, wanted) in cases {
            assert_eq!(parts(template), Ok(wanted), "{template}");
        }
    }

    #[test]
    fn what_is_no_format_is_answered_with_all_that_would_be() {
        for bad in [
            "",
            "jsn",
            "{",
            "}",
            "{client",
            "client}",
            "{client}}",
            "{Client}",
            "{}",
            "{ client}",
            "{client} {x}",
            "{client}\n{status}",
            "{client}\u{9b}",
        ] {
            let wanted = Format::parse(bad).expect_err(bad);
            assert!(!wanted.contains(char::is_control), "{wanted}");
            for field in Field::ALL {
                assert!(wanted.contains(field.name()), "{wanted}");
            }
        }
        let unknown = Format::parse("{client} {xyz}").expect_err("there is no xyz");
        assert!(unknown.contains("not \"xyz\""), "{unknown}");
    }

    #[test]
    fn a_format_is_told_as_it_was_given() {
        for word in ["common", "combined", "json", "{client} {{x}} {status}"] {
            assert_eq!(Format::parse(word).expect(word).to_string(), word);
        }
    }
}
