//! The rows of a returned report and the open records of one delivery become a correction.

use std::{collections::BTreeSet, io};

use super::{
    Cells, Returned, Stray, UNKNOWN_ID,
    columns::Columns,
    locale::Locale,
    merge::{Kept, Merged},
    rerendered::Evidence,
    twin_of,
};
use crate::{
    mapping::Plan,
    model::{DeliveryId, Reject},
    rejects::CorrectionWriter,
    validate::Seal,
};

/// Joins rows with records. The open records of the delivery are gone through twice: with [`Join::see`], which finds out
/// what country the report was written in, then with [`Join::add`]. [`Join::end`] adds what is left.
#[derive(Debug)]
pub struct Join<'a> {
    returned: &'a Returned,
    delivery: DeliveryId,
    plan: &'a Plan,
    columns: Columns,
    evidence: Evidence,
    locale: Option<&'static Locale>,
    undone: u64,
    found: BTreeSet<u64>,
}

impl<'a> Join<'a> {
    /// Joins the rows of `delivery`, whose file has the columns `header`, to be run under `plan`.
    ///
    /// # Errors
    /// In words, when the columns of the report cannot be told.
    pub fn new(
        returned: &'a Returned,
        delivery: DeliveryId,
        plan: &'a Plan,
        header: &[String],
    ) -> Result<Self, String> {
        let columns = Columns::find(header, &returned.header)?;
        let evidence = Evidence::new(returned.written.delimiter);
        Ok(Self {
            returned,
            delivery,
            plan,
            columns,
            evidence,
            locale: None,
            undone: 0,
            found: BTreeSet::new(),
        })
    }

    /// Columns of the report that are nobody's; they are left out.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.columns.ignored
    }

    /// Cells that a program has changed and nobody else, and the country that it was set to; none without such cells.
    #[must_use]
    pub fn undone(&self) -> Option<(u64, &'static str)> {
        self.locale.filter(|_| self.undone > 0).map(|locale| (self.undone, locale.name))
    }

    /// Takes an open record into account; most have no row.
    ///
    /// # Errors
    /// What the disk says.
    pub fn see(&mut self, seal: &Seal, former: &Reject) -> io::Result<()> {
        if let Some(row) = self.row(former)? {
            Kept::new(seal, self.plan, &self.columns).see(&row, former, &mut self.evidence);
        }
        Ok(())
    }

    /// Adds an open record as its row has it, if there is one. `as_came`: its bytes are those of the file, in its encoding.
    ///
    /// # Errors
    /// What the disk says.
    pub fn add(
        &mut self,
        seal: &Seal,
        former: &Reject,
        as_came: bool,
        writer: &mut CorrectionWriter<'_>,
    ) -> io::Result<()> {
        let Some(row) = self.row(former)? else { return Ok(()) };
        self.found.insert(former.position.record);
        let locale = *self.locale.get_or_insert_with(|| self.evidence.locale());
        let kept = Kept::new(seal, self.plan, &self.columns);
        match kept.merge(&row, former, locale, self.returned.written.encoding, &mut self.undone) {
            Merged::Fields(fields) => writer.push(seal, former, &fields),
            Merged::Text(text) => writer.push_text(seal, former, &text),
            Merged::Unchanged => writer.push_again(seal, former, as_came),
            Merged::Refused(message) => writer.refuse(seal, former, &message),
        }
    }

    /// Adds the rows for which there is no open record; `nobodys`: also those that are of no delivery at all.
    ///
    /// # Errors
    /// What the disk says.
    pub fn end(self, nobodys: bool, writer: &mut CorrectionWriter<'_>) -> io::Result<()> {
        let Some(rows) = self.returned.rows.get(&self.delivery) else { return Ok(()) };
        let mut stray = |stray: &Stray, message: &str| {
            let text = self.text(stray.cells)?;
            writer.stray(stray.line, stray.byte, &text, message)
        };
        for (_, known) in rows.known.iter().filter(|(record, _)| !self.found.contains(record)) {
            // Whoever made up an id, or changed one, meets a record that was never rejected.
            let row = Stray { cells: known.cells, line: known.line, byte: known.byte, message: "".into() };
            match known.twin {
                Some(line) => stray(&row, &twin_of(line))?,
                None => stray(&row, UNKNOWN_ID)?,
            }
        }
        let others = self.returned.strays.iter().filter(|_| nobodys);
        rows.strays.iter().chain(others).try_for_each(|row| stray(row, &row.message))
    }

    fn row(&self, former: &Reject) -> io::Result<Option<Vec<String>>> {
        let rows = self.returned.rows.get(&self.delivery);
        let known = rows.and_then(|rows| rows.known.get(&former.position.record));
        known.filter(|known| known.twin.is_none()).map(|known| self.returned.cells(known.cells)).transpose()
    }

    /// A row as one line.
    fn text(&self, cells: Cells) -> io::Result<String> {
        let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
        writer.write_record(self.returned.cells(cells)?).map_err(io::Error::other)?;
        let bytes = writer.into_inner().map_err(|error| io::Error::from(error.error().kind()))?;
        Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned())
    }
}
