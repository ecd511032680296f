//! How the rows of one load are found and written: the mapping's columns that the file holds, in the table's names.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use rusqlite::Connection;

use super::{
    cells::Cells,
    errors::Refusals,
    load::contract,
    lookup::{Compared, Finder, Terms},
    mirror::{self, Identity},
    shape::{Shape, Unique},
    sql::{self, OnConflict},
    write::Statements,
};
use crate::{
    model::{Batch, printable, value::ValueType},
    targets::{Mode, OnNull, TableSpec, TargetColumn, TargetError, WriteWhen},
};

/// Rows of one INSERT. Of 1, 4, 8, 16 and 32 the quickest: a million rows of ten columns take 1.14 s of processor time
/// in eights, 1.51 s one by one, 1.35 s in thirty-twos.
const ROWS_A_STATEMENT: usize = 8;

/// SQLite takes no more parameters in a statement (SQLITE_MAX_VARIABLE_NUMBER).
const MOST_PARAMETERS: usize = 32_766;

/// What rows are looked up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be written.
    Load,
    /// To say what a load would do.
    Comparison,
    /// To say which rows there are: the batches have the key's columns only.
    Presence,
}

/// What is known of a table that fits before it is read.
pub(super) struct Known<'a> {
    /// Its shape.
    pub shape: &'a Shape,
    /// It has no row.
    pub empty: bool,
    /// In mode mirror, by what a row is known.
    pub identity: Option<Identity>,
}

impl<'a> Known<'a> {
    /// Looks at the table of this shape.
    pub(super) fn look(
        connection: &Connection,
        spec: &TableSpec,
        shape: &'a Shape,
    ) -> rusqlite::Result<Self> {
        Ok(Self {
            empty: sql::is_empty(connection, &shape.name)?,
            identity: Identity::of(connection, spec, shape)?,
            shape,
        })
    }
}

/// What does not change from batch to batch.
pub(super) struct Plan {
    /// The columns of the batches.
    pub schema: SchemaRef,
    /// Their types.
    pub types: Vec<ValueType>,
    /// How rows are found.
    pub finder: Finder,
    /// What of a stored row is looked at.
    pub terms: Terms,
    /// The columns of the batches as the table names them.
    names: Vec<String>,
    /// How rows are written.
    pub statements: Statements,
    /// What SQLite's complaints about rows mean.
    pub refusals: Refusals,
}

/// A column of the batches.
struct Column<'a> {
    spec: &'a TargetColumn,
    /// Its name as the table writes it.
    name: &'a str,
    /// Its place in the table.
    stored: usize,
}

impl Plan {
    /// The plan for batches of `schema` into a table that fits `spec`; a table that is empty holds nothing to look up, and
    /// in mode insert the database itself says which keys it has when it is written to.
    pub(super) fn new(
        spec: &TableSpec,
        known: &Known<'_>,
        schema: SchemaRef,
        purpose: Purpose,
    ) -> Result<Self, TargetError> {
        let shape = known.shape;
        let columns = columns(spec, shape, &schema)?;
        if purpose != Purpose::Presence {
            has_needed(spec, &columns)?;
        }
        let index = key_index(spec, shape)?;
        let key: Vec<usize> = index
            .columns
            .iter()
            .map(|stored| columns.iter().position(|column| column.stored == *stored))
            .collect::<Option<_>>()
            .ok_or_else(|| contract("the file has no key"))?;
        let set: Vec<usize> = (0..columns.len())
            .filter(|at| !key.contains(at))
            .filter(|at| columns.get(*at).is_some_and(|column| column.spec.write == WriteWhen::Always))
            .collect();
        let compared = set
            .iter()
            .filter_map(|at| Some((*at, columns.get(*at)?.spec)))
            .filter(|(_, spec)| spec.compare)
            .map(|(column, spec)| Compared { column, null_keeps: spec.on_null == OnNull::Keep });
        let marks = spec.mirror.as_ref().and_then(mirror::mark_words);
        let newer = spec.newer.filter(|_| purpose != Purpose::Presence);
        let terms = Terms {
            compared: compared.collect(),
            newer: newer.and_then(|column| place(spec, &columns, column)),
            mark: marks.is_some(),
            key,
        };
        let finder = match (spec.mode, purpose) {
            (Mode::Insert, Purpose::Load) => Finder::Nothing,
            _ if known.empty => Finder::Nothing,
            _ => finder(known, index, &columns, &terms, marks.as_ref().map(|(marked, _)| &**marked)),
        };
        let unmark = marks.map(|(_, unmark)| unmark);
        Ok(Self {
            types: columns.iter().map(|column| column.spec.value_type).collect(),
            names: columns.iter().map(|column| column.name.to_owned()).collect(),
            finder,
            statements: statements(known, &columns, terms.key.clone(), set, unmark.as_deref()),
            refusals: refusals(spec, shape, index),
            terms,
            schema,
        })
    }

