//! A correction: rejected records of one delivery as they are now, whoever says so: a report that came back corrected, a
//! page, or the program itself that tries them again under another mapping.
//!
//! Records are put aside on the disk as they come, in whatever order, and written out in that of the file they belong to.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Write},
    os::unix::fs::FileExt,
    path::Path,
};

use super::rejects_csv::raw_text;
use crate::{
    formats::{
        RawRecord,
        corrected::{self, CorrectedRecord},
    },
    mapping::{Plan, plan::DuplicateKeys},
    model::{DeliveryId, Position, Reject, Rule, Violation},
    validate::Seal,
};

/// A correction holds at most so many records: where each stands is kept in memory, 24 bytes each. Whoever has more
/// sends them in several.
pub const MOST_RECORDS: usize = 1_000_000;

/// Places kept free for rows without a number, behind all numbers.
const MOST_STRAYS: u64 = MOST_RECORDS as u64;

/// Records of a delivery as they are now.
#[derive(Debug)]
pub struct Correction {
    /// The delivery that rejected them.
    pub delivery: DeliveryId,
    header: Vec<String>,
    index: Vec<Entry>,
    lines: File,
}

/// Where the line of a record stands: its number, and the line's first byte and length.
#[derive(Clone, Copy, Debug)]
struct Entry {
    record: u64,
    byte: u64,
    length: u32,
}

impl Correction {
    /// How many records it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// True when there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The records' numbers in the file that is corrected, ascending.
    pub fn records(&self) -> impl Iterator<Item = u64> + '_ {
        self.index.iter().map(|entry| entry.record)
    }

    /// Writes the file that a delivery of these records is made of.
    ///
    /// # Errors
    /// What the disks say.
    pub fn write_to(&self, output: &mut dyn Write) -> io::Result<()> {
        corrected::write_head(&self.header, output)?;
        let mut line = Vec::new();
        for entry in &self.index {
            line.resize(entry.length as usize, 0);
            self.lines.read_exact_at(&mut line, entry.byte)?;
            output.write_all(&line)?;
        }
        Ok(())
    }
}

/// Puts the records of a correction aside.
pub struct CorrectionWriter<'a> {
    delivery: DeliveryId,
    plan: &'a Plan,
    header: Vec<String>,
    index: BTreeMap<u64, Entry>,
    lines: BufWriter<File>,
    bytes: u64,
    strays: u64,
}

