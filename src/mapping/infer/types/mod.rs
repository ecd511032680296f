//! From what is known of a column to its type and rules: what holds for every value, and of several readings the likelier.

mod moment;
mod number;
#[cfg(test)]
mod tests;
mod text;

use super::{
    column::Column,
    forms::Forms,
    numbers::{Numbers, STYLES},
    toml_text::quoted,
};
use crate::model::{printable::thousands, value::kind::Kind};
use moment::{moment, orders};
use number::{fraction, number};
use text::text;

/// Fewer values than this prove no rule.
pub const ENOUGH: u64 = 20;

/// What the columns of a file have in common.
#[derive(Clone, Copy, Debug, Default)]
pub struct Habits {
    /// The decimal mark, where a column leaves no doubt.
    pub decimal: Option<char>,
    /// The group mark.
    pub group: Option<char>,
    /// Which of day and month comes first, where a column leaves no doubt.
    pub day_first: Option<bool>,
}

impl Habits {
    /// The habits that these columns show.
    #[must_use]
    pub fn of<'a>(columns: impl Iterator<Item = &'a Column>, forms: &Forms) -> Self {
        let mut habits = Self::default();
        let (mut day_first, mut month_first) = (0_u64, 0_u64);
        for column in columns {
            if column.numbers.nearly_holds() && column.numbers.marked > 0 {
                habits.note_numbers(&column.numbers);
            }
            for group in column.moments.groups.iter().filter(|_| column.moments.nearly_holds()) {
                match orders(group, forms) {
                    (true, false) => day_first += group.fits,
                    (false, true) => month_first += group.fits,
                    _ => {}
                }
            }
        }
        if day_first != month_first {
            habits.day_first = Some(day_first > month_first);
        }
        habits
    }

    fn note_numbers(&mut self, numbers: &Numbers) {
        let live = || STYLES.iter().enumerate().filter(|(at, _)| numbers.lives(*at));
        let Some((_, (decimal, _))) = live().next() else { return };
        if live().all(|(_, (other, _))| other == decimal) && live().any(|(at, _)| fraction(numbers, at) > 0) {
            self.decimal.get_or_insert(*decimal);
        }
        let mut grouped = live().filter_map(|(_, (_, group))| *group);
        if let (Some(group), true) = (grouped.next(), live().all(|(_, (_, group))| group.is_some())) {
            self.group.get_or_insert(group);
        }
    }
}

/// A column's type and rules, as TOML writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Typed {
    /// The type's name.
    pub name: String,
    /// Further keys with their values in TOML.
    pub keys: Vec<(&'static str, String)>,
    /// What speaks for it.
    pub evidence: Vec<String>,
    /// What a person has to decide.
    pub ask: Option<String>,
    /// Words for "no value".
    pub nulls: Vec<String>,
    /// The number style, for control totals.
    pub style: Option<usize>,
    /// Values that are known to be broken.
    pub broken: u64,
}

impl Typed {
    fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Notes that some values are broken, and what becomes of them.
    fn tolerate(&mut self, broken: u64, values: u64, what: &str, examples: &[String]) {
        if broken == 0 {
            return;
        }
        self.broken = broken;
        let text = format!(
            "{} of {} are no {what}, such as {}, and will be rejected; as text they would load",
            thousands(broken),
            thousands(values),
            text::shown(examples)
        );
        self.ask = Some(self.ask.take().map_or_else(|| text.clone(), |ask| format!("{ask}; {text}")));
    }

    fn key(mut self, key: &'static str, value: String) -> Self {
        self.keys.push((key, value));
        self
    }
}

/// The type of a column that is called `name` in snake case.
#[must_use]
pub fn decide(column: &Column, name: &str, forms: &Forms, habits: Habits) -> Typed {
    if column.values() == 0 {
        let mut typed = Typed::new("text");
        typed.evidence.push("no values in the sample".to_owned());
        typed.nulls = column.null_words(true);
        return typed;
    }
    let mut typed = kind(column, name)
        .or_else(|| boolean(column, name))
        .or_else(|| moment(column, name, forms, habits))
        .or_else(|| number(column, name, habits))
        .unwrap_or_else(|| text(column, name, forms));
    let sure_only = typed.name == "text" && !typed.keys.iter().any(|(key, _)| *key == "is");
    typed.nulls.extend(column.null_words(sure_only));
    typed
}

