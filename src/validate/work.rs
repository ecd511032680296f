//! The work file: what validation found in one delivery, sealed.
//!
//! Rows and rejects are put aside while the file is read, each as an Arrow IPC stream with a hash over it; the seal closes
//! them with counts and verdict. Loading and reports read nothing else. An unsealed work file is worth nothing: it is
//! made again from the archive, to the same effect. A sealed one that is large outlives the process ([`super::kept`]).
//!
//! The rejects outlive the load: [`WorkFile::write_rejects`] keeps them, and [`RejectFile`] reads them again.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    sync::Arc,
};

use arrow_array::{
    ArrayRef, BooleanArray, RecordBatch, UInt32Array, UInt64Array, cast::AsArray, types::UInt32Type,
    types::UInt64Type,
};
use arrow_ipc::{reader::StreamReader, writer::StreamWriter};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use super::{
    ValidateError,
    kept::Folder,
    keys::{KeyHash, KeyIndex},
    rejected_keys::{KeyReader, RejectedKeys},
    store::{RejectReader, RejectWriter},
    superseded::Superseded,
    verdict::Verdict,
};
use crate::{
    model::{Batch, ContentHash, Origin, Reject},
    wire::spool::{Spool, Spooled},
};

/// Columns of the origin that stand before the rows' own.
const ORIGIN_COLUMNS: usize = 4;

/// What a work file amounts to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// Version of the reject file's layout.
    pub version: u32,
    /// Fingerprint of the mapping it was made under.
    pub plan: String,
    /// The target columns of the mapping: violations name them by index.
    pub columns: Vec<String>,
    /// For each of `columns`, true when its values are masked wherever they are shown.
    pub sensitive: Vec<bool>,
    /// The file's own columns.
    pub header: Vec<String>,
    /// The encoding of the file's bytes; UTF-8 when it is not known.
    #[serde(default)]
    pub encoding: String,
    /// For each of `columns` the file's column, from 0, that it takes.
    pub layout: Vec<Option<usize>>,
    /// Records read.
    pub read: u64,
    /// Records that passed and that no later record made void.
    pub good: u64,
    /// Records that a later record of the file made void.
    pub superseded: u64,
    /// Records that the filter leaves out.
    #[serde(default)]
    pub filtered: u64,
    /// Records rejected by validation.
    pub rejected: u64,
    /// Those of them, in mode mirror, whose key cannot be read.
    #[serde(default)]
    pub unreadable_keys: u64,
    /// Violations by rule.
    pub violations: BTreeMap<String, u64>,
    /// True when the rejects hold nothing but ASCII.
    pub rejects_are_ascii: bool,
    /// What is to happen.
    pub verdict: Verdict,
    /// Bytes of the rejects that validation found.
    pub reject_bytes: u64,
    /// BLAKE3 over them.
    pub reject_hash: ContentHash,
    /// Bytes of the rejects that the target caused; they follow the others.
    pub target_reject_bytes: u64,
    /// BLAKE3 over them; all zero when there are none.
    pub target_reject_hash: ContentHash,
}

/// The version of the reject file's layout.
pub const REJECT_FILE_VERSION: u32 = 1;
/// How a reject file begins.
const MAGIC: &[u8; 8] = b"WHARFREJ";
/// A seal is small; more is damage.
const MOST_SEAL_BYTES: u32 = 16 << 20;

/// Puts rows and rejects aside.
pub struct WorkWriter {
    rows: Option<StreamWriter<Spool>>,
    rejects: RejectWriter<Spool>,
    rejects_are_ascii: bool,
}

impl WorkWriter {
    /// Puts aside in `folder`. Without `keep_rows` only the rejects are put aside.
    ///
    /// # Errors
    /// What the disk says.
    pub fn new(folder: &Folder<'_>, schema: &Schema, keep_rows: bool) -> Result<Self, ValidateError> {
        let rows = if keep_rows {
            Some(StreamWriter::try_new(folder.spool(Folder::ROWS), &with_origin(schema))?)
        } else {
            None
        };
        let rejects = RejectWriter::new(folder.spool(Folder::REJECTS))?;
        Ok(Self { rows, rejects, rejects_are_ascii: true })
    }

    /// True when rows are kept.
    #[must_use]
    pub fn keeps_rows(&self) -> bool {
        self.rows.is_some()
    }

