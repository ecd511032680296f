//! Exact numbers back to text.

/// The largest power of ten below 2^64.
const TEN_TO_19: u128 = 10_000_000_000_000_000_000;

/// Writes a decimal as canonical text behind `out`: `unscaled` in units of its last digit, exactly `scale` digits
/// after the point, no point when there are none, at least one digit before it. 5 with a scale of 2 is `0.05`.
pub fn decimal_text(unscaled: i128, scale: u8, out: &mut String) {
    let mut buffer = [b'0'; 39];
    let magnitude = unscaled.unsigned_abs();
    let length = match u64::try_from(magnitude) {
        Ok(small) => write_digits(small, &mut buffer, 0),
        Err(_) => {
            let (high, low) = (magnitude / TEN_TO_19, magnitude % TEN_TO_19);
            write_digits(u64::try_from(low).unwrap_or(0), &mut buffer, 0);
            write_digits(u64::try_from(high).unwrap_or(0), &mut buffer, 19)
        }
    };
    let digits = buffer.get(buffer.len() - length..).unwrap_or_default();
    let digits = std::str::from_utf8(digits).unwrap_or_default();
    if unscaled < 0 {
        out.push('-');
    }
    let scale = usize::from(scale);
    let (whole, fraction) =
        digits.split_at_checked(digits.len().saturating_sub(scale)).unwrap_or((digits, ""));
    out.push_str(if whole.is_empty() { "0" } else { whole });
    if scale > 0 {
        out.push('.');
        out.extend(std::iter::repeat_n('0', scale.saturating_sub(fraction.len())));
        out.push_str(fraction);
    }
}

/// Writes digits from the end of `buffer`, leaving `offset` bytes there, and gives how many bytes are used from the
/// end on: at least one digit more than `offset`.
fn write_digits(mut value: u64, buffer: &mut [u8; 39], offset: usize) -> usize {
    let mut length = offset;
    for slot in buffer.iter_mut().rev().skip(offset) {
        // The remainder is below ten.
        *slot = b'0' + (value % 10) as u8;
        value /= 10;
        length += 1;
        if value == 0 {
            break;
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::decimal_text;
    use crate::model::value::number::NumberFormat;

    fn text(unscaled: i128, scale: u8) -> String {
        let mut out = String::new();
        decimal_text(unscaled, scale, &mut out);
        out
    }

    #[test]
    fn decimals_have_exactly_their_scale_of_digits() {
        for (unscaled, scale, expected) in [
            (0, 0, "0"),
            (0, 2, "0.00"),
            (5, 2, "0.05"),
            (-5, 2, "-0.05"),
            (50, 2, "0.50"),
            (123_456, 2, "1234.56"),
            (-123_456, 0, "-123456"),
            (1, 38, "0.00000000000000000000000000000000000001"),
            (10_i128.pow(19), 0, "10000000000000000000"),
            (10_i128.pow(19), 19, "1.0000000000000000000"),
            (i128::from(u64::MAX), 0, "18446744073709551615"),
            (i128::from(u64::MAX) + 1, 1, "1844674407370955161.6"),
            (10_i128.pow(38) - 1, 0, "99999999999999999999999999999999999999"),
            (i128::MIN, 0, "-170141183460469231731687303715884105728"),
            (i128::MAX, 38, "1.70141183460469231731687303715884105727"),
        ] {
            assert_eq!(text(unscaled, scale), expected);
        }
    }

    #[test]
    fn text_is_written_behind_what_is_there() {
        let mut out = String::from("x=");
        decimal_text(15, 1, &mut out);
        assert_eq!(out, "x=1.5");
    }

    proptest! {
        #[test]
        fn decimals_survive_the_way_to_text_and_back(
            unscaled in -(10_i128.pow(38) - 1)..10_i128.pow(38),
            scale in 0_u8..=38,
        ) {
            let plain = NumberFormat::default();
            prop_assert_eq!(plain.decimal(&text(unscaled, scale), 38, scale), Ok(unscaled));
        }

        #[test]
        fn small_decimals_survive_too(unscaled in any::<i64>(), scale in 0_u8..=6) {
            let plain = NumberFormat::default();
            prop_assert_eq!(plain.decimal(&text(unscaled.into(), scale), 38, scale), Ok(unscaled.into()));
        }

        #[test]
        fn integers_are_written_as_the_standard_library_writes_them(value in any::<i128>()) {
            prop_assert_eq!(text(value, 0), value.to_string());
        }

        #[test]
        fn any_scale_can_be_written(value in any::<i128>(), scale in any::<u8>()) {
            let written = text(value, scale);
            prop_assert_eq!(written.split_once('.').map_or(0, |(_, digits)| digits.len()), usize::from(scale));
        }
    }
}