impl<'a> CorrectionWriter<'a> {
    /// Begins a correction of `delivery`, whose file has the columns `header`, to be run under `plan`. Puts aside in
    /// `folder`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn new(folder: &Path, delivery: DeliveryId, plan: &'a Plan, header: &[String]) -> io::Result<Self> {
        let lines = BufWriter::with_capacity(1 << 18, tempfile::tempfile_in(folder)?);
        Ok(Self {
            delivery,
            plan,
            header: header.to_vec(),
            index: BTreeMap::new(),
            lines,
            bytes: 0,
            strays: 0,
        })
    }

    /// True when it holds as many records as it can.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.index.len() >= MOST_RECORDS
    }

    /// Adds a record with these fields, in the order of the file's columns. `former` is the record as it was rejected under
    /// `seal`. A record that is added twice is what was added last.
    ///
    /// That a key or a value stood twice in the file cannot be found in a correction, which has only some of its records:
    /// where the values in question did not change, it stays wrong.
    ///
    /// # Errors
    /// What the disk says.
    pub fn push(&mut self, seal: &Seal, former: &Reject, fields: &[Box<str>]) -> io::Result<()> {
        let twice = |violation: &&Violation| matches!(violation.rule, Rule::Key | Rule::Unique);
        let stays = former.violations.iter().filter(twice);
        let wrong: Vec<Violation> =
            stays.filter_map(|violation| self.still_twice(seal, former, fields, violation)).collect();
        self.add(CorrectedRecord { position: former.position, fields, raw: &former.raw, wrong: &wrong })
    }

    /// Adds a record that has no columns as somebody wrote it; the mapping's format finds its fields. Where it does not find
    /// them, the record stays wrong as it was.
    ///
    /// # Errors
    /// What the disk says.
    pub fn push_text(&mut self, seal: &Seal, former: &Reject, text: &str) -> io::Result<()> {
        match self.plan.format.split_record(RawRecord::Text(text), self.header.len()) {
            Some(fields) => self.push(seal, former, &fields),
            None => self.leave(seal, former, text.as_bytes()),
        }
    }

    /// Adds a record as it is. `as_came`: its bytes are those of the file, in its encoding; those of a record that an
    /// earlier correction brought are UTF-8.
    ///
    /// The bytes as they came tell most, as today's mapping may read them in another way than the one that rejected them.
    ///
    /// # Errors
    /// What the disk says.
    pub fn push_again(&mut self, seal: &Seal, former: &Reject, as_came: bool) -> io::Result<()> {
        let is_whole = former.raw.len() as u64 == former.position.length;
        let is_garbled = former.violations.iter().any(|violation| violation.rule == Rule::Encoding);
        let has_fields = former.fields.len() == self.header.len() && !is_garbled;
        let record = match std::str::from_utf8(&former.raw) {
            Ok(text) if !as_came => Some(RawRecord::Text(text)).filter(|_| !has_fields),
            _ if as_came && !is_whole => None,
            _ => Some(RawRecord::Bytes(&former.raw)),
        };
        let split = record.and_then(|record| self.plan.format.split_record(record, self.header.len()));
        match split {
            Some(fields) => self.push(seal, former, &fields),
            None if has_fields => self.push(seal, former, &former.fields),
            None => self.leave(seal, former, &bytes_as_text(seal, former)),
        }
    }

    /// Adds a record that is not loaded, for this reason (the rest of a sentence that begins with "the record").
    ///
    /// # Errors
    /// What the disk says.
    pub fn refuse(&mut self, seal: &Seal, former: &Reject, message: &str) -> io::Result<()> {
        let wrong =
            [Violation { column: None, rule: Rule::Correction, value: "".into(), message: message.into() }];
        let text = bytes_as_text(seal, former);
        let (position, fields) = (former.position, &*former.fields);
        self.add(CorrectedRecord { position, fields, raw: &text, wrong: &wrong })
    }

    /// Adds a row of a corrected file that stands for no record, for this reason (as with [`CorrectionWriter::refuse`]). It
    /// stood on `line` of that file, from `byte` on. It has no number, and comes after all that do.
    ///
    /// # Errors
    /// What the disk says.
    pub fn stray(&mut self, line: u64, byte: u64, text: &str, message: &str) -> io::Result<()> {
        let message = format!("of the corrected file {message}");
        let wrong =
            [Violation { column: None, rule: Rule::Correction, value: "".into(), message: message.into() }];
        let position = Position { record: 0, line, byte, length: text.len() as u64 };
        self.strays += 1;
        let place = u64::MAX - MOST_STRAYS + self.strays.min(MOST_STRAYS);
        self.add_at(place, CorrectedRecord { position, fields: &[], raw: text.as_bytes(), wrong: &wrong })
    }

    /// Adds a record of which nobody can find the columns, with everything that was wrong with it.
    fn leave(&mut self, seal: &Seal, former: &Reject, raw: &[u8]) -> io::Result<()> {
        let wrong: Vec<Violation> = former
            .violations
            .iter()
            .map(|violation| Violation { column: self.column(seal, violation), ..violation.clone() })
            .collect();
        self.add(CorrectedRecord { position: former.position, fields: &[], raw, wrong: &wrong })
    }

    /// Ends it.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish(self) -> io::Result<Correction> {
        let lines = self.lines.into_inner().map_err(io::IntoInnerError::into_error)?;
        let (delivery, header) = (self.delivery, self.header);
        Ok(Correction { delivery, header, index: self.index.into_values().collect(), lines })
    }

    fn add(&mut self, record: CorrectedRecord<'_>) -> io::Result<()> {
        self.add_at(record.position.record, record)
    }

    fn add_at(&mut self, place: u64, record: CorrectedRecord<'_>) -> io::Result<()> {
        let mut line = Vec::new();
        corrected::write_record(&record, &mut line)?;
        self.lines.write_all(&line)?;
        let (number, length) = (record.position.record, line.len() as u32);
        self.index.insert(place, Entry { record: number, byte: self.bytes, length });
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// The column of today's plan that a violation is about.
    fn column(&self, seal: &Seal, violation: &Violation) -> Option<u16> {
        let name = seal.columns.get(usize::from(violation.column?))?;
        let at = self.plan.columns.iter().position(|column| column.name == *name)?;
        u16::try_from(at).ok()
    }

    /// The same violation once more, unless the values that it was about have changed or the mapping does not mind any more.
    fn still_twice(
        &self,
        seal: &Seal,
        former: &Reject,
        fields: &[Box<str>],
        violation: &Violation,
    ) -> Option<Violation> {
        let at = self.column(seal, violation)?;
        let concerned: Vec<usize> = match violation.rule {
            Rule::Unique => vec![usize::from(at)],
            _ => self.plan.table.key.clone(),
        };
        let minds = match violation.rule {
            Rule::Unique => self.plan.columns.get(usize::from(at)).is_some_and(|column| column.unique),
            // That a key stands in the table already is found again when the row is loaded.
            _ => self.plan.duplicate_keys == DuplicateKeys::Reject && violation.message.starts_with(IN_FILE),
        };
        let is_same = |column: &usize| {
            let name = self.plan.columns.get(*column).map(|column| &column.name);
            let before = seal.columns.iter().position(|known| Some(known) == name);
            let place = before.and_then(|before| seal.layout.get(before).copied().flatten());
            // What the file does not have, nobody has changed.
            place.is_none_or(|place| fields.get(place) == former.fields.get(place))
        };
        let stays = minds && self.plan.read_by(concerned).iter().all(is_same);
        stays.then(|| Violation { column: Some(at), ..violation.clone() })
    }
}

/// The bytes of a record in UTF-8, as those of corrections are; as they are where they make no text.
fn bytes_as_text<'a>(seal: &Seal, reject: &'a Reject) -> Cow<'a, [u8]> {
    match raw_text(seal, reject) {
        text if text.contains(char::REPLACEMENT_CHARACTER) => Cow::Borrowed(&reject.raw),
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// How the message of a key begins that stands twice in one file.
const IN_FILE: &str = "repeats the key of record";