    /// Puts rows aside. `origins` are the records, lines, bytes and lengths of all rows of the chunk; `keep` tells
    /// which pass.
    ///
    /// # Errors
    /// What the disk says.
    pub fn push_rows(
        &mut self,
        rows: &RecordBatch,
        origins: OriginArrays,
        keep: &BooleanArray,
    ) -> Result<(), ValidateError> {
        let Some(stream) = &mut self.rows else { return Ok(()) };
        let schema = with_origin(rows.schema_ref());
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(origins.records),
            Arc::new(origins.lines),
            Arc::new(origins.bytes),
            Arc::new(origins.lengths),
        ];
        columns.extend(rows.columns().iter().cloned());
        let batch = RecordBatch::try_new(schema, columns)?;
        if keep.true_count() == batch.num_rows() {
            stream.write(&batch)?;
        } else {
            stream.write(&arrow_select::filter::filter_record_batch(&batch, keep)?)?;
        }
        Ok(())
    }

    /// Puts a reject aside.
    ///
    /// # Errors
    /// What the disk says.
    pub fn push_reject(&mut self, reject: Reject) -> Result<(), ValidateError> {
        self.rejects_are_ascii &= is_ascii(&reject);
        self.rejects.push(reject)
    }

    /// Closes both. The seal's own fields are filled by the caller, the hashes here.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn seal(
        self,
        mut seal: Seal,
        superseded: Superseded,
        rejected_keys: Option<RejectedKeys>,
    ) -> Result<WorkFile, ValidateError> {
        let rows = match self.rows {
            Some(stream) => Some(stream.into_inner()?.finish()?),
            None => None,
        };
        let rejects = self.rejects.finish()?.finish()?;
        seal.rejects_are_ascii = self.rejects_are_ascii;
        seal.reject_bytes = rejects.bytes;
        seal.reject_hash = ContentHash(rejects.hash);
        Ok(WorkFile {
            seal,
            rows,
            superseded,
            rejected_keys,
            rejects,
            target_rejects: Vec::new(),
            target_rejected: 0,
            keys: None,
            reject_keys: Vec::new(),
        })
    }
}

/// Where the rows of a chunk came from, column by column.
#[derive(Debug)]
pub struct OriginArrays {
    /// Record numbers.
    pub records: UInt64Array,
    /// Physical lines.
    pub lines: UInt64Array,
    /// Offsets in the file.
    pub bytes: UInt64Array,
    /// Lengths in bytes.
    pub lengths: UInt32Array,
}

fn with_origin(schema: &Schema) -> SchemaRef {
    let number = |name: &str, wide: bool| {
        Field::new(name, if wide { DataType::UInt64 } else { DataType::UInt32 }, false)
    };
    let mut fields = vec![
        Arc::new(number("wharf_record", true)),
        Arc::new(number("wharf_line", true)),
        Arc::new(number("wharf_byte", true)),
        Arc::new(number("wharf_length", false)),
    ];
    fields.extend(schema.fields().iter().cloned());
    Arc::new(Schema::new(fields))
}

/// A sealed work file.
#[derive(Debug)]
pub struct WorkFile {
    /// What it amounts to.
    pub seal: Seal,
    pub(super) rows: Option<Spooled>,
    pub(super) superseded: Superseded,
    pub(super) rejected_keys: Option<RejectedKeys>,
    pub(super) rejects: Spooled,
    pub(super) target_rejects: Vec<u8>,
    pub(super) target_rejected: u64,
    /// The keys of the rows that pass, each with its record; none when it was put together without them.
    pub keys: Option<KeyIndex>,
    /// Records that validation rejected and whose key can be read, with that key; a limited number, in file order.
    pub reject_keys: Vec<(u64, KeyHash)>,
}

