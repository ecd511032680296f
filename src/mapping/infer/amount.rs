//! A number taken apart: what stands around its digits, and the styles that its marks fit.

use super::numbers::STYLES;
use crate::model::value::kind::Kind;

/// A value without what stands around its digits.
pub struct Seen<'a> {
    /// From its first digit (or decimal mark) to its last.
    pub body: &'a str,
    /// A currency sign or the like.
    pub affix: Option<&'a str>,
    /// It is below zero.
    pub negative: bool,
    /// Its sign stands behind it.
    pub trailing: bool,
    /// It stands in parentheses.
    pub parentheses: bool,
}

impl<'a> Seen<'a> {
    /// Takes a text apart; none when it is no number.
    #[must_use]
    pub fn of(text: &'a str) -> Option<Self> {
        let first = text.find(|c: char| c.is_ascii_digit())?;
        let last = text.rfind(|c: char| c.is_ascii_digit())?;
        let (mut front, back) = (text.get(..first)?, text.get(last + 1..)?);
        let mut start = first;
        // `.5` begins with its decimal mark, but the point of `Fr.5` ends the abbreviation.
        if let Some(rest) = front.strip_suffix(['.', ','])
            && !rest.ends_with(char::is_alphabetic)
        {
            (front, start) = (rest, rest.len());
        }
        let (front, back) = (front.trim(), back.trim());
        let (opened, front) = strip_one(front, |c| c == '(');
        let (front_sign, front) = strip_one(front, is_sign);
        let (closed, back) =
            if back.ends_with(')') { (true, back.trim_end_matches(')').trim()) } else { (false, back) };
        let amount_only = matches!(back, ",-" | ".-" | ",--" | ".--" | ",–" | ".–");
        let (back_sign, back) = if amount_only { (None, back) } else { strip_one(back, is_sign) };
        if opened.is_some() != closed
            || [opened.is_some(), front_sign.is_some(), back_sign.is_some()]
                .iter()
                .filter(|sign| **sign)
                .count()
                > 1
        {
            return None;
        }
        let affix = match (front, back) {
            ("", "") => None,
            ("", only) | (only, "") => Some(only),
            _ => return None,
        };
        if affix.is_some_and(|affix| !amount_only && !is_money(affix)) {
            return None;
        }
        let minus = |sign: Option<char>| sign.is_some_and(|sign| sign != '+');
        Some(Self {
            body: text.get(start..=last)?,
            affix,
            negative: opened.is_some() || minus(front_sign) || minus(back_sign),
            trailing: back_sign.is_some(),
            parentheses: opened.is_some(),
        })
    }
}

fn is_sign(c: char) -> bool {
    matches!(c, '-' | '\u{2212}' | '+')
}

/// Takes one such character off either end of what stands before a number: `-€` and `€ -` are both in use.
fn strip_one(text: &str, is: impl Fn(char) -> bool) -> (Option<char>, &str) {
    match (text.chars().next(), text.chars().next_back()) {
        (Some(first), _) if is(first) => {
            (Some(first), text.get(first.len_utf8()..).unwrap_or_default().trim())
        }
        (_, Some(last)) if is(last) => {
            (Some(last), text.get(..text.len() - last.len_utf8()).unwrap_or_default().trim())
        }
        _ => (None, text),
    }
}

/// True for what may be taken off an amount without losing what it means: signs of currencies and shares.
fn is_money(affix: &str) -> bool {
    const SIGNS: [&str; 19] = [
        "€", "$", "£", "¥", "₹", "₽", "₺", "₴", "₩", "zł", "Kč", "kr", "kr.", "Ft", "Fr.", "Fr", "%", "‰",
        "US$",
    ];
    SIGNS.iter().any(|sign| sign.eq_ignore_ascii_case(affix))
        || affix.len() == 3 && Kind::Currency.check(&affix.to_ascii_uppercase()).is_ok()
}

/// Digits before and after the decimal mark, by style.
pub type Shapes = [Option<(u8, u8)>; STYLES.len()];

/// The styles that a body of digits and marks fits, and for each its digits before and after the decimal mark. None when
/// it fits no style.
pub fn fitting(body: &str) -> Option<(u8, Shapes)> {
    const MOST_MARKS: usize = 13;
    if body.len() > 64 {
        return None;
    }
    // Runs of digits, and the class of the mark behind each but the last.
    let (mut runs, mut marks, mut count) = ([0_u8; MOST_MARKS + 1], ['\0'; MOST_MARKS], 0);
    for c in body.chars() {
        if c.is_ascii_digit() {
            *runs.get_mut(count)? += 1;
            continue;
        }
        *marks.get_mut(count)? = match c {
            '.' | ',' => c,
            ' ' | '\u{a0}' | '\u{2007}' | '\u{2009}' | '\u{202f}' => ' ',
            '\'' | '\u{2019}' => '\'',
            _ => return None,
        };
        count += 1;
    }
    let (runs, marks) = (runs.get(..=count)?, marks.get(..count)?);
    let (mut bits, mut shapes) = (0, [None; STYLES.len()]);
    for (style, ((decimal, group), shape)) in STYLES.iter().zip(&mut shapes).enumerate() {
        if let Some(found) = shape_in(runs, marks, *decimal, *group, body.starts_with('0')) {
            bits |= 1 << style;
            *shape = Some(found);
        }
    }
    (bits != 0).then_some((bits, shapes))
}

fn shape_in(runs: &[u8], marks: &[char], decimal: char, group: Option<char>, zero: bool) -> Option<(u8, u8)> {
    let (marks, whole, fraction) = match marks.split_last() {
        Some((last, before)) if *last == decimal => (before, runs.get(..runs.len() - 1)?, *runs.last()?),
        _ => (marks, runs, 0),
    };
    if !marks.iter().all(|mark| Some(*mark) == group) {
        return None;
    }
    if !marks.is_empty() {
        let well_placed = whole.first().is_some_and(|first| (1..=3).contains(first))
            && whole.iter().skip(1).all(|run| *run == 3);
        if !well_placed || zero {
            return None;
        }
    }
    let digits: u32 = whole.iter().map(|run| u32::from(*run)).sum();
    (digits + u32::from(fraction) <= 38 && digits + u32::from(fraction) > 0)
        .then_some((digits as u8, fraction))
}
