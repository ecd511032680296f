//! Targets held to their contract (`wharf::targets`) against real databases.
//!
//! One suite, [`conformance`], is run by every target: what a load, a comparison and a look at a table have to do, whatever
//! the database. A target joins by an implementation of [`Database`], which says how to get round the target to its database,
//! and one line, `conforms!`. It runs the cases whose needs its capabilities meet. What only one database has (its files, its
//! types, its triggers' words) is tested beside its [`Database`].

mod conformance;
mod postgres;
mod rows;
mod sqlite;

use wharf::{
    model::value::ValueType,
    targets::{Capability, Target},
};

/// A database of a test's own, empty at first, and gone when it is dropped.
pub trait Database {
    /// The target, as the program opens it; but it waits for others for as long as a test can wait.
    fn target(&self) -> Box<dyn Target>;

    /// Another database, empty.
    fn another(&self) -> Box<dyn Database + '_>;

    /// A connection of somebody else's.
    fn outside(&self) -> Box<dyn Outside>;

    /// The type as which a column holds values of this type.
    fn declares(&self, of: ValueType) -> String;

    /// Makes a trigger on table `t` that fails when a row is written to it for which `condition` holds (over `new`), saying
    /// `words`.
    fn refuse(&self, event: Event, condition: &str, words: &str);

    /// Definitions of a table `t` with the columns that `conformance::mixed` has, in which rows are found in different ways.
    /// An empty one has the target make it.
    fn mixed_tables(&self) -> &'static [&'static str];

    /// As [`Database::mixed_tables`], for `conformance::articles`. They have the column `deleted_at` too.
    fn article_tables(&self) -> &'static [&'static str];

    /// How many cases a property is tried on: fewer where a load takes long.
    fn property_cases(&self) -> u32;

    /// Runs statements as somebody else.
    #[track_caller]
    fn run(&self, sql: &str) {
        self.outside().run(sql);
    }

    /// The values of some columns, in canonical form, of what follows SELECT and the columns: `FROM t ORDER BY k`. They are
    /// joined by commas, and NULL is `-`.
    #[track_caller]
    fn rows(&self, columns: &[(&str, ValueType)], rest: &str) -> Vec<String> {
        let names: Vec<String> = columns.iter().map(|(name, _)| quoted(name)).collect();
        let rows = self.outside().rows(&format!("SELECT {} {rest}", names.join(", ")));
        let text = |(value, of): (Option<String>, &(&str, ValueType))| {
            value.map_or_else(|| "-".to_owned(), |value| canonical(&value, of.1))
        };
        rows.into_iter()
            .map(|row| row.into_iter().zip(columns).map(text).collect::<Vec<_>>().join(","))
            .collect()
    }

    /// As [`Database::rows`], of text columns.
    #[track_caller]
    fn texts(&self, columns: &[&str], rest: &str) -> Vec<String> {
        let columns: Vec<_> = columns.iter().map(|name| (*name, ValueType::Text)).collect();
        self.rows(&columns, rest)
    }

    /// The number of rows that follow SELECT count(*).
    #[track_caller]
    fn count(&self, rest: &str) -> u64 {
        let rows = self.outside().rows(&format!("SELECT count(*) {rest}"));
        rows[0][0].as_ref().and_then(|count| count.parse().ok()).expect("a number")
    }
}

/// A connection of somebody else's, which may keep a transaction open.
pub trait Outside {
    /// Runs statements.
    fn run(&self, sql: &str);

    /// The rows of a query, each value as the database writes it; none for NULL.
    fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>>;
}

/// What is done to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Insert,
    Update,
    Delete,
}

/// A name between double quotes, as in standard SQL.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A value as a database writes it, in Wharf's canonical form.
fn canonical(value: &str, of: ValueType) -> String {
    let six_digits = |value: &str| match value.split_once('.') {
        Some((_, fraction)) if fraction.len() < 6 => {
            format!("{value:0<width$}", width = value.len() + 6 - fraction.len())
        }
        _ => value.to_owned(),
    };
    match of {
        ValueType::Boolean => (["1", "t", "true"].contains(&value)).to_string(),
        ValueType::Float => value.parse::<f64>().expect("a float").to_string(),
        ValueType::Time => six_digits(value),
        ValueType::Timestamp => {
            // In UTC, whoever writes it: all the years from 1 to 9999.
            let instant = value.trim_end_matches("+00").trim_end_matches('Z').replace(' ', "T");
            format!("{}Z", six_digits(&instant))
        }
        ValueType::Json => serde_json::from_str::<serde_json::Value>(value).expect("a JSON text").to_string(),
        _ => value.to_owned(),
    }
}

/// A case of the suite.
pub struct Case {
    name: &'static str,
    needs: &'static [Capability],
    run: fn(&dyn Database),
}

/// Runs cases, each on a database of its own, and fails when one fails.
#[track_caller]
fn run<'s>(cases: &[Case], database: impl Fn() -> Box<dyn Database + 's>) {
    let mut ran = 0;
    let mut failed = Vec::new();
    for case in cases {
        let database = database();
        let can = database.target().capabilities();
        if !case.needs.iter().all(|need| can.contains(need)) {
            continue;
        }
        ran += 1;
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (case.run)(&*database)));
        if let Err(panic) = result {
            let words = panic.downcast_ref::<String>().map(String::as_str);
            let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
            failed.push(format!("{}: {words}", case.name));
        }
    }
    assert!(failed.is_empty(), "{} of {ran} failed:\n{}", failed.len(), failed.join("\n"));
}

/// The cases of a file of the suite: functions, each with what it needs behind a colon.
macro_rules! cases {
    ($($name:ident $(: $($need:ident)+)?),+ $(,)?) => {
        /// The cases.
        pub const CASES: &[$crate::targets::Case] = &[$($crate::targets::Case {
            name: stringify!($name),
            needs: &[$($(wharf::targets::Capability::$need),+)?],
            run: $name,
        }),+];
    };
}
use cases;

/// Has a target run the suite. `$server` is what its databases share, made once a test; `$database` makes one of it.
macro_rules! conforms {
    ($server:expr, $database:expr) => {
        $crate::targets::conforms!(
            @ $server, $database;
            values_come_out_as_they_went_in: values,
            keys_find_their_rows_and_no_others: keys,
            modes_write_and_count_what_they_say: modes,
            counts_are_exact_whatever_the_table_looks_like: counts,
            a_row_that_is_refused_costs_one_row: refusals,
            tables_that_do_not_fit_are_named: misfits,
            a_delivery_is_loaded_once_or_not_at_all: once,
            others_at_work_at_the_same_time_see_all_or_nothing: company,
            what_the_file_does_not_have_vanishes: mirrors,
            a_delivery_committed_batch_by_batch_goes_on_where_it_was: batches,
            a_comparison_tells_what_a_load_then_does: comparing,
            tables_are_read_as_they_stand: reading,
        );
    };
    (@ $server:expr, $database:expr; $($name:ident: $area:ident),+ $(,)?) => {$(
        #[test]
        fn $name() {
            let server = $server;
            $crate::targets::run($crate::targets::conformance::$area::CASES, || Box::new($database(&server)));
        }
    )+};
}
use conforms;
