//! Names of tables as mappings write them: `table`, found by the search path, or `schema.table`.

use crate::targets::identifier::quoted;

/// A name as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TableName<'a> {
    /// The schema, where one is named.
    pub schema: Option<&'a str>,
    /// The table.
    pub table: &'a str,
}

impl<'a> TableName<'a> {
    /// Of `schema.table` or `table`.
    pub(super) fn of(written: &'a str) -> Self {
        match written.split_once('.') {
            Some((schema, table)) => Self { schema: Some(schema), table },
            None => Self { schema: None, table: written },
        }
    }

    /// As an identifier.
    pub(super) fn quoted(self) -> String {
        self.schema
            .map_or_else(|| quoted(self.table), |schema| format!("{}.{}", quoted(schema), quoted(self.table)))
    }
}
