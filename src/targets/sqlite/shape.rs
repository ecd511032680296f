//! A table as SQLite knows it: what has to be known before rows are written to it. Reads only.

use rusqlite::{Connection, OptionalExtension, Result};

/// What a declared type makes of the values that are stored (<https://sqlite.org/datatype3.html>, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Affinity {
    /// Numbers become text.
    Text,
    /// Text that looks like a number becomes one.
    Numeric,
    /// Like `Numeric`.
    Integer,
    /// Like `Numeric`, and whole numbers become floats.
    Real,
    /// Nothing changes.
    Blob,
}

/// What kind of thing bears the table's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A table.
    Table,
    /// A view.
    View,
    /// A virtual table or a part of one.
    Virtual,
}

/// One column of the table.
#[derive(Clone, Debug)]
pub(super) struct StoredColumn {
    /// Its name as the table writes it.
    pub name: String,
    /// Its type as declared.
    pub declared: String,
    /// What that type does.
    pub affinity: Affinity,
    /// NULL is refused. False for the alias of the rowid, which takes NULL as "give me a number".
    pub not_null: bool,
    /// It has a default, or it is the alias of the rowid.
    pub has_default: bool,
    /// It is computed from others.
    pub generated: bool,
    /// How its texts compare.
    pub collation: String,
}

/// A unique index over whole columns and all rows.
#[derive(Clone, Debug)]
pub(super) struct Unique {
    /// Its name; none for the rowid.
    pub index: Option<String>,
    /// Its columns (indices into [`Shape::columns`]) in its order.
    pub columns: Vec<usize>,
    /// All its columns run in one direction.
    pub one_direction: bool,
    /// All its texts compare bytewise.
    pub binary: bool,
}

/// A table as it is.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// Its name as the database writes it.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// It is STRICT: values of another type are refused rather than stored.
    pub strict: bool,
    /// Its columns.
    pub columns: Vec<StoredColumn>,
    /// The name by which the number that SQLite gives each row can be asked for; none where there is none.
    pub rowid: Option<&'static str>,
    /// The column that is another name of that number.
    pub alias: Option<usize>,
    /// Its unique indices.
    pub uniques: Vec<Unique>,
    /// Writing to it can run a trigger.
    pub triggers: bool,
    /// A row refused on the way can leave traces that its statement does not undo, as FAIL and IGNORE have it.
    pub leaves_traces: bool,
    /// Rows of it refer to other rows of it.
    pub refers_to_itself: bool,
    /// Its definition has an ON CONFLICT clause.
    pub on_conflict: bool,
    /// Texts are stored as UTF-8, so that they sort bytewise as ours do.
    pub utf8: bool,
}

impl Shape {
    /// The column of this name; SQLite takes no account of ASCII case.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// The unique index on exactly these columns, in whatever order it has them; one that can be walked in order
    /// before one that cannot.
    pub(super) fn unique_on(&self, columns: &[usize]) -> Option<&Unique> {
        let mut wanted = columns.to_vec();
        wanted.sort_unstable();
        let exact = |unique: &&Unique| {
            let mut have = unique.columns.clone();
            have.sort_unstable();
            have == wanted
        };
        self.uniques.iter().filter(exact).max_by_key(|unique| (unique.binary, unique.one_direction))
    }
}

/// The names of all tables.
pub(super) fn table_names(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// Reads the shape of `table`; none when there is nothing of that name.
pub(super) fn read(connection: &Connection, table: &str) -> Result<Option<Shape>> {
    let found = connection
        .query_row(
            "SELECT l.name, l.type, l.strict, coalesce(s.sql, ''), l.wr FROM pragma_table_list l
             LEFT JOIN main.sqlite_schema s ON s.name = l.name AND s.type IN ('table', 'view')
             WHERE l.schema = 'main' AND l.name = ?1 COLLATE NOCASE",
            [table],
            |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, String>(1)?,
                    row.get(2)?,
                    row.get::<_, String>(3)?,
                    row.get::<_, bool>(4)?,
                ))
            },
        )
        .optional()?;
    let Some((name, kind, strict, sql, without_rowid)) = found else { return Ok(None) };
    let mut columns = columns(connection, &name, strict)?;
    let mut uniques = uniques(connection, &name)?;
    let alias = rowid_alias(connection, &name)?;
    if let Some(alias) = alias
        && let Some(column) = columns.get_mut(alias)
    {
        column.not_null = false;
        column.has_default = true;
        uniques.push(Unique { index: None, columns: vec![alias], one_direction: true, binary: true });
    }
    let referring: Vec<String> = connection
        .prepare(
            "SELECT s.name FROM main.sqlite_schema s, pragma_foreign_key_list(s.name) f
             WHERE s.type = 'table' AND f.\"table\" = ?1 COLLATE NOCASE",
        )?
        .query_map([&name], |row| row.get(0))?
        .collect::<Result<_>>()?;
    // A foreign key that points here may pass an update on to other tables, whose triggers then run.
    let triggers = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM main.sqlite_schema
                        WHERE type = 'trigger' AND (?2 OR tbl_name = ?1 COLLATE NOCASE))",
        (&name, !referring.is_empty()),
        |row| row.get(0),
    )?;
    // A trigger may come upon those words in other triggers and in the definitions of other tables.
    let fail_or_ignore: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE sql LIKE '%fail%' OR sql LIKE '%ignore%')",
        [],
        |row| row.get(0),
    )?;
    let encoding: String = connection.query_row("PRAGMA encoding", [], |row| row.get(0))?;
    Ok(Some(Shape {
        kind: match kind.as_str() {
            "table" => Kind::Table,
            "view" => Kind::View,
            _ => Kind::Virtual,
        },
        strict,
        rowid: if without_rowid { None } else { rowid(&columns) },
        alias,
        columns,
        uniques,
        triggers,
        leaves_traces: triggers && fail_or_ignore,
        refers_to_itself: referring.iter().any(|other| other.eq_ignore_ascii_case(&name)),
        on_conflict: says_on_conflict(&sql),
        utf8: encoding == "UTF-8",
        name,
    }))
}

