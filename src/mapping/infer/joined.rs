//! The columns of several samples as those of one feed, and what is said about them.

use std::{collections::HashMap, sync::Arc};

use super::{
    column::{Column, Look},
    draft::Sample,
    naming::folded,
    survey::Faults,
    types::Typed,
};
use crate::model::printable::{self, thousands};

/// No table of SQLite has more columns.
const MOST_COLUMNS: usize = 2_000;

/// A column of the feed.
#[derive(Debug)]
pub struct Joined {
    /// Its name in the draft.
    pub name: String,
    /// Its name in the file; none without a header.
    pub title: Option<String>,
    /// Its number in the file, from 1.
    pub number: usize,
    /// Its values.
    pub column: Column,
    /// Its place in each sample.
    pub places: Vec<Option<usize>>,
    /// Its type.
    pub typed: Typed,
}

/// What is broken in a sample.
pub fn broken(faults: &Faults, records: u64) -> Option<String> {
    if faults.records == 0 {
        return None;
    }
    let kinds = [
        (faults.columns, "with a wrong number of fields"),
        (faults.quote, "with broken quotes"),
        (faults.encoding, "with bytes that are not valid in the encoding, or NUL bytes"),
        (faults.size, "too large"),
    ];
    let shown: Vec<String> = kinds
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", thousands(*count)))
        .collect();
    let line =
        faults.first_line.map(|line| format!(", the first on line {}", thousands(line))).unwrap_or_default();
    Some(format!(
        "{} of {} records are broken and will be rejected: {}{line}",
        thousands(faults.records),
        thousands(records),
        shown.join(", ")
    ))
}

/// The values of a column that has few, where the draft does not list them anyway.
pub fn shown_words(joined: &Joined) -> Option<String> {
    let words = joined.column.words.as_ref()?;
    let is_listed = joined.typed.keys.iter().any(|(key, _)| *key == "one_of");
    let is_private = joined.typed.evidence.iter().any(|text| text.contains("sensitive"));
    let is_enumeration = joined.column.values() >= 3 * words.len() as u64 && words.len() <= 8;
    let is_text = matches!(joined.typed.name.as_str(), "text" | "integer");
    if is_listed || is_private || !is_enumeration || !is_text || joined.column.most_characters > 20 {
        return None;
    }
    let words = words.iter().filter(|(word, _)| !joined.typed.nulls.contains(word));
    let shown: Vec<String> = words.map(|(word, _)| printable::short(word, 20)).collect();
    Some(format!("values: {}", shown.join(" ")))
}

/// The columns of all samples, by name or number, and what is left out.
pub fn join(samples: &[Sample], look: &Arc<Look>) -> (Vec<Joined>, Vec<String>) {
    let mut joined: Vec<Joined> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut unnamed = 0;
    for (at, sample) in samples.iter().enumerate() {
        for (place, column) in sample.evidence.columns.iter().enumerate() {
            let names = sample.sniffed.header.as_deref();
            let title = names.and_then(|names| names.get(place)).filter(|name| !name.is_empty()).cloned();
            if title.is_none() && sample.sniffed.names_columns() {
                unnamed += usize::from(at == 0);
                continue;
            }
            let by_name = sample.sniffed.names_columns();
            let identity = match &title {
                Some(title) if by_name => folded(title),
                _ => place.to_string(),
            };
            let index = *known.entry(identity).or_insert_with(|| {
                joined.push(Joined {
                    name: String::new(),
                    title: title.clone(),
                    number: place + 1,
                    column: Column::new(look),
                    places: vec![None; samples.len()],
                    typed: Typed::default(),
                });
                joined.len() - 1
            });
            if let Some(target) = joined.get_mut(index) {
                target.column.merge(column.clone());
                target.title = target.title.take().or(title);
                if let Some(slot) = target.places.get_mut(at) {
                    *slot = Some(place);
                }
            }
        }
    }
    let mut left_out = Vec::new();
    if unnamed > 0 {
        left_out.push(format!(
            "{unnamed} column{} without a name and without values: left out",
            if unnamed == 1 { "" } else { "s" }
        ));
    }
    if joined.len() > MOST_COLUMNS {
        let all = joined.len();
        joined.truncate(MOST_COLUMNS);
        left_out.push(format!(
            "CHECK: the file has {} columns, and a table no more than {}: keep those that you need; only the first are here",
            thousands(all as u64),
            thousands(MOST_COLUMNS as u64)
        ));
    }
    (joined, left_out)
}

/// A name for a column that has none, by what its values are.
pub fn by_content(typed: &Typed) -> String {
    let kind =
        typed.keys.iter().find(|(key, _)| *key == "is").map(|(_, kind)| kind.trim_matches('"').to_owned());
    match typed.name.as_str() {
        "uuid" | "date" | "timestamp" | "time" => typed.name.clone(),
        _ => kind.unwrap_or_default(),
    }
}
