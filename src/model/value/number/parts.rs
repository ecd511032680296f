//! The long road: a number taken apart into sign, groups and fraction, whatever stands around and between them.

use super::{Negative, NumberFormat, format::SIGNS, plain};

/// Why a text could not be taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    NotANumber,
    /// It would be a number if a group mark stood elsewhere.
    Grouping,
}

/// A number taken apart; nothing is copied.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    negative: bool,
    /// Digits, with group marks in their places.
    whole: &'a str,
    /// Only digits.
    pub(super) fraction: &'a str,
    /// Empty, or a well-formed exponent with its `e`.
    exponent: &'a str,
}

impl<'a> Parts<'a> {
    /// Takes `text` apart, without an exponent.
    pub(super) fn of(format: &NumberFormat, text: &'a str) -> Result<Self, Fault> {
        let (negative, body) = bare(format, text);
        let (whole, fraction) = split(format, body)?;
        Ok(Self { negative, whole, fraction, exponent: "" })
    }

    /// Takes `text` apart; an exponent may stand behind the digits.
    pub(super) fn of_float(format: &NumberFormat, text: &'a str) -> Result<Self, Fault> {
        let (negative, body) = bare(format, text);
        let (mantissa, exponent) = match body.find(['e', 'E']) {
            Some(at) => body.split_at(at),
            None => (body, ""),
        };
        if !exponent.is_empty() && !plain::is_exponent(exponent.as_bytes()) {
            return Err(Fault::NotANumber);
        }
        let (whole, fraction) = split(format, mantissa)?;
        Ok(Self { negative, whole, fraction, exponent })
    }

    fn whole_digits(&self) -> impl Iterator<Item = u8> + Clone + 'a {
        self.whole.bytes().filter(u8::is_ascii_digit)
    }

    /// The value of the whole part, if 64 bits hold it.
    pub(super) fn integer(&self) -> Option<i64> {
        let mut value = 0_i64;
        for digit in self.whole_digits() {
            // Towards the sign at once, since the range has one more value below zero than above.
            let digit = i64::from(digit - b'0');
            value = value.checked_mul(10)?;
            value = if self.negative { value.checked_sub(digit)? } else { value.checked_add(digit)? };
        }
        Some(value)
    }

    /// The value in units of 10^-scale; digits behind those are not looked at. `None` when more digits stand before
    /// the decimal mark than `precision` leaves room for.
    pub(super) fn decimal(&self, precision: u8, scale: u8) -> Option<i128> {
        let mut value = 0_u128;
        let mut room = precision.checked_sub(scale)?;
        for digit in self.whole_digits().skip_while(|digit| *digit == b'0') {
            room = room.checked_sub(1)?;
            value = value * 10 + u128::from(digit - b'0');
        }
        let mut missing = scale;
        for digit in self.fraction.bytes().take(scale.into()) {
            missing -= 1;
            value = value * 10 + u128::from(digit - b'0');
        }
        let unscaled = i128::try_from(value.checked_mul(plain::power_of_ten(missing)?)?).ok()?;
        Some(if self.negative { -unscaled } else { unscaled })
    }

    /// The nearest double.
    pub(super) fn float(&self) -> Result<f64, Fault> {
        let sign = self.negative.then_some(b'-');
        let point = (!self.fraction.is_empty()).then_some(b'.');
        let canonical = sign
            .into_iter()
            .chain(self.whole_digits())
            .chain(point)
            .chain(self.fraction.bytes())
            .chain(self.exponent.bytes());
        // Numbers that people write fit on the stack; longer ones are rare enough to pay for a copy.
        let mut buffer = [0; 64];
        let length = canonical.clone().zip(&mut buffer).map(|(byte, slot)| *slot = byte).count();
        let value = if canonical.clone().nth(length).is_none() {
            std::str::from_utf8(buffer.get(..length).unwrap_or_default())
                .ok()
                .and_then(|text| text.parse().ok())
        } else {
            String::from_utf8(canonical.collect()).ok().and_then(|text| text.parse().ok())
        };
        value.ok_or(Fault::NotANumber)
    }
}

