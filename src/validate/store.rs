//! Rejects put aside as Arrow IPC: with their raw bytes, their fields and everything found in them.

use std::{
    io::{Read, Write},
    sync::Arc,
};

use arrow_array::{
    Array, ArrayRef, RecordBatch, StringArray,
    builder::{BinaryBuilder, Int32Builder, ListBuilder, StringBuilder, UInt64Builder},
    cast::AsArray,
    types::{Int32Type, UInt64Type},
};
use arrow_ipc::{reader::StreamReader, writer::StreamWriter};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::ValidateError;
use crate::model::{Position, Reject, Rule, Violation};

/// Rejects written at once.
const BATCH_REJECTS: usize = 1024;
/// Raw bytes written at once, when rejects are large.
const BATCH_BYTES: usize = 4 << 20;

fn schema() -> SchemaRef {
    let list = |name: &str, item: DataType| {
        Field::new(name, DataType::List(Arc::new(Field::new_list_field(item, true))), false)
    };
    Arc::new(Schema::new(vec![
        Field::new("record", DataType::UInt64, false),
        Field::new("line", DataType::UInt64, false),
        Field::new("byte", DataType::UInt64, false),
        Field::new("length", DataType::UInt64, false),
        Field::new("raw", DataType::Binary, false),
        list("fields", DataType::Utf8),
        list("columns", DataType::Int32),
        list("rules", DataType::Utf8),
        list("values", DataType::Utf8),
        list("messages", DataType::Utf8),
    ]))
}

/// Writes rejects in their order.
pub struct RejectWriter<W: Write> {
    stream: StreamWriter<W>,
    pending: Vec<Reject>,
    pending_bytes: usize,
}

impl<W: Write> RejectWriter<W> {
    /// Begins to write to `output`.
    ///
    /// # Errors
    /// What the output says.
    pub fn new(output: W) -> Result<Self, ValidateError> {
        Ok(Self { stream: StreamWriter::try_new(output, &schema())?, pending: Vec::new(), pending_bytes: 0 })
    }

    /// Writes a reject.
    ///
    /// # Errors
    /// What the output says.
    pub fn push(&mut self, reject: Reject) -> Result<(), ValidateError> {
        self.pending_bytes += weight(&reject);
        self.pending.push(reject);
        if self.pending.len() >= BATCH_REJECTS || self.pending_bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ValidateError> {
        if !self.pending.is_empty() {
            self.stream.write(&encode(&self.pending)?)?;
            self.pending.clear();
            self.pending_bytes = 0;
        }
        Ok(())
    }

    /// Writes the end and gives the output back.
    ///
    /// # Errors
    /// What the output says.
    pub fn finish(mut self) -> Result<W, ValidateError> {
        self.flush()?;
        Ok(self.stream.into_inner()?)
    }
}

/// About how much memory a reject takes.
fn weight(reject: &Reject) -> usize {
    let fields: usize = reject.fields.iter().map(|field| field.len() + 16).sum();
    let violations: usize =
        reject.violations.iter().map(|found| found.value.len() + found.message.len() + 48).sum();
    reject.raw.len() + fields + violations
}

fn encode(rejects: &[Reject]) -> Result<RecordBatch, ValidateError> {
    let number = |of: fn(&Position) -> u64| -> ArrayRef {
        let mut builder = UInt64Builder::with_capacity(rejects.len());
        rejects.iter().for_each(|reject| builder.append_value(of(&reject.position)));
        Arc::new(builder.finish())
    };
    let mut raw = BinaryBuilder::new();
    rejects.iter().for_each(|reject| raw.append_value(&reject.raw));
    let texts = |of: &dyn Fn(&Reject, &mut StringBuilder)| -> ArrayRef {
        let mut builder = ListBuilder::new(StringBuilder::new());
        for reject in rejects {
            of(reject, builder.values());
            builder.append(true);
        }
        Arc::new(builder.finish())
    };
    let of_violations = |of: fn(&Violation) -> &str| {
        texts(&|reject: &Reject, builder: &mut StringBuilder| {
            reject.violations.iter().for_each(|violation| builder.append_value(of(violation)));
        })
    };
    let mut columns = ListBuilder::new(Int32Builder::new());
    for reject in rejects {
        for violation in &reject.violations {
            columns.values().append_value(violation.column.map_or(-1, i32::from));
        }
        columns.append(true);
    }
    let arrays: Vec<ArrayRef> = vec![
        number(|position| position.record),
        number(|position| position.line),
        number(|position| position.byte),
        number(|position| position.length),
        Arc::new(raw.finish()),
        texts(&|reject, builder| reject.fields.iter().for_each(|field| builder.append_value(field))),
        Arc::new(columns.finish()),
        of_violations(|violation| violation.rule.code()),
        of_violations(|violation| &violation.value),
        of_violations(|violation| &violation.message),
    ];
    Ok(RecordBatch::try_new(schema(), arrays)?)
}

/// Reads rejects back in their order.
pub struct RejectReader<R: Read> {
    stream: StreamReader<R>,
    batch: Option<RecordBatch>,
    row: usize,
}

impl<R: Read> RejectReader<R> {
    /// Begins to read.
    ///
    /// # Errors
    /// [`ValidateError::Arrow`] when these are no rejects.
    pub fn new(input: R) -> Result<Self, ValidateError> {
        let stream = StreamReader::try_new(input, None)?;
        if stream.schema() != schema() {
            return Err(ValidateError::Damaged("its columns are not those of rejects"));
        }
        Ok(Self { stream, batch: None, row: 0 })
    }
}

impl<R: Read> Iterator for RejectReader<R> {
    type Item = Result<Reject, ValidateError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = &self.batch
                && self.row < batch.num_rows()
            {
                self.row += 1;
                return Some(decode(batch, self.row - 1));
            }
            match self.stream.next()? {
                Ok(batch) => (self.batch, self.row) = (Some(batch), 0),
                Err(error) => return Some(Err(error.into())),
            }
        }
    }
}

