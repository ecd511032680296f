//! Corrected reports that come back: known by a cell of their first line, read as spreadsheets leave them, and joined row by
//! row with the records that they correct.
//!
//! Every row ends in one of three ways: it becomes a record of a correction, it is left because another row says the same, or
//! it is a stray, which is reported with the reason why nothing can become of it.

mod columns;
pub mod dialect;
mod join;
mod locale;
mod merge;
mod number;
mod rerendered;
pub mod table;

use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map},
    io::{self, Read, Write},
    path::Path,
};

pub use self::join::Join;
use self::{
    columns::{Columns, id_column},
    dialect::Written,
    table::{ReturnedTable, Row},
};
use super::rejects_csv::ID_COLUMN;
use crate::{
    formats::FormatError,
    model::{DeliveryId, Reason},
    wire::spool::{Spool, Spooled},
};

/// A returned report has at most so many rows, as where each stands is kept in memory, about 100 bytes each; it is more than
/// two whole reports hold unless the site sets `report_max` higher. Whoever has more sends them in several files.
pub const MOST_ROWS: u64 = 250_000;

/// A returned report corrects records of at most so many deliveries.
pub const MOST_DELIVERIES: usize = 100;

const NO_ID: &str =
    "has no id in wharf_reject_id: rows that are not in the report belong in a file of their own";
const UNKNOWN_ID: &str = "has an id that this site does not know: take the row from the report once more, and leave its id as it is";

/// Where the id of a row leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lead {
    /// To this record of this delivery, as far as is known.
    Record(DeliveryId, u64),
    /// To a delivery whose record cannot be corrected, and why, as the rest of a sentence that begins with "the record".
    Closed(DeliveryId, String),
    /// Nowhere.
    Nowhere,
}

/// A returned report that was read.
#[derive(Debug)]
pub struct Returned {
    header: Vec<String>,
    written: Written,
    /// The cells of all rows, as JSON.
    cells: Spooled,
    /// What there is of each delivery.
    rows: BTreeMap<DeliveryId, OfDelivery>,
    /// The deliveries in the order in which the file comes to them.
    order: Vec<DeliveryId>,
    /// Rows of no delivery.
    strays: Vec<Stray>,
}

/// The rows of one delivery.
#[derive(Debug, Default)]
struct OfDelivery {
    /// By record.
    known: BTreeMap<u64, Known>,
    strays: Vec<Stray>,
}

/// A row whose id leads to a record.
#[derive(Clone, Copy, Debug)]
struct Known {
    cells: Cells,
    line: u64,
    byte: u64,
    hash: [u8; 32],
    /// The line of another row that says something else of the same record: nobody can tell which one is meant.
    twin: Option<u64>,
}

/// A row that stands for no record.
#[derive(Clone, Debug)]
struct Stray {
    cells: Cells,
    line: u64,
    byte: u64,
    message: Cow<'static, str>,
}

/// Where the cells of a row were put aside.
#[derive(Clone, Copy, Debug)]
struct Cells {
    at: u64,
    length: usize,
}

/// Puts rows aside.
struct Reader {
    spool: Spool,
    bytes: u64,
    rows: BTreeMap<DeliveryId, OfDelivery>,
    order: Vec<DeliveryId>,
    strays: Vec<Stray>,
    count: u64,
}

impl Returned {
    /// Reads a report that is written so. `lead` is asked where an id leads. Puts aside in `folder`.
    ///
    /// # Errors
    /// [`FormatError::Refused`] when nothing can become of the file, [`FormatError::Read`] when a disk fails, and what
    /// `lead` says.
    pub fn read<E: From<FormatError>>(
        input: Box<dyn Read + Send>,
        written: Written,
        folder: &Path,
        mut lead: impl FnMut(&str) -> Result<Lead, E>,
    ) -> Result<Self, E> {
        let mut table = ReturnedTable::open(input, written)?;
        let id = id_column(&table.header)
            .ok_or_else(|| refused(Reason::Header, format!("the column {ID_COLUMN} is missing")))?;
        let mut reader = Reader {
            spool: Spool::new(folder),
            bytes: 0,
            rows: BTreeMap::new(),
            order: Vec::new(),
            strays: Vec::new(),
            count: 0,
        };
        let mut lines = table.lines_before;
        while let Some(chunk) = table.next_chunk()? {
            let rows = table.rows(&chunk);
            for row in rows.rows {
                let line = lines + row.line as u64 + 1;
                let byte = chunk.byte + row.byte as u64;
                let text = row.cell(id).trim();
                let found = match row.fault {
                    Some(fault) => Found::Stray(None, fault.into()),
                    None if text.is_empty() => Found::Stray(None, NO_ID.into()),
                    None => match lead(text)? {
                        Lead::Record(delivery, record) => Found::Known(delivery, record),
                        Lead::Closed(delivery, why) => Found::Stray(Some(delivery), why.into()),
                        Lead::Nowhere => Found::Stray(None, UNKNOWN_ID.into()),
                    },
                };
                reader.take(&row, line, byte, found)?;
            }
            lines += rows.lines as u64;
        }
        let cells = reader.spool.finish().map_err(FormatError::Read)?;
        let Reader { rows, order, strays, .. } = reader;
        Ok(Self { header: table.header, written, cells, rows, order, strays })
    }

