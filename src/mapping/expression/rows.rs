//! Loops over the rows that an operation runs on. NULL goes in, NULL comes out; a failure is of its record alone.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
};

use arrow_array::StringArray;
use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, OffsetBuffer};

use super::vector::{Bits, Fixed, Known, Texts, Vector};

/// Why a record has no value: the rest of a sentence, such as "division by zero".
pub(super) type Failure = Cow<'static, str>;

/// Longest text that an operation may make, in bytes: what a cell of a spreadsheet or a column of a database holds is
/// far shorter, and a chunk of them still fits into memory.
pub(super) const MAX_TEXT_BYTES: usize = 1024 * 1024;
/// Why a text is none.
pub(super) const TOO_LONG: Failure = Failure::Borrowed("the text is longer than a megabyte");
/// Bytes of all texts together that one run of an expression may make, those on the way to its values included: eight
/// times the text of a usual chunk, and what a thread can do with however little memory a site allows.
pub const MAX_MADE_BYTES: usize = 8 * MAX_TEXT_BYTES;
/// Why a record has no value whose texts alone are more than that.
pub(super) const TOO_MUCH: Failure =
    Failure::Borrowed("the texts on the way to the value are longer than 8 megabytes together");

/// What comes of running an expression besides its values.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    failures: RefCell<Vec<(u32, Failure)>>,
    made_bytes: Cell<usize>,
}

impl Outcome {
    /// So many bytes of text are made; true when they may be.
    pub(super) fn spend(&self, bytes: usize) -> bool {
        self.made_bytes.set(self.made_bytes.get().saturating_add(bytes));
        !self.is_too_much()
    }

    /// Bytes of text that were made.
    pub(super) fn made_bytes(&self) -> usize {
        self.made_bytes.get()
    }

    /// True when more text was to be made than may be: the values mean nothing.
    pub(super) fn is_too_much(&self) -> bool {
        self.made_bytes.get() > MAX_MADE_BYTES
    }

    /// The failures, as they came.
    pub(super) fn into_failures(self) -> Vec<(u32, Failure)> {
        self.failures.into_inner()
    }
}

/// The rows on which something runs.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    /// Number of rows, selected or not.
    pub(super) len: usize,
    /// The rows that count; none: all.
    selection: Option<NullBuffer>,
    outcome: &'a Outcome,
}

/// Selected rows whose arguments are all known.
enum Mask {
    None,
    All,
    Some(NullBuffer),
}

impl<'a> Rows<'a> {
    /// Rows, all or those with a set bit.
    pub(super) fn new(len: usize, selection: Option<BooleanBuffer>, outcome: &'a Outcome) -> Self {
        let selection = selection.filter(|bits| bits.len() == len).map(NullBuffer::new);
        Self { len, selection: selection.filter(|bits| bits.null_count() > 0), outcome }
    }

    /// Those of these rows that have a set bit.
    pub(super) fn only(&self, bits: &BooleanBuffer) -> Self {
        let bits = match &self.selection {
            Some(selection) => selection.inner() & bits,
            None => bits.clone(),
        };
        Self::new(self.len, Some(bits), self.outcome)
    }

    /// The selected rows as bits.
    pub(super) fn bits(&self) -> BooleanBuffer {
        let all = || BooleanBuffer::new_set(self.len);
        self.selection.as_ref().map_or_else(all, |selection| selection.inner().clone())
    }

