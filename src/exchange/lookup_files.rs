//! Reads a lookup table that is a CSV file of the site, as strictly as a file that is loaded.
//!
//! A wrong translation does more harm than none: whatever is wrong in the file makes the whole of it unusable until it is
//! corrected, and is said with its line. Memory is bounded by the size of a chunk and of the largest row, never by the file.

use std::{cell::Cell, collections::BTreeSet, path::Path};

use super::{lookups::LookupError, take};
use crate::{
    formats::{
        FormatError, Framer, Records, Splitter,
        csv::{Csv, CsvOptions, Table, folded, split::CsvSplitter},
    },
    mapping::{
        lookups::FOLDER,
        plan::{LookupSource, LookupTable, Plan},
    },
    model::{Reason, Rule, Violation, printable},
    targets::{Compares, RowSink},
    wire,
};

/// So much of a column's name is shown.
const SHOWN_CHARACTERS: usize = 60;

/// Reads the file `name` at `path`: CSV in UTF-8 with a header, whose names are compared as those of files that are loaded.
/// An empty field is no value. `line` holds the line on which the row stands that the sink is given.
///
/// # Errors
/// When the file is not there, or anything in it is wrong up to where the sink stops.
pub(super) fn read(
    path: &Path,
    name: &str,
    columns: &[String],
    line: &Cell<u64>,
    sink: &mut dyn RowSink,
) -> Result<(), LookupError> {
    let wrong = |message: String| LookupError::Wrong(name.to_owned(), message);
    let unreadable = |error: FormatError| match error {
        FormatError::Read(error) => LookupError::Away(name.to_owned(), printable::text(&error.to_string())),
        FormatError::Refused { reason: Reason::Encoding, .. } => {
            wrong("it is not text in UTF-8: save it as CSV in UTF-8".to_owned())
        }
        FormatError::Refused { message, .. } => wrong(message),
    };
    let file = wire::open_regular(path)
        .map_err(|error| LookupError::Away(name.to_owned(), take::with_help(&error)))?;
    let csv = Csv::new(CsvOptions::default()).map_err(|_| wrong("it cannot be read".to_owned()))?;
    let Table { header, dialect, mut framer, lines_before } =
        csv.open_table(Box::new(file)).map_err(unreadable)?;
    let places = places(&header, columns).map_err(wrong)?;
    sink.begin(&vec![Compares::Text; columns.len()]);
    let splitter =
        CsvSplitter { dialect, width: header.len(), trailing_delimiter: false, trailer_starts_with: None };
    let (mut before, mut records) = (lines_before, Records::default());
    while let Some(mut chunk) = framer.next_chunk().map_err(unreadable)? {
        chunk.check_text();
        splitter.split(&chunk, &mut records);
        let text = records.text(&chunk);
        let fault = fault(&records);
        for (index, place) in records.places.iter().enumerate() {
            line.set(before + u64::from(place.line) + 1);
            if let Some((_, message)) = fault.as_ref().filter(|(record, _)| *record == index) {
                return Err(wrong(format!(
                    "line {} {message}; correct it, as nothing of the file is used before",
                    line.get()
                )));
            }
            let field = |column: &usize| {
                let span = records.spans.get(index * records.width + column).copied().unwrap_or_default();
                let text =
                    if span.start & crate::formats::Span::SCRATCH != 0 { &records.scratch } else { &*text };
                text.get(span.range()).map(str::trim).filter(|field| !field.is_empty())
            };
            let row: Vec<Option<&str>> = places.iter().map(field).collect();
            if sink.row(&row).is_break() {
                return Ok(());
            }
        }
        before += records.lines;
        drop(text);
        framer.recycle(chunk);
    }
    Ok(())
}

/// What tells the lookup files of a plan from others, in hex; none when it has none. A file that cannot be read counts as
/// another one: reading it will say what is wrong.
pub(super) fn hash(site: &Path, plan: &Plan) -> Option<String> {
    let file = |table: &LookupTable| match &table.source {
        LookupSource::File(name) => Some(name.clone()),
        LookupSource::Table { .. } => None,
    };
    let names: BTreeSet<String> = plan.lookups.iter().filter_map(file).collect();
    if names.is_empty() {
        return None;
    }
    let mut whole = blake3::Hasher::new();
    for name in names {
        let path = site.join(FOLDER).join(&name);
        let content = wire::open_regular(&path).and_then(|file| wire::hash_file(&file, &path, |_| {}));
        // Names end with a byte that no name has, and contents have one length.
        whole.update(name.as_bytes()).update(&[0]).update(&content.map_or([0; 32], |(hash, _)| hash));
    }
    Some(whole.finalize().to_hex().to_string())
}

/// Where the columns stand in the file.
fn places(header: &[String], columns: &[String]) -> Result<Vec<usize>, String> {
    let place = |column: &String| {
        let shown = printable::short(column, SHOWN_CHARACTERS);
        let name = folded(column);
        let mut found = header.iter().enumerate().filter(|(_, found)| folded(found) == name);
        match (found.next(), found.next()) {
            (Some((place, _)), None) => Ok(place),
            (Some(_), Some(_)) => Err(format!("its first line names the column `{shown}` twice")),
            (None, _) => Err(format!("it has no column `{shown}`: its first line names the columns")),
        }
    };
    columns.iter().map(place).collect()
}

/// The first record of a chunk in which something is wrong, and what.
fn fault(records: &Records) -> Option<(usize, String)> {
    let broken = records.faults.first().map(|(record, violation)| (*record, words(violation)));
    let undecodable = records.undecodable.first().map(|(record, _, what)| (*record, (*what).to_owned()));
    let first = broken.into_iter().chain(undecodable).min_by_key(|(record, _)| *record);
    first.map(|(record, message)| (record as usize, message))
}

fn words(violation: &Violation) -> String {
    match violation.rule {
        // The limits of lookup files are not to be set.
        Rule::Size => "is larger than a row of a lookup file may be (1 MiB)".to_owned(),
        Rule::Quote => violation.message.replace("; the record was ended with its line", ""),
        _ => violation.message.to_string(),
    }
}
