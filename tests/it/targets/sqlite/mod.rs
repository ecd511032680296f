//! SQLite: the suite on real database files, and what only SQLite has.

mod batches;
mod faults;
mod misfits;
mod newer;
mod refusals;
mod values;

use std::{path::PathBuf, time::Duration};

use rusqlite::{Connection, types::ValueRef};
use tempfile::TempDir;
use wharf::{
    model::{ContentHash, Tally, value::ValueType},
    targets::{
        Begun, Commit, Fit, LoadId, RowRefusal, TableSpec, Target, TargetError,
        sqlite::{SqliteOptions, SqliteTarget},
    },
};

use super::{Database, Event, Outside, conforms, rows::*};

conforms!((), |(): &()| Place::new());

/// A folder with a database in it.
struct Place {
    _folder: TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("warehouse.db");
        Self { _folder: folder, path }
    }

    /// A place whose database was made by `sql`.
    fn with(sql: &str) -> Self {
        let place = Self::new();
        place.run(sql);
        place
    }

    fn target(&self) -> SqliteTarget {
        let options = SqliteOptions { busy_timeout: Duration::from_millis(5), ..SqliteOptions::default() };
        SqliteTarget::open(&self.path, options).unwrap()
    }

    /// The rows of a query, as SQLite quotes their values, with commas between.
    fn stored(&self, columns: &[&str], rest: &str) -> Vec<String> {
        let quoted: Vec<String> = columns.iter().map(|column| format!("quote({column})")).collect();
        let connection = Connection::open(&self.path).unwrap();
        let mut statement = connection.prepare(&format!("SELECT {} {rest}", quoted.join("||','||"))).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }
}

impl Database for Place {
    fn target(&self) -> Box<dyn Target> {
        Box::new(self.target())
    }

    fn another(&self) -> Box<dyn Database + '_> {
        Box::new(Self::new())
    }

    fn outside(&self) -> Box<dyn Outside> {
        Box::new(Connection::open(&self.path).unwrap())
    }

    fn declares(&self, of: ValueType) -> String {
        let declared = match of {
            ValueType::Integer | ValueType::Boolean => "INTEGER",
            ValueType::Float => "REAL",
            _ => "TEXT",
        };
        declared.to_owned()
    }

    fn refuse(&self, event: Event, condition: &str, words: &str) {
        let event = match event {
            Event::Insert => "INSERT",
            Event::Update => "UPDATE",
            Event::Delete => "DELETE",
        };
        self.run(&format!(
            "CREATE TRIGGER refuse_{event} BEFORE {event} ON t WHEN {condition} BEGIN SELECT RAISE(ABORT, '{words}'); END"
        ));
    }

    fn mixed_tables(&self) -> &'static [&'static str] {
        &[
            "",
            "CREATE TABLE t (a TEXT, b INTEGER, v, kept, once, aside, PRIMARY KEY (b, a)) WITHOUT ROWID",
            "CREATE TABLE t (a TEXT, b INTEGER, v, kept, once, aside); CREATE UNIQUE INDEX u ON t (a DESC, b DESC)",
            "CREATE TABLE t (a TEXT, b INTEGER, v, kept, once, aside); CREATE UNIQUE INDEX u ON t (a, b DESC)",
            "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (a TEXT, b INTEGER, v, kept, once, aside, PRIMARY KEY (a, b))",
            "CREATE TABLE t (a TEXT, b INTEGER, v, kept, once, aside, PRIMARY KEY (a, b));
             CREATE TABLE log (n); CREATE TRIGGER g AFTER UPDATE ON t BEGIN INSERT INTO log VALUES (1), (2); END",
        ]
    }

    fn article_tables(&self) -> &'static [&'static str] {
        &[
            "",
            "CREATE TABLE t (shop TEXT, no INTEGER, price INTEGER, deleted_at, PRIMARY KEY (no, shop)) WITHOUT ROWID",
            "CREATE TABLE t (id INTEGER PRIMARY KEY, shop TEXT, no INTEGER, price INTEGER, deleted_at, UNIQUE (shop, no))",
            "CREATE TABLE t (shop TEXT, no INTEGER, price INTEGER PRIMARY KEY, deleted_at, UNIQUE (shop, no))",
            "CREATE TABLE t (rowid TEXT, oid TEXT, shop TEXT, no INTEGER, price INTEGER, deleted_at, UNIQUE (shop, no))",
            "CREATE TABLE t (shop TEXT, no INTEGER, price INTEGER, deleted_at, PRIMARY KEY (shop, no));
             CREATE TABLE log (n); CREATE TRIGGER g AFTER DELETE ON t BEGIN INSERT INTO log VALUES (1), (2); END",
            "CREATE TABLE t (id INTEGER PRIMARY KEY, shop TEXT, no INTEGER, price INTEGER, deleted_at, UNIQUE (shop, no));
             INSERT INTO t VALUES (9223372036854775806, 'a', -1, 0, NULL)",
        ]
    }

    fn property_cases(&self) -> u32 {
        64
    }
}

impl Outside for Connection {
    fn run(&self, sql: &str) {
        self.execute_batch(sql).unwrap();
    }

    fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let mut statement = self.prepare(sql).unwrap();
        let columns = statement.column_count();
        let text = |value: ValueRef<'_>| match value {
            ValueRef::Null => None,
            ValueRef::Integer(number) => Some(number.to_string()),
            ValueRef::Real(number) => Some(number.to_string()),
            ValueRef::Text(bytes) => Some(String::from_utf8(bytes.to_vec()).unwrap()),
            ValueRef::Blob(bytes) => Some(format!("{bytes:?}")),
        };
        let rows = statement.query_map([], |row| (0..columns).map(|at| Ok(text(row.get_ref(at)?))).collect());
        rows.unwrap().map(Result::unwrap).collect()
    }
}

#[test]
fn where_there_is_no_database_every_row_would_be_new_and_nothing_is_made() {
    let place = Place::new();
    let (tally, _) = compared(&place.target(), &pair(), &[batch(&pair(), &pairs(&[("a", "1"), ("b", "2")]))]);
    assert_eq!(tally.inserted, 2);
    assert_eq!(place.target().fit(&pair()).unwrap(), Fit::WouldCreate);
    assert!(!place.path.exists());
}
