//! `lookup` of columns: the tables and files that values are looked up in, each known once for all columns that ask it.

use indexmap::IndexMap;

use super::{
    connection::Connection,
    document::Step,
    expect,
    findings::Findings,
    names::{self, Dialect, Named},
    plan::{Lookup, LookupSource, LookupTable},
    target,
    written::{ColumnWritten, LookupKeyWritten, LookupWritten},
};
use crate::model::FileName;

/// Where lookup files lie, from the site's folder.
pub const FOLDER: &str = "mappings/lookups";

/// The lookup tables of a mapping.
#[derive(Debug)]
pub struct Lookups<'a> {
    /// The connection of the target.
    own: Option<&'a str>,
    connections: &'a IndexMap<String, Connection>,
    tables: Vec<LookupTable>,
}

impl<'a> Lookups<'a> {
    /// None yet. `own` is the connection of the mapping's target, `connections` are all that there are.
    pub fn new(own: Option<&'a str>, connections: &'a IndexMap<String, Connection>) -> Self {
        Self { own, connections, tables: Vec::new() }
    }

    /// All of them.
    pub fn into_tables(self) -> Vec<LookupTable> {
        self.tables
    }

    /// The lookup of the column `name`; none when it has none, or something is wrong with it.
    pub fn compile(
        &mut self,
        name: &str,
        column: &ColumnWritten,
        columns: &IndexMap<String, ColumnWritten>,
        findings: &mut Findings<'_>,
    ) -> Option<Lookup> {
        let written = column.lookup.as_ref()?;
        let before = findings.len();
        let path: [Step<'_>; 3] = ["columns".into(), name.into(), "lookup".into()];
        let source = self.source(&path, written, findings);
        let mut keys = keys(&path, name, written.key.as_ref()?, columns, findings);
        for (key, named) in
            [("key", keys.first().map(|(key, _)| key.as_str())), ("value", written.value.as_deref())]
        {
            if named.is_some_and(|named| named.trim().is_empty()) {
                findings.value(&[path[0], path[1], path[2], key.into()], "a column's name is empty", None);
            }
        }
        if findings.len() > before {
            return None;
        }
        // One order for all that have the same keys.
        keys.sort();
        let (keys, of): (Vec<String>, Vec<Option<usize>>) = keys.into_iter().unzip();
        let source = source?;
        let known = self.tables.iter().position(|table| table.source == source && table.keys == keys);
        let table = known.unwrap_or_else(|| {
            self.tables.push(LookupTable { source, keys, values: Vec::new() });
            self.tables.len() - 1
        });
        let value = match (&written.value, self.tables.get_mut(table)) {
            (Some(value), Some(table)) => {
                Some(table.values.iter().position(|known| known == value).unwrap_or_else(|| {
                    table.values.push(value.clone());
                    table.values.len() - 1
                }))
            }
            _ => None,
        };
        Some(Lookup { table, keys: of, value })
    }

    fn source(
        &self,
        path: &[Step<'_>; 3],
        written: &LookupWritten,
        findings: &mut Findings<'_>,
    ) -> Option<LookupSource> {
        let at = |key: &'static str| [path[0], path[1], path[2], key.into()];
        match (&written.table, &written.file) {
            (None, None) => {
                let help =
                    "write `table = \"NAME\"`, or `file = \"NAME.csv\"` for a file in mappings/lookups";
                findings.value(path, "it is not said where to look", Some(help));
                None
            }
            (Some(_), Some(_)) => {
                findings.value(&at("file"), "there are both a table and a file", Some("keep one of the two"));
                None
            }
            (Some(table), None) => {
                if let Some(name) = &written.connection
                    && let Some((message, help)) = target::unknown_connection(name, self.connections)
                {
                    findings.value(&at("connection"), &message, Some(&help));
                }
                let dialect = match written.connection.as_deref().or(self.own) {
                    Some(name) => self.connections.get(name).map(Connection::dialect),
                    None => Some(Dialect::Sqlite),
                };
                // Of a connection that is not there nobody knows what names it takes.
                if let Some(Err((message, help))) =
                    dialect.map(|dialect| names::check_table(Named::Table, table, dialect))
                {
                    findings.value(&at("table"), &message, help);
                }
                let connection = written.connection.as_deref().or(self.own).map(str::to_owned);
                Some(LookupSource::Table { connection, table: table.clone() })
            }
            (None, Some(file)) => {
                if written.connection.is_some() {
                    let help = "leave it out: the file lies in mappings/lookups";
                    findings.key(&at("connection"), "a file has no connection", Some(help));
                }
                if file.is_empty() || FileName::new(file.as_bytes()).safe() != *file {
                    let help =
                        "write the name of a file in mappings/lookups, without folders: `countries.csv`";
                    findings.value(&at("file"), "this is no plain file name", Some(help));
                }
                Some(LookupSource::File(file.clone()))
            }
        }
    }
}

/// Each column of the key with the mapping's column that is looked up in it; none: the column's own.
fn keys(
    path: &[Step<'_>; 3],
    name: &str,
    written: &LookupKeyWritten,
    columns: &IndexMap<String, ColumnWritten>,
    findings: &mut Findings<'_>,
) -> Vec<(String, Option<usize>)> {
    let several = match written {
        LookupKeyWritten::One(key) => return vec![(key.clone(), None)],
        LookupKeyWritten::Several(several) => several,
    };
    let at = [path[0], path[1], path[2], "key".into()];
    if !several.values().any(|of| of == name) {
        let help = format!("name it, as in `key = {{ code = \"{name}\" }}`, or leave `lookup` out");
        findings.value(&at, &format!("`{name}` itself is not looked up"), Some(&help));
    }
    let mut found = Vec::with_capacity(several.len());
    for (key, of) in several {
        match columns.get_index_of(of) {
            Some(_) if of == name => found.push((key.clone(), None)),
            Some(index) => found.push((key.clone(), Some(index))),
            None => {
                let known: Vec<&str> = columns.keys().map(String::as_str).collect();
                let message = format!("there is no column `{of}` under `[columns]`");
                let help = expect::key_suggestion_for(of, &known);
                findings.value(&[at[0], at[1], at[2], at[3], key.as_str().into()], &message, help.as_deref());
            }
        }
    }
    found
}
