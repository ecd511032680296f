//! Decimals in the binary form of PostgreSQL's `numeric`: digits to the base of 10,000, the weight of the first of them, the sign
//! and the digits after the point (<https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/utils/adt/numeric.c>,
//! numeric_send).

/// Digits of a number of 38 decimal ones: ten before the point and ten after it, each rounded up.
const MOST_DIGITS: usize = 20;
const NEGATIVE: u16 = 0x4000;

/// Writes `value`, which has `scale` digits after the point, with its length before it.
pub(super) fn push(out: &mut Vec<u8>, value: i128, scale: u8) {
    let magnitude = value.unsigned_abs();
    // From the last digit to the first.
    let mut digits = [0u16; MOST_DIGITS];
    let (count, after) = match u64::try_from(magnitude) {
        Ok(small) => split_small(small, scale, &mut digits),
        Err(_) => split(magnitude, scale, &mut digits),
    };
    let written = digits.get(..count).unwrap_or_default();
    let zeros = written.iter().take_while(|digit| **digit == 0).count();
    let written = written.get(zeros..).unwrap_or_default();
    // The weight of the first digit: how many stand before the point, less one.
    let weight = if written.is_empty() { 0 } else { count as i64 - after as i64 - 1 };
    out.extend_from_slice(&((8 + 2 * written.len()) as i32).to_be_bytes());
    out.extend_from_slice(&(written.len() as i16).to_be_bytes());
    out.extend_from_slice(&(weight as i16).to_be_bytes());
    out.extend_from_slice(&(if value < 0 { NEGATIVE } else { 0 }).to_be_bytes());
    out.extend_from_slice(&u16::from(scale).to_be_bytes());
    for digit in written.iter().rev() {
        out.extend_from_slice(&digit.to_be_bytes());
    }
}

/// Cuts a number into digits, from the last one on: how many there are, and how many of them stand after the point.
fn split(mut rest: u128, scale: u8, digits: &mut [u16; MOST_DIGITS]) -> (usize, usize) {
    let after = usize::from(scale).div_ceil(4);
    // The last digit after the point may hold fewer than four decimal ones.
    let last = usize::from(scale) + 4 - 4 * after;
    let mut count = 0;
    for (at, digit) in digits.iter_mut().enumerate() {
        if rest == 0 {
            break;
        }
        let width = if at == 0 && after > 0 { last } else { 4 };
        let (unit, pad) = (POWERS[width % 5], POWERS[(4 - width) % 5]);
        *digit = (rest % u128::from(unit)) as u16 * pad;
        rest /= u128::from(unit);
        count = at + 1;
    }
    (count, after)
}

/// The same for numbers with which processors are quicker.
fn split_small(mut rest: u64, scale: u8, digits: &mut [u16; MOST_DIGITS]) -> (usize, usize) {
    let after = usize::from(scale).div_ceil(4);
    let last = usize::from(scale) + 4 - 4 * after;
    let mut count = 0;
    for (at, digit) in digits.iter_mut().enumerate() {
        if rest == 0 {
            break;
        }
        let width = if at == 0 && after > 0 { last } else { 4 };
        let (unit, pad) = (POWERS[width % 5], POWERS[(4 - width) % 5]);
        *digit = (rest % u64::from(unit)) as u16 * pad;
        rest /= u64::from(unit);
        count = at + 1;
    }
    (count, after)
}

const POWERS: [u16; 5] = [1, 10, 100, 1_000, 10_000];

#[cfg(test)]
mod tests {
    use super::*;

    /// Number of digits, weight, sign, scale, digits.
    fn parts(value: i128, scale: u8) -> (i16, i16, u16, u16, Vec<u16>) {
        let mut out = Vec::new();
        push(&mut out, value, scale);
        let number = |at: usize| u16::from_be_bytes([out[at], out[at + 1]]);
        assert_eq!(i32::from_be_bytes(out[..4].try_into().unwrap()) as usize, out.len() - 4);
        let digits: Vec<u16> = (12..out.len()).step_by(2).map(number).collect();
        (number(4) as i16, number(6) as i16, number(8), number(10), digits)
    }

    #[test]
    fn numbers_are_cut_into_digits_around_their_point() {
        assert_eq!(parts(0, 4), (0, 0, 0, 4, vec![]));
        assert_eq!(parts(12_345_678, 4), (2, 0, 0, 4, vec![1234, 5678]));
        assert_eq!(parts(-1, 4), (1, -1, NEGATIVE, 4, vec![1]));
        assert_eq!(parts(15, 1), (2, 0, 0, 1, vec![1, 5000]));
        assert_eq!(parts(100_000_000, 2), (1, 1, 0, 2, vec![100]));
        assert_eq!(parts(123_456, 0), (2, 1, 0, 0, vec![12, 3456]));
        assert_eq!(parts(1, 6), (1, -2, 0, 6, vec![100]));
        assert_eq!(parts(i128::from(u64::MAX) + 1, 0).4, [1844, 6744, 737, 955, 1616]);
        let most = 99_999_999_999_999_999_999_999_999_999_999_999_999;
        assert_eq!(parts(most, 38).0, 10);
        assert_eq!(parts(most, 37), (11, 0, 0, 37, [vec![9], vec![9999; 9], vec![9000]].concat()));
        assert_eq!(parts(most, 0).4[0], 99);
    }
}