    /// The schema of batches that have the key's columns only.
    pub(super) fn key_schema(&self) -> SchemaRef {
        let fields = self.schema.fields().iter().enumerate();
        let key = fields.filter(|(at, _)| self.terms.key.contains(at)).map(|(_, field)| Arc::clone(field));
        Arc::new(Schema::new(key.collect::<Vec<_>>()))
    }

    /// The key's columns as the table names them, in the order of its index.
    pub(super) fn key_names(&self) -> Vec<&str> {
        self.terms.key.iter().filter_map(|at| self.names.get(*at)).map(String::as_str).collect()
    }

    /// Where columns of the table, each with its type, stand in the batches.
    pub(super) fn places<'n>(
        &self,
        columns: impl Iterator<Item = (&'n str, ValueType)>,
    ) -> Vec<(usize, ValueType)> {
        let place = |(name, of)| Some((self.names.iter().position(|own| own == name)?, of));
        columns.filter_map(place).collect()
    }

    /// The cells of a batch.
    pub(super) fn cells<'a>(&self, batch: &'a Batch) -> Result<Vec<Cells<'a>>, TargetError> {
        if batch.rows.num_rows() != batch.origins.len() {
            return Err(contract("a batch has rows without an origin"));
        }
        self.arrays(&batch.rows)
    }

    /// The cells of rows.
    pub(super) fn arrays<'a>(&self, rows: &'a RecordBatch) -> Result<Vec<Cells<'a>>, TargetError> {
        let other = || contract("a batch has other columns than the load began with");
        if rows.schema_ref().fields() != self.schema.fields() {
            return Err(other());
        }
        let cells = rows.columns().iter().zip(&self.types).map(|(array, of)| Cells::of(array, *of));
        cells.collect::<Option<_>>().ok_or_else(other)
    }
}

fn columns<'a>(
    spec: &'a TableSpec,
    shape: &'a Shape,
    schema: &SchemaRef,
) -> Result<Vec<Column<'a>>, TargetError> {
    let of = |name: &str| {
        let spec = spec.columns.iter().find(|column| column.name == name)?;
        let stored = shape.column(&spec.name)?;
        Some(Column { spec, name: &shape.columns.get(stored)?.name, stored })
    };
    let columns: Option<Vec<_>> = schema.fields().iter().map(|field| of(field.name())).collect();
    columns.ok_or_else(|| contract("the file has a column that its mapping does not know"))
}

fn key_index<'a>(spec: &TableSpec, shape: &'a Shape) -> Result<&'a Unique, TargetError> {
    let key =
        spec.key.iter().map(|at| shape.column(&spec.columns.get(*at)?.name)).collect::<Option<Vec<_>>>();
    key.and_then(|key| shape.unique_on(&key)).ok_or_else(|| contract("its key has no index"))
}

fn names<'a>(columns: &[Column<'a>], picked: &[usize]) -> Vec<&'a str> {
    picked.iter().filter_map(|at| columns.get(*at)).map(|column| column.name).collect()
}