fn decode(batch: &RecordBatch, row: usize) -> Result<Reject, ValidateError> {
    let number = |column: usize| batch.column(column).as_primitive::<UInt64Type>().value(row);
    let position = Position { record: number(0), line: number(1), byte: number(2), length: number(3) };
    let list = |column: usize| batch.column(column).as_list::<i32>().value(row);
    let (columns, rules, values, messages) = (list(6), list(7), list(8), list(9));
    let text = |array: &ArrayRef, at: usize| -> Box<str> { array.as_string::<i32>().value(at).into() };
    let same = [&rules, &values, &messages].iter().all(|other| other.len() == columns.len());
    if !same {
        return Err(ValidateError::Damaged("a reject's findings do not match"));
    }
    let violation = |at: usize| -> Result<Violation, ValidateError> {
        Ok(Violation {
            column: u16::try_from(columns.as_primitive::<Int32Type>().value(at)).ok(),
            rule: Rule::from_code(rules.as_string::<i32>().value(at))
                .ok_or(ValidateError::Damaged("a rule is not known"))?,
            value: text(&values, at),
            message: text(&messages, at),
        })
    };
    let fields = list(5);
    let fields: &StringArray = fields.as_string();
    Ok(Reject {
        position,
        raw: batch.column(4).as_binary::<i32>().value(row).to_vec(),
        fields: fields.iter().map(|field| field.unwrap_or_default().into()).collect(),
        violations: (0..columns.len()).map(violation).collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_read_back_as_they_were_written() {
        let reject = |record: u64| Reject {
            position: Position { record, line: record + 1, byte: record * 10, length: 9 },
            raw: vec![b'x', 0xff, 0],
            fields: vec!["a".into(), "".into()],
            violations: (0..record % 3 + 1)
                .map(|n| Violation {
                    column: (n > 0).then_some(n as u16),
                    rule: Rule::Columns,
                    value: "ü".into(),
                    message: "has 1 field".into(),
                })
                .collect(),
        };
        let rejects: Vec<Reject> = (0..3000).map(reject).collect();
        let mut writer = RejectWriter::new(Vec::new()).unwrap();
        rejects.iter().for_each(|reject| writer.push(reject.clone()).unwrap());
        let bytes = writer.finish().unwrap();
        let back: Vec<Reject> = RejectReader::new(bytes.as_slice()).unwrap().map(Result::unwrap).collect();
        assert!(back == rejects);
    }

    #[test]
    fn damaged_rejects_are_an_error() {
        let mut writer = RejectWriter::new(Vec::new()).unwrap();
        let position = Position { record: 1, line: 1, byte: 0, length: 1 };
        writer.push(Reject { position, raw: vec![1], fields: vec![], violations: vec![] }).unwrap();
        let bytes = writer.finish().unwrap();
        let cut = &bytes[..bytes.len() / 2];
        assert!(RejectReader::new(cut).and_then(|reader| reader.collect::<Result<Vec<_>, _>>()).is_err());
    }
}
