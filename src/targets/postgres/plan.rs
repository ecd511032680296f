//! How the rows of one load are sent, found and written: the mapping's columns that the file holds, in the table's names.

use arrow_schema::SchemaRef;

use super::{
    kinds::{self, Form},
    refusals::COLUMN,
    shape::{Kind, Shape, StoredColumn},
    stage::{STAGE, WORK},
};
use crate::{
    model::{printable, value::ValueType},
    targets::{
        Mirror, Mode, OnNull, TableSpec, TargetColumn, TargetError, Vanished, WriteWhen, identifier::quoted,
    },
};

/// A column of the batches.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// Its index in the spec.
    pub spec: u16,
    /// Its name in the table, quoted.
    pub name: String,
    /// Its name in the temporary table.
    pub staged: String,
    /// The type behind a domain, where rows wait under that one.
    pub base: Option<String>,
    /// The form in which its values are sent.
    pub form: Form,
    /// It is a part of the key.
    pub is_key: bool,
    /// It takes part in "has it changed?".
    pub is_compared: bool,
    /// It is set where a row is updated.
    pub is_set: bool,
    /// NULL leaves what is stored.
    pub null_keeps: bool,
    /// What makes equal and ordered mean bytewise, for a text that does not by itself.
    bytewise: Bytewise,
}

/// How values of a column are compared so that only what is the same is equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bytewise {
    /// As they are.
    Already,
    /// As texts in the order of their bytes: their type would fold them, or has no equality.
    AsText,
    /// As they are, but ordered by their bytes.
    Order,
}

/// What does not change from batch to batch.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The columns of the batches.
    pub schema: SchemaRef,
    /// The same, as they are sent and written.
    pub columns: Vec<Column>,
    /// The table, quoted.
    pub table: String,
    /// How rows meet those of the table.
    pub mode: Mode,
    /// Keys that differ in the file can be one key in the table.
    pub folds_keys: bool,
    /// A key may stand in the table more than once.
    pub is_view: bool,
    /// Rows may be sent straight into the table, as long as it is empty.
    pub may_copy: bool,
    /// Rows of the table refer to rows of it.
    pub refers_to_itself: bool,
    /// Triggers can change a row before it is written.
    pub has_before_triggers: bool,
    /// The database numbers the rows.
    is_numbered: bool,
    /// What stands before the values of an INSERT.
    overriding: &'static str,
    /// The column that says which row is newer (its index among `columns`).
    newer: Option<usize>,
    /// Where rows that vanished are marked.
    mark: Option<MarkWords>,
}

/// How a row that vanished is known.
#[derive(Clone, Debug)]
struct MarkWords {
    /// The condition that the row of the table is marked.
    marked: String,
    /// The assignment that takes the mark off.
    unmark: String,
}

impl MarkWords {
    fn of(mirror: &Mirror) -> Option<Self> {
        let Vanished::Mark { column, value_type } = &mirror.vanished else { return None };
        let name = quoted(column);
        Some(match value_type {
            ValueType::Boolean => {
                Self { marked: format!("o.{name} IS TRUE"), unmark: format!("{name} = false") }
            }
            _ => Self { marked: format!("o.{name} IS NOT NULL"), unmark: format!("{name} = NULL") },
        })
    }
}

