//! Variables of the environment in values: `${NAME}`, `${NAME:-default}`, and `$${` for a plain
//! `${`.

/// Puts in what the variables are. The errors say what is wrong, and what is right.
///
/// The default counts for a variable that is not set or empty, as in the shell. What is put in is
/// not looked at again.
pub fn expand(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<String, Vec<String>> {
    let mut expanded = String::with_capacity(text.len());
    let mut faults = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if let Some(before) = rest[..start].strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = &rest[start + 2..];
            continue;
        }
        expanded.push_str(&rest[..start]);
        let Some((inner, after)) = rest[start + 2..].split_once('}') else {
            faults.push(
                "${ is not closed; want ${NAME} or ${NAME:-default}, or $${ for a plain ${"
                    .to_owned(),
            );
            return Err(faults);
        };
        match look_up(inner, variable) {
            Ok(value) => expanded.push_str(&value),
            Err(fault) => faults.push(fault),
        }
        rest = after;
    }
    expanded.push_str(rest);
    if faults.is_empty() {
        Ok(expanded)
    } else {
        Err(faults)
    }
}

fn look_up(inner: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if name.is_empty() || !name.bytes().all(is_plain) || name.as_bytes()[0].is_ascii_digit() {
        return Err(format!(
            "${{{inner}}} names no variable; want ${{NAME}} or ${{NAME:-default}}"
        ));
    }
    match (variable(name), default) {
        (Some(value), _) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (Some(empty), None) => Ok(empty),
        (None, None) => Err(format!(
            "the variable {name} is not set; want it set, or ${{{name}:-default}}"
        )),
    }
}

/// Writes a text so that [`expand`] gives it back.
pub fn protect(text: &str) -> String {
    text.replace("${", "$${")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str) -> Option<String> {
        match name {
            "PORT" => Some("8080".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRICK" => Some("${PORT}".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_put_in_where_they_stand() {
        let cases = [
            ("", ""),
            ("plain $PORT $ {PORT} $$", "plain $PORT $ {PORT} $$"),
            ("${PORT}", "8080"),
            ("a${PORT}b${PORT}", "a8080b8080"),
            ("${NONE:-80}", "80"),
            ("${NONE:-}", ""),
            ("${NONE:-a:-b}", "a:-b"),
            ("${PORT:-80}", "8080"),
            ("${EMPTY:-80}", "80"),
            ("[${EMPTY}]", "[]"),
            ("${TRICK}", "${PORT}"),
            ("$${PORT}", "${PORT}"),
            ("$$${PORT}", "$${PORT}"),
            ("$${", "${"),
            ("é${PORT}é", "é8080é"),
        ];
        for (text, wanted) in cases {
            assert_eq!(expand(text, &variable), Ok(wanted.to_owned()), "{text}");
        }
    }

    #[test]
    fn every_fault_of_a_value_is_told() {
        let cases: [(&str, &[&str]); 6] = [
            ("${NONE}", &["NONE is not set"]),
            ("${NONE}${NADA}", &["NONE is not set", "NADA is not set"]),
            ("${", &["not closed"]),
            ("${NONE}${PORT", &["NONE is not set", "not closed"]),
            ("${}", &["${} names no variable"]),
            ("${1A}${A B:-x}", &["${1A} names", "${A B:-x} names"]),
        ];
        for (text, wanted) in cases {
            let faults = expand(text, &variable).expect_err(text);
            assert_eq!(faults.len(), wanted.len(), "{text}: {faults:?}");
            for (fault, wanted) in faults.iter().zip(wanted) {
                assert!(fault.contains(wanted), "{text}: {fault}");
            }
        }
    }

    #[test]
    fn what_is_protected_comes_back() {
        for text in ["", "a", "$", "${", "$${", "$$$${${a}$", "${NONE}"] {
            let protected = protect(text);
            assert_eq!(expand(&protected, &variable), Ok(text.to_owned()));
        }
    }
}