    /// True when no row is selected.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
            || self.selection.as_ref().is_some_and(|selection| selection.null_count() == selection.len())
    }

    /// One row that stands for all of these, with failures of its own.
    pub(super) fn single(outcome: &Outcome) -> Rows<'_> {
        Rows { len: 1, selection: None, outcome }
    }

    /// The record of a row has failed.
    pub(super) fn fail(&self, row: usize, failure: Failure) {
        // Chunks have far fewer rows than a u32 counts.
        if let Ok(row) = u32::try_from(row) {
            self.outcome.failures.borrow_mut().push((row, failure));
        }
    }

    /// All selected records have failed.
    pub(super) fn fail_all(&self, failure: &Failure) {
        for row in self.bits().set_indices() {
            self.fail(row, failure.clone());
        }
    }

    /// So many bytes of text are to be made; true when they may be.
    pub(super) fn may_make(&self, bytes: usize) -> bool {
        self.outcome.spend(bytes)
    }

    fn mask(&self, arguments: &[Vector]) -> Mask {
        let mut mask = self.selection.clone();
        for argument in arguments {
            match argument.known() {
                Known::None => return Mask::None,
                Known::All => {}
                Known::Some(nulls) if nulls.null_count() == 0 => {}
                Known::Some(nulls) => mask = NullBuffer::union(mask.as_ref(), Some(nulls)),
            }
        }
        mask.map_or(Mask::All, Mask::Some)
    }

    /// A value of fixed width for each row whose arguments are all known.
    pub(super) fn map<T: ArrowNativeType>(
        &self,
        arguments: &[Vector],
        value: impl Fn(usize) -> Result<Option<T>, Failure>,
    ) -> Fixed<T> {
        let mut unknown = Vec::new();
        let mut of = |row| match value(row) {
            Ok(Some(value)) => value,
            Ok(None) => {
                unknown.push(row);
                T::default()
            }
            Err(failure) => {
                self.fail(row, failure);
                unknown.push(row);
                T::default()
            }
        };
        let (values, nulls): (Vec<T>, _) = match self.mask(arguments) {
            Mask::None => return Fixed::One(None),
            Mask::All => ((0..self.len).map(of).collect(), None),
            Mask::Some(nulls) => {
                let mut values = vec![T::default(); self.len];
                for row in nulls.valid_indices() {
                    if let Some(slot) = values.get_mut(row) {
                        *slot = of(row);
                    }
                }
                (values, Some(nulls))
            }
        };
        Fixed::Many(values.into(), without(nulls, &unknown, self.len))
    }

    /// A truth value for each row whose arguments are all known.
    pub(super) fn decide(
        &self,
        arguments: &[Vector],
        value: impl Fn(usize) -> Result<Option<bool>, Failure>,
    ) -> Bits {
        let mut unknown = Vec::new();
        let mut of = |row| match value(row) {
            Ok(Some(value)) => value,
            Ok(None) => {
                unknown.push(row);
                false
            }
            Err(failure) => {
                self.fail(row, failure);
                unknown.push(row);
                false
            }
        };
        let (values, nulls) = match self.mask(arguments) {
            Mask::None => return Bits::One(None),
            Mask::All => (BooleanBuffer::collect_bool(self.len, of), None),
            Mask::Some(nulls) => {
                let values = BooleanBuffer::collect_bool(self.len, |row| nulls.is_valid(row) && of(row));
                (values, Some(nulls))
            }
        };
        Bits::Many(values, without(nulls, &unknown, self.len))
    }

    /// A text for each row whose arguments are all known: `write` puts it behind what is in the buffer, and says
    /// whether there is one.
    pub(super) fn write(
        &self,
        arguments: &[Vector],
        write: impl Fn(usize, &mut String) -> Result<bool, Failure>,
    ) -> Texts {
        let nulls = match self.mask(arguments) {
            Mask::None => return Texts::One(None),
            Mask::All => None,
            Mask::Some(nulls) => Some(nulls),
        };
        let mut unknown = Vec::new();
        let mut values = String::with_capacity(self.len * 8);
        let mut offsets: Vec<i32> = Vec::with_capacity(self.len + 1);
        offsets.push(0);
        let mut end = 0_i32;
        for row in 0..self.len {
            if self.outcome.is_too_much() {
                break;
            }
            if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                let start = values.len();
                let known = write(row, &mut values).and_then(|known| {
                    if values.len() - start <= MAX_TEXT_BYTES { Ok(known) } else { Err(TOO_LONG) }
                });
                if !matches!(known, Ok(true)) {
                    values.truncate(start);
                    unknown.push(row);
                }
                if let Err(failure) = known {
                    self.fail(row, failure);
                }
                if !self.outcome.spend(values.len() - start) {
                    values.truncate(start);
                }
                // What may be made in all is far less than an i32 counts.
                end = i32::try_from(values.len()).unwrap_or(end);
            }
            offsets.push(end);
        }
        offsets.resize(self.len + 1, end);
        let nulls = without(nulls, &unknown, self.len);
        let offsets = OffsetBuffer::new(offsets.into());
        Texts::Many(StringArray::new(offsets, Buffer::from(values.into_bytes()), nulls))
    }
}

/// Takes rows out of those that are known.
fn without(known: Option<NullBuffer>, unknown: &[usize], len: usize) -> Option<NullBuffer> {
    if unknown.is_empty() {
        return known;
    }
    let mut bits: Vec<bool> = match &known {
        Some(nulls) => nulls.iter().collect(),
        None => vec![true; len],
    };
    for row in unknown {
        if let Some(bit) = bits.get_mut(*row) {
            *bit = false;
        }
    }
    Some(NullBuffer::from(bits))
}