impl Plan {
    /// The plan for batches of `schema` into a table that fits `spec`.
    ///
    /// # Errors
    /// [`TargetError::Misfit`] when the file lacks a column without which nothing can be said about a row.
    pub(super) fn new(spec: &TableSpec, shape: &Shape, schema: SchemaRef) -> Result<Self, TargetError> {
        let columns = columns(spec, shape, &schema)
            .ok_or_else(|| contract("the file has a column that its mapping or the table does not know"))?;
        let place = |at: usize| columns.iter().position(|column| usize::from(column.spec) == at);
        let newer = match spec.newer {
            None => None,
            Some(newer) => Some(place(newer).ok_or_else(|| lacking(spec, newer, "newer"))?),
        };
        for scope in spec.mirror.as_ref().map_or(&[][..], |mirror| &mirror.scope) {
            place(*scope).ok_or_else(|| lacking(spec, *scope, "scope"))?;
        }
        if !spec.key.iter().all(|at| place(*at).is_some()) {
            return Err(contract("the file has no key"));
        }
        let stored = |column: &Column| {
            let name = &spec.columns.get(usize::from(column.spec))?.name;
            shape.column(name)
        };
        let is_numbered = shape.columns.iter().any(|stored| stored.is_numbered);
        let sets_identity = columns.iter().filter_map(stored).any(|stored| stored.always_identity);
        Ok(Self {
            folds_keys: columns.iter().any(|column| column.is_key && stored(column).is_none_or(folds)),
            is_view: shape.kind == Kind::View,
            may_copy: shape.kind == Kind::Table && !shape.has_policies && !shape.refers_to_itself,
            refers_to_itself: shape.refers_to_itself,
            has_before_triggers: shape.has_before_triggers,
            is_numbered,
            overriding: if sets_identity { "OVERRIDING SYSTEM VALUE " } else { "" },
            table: shape.quoted(),
            mode: spec.mode,
            newer,
            mark: spec.mirror.as_ref().and_then(MarkWords::of),
            columns,
            schema,
        })
    }

    /// COPY straight into the table.
    pub(super) fn copy(&self) -> String {
        format!("COPY {} ({}) FROM STDIN BINARY", self.table, self.names())
    }

    /// COPY into the temporary table, each row with its number first.
    pub(super) fn copy_staged(&self) -> String {
        let columns: Vec<&str> = self.columns.iter().map(|column| column.staged.as_str()).collect();
        format!("COPY {STAGE} (n, {}) FROM STDIN BINARY", columns.join(", "))
    }

    /// The temporary table, with the table's own types, so that values are compared as they would be stored.
    pub(super) fn create_stage(&self) -> String {
        let columns = self.columns.iter().map(|column| match &column.base {
            Some(base) => format!("t.{}::{base} AS {}", column.name, column.staged),
            None => format!("t.{} AS {}", column.name, column.staged),
        });
        format!(
            "CREATE TEMPORARY TABLE {STAGE} ON COMMIT DROP AS SELECT NULL::bigint AS n, {} FROM {} t WITH NO DATA",
            columns.collect::<Vec<_>>().join(", "),
            self.table
        )
    }

    /// What is to be done with those rows of the temporary table that are not in the table as they are: `i` to be inserted, `u`
    /// updated, `s` superseded, `k` known in mode insert.
    pub(super) fn create_work(&self) -> String {
        let first = self.columns.iter().find(|column| column.is_key).map_or("", |column| &column.name);
        let (what, which) = match self.mode {
            Mode::Insert => (format!("CASE WHEN o.{first} IS NULL THEN 'i' ELSE 'k' END"), String::new()),
            Mode::Upsert | Mode::Mirror => {
                let newer = self
                    .is_newer()
                    .map_or_else(String::new, |newer| format!("WHEN ({newer}) IS NOT TRUE THEN 's' "));
                // A marked row was gone: whatever comes back is written.
                let marked = self.marked();
                let comes_back = marked.map_or_else(String::new, |marked| format!("WHEN {marked} THEN 'u' "));
                (
                    format!("CASE WHEN o.{first} IS NULL THEN 'i' {comes_back}{newer}ELSE 'u' END"),
                    format!(" WHERE o.{first} IS NULL OR {}{}", self.differs(), or(marked)),
                )
            }
        };
        format!(
            "CREATE TEMPORARY TABLE {WORK} ON COMMIT DROP AS SELECT s.n, {what}::\"char\" AS what
             FROM {STAGE} s LEFT JOIN {} o ON {}{which}",
            self.table,
            self.same_key()
        )
    }

