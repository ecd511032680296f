//! Reject reports: what did not pass, for the people who can correct it and for the programs that help them.
//!
//! `FILE.rejects.csv` is for people: the original columns as they came, what is wrong in words, and an id by which a
//! corrected row is known again. `FILE.errors.csv` is for programs: one line a violation. Both are rendered from the work
//! file only, so rendering again gives the same bytes.

pub mod correction;
pub mod errors_csv;
pub mod ids;
pub mod rejects_csv;
pub mod returned;
pub mod spreadsheet;

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

pub use correction::{Correction, CorrectionWriter};
pub use ids::{RejectIds, RejectPlace};
use thiserror::Error;

use crate::{
    model::{FileName, Reject, reject::MASK},
    validate::{Seal, ValidateError},
    wire::{
        self, AtomicFile, WireError,
        fail::{self, Point},
    },
};

/// Why a report could not be written.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The disk says no.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The report's text could not be written.
    #[error("cannot write the reject report: {0}")]
    Write(#[from] io::Error),
    /// The rejects could not be read.
    #[error(transparent)]
    Rejects(#[from] ValidateError),
    /// Too many reports of one name.
    #[error(
        "{0} already holds {MOST_SAME_NAME} reports of that name; move the old ones away and run `wharf load` again"
    )]
    TooMany(PathBuf),
}

/// Reports of one file name in one folder; more means that nobody takes them away.
const MOST_SAME_NAME: u32 = 10_000;

/// What each line of a report says first when nothing of the file was loaded.
pub const NOTHING_LOADED: &str = "nothing of this file was loaded, send the whole file again";
/// The same when it was loaded in part.
pub const PART_LOADED: &str = "this file was loaded in part only, send it again";

/// What a report says besides the rejects themselves.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// What the delivery amounted to.
    pub seal: &'a Seal,
    /// Makes the ids.
    pub ids: &'a RejectIds,
    /// Records written out at most; counting goes on.
    pub report_max: u64,
    /// Where the file is to be sent again whole, not these rows: what each line says first.
    pub refused: Option<&'static str>,
    /// They are rejects of an earlier delivery, whose reports have the same ids.
    pub corrects: bool,
}

/// Where the two reports of a delivery stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportPaths {
    /// For people.
    pub rejects: PathBuf,
    /// For programs.
    pub errors: PathBuf,
}

/// Gives all rejects of a delivery, each time from the first.
pub trait RejectSource {
    /// Starts over.
    ///
    /// # Errors
    /// What the disk says.
    fn rejects(&self) -> Result<Box<dyn Iterator<Item = Result<Reject, ValidateError>> + '_>, ValidateError>;
}

impl RejectSource for crate::validate::WorkFile {
    fn rejects(&self) -> Result<Box<dyn Iterator<Item = Result<Reject, ValidateError>> + '_>, ValidateError> {
        Ok(Box::new(self.rejects()?))
    }
}

/// Writes both reports durably into `folder` under the file's name, or under the name and a number when it is taken.
/// Reports that this delivery wrote before are found again and not written twice.
///
/// # Errors
/// What the disk says.
pub fn write_reports(
    folder: &Path,
    file: &FileName,
    source: &dyn RejectSource,
    context: Context<'_>,
) -> Result<ReportPaths, ReportError> {
    wire::folder::ensure(folder)?;
    let name = file.safe();
    let first = source.rejects()?.next().transpose()?.map(|reject| reject.position.record);
    for number in 1..=MOST_SAME_NAME {
        let stem = if number == 1 { name.clone() } else { format!("{name}.{number}") };
        let paths = ReportPaths {
            rejects: folder.join(format!("{stem}.rejects.csv")),
            errors: folder.join(format!("{stem}.errors.csv")),
        };
        // An attempt before this one may have found another record first: its report of errors tells which.
        let mut firsts = [first, first_record_in(&paths.errors)].into_iter().flatten();
        let ours = if context.corrects {
            is_the_same(&paths.rejects, source, context)?
        } else {
            firsts.any(|record| is_report_of(&paths.rejects, &context.ids.id(record)))
        };
        if !ours && (is_taken(&paths.rejects) || is_taken(&paths.errors)) {
            continue;
        }
        fail::step(Point::ReportWrite)?;
        let mut errors = AtomicFile::create(&paths.errors)?;
        let mut rejects = AtomicFile::create(&paths.rejects)?;
        render(source, context, &mut rejects, &mut errors)?;
        // The ids stand in this one: after a crash between the two, it shows that the name is ours.
        if ours {
            rejects.commit_replace()?;
        } else if let Err(error) = rejects.commit_new() {
            if error.is_taken() {
                continue; // somebody was quicker
            }
            return Err(error.into());
        }
        fail::step(Point::ReportBetween)?;
        errors.commit_replace()?;
        fail::moment(Point::ReportWritten);
        return Ok(paths);
    }
    Err(ReportError::TooMany(folder.to_owned()))
}

