//! Keys of rejected records. In mode mirror the file has their rows all the same, so they are put aside with the rows; and
//! where the key of a record cannot be read, nobody knows which row the file has.

use std::{collections::BTreeSet, io};

use arrow_array::{BooleanArray, RecordBatch};
use arrow_ipc::{reader::StreamReader, writer::StreamWriter};
use arrow_schema::Schema;

use super::{ValidateError, column::Findings, kept::Folder};
use crate::{
    mapping::plan::Plan,
    model::Rule,
    wire::spool::{Spool, Spooled},
};

/// Puts keys aside.
pub(super) struct RejectedKeysWriter {
    /// The key's columns: their indices in the rows.
    key: Vec<usize>,
    /// Their indices in the plan.
    columns: BTreeSet<u16>,
    stream: StreamWriter<Spool>,
    unreadable: u64,
}

/// Keys that were put aside.
#[derive(Debug)]
pub(super) struct RejectedKeys(pub(super) Spooled);

impl RejectedKeysWriter {
    /// For rows of `schema` under `plan`; none where nobody asks for the keys.
    pub(super) fn new(
        plan: &Plan,
        schema: &Schema,
        folder: &Folder<'_>,
    ) -> Result<Option<Self>, ValidateError> {
        if plan.table.mirror.is_none() {
            return Ok(None);
        }
        let names: BTreeSet<&str> =
            plan.table.key.iter().filter_map(|at| plan.columns.get(*at)).map(|c| c.name.as_str()).collect();
        let fields = schema.fields().iter().enumerate();
        let key: Vec<usize> =
            fields.filter(|(_, field)| names.contains(field.name().as_str())).map(|(at, _)| at).collect();
        let stream = StreamWriter::try_new(folder.spool(Folder::REJECTED_KEYS), &schema.project(&key)?)?;
        let columns = plan.table.key.iter().filter_map(|at| u16::try_from(*at).ok()).collect();
        Ok(Some(Self { key, columns, stream, unreadable: 0 }))
    }

    /// Puts aside the keys of those records of a chunk that anything was found in. `findings` are in the order of records.
    pub(super) fn note(&mut self, rows: &RecordBatch, findings: &Findings) -> Result<(), ValidateError> {
        if findings.is_empty() {
            return Ok(());
        }
        let keys = rows.project(&self.key)?;
        let mut readable = vec![false; rows.num_rows()];
        for found in findings.chunk_by(|(one, _), (other, _)| one == other) {
            let Some((record, _)) = found.first() else { continue };
            // A key or value that stands twice was read.
            let spoils = |column: Option<u16>, rule: &Rule| match column {
                Some(column) => self.columns.contains(&column) && !matches!(rule, Rule::Key | Rule::Unique),
                None => !rule.is_of_expressions(),
            };
            let known = keys.columns().iter().all(|array| array.is_valid(*record as usize));
            if known && !found.iter().any(|(_, violation)| spoils(violation.column, &violation.rule)) {
                if let Some(slot) = readable.get_mut(*record as usize) {
                    *slot = true;
                }
            } else {
                self.unreadable += 1;
            }
        }
        if readable.contains(&true) {
            let keys = arrow_select::filter::filter_record_batch(&keys, &BooleanArray::from(readable))?;
            self.stream.write(&keys)?;
        }
        Ok(())
    }

    /// Ends it: the keys, and the number of records whose key cannot be read.
    pub(super) fn finish(self) -> Result<(RejectedKeys, u64), ValidateError> {
        Ok((RejectedKeys(self.stream.into_inner()?.finish()?), self.unreadable))
    }
}

impl RejectedKeys {
    /// Reads the keys back.
    pub(super) fn read(&self) -> Result<KeyReader<'_>, ValidateError> {
        Ok(KeyReader { stream: StreamReader::try_new(self.0.reader()?, None)? })
    }
}

/// Reads keys of rejected records, batch by batch: the key's columns in the order of the rows' columns.
pub struct KeyReader<'a> {
    stream: StreamReader<Box<dyn io::Read + Send + 'a>>,
}

impl Iterator for KeyReader<'_> {
    type Item = Result<RecordBatch, ValidateError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.stream.next()?.map_err(ValidateError::from))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, StringArray, cast::AsArray};
    use arrow_schema::{DataType, Field};

    use super::*;
    use crate::{mapping::compile, model::Violation};

    #[test]
    fn keys_that_were_read_are_put_aside_and_the_others_counted() {
        let mapping = "match = '*'\n[format]\ntype = 'csv'\n[target]\ntable = 't'\nkey = ['b', 'a']\nmode = 'mirror'\n\
                       vanished = 'delete'\n[columns]\na = {}\nv = {}\nb = {}\n";
        let plan = compile("m", "m", mapping, &indexmap::IndexMap::new()).unwrap();
        let schema = Schema::new(["a", "v", "b"].map(|name| Field::new(name, DataType::Utf8, true)).to_vec());
        let folder = tempfile::tempdir().unwrap();
        let mut writer =
            RejectedKeysWriter::new(&plan, &schema, &Folder::passing(folder.path())).unwrap().unwrap();
        let column = |values: [Option<&str>; 7]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
        let rows = RecordBatch::try_new(
            Arc::new(schema.clone()),
            vec![
                column([Some("0"), Some("1"), Some("2"), Some("3"), None, Some("5"), Some("6")]),
                column([Some("v"); 7]),
                column([Some("b"); 7]),
            ],
        )
        .unwrap();
        let found = |record: u32, column: Option<u16>, rule: Rule| {
            (record, Violation { column, rule, value: "".into(), message: "".into() })
        };
        let findings = vec![
            found(0, Some(1), Rule::Type),
            found(2, None, Rule::Columns),
            found(3, Some(1), Rule::Type),
            found(3, Some(2), Rule::Pattern),
            found(4, Some(1), Rule::Type),
            found(5, Some(2), Rule::Key),
            found(5, Some(0), Rule::Unique),
        ];
        writer.note(&rows, &findings).unwrap();
        writer.note(&rows, &Findings::new()).unwrap();
        let (keys, unreadable) = writer.finish().unwrap();
        assert_eq!(unreadable, 3);
        let read: Vec<RecordBatch> = keys.read().unwrap().map(Result::unwrap).collect();
        assert_eq!(read.len(), 1);
        let names: Vec<String> = read[0].schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, ["a", "b"]);
        let a: Vec<Option<&str>> = read[0].column(0).as_string::<i32>().iter().collect();
        assert_eq!(a, [Some("0"), Some("5")]);
    }
}
