//! `[rejects]`: how many rejects are too many.

use super::{
    findings::Findings,
    plan::{RejectLimits, Share},
    written::{RejectsWritten, ShareWritten},
};

/// Thousandths of a percent in a whole.
const WHOLE: u64 = 100_000;

/// What `[rejects]` comes to.
pub fn limits(written: &RejectsWritten, findings: &mut Findings<'_>) -> RejectLimits {
    let mut share = |key: &'static str, written: Option<&ShareWritten>| {
        let written = written?;
        share(written)
            .map_err(|message| {
                let help = "write a number of records, or a share of those read such as \"5%\"";
                findings.value(&["rejects".into(), key.into()], message, Some(help));
            })
            .ok()
    };
    let limit = share("limit", written.limit.as_ref());
    let hold = share("hold", written.hold.as_ref());
    let never_held = match (limit, hold) {
        (Some(Share::Records(limit)), Some(Share::Records(hold)))
        | (Some(Share::Millipercent(limit)), Some(Share::Millipercent(hold))) => hold >= limit,
        _ => false,
    };
    if never_held {
        let help = "hold must be less than limit, or be left out";
        findings.value(
            &["rejects".into(), "hold".into()],
            "a file with so many rejects is refused before it could be held",
            Some(help),
        );
    }
    let is_share = |written: &Option<ShareWritten>| matches!(written, Some(ShareWritten::Percent(_)));
    if written.at_least.is_some() && !is_share(&written.limit) && !is_share(&written.hold) {
        let message = "this counts for percentages only, and there is none";
        findings.key(
            &["rejects".into(), "at_least".into()],
            message,
            Some("leave it out, or write limit as \"5%\""),
        );
    }
    RejectLimits { limit, hold, at_least: written.at_least.unwrap_or(1) }
}

/// What a share comes to, or what is wrong with it.
pub(super) fn share(written: &ShareWritten) -> Result<Share, &'static str> {
    match written {
        ShareWritten::Records(records) => Ok(Share::Records(*records)),
        ShareWritten::Percent(text) => millipercent(text).map(Share::Millipercent),
    }
}

/// Exact: "0.5%" is 500 thousandths of a percent.
fn millipercent(text: &str) -> Result<u64, &'static str> {
    let Some(number) = text.trim().strip_suffix('%') else {
        return Err("a share ends with `%`");
    };
    let (whole, fraction) = number.trim().split_once('.').unwrap_or((number.trim(), "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err("this is not a percentage");
    }
    if fraction.len() > 3 {
        return Err("a percentage has at most three digits after the point");
    }
    let whole = whole.parse::<u64>().ok().and_then(|whole| whole.checked_mul(1_000));
    let fraction = format!("{fraction:0<3}").parse::<u64>().ok();
    match whole.zip(fraction).and_then(|(whole, fraction)| whole.checked_add(fraction)) {
        Some(share) if share <= WHOLE => Ok(share),
        _ => Err("a share is at most 100%"),
    }
}

#[cfg(test)]
mod tests {
    use super::millipercent;

    #[test]
    fn percentages_are_exact() {
        assert_eq!(millipercent("5%"), Ok(5_000));
        assert_eq!(millipercent(" 0.5 % "), Ok(500));
        assert_eq!(millipercent("0.001%"), Ok(1));
        assert_eq!(millipercent("100%"), Ok(100_000));
        assert_eq!(millipercent("0%"), Ok(0));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "5",
            "%",
            "-1%",
            "5.%",
            ".5%",
            "0.0001%",
            "100.001%",
            "101%",
            "1e1%",
            "99999999999999999999%",
            "5%%",
        ] {
            assert!(millipercent(text).is_err(), "{text}");
        }
    }
}
