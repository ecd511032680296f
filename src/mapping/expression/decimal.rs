//! Exact arithmetic on decimals: whole numbers of 128 bits in units of the last digit. Nothing passes through a float.
//!
//! A result that has more than 38 digits is no result. Sums, differences, products and remainders are exact; only
//! division and conversion round, halves away from zero, as PostgreSQL does.

use std::cmp::Ordering;

use super::types::MAX_DIGITS;

/// 10^0 to 10^38.
const POWERS: [i128; 39] = {
    let mut powers = [1_i128; 39];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// The least number with more than 38 digits.
const LIMIT: i128 = POWERS[MAX_DIGITS as usize];

/// 10 to the power of `exponent`, which is at most 38.
#[inline]
pub(super) fn power(exponent: u8) -> i128 {
    POWERS.get(usize::from(exponent)).copied().unwrap_or(LIMIT)
}

/// The number, if it has no more than 38 digits.
#[inline]
pub(super) fn fits(value: i128) -> Option<i128> {
    (-LIMIT < value && value < LIMIT).then_some(value)
}

/// The number, if it has no more than `precision` digits.
#[inline]
pub(super) fn fits_in(value: i128, precision: u8) -> Option<i128> {
    let limit = power(precision);
    (-limit < value && value < limit).then_some(value)
}

/// The product, if 128 bits hold it. Most numbers have half of them or less, and are multiplied several times as fast.
#[inline]
pub(super) fn multiply(a: i128, b: i128) -> Option<i128> {
    match (i64::try_from(a), i64::try_from(b)) {
        (Ok(a), Ok(b)) => Some(i128::from(a) * i128::from(b)),
        _ => a.checked_mul(b),
    }
}

/// The same number with another number of digits after the point; those that are taken off round it.
#[inline]
pub(super) fn rescale(value: i128, from: u8, to: u8) -> Option<i128> {
    match from.cmp(&to) {
        Ordering::Equal => Some(value),
        Ordering::Less => multiply(value, power(to - from)).and_then(fits),
        Ordering::Greater => Some(divide_rounding(value, power(from - to))),
    }
}

/// The same number with another number of digits after the point; those that are taken off are cut off.
#[inline]
pub(super) fn truncate(value: i128, from: u8, to: u8) -> Option<i128> {
    if from <= to { rescale(value, from, to) } else { Some(value / power(from - to)) }
}

/// The same number with another number of digits after the point; none when digits would be lost.
#[inline]
pub(super) fn exactly(value: i128, from: u8, to: u8) -> Option<i128> {
    if from <= to {
        return rescale(value, from, to);
    }
    let unit = power(from - to);
    (value % unit == 0).then_some(value / unit)
}

/// `value / by`, halves away from zero; `by` is positive.
#[inline]
fn divide_rounding(value: i128, by: i128) -> i128 {
    if let (Ok(small), Ok(by)) = (i64::try_from(value), i64::try_from(by)) {
        let (quotient, rest) = (i128::from(small / by), i128::from(small % by));
        return if rest.abs() * 2 >= i128::from(by) { quotient + value.signum() } else { quotient };
    }
    let (quotient, rest) = (value / by, value % by);
    // The rest is below 10^38: doubled it stays in u128.
    if rest.unsigned_abs() * 2 >= by.unsigned_abs() { quotient + value.signum() } else { quotient }
}

/// Compares numbers with different numbers of digits after the point.
#[inline]
pub(super) fn compare(a: i128, a_scale: u8, b: i128, b_scale: u8) -> Ordering {
    if a_scale == b_scale {
        return a.cmp(&b);
    }
    if a_scale < b_scale {
        // What does not fit is larger than anything that does.
        let sign = || if a < 0 { Ordering::Less } else { Ordering::Greater };
        return multiply(a, power(b_scale - a_scale)).map_or_else(sign, |a| a.cmp(&b));
    }
    compare(b, b_scale, a, a_scale).reverse()
}

/// `a / b` with `scale` digits after the point, halves away from zero. None when it does not fit; `b` is not zero.
pub(super) fn divide(a: i128, a_scale: u8, b: i128, b_scale: u8, scale: u8) -> Option<i128> {
    // a / 10^as / (b / 10^bs) * 10^s = a * 10^(bs + s - as) / b
    let exponent = i32::from(b_scale) + i32::from(scale) - i32::from(a_scale);
    let negative = (a < 0) != (b < 0);
    let (a, b) = (a.unsigned_abs(), b.unsigned_abs());
    let magnitude = if exponent < 0 {
        // The divisor only grows: what does not fit makes nothing of any number.
        let by = u8::try_from(-exponent).ok().map(power).and_then(|unit| b.checked_mul(unit.unsigned_abs()));
        by.map_or(0, |by| half_up(a / by, a % by, by))
    } else {
        let exponent = u8::try_from(exponent).ok()?;
        let (first, second) = (exponent.min(MAX_DIGITS), exponent.saturating_sub(MAX_DIGITS));
        match a.checked_mul(power(first).unsigned_abs()) {
            Some(product) if second == 0 => half_up(product / b, product % b, b),
            _ if a == 0 => 0,
            _ => long_division(a, exponent, b)?,
        }
    };
    let value = i128::try_from(magnitude).ok().and_then(fits)?;
    Some(if negative { -value } else { value })
}

#[inline]
fn half_up(quotient: u128, rest: u128, by: u128) -> u128 {
    if rest >= by - rest { quotient + 1 } else { quotient }
}

/// `a * 10^digits / b` digit by digit, for products that do not fit.
fn long_division(a: u128, digits: u8, b: u128) -> Option<u128> {
    let (mut quotient, mut rest) = (a / b, a % b);
    for _ in 0..digits {
        // rest * 10 may be more than fits: ten additions with a subtraction whenever b is reached.
        let mut digit = 0;
        let mut next = 0_u128;
        for _ in 0..10 {
            if next >= b - rest {
                next -= b - rest;
                digit += 1;
            } else {
                next += rest;
            }
        }
        rest = next;
        quotient = quotient.checked_mul(10)?.checked_add(digit)?;
    }
    Some(half_up(quotient, rest, b))
}

/// The remainder of `a / b` with the sign of `a`, in the larger of the two scales; `b` is not zero.
pub(super) fn remainder(a: i128, a_scale: u8, b: i128, b_scale: u8) -> Option<i128> {
    let scale = a_scale.max(b_scale);
    let scaled = |value: i128, from: u8| value.checked_mul(power(scale - from));
    match (scaled(a, a_scale), scaled(b, b_scale)) {
        (Some(a), Some(b)) => a.checked_rem(b).and_then(fits),
        // The divisor is beyond what the other number can reach.
        (Some(a), None) => fits(a),
        (None, Some(b)) => {
            // a * 10^n mod b, one digit at a time; |b| is at most 10^38, and so is the rest.
            let b = b.unsigned_abs();
            let mut rest = a.unsigned_abs() % b;
            for _ in 0..scale - a_scale {
                let mut next = 0_u128;
                for _ in 0..10 {
                    next = if next >= b - rest { next - (b - rest) } else { next + rest };
                }
                rest = next;
            }
            let rest = i128::try_from(rest).ok().and_then(fits)?;
            Some(if a < 0 { -rest } else { rest })
        }
        (None, None) => None,
    }
}

/// The largest whole number that is not larger, or, `up`, the smallest that is not smaller.
pub(super) fn whole(value: i128, scale: u8, up: bool) -> Option<i128> {
    let unit = power(scale);
    let quotient = value.div_euclid(unit);
    let rest = value.rem_euclid(unit);
    fits(if up && rest > 0 { quotient + 1 } else { quotient })
}

/// The nearest float.
pub(super) fn to_float(value: i128, scale: u8) -> f64 {
    // Both are exact up to 2^53 and 10^22, so that the one rounding of the division is the nearest.
    if value.unsigned_abs() <= 1 << 53 && scale <= 22 {
        return value as f64 / power(scale) as f64;
    }
    let mut text = String::new();
    crate::model::value::number::decimal_text(value, scale, &mut text);
    text.parse().unwrap_or(f64::NAN)
}

/// A float with 15 significant digits, as PostgreSQL converts it, and `scale` digits after the point.
pub(super) fn from_float(value: f64, scale: u8) -> Option<i128> {
    if !value.is_finite() {
        return None;
    }
    // d.dddddddddddddd e x
    let text = format!("{value:.14e}");
    let (digits, exponent) = text.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    let negative = digits.starts_with('-');
    let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
    let number: i128 = digits.parse().ok()?;
    let number = if negative { -number } else { number };
    // number * 10^(exponent - 14), in units of 10^-scale.
    let shift = exponent - 14 + i32::from(scale);
    match u8::try_from(shift.unsigned_abs()) {
        Ok(places) if shift >= 0 && places <= MAX_DIGITS => number.checked_mul(power(places)).and_then(fits),
        Ok(places) if shift < 0 && places <= MAX_DIGITS => Some(divide_rounding(number, power(places))),
        _ if number == 0 || shift < 0 => Some(0),
        _ => None,
    }
}

/// Reads a plain number as it stands in an expression, with an exponent or without: its value, digits in all and digits
/// after the point. None when it has more than 38.
pub(super) fn read(text: &str) -> Option<(i128, u8, u8)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut value = 0_i128;
    for digit in whole.chars().chain(fraction.chars()) {
        let digit = digit.to_digit(10)?;
        value = value.checked_mul(10)?.checked_add(i128::from(digit)).and_then(fits)?;
    }
    let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    if scale < 0 {
        let places = u8::try_from(scale.unsigned_abs()).ok().filter(|places| *places <= MAX_DIGITS);
        let value = if value == 0 { 0 } else { value.checked_mul(power(places?)).and_then(fits)? };
        return Some((value, MAX_DIGITS, 0));
    }
    let scale = u8::try_from(scale).ok().filter(|scale| *scale <= MAX_DIGITS)?;
    let digits = (1..MAX_DIGITS).find(|digits| value < power(*digits)).unwrap_or(MAX_DIGITS);
    Some((value, digits.max(scale), scale))
}
