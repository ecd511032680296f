//! Columns of numbers.

use super::{Habits, Typed, has_word};
use crate::mapping::infer::{
    column::Column,
    numbers::{Numbers, STYLES},
    toml_text::{list, quoted},
};

/// The longest whole number that is one for sure.
const MOST_DIGITS: u8 = 18;

/// Names of columns whose digits are no amounts.
const CODE_WORDS: [&str; 20] = [
    "zip",
    "plz",
    "postal",
    "postcode",
    "postleitzahl",
    "phone",
    "tel",
    "telephone",
    "telefon",
    "fax",
    "mobile",
    "mobil",
    "account",
    "konto",
    "kontonummer",
    "vat",
    "ust",
    "iban",
    "blz",
    "sort",
];

/// The type of a column whose values are all numbers.
pub fn number(column: &Column, name: &str, habits: Habits) -> Option<Typed> {
    let numbers = &column.numbers;
    if !numbers.nearly_holds()
        || numbers.leading_zeros > 0
        || has_word(name, &CODE_WORDS) && numbers.marked == 0
    {
        return None;
    }
    let currencies = currencies(numbers);
    if currencies > 1 {
        return None;
    }
    let (style, ask) = style(numbers, habits)?;
    let (decimal, own_group) = STYLES.get(style).copied()?;
    let whole = numbers.whole.get(style).copied().unwrap_or(0);
    let scale = fraction(numbers, style);
    let has_affix = !numbers.affixes.is_empty();
    let mut typed = if numbers.exponents > 0 {
        Typed::new("float")
    } else if scale == 0 && !has_affix {
        if whole > MOST_DIGITS {
            return None;
        }
        Typed::new("integer")
    } else {
        let scale = scale.max(if has_affix || scale == 1 { 2 } else { scale });
        let precision = whole.saturating_add(scale).saturating_add(2).clamp(12, 38);
        if scale > precision || whole + scale > 38 {
            return None;
        }
        Typed::new(format!("decimal({precision},{scale})"))
    };
    let group =
        own_group.or(habits.group.filter(|group| *group != decimal && numbers.lives_with(decimal, *group)));
    let is_integer = typed.name == "integer";
    let implied = group == Some('.');
    if decimal != '.' && !implied && !(is_integer && own_group.is_none()) || decimal == '.' && implied {
        typed.keys.push(("decimal_mark", quoted(&decimal.to_string())));
    }
    if let Some(group) = group.filter(|_| !is_integer || numbers.marked > 0) {
        typed.keys.push(("group_mark", quoted(&group.to_string())));
    }
    if numbers.trailing_minus > 0 {
        typed.keys.push(("negative", quoted("trailing")));
    } else if numbers.parentheses > 0 {
        typed.keys.push(("negative", quoted("parentheses")));
    }
    let affixes: Vec<String> = numbers.affixes.iter().map(|(affix, _)| affix.clone()).collect();
    match affixes.as_slice() {
        [] => {}
        [one] => typed.keys.push(("strip", quoted(one))),
        several => typed.keys.push(("strip", list(several))),
    }
    typed.ask = ask;
    typed.tolerate(numbers.odd, column.values(), "numbers", &numbers.examples);
    typed.style = Some(style);
    Some(typed)
}

/// How many different currencies (or shares) stand around the numbers.
pub fn currencies(numbers: &Numbers) -> usize {
    let mut seen: Vec<String> = Vec::new();
    for (affix, _) in &numbers.affixes {
        let code = match affix.as_str() {
            "€" => "EUR",
            "$" | "US$" => "USD",
            "£" => "GBP",
            "¥" => "JPY",
            "Fr." | "Fr" => "CHF",
            ",-" | ".-" | ",--" | ".--" | ",–" | ".–" => continue,
            other => other,
        };
        if !seen.iter().any(|known| known.eq_ignore_ascii_case(code)) {
            seen.push(code.to_owned());
        }
    }
    seen.len()
}

impl Numbers {
    fn lives_with(&self, decimal: char, group: char) -> bool {
        STYLES.iter().position(|style| *style == (decimal, Some(group))).is_some_and(|at| self.lives(at))
    }
}

/// The likeliest style, and what to ask about it.
fn style(numbers: &Numbers, habits: Habits) -> Option<(usize, Option<String>)> {
    let live = || STYLES.iter().enumerate().filter(|(at, _)| numbers.lives(*at));
    let (first, _) = live().next()?;
    if numbers.marked == 0 {
        return Some((first, None));
    }
    // The same marks read as decimal marks and as group marks.
    let as_decimal =
        live().find(|(at, (_, group))| group.is_none() && fraction(numbers, *at) > 0).map(|(at, _)| at);
    let as_groups = live().find(|(at, _)| fraction(numbers, *at) == 0).map(|(at, _)| at);
    let (Some(as_decimal), Some(as_groups)) = (as_decimal, as_groups) else { return Some((first, None)) };
    let decimal_of = |at: usize| STYLES.get(at).map(|(decimal, _)| *decimal);
    if let Some(decimal) = habits.decimal {
        let chosen = if decimal_of(as_decimal) == Some(decimal) { as_decimal } else { as_groups };
        return Some((chosen, None));
    }
    let short = numbers.fits - numbers.marked - numbers.long_unmarked.min(numbers.fits - numbers.marked);
    let groups = numbers.long_unmarked == 0 && short > 0;
    let ask = "the mark always stands before three digits: is it a decimal mark or a group mark?".to_owned();
    Some((if groups { as_groups } else { as_decimal }, Some(ask)))
}

/// Most digits behind the decimal mark in a style.
pub fn fraction(numbers: &Numbers, style: usize) -> u8 {
    numbers.fraction.get(style).copied().unwrap_or(0)
}