/// Without the columns that say which row is newer, and what may vanish, nothing can be said about a row.
fn has_needed(spec: &TableSpec, columns: &[Column<'_>]) -> Result<(), TargetError> {
    let lacking = |picked: &[usize], key: &str| {
        let lacks = |at: &&usize| place(spec, columns, **at).is_none();
        let names = picked.iter().filter(lacks).filter_map(|at| spec.columns.get(*at));
        let say = |column: &TargetColumn| {
            let name = printable::short(&column.name, 100);
            format!("the file has no column `{name}`, which `{key}` needs")
        };
        names.map(say).collect::<Vec<_>>()
    };
    let scope = spec.mirror.as_ref().map_or(&[][..], |mirror| &mirror.scope);
    let mut lines = lacking(spec.newer.as_slice(), "newer");
    lines.extend(lacking(scope, "scope"));
    if lines.is_empty() { Ok(()) } else { Err(TargetError::Misfit(lines)) }
}

/// Where a column of the spec stands in the batches.
fn place(spec: &TableSpec, columns: &[Column<'_>], column: usize) -> Option<usize> {
    let name = &spec.columns.get(column)?.name;
    columns.iter().position(|column| column.spec.name == *name)
}

/// `marked` is the expression that says whether a row is.
fn finder(
    known: &Known<'_>,
    index: &Unique,
    columns: &[Column<'_>],
    terms: &Terms,
    marked: Option<&str>,
) -> Finder {
    let key = names(columns, &terms.key);
    let compared = terms.compared.iter().map(|compared| compared.column);
    let picked: Vec<usize> = terms.key.iter().copied().chain(compared).chain(terms.newer).collect();
    let mut select: Vec<String> = names(columns, &picked).into_iter().map(sql::quoted).collect();
    select.extend(marked.map(str::to_owned));
    if let Some(Identity::Number(name)) = known.identity {
        select.push(name.to_owned());
    }
    let (table, select) = (&known.shape.name, select.join(", "));
    if known.shape.utf8 && index.one_direction {
        Finder::Walk(sql::walk(table, &select, &key, index.index.as_deref()))
    } else {
        Finder::Point(sql::point(table, &select, &key))
    }
}

fn statements(
    known: &Known<'_>,
    columns: &[Column<'_>],
    key: Vec<usize>,
    set: Vec<usize>,
    unmark: Option<&str>,
) -> Statements {
    let shape = known.shape;
    // Where the file brings the numbers of rows, those of a group do not follow one another.
    let numbered = matches!(known.identity, Some(Identity::Number(_)));
    let brings_numbers = numbered && columns.iter().any(|column| Some(column.stored) == shape.alias);
    let (group, group_conflict, conflict) = if shape.triggers {
        (1, OnConflict::Unsaid, OnConflict::Unsaid)
    } else if shape.refers_to_itself || brings_numbers {
        // Whether a row may refer to one that follows it must not depend on how rows are grouped.
        (1, OnConflict::Abort, OnConflict::Abort)
    } else {
        let most = (MOST_PARAMETERS / columns.len().max(1)).max(1);
        (ROWS_A_STATEMENT.min(most), OnConflict::Fail, OnConflict::Abort)
    };
    let all: Vec<&str> = columns.iter().map(|column| column.name).collect();
    let assignments: Vec<(&str, bool)> = set
        .iter()
        .filter_map(|at| columns.get(*at))
        .map(|column| (column.name, column.spec.on_null == OnNull::Keep))
        .collect();
    Statements {
        insert_group: sql::insert(&shape.name, &all, group, group_conflict),
        group,
        insert: sql::insert(&shape.name, &all, 1, conflict),
        update: if set.is_empty() && unmark.is_none() {
            String::new()
        } else {
            sql::update(&shape.name, &assignments, unmark, &names(columns, &key), conflict)
        },
        set,
        key,
        guarded: shape.leaves_traces,
        numbered,
    }
}

fn refusals(spec: &TableSpec, shape: &Shape, index: &Unique) -> Refusals {
    let name = |stored: &usize| shape.columns.get(*stored).map_or("", |column| column.name.as_str());
    let columns: Vec<&str> =
        spec.columns.iter().map(|column| shape.column(&column.name).as_ref().map_or("", name)).collect();
    let key: Vec<&str> = index.columns.iter().map(name).collect();
    Refusals::new(&shape.name, &columns, &key, spec.mode)
}

#[cfg(test)]
mod tests {
    use arrow_schema::Field;

    use super::*;
    use crate::targets::{Commit, sqlite::shape};

    fn finder_for(sql: &str, mode: Mode, empty: bool) -> Finder {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(sql).unwrap();
        let column = |name: &str| TargetColumn {
            name: name.to_owned(),
            value_type: ValueType::Text,
            required: true,
            max_length: None,
            compare: true,
            write: WriteWhen::Always,
            on_null: OnNull::Write,
        };
        let spec = TableSpec {
            table: "t".to_owned(),
            columns: vec![column("a"), column("b")],
            key: vec![0, 1],
            mode,
            create: true,
            newer: None,
            mirror: None,
            commit: Commit::Delivery,
        };
        let field = |name| Field::new(name, ValueType::Text.arrow(), false);
        let schema = Arc::new(Schema::new(vec![field("a"), field("b")]));
        let shape = shape::read(&connection, "t").unwrap().unwrap();
        let known = Known { shape: &shape, empty, identity: None };
        Plan::new(&spec, &known, schema, Purpose::Load).unwrap().finder
    }

    #[test]
    fn an_index_is_walked_only_where_it_runs_as_our_keys_sort() {
        let upsert = |sql: &str| finder_for(sql, Mode::Upsert, false);
        let table = "CREATE TABLE t (a TEXT, b TEXT);";
        let down = "CREATE UNIQUE INDEX down ON t (a DESC, b DESC);";
        let mixed = "CREATE UNIQUE INDEX mixed ON t (a, b DESC);";
        assert!(matches!(upsert("CREATE TABLE t (a TEXT, b TEXT, PRIMARY KEY (b, a))"), Finder::Walk(_)));
        assert!(matches!(upsert(&format!("{table}{down}")), Finder::Walk(_)));
        assert!(matches!(upsert(&format!("{table}{mixed}")), Finder::Point(_)));
        assert!(matches!(upsert(&format!("PRAGMA encoding = 'UTF-16'; {table}{down}")), Finder::Point(_)));
        let either = upsert(&format!("{table}{mixed}{down}"));
        assert!(matches!(&either, Finder::Walk(sql) if sql.contains("\"down\"")), "{either:?}");
    }

    #[test]
    fn nothing_is_looked_up_where_nothing_can_be_found() {
        let table = "CREATE TABLE t (a TEXT, b TEXT, PRIMARY KEY (a, b))";
        assert!(matches!(finder_for(table, Mode::Upsert, true), Finder::Nothing));
        assert!(matches!(finder_for(table, Mode::Insert, false), Finder::Nothing));
    }
}
