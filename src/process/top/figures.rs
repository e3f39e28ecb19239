//! Numbers and texts of a report as people read them. What is not there is `-`.

use serde_json::Value;

use crate::process::ctl::{harmless, lasted};

/// What is not known.
pub const NONE: &str = "-";

/// A text that came from anywhere: nothing in it is obeyed by a terminal.
pub fn text(value: &Value) -> String {
    value.as_str().map_or(NONE.to_owned(), harmless)
}

/// A whole number.
pub fn count(value: &Value) -> String {
    let count = value.as_u64();
    count.map_or(NONE.to_owned(), |count| count.to_string())
}

/// How often a second: small ones with a digit behind the point.
pub fn rate(rate: Option<f64>) -> String {
    match rate {
        None => NONE.to_owned(),
        Some(rate) if rate > 0.0 && rate < 9.95 => format!("{rate:.1}"),
        Some(rate) => format!("{rate:.0}"),
    }
}

/// Milliseconds, up to where seconds read better.
pub fn ms(value: &Value) -> String {
    match value.as_f64() {
        None => NONE.to_owned(),
        Some(ms) if ms < 0.995 => format!("{ms:.2}ms"),
        Some(ms) if ms < 9.95 => format!("{ms:.1}ms"),
        Some(ms) if ms < 999.5 => format!("{ms:.0}ms"),
        Some(ms) => lasted(ms / 1000.0),
    }
}

/// Seconds.
pub fn seconds(value: &Value) -> String {
    value.as_f64().map_or(NONE.to_owned(), lasted)
}

/// The newest of a list, which stands last.
pub fn last(list: &Value) -> &Value {
    const NOTHING: &Value = &Value::Null;
    list.as_array()
        .and_then(|list| list.last())
        .unwrap_or(NOTHING)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_as_long_as_they_say_something() {
        for (value, wanted) in [
            (json!(0.1234), "0.12ms"),
            (json!(1.26), "1.3ms"),
            (json!(10), "10ms"),
            (json!(999.6), "1.0s"),
            (json!(90_000), "1m 30s"),
            (json!(null), "-"),
            (json!("x"), "-"),
        ] {
            assert_eq!(ms(&value), wanted);
        }
        let rates = [Some(0.0), Some(0.25), Some(9.96), Some(1234.5), None];
        assert_eq!(rates.map(rate), ["0", "0.2", "10", "1234", "-"]);
        assert_eq!(
            (count(&json!(7)), count(&json!(-1))),
            ("7".into(), "-".into())
        );
        assert_eq!(text(&json!("a\u{1b}[2J")), "a?[2J");
        assert_eq!(
            (last(&json!([1, 2])), last(&json!([]))),
            (&json!(2), &json!(null))
        );
    }
}
