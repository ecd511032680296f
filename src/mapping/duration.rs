//! Durations as they are written in configuration files: "90s", "10m", "4h", "1d".

use std::{ops::RangeInclusive, time::Duration};

/// What to do about a text that is no duration.
pub const HELP: &str = "write a whole number and a unit, s, m, h or d, such as \"90s\" or \"4h\"";

/// Units and their seconds, the largest first.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// The duration that `text` means.
///
/// # Errors
/// It is none, or none of those `allowed`, in words.
pub fn duration(text: &str, allowed: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let written = text.trim();
    let parts =
        UNITS.iter().find_map(|(unit, seconds)| Some((written.strip_suffix(*unit)?.trim_end(), *seconds)));
    let digits = |number: &str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let Some((number, seconds)) = parts.filter(|(number, _)| digits(number)) else {
        return Err(format!("`{text}` is not a duration"));
    };
    let found = number.parse::<u64>().ok().and_then(|number| number.checked_mul(seconds));
    match found.map(Duration::from_secs) {
        Some(found) if allowed.contains(&found) => Ok(found),
        _ => Err(format!("this must be from {} to {}", shown(*allowed.start()), shown(*allowed.end()))),
    }
}

/// A duration of whole seconds in the largest unit that leaves nothing over.
fn shown(duration: Duration) -> String {
    let total = duration.as_secs();
    let (unit, seconds) = UNITS
        .into_iter()
        .find(|(_, seconds)| total > 0 && total.is_multiple_of(*seconds))
        .unwrap_or(('s', 1));
    format!("{}{unit}", total / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWED: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(7 * 86_400);

    #[test]
    fn a_duration_is_a_whole_number_and_a_unit() {
        for (text, seconds) in [
            ("60s", 60),
            ("90s", 90),
            ("1m", 60),
            (" 10 m ", 600),
            ("4h", 14_400),
            ("7d", 604_800),
            ("007d", 604_800),
        ] {
            assert_eq!(duration(text, &ALLOWED), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_told_from_what_is_too_short_or_too_long() {
        for text in
            ["", "s", "5", "5ss", "-5m", "+5m", "1.5h", "1h30m", "5M", "5 minutes", "PT5M", "\u{661}m", "é"]
        {
            assert_eq!(duration(text, &ALLOWED), Err(format!("`{text}` is not a duration")));
        }
        for text in ["0s", "59s", "8d", "604801s", "18446744073709551615d", "99999999999999999999s"] {
            assert_eq!(duration(text, &ALLOWED), Err("this must be from 1m to 7d".to_owned()), "{text}");
        }
    }
}
