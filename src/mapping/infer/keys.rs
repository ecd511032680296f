//! Which columns tell the records of a sample apart.

use std::collections::HashSet;

use super::{
    column::Column,
    numbers::may_be_broken,
    survey::{TABLE_COLUMNS, combined},
};

/// Sets of columns that are counted over all records.
const MOST_SETS: usize = 3;
/// Columns that sets are made of: the likelier half of a wide file.
const MOST_CANDIDATES: usize = 24;
/// A key of more columns than this is no key that a person would choose.
const MOST_COLUMNS: usize = 5;
/// Longer texts are no part of a key.
const MOST_CHARACTERS: usize = 64;

/// How well a set of columns tells the records of a sample apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyCount {
    /// Records looked at.
    pub records: u64,
    /// Records whose key an earlier one has.
    pub repeated: u64,
}

impl KeyCount {
    /// Hashes of one set of columns that are counted, at 8 bytes each: of a larger sample, the first records.
    pub const MOST_HASHES: usize = 1 << 20;

    /// Counts the hashes of one set of columns over a sample.
    #[must_use]
    pub fn of(mut hashes: Vec<u64>) -> Self {
        hashes.sort_unstable();
        let repeated = hashes.windows(2).filter(|pair| matches!(pair, [a, b] if a == b)).count();
        Self { records: hashes.len() as u64, repeated: repeated as u64 }
    }
}

/// A column as a part of a key.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its place among the columns of the draft.
    pub place: usize,
    /// Its name.
    pub name: &'a str,
    /// Its type.
    pub type_name: &'a str,
    /// Its values.
    pub column: &'a Column,
    /// Every sample has it, and every record has a value.
    pub complete: bool,
}

impl Candidate<'_> {
    /// How much speaks for the column as a key, its values left aside.
    fn likelihood(&self) -> i64 {
        const WORDS: [&str; 15] = [
            "id",
            "no",
            "nr",
            "number",
            "nummer",
            "num",
            "key",
            "code",
            "uuid",
            "guid",
            "sku",
            "ref",
            "reference",
            "schluessel",
            "artikel",
        ];
        const ENDINGS: [&str; 4] = ["id", "nr", "nummer", "number"];
        let words: Vec<&str> = self.name.split('_').collect();
        let told = words.iter().any(|word| WORDS.contains(word))
            || ENDINGS.iter().any(|end| self.name.ends_with(end));
        let mut score = -(i64::try_from(self.place).unwrap_or(i64::MAX / 2));
        score += if told { 30 } else { 0 };
        score += if self.place == 0 { 15 } else { 0 };
        score -= match self.type_name {
            kind if kind.starts_with("decimal") || kind == "float" => 200,
            "time" | "timestamp" => 60,
            "date" => 20,
            "boolean" => 400,
            _ => 0,
        };
        score -= if self.column.most_characters > 40 { 40 } else { 0 };
        score - if self.column.codes || self.type_name != "text" { 0 } else { 10 }
    }

    fn may_be_part(&self) -> bool {
        self.complete && self.column.most_characters <= MOST_CHARACTERS
    }
}

/// The column that is unique by itself and the likeliest key.
#[must_use]
pub fn single(candidates: &[Candidate<'_>]) -> Option<usize> {
    let unique = candidates.iter().filter(|c| c.may_be_part() && !c.column.repeats && c.likelihood() > -150);
    unique.max_by_key(|c| c.likelihood()).map(|c| c.place)
}

/// Sets of columns that tell the records of the small table apart, the likelier ones first; the last one may fail.
#[must_use]
pub fn sets(
    candidates: &[Candidate<'_>],
    table: &[Vec<u64>],
    table_place: impl Fn(usize) -> Option<usize>,
) -> Vec<Vec<usize>> {
    let mut parts: Vec<&Candidate<'_>> = candidates
        .iter()
        .filter(|c| c.may_be_part() && table_place(c.place).is_some_and(|at| at < TABLE_COLUMNS))
        .filter(|c| c.column.words.as_ref().is_none_or(|words| words.len() > 1))
        .collect();
    parts.sort_by_key(|c| std::cmp::Reverse(c.likelihood()));
    parts.truncate(MOST_CANDIDATES);
    let distinct = |set: &[usize]| {
        let places: Vec<usize> = set.iter().filter_map(|place| table_place(*place)).collect();
        let row =
            |row: &Vec<u64>| combined(places.iter().map(|at| row.get(*at).copied().unwrap_or_default()));
        table.iter().map(row).collect::<HashSet<u64>>().len()
    };
    let mut found: Vec<Vec<usize>> = Vec::new();
    // The likeliest column may well be the key, and some records broken.
    if let Some(first) = parts.first().filter(|c| c.likelihood() > 0) {
        let repeated = table.len() - distinct(&[first.place]);
        if repeated as u64 <= may_be_broken(table.len() as u64) {
            found.push(vec![first.place]);
        }
    }
    for (at, first) in parts.iter().enumerate() {
        for second in parts.iter().skip(at + 1) {
            let set = ordered(vec![first.place, second.place]);
            if found.len() < MOST_SETS && distinct(&set) == table.len() {
                found.push(set);
            }
        }
    }
    // Column by column, the one that tells most records apart next.
    let mut grown: Vec<usize> = Vec::new();
    let mut known = 0;
    while grown.len() < MOST_COLUMNS && (known < table.len() || grown.len() < 3) {
        let with = |place: usize| ordered(grown.iter().copied().chain([place]).collect());
        let open = parts.iter().filter(|c| !grown.contains(&c.place));
        let Some(best) = open.map(|c| (distinct(&with(c.place)), c.likelihood(), c.place)).max() else {
            break;
        };
        if best.0 <= known && known == table.len() {
            break;
        }
        known = best.0;
        grown = with(best.2);
    }
    if !grown.is_empty() && !found.contains(&grown) {
        found.push(grown);
    }
    found
}

fn ordered(mut set: Vec<usize>) -> Vec<usize> {
    set.sort_unstable();
    set
}
