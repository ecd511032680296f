//! What the values of a column say about how it writes numbers.
//!
//! Each value is taken apart once; every way to write numbers that it contradicts is struck out. What is left at the end
//! fits all values, and where more than one way is left, how often marks stand before exactly three digits tells which is
//! the likelier.

use super::amount::{Seen, fitting};

/// (decimal mark, group mark), the likelier ones first.
pub const STYLES: [(char, Option<char>); 8] = [
    ('.', None),
    (',', None),
    ('.', Some(',')),
    (',', Some('.')),
    ('.', Some(' ')),
    (',', Some(' ')),
    ('.', Some('\'')),
    (',', Some('\'')),
];

/// Sums are kept in units of 10^-6: finer amounts are in no control total.
pub const SUM_SCALE: u32 = 6;

/// Different texts around numbers that are told apart; a column with more of them holds no numbers.
const MOST_AFFIXES: usize = 4;

/// Examples kept of values that are no numbers.
const MOST_EXAMPLES: usize = 3;

/// More values than this that do not fit, and more than a share of those that do, end the search.
const ODD_AT_LEAST: u64 = 32;

/// What is known of one column.
#[derive(Clone, Debug)]
pub struct Numbers {
    /// Values that are numbers.
    pub fits: u64,
    /// Values that are not, or contradict the others.
    pub odd: u64,
    /// Some of them.
    pub examples: Vec<String>,
    /// Nobody looks any more.
    pub dead: bool,
    /// A bit for each of [`STYLES`] that all values fit.
    pub live: u8,
    /// Most digits before the decimal mark, by style.
    pub whole: [u8; STYLES.len()],
    /// Most digits after it.
    pub fraction: [u8; STYLES.len()],
    /// Sums by style; none when they are not asked for, or cannot be kept exactly.
    pub sums: Option<[i128; STYLES.len()]>,
    /// Values that hold a mark.
    pub marked: u64,
    /// Values without a mark that have more than three digits: those that group would have marked.
    pub long_unmarked: u64,
    /// Values that are only digits but begin with a zero that says nothing.
    pub leading_zeros: u64,
    /// Values with an exponent.
    pub exponents: u64,
    /// A minus behind the number.
    pub trailing_minus: u64,
    /// Parentheses around it.
    pub parentheses: u64,
    /// Values below zero.
    pub negatives: u64,
    /// Currency signs and the like, with the values that have them.
    pub affixes: Vec<(String, u64)>,
}

impl Numbers {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(with_sums: bool) -> Self {
        Self {
            fits: 0,
            odd: 0,
            examples: Vec::new(),
            dead: false,
            live: u8::MAX,
            whole: [0; STYLES.len()],
            fraction: [0; STYLES.len()],
            sums: with_sums.then_some([0; STYLES.len()]),
            marked: 0,
            long_unmarked: 0,
            leading_zeros: 0,
            exponents: 0,
            trailing_minus: 0,
            parentheses: 0,
            negatives: 0,
            affixes: Vec::new(),
        }
    }

    /// Takes a value into account; it is trimmed and not empty.
    #[inline]
    pub fn add(&mut self, text: &str) {
        if self.dead {
            return;
        }
        if !self.plain(text.as_bytes()) && !self.dressed(text) {
            self.odd += 1;
            if self.examples.len() < MOST_EXAMPLES && !self.examples.iter().any(|known| known == text) {
                self.examples.push(text.chars().take(40).collect());
            }
            self.dead = self.odd > ODD_AT_LEAST && self.odd > self.fits / 8;
        }
    }

    /// Digits, and perhaps a minus before them: the usual case, which fits every style.
    #[inline]
    fn plain(&mut self, bytes: &[u8]) -> bool {
        let (negative, digits) = match bytes {
            [b'-', rest @ ..] => (true, rest),
            all => (false, all),
        };
        if digits.is_empty() || digits.len() > 38 || !digits.iter().all(u8::is_ascii_digit) {
            return false;
        }
        self.fits += 1;
        self.negatives += u64::from(negative);
        self.leading_zeros += u64::from(digits.len() > 1 && digits.first() == Some(&b'0'));
        self.long_unmarked += u64::from(digits.len() > 3);
        for most in &mut self.whole {
            *most = (*most).max(digits.len() as u8);
        }
        if self.sums.is_some() {
            let value = value_of(digits, 0, negative);
            self.sum_up(u8::MAX, &[value; STYLES.len()]);
        }
        true
    }