/// A name of the row's number that no column has taken.
fn rowid(columns: &[StoredColumn]) -> Option<&'static str> {
    let taken = |name: &&str| columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    ["rowid", "_rowid_", "oid"].into_iter().find(|name| !taken(name))
}

fn columns(connection: &Connection, table: &str, strict: bool) -> Result<Vec<StoredColumn>> {
    let mut statement = connection.prepare(
        "SELECT name, type, \"notnull\", dflt_value IS NOT NULL, hidden FROM pragma_table_xinfo(?1) ORDER BY cid",
    )?;
    let mut columns: Vec<StoredColumn> = statement
        .query_map([table], |row| {
            let declared: String = row.get(1)?;
            Ok(StoredColumn {
                name: row.get(0)?,
                affinity: affinity(&declared, strict),
                declared,
                not_null: row.get(2)?,
                has_default: row.get(3)?,
                generated: row.get::<_, i64>(4)? != 0,
                collation: String::new(),
            })
        })?
        .collect::<Result<_>>()?;
    for column in &mut columns {
        // A view's columns have no collation to ask for.
        let collation = connection.column_metadata(Some("main"), table, column.name.as_str());
        let collation = collation.ok().and_then(|(_, collation, ..)| collation);
        column.collation =
            collation.map_or_else(|| "BINARY".to_owned(), |text| text.to_string_lossy().into_owned());
    }
    Ok(columns)
}

