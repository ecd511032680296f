//! What a trailer states of the records before it: their number, and sums of columns.

use super::{
    column::Column,
    numbers::{STYLES, SUM_SCALE},
    survey::Evidence,
};

/// Trailers count header, trailer or both along: so much is added to the records.
const OFFSETS: [i64; 4] = [0, 1, 2, -1];

/// What was found in the trailers of all samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    /// The field that counts, from 1, and what it counts along.
    pub count: Option<(usize, i64)>,
    /// (column of the draft, field from 1).
    pub sums: Vec<(usize, usize)>,
}

/// A summed column: its place in the draft, its number style, and its values in each sample.
pub struct Summed<'a> {
    /// Its place among the columns of the draft.
    pub place: usize,
    /// Its number style.
    pub style: usize,
    /// The values by sample.
    pub columns: Vec<&'a Column>,
}

/// Holds the trailers of the samples against their records.
#[must_use]
pub fn read(samples: &[&Evidence], summed: &[Summed<'_>]) -> Statement {
    let trailers: Option<Vec<_>> = samples.iter().map(|evidence| evidence.trailers.last()).collect();
    let Some(trailers) = trailers.filter(|trailers| !trailers.is_empty()) else {
        return Statement::default();
    };
    let fields = trailers.iter().map(|trailer| trailer.fields.len()).min().unwrap_or(0);
    let mut statement = Statement::default();
    for field in 0..fields {
        let texts: Vec<&str> =
            trailers.iter().filter_map(|trailer| trailer.fields.get(field)).map(String::as_str).collect();
        let agrees = |offset: i64| {
            texts.iter().zip(samples).all(|(text, evidence)| {
                let stated = text.parse::<i64>().ok();
                let read = i64::try_from(evidence.records).ok().and_then(|read| read.checked_add(offset));
                stated.is_some() && stated == read
            })
        };
        if statement.count.is_none()
            && let Some(offset) = OFFSETS.into_iter().find(|offset| agrees(*offset))
        {
            statement.count = Some((field + 1, offset));
            continue;
        }
        let equals = |column: &&Summed<'_>| {
            texts.iter().zip(&column.columns).all(|(text, values)| {
                let sum = values.numbers.sums.and_then(|sums| sums.get(column.style).copied());
                // A sum of zero proves nothing.
                sum.is_some() && sum != Some(0) && sum == amount(text, column.style)
            })
        };
        if let Some(column) = summed.iter().find(equals) {
            statement.sums.push((column.place, field + 1));
        }
    }
    statement
}

/// A number of the trailer in units of 10^-[`SUM_SCALE`].
fn amount(text: &str, style: usize) -> Option<i128> {
    let (decimal, _) = STYLES.get(style)?;
    let text = text.trim();
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = text.split_once(*decimal).unwrap_or((text, ""));
    let missing = (SUM_SCALE as usize).checked_sub(fraction.len())?;
    let is_mark = |c: char| matches!(c, '.' | ',' | ' ' | '\'' | '\u{a0}' | '\u{202f}');
    let digits: String = whole.chars().filter(|c| !is_mark(*c)).chain(fraction.chars()).collect();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value =
        digits.parse::<i128>().ok()?.checked_mul(10_i128.checked_pow(u32::try_from(missing).ok()?)?)?;
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_in_the_style_of_their_column() {
        let style = |decimal, group| STYLES.iter().position(|style| *style == (decimal, group)).unwrap();
        assert_eq!(amount("1.234,56", style(',', Some('.'))), Some(1_234_560_000));
        assert_eq!(amount("-1234.5", style('.', None)), Some(-1_234_500_000));
        assert_eq!(amount("3", style('.', None)), Some(3_000_000));
        assert_eq!(amount("TRL", style('.', None)), None);
        assert_eq!(amount("1.2345678", style('.', None)), None);
    }
}