/// A column that has only what its text shows, whatever it looks like.
#[must_use]
pub fn plain_text(column: &Column) -> Typed {
    Typed { nulls: column.null_words(true), ..Typed::new("text") }
}

fn has_word(name: &str, words: &[&str]) -> bool {
    name.split('_').any(|part| words.contains(&part))
}

fn kind(column: &Column, name: &str) -> Option<Typed> {
    if column.is_uuid {
        return Some(Typed::new("uuid"));
    }
    let distinct = column.words.as_ref().map_or(u64::MAX, |words| words.len() as u64);
    let is_likely = |kind: &Kind| match kind {
        Kind::Email | Kind::Url | Kind::Iban | Kind::Isin | Kind::Lei => true,
        Kind::Phone => column.values() >= 3,
        Kind::Country => {
            has_word(name, &["country", "land", "nation", "iso", "pays", "origin"]) || distinct >= 8
        }
        Kind::Currency => has_word(name, &["currency", "ccy", "curr", "waehrung", "devise"]) || distinct >= 4,
        Kind::Language => has_word(name, &["language", "lang", "sprache", "locale"]),
        Kind::Bic => has_word(name, &["bic", "swift"]) || distinct >= 5,
        Kind::Ean => has_word(name, &["ean", "gtin", "upc", "barcode"]) || column.values() >= 10,
        Kind::Luhn => has_word(name, &["card", "luhn", "imei", "kreditkarte"]),
    };
    let kind = column.kinds.iter().find(|kind| is_likely(kind))?;
    let mut typed = Typed::new("text").key("is", quoted(kind.code()));
    if matches!(kind, Kind::Email | Kind::Iban | Kind::Phone | Kind::Luhn) {
        typed.evidence.push("`sensitive = true` would mask it in logs and errors.csv".to_owned());
    }
    Some(typed)
}

/// Pairs of words for true and false; the first ones need no words in the mapping.
const BOOLEANS: [(&str, &str); 14] = [
    ("true", "false"),
    ("yes", "no"),
    ("y", "n"),
    ("t", "f"),
    ("on", "off"),
    ("1", "0"),
    ("ja", "nein"),
    ("j", "n"),
    ("wahr", "falsch"),
    ("oui", "non"),
    ("vrai", "faux"),
    ("si", "no"),
    ("sí", "no"),
    ("tak", "nie"),
];
/// How many of [`BOOLEANS`] need no words.
const KNOWN_BOOLEANS: usize = 6;

fn boolean(column: &Column, name: &str) -> Option<Typed> {
    let written = values(column)?;
    let words: Vec<String> = written.iter().map(|(word, _)| word.to_lowercase()).collect();
    let all_in = |pair: &(&str, &str)| words.iter().all(|word| word == pair.0 || word == pair.1);
    let both = |pair: &(&str, &str)| {
        words.iter().any(|word| word == pair.0) && words.iter().any(|word| word == pair.1)
    };
    let at = BOOLEANS.iter().position(|pair| all_in(pair) && both(pair))?;
    let says = [
        "is", "has", "flag", "active", "aktiv", "enabled", "deleted", "valid", "blocked", "gesperrt", "paid",
    ];
    if BOOLEANS.get(at)?.0 == "1" && !has_word(name, &says) {
        return None;
    }
    let (yes, no) = BOOLEANS.get(at)?;
    let as_written = |word: &str| {
        let found = written.iter().find(|(known, _)| known.to_lowercase() == word);
        quoted(found.map_or(word, |(known, _)| known.as_str()))
    };
    let typed = Typed::new("boolean");
    Some(if at < KNOWN_BOOLEANS {
        typed
    } else {
        typed.key("true", as_written(yes)).key("false", as_written(no))
    })
}

/// The different values without the words for "no value".
fn values(column: &Column) -> Option<Vec<(String, u64)>> {
    let words =
        column.words.as_ref()?.iter().filter(|(word, _)| !column.nulls.iter().any(|(null, _)| null == word));
    Some(words.cloned().collect())
}
