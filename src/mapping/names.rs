//! Names of tables and columns that a mapping may use.

use crate::model::printable;

/// The longest name in characters; some databases allow fewer and say so themselves.
const MAX_CHARACTERS: usize = 128;
/// Tables and columns that begin so are the program's own.
const OWN_PREFIX: &str = "_wharf";
/// PostgreSQL cuts what is longer off (NAMEDATALEN).
const POSTGRES_BYTES: usize = 63;
/// Tables that begin so are SQLite's own.
const SQLITE_PREFIX: &str = "sqlite_";

/// What a name is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// A table that rows are loaded into.
    Table,
    /// A column of it.
    Column,
    /// A check.
    Check,
    /// The table that remembers loads.
    LoadsTable,
}

/// Whose rules the names of tables follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite's: a name is a name.
    Sqlite,
    /// PostgreSQL's: a schema may stand before it.
    Postgres,
}

/// What is wrong with a name, and what to do.
pub type NameProblem = (String, Option<&'static str>);

/// Checks a name. It is quoted wherever it is used, so letters of all languages, spaces and SQL's words are fine.
///
/// # Errors
/// What is wrong with it.
pub fn check(named: Named, name: &str) -> Result<(), NameProblem> {
    let begins =
        |prefix: &str| name.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
    if name.trim().is_empty() {
        return Err(("this name is empty".to_owned(), None));
    }
    if name.chars().count() > MAX_CHARACTERS {
        return Err((format!("this name has more than {MAX_CHARACTERS} characters"), None));
    }
    if !name.chars().all(printable::is_plain) {
        return Err(("this name holds a character that cannot be seen".to_owned(), None));
    }
    if name.trim() != name {
        return Err(("this name begins or ends with white space".to_owned(), None));
    }
    if named != Named::LoadsTable && begins(OWN_PREFIX) {
        return Err((
            format!("names that begin with `{OWN_PREFIX}` are reserved"),
            Some("choose another name"),
        ));
    }
    Ok(())
}

/// Checks the name of a table in a database of this dialect.
///
/// # Errors
/// What is wrong with it.
pub fn check_table(named: Named, name: &str, dialect: Dialect) -> Result<(), NameProblem> {
    match dialect {
        Dialect::Sqlite => {
            check(named, name)?;
            if name.contains('.') {
                let help = "name the table alone; a database of its own is a connection";
                return Err(("SQLite has no schemas: a table's name has no `.`".to_owned(), Some(help)));
            }
            if name.get(..SQLITE_PREFIX.len()).is_some_and(|head| head.eq_ignore_ascii_case(SQLITE_PREFIX)) {
                return Err((
                    format!("tables that begin with `{SQLITE_PREFIX}` are SQLite's own"),
                    Some("choose another name"),
                ));
            }
            Ok(())
        }
        Dialect::Postgres => {
            let (schema, table) =
                name.split_once('.').map_or((None, name), |(schema, table)| (Some(schema), table));
            check(named, table)?;
            schema.map_or(Ok(()), |schema| check(Named::LoadsTable, schema))?;
            let help = "write `table` or `schema.table`";
            if table.contains('.') {
                return Err(("this name has more than one `.`".to_owned(), Some(help)));
            }
            if [schema.unwrap_or_default(), table].iter().any(|part| part.len() > POSTGRES_BYTES) {
                let message = format!("PostgreSQL keeps names of {POSTGRES_BYTES} bytes at most");
                return Err((message, Some("choose a shorter name")));
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_of_all_languages_are_taken() {
        for name in ["orders", "Order No", "Größe", "select", "注文", "a-b", &"x".repeat(128)] {
            assert_eq!(check_table(Named::Table, name, Dialect::Sqlite), Ok(()), "{name}");
        }
        assert_eq!(check(Named::Column, "net.total"), Ok(()));
        assert_eq!(check_table(Named::LoadsTable, "_wharf_loads", Dialect::Sqlite), Ok(()));
        for name in ["orders", "sales.orders", "Sales Dept.Größe", "sqlite_x"] {
            assert_eq!(check_table(Named::Table, name, Dialect::Postgres), Ok(()), "{name}");
        }
    }

    #[test]
    fn names_that_cannot_be_used_or_belong_to_others_are_refused() {
        for name in
            ["", " ", "a\0b", "a\nb", " a", "main.orders", "SQLite_x", "_Wharf_loads", &"x".repeat(129)]
        {
            assert!(check_table(Named::Table, name, Dialect::Sqlite).is_err(), "{name}");
        }
        assert!(check(Named::Column, "_wharf_x").is_err());
        assert!(check_table(Named::LoadsTable, "a.b", Dialect::Sqlite).is_err());
        for name in ["a.b.c", ".a", "a.", "a. b", "_wharf_x", "s._wharf_x", &"x".repeat(64), "a\0.b"] {
            assert!(check_table(Named::Table, name, Dialect::Postgres).is_err(), "{name}");
        }
    }
}