    /// A number with marks, a sign or a currency.
    fn dressed(&mut self, text: &str) -> bool {
        let Some(seen) = Seen::of(text) else { return false };
        let Some((bits, shapes)) = fitting(seen.body) else { return self.exponent(&seen) };
        if self.live & bits == 0 || !self.takes_affix(&seen) {
            return false;
        }
        self.live &= bits;
        self.fits += 1;
        self.negatives += u64::from(seen.negative);
        self.trailing_minus += u64::from(seen.trailing);
        self.parentheses += u64::from(seen.parentheses);
        let is_marked = seen.body.bytes().any(|byte| !byte.is_ascii_digit());
        self.marked += u64::from(is_marked);
        let digits = seen.body.len();
        self.long_unmarked += u64::from(!is_marked && digits > 3);
        self.leading_zeros += u64::from(!is_marked && digits > 1 && seen.body.starts_with('0'));
        let mut values = [None; STYLES.len()];
        for (style, shape) in shapes.iter().enumerate() {
            let Some((whole, fraction)) = *shape else { continue };
            if let Some(most) = self.whole.get_mut(style) {
                *most = (*most).max(whole);
            }
            if let Some(most) = self.fraction.get_mut(style) {
                *most = (*most).max(fraction);
            }
            if self.sums.is_some()
                && let Some(slot) = values.get_mut(style)
            {
                *slot = value_of(seen.body.as_bytes(), fraction, seen.negative);
            }
        }
        self.sum_up(bits, &values);
        true
    }

    fn exponent(&mut self, seen: &Seen<'_>) -> bool {
        let Some((mantissa, exponent)) = seen.body.split_once(['e', 'E']) else { return false };
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let good = !exponent.is_empty()
            && exponent.len() <= 3
            && exponent.bytes().all(|byte| byte.is_ascii_digit())
            && seen.affix.is_none()
            && !seen.trailing
            && !seen.parentheses;
        match fitting(mantissa) {
            Some((bits, _)) if good && self.live & bits != 0 => {
                self.live &= bits;
                self.fits += 1;
                self.exponents += 1;
                self.sums = None;
                true
            }
            _ => false,
        }
    }

    fn takes_affix(&mut self, seen: &Seen<'_>) -> bool {
        let Some(affix) = seen.affix else { return true };
        if let Some((_, count)) = self.affixes.iter_mut().find(|(known, _)| known == affix) {
            *count += 1;
            return true;
        }
        if self.affixes.len() >= MOST_AFFIXES {
            return false;
        }
        self.affixes.push((affix.to_owned(), 1));
        true
    }

    fn sum_up(&mut self, bits: u8, values: &[Option<i128>; STYLES.len()]) {
        let Some(sums) = &mut self.sums else { return };
        for (style, (sum, value)) in sums.iter_mut().zip(values).enumerate() {
            if bits & (1 << style) == 0 {
                continue;
            }
            match value.and_then(|value| sum.checked_add(value)) {
                Some(next) => *sum = next,
                None => return self.sums = None,
            }
        }
    }

    /// Adds what another part of the file says.
    pub fn merge(&mut self, other: Self) {
        self.dead |= other.dead;
        // Parts that agree by themselves but not with each other.
        self.dead |= self.fits > 0 && other.fits > 0 && self.live & other.live == 0;
        if other.fits > 0 {
            self.live = if self.fits > 0 { self.live & other.live } else { other.live };
        }
        self.fits += other.fits;
        self.odd += other.odd;
        for example in other.examples {
            if self.examples.len() < MOST_EXAMPLES && !self.examples.contains(&example) {
                self.examples.push(example);
            }
        }
        for (mine, theirs) in self.whole.iter_mut().zip(other.whole) {
            *mine = (*mine).max(theirs);
        }
        for (mine, theirs) in self.fraction.iter_mut().zip(other.fraction) {
            *mine = (*mine).max(theirs);
        }
        self.sums = match (self.sums.take(), other.sums) {
            (Some(mut mine), Some(theirs)) => {
                let fits = mine
                    .iter_mut()
                    .zip(theirs)
                    .all(|(mine, theirs)| mine.checked_add(theirs).map(|sum| *mine = sum).is_some());
                fits.then_some(mine)
            }
            _ => None,
        };
        self.marked += other.marked;
        self.long_unmarked += other.long_unmarked;
        self.leading_zeros += other.leading_zeros;
        self.exponents += other.exponents;
        self.trailing_minus += other.trailing_minus;
        self.parentheses += other.parentheses;
        self.negatives += other.negatives;
        for (affix, count) in other.affixes {
            match self.affixes.iter_mut().find(|(known, _)| *known == affix) {
                Some((_, known)) => *known += count,
                None => self.affixes.push((affix, count)),
            }
        }
        self.dead |= self.affixes.len() > MOST_AFFIXES || self.odd > ODD_AT_LEAST && self.odd > self.fits / 8;
        self.dead |= self.trailing_minus > 0 && self.parentheses > 0;
    }