    /// Rows whose key an earlier one has, as the table compares keys, with the number of the earlier one.
    pub(super) fn repeated_keys(&self) -> String {
        let key: Vec<&str> =
            self.columns.iter().filter(|column| column.is_key).map(|column| column.staged.as_str()).collect();
        let key = key.join(", ");
        let all = key.replace(", ", " IS NOT NULL AND ");
        format!(
            "SELECT n, first FROM (SELECT n, first_value(n) OVER (PARTITION BY {key} ORDER BY n) AS first
             FROM {STAGE} WHERE {all} IS NOT NULL) k WHERE n <> first ORDER BY n"
        )
    }

    /// Rows whose key stands in the table more than once.
    pub(super) fn ambiguous(&self) -> String {
        format!(
            "SELECT s.n FROM {STAGE} s JOIN {} o ON {} GROUP BY s.n HAVING count(*) > 1 ORDER BY 1",
            self.table,
            self.same_key()
        )
    }

    /// Inserts rows: all that wait, or those that are to be inserted; `range` is a condition on the numbers of both tables.
    pub(super) fn insert(&self, all: bool, range: &str) -> String {
        let values: Vec<String> = self.columns.iter().map(|column| format!("s.{}", column.staged)).collect();
        let from = if all {
            format!("{STAGE} s")
        } else {
            format!("{STAGE} s JOIN {WORK} w ON w.n = s.n WHERE w.what = 'i'{range}")
        };
        // What the database numbers, it numbers in the file's order.
        let order = if self.is_numbered { " ORDER BY s.n" } else { "" };
        format!(
            "INSERT INTO {} ({}) {}SELECT {} FROM {from}{order}",
            self.table,
            self.names(),
            self.overriding,
            values.join(", ")
        )
    }

    /// Updates the rows that are to be updated, and still differ; none when no column is ever set.
    pub(super) fn update(&self, range: &str) -> Option<String> {
        let set = self.columns.iter().filter(|column| column.is_set).map(|column| {
            if column.null_keeps {
                format!("{} = coalesce(s.{}, o.{})", column.name, column.staged, column.name)
            } else {
                format!("{} = s.{}", column.name, column.staged)
            }
        });
        let unmark = self.mark.as_ref().map(|mark| mark.unmark.clone());
        let set = set.chain(unmark).collect::<Vec<_>>().join(", ");
        if set.is_empty() {
            return None;
        }
        let marked = or(self.marked());
        let newer = self.is_newer().map_or_else(String::new, |newer| format!(" AND ({newer}{marked})"));
        Some(format!(
            "UPDATE {} o SET {set} FROM {STAGE} s JOIN {WORK} w ON w.n = s.n
             WHERE w.what = 'u'{range} AND {} AND ({}{marked}){newer}",
            self.table,
            self.same_key(),
            self.differs()
        ))
    }

    /// The columns of the temporary table that the planner should know something about.
    pub(super) fn staged_key(&self) -> String {
        let key = self.columns.iter().filter(|column| column.is_key).map(|column| column.staged.as_str());
        key.collect::<Vec<_>>().join(", ")
    }

    fn names(&self) -> String {
        self.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// A row that waits and a row of the table have one key.
    pub(super) fn same_key(&self) -> String {
        let equal = self.columns.iter().filter(|column| column.is_key);
        equal
            .map(|column| format!("o.{} = s.{}", column.name, column.staged))
            .collect::<Vec<_>>()
            .join(" AND ")
    }

    /// A row that waits and the row of the table are not the same in what is compared.
    pub(super) fn differs(&self) -> String {
        let differs = self.compared().map(|(_, column)| column.differs()).collect::<Vec<_>>();
        if differs.is_empty() { "false".to_owned() } else { format!("({})", differs.join(" OR ")) }
    }

    /// The columns that take part in "has it changed?", with their indices.
    pub(super) fn compared(&self) -> impl Iterator<Item = (usize, &Column)> {
        self.columns.iter().enumerate().filter(|(_, column)| column.is_compared)
    }

    /// The columns of the key.
    pub(super) fn key(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.is_key)
    }

    /// The condition that a row of the table is marked, where there are marks.
    pub(super) fn marked(&self) -> Option<&str> {
        self.mark.as_ref().map(|mark| mark.marked.as_str())
    }

    /// The condition that a row of the table has a key, and is not marked.
    pub(super) fn is_row(&self) -> String {
        let key = self.key().map(|column| format!("o.{} IS NOT NULL", column.name));
        let unmarked = self.marked().map(|marked| format!("NOT ({marked})"));
        key.chain(unmarked).collect::<Vec<_>>().join(" AND ")
    }

    /// A row that waits is newer than the row of the table, where there is a column that says so.
    pub(super) fn is_newer(&self) -> Option<String> {
        let column = self.columns.get(self.newer?)?;
        let (old, new) = (&column.name, &column.staged);
        let bytes = if column.bytewise == Bytewise::Already { "" } else { "::text COLLATE \"C\"" };
        Some(format!("o.{old} IS NULL OR s.{new}{bytes} > o.{old}{bytes}"))
    }
}

