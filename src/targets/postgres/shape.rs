//! A table as PostgreSQL's catalogue knows it: what has to be known before rows are written to it. Reads only, and works for
//! tables that this user may not touch.

use tokio_postgres::{Row, types::Type};

use super::{errors::Failure, name::TableName, session::Session};
use crate::targets::identifier::quoted;

/// What kind of thing bears the table's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A table, partitioned or not.
    Table,
    /// A view.
    View,
    /// A table of another server.
    Foreign,
    /// Nothing that rows can be written to.
    Other,
}

/// What may be done with a table or a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Privileges {
    /// SELECT.
    pub select: bool,
    /// INSERT.
    pub insert: bool,
    /// UPDATE.
    pub update: bool,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredColumn {
    /// Its name.
    pub name: String,
    /// Its number.
    pub number: i16,
    /// Its type as people write it.
    pub declared: String,
    /// What stands behind a domain, as it is written; else as `declared`.
    pub base: String,
    /// The name of that type in the catalogue, of the server's own types and of `citext`; empty for others.
    pub type_name: String,
    /// It is an enum.
    pub is_enum: bool,
    /// The type's modifier: length, precision and scale; -1 for none.
    pub modifier: i32,
    /// NULL is refused.
    pub not_null: bool,
    /// It has a default, or is numbered.
    pub has_default: bool,
    /// Its default is drawn from a sequence.
    pub is_numbered: bool,
    /// GENERATED ALWAYS AS IDENTITY.
    pub always_identity: bool,
    /// It is computed from others.
    pub is_generated: bool,
    /// Texts that are not the same bytes can be equal in it.
    pub folds: bool,
    /// What this user may do with it.
    pub may: Privileges,
    /// Of a view: it can be set.
    pub is_updatable: bool,
}

/// A unique index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unique {
    /// Its name, and those of its parts on the partitions.
    pub names: Vec<String>,
    /// Its columns, by number.
    pub columns: Vec<i16>,
    /// It holds for whole columns and all rows, and at every moment.
    pub is_sound: bool,
}

/// A constraint that can be checked later than by the statement that breaks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deferrable {
    /// Its name with its schema, quoted.
    pub name: String,
    /// A foreign key that refers to the table itself.
    pub is_to_itself: bool,
}

/// A table as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its columns.
    pub columns: Vec<StoredColumn>,
    /// Its unique indices.
    pub uniques: Vec<Unique>,
    /// Its constraints that are checked later.
    pub deferrable: Vec<Deferrable>,
    /// Rows of it refer to rows of it.
    pub refers_to_itself: bool,
    /// Triggers can change a row, or pass it over, before it is written.
    pub has_before_triggers: bool,
    /// Rules write something else instead.
    pub has_rules: bool,
    /// Policies say which rows this user sees and writes.
    pub has_policies: bool,
    /// Of a view: rows can be inserted and updated.
    pub is_writable: bool,
    /// Of a view: rows can be deleted.
    pub is_deletable: bool,
    /// This user may use its schema.
    pub may_use_schema: bool,
    /// This user may delete rows.
    pub may_delete: bool,
}

impl Shape {
    /// The column of this name.
    pub(super) fn column(&self, name: &str) -> Option<&StoredColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The table as an identifier.
    pub(super) fn quoted(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }

    /// The unique indices on exactly these columns.
    pub(super) fn uniques_on<'s>(&'s self, columns: &[i16]) -> impl Iterator<Item = &'s Unique> {
        let mut wanted = columns.to_vec();
        wanted.sort_unstable();
        self.uniques.iter().filter(move |unique| {
            let mut have = unique.columns.clone();
            have.sort_unstable();
            have == wanted
        })
    }
}

const RELATION: &str = "
    SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, row_security_active(c.oid),
           has_schema_privilege(n.oid, 'USAGE'), pg_relation_is_updatable(c.oid, true),
           EXISTS (SELECT FROM pg_catalog.pg_rewrite r
                   WHERE r.ev_class = c.oid AND r.is_instead AND r.ev_type IN ('2', '3')),
           EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal
                   AND t.tgenabled IN ('O', 'A') AND t.tgtype & 3 = 3 AND t.tgtype & 20 <> 0),
           has_table_privilege(c.oid, 'DELETE')
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = $1 AND (n.nspname = $2 OR $2 IS NULL AND pg_catalog.pg_table_is_visible(c.oid))
      AND c.relkind <> 'i' AND c.relkind <> 'I' AND n.nspname <> 'pg_toast'
      AND c.relpersistence <> 't'";

