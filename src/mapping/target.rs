//! `[target]`: the table, its key, and the connection it is reached by.

use indexmap::IndexMap;

use super::{
    check::Checked,
    columns::Compiled,
    connection::Connection,
    document::Step,
    expect,
    findings::Findings,
    names::{self, Named},
    written::{MarkType, TargetWritten, Texts, VanishedWord, VanishedWritten},
};
use crate::{
    model::value::ValueType,
    targets::{Mirror, Mode, TableSpec, Vanished},
};

/// Checks what can be checked without the columns: connection and table.
pub fn check(
    written: &TargetWritten,
    connections: &IndexMap<String, Connection>,
    findings: &mut Findings<'_>,
) {
    let mut database = None;
    if let Some(name) = &written.connection {
        database = connections.get(name);
        if let Some((message, help)) = unknown_connection(name, connections) {
            findings.value(&["target".into(), "connection".into()], &message, Some(&help));
        }
    }
    let Some(table) = &written.table else { return };
    let path = ["target".into(), "table".into()];
    // Of a connection that is not there nobody knows what names it takes.
    if written.connection.is_some() && database.is_none() {
        return;
    }
    let site = Connection::sqlite("");
    let database = database.unwrap_or(&site);
    if let Err((message, help)) = names::check_table(Named::Table, table, database.dialect()) {
        findings.value(&path, &message, help);
    } else if database.is_loads_table(table) {
        findings.value(&path, "this is the table in which the connection remembers its loads", None);
    }
}

/// What is said of the name of a connection that is not there, and what to do; none when it is there.
pub fn unknown_connection(
    name: &str,
    connections: &IndexMap<String, Connection>,
) -> Option<(String, String)> {
    if connections.contains_key(name) {
        return None;
    }
    let known: Vec<&str> = connections.keys().map(String::as_str).collect();
    let help = if known.is_empty() {
        format!("add `[connections.{name}]` to wharf.toml, or leave `connection` out")
    } else {
        expect::suggestion(name, &known)
    };
    Some((format!("there is no connection `{name}` in wharf.toml"), help))
}

/// The columns that the key names: each must exist, and once is enough. `columns` are the names of all columns; when
/// some may be missing because of other mistakes, unknown names are let pass.
pub fn check_key(key: &Texts, columns: &[&str], checked: &Checked, findings: &mut Findings<'_>) {
    let names = key.as_slice();
    for (index, name) in names.iter().enumerate() {
        let path: &[Step<'_>] = match key {
            Texts::One(_) => &["target".into(), "key".into()],
            Texts::Many(_) => &["target".into(), "key".into(), index.into()],
        };
        if names.iter().take(index).any(|earlier| earlier == name) {
            findings.value(path, &format!("`{name}` stands in the key already"), None);
        } else if !columns.contains(&name.as_str()) && checked.is_present(&["columns"]) {
            let message = format!("there is no column `{name}` under `[columns]`");
            findings.value(path, &message, expect::key_suggestion_for(name, columns).as_deref());
        }
    }
}

/// The table that the target is asked for.
pub fn spec(written: &TargetWritten, columns: &[Compiled]) -> Option<TableSpec> {
    let names = written.key.as_ref()?.as_slice();
    let position = |name: &String| columns.iter().position(|column| column.column.name == *name);
    Some(TableSpec {
        commit: written.commit,
        table: written.table.clone()?,
        columns: columns.iter().map(|column| column.target.clone()).collect(),
        key: names.iter().map(position).collect::<Option<_>>()?,
        mode: written.mode,
        create: written.create,
        newer: match &written.newer {
            Some(newer) => Some(position(newer)?),
            None => None,
        },
        mirror: match (&written.vanished, written.mode) {
            (Some(vanished), Mode::Mirror) => Some(Mirror {
                vanished: match vanished {
                    VanishedWritten::Word(VanishedWord::Delete) => Vanished::Delete,
                    VanishedWritten::Mark(mark) => Vanished::Mark {
                        column: mark.mark.clone()?,
                        value_type: match mark.mark_type {
                            MarkType::Timestamp => ValueType::Timestamp,
                            MarkType::Boolean => ValueType::Boolean,
                        },
                    },
                },
                scope: written
                    .scope
                    .as_ref()
                    .map_or(&[][..], Texts::as_slice)
                    .iter()
                    .map(position)
                    .collect::<Option<_>>()?,
            }),
            _ => None,
        },
    })
}