impl WorkFile {
    /// The rows that pass and are not void, batch by batch, in file order.
    ///
    /// # Errors
    /// [`ValidateError`] when they were not kept, or cannot be read.
    pub fn rows(&mut self) -> Result<RowReader<'_>, ValidateError> {
        let spooled = self.rows.as_ref().ok_or(ValidateError::Damaged("its rows were not kept"))?;
        let stream = StreamReader::try_new(spooled.reader()?, None)?;
        Ok(RowReader { stream, superseded: &mut self.superseded })
    }

    /// Hash over the rows that pass, and which of them are void.
    #[must_use]
    pub fn rows_hash(&self) -> ContentHash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.rows.as_ref().map_or([0; 32], |rows| rows.hash));
        hasher.update(&self.superseded.hash());
        ContentHash(*hasher.finalize().as_bytes())
    }

    /// True when a later record made this one void. Quick for records that are asked for in ascending order.
    ///
    /// # Errors
    /// What the disk says.
    pub fn is_void(&mut self, record: u64) -> Result<bool, ValidateError> {
        Ok(!self.superseded.is_empty() && self.superseded.contains(record)?)
    }

    /// In mode mirror, the keys of records that validation rejected, as far as they could be read.
    ///
    /// # Errors
    /// What the disk says.
    pub fn rejected_keys(&self) -> Result<Option<KeyReader<'_>>, ValidateError> {
        self.rejected_keys.as_ref().map(RejectedKeys::read).transpose()
    }

    /// True when anything was rejected.
    #[must_use]
    pub fn has_rejects(&self) -> bool {
        self.seal.rejected > 0 || self.seal.target_reject_bytes > 0
    }

    /// Records rejected, by validation and by the target.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.seal.rejected + self.target_rejected
    }

    /// Adds the rejects that the target caused, in file order.
    ///
    /// # Errors
    /// Never in practice: they are put aside in memory, where their number is limited.
    pub fn add_target_rejects(&mut self, rejects: Vec<Reject>) -> Result<(), ValidateError> {
        self.seal.rejects_are_ascii &= rejects.iter().all(is_ascii);
        let mut writer = RejectWriter::new(Vec::new())?;
        self.target_rejected = rejects.len() as u64;
        rejects.into_iter().try_for_each(|reject| writer.push(reject))?;
        self.target_rejects = writer.finish()?;
        self.seal.target_reject_bytes = self.target_rejects.len() as u64;
        self.seal.target_reject_hash = ContentHash(*blake3::hash(&self.target_rejects).as_bytes());
        Ok(())
    }

    /// The rejects that the target caused.
    ///
    /// # Errors
    /// When they are damaged.
    pub fn target_rejects(&self) -> Result<Vec<Reject>, ValidateError> {
        read_target_rejects(&self.target_rejects)
    }

    /// All rejects in file order.
    ///
    /// # Errors
    /// What the disk says.
    pub fn rejects(&self) -> Result<Rejects<'_>, ValidateError> {
        let found = RejectReader::new(self.rejects.reader()?)?;
        let caused = read_target_rejects(&self.target_rejects)?;
        Ok(Rejects { found: Box::new(found), found_next: None, caused: caused.into_iter().peekable() })
    }

    /// Writes seal and rejects, so that [`RejectFile`] reads them again.
    ///
    /// # Errors
    /// What the disk says.
    pub fn write_rejects(&self, output: &mut impl Write) -> Result<(), ValidateError> {
        let seal = serde_json::to_vec(&self.seal).map_err(io::Error::from)?;
        output.write_all(MAGIC)?;
        output.write_all(&(seal.len() as u32).to_le_bytes())?;
        output.write_all(&seal)?;
        io::copy(&mut self.rejects.reader()?, output)?;
        output.write_all(&self.target_rejects)?;
        Ok(())
    }
}

fn is_ascii(reject: &Reject) -> bool {
    let messages = reject.violations.iter().map(|violation| &violation.message);
    reject.raw.is_ascii() && reject.fields.iter().chain(messages).all(|text| text.is_ascii())
}

fn read_target_rejects(bytes: &[u8]) -> Result<Vec<Reject>, ValidateError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    RejectReader::new(bytes)?.collect()
}

/// The rejects of a delivery, as they were kept.
#[derive(Debug)]
pub struct RejectFile {
    /// What the delivery amounted to.
    pub seal: Seal,
    file: File,
    rejects_at: u64,
}

impl RejectFile {
    /// Opens what [`WorkFile::write_rejects`] wrote, and checks that it is whole.
    ///
    /// # Errors
    /// [`ValidateError::Damaged`] when it is not.
    pub fn open(mut file: File) -> Result<Self, ValidateError> {
        let mut magic = [0u8; 8];
        let mut length = [0u8; 4];
        file.read_exact(&mut magic)?;
        file.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        if magic != *MAGIC || length > MOST_SEAL_BYTES {
            return Err(ValidateError::Damaged("this is no reject file"));
        }
        let mut seal = vec![0u8; length as usize];
        file.read_exact(&mut seal)?;
        let seal: Seal = serde_json::from_slice(&seal).map_err(io::Error::from)?;
        if seal.version != REJECT_FILE_VERSION {
            return Err(ValidateError::Damaged("it was written by another version of wharf"));
        }
        let this = Self { rejects_at: 12 + u64::from(length), seal, file };
        this.verify(this.rejects_at, this.seal.reject_bytes, this.seal.reject_hash)?;
        if this.seal.target_reject_bytes > 0 {
            let at = this.rejects_at + this.seal.reject_bytes;
            this.verify(at, this.seal.target_reject_bytes, this.seal.target_reject_hash)?;
        }
        Ok(this)
    }