/// Domains are followed down to the type behind them; the modifier is that of the innermost one that has any.
const COLUMNS: &str = "
    WITH RECURSIVE types (attnum, oid, typtype, below, modifier, not_null) AS (
      SELECT a.attnum, t.oid, t.typtype, t.typbasetype,
             CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END, a.attnotnull OR t.typnotnull
      FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
      WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
      UNION ALL
      SELECT d.attnum, t.oid, t.typtype, t.typbasetype,
             CASE WHEN d.modifier = -1 AND t.typtype = 'd' THEN t.typtypmod ELSE d.modifier END,
             d.not_null OR t.typnotnull
      FROM types d JOIN pg_catalog.pg_type t ON t.oid = d.below WHERE d.typtype = 'd')
    SELECT a.attname::text, a.attnum, format_type(a.atttypid, a.atttypmod), format_type(b.oid, b.modifier),
           CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace OR t.typname = 'citext' THEN t.typname::text
                ELSE '' END,
           b.typtype = 'e', b.modifier, b.not_null,
           a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL,
           a.attidentity <> '' OR coalesce(pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%', false),
           a.attidentity = 'a', a.attgenerated <> '',
           t.typname = 'citext' OR coalesce(NOT k.collisdeterministic, false),
           has_column_privilege(a.attrelid, a.attnum, 'SELECT'),
           has_column_privilege(a.attrelid, a.attnum, 'INSERT'),
           has_column_privilege(a.attrelid, a.attnum, 'UPDATE'),
           pg_column_is_updatable(a.attrelid, a.attnum, false)
             OR EXISTS (SELECT FROM pg_catalog.pg_trigger i WHERE i.tgrelid = a.attrelid AND i.tgtype & 68 = 68)
    FROM pg_catalog.pg_attribute a
    JOIN types b ON b.attnum = a.attnum AND b.typtype <> 'd'
    JOIN pg_catalog.pg_type t ON t.oid = b.oid
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    LEFT JOIN pg_catalog.pg_collation k ON k.oid = a.attcollation
    WHERE a.attrelid = $1 ORDER BY a.attnum";

const UNIQUES: &str = "
    WITH RECURSIVE parts (root, oid) AS (
      SELECT i.indexrelid, i.indexrelid FROM pg_catalog.pg_index i WHERE i.indrelid = $1 AND i.indisunique
      UNION ALL
      SELECT p.root, h.inhrelid FROM parts p JOIN pg_catalog.pg_inherits h ON h.inhparent = p.oid)
    SELECT (SELECT array_agg(c.relname::text ORDER BY c.oid) FROM parts p JOIN pg_catalog.pg_class c ON c.oid = p.oid
            WHERE p.root = i.indexrelid),
           ARRAY(SELECT k.number FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (number, place)
                 WHERE k.place <= i.indnkeyatts ORDER BY k.place),
           i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
    FROM pg_catalog.pg_index i WHERE i.indrelid = $1 AND i.indisunique ORDER BY i.indexrelid";

const CONSTRAINTS: &str = "
    SELECT quote_ident(n.nspname) || '.' || quote_ident(k.conname), k.condeferrable,
           k.contype = 'f' AND k.confrelid = k.conrelid
    FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_namespace n ON n.oid = k.connamespace
    WHERE k.conrelid = $1 AND (k.condeferrable OR k.contype = 'f') ORDER BY k.oid";

/// Reads the shape of a table; none when there is nothing of that name.
pub(super) fn read(session: &Session, name: TableName<'_>) -> Result<Option<Shape>, Failure> {
    let found = session.rows(RELATION, &[(&name.table, Type::TEXT), (&name.schema, Type::TEXT)])?;
    let Some(row) = found.first() else { return Ok(None) };
    let oid: u32 = row.try_get(0)?;
    let of = [(&oid as &(dyn tokio_postgres::types::ToSql + Sync), Type::OID)];
    let columns = session.rows(COLUMNS, &of)?;
    let uniques = session.rows(UNIQUES, &of)?;
    let constraints = session.rows(CONSTRAINTS, &of)?;
    let writable: i32 = row.try_get(6)?;
    let mut shape = Shape {
        schema: row.try_get(1)?,
        name: row.try_get(2)?,
        kind: match row.try_get::<_, &str>(3)? {
            "r" | "p" => Kind::Table,
            "v" => Kind::View,
            "f" => Kind::Foreign,
            _ => Kind::Other,
        },
        has_policies: row.try_get(4)?,
        may_use_schema: row.try_get(5)?,
        may_delete: row.try_get(9)?,
        // Bits of the server's CmdType: UPDATE is 2, INSERT 3, DELETE 4.
        is_writable: writable & 0b1100 == 0b1100,
        is_deletable: writable & 0b1_0000 != 0,
        has_rules: row.try_get(7)?,
        has_before_triggers: row.try_get(8)?,
        columns: columns.iter().map(column).collect::<Result<_, _>>()?,
        uniques: uniques.iter().map(unique).collect::<Result<_, _>>()?,
        deferrable: Vec::new(),
        refers_to_itself: false,
    };
    for constraint in &constraints {
        let is_to_itself = constraint.try_get(2)?;
        shape.refers_to_itself |= is_to_itself;
        if constraint.try_get(1)? {
            shape.deferrable.push(Deferrable { name: constraint.try_get(0)?, is_to_itself });
        }
    }
    Ok(Some(shape))
}

fn column(row: &Row) -> Result<StoredColumn, tokio_postgres::Error> {
    Ok(StoredColumn {
        name: row.try_get(0)?,
        number: row.try_get(1)?,
        declared: row.try_get(2)?,
        base: row.try_get(3)?,
        type_name: row.try_get(4)?,
        is_enum: row.try_get(5)?,
        modifier: row.try_get(6)?,
        not_null: row.try_get(7)?,
        has_default: row.try_get(8)?,
        is_numbered: row.try_get(9)?,
        always_identity: row.try_get(10)?,
        is_generated: row.try_get(11)?,
        folds: row.try_get(12)?,
        may: Privileges { select: row.try_get(13)?, insert: row.try_get(14)?, update: row.try_get(15)? },
        is_updatable: row.try_get(16)?,
    })
}

fn unique(row: &Row) -> Result<Unique, tokio_postgres::Error> {
    Ok(Unique { names: row.try_get(0)?, columns: row.try_get(1)?, is_sound: row.try_get(2)? })
}

/// The tables that this user can see by name.
pub(super) fn table_names(session: &Session, schema: Option<&str>) -> Result<Vec<String>, Failure> {
    let rows = session.rows(
        "SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'v') AND (n.nspname = $1 OR $1 IS NULL AND pg_table_is_visible(c.oid)
         AND n.nspname NOT IN ('pg_catalog', 'information_schema')) LIMIT 10000",
        &[(&schema, Type::TEXT)],
    )?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