/// Behind another condition.
fn or(condition: Option<&str>) -> String {
    condition.map_or_else(String::new, |condition| format!(" OR {condition}"))
}

impl Column {
    /// A row that waits and the row of the table are not the same in this column.
    pub(super) fn differs(&self) -> String {
        let cast = self.cast();
        let (old, new) = (&self.name, &self.staged);
        if self.null_keeps {
            format!("(s.{new} IS NOT NULL AND o.{old}{cast} IS DISTINCT FROM s.{new}{cast})")
        } else {
            format!("(o.{old}{cast} IS DISTINCT FROM s.{new}{cast})")
        }
    }

    fn cast(&self) -> &'static str {
        if self.bytewise == Bytewise::AsText { "::text COLLATE \"C\"" } else { "" }
    }
}

fn columns(spec: &TableSpec, shape: &Shape, schema: &SchemaRef) -> Option<Vec<Column>> {
    let of = |name: &str| {
        let at = spec.columns.iter().position(|column| column.name == name)?;
        column(spec, at, spec.columns.get(at)?, shape.column(name)?)
    };
    schema.fields().iter().map(|field| of(field.name())).collect()
}

fn column(spec: &TableSpec, at: usize, column: &TargetColumn, stored: &StoredColumn) -> Option<Column> {
    let is_key = spec.key.contains(&at);
    let is_set = !is_key && column.write == WriteWhen::Always;
    Some(Column {
        spec: u16::try_from(at).ok()?,
        name: quoted(&column.name),
        staged: format!("{COLUMN}{at}"),
        base: (stored.base != stored.declared).then(|| stored.base.clone()),
        form: kinds::form(column, stored).ok()?,
        is_key,
        is_set,
        is_compared: is_set && column.compare,
        null_keeps: column.on_null == OnNull::Keep,
        bytewise: if stored.folds || stored.type_name == "json" || stored.type_name == "bpchar" {
            Bytewise::AsText
        } else if matches!(column.value_type, ValueType::Text | ValueType::Json)
            && stored.type_name != "jsonb"
        {
            Bytewise::Order
        } else {
            Bytewise::Already
        },
    })
}

/// True for columns in which keys that differ in the file can be one key: those that fold texts, or pad them, those of JSON
/// that is put in order, and floats, which have two zeros.
fn folds(stored: &StoredColumn) -> bool {
    stored.folds || matches!(stored.type_name.as_str(), "bpchar" | "json" | "jsonb" | "float8")
}

fn lacking(spec: &TableSpec, column: usize, key: &str) -> TargetError {
    let name = spec.columns.get(column).map_or("", |column| &column.name);
    TargetError::Misfit(vec![format!(
        "the file has no column `{}`, which `{key}` needs",
        printable::short(name, 100)
    )])
}

/// The error for a caller that does not keep to what [`crate::targets::Load`] says.
pub(super) fn contract(what: &str) -> TargetError {
    TargetError::Lasting(format!(
        "nothing was loaded, as {what}; this is a mistake in Wharf: please report it"
    ))
}
