//! Looking the values of a column up: whether they are there, or what stands beside them.

use std::{borrow::Cow, io};

use arrow_array::{Array, ArrayRef, cast::AsArray};
use arrow_buffer::BooleanBuffer;

use super::{
    ValidateError,
    column::{self, Fields, Findings, Wrong},
    computed::Sheet,
    keys::KeyHash,
    lookup::{Snapshot, Snapshots},
    made::{MAX_FOUND_BYTES, Made, TOO_MUCH_FOUND},
};
use crate::{
    formats::{Place, Records, Span},
    mapping::plan::{Column, Lookup},
    model::{Rule, Violation, reject::reported, value},
};

/// What became of looking something up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looked {
    /// It is there.
    Found,
    /// It is there, and NULL stands beside it.
    Null,
    /// It is there, and what stands beside it is longer than any value may be.
    TooLong,
    /// It is not there.
    Missing,
    /// A value of another column that belongs to it is missing: nothing is looked up.
    Nothing,
    /// A value of another column that belongs to it is not valid: nobody can tell.
    Unknown,
}

/// Looks up the values of one column in one chunk.
pub(super) struct Looker<'a> {
    snapshot: &'a Snapshot,
    value: Option<usize>,
    /// For each key, where its values are.
    keys: Vec<Key<'a>>,
    /// The records in which the other columns are sound; none: all.
    sound: Option<BooleanBuffer>,
    buffer: String,
    error: Option<io::Error>,
}

enum Key<'a> {
    Own,
    /// Another column; none when the file lacks it.
    Other(Option<&'a ArrayRef>),
}

impl<'a> Looker<'a> {
    /// For the column that is looked up so; what it needs of others is in `sheet`.
    pub(super) fn new(
        lookup: &Lookup,
        snapshots: &'a Snapshots,
        sheet: &'a Sheet,
    ) -> Result<Self, ValidateError> {
        let snapshot = snapshots.0.get(lookup.table);
        let snapshot = snapshot.ok_or(ValidateError::Damaged("a lookup table was not read"))?;
        let others: Vec<usize> = lookup.keys.iter().copied().flatten().collect();
        let key = |other: &Option<usize>| match other {
            None => Key::Own,
            Some(column) => Key::Other(sheet.arrays.get(*column).and_then(Option::as_ref)),
        };
        Ok(Self {
            snapshot,
            value: lookup.value,
            keys: lookup.keys.iter().map(key).collect(),
            sound: if others.is_empty() { None } else { sheet.sound(&others) },
            buffer: String::new(),
            error: None,
        })
    }

    /// The table, as messages name it.
    pub(super) fn name(&self) -> &'a str {
        self.snapshot.name()
    }

    /// Ends it.
    pub(super) fn finish(self) -> Result<(), ValidateError> {
        self.error.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Looks up the text of a record, and puts what takes its place into `found`.
    pub(super) fn look(&mut self, record: usize, own: &str, found: &mut String) -> Looked {
        match self.key(record, own) {
            Ok(key) => self.ask(key, found),
            Err(looked) => looked,
        }
    }

    /// The key that the text of a record makes.
    fn key(&mut self, record: usize, own: &str) -> Result<KeyHash, Looked> {
        if self.sound.as_ref().is_some_and(|sound| !sound.value(record)) {
            return Err(Looked::Unknown);
        }
        let keys = self.snapshot.keys();
        if let [Key::Own] = self.keys.as_slice() {
            return Ok(keys.hash([own], &mut self.buffer));
        }
        let mut texts: Vec<Cow<'_, str>> = Vec::with_capacity(self.keys.len());
        for key in &self.keys {
            match key {
                Key::Own => texts.push(own.into()),
                Key::Other(array) => match array.and_then(|array| text(array, record)) {
                    Some(text) => texts.push(text),
                    None => return Err(Looked::Nothing),
                },
            }
        }
        Ok(keys.hash(texts.iter().map(|text| &**text), &mut self.buffer))
    }

    fn ask(&mut self, key: KeyHash, found: &mut String) -> Looked {
        let looked = match self.value {
            Some(value) => self.snapshot.value(key, value, found),
            None => self.snapshot.contains(key).map(|is_there| is_there.then_some(true)),
        };
        match looked {
            Ok(Some(true)) if found.len() > MAX_FOUND_BYTES => {
                // One that long is not to be held on to.
                *found = String::new();
                Looked::TooLong
            }
            Ok(Some(true)) => Looked::Found,
            Ok(Some(false)) => Looked::Null,
            Ok(None) => Looked::Missing,
            Err(error) => {
                self.error = Some(error);
                Looked::Unknown
            }
        }
    }

    /// What is said of a value that is not there.
    pub(super) fn missing(&self) -> Wrong {
        let empty = if self.snapshot.rows() == 0 { ", which is empty" } else { "" };
        (Rule::Lookup, format!("is not in {}{empty}", self.name()).into())
    }
}

