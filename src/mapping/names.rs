//! Names of tables and columns that a mapping may use.

use crate::model::printable;

/// The longest name in characters; some databases allow fewer and say so themselves.
const MAX_CHARACTERS: usize = 128;
/// Tables and columns that begin so are the program's own.
const OWN_PREFIX: &str = "_wharf";
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

/// What is wrong with a name, and what to do.
pub type NameProblem = (String, Option<&'static str>);

/// Checks a name. It is quoted wherever it is used, so letters of all languages, spaces and SQL's words are fine.
///
/// # Errors
/// What is wrong with it.
pub fn check(named: Named, name: &str) -> Result<(), NameProblem> {
    let begins =
        |prefix: &str| name.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
    let is_table = matches!(named, Named::Table | Named::LoadsTable);
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
    if is_table && name.contains('.') {
        let help = "name the table alone; a database of its own is a connection";
        return Err(("SQLite has no schemas: a table's name has no `.`".to_owned(), Some(help)));
    }
    if is_table && begins(SQLITE_PREFIX) {
        return Err((
            format!("tables that begin with `{SQLITE_PREFIX}` are SQLite's own"),
            Some("choose another name"),
        ));
    }
    if named != Named::LoadsTable && begins(OWN_PREFIX) {
        return Err((
            format!("names that begin with `{OWN_PREFIX}` are reserved"),
            Some("choose another name"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_of_all_languages_are_taken() {
        for name in ["orders", "Order No", "Größe", "select", "注文", "a-b", &"x".repeat(128)] {
            assert_eq!(check(Named::Table, name), Ok(()), "{name}");
        }
        assert_eq!(check(Named::Column, "net.total"), Ok(()));
        assert_eq!(check(Named::LoadsTable, "_wharf_loads"), Ok(()));
    }

    #[test]
    fn names_that_cannot_be_used_or_belong_to_others_are_refused() {
        for name in
            ["", " ", "a\0b", "a\nb", " a", "main.orders", "SQLite_x", "_Wharf_loads", &"x".repeat(129)]
        {
            assert!(check(Named::Table, name).is_err(), "{name}");
        }
        assert!(check(Named::Column, "_wharf_x").is_err());
        assert!(check(Named::LoadsTable, "a.b").is_err());
    }
}