fn uniques(connection: &Connection, table: &str) -> Result<Vec<Unique>> {
    let mut lists = connection
        .prepare("SELECT name FROM pragma_index_list(?1) WHERE \"unique\" AND NOT partial ORDER BY seq")?;
    let mut parts = connection
        .prepare("SELECT cid, \"desc\", coll FROM pragma_index_xinfo(?1) WHERE key ORDER BY seqno")?;
    let names: Vec<String> = lists.query_map([table], |row| row.get(0))?.collect::<Result<_>>()?;
    let mut uniques = Vec::new();
    for name in names {
        let columns: Vec<(i64, bool, Option<String>)> = parts
            .query_map([&name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<Result<_>>()?;
        // A negative number stands for an expression.
        let Ok(indices) = columns.iter().map(|(cid, ..)| usize::try_from(*cid)).collect() else { continue };
        uniques.push(Unique {
            index: Some(name),
            columns: indices,
            one_direction: columns.windows(2).all(|pair| matches!(pair, [a, b] if a.1 == b.1)),
            binary: columns.iter().all(|(.., coll)| coll.as_deref().is_none_or(is_binary)),
        });
    }
    Ok(uniques)
}

/// The column that is another name of the rowid: a primary key of one column declared exactly INTEGER, which then has
/// no index of its own.
fn rowid_alias(connection: &Connection, table: &str) -> Result<Option<usize>> {
    connection
        .query_row(
            "SELECT max(cid) FROM pragma_table_xinfo(?1) WHERE pk > 0
             HAVING count(*) = 1 AND upper(max(type)) = 'INTEGER'
                AND NOT EXISTS (SELECT 1 FROM pragma_index_list(?1) WHERE origin = 'pk')",
            [table],
            |row| row.get::<_, u16>(0).map(usize::from),
        )
        .optional()
}

/// True for the collation that compares bytes.
pub(super) fn is_binary(collation: &str) -> bool {
    collation.eq_ignore_ascii_case("BINARY")
}

fn affinity(declared: &str, strict: bool) -> Affinity {
    let declared = declared.to_ascii_uppercase();
    let has = |part: &str| declared.contains(part);
    if has("INT") {
        Affinity::Integer
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        Affinity::Text
    } else if has("BLOB") || declared.is_empty() || (strict && declared == "ANY") {
        Affinity::Blob
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        Affinity::Real
    } else {
        Affinity::Numeric
    }
}

/// Looks for the words only: that a comment may hold them too costs no more than an unneeded refusal of a table that
/// has triggers.
fn says_on_conflict(sql: &str) -> bool {
    let words: Vec<&str> =
        sql.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|w| !w.is_empty()).collect();
    words.windows(2).any(
        |pair| matches!(pair, [a, b] if a.eq_ignore_ascii_case("ON") && b.eq_ignore_ascii_case("CONFLICT")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(sql: &str) -> Shape {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(sql).unwrap();
        read(&connection, "T").unwrap().unwrap()
    }

    #[test]
    fn a_declared_type_has_the_affinity_that_sqlite_gives_it() {
        let connection = Connection::open_in_memory().unwrap();
        for declared in [
            "TEXT",
            "VARCHAR(10)",
            "CLOB",
            "INT",
            "BIGINT",
            "POINT",
            "FLOATING POINT",
            "REAL",
            "DOUBLE",
            "DATE",
            "DECIMAL(10,2)",
            "BOOLEAN",
            "BLOB",
            "",
            "ANY",
            "CHARINT",
            "STRING",
        ] {
            connection
                .execute_batch(&format!("CREATE TABLE t (c {declared}); INSERT INTO t VALUES ('1.0'), (2)"))
                .unwrap();
            let kinds: String = connection
                .query_row(
                    "SELECT group_concat(typeof(c)) FROM (SELECT c FROM t ORDER BY rowid)",
                    [],
                    |row| row.get(0),
                )
                .unwrap();
            let expected = match affinity(declared, false) {
                Affinity::Text => "text,text",
                Affinity::Integer | Affinity::Numeric => "integer,integer",
                Affinity::Real => "real,real",
                Affinity::Blob => "text,integer",
            };
            assert_eq!(kinds, expected, "{declared}");
            connection.execute_batch("DROP TABLE t").unwrap();
        }
        assert_eq!(affinity("ANY", true), Affinity::Blob);
    }

    #[test]
    fn only_the_alias_of_the_rowid_needs_no_value() {
        let alias = shape("CREATE TABLE t (id INTEGER PRIMARY KEY NOT NULL, n TEXT)");
        assert!(!alias.columns[0].not_null && alias.columns[0].has_default);
        assert!(alias.unique_on(&[0]).unwrap().index.is_none());
        for sql in [
            "CREATE TABLE t (id INTEGER PRIMARY KEY DESC NOT NULL)",
            "CREATE TABLE t (id INT PRIMARY KEY NOT NULL)",
            "CREATE TABLE t (id INTEGER PRIMARY KEY NOT NULL) WITHOUT ROWID",
        ] {
            let other = shape(sql);
            assert!(other.columns[0].not_null && !other.columns[0].has_default, "{sql}");
            assert!(other.unique_on(&[0]).unwrap().index.is_some(), "{sql}");
        }
    }

    #[test]
    fn partial_and_expression_indices_are_no_unique_indices() {
        let none = shape(
            "CREATE TABLE t (a TEXT, b TEXT); CREATE UNIQUE INDEX p ON t (a) WHERE b = 'x';
             CREATE UNIQUE INDEX e ON t (lower(a)); CREATE INDEX n ON t (a)",
        );
        assert!(none.unique_on(&[0]).is_none());
        let other_order = shape("CREATE TABLE t (a TEXT, b TEXT, PRIMARY KEY (b, a))");
        assert_eq!(other_order.unique_on(&[0, 1]).unwrap().columns, [1, 0]);
        assert!(other_order.unique_on(&[0]).is_none());
    }

    #[test]
    fn triggers_that_a_foreign_key_can_reach_count() {
        let own = "CREATE TABLE t (a TEXT PRIMARY KEY); CREATE TABLE o (a TEXT REFERENCES t (a) ON UPDATE CASCADE);";
        let trigger = "CREATE TRIGGER g AFTER UPDATE ON o BEGIN SELECT 1; END;";
        assert!(!shape(own).triggers);
        assert!(shape(&format!("{own}{trigger}")).triggers);
        assert!(!shape(&format!("CREATE TABLE t (a TEXT); CREATE TABLE o (a TEXT); {trigger}")).triggers);
        assert!(shape("CREATE TABLE t (a INTEGER PRIMARY KEY, b REFERENCES t (a))").refers_to_itself);
    }

    #[test]
    fn an_on_conflict_clause_is_seen() {
        assert!(shape("CREATE TABLE t (a TEXT UNIQUE ON\n conflict REPLACE)").on_conflict);
        assert!(!shape("CREATE TABLE t (a TEXT, conflict TEXT)").on_conflict);
    }
}
