//! Numbers, shares, sizes and durations: read, and written so that they can be read again.

use std::time::Duration;

/// A whole number within bounds.
pub fn number(text: &str, min: usize, max: usize) -> Result<usize, String> {
    let wanted = || format!("want a whole number from {min} to {max}");
    let digits_only = text.bytes().all(|b| b.is_ascii_digit());
    let number = text
        .parse()
        .ok()
        .filter(|_| digits_only)
        .ok_or_else(wanted)?;
    if (min..=max).contains(&number) {
        Ok(number)
    } else {
        Err(wanted())
    }
}

/// The same for a number that is kept in 32 bits.
pub fn small_number(text: &str, min: u32, max: u32) -> Result<u32, String> {
    let number = number(text, min as usize, max as usize)?;
    Ok(u32::try_from(number).expect("it is at most max"))
}

/// `50%`: a share from 1% to 100%.
pub fn percent(text: &str) -> Result<usize, String> {
    share(text, 1, 100).map(|n| n as usize)
}

/// `50%`: a share from 1% to 100%.
pub fn part(text: &str) -> Result<u32, String> {
    share(text, 1, 100)
}

/// The same, in which 0% is never.
pub fn part_or_none(text: &str) -> Result<u32, String> {
    share(text, 0, 100)
}

/// `125%`: a share of the average, which cannot be a bound below it.
pub fn overload(text: &str) -> Result<u32, String> {
    share(text, 101, 1000)
}

fn share(text: &str, min: u32, max: u32) -> Result<u32, String> {
    let number = text.strip_suffix('%').map(|n| small_number(n, min, max));
    number
        .and_then(Result::ok)
        .ok_or_else(|| format!("want a share from {min}% to {max}%"))
}

/// A size within bounds.
pub fn size_within(text: &str, min: usize, max: usize) -> Result<usize, String> {
    let wanted = || {
        let (min, max) = (size_text(min as u64), size_text(max as u64));
        format!("want a size from {min} to {max}")
    };
    let n = size(text).and_then(|n| usize::try_from(n).ok());
    n.filter(|n| (min..=max).contains(n)).ok_or_else(wanted)
}

/// Reads `512`, `8KiB`, `10MiB` or `1GiB`.
pub fn size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Writes a size as [`size`] reads it.
pub fn size_text(n: u64) -> String {
    let unit = |shift: u32| n > 0 && n.is_multiple_of(1 << shift);
    match n {
        _ if unit(30) => format!("{}GiB", n >> 30),
        _ if unit(20) => format!("{}MiB", n >> 20),
        _ if unit(10) => format!("{}KiB", n >> 10),
        _ => n.to_string(),
    }
}

/// A duration, and `0` for no limit.
pub fn duration_or_off(text: &str) -> Result<Duration, String> {
    zero_or_duration(text, "no limit")
}

/// A duration, and `0` for at once.
pub fn duration_or_at_once(text: &str) -> Result<Duration, String> {
    zero_or_duration(text, "at once")
}

fn zero_or_duration(text: &str, zero_is: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    duration(text).map_err(|wanted| format!("{wanted}, or 0 for {zero_is}"))
}

/// Reads `500ms`, `10s`, `2m` or `1h`, from 1 ms to 24 hours.
pub fn duration(text: &str) -> Result<Duration, String> {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let ms = milliseconds(text).filter(|ms| (1..=DAY_MS).contains(ms));
    let wanted = || "want a duration from 1ms to 24h, as in 500ms, 10s or 2m".to_owned();
    ms.map(Duration::from_millis).ok_or_else(wanted)
}

/// How long a cookie is kept: whole seconds, up to a year.
pub fn cookie_age(text: &str) -> Result<Duration, String> {
    const YEAR_MS: u64 = 365 * 24 * 60 * 60 * 1000;
    let is_good = |ms: &u64| (1000..=YEAR_MS).contains(ms) && ms.is_multiple_of(1000);
    let ms = milliseconds(text).filter(is_good);
    let wanted = || "want whole seconds from 1s to 8760h, as in 30m or 24h".to_owned();
    ms.map(Duration::from_millis).ok_or_else(wanted)
}

fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit_ms)
}

/// Writes a duration as it is read, and as people would: `500ms`, `60s`, `2m`, `1h`, and `0`.
pub fn duration_text(duration: Duration) -> String {
    let ms = duration.as_millis();
    match (ms / 1000, ms % 1000) {
        (0, 0) => "0".to_owned(),
        (_, 1..) => format!("{ms}ms"),
        (s, _) if s % 3600 == 0 => format!("{}h", s / 3600),
        (s, _) if s % 60 == 0 && s > 60 => format!("{}m", s / 60),
        (s, _) => format!("{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        let good = [
            ("1ms", 1),
            ("500ms", 500),
            ("10s", 10_000),
            ("2m", 120_000),
            ("24h", 86_400_000),
        ];
        for (text, ms) in good {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
            assert_eq!(duration_text(Duration::from_millis(ms)), text);
        }
        for text in [
            "",
            "10",
            "s",
            "0s",
            "-1s",
            "1.5s",
            "10 s",
            "25h",
            "99999999999999999999h",
            "1d",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(duration_or_off("0"), Ok(Duration::ZERO));
        assert_eq!(cookie_age("720h"), Ok(Duration::from_secs(720 * 3600)));
        for text in ["0", "500ms", "1500ms", "8761h"] {
            assert!(cookie_age(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_is_written_as_it_is_read() {
        for ms in [
            1, 999, 1000, 1001, 59_000, 60_000, 61_000, 120_000, 5_400_000,
        ] {
            let whole = Duration::from_millis(ms);
            assert_eq!(duration(&duration_text(whole)), Ok(whole), "{ms}");
        }
        assert_eq!(duration_text(Duration::from_secs(60)), "60s");
    }

    #[test]
    fn sizes_are_a_number_and_a_binary_unit() {
        let sizes = [("0", 0), ("512", 512), ("8KiB", 8 << 10), ("3GiB", 3 << 30)];
        for (text, n) in sizes {
            assert_eq!(size(text), Some(n), "{text}");
            assert_eq!(size_text(n), text);
        }
        for text in ["", "KiB", "-1", "8kb", "8 KiB", "1.5MiB", "99999999999GiB"] {
            assert!(size(text).is_none(), "{text}");
        }
        assert_eq!(percent("50%"), Ok(50));
        for text in ["50", "0%", "101%", "%", ""] {
            assert!(percent(text).is_err(), "{text}");
        }
        assert_eq!((overload("125%"), part_or_none("0%")), (Ok(125), Ok(0)));
        assert!(overload("100%").is_err() && part_or_none("101%").is_err());
    }
}
