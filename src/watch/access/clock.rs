//! The time of a line, in the two ways in which logs have it, worked out anew only each second.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, UtcDateTime};

const RFC3339: &[BorrowedFormatItem<'static>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].000Z");
const CLF: &[BorrowedFormatItem<'static>] =
    format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");

/// A time in UTC, as texts.
#[derive(Debug, Default)]
pub struct Stamp {
    /// `2026-11-28T22:38:08.123Z`
    pub rfc3339: String,
    /// `28/Nov/2026:22:38:08 +0000`
    pub clf: String,
    /// Of which second since 1970 they are; none before the first.
    second: Option<u64>,
}

impl Stamp {
    /// Sets it to this time.
    pub fn set(&mut self, now: SystemTime) {
        // An error: a clock that is before 1970.
        let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        if self.second != Some(since.as_secs()) {
            let seconds = i64::try_from(since.as_secs()).unwrap_or_default();
            let time = OffsetDateTime::from_unix_timestamp(seconds);
            let time = time.map_or(UtcDateTime::UNIX_EPOCH, OffsetDateTime::to_utc);
            // Errors: a year of more than four digits.
            self.rfc3339 = time.format(RFC3339).unwrap_or_default();
            self.clf = time.format(CLF).unwrap_or_default();
            self.second = Some(since.as_secs());
        }
        let at = self.rfc3339.len().saturating_sub(4);
        self.rfc3339.truncate(at);
        let ms = since.subsec_millis();
        for digit in [ms / 100, ms / 10 % 10, ms % 10] {
            self.rfc3339
                .push(char::from_digit(digit, 10).unwrap_or('0'));
        }
        self.rfc3339.push('Z');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_right_within_a_second_and_from_one_to_the_next() {
        let mut stamp = Stamp::default();
        // 2000-02-29T23:59:58Z
        let start = 951_868_798_000;
        for (ms, time, clf) in [
            (0, "2000-02-29T23:59:58.000Z", "29/Feb/2000:23:59:58 +0000"),
            (7, "2000-02-29T23:59:58.007Z", "29/Feb/2000:23:59:58 +0000"),
            (
                1999,
                "2000-02-29T23:59:59.999Z",
                "29/Feb/2000:23:59:59 +0000",
            ),
            (
                2000,
                "2000-03-01T00:00:00.000Z",
                "01/Mar/2000:00:00:00 +0000",
            ),
        ] {
            stamp.set(UNIX_EPOCH + Duration::from_millis(start + ms));
            assert_eq!((stamp.rfc3339.as_str(), stamp.clf.as_str()), (time, clf));
        }
        stamp.set(UNIX_EPOCH - Duration::from_secs(1));
        assert_eq!(stamp.rfc3339, "1970-01-01T00:00:00.000Z");
    }
}