    fn part(&self, at: u64, bytes: u64) -> io::Result<io::Take<&File>> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(at))?;
        Ok(file.take(bytes))
    }

    fn verify(&self, at: u64, bytes: u64, expected: ContentHash) -> Result<(), ValidateError> {
        let mut hasher = blake3::Hasher::new();
        let hashed = io::copy(&mut self.part(at, bytes)?, &mut hasher)?;
        if hashed != bytes || *hasher.finalize().as_bytes() != expected.0 {
            return Err(ValidateError::Damaged("its checksum does not match"));
        }
        Ok(())
    }

    /// The rejects that the target caused.
    ///
    /// # Errors
    /// What the disk says.
    pub fn target_rejects(&self) -> Result<Vec<Reject>, ValidateError> {
        let mut caused = Vec::new();
        self.part(self.rejects_at + self.seal.reject_bytes, self.seal.target_reject_bytes)?
            .read_to_end(&mut caused)?;
        read_target_rejects(&caused)
    }

    /// All rejects in file order. One reader at a time.
    ///
    /// # Errors
    /// What the disk says.
    pub fn rejects(&self) -> Result<Rejects<'_>, ValidateError> {
        let caused = self.target_rejects()?;
        let found =
            RejectReader::new(io::BufReader::new(self.part(self.rejects_at, self.seal.reject_bytes)?))?;
        Ok(Rejects { found: Box::new(found), found_next: None, caused: caused.into_iter().peekable() })
    }
}

/// Rejects that validation found and those that the target caused, merged into file order.
pub struct Rejects<'a> {
    found: Box<dyn Iterator<Item = Result<Reject, ValidateError>> + 'a>,
    found_next: Option<Reject>,
    caused: std::iter::Peekable<std::vec::IntoIter<Reject>>,
}

impl Iterator for Rejects<'_> {
    type Item = Result<Reject, ValidateError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.found_next.is_none() {
            match self.found.next() {
                Some(Ok(reject)) => self.found_next = Some(reject),
                Some(Err(error)) => return Some(Err(error)),
                None => {}
            }
        }
        let first_found = self.found_next.as_ref().map(|reject| reject.position.record);
        let first_caused = self.caused.peek().map(|reject| reject.position.record);
        let take_caused = match (first_found, first_caused) {
            (Some(found), Some(caused)) => caused < found,
            (None, caused) => caused.is_some(),
            (Some(_), None) => false,
        };
        if take_caused { self.caused.next().map(Ok) } else { self.found_next.take().map(Ok) }
    }
}

/// Reads rows back; each is as it was written.
pub struct RowReader<'a> {
    stream: StreamReader<Box<dyn Read + Send + 'a>>,
    superseded: &'a mut Superseded,
}

impl RowReader<'_> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<Batch, ValidateError> {
        let keep = if self.superseded.is_empty() { None } else { Some(self.not_void(batch)?) };
        let batch = match keep {
            Some(keep) => &arrow_select::filter::filter_record_batch(batch, &keep)?,
            None => batch,
        };
        let wide = |column: usize| batch.column(column).as_primitive::<UInt64Type>();
        let (records, lines, bytes) = (wide(0), wide(1), wide(2));
        let lengths = batch.column(3).as_primitive::<UInt32Type>();
        let origins = (0..batch.num_rows())
            .map(|row| Origin {
                record: records.value(row),
                line: lines.value(row),
                byte: bytes.value(row),
                length: lengths.value(row),
            })
            .collect();
        let own: Vec<usize> = (ORIGIN_COLUMNS..batch.num_columns()).collect();
        Ok(Batch { rows: batch.project(&own)?, origins })
    }

    fn not_void(&mut self, batch: &RecordBatch) -> Result<BooleanArray, ValidateError> {
        let records = batch.column(0).as_primitive::<UInt64Type>();
        let keep: Result<Vec<bool>, io::Error> = records
            .values()
            .iter()
            .map(|record| self.superseded.contains(*record).map(|void| !void))
            .collect();
        Ok(BooleanArray::from(keep?))
    }
}

impl Iterator for RowReader<'_> {
    type Item = Result<Batch, ValidateError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.stream.next()? {
            Ok(batch) => Some(self.batch(&batch)),
            Err(error) => Some(Err(error.into())),
        }
    }
}
