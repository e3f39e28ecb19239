//! The known key that an unknown one was meant to be.

/// The nearest of these, if any is near: a third of its letters may be wrong.
pub fn nearest<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let key = key.to_ascii_lowercase().replace('-', "_");
    let far = key.chars().count().div_ceil(3);
    known
        .map(|name| (distance(&key, name), name))
        .filter(|(distance, _)| *distance <= far)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Letters to add, drop, change or swap with their neighbour, to make one of the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut two_above: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = change.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(two_above[j - 2] + 1);
            }
            row.push(least);
        }
        two_above = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_key_and_nonsense_finds_none() {
        let known = [
            "workers",
            "queue",
            "queue_timeout",
            "listen",
            "listener",
            "url",
        ];
        let cases = [
            ("wrokers", Some("workers")),
            ("worker", Some("workers")),
            ("Workers", Some("workers")),
            ("queue-timeout", Some("queue_timeout")),
            ("que", None),
            ("lisen", Some("listen")),
            ("uri", Some("url")),
            ("xyzzy", None),
            ("", None),
        ];
        for (key, wanted) in cases {
            assert_eq!(nearest(key, known.into_iter()), wanted, "{key}");
        }
    }
}
