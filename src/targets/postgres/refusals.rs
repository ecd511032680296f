//! What PostgreSQL says about one row, made from code, constraint and column, never from the row's values.

use tokio_postgres::error::DbError;

use super::{errors::Failure, shape::Shape};
use crate::{
    model::printable,
    targets::{MISSING_PARENT, Mode, Refusal, TableSpec},
};

/// Columns of temporary tables are named by this letter and the column's index in the spec.
pub(super) const COLUMN: char = 'c';

/// Tells refusals of rows of one table.
#[derive(Clone, Debug)]
pub(super) struct Refusals {
    table: String,
    /// The mapping's columns, in the spec's order.
    columns: Vec<String>,
    /// The unique indices on exactly the key.
    keys: Vec<String>,
    /// Other unique indices on one column of the mapping.
    singles: Vec<(String, u16)>,
    mode: Mode,
    has_policies: bool,
}

impl Refusals {
    /// For a table of this shape, which fits the spec.
    pub(super) fn new(spec: &TableSpec, shape: &Shape) -> Self {
        let columns: Vec<String> = spec.columns.iter().map(|column| column.name.clone()).collect();
        let number = |name: &String| shape.column(name).map(|stored| stored.number);
        let key: Option<Vec<i16>> = spec.key.iter().map(|at| columns.get(*at).and_then(number)).collect();
        let keys = key.iter().flat_map(|key| shape.uniques_on(key)).flat_map(|unique| unique.names.clone());
        let singles = (0..).zip(&columns).filter_map(|(at, name)| Some((at, number(name)?)));
        let singles = singles.flat_map(|(at, number)| {
            let uniques = shape.uniques_on(&[number]).collect::<Vec<_>>();
            uniques
                .into_iter()
                .flat_map(move |unique| unique.names.iter().map(move |name| (name.clone(), at)))
        });
        Self {
            table: shape.name.clone(),
            keys: keys.collect(),
            singles: singles.collect(),
            columns,
            mode: spec.mode,
            has_policies: shape.has_policies,
        }
    }

    /// True when the key of some row stands in the table already, where it must be unique.
    pub(super) fn is_known_key(&self, failure: &Failure) -> bool {
        failure.db().is_some_and(|said| said.code().code() == "23505" && self.is_key(said))
    }

    fn is_key(&self, said: &DbError) -> bool {
        said.constraint().is_some_and(|name| self.keys.iter().any(|key| key == name))
    }

    /// The refusal that an error of writing one row stands for; none when it is a fault.
    pub(super) fn refusal(&self, failure: &Failure) -> Option<Refusal> {
        let said = failure.db()?;
        let code = said.code().code();
        let class = code.get(..2)?;
        Some(match (class, code) {
            ("23", _) => self.constraint(said, code),
            ("22", _) => Refusal::target(self.copied_column(said), value_words(code)),
            ("44", _) => Refusal::target(None, "does not pass the condition of the view (WITH CHECK OPTION)"),
            ("27" | "09", _) => Refusal::target(
                None,
                format!("cannot be written because of a trigger of the table (SQLSTATE {code})"),
            ),
            ("P0", _) => Refusal::by_trigger(said.message()),
            (_, "42501") if self.has_policies => {
                Refusal::target(None, "is not allowed by a policy of the table (row level security)")
            }
            ("54", "54001") => Refusal::target(None, "is nested more deeply than the database can read"),
            ("54", _) => {
                Refusal::target(None, "is larger than the database, or an index of the table, can hold")
            }
            _ if is_own_code(class) => Refusal::by_trigger(said.message()),
            _ => return None,
        })
    }

