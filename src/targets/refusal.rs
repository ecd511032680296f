//! Rows that a target would not take, in the words that all targets use.

use crate::model::{Origin, Rule};

/// What every target says of a row whose foreign key refers to a row that is not there. By these words such rejects are known
/// again, however long they were kept.
pub const MISSING_PARENT: &str = "refers to a row that is not there (a foreign key of the table)";

/// Rows that a target may refuse one by one; with more of them the table is not what the mapping thinks it is.
pub const MOST_REFUSALS: usize = 1_000;

/// A row that the database would not take, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowRefusal {
    /// Where the row came from.
    pub origin: Origin,
    /// [`Rule::Key`] when its key exists in mode insert, else [`Rule::Target`].
    pub rule: Rule,
    /// The column concerned, when the database names one: an index into the spec's columns.
    pub column: Option<u16>,
    /// What the database said, made from its code and the constraint's name, never from the row's values.
    pub message: String,
    /// What a trigger of the table said in its own words; it may quote the row's values.
    pub said: Option<String>,
}

/// What a database says about one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The rule it broke.
    pub rule: Rule,
    /// The column concerned: an index into the spec's columns.
    pub column: Option<u16>,
    /// The rest of a sentence that begins with the column or "the record".
    pub message: String,
    /// What the table's own trigger said, which may quote the row's values.
    pub said: Option<String>,
}

impl Refusal {
    /// The refusal of the row that came from there.
    #[must_use]
    pub fn of(self, origin: Origin) -> RowRefusal {
        let Self { rule, column, message, said } = self;
        RowRefusal { origin, rule, column, message, said }
    }

    /// The database refused the row, or the value of a column of it.
    pub(super) fn target(column: Option<u16>, message: impl Into<String>) -> Self {
        Self { rule: Rule::Target, column, message: message.into(), said: None }
    }

    /// The table has the row's key, where it may not.
    pub(super) fn known_key() -> Self {
        Self { rule: Rule::Key, column: None, message: "is in the table already".to_owned(), said: None }
    }

    /// A trigger refused the row, in these words.
    pub(super) fn by_trigger(said: &str) -> Self {
        Self {
            said: Some(crate::model::printable::short(said, 200)),
            ..Self::target(None, "was refused by a trigger of the table")
        }
    }

    /// The row's key stood in the table where the load had found none.
    pub(super) fn met_key() -> Self {
        Self::target(
            None,
            "meets a row of the same key that was not there when the load looked: look at the table's triggers",
        )
    }

    /// Another row of the table has what must be unique: the value of `column`, or what `named` says.
    pub(super) fn not_unique(column: Option<u16>, named: &str) -> Self {
        let message = match column {
            Some(_) => "stands in another row of the table, where it must be unique".to_owned(),
            None => format!(
                "meets another row of the table in what must be unique: `{}`",
                crate::model::printable::short(named, 200)
            ),
        };
        Self::target(column, message)
    }
}
