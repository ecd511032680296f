//! Which deliveries a list shows.

use rusqlite::types::Value;

use super::row::integer;
use crate::model::State;

/// Which deliveries are wanted; those that fit everything given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// In one of these states; all when empty.
    pub states: Vec<State>,
    /// Under this mapping.
    pub mapping: Option<String>,
    /// With this in the file's name; upper and lower case of A to Z are the same.
    pub name_contains: Option<String>,
    /// Taken at this time or later, in milliseconds since 1970.
    pub since_millis: Option<u64>,
    /// Taken before this time, in milliseconds since 1970.
    pub until_millis: Option<u64>,
    /// With open rejects.
    pub open: bool,
    /// At most so many.
    pub limit: Option<u32>,
    /// Without the first so many.
    pub offset: u32,
}

impl Filter {
    /// The `WHERE` clause, and the values for its places.
    pub(super) fn condition(&self) -> (String, Vec<Value>) {
        let mut parts: Vec<String> = Vec::new();
        let mut values: Vec<Value> = Vec::new();
        let mut add = |part: &str, value: Value| {
            parts.push(part.to_owned());
            values.push(value);
        };
        if let Some(mapping) = &self.mapping {
            add("mapping = ?", Value::Text(mapping.clone()));
        }
        if let Some(text) = &self.name_contains {
            add("instr(lower(CAST(file AS TEXT)), lower(?)) > 0", Value::Text(text.clone()));
        }
        if let Some(millis) = self.since_millis {
            add("taken_at >= ?", Value::Integer(integer(millis)));
        }
        if let Some(millis) = self.until_millis {
            add("taken_at < ?", Value::Integer(integer(millis)));
        }
        if !self.states.is_empty() {
            parts.push(format!("state IN (?{})", ", ?".repeat(self.states.len() - 1)));
            values.extend(self.states.iter().map(|state| Value::Text(state.code().to_owned())));
        }
        if self.open {
            parts.push("open > 0".to_owned());
        }
        let clause = if parts.is_empty() { String::new() } else { format!(" WHERE {}", parts.join(" AND ")) };
        (clause, values)
    }
}