    /// True when every value is a number in one and the same way.
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.dead && self.fits > 0 && self.odd == 0 && self.live != 0
    }

    /// True when all values but a few broken ones are numbers in one and the same way.
    #[must_use]
    pub fn nearly_holds(&self) -> bool {
        !self.dead && self.fits > 0 && self.odd <= may_be_broken(self.fits + self.odd) && self.live != 0
    }

    /// True when the values fit a style.
    #[must_use]
    pub fn lives(&self, style: usize) -> bool {
        self.live & (1 << style) != 0
    }
}

/// How many of so many values may be broken without saying anything about their column: one in 200, if there are enough
/// to tell.
#[must_use]
pub fn may_be_broken(values: u64) -> u64 {
    if values < 1_000 { 0 } else { values / 200 }
}

/// The digits of `text` in units of 10^-[`SUM_SCALE`]; none when that is not exact or too large.
fn value_of(text: &[u8], fraction: u8, negative: bool) -> Option<i128> {
    let mut value: i128 = 0;
    for byte in text.iter().filter(|byte| byte.is_ascii_digit()) {
        value = value.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
    }
    let missing = SUM_SCALE.checked_sub(u32::from(fraction))?;
    value = value.checked_mul(10_i128.checked_pow(missing)?)?;
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(values: &[&str]) -> Numbers {
        let mut numbers = Numbers::new(true);
        values.iter().for_each(|value| numbers.add(value));
        numbers
    }

    fn styles(values: &[&str]) -> Vec<(char, Option<char>)> {
        let numbers = seen(values);
        assert!(numbers.holds(), "{values:?} {numbers:?}");
        STYLES.into_iter().enumerate().filter(|(at, _)| numbers.lives(*at)).map(|(_, style)| style).collect()
    }

    #[test]
    fn every_value_strikes_out_the_styles_that_it_contradicts() {
        assert_eq!(styles(&["1.234,56", "7,00"]), [(',', Some('.'))]);
        assert_eq!(styles(&["1,234.56"]), [('.', Some(','))]);
        assert_eq!(styles(&["1 234,5", "-3"]), [(',', Some(' '))]);
        assert_eq!(styles(&["1'234.50"]), [('.', Some('\''))]);
        assert_eq!(styles(&["12"]).len(), STYLES.len());
        assert_eq!(styles(&["1.234", "0.125"])[0], ('.', None));
        assert!(!styles(&["1.234", "0.125"]).contains(&(',', Some('.'))));
    }

    #[test]
    fn values_that_contradict_each_other_are_odd() {
        let numbers = seen(&["1.234,56", "1,234.56"]);
        assert_eq!((numbers.fits, numbers.odd, numbers.holds()), (1, 1, false));
        assert!(!seen(&["12", "TBC"]).holds());
        assert!(!seen(&["SO-12"]).holds());
        assert!(!seen(&["12 kg"]).holds());
    }

    #[test]
    fn signs_and_currencies_are_noted() {
        let numbers = seen(&["€ 12,50", "-€ 3,00", "EUR 4"]);
        assert!(numbers.holds(), "{numbers:?}");
        assert_eq!(numbers.affixes, [("€".to_owned(), 2), ("EUR".to_owned(), 1)]);
        assert_eq!(numbers.negatives, 1);
        assert_eq!(seen(&["(5.00)", "6.00"]).parentheses, 1);
        assert_eq!(seen(&["5,00-"]).trailing_minus, 1);
        assert_eq!(seen(&["12.-"]).affixes, [(".-".to_owned(), 1)]);
        assert_eq!(seen(&["1.5E+05"]).exponents, 1);
        assert_eq!(seen(&["0012", "7"]).leading_zeros, 1);
    }

    #[test]
    fn sums_are_exact_in_each_style() {
        let numbers = seen(&["1.234,56", "-0,06", "10"]);
        let style = STYLES.iter().position(|style| *style == (',', Some('.'))).unwrap();
        assert_eq!(numbers.sums.unwrap()[style], 1_244_500_000);
    }

    #[test]
    fn parts_agree_or_there_are_no_numbers() {
        let (mut a, b) = (seen(&["1.234,56"]), seen(&["1,234.56"]));
        a.merge(b);
        assert!(!a.holds());
        let (mut a, b) = (seen(&["12"]), seen(&["1,5"]));
        a.merge(b);
        assert!(a.holds() && a.lives(1) && !a.lives(0));
    }
}
