//! Cells that a spreadsheet shows and does not run.
//!
//! A cell that begins with `= + - @`, a tab, a carriage return or `'` gets a `'` before it, plain numbers excepted. When a
//! corrected report comes back, exactly one is taken off again.

use std::borrow::Cow;

/// `cell` as it may stand in a report that is opened in a spreadsheet.
#[must_use]
pub fn protect(cell: &str) -> Cow<'_, str> {
    match cell.as_bytes().first() {
        Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r' | b'\'') if !is_plain_number(cell) => {
            Cow::Owned(format!("'{cell}"))
        }
        _ => Cow::Borrowed(cell),
    }
}

/// `cell` of a report that came back, without the `'` that [`protect`] put before it.
#[must_use]
pub fn unprotect(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if matches!(protect(rest), Cow::Owned(_)) => rest,
        _ => cell,
    }
}

/// Digits with at most one sign before them and one decimal mark among them: no spreadsheet runs that.
fn is_plain_number(cell: &str) -> bool {
    let digits = cell.strip_prefix(['-', '+']).unwrap_or(cell);
    let marks = digits.bytes().filter(|byte| matches!(byte, b'.' | b',')).count();
    digits.bytes().any(|byte| byte.is_ascii_digit())
        && marks <= 1
        && digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b','))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{protect, unprotect};

    proptest! {
        #[test]
        fn a_protected_cell_comes_back_as_it_was(cell in "['=+@\t\r-]{0,3}.{0,5}") {
            let shown = protect(&cell);
            prop_assert_eq!(unprotect(&shown), cell.as_str());
        }
    }

    #[test]
    fn exactly_one_mark_is_taken_off_and_only_ours() {
        for (cell, expected) in [
            ("'=1", "=1"),
            ("''=1", "'=1"),
            ("''", "'"),
            ("'00123", "'00123"),
            ("'-5", "'-5"),
            ("'s-Gravenhage", "'s-Gravenhage"),
            ("''s-Gravenhage", "'s-Gravenhage"),
            ("=1", "=1"),
            ("", ""),
        ] {
            assert_eq!(unprotect(cell), expected, "{cell}");
        }
    }

    #[test]
    fn cells_that_a_spreadsheet_would_run_are_protected() {
        for cell in [
            "=1+1",
            "+cmd|' /C calc'!A0",
            "-2+3",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "'quoted",
            "--5",
            "-",
            "+49 30 1",
        ] {
            assert_eq!(protect(cell), format!("'{cell}"));
        }
    }

    #[test]
    fn numbers_and_ordinary_texts_stay_as_they_are() {
        for cell in ["", "a=b", "-5", "+5", "-12,50", "-.5", "00123", "Müller", " =1"] {
            assert_eq!(protect(cell), cell);
        }
    }
}
