//! The verdict on a file: load it, refuse it, or let a person look first.

use crate::{
    formats::{Control, Trailer, TrailerOptions},
    mapping::plan::{Column, Plan, RejectLimits, Share, ValueParser},
    model::{Reason, value::ValueType, value::number},
};

/// What is to happen with a validated file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Its good rows are loaded.
    Load,
    /// Nothing of it is loaded.
    Refuse {
        /// The code.
        reason: Reason,
        /// What is wrong and what to do.
        message: String,
    },
    /// Nothing is loaded before a person says so.
    Hold {
        /// What a person should look at.
        message: String,
    },
}

/// What the file as a whole amounts to.
#[derive(Debug)]
pub struct Totals<'a> {
    /// Records read.
    pub read: u64,
    /// Records rejected.
    pub rejected: u64,
    /// Each trailer found: it, its physical line, and the records before it.
    pub trailers: &'a [(Trailer, u64, u64)],
    /// For each control: the sum, and the records whose value is not known.
    pub controls: &'a [(i128, u64)],
}

/// Judges a file under its plan.
#[must_use]
pub fn judge(plan: &Plan, totals: &Totals<'_>) -> Verdict {
    if let Some(options) = plan.format.trailer()
        && let Err((reason, message)) = check_trailer(plan, options, totals)
    {
        return Verdict::Refuse { reason, message };
    }
    judge_rejects(plan, totals.read, totals.rejected).unwrap_or(Verdict::Load)
}

/// How the message of a file with too many rejects ends.
pub const NOTHING_LOADED: &str = "; nothing was loaded, send the whole file again";

/// Judges the number of rejects alone; none when it is within the limits.
#[must_use]
pub fn judge_rejects(plan: &Plan, read: u64, rejected: u64) -> Option<Verdict> {
    let limits = &plan.rejects;
    if let Some(limit) = limits.limit
        && exceeds(limit, limits, rejected, read)
    {
        let message = format!(
            "{}, more than [rejects] limit = {} allows{NOTHING_LOADED}",
            share_of(rejected, read),
            limit
        );
        return Some(Verdict::Refuse { reason: Reason::RejectLimit, message });
    }
    if let Some(hold) = limits.hold
        && exceeds(hold, limits, rejected, read)
    {
        let message = format!("{}, more than [rejects] hold = {} lets pass", share_of(rejected, read), hold);
        return Some(Verdict::Hold { message });
    }
    None
}

fn share_of(rejected: u64, read: u64) -> String {
    let percent = rejected as f64 * 100.0 / read.max(1) as f64;
    format!("{rejected} of {read} records were rejected ({percent:.2} %)")
}

fn exceeds(share: Share, limits: &RejectLimits, rejected: u64, read: u64) -> bool {
    let counts = matches!(share, Share::Records(_)) || rejected >= limits.at_least;
    counts && share.is_exceeded(rejected, read)
}

type Refusal = (Reason, String);

fn check_trailer(plan: &Plan, options: &TrailerOptions, totals: &Totals<'_>) -> Result<(), Refusal> {
    let wrong = |message: String| Err((Reason::Trailer, message));
    let begins = &options.starts_with;
    let (trailer, line, before) = match totals.trailers {
        [] => {
            return wrong(format!(
                "the file has no trailer (a last record that begins with {begins}); it may be cut off"
            ));
        }
        [one] => one,
        [(_, first, _), (_, second, _), ..] => {
            return wrong(format!(
                "the file has two trailers, on lines {first} and {second}; it may be two files in one"
            ));
        }
    };
    if *before != totals.read {
        let after = totals.read - before.min(&totals.read);
        return wrong(format!(
            "{after} record{} after the trailer on line {line}",
            if after == 1 { " stands" } else { "s stand" }
        ));
    }
    if let Some(place) = options.count {
        let text = field(trailer, place);
        let stated: Option<i64> = text.and_then(|text| text.trim().parse().ok());
        let counted = i64::try_from(totals.read).unwrap_or(i64::MAX).saturating_add(options.offset);
        match stated {
            Some(stated) if stated == counted => {}
            Some(stated) => {
                let offset = if options.offset == 0 {
                    String::new()
                } else {
                    format!(" ({:+} as offset)", options.offset)
                };
                return wrong(format!(
                    "the trailer on line {line} states {stated} records, but {} were read{offset}; ask the sender for the whole file",
                    totals.read
                ));
            }
            None => {
                return wrong(format!("field {place} of the trailer on line {line} is no count of records"));
            }
        }
    }
    for ((control, column), (sum, unknown)) in
        plan.format.controls().iter().zip(&plan.control_columns).zip(totals.controls)
    {
        if let Some(column) = plan.columns.get(*column) {
            check_control(control, column, (trailer, *line), *sum, *unknown)?;
        }
    }
    Ok(())
}

fn check_control(
    control: &Control,
    column: &Column,
    (trailer, line): (&Trailer, u64),
    sum: i128,
    unknown: u64,
) -> Result<(), Refusal> {
    let wrong = |message: String| Err((Reason::Controls, message));
    let (format, scale) = match (&column.parser, column.value_type) {
        (ValueParser::Integer(format), _) => (format, 0),
        (ValueParser::Decimal(format), ValueType::Decimal { scale, .. }) => (format, scale),
        _ => return Ok(()),
    };
    let stated = field(trailer, control.sum).and_then(|text| format.decimal(text.trim(), 38, scale).ok());
    let Some(stated) = stated else {
        return wrong(format!(
            "field {} of the trailer on line {line} is no sum of {}",
            control.sum, control.column
        ));
    };
    if stated == sum {
        return Ok(());
    }
    let text = |value: i128| {
        let mut text = String::new();
        number::decimal_text(value, scale, &mut text);
        text
    };
    let without = match unknown {
        0 => String::new(),
        count => format!(" ({count} record{} no readable value)", if count == 1 { " has" } else { "s have" }),
    };
    wrong(format!(
        "the trailer on line {line} states {} as the sum of {}, but the records add up to {}{without}",
        text(stated),
        control.column,
        text(sum)
    ))
}

fn field(trailer: &Trailer, place: usize) -> Option<&str> {
    trailer.fields.get(place.checked_sub(1)?).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_exact_and_counts_from_its_least_number_on() {
        let limits = RejectLimits { limit: None, hold: None, at_least: 20 };
        let five = Share::Millipercent(5_000);
        assert!(!exceeds(five, &limits, 50, 1000));
        assert!(exceeds(five, &limits, 51, 1000));
        assert!(!exceeds(five, &limits, 19, 20));
        assert!(exceeds(five, &limits, 20, 20));
    }

    #[test]
    fn a_number_of_records_is_a_limit_as_it_stands() {
        let limits = RejectLimits { limit: None, hold: None, at_least: 20 };
        assert!(!exceeds(Share::Records(0), &limits, 0, 10));
        assert!(exceeds(Share::Records(0), &limits, 1, 10));
    }

    #[test]
    fn shares_are_shown_as_they_are_written() {
        assert_eq!(Share::Millipercent(5_000).to_string(), "\"5%\"");
        assert_eq!(Share::Millipercent(500).to_string(), "\"0.5%\"");
        assert_eq!(Share::Records(7).to_string(), "7");
    }
}
