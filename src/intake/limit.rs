//! The limits that a listener holds clients to, each with what is said to who exceeds it.

use crate::intake::Refusal;

/// A limit, by the option that sets it.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    MaxTarget,
    MaxFields,
    MaxFieldsSize,
    MaxContent,
    HeaderTimeout,
    IdleTimeout,
    MinRate,
    MaxConnectionsPerClient,
}

impl Limit {
    /// All of them, in the order of the enum.
    pub const ALL: [Limit; 8] = [
        Limit::MaxTarget,
        Limit::MaxFields,
        Limit::MaxFieldsSize,
        Limit::MaxContent,
        Limit::HeaderTimeout,
        Limit::IdleTimeout,
        Limit::MinRate,
        Limit::MaxConnectionsPerClient,
    ];

    /// The option's name.
    pub const fn option(self) -> &'static str {
        match self {
            Limit::MaxTarget => "max-target",
            Limit::MaxFields => "max-fields",
            Limit::MaxFieldsSize => "max-fields-size",
            Limit::MaxContent => "max-content",
            Limit::HeaderTimeout => "header-timeout",
            Limit::IdleTimeout => "idle-timeout",
            Limit::MinRate => "min-rate",
            Limit::MaxConnectionsPerClient => "max-connections-per-client",
        }
    }

    /// What is said to who exceeds it.
    pub const fn refusal(self) -> Refusal {
        let (status, reason) = match self {
            Limit::MaxTarget => (414, "the target is too long"),
            Limit::MaxFields => (431, "too many fields"),
            Limit::MaxFieldsSize => (431, "the fields are too long"),
            Limit::MaxContent => (413, "the content is too long"),
            Limit::HeaderTimeout => (408, "the head took too long"),
            Limit::IdleTimeout => (408, "the content stalled"),
            Limit::MinRate => (408, "the content came too slowly"),
            Limit::MaxConnectionsPerClient => (429, "too many connections from this address"),
        };
        Refusal {
            status,
            reason,
            limit: Some(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_in_its_place_and_an_option_that_the_readme_has() {
        let readme = include_str!("../../README.md");
        for (idx, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, idx, "{limit:?}");
            let option = limit.option();
            assert!(readme.contains(&format!("| `--{option}` |")), "{option}");
        }
    }
}