/// Finds the records whose value is not there; NULL looks nothing up. `value` is what a report shows of a record.
pub(super) fn exists(
    mut looker: Looker<'_>,
    column: usize,
    values: &ArrayRef,
    rows: Option<&BooleanBuffer>,
    value: &dyn Fn(usize) -> String,
    findings: &mut Findings,
) -> Result<(), ValidateError> {
    // All keys first, and then all places in the table: so nobody waits for the memory one by one.
    let keys: Vec<Option<KeyHash>> = (0..values.len())
        .map(|record| {
            let is_wanted = rows.is_none_or(|rows| rows.value(record));
            let own = if is_wanted { text(values, record) } else { None };
            looker.key(record, &own?).ok()
        })
        .collect();
    looker.snapshot.warm(keys.iter().copied().flatten());
    let mut nothing = String::new();
    for (record, key) in keys.into_iter().enumerate() {
        let Some(key) = key else { continue };
        if looker.ask(key, &mut nothing) == Looked::Missing {
            let (rule, message) = looker.missing();
            findings.push((
                record as u32,
                Violation {
                    column: u16::try_from(column).ok(),
                    rule,
                    value: reported(&value(record)).into(),
                    message: message.into_owned().into(),
                },
            ));
        }
    }
    looker.finish()
}

/// Replaces values by what stands beside them, read as the column's type and held against its rules. NULL
/// stays. When what is `made` is too much, the array means nothing.
pub(super) fn replace(
    mut looker: Looker<'_>,
    index: usize,
    column: &Column,
    values: &ArrayRef,
    rows: Option<&BooleanBuffer>,
    made: &mut Made,
    findings: &mut Findings,
) -> Result<ArrayRef, ValidateError> {
    let number = u16::try_from(index).ok();
    // What is found stands in for fields of a file.
    let mut records = Records { width: 1, ..Records::default() };
    let mut nothing = Vec::with_capacity(values.len());
    let mut found = String::new();
    for record in 0..values.len() {
        let is_wanted = rows.is_none_or(|rows| rows.value(record));
        let own = if is_wanted { text(values, record) } else { None };
        let looked = own.as_ref().map_or(Looked::Nothing, |own| looker.look(record, own, &mut found));
        let span = if looked == Looked::Found && made.take(found.len()) {
            scratched(&mut records.scratch, &found)
        } else {
            None
        };
        if made.needs_parts() {
            break;
        }
        let wrong = match looked {
            Looked::Found if span.is_none() => Some((Rule::Lookup, TOO_MUCH_FOUND.into())),
            _ if is_wanted => column::wrong_lookup(column, &looker, looked),
            _ => None,
        };
        if let Some((rule, message)) = wrong {
            let value = reported(own.as_deref().unwrap_or_default()).into();
            let message = message.into_owned().into();
            findings.push((record as u32, Violation { column: number, rule, value, message }));
        }
        records.spans.push(span.unwrap_or_default());
        records.places.push(Place::default());
        nothing.push(span.is_none());
    }
    looker.finish()?;
    let fields = Fields { records: &records, text: "", broken: &nothing, place: 0 };
    Ok(column::run(column, index as u16, &fields, None, made, findings))
}

/// Puts a text behind what is in the scratch; none when it does not fit there.
fn scratched(scratch: &mut String, text: &str) -> Option<Span> {
    let start = u32::try_from(scratch.len()).ok().filter(|start| start & Span::SCRATCH == 0)?;
    let length = u32::try_from(text.len()).ok()?;
    scratch.push_str(text);
    Some(Span { start: start | Span::SCRATCH, length })
}

/// The text of a value; none for NULL.
fn text(values: &ArrayRef, record: usize) -> Option<Cow<'_, str>> {
    match values.as_string_opt::<i32>() {
        Some(texts) => texts.is_valid(record).then(|| texts.value(record).into()),
        None => value::text::text(values, record).map(Cow::Owned),
    }
}
