//! A number and what it counts.

use std::fmt::Display;

/// `1 backend`, `2 backends`.
pub fn counted<N: Copy + Display + PartialEq + From<u8>>(n: N, what: &str) -> String {
    let plural = if n == N::from(1) { "" } else { "s" };
    format!("{n} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one() {
        let texts = [0_u64, 1, 2].map(|n| counted(n, "further attempt"));
        let wanted = [
            "0 further attempts",
            "1 further attempt",
            "2 further attempts",
        ];
        assert_eq!(texts, wanted);
    }
}
