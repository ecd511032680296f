//! The statements a load runs. Identifiers are always quoted, values always bound.

use rusqlite::Connection;

pub(super) use crate::targets::identifier::{quoted, quoted_list};

/// True when `table` has no row.
pub(super) fn is_empty(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(&format!("SELECT NOT EXISTS (SELECT 1 FROM {})", quoted(table)))?
        .query_row([], |row| row.get(0))
}

/// What a statement says about rows that break a constraint.
///
/// Saying something overrides an ON CONFLICT clause of the table's definition, which could replace or drop rows without
/// a word. It also overrides the clauses of statements inside triggers, so with triggers nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnConflict {
    /// Nothing.
    Unsaid,
    /// The statement leaves nothing behind.
    Abort,
    /// The rows before the one at fault stay, and `changes()` says how many. SQLite then keeps no copy of every page
    /// that the statement touches, which for keys in no order takes longer than the rows themselves.
    Fail,
}

impl OnConflict {
    fn words(self) -> &'static str {
        match self {
            Self::Unsaid => "",
            Self::Abort => " OR ABORT",
            Self::Fail => " OR FAIL",
        }
    }
}

/// An INSERT of `rows` rows at once.
pub(super) fn insert(table: &str, columns: &[&str], rows: usize, on_conflict: OnConflict) -> String {
    let row = format!("({})", vec!["?"; columns.len()].join(", "));
    format!(
        "INSERT{} INTO {} ({}) VALUES {}",
        on_conflict.words(),
        quoted(table),
        quoted_list(columns.iter().copied()),
        vec![row; rows].join(", ")
    )
}

/// An UPDATE of one row by its key: first the parameters of `set`, whose flag says that NULL keeps what is stored,
/// then those of the key. `also` is one more assignment.
pub(super) fn update(
    table: &str,
    set: &[(&str, bool)],
    also: Option<&str>,
    key: &[&str],
    on_conflict: OnConflict,
) -> String {
    let mut assignments: Vec<String> = set
        .iter()
        .map(|(name, keep)| {
            let name = quoted(name);
            if *keep { format!("{name} = coalesce(?, {name})") } else { format!("{name} = ?") }
        })
        .collect();
    assignments.extend(also.map(str::to_owned));
    format!(
        "UPDATE{} {} SET {} WHERE {}",
        on_conflict.words(),
        quoted(table),
        assignments.join(", "),
        equal(key)
    )
}

/// A SELECT of `expressions` from the row with a key.
pub(super) fn point(table: &str, expressions: &str, key: &[&str]) -> String {
    format!("SELECT {expressions} FROM {} WHERE {}", quoted(table), equal(key))
}

/// A SELECT of `expressions` that goes through the table in the order of its key, from a given key on.
///
/// The index is named because a planner misled by old statistics might sort the whole table for every seek. `None`
/// stands for the rowid.
pub(super) fn walk(table: &str, expressions: &str, key: &[&str], index: Option<&str>) -> String {
    let from = match key {
        [name] => format!("{} >= ?", quoted(name)),
        names => {
            format!("({}) >= ({})", quoted_list(names.iter().copied()), vec!["?"; names.len()].join(", "))
        }
    };
    format!(
        "SELECT {expressions} FROM {} {} WHERE {from} ORDER BY {}",
        quoted(table),
        index.map_or_else(|| "NOT INDEXED".to_owned(), |name| format!("INDEXED BY {}", quoted(name))),
        quoted_list(key.iter().copied())
    )
}

/// The condition that names are equal to parameters.
pub(super) fn equal(key: &[&str]) -> String {
    key.iter().map(|name| format!("{} = ?", quoted(name))).collect::<Vec<_>>().join(" AND ")
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use crate::targets::sqlite::shape;

    #[test]
    fn the_walk_uses_the_index_of_the_key_whatever_the_statistics_say() {
        let tables = [
            "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT)",
            "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID",
            "CREATE TABLE t (k TEXT, v TEXT); CREATE UNIQUE INDEX \"a\"\"b\" ON t (k DESC)",
        ];
        for table in tables {
            let connection = Connection::open_in_memory().unwrap();
            let made = connection.execute_batch(&format!(
                "{table}; INSERT INTO t VALUES ('a', '1'); CREATE INDEX other ON t (v, k); ANALYZE;
                 UPDATE sqlite_stat1 SET stat = '1 1'"
            ));
            made.unwrap();
            let shape = shape::read(&connection, "t").unwrap().unwrap();
            let index = shape.unique_on(&[0]).unwrap();
            let sql = super::walk("t", "k, v", &["k"], index.index.as_deref());
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let plan: Vec<String> =
                statement.query_map(["a"], |row| row.get(3)).unwrap().map(Result::unwrap).collect();
            assert!(
                matches!(plan.as_slice(), [one] if one.starts_with("SEARCH t USING")),
                "{table}: {plan:?}"
            );
        }
    }
}