    /// The deliveries that it corrects, in the order in which it comes to them.
    #[must_use]
    pub fn deliveries(&self) -> &[DeliveryId] {
        &self.order
    }

    /// Why the first row of no delivery is one, with its line; none when there is no such row.
    #[must_use]
    pub fn first_stray(&self) -> Option<(u64, &str)> {
        self.strays.first().map(|stray| (stray.line, &*stray.message))
    }

    /// True when the columns of a delivery's file, `header`, can be found in the report; else why not, in words.
    ///
    /// # Errors
    /// In words, when they cannot.
    pub fn has_columns_of(&self, header: &[String]) -> Result<(), String> {
        Columns::find(header, &self.header).map(drop)
    }

    /// Nothing can become of the rows of a delivery: they are strays like rows of none.
    pub fn refuse(&mut self, delivery: DeliveryId, message: &str) {
        self.order.retain(|other| *other != delivery);
        let Some(of) = self.rows.remove(&delivery) else { return };
        let known = of.known.into_values().map(|known| Stray {
            cells: known.cells,
            line: known.line,
            byte: known.byte,
            message: message.to_owned().into(),
        });
        self.strays.extend(known.chain(of.strays));
        self.strays.sort_by_key(|stray| stray.line);
    }

    fn cells(&self, cells: Cells) -> io::Result<Vec<String>> {
        Ok(serde_json::from_slice(&self.cells.read_at(cells.at, cells.length)?)?)
    }
}

/// What a row is.
enum Found {
    Known(DeliveryId, u64),
    /// Of a delivery or of none, and why.
    Stray(Option<DeliveryId>, Cow<'static, str>),
}

impl Reader {
    fn take(&mut self, row: &Row, line: u64, byte: u64, found: Found) -> Result<(), FormatError> {
        self.count += 1;
        if self.count > MOST_ROWS {
            return Err(too_much(format!("more than {MOST_ROWS} rows")));
        }
        let text = serde_json::to_vec(&row.cells).map_err(io::Error::from)?;
        let cells = Cells { at: self.bytes, length: text.len() };
        let stray = |message: Cow<'static, str>| Stray { cells, line, byte, message };
        match found {
            Found::Stray(None, message) => self.strays.push(stray(message)),
            Found::Stray(Some(delivery), message) => {
                let stray = stray(message);
                self.delivery(delivery)?.strays.push(stray);
            }
            Found::Known(delivery, record) => {
                let hash = *blake3::hash(&text).as_bytes();
                let rows = self.delivery(delivery)?;
                match rows.known.entry(record) {
                    btree_map::Entry::Vacant(entry) => {
                        entry.insert(Known { cells, line, byte, hash, twin: None });
                    }
                    // The same row once more says nothing new.
                    btree_map::Entry::Occupied(first) if first.get().hash == hash => return Ok(()),
                    btree_map::Entry::Occupied(mut first) => {
                        let first = first.get_mut();
                        first.twin.get_or_insert(line);
                        rows.strays.push(stray(twin_of(first.line).into()));
                    }
                }
            }
        }
        self.spool.write_all(&text)?;
        self.bytes += text.len() as u64;
        Ok(())
    }

    /// What there is of a delivery.
    fn delivery(&mut self, delivery: DeliveryId) -> Result<&mut OfDelivery, FormatError> {
        if !self.rows.contains_key(&delivery) {
            if self.order.len() >= MOST_DELIVERIES {
                return Err(too_much(format!("rows of more than {MOST_DELIVERIES} deliveries")));
            }
            self.order.push(delivery);
        }
        Ok(self.rows.entry(delivery).or_default())
    }
}

fn twin_of(line: u64) -> String {
    format!(
        "has the id of the row on line {line}, but says something else: keep one of the two, and send it again"
    )
}

fn too_much(what: String) -> FormatError {
    refused(Reason::Header, format!("the corrected file has {what}: divide it, and send the parts"))
}

fn refused(reason: Reason, message: String) -> FormatError {
    FormatError::Refused { reason, message }
}
