//! The short road: numbers of ASCII digits with at most a leading sign, one decimal mark and group marks, which is
//! what nearly every field of nearly every file holds. `None` never means "wrong", only "ask the long road".

/// A decimal byte for formats whose mark is not ASCII: UTF-8 never has it.
pub(super) const NO_MARK: u8 = 0xff;

/// Most digits a decimal has.
pub(super) const MAX_PRECISION: u8 = 38;

/// `POWERS_OF_TEN[n]` is 10 to the power of n.
static POWERS_OF_TEN: [u128; 39] = {
    let mut powers = [1; 39];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

/// The powers of ten that a double holds without rounding.
static EXACT_POWERS_OF_TEN: [f64; 23] = {
    let mut powers = [1.0; 23];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = powers[exponent - 1] * 10.0;
        exponent += 1;
    }
    powers
};

/// 10 to the power of `exponent`, when it is at most 38.
#[inline]
pub(super) fn power_of_ten(exponent: u8) -> Option<u128> {
    POWERS_OF_TEN.get(usize::from(exponent)).copied()
}

#[inline]
fn signed(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

/// Up to 18 digits, which any `i64` holds.
#[inline]
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = signed(text);
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value = 0_i64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}

/// A number in units of its last digit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanned {
    pub(super) negative: bool,
    pub(super) magnitude: u64,
    /// Digits after the decimal mark.
    pub(super) fraction: u8,
}

/// Reads up to 19 digits, which 64 bits hold, with group marks in their places and one decimal mark. The marks are
/// ASCII, or [`NO_MARK`].
#[inline]
pub(super) fn scan(text: &[u8], mark: u8, group: u8) -> Option<Scanned> {
    const MOST_BYTES: usize = 19;
    let (negative, number) = signed(text);
    if number.is_empty() || number.len() > MOST_BYTES {
        return None;
    }
    let mut magnitude = 0_u64;
    let mut rest = number.iter();
    // Bytes left behind the mark that was last, which is how far groups and the fraction are counted.
    let mut behind_group = None;
    let mut fraction = None;
    while let Some(byte) = rest.next() {
        let digit = byte.wrapping_sub(b'0');
        let left = rest.len();
        if digit <= 9 {
            magnitude = magnitude * 10 + u64::from(digit);
        } else if *byte == mark && fraction.is_none() && left > 0 {
            if behind_group.is_some_and(|behind| behind != left + 4) {
                return None;
            }
            fraction = Some(left);
        } else if *byte == group && fraction.is_none() {
            let well_placed = match behind_group {
                None => (1..=3).contains(&(number.len() - left - 1)) && number.first() != Some(&b'0'),
                Some(behind) => behind == left + 4,
            };
            if !well_placed {
                return None;
            }
            behind_group = Some(left);
        } else {
            return None;
        }
    }
    if fraction.is_none() && behind_group.is_some_and(|behind| behind != 3) {
        return None;
    }
    Some(Scanned { negative, magnitude, fraction: u8::try_from(fraction.unwrap_or(0)).ok()? })
}

impl Scanned {
    /// The value, if it is whole.
    #[inline]
    pub(super) fn integer(self) -> Option<i64> {
        let value = i64::try_from(self.magnitude).ok().filter(|_| self.fraction == 0)?;
        Some(if self.negative { -value } else { value })
    }

    /// The value in units of 10^-scale, if it has that precision as it stands.
    #[inline]
    pub(super) fn decimal(self, precision: u8, scale: u8) -> Option<i128> {
        let missing = scale.checked_sub(self.fraction)?;
        let limit = power_of_ten(precision.checked_sub(missing)?)?;
        let magnitude = u128::from(self.magnitude);
        if precision > MAX_PRECISION || magnitude >= limit {
            return None;
        }
        // Below 10^precision, thus below 10^38.
        let unscaled = i128::try_from(magnitude * power_of_ten(missing)?).ok()?;
        Some(if self.negative { -unscaled } else { unscaled })
    }

    /// The nearest double, where one division gives it: both numbers are doubles without rounding, so the quotient
    /// is rounded once.
    #[inline]
    pub(super) fn float(self) -> Option<f64> {
        const EXACT: u64 = 1 << f64::MANTISSA_DIGITS;
        let power = EXACT_POWERS_OF_TEN.get(usize::from(self.fraction))?;
        let value = (self.magnitude <= EXACT).then_some(self.magnitude as f64)? / power;
        Some(if self.negative { -value } else { value })
    }
}

/// What Rust's own reader of floats takes, without its words and its `5.`.
#[inline]
pub(super) fn float(text: &str, mark: u8) -> Option<f64> {
    let (_, unsigned) = signed(text.as_bytes());
    let well_formed = mark == b'.' && is_plain_float(unsigned);
    if well_formed { text.parse().ok() } else { None }
}

fn is_plain_float(text: &[u8]) -> bool {
    let (whole, rest) = split_digits(text);
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => {
            let (fraction, rest) = split_digits(rest);
            if fraction == 0 {
                return false;
            }
            (fraction, rest)
        }
        _ => (0, rest),
    };
    whole + fraction > 0 && (rest.is_empty() || is_exponent(rest))
}

/// `e5`, `E-05` and so on.
pub(super) fn is_exponent(text: &[u8]) -> bool {
    let [b'e' | b'E', rest @ ..] = text else { return false };
    let (_, digits) = signed(rest);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

#[inline]
fn split_digits(text: &[u8]) -> (usize, &[u8]) {
    let count = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    (count, text.get(count..).unwrap_or_default())
}