/// Writes both reports in one pass over the rejects.
///
/// # Errors
/// What the disk says.
pub fn render(
    source: &dyn RejectSource,
    context: Context<'_>,
    rejects: &mut dyn Write,
    errors: &mut dyn Write,
) -> Result<(), ReportError> {
    let mut for_people = rejects_csv::RejectsCsv::new(rejects, context)?;
    let mut for_programs = errors_csv::ErrorsCsv::new(errors, context)?;
    for (written, reject) in source.rejects()?.enumerate() {
        if written as u64 >= context.report_max {
            break;
        }
        let reject = reject?;
        for_people.push(&reject)?;
        for_programs.push(&reject)?;
    }
    for_people.finish()?;
    for_programs.finish()
}

/// True when the report at `path` is what would be written.
fn is_the_same(path: &Path, source: &dyn RejectSource, context: Context<'_>) -> Result<bool, ReportError> {
    let Ok(file) = wire::open_regular(path) else { return Ok(false) };
    let mut compared = Compared { file: io::BufReader::new(file), is_same: true };
    render(source, context, &mut compared, &mut io::sink())?;
    let mut rest = [0];
    Ok(compared.is_same && matches!(compared.file.read(&mut rest), Ok(0)))
}

/// Takes bytes and compares them with those of a file.
struct Compared {
    file: io::BufReader<std::fs::File>,
    is_same: bool,
}

impl Write for Compared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut found = vec![0; bytes.len()];
        self.is_same = self.is_same && self.file.read_exact(&mut found).is_ok() && found == bytes;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_taken(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// True when the report at `path` begins with the reject `id`.
fn is_report_of(path: &Path, id: &str) -> bool {
    // A header of a few thousand columns fits; the id opens the line after it.
    const SEARCHED_BYTES: u64 = 1 << 20;
    let Ok(file) = wire::open_regular(path) else { return false };
    let mut head = Vec::new();
    file.take(SEARCHED_BYTES).read_to_end(&mut head).is_ok()
        && memchr::memmem::find(&head, id.as_bytes()).is_some()
}

/// The record that the first line of a report of errors is about.
fn first_record_in(errors: &Path) -> Option<u64> {
    const SEARCHED_BYTES: u64 = 256;
    let mut head = Vec::new();
    wire::open_regular(errors).ok()?.take(SEARCHED_BYTES).read_to_end(&mut head).ok()?;
    let line = head.split(|byte| *byte == b'\n').nth(1)?;
    std::str::from_utf8(line.split(|byte| *byte == b',').next()?).ok()?.parse().ok()
}

/// A column's value as it may be shown.
#[must_use]
pub fn shown_value<'a>(seal: &Seal, column: Option<u16>, value: &'a str) -> &'a str {
    let sensitive =
        column.and_then(|column| seal.sensitive.get(usize::from(column))).copied().unwrap_or(false);
    if sensitive && !value.is_empty() { MASK } else { value }
}

/// The name of the file's own column that a target column takes; the target column's where the file has none.
#[must_use]
pub fn column_of_file(seal: &Seal, column: u16) -> &str {
    let column = usize::from(column);
    let place = seal.layout.get(column).copied().flatten();
    let name = place.and_then(|place| seal.header.get(place)).or_else(|| seal.columns.get(column));
    name.map_or("", String::as_str)
}

fn finish_csv<W: Write>(writer: csv::Writer<W>) -> Result<(), ReportError> {
    writer.into_inner().map_err(|error| io::Error::from(error.error().kind()))?.flush()?;
    Ok(())
}

fn csv_error(error: csv::Error) -> ReportError {
    ReportError::Write(error.into())
}