    fn constraint(&self, said: &DbError, code: &str) -> Refusal {
        let named = said.constraint().map(|name| printable::short(name, 200));
        let shown = || named.clone().unwrap_or_default();
        let column = said.column().and_then(|name| self.column(name)).or_else(|| self.copied_column(said));
        match code {
            "23502" => match (column, said.column()) {
                (None, Some(name)) => Refusal::target(
                    None,
                    format!(
                        "leaves `{}` without a value, which the table does not allow",
                        printable::short(name, 200)
                    ),
                ),
                _ => Refusal::target(column, "has no value, which the table does not allow"),
            },
            "23503" if said.table().is_none_or(|table| table == self.table) => {
                Refusal::target(None, MISSING_PARENT)
            }
            "23503" => Refusal::target(
                None,
                format!(
                    "would change what rows of `{}` refer to (a foreign key)",
                    printable::short(said.table().unwrap_or_default(), 200)
                ),
            ),
            "23505" => self.not_unique(said),
            "23514" if said.datatype().is_some() => {
                Refusal::target(column, format!("does not pass the check `{}` of its type", shown()))
            }
            "23514" if named.is_none() => Refusal::target(None, "fits none of the table's partitions"),
            "23514" => Refusal::target(None, format!("does not pass the table's check `{}`", shown())),
            "23P01" => Refusal::target(
                None,
                format!(
                    "meets another row of the table where it must not (exclusion constraint `{}`)",
                    shown()
                ),
            ),
            _ => Refusal::target(None, format!("breaks a rule of the table (SQLSTATE {code})")),
        }
    }

    fn not_unique(&self, said: &DbError) -> Refusal {
        let named = said.constraint().unwrap_or_default();
        if self.is_key(said) {
            return match self.mode {
                Mode::Insert => Refusal::known_key(),
                Mode::Upsert | Mode::Mirror => Refusal::met_key(),
            };
        }
        let column = self.singles.iter().find(|(name, _)| name == named).map(|(_, column)| *column);
        Refusal::not_unique(column, named)
    }

    fn column(&self, name: &str) -> Option<u16> {
        self.columns.iter().position(|column| column == name).and_then(|at| u16::try_from(at).ok())
    }

    /// The column that COPY was reading: the last word of where it says it was, in whatever language it says so.
    fn copied_column(&self, said: &DbError) -> Option<u16> {
        let place = said.where_()?.lines().find(|line| line.starts_with("COPY "))?;
        let name = place.rsplit_once(' ')?.1;
        if let Some(index) = name.strip_prefix(COLUMN).and_then(|digits| digits.parse::<u16>().ok())
            && place.contains(super::stage::STAGE)
        {
            return Some(index).filter(|index| usize::from(*index) < self.columns.len());
        }
        self.column(name)
    }
}

/// The number of the row, from 1, that COPY says it was at. It is a hint: a foreign key, for one, is looked at later.
pub(super) fn copied_row(failure: &Failure) -> Option<usize> {
    let place = failure.db()?.where_()?.lines().find(|line| line.starts_with("COPY "))?;
    // "COPY table, line 12, column x": the table's name may hold digits too.
    let (_, rest) = place.split_once(", ")?;
    let digits: String =
        rest.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// What is wrong with a value, the rest of a sentence.
fn value_words(code: &str) -> String {
    match code {
        "22001" => "is longer than the table's column allows".to_owned(),
        "22003" => "is out of the range of the table's column".to_owned(),
        "22007" | "22008" | "22009" => "is not a time that the database can keep".to_owned(),
        "22021" | "22P05" => "holds a character that the database cannot keep".to_owned(),
        "22P02" | "22P03" | "22032" => "is not of the type that the table asks for".to_owned(),
        "22004" | "22002" => "has no value, which the table does not allow".to_owned(),
        _ => format!("cannot be kept, or computed with, by the table (SQLSTATE {code})"),
    }
}

/// Codes whose class begins so are left to everybody's own use by the standard; PostgreSQL has taken some of them.
fn is_own_code(class: &str) -> bool {
    let free = |c: char| matches!(c, '5'..='9' | 'I'..='Z');
    class.starts_with(free) && !matches!(class, "53" | "54" | "55" | "57" | "58" | "72" | "P0" | "XX")
}
