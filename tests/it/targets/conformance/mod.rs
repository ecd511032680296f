//! What every target does, whatever its database. A file an area; its cases run one after the other, each on a database of
//! its own, and know the database only through [`super::Database`] and standard SQL.

pub mod batches;
pub mod company;
pub mod comparing;
pub mod counts;
pub mod keys;
pub mod mirrors;
pub mod misfits;
pub mod modes;
pub mod once;
pub mod reading;
pub mod refusals;
pub mod values;

use wharf::{
    model::{Tally, value::ValueType},
    targets::{Mirror, Mode, TableSpec, Vanished},
};

use super::{Database, Event, cases, quoted, rows::*};

/// The columns of a definition of table `t`: their names and types, and what else there is.
fn table(database: &dyn Database, columns: &[(&str, ValueType)], rest: &str) -> String {
    let columns: Vec<String> =
        columns.iter().map(|(name, of)| format!("{} {}", quoted(name), database.declares(*of))).collect();
    format!("CREATE TABLE t ({}{rest})", columns.join(", "))
}

/// Table `t` with the columns `k` and `v` of [`pair`], each with what follows its type.
fn pair_table(database: &dyn Database, k: &str, v: &str) -> String {
    let text = database.declares(ValueType::Text);
    format!("CREATE TABLE t (k {text} {k}, v {text} {v})")
}
