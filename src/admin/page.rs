//! The page at `/`: one file without anything from outside, which asks `/live` each second.
//!
//! The page itself holds no data, so it is sent without a token; what it asks for is not.

use crate::admin::problem::Answer;

/// The page.
const PAGE: &str = include_str!("page.html");

/// Nothing runs but the one script, nothing is styled but by the one sheet, nothing is asked but
/// here, and no other page may show this one inside. The hashes are those of the file: a test
/// compares.
const POLICY: &str = concat!(
    "default-src 'none'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; ",
    "frame-ancestors 'none'; ",
    "style-src 'sha256-9q1WsGkBBmjDuX+MlQ66/rmboApHZ5s0lPwtkKEGjgM='; ",
    "script-src 'sha256-MhSMVCVPZvN1aG1MHOg9qgBw4u4K7MfADzUeMjr+T4A='",
);

/// The answer.
pub fn answer() -> Answer {
    Answer::text(200, "text/html; charset=utf-8", PAGE.to_owned())
        .with_field("Content-Security-Policy", POLICY.to_owned())
        .with_field("Referrer-Policy", "no-referrer".to_owned())
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_policy_allows_just_this_style_and_this_script() {
        for (kind, tag) in [("style-src", "style"), ("script-src", "script")] {
            let (_, rest) = PAGE.split_once(&format!("<{tag}>")).expect("it is there");
            let (text, after) = rest.split_once(&format!("</{tag}>")).expect("it ends");
            assert!(!after.contains(&format!("<{tag}")), "one {tag} only");
            let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text));
            let wanted = format!("{kind} 'sha256-{hash}'");
            assert!(POLICY.contains(&wanted), "{wanted}");
        }
        for outside in ["https://", " src=", "@import", "url("] {
            assert_eq!(PAGE.matches(outside).count(), 0, "{outside}");
        }
        // The one link is the icon, which stands in it.
        let (n_links, n_icons) = (PAGE.matches("href="), PAGE.matches("href=\"data:"));
        assert_eq!(n_links.count(), n_icons.count());
        assert!(
            !PAGE.contains("innerHTML"),
            "clients' text would become markup"
        );
    }
}