/// Whether the number is negative, and `text` without sign, texts to strip and white space around.
///
/// One sign and one text at either end may be taken, in any order: `-€ 5`, `€ -5`, `5- EUR` and `(5 EUR)` are all
/// in use.
fn bare<'a>(format: &NumberFormat, text: &'a str) -> (bool, &'a str) {
    let mut body = text;
    let mut negative = None;
    let (mut front_open, mut back_open) = (true, true);
    loop {
        body = body.trim();
        if front_open && let Some(rest) = without_front(format, body) {
            (body, front_open) = (rest, false);
        } else if back_open && let Some(rest) = format.strip.iter().find_map(|part| cut_back(body, part)) {
            (body, back_open) = (rest, false);
        } else if negative.is_none()
            && let Some((sign, rest)) = without_sign(format.negative, body)
        {
            (body, negative) = (rest, Some(sign));
        } else {
            return (negative.unwrap_or(false), body);
        }
    }
}

fn without_sign(negative: Negative, body: &str) -> Option<(bool, &str)> {
    const MINUS: [char; 2] = ['-', '\u{2212}'];
    if let Some(rest) = body.strip_prefix(MINUS) {
        return Some((true, rest));
    }
    if let Some(rest) = body.strip_prefix('+') {
        return Some((false, rest));
    }
    match negative {
        Negative::Leading => None,
        Negative::Trailing => match body.strip_suffix(MINUS) {
            Some(rest) => Some((true, rest)),
            None => body.strip_suffix('+').map(|rest| (false, rest)),
        },
        Negative::Parentheses => Some((true, body.strip_prefix('(')?.strip_suffix(')')?)),
    }
}

fn without_front<'a>(format: &NumberFormat, body: &'a str) -> Option<&'a str> {
    // A text such as the Swiss ".-" is stripped from the back only: in front of a number its sign could be that of
    // the number.
    let mut parts = format.strip.iter().filter(|part| !part.ends_with(SIGNS));
    let (part, rest) = parts.find_map(|part| Some((part, cut_front(body, part)?)))?;
    // In "Fr.50" the point ends the abbreviation: it is 50, not 0.50. So a decimal mark right behind a letter is
    // left where it is, and refused.
    let dotted = part.ends_with(char::is_alphabetic) && rest.starts_with(format.decimal_mark);
    (!dotted).then_some(rest)
}

fn cut_front<'a>(text: &'a str, part: &str) -> Option<&'a str> {
    let (front, rest) = text.split_at_checked(part.len())?;
    front.eq_ignore_ascii_case(part).then_some(rest)
}

fn cut_back<'a>(text: &'a str, part: &str) -> Option<&'a str> {
    let (rest, back) = text.split_at_checked(text.len().checked_sub(part.len())?)?;
    back.eq_ignore_ascii_case(part).then_some(rest)
}

/// Splits a bare number at its decimal mark. `.5` has an empty whole part; `5.` is no number.
fn split<'a>(format: &NumberFormat, body: &'a str) -> Result<(&'a str, &'a str), Fault> {
    let (whole, fraction) = match body.split_once(format.decimal_mark) {
        Some((_, "")) => return Err(Fault::NotANumber),
        Some(parts) => parts,
        None if body.is_empty() => return Err(Fault::NotANumber),
        None => (body, ""),
    };
    check_groups(format, whole)?;
    match fraction.chars().find(|c| !c.is_ascii_digit()) {
        None => Ok((whole, fraction)),
        Some(c) if format.group_mark.is(c) => Err(Fault::Grouping),
        Some(_) => Err(Fault::NotANumber),
    }
}

/// Checks that groups have three digits each, the first one to three. A grouped number never begins with a zero:
/// `0.125` under the group mark `.` is a fraction from a system that writes it so, not 125.
fn check_groups(format: &NumberFormat, whole: &str) -> Result<(), Fault> {
    let mut run = 0_usize;
    let mut marks = 0_usize;
    let mut well_placed = true;
    for c in whole.chars() {
        if c.is_ascii_digit() {
            run += 1;
        } else if format.group_mark.is(c) {
            well_placed &= if marks == 0 { (1..=3).contains(&run) } else { run == 3 };
            marks += 1;
            run = 0;
        } else {
            return Err(Fault::NotANumber);
        }
    }
    if marks > 0 && (!well_placed || run != 3 || whole.starts_with('0')) {
        return Err(Fault::Grouping);
    }
    Ok(())
}
