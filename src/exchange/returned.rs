//! Corrected reports that come back: known by their first line before any mapping is asked, and made into corrections, one for
//! each delivery whose rejects they hold.

use std::{collections::HashMap, fs::File, os::unix::fs::FileExt, path::Path, sync::Arc};

use super::{
    Engine, EngineError, Observer,
    corrections::{self, Version, find_reject},
    take::{self, Archived, Job, LoadOptions, Origin, TakenFile, accepted, ended, millis_since, stop},
};
use crate::{
    formats::FormatError,
    ledger::{DeliveryState, Event, LedgerReader, RejectStates},
    mapping::Plan,
    model::{DeliveryId, FileName, Reason, State, printable},
    rejects::{
        Correction, CorrectionWriter,
        returned::{
            Join, Lead, Returned,
            dialect::{HEAD_BYTES, is_returned, written},
        },
    },
    validate::{ValidateError, work::RejectFile},
    wire::{self, FileStamp, WireError},
};

/// What a returned report comes to.
#[derive(Debug)]
pub(super) enum ComesTo {
    /// These corrections.
    Corrections(Corrections),
    /// It is refused as a whole.
    Refused(Reason, String),
}

/// The corrections of one file.
#[derive(Debug, Default)]
pub(super) struct Corrections {
    parts: Vec<(Correction, Arc<Plan>)>,
    /// What a person should know of all of them.
    note: Option<String>,
}

/// Why a returned report cannot be made into corrections now.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl<E: Into<EngineError>> From<Own<E>> for Trouble {
    fn from(error: Own<E>) -> Self {
        Self::Engine(error.0.into())
    }
}

/// An error that is one of the engine's own.
struct Own<E>(E);

/// True when a file is a returned report, as its first bytes show. Where it is read from does not change.
pub(super) fn shows_returned(file: &File) -> bool {
    let mut head = vec![0; HEAD_BYTES];
    let mut length = 0;
    while let Some(rest) = head.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            // Whatever is wrong is said when the file is copied.
            Err(_) => return false,
        }
    }
    is_returned(head.get(..length).unwrap_or_default())
}

impl Engine {
    /// Makes corrections of a returned report whose copy is at `path`.
    ///
    /// # Errors
    /// When the ledger or the store fails, or what belongs to the rows cannot be read: then it may go well later.
    pub(super) fn read_returned(&self, path: &Path) -> Result<ComesTo, EngineError> {
        match self.corrections_in(path) {
            Ok(corrections) => Ok(corrections),
            Err(Trouble::Format(FormatError::Refused { reason, message })) => {
                Ok(ComesTo::Refused(reason, message))
            }
            Err(Trouble::Format(FormatError::Read(cause))) => Err(WireError::io("read", path, cause).into()),
            Err(Trouble::Engine(error)) => Err(error),
        }
    }

    fn corrections_in(&self, path: &Path) -> Result<ComesTo, Trouble> {
        let open = || File::open(path).map_err(FormatError::Read);
        let Some(written) = written(&mut open()?).map_err(FormatError::Read)? else {
            return Err(FormatError::Read(std::io::Error::other("it is no corrected report")).into());
        };
        let reader = LedgerReader::open(&self.folders.ledger()).map_err(Own)?;
        let mut leads = Leads { reader: &reader, key: self.identity.key, known: HashMap::new() };
        let work = self.folders.work();
        let mut returned = Returned::read(Box::new(open()?), written, &work, |id| leads.of(id))?;
        if returned.deliveries().is_empty() {
            return Ok(match returned.first_stray() {
                Some((line, why)) => ComesTo::Refused(
                    Reason::NoReject,
                    format!("no row of it belongs to a reject of this site; line {line}: the record {why}"),
                ),
                None => ComesTo::Refused(Reason::Empty, "the corrected file has no rows".to_owned()),
            });
        }
        if let Err(message) = self.refuse_others(&mut returned)? {
            return Ok(ComesTo::Refused(Reason::Header, message));
        }
        let mut corrections = Corrections::default();
        for (number, delivery) in returned.deliveries().iter().enumerate() {
            let former = self.known(*delivery)?;
            let plan = self.plan_of_today(&former, None)?;
            match self.join(&returned, *delivery, &plan, number == 0, &mut corrections.note)? {
                Ok(correction) => corrections.parts.push((correction, plan)),
                Err(message) => return Ok(ComesTo::Refused(Reason::Header, message)),
            }
        }
        Ok(ComesTo::Corrections(corrections))
    }

    /// Refuses the rows of deliveries whose columns the file does not have, as long as it has those of one; else says in words
    /// why nothing can become of it.
    fn refuse_others(&self, returned: &mut Returned) -> Result<Result<(), String>, EngineError> {
        let mut wrong = Vec::new();
        for delivery in returned.deliveries() {
            if let Err(message) = returned.has_columns_of(&self.header_of(*delivery)?) {
                wrong.push((*delivery, message));
            }
        }
        if wrong.len() == returned.deliveries().len() {
            return Ok(wrong.into_iter().next().map_or(Ok(()), |(_, message)| Err(message)));
        }
        for (delivery, _) in wrong {
            returned.refuse(
                delivery,
                &format!("is of another file ({delivery}), whose columns are not those of this one: send it in a report of its own"),
            );
        }
        Ok(Ok(()))
    }

    /// Joins the rows of one delivery with its open rejects; or says in words why that cannot be done.
    fn join(
        &self,
        returned: &Returned,
        delivery: DeliveryId,
        plan: &Plan,
        is_first: bool,
        note: &mut Option<String>,
    ) -> Result<Result<Correction, String>, EngineError> {
        let header = self.header_of(delivery)?;
        let mut join = match Join::new(returned, delivery, plan, &header) {
            Ok(join) => join,
            Err(message) => return Ok(Err(message)),
        };
        let mut add = |text: String| {
            let before = note.take().map(|before| before + "; ").unwrap_or_default();
            // Each part of a file has the same columns.
            *note = Some(if before.contains(&text) { before } else { before + &text });
        };
        if !join.ignored().is_empty() {
            let names = join.ignored().join("\", \"");
            add(format!(
                "these columns of the corrected file are not in the report, and were left out: \"{names}\""
            ));
        }
        let work = self.folders.work();
        let failed = |cause| WireError::io("write", &work, cause);
        let reader = LedgerReader::open(&self.folders.ledger())?;
        corrections::for_each_open(&self.folders, reader.view(), delivery, &mut |seal, former, _| {
            join.see(seal, &former)
        })?;
        let mut writer = CorrectionWriter::new(&work, delivery, plan, &header).map_err(failed)?;
        corrections::for_each_open(&self.folders, reader.view(), delivery, &mut |seal, former, version| {
            join.add(seal, &former, version == Version::First, &mut writer)
        })?;
        if let Some((cells, country)) = join.undone() {
            let cells = if cells == 1 { "1 cell that".to_owned() } else { format!("{cells} cells that") };
            add(format!(
                "{cells} nobody had to correct came back as a spreadsheet ({country}) shows them, and stay as they were"
            ));
        }
        join.end(is_first, &mut writer).map_err(failed)?;
        Ok(Ok(writer.finish().map_err(failed)?))
    }

    /// The columns of a delivery's file.
    fn header_of(&self, delivery: DeliveryId) -> Result<Vec<String>, EngineError> {
        let path = self.folders.reject_file(delivery);
        let kept = File::open(&path).map_err(ValidateError::Work).and_then(RejectFile::open);
        let kept = kept.map_err(|error| {
            let path = self.folders.from_site(&path);
            EngineError::Decision(format!("the rejects kept in {path} cannot be read: {error}"))
        })?;
        Ok(kept.seal.header)
    }

    /// The deliveries that corrections make; the ledger has not heard of them yet.
    pub(super) fn jobs_of(
        &self,
        corrections: &Corrections,
        origin: &Origin<'_>,
        archived: &Archived,
    ) -> Result<Vec<Job>, EngineError> {
        let mut jobs = Vec::new();
        for (correction, plan) in &corrections.parts {
            let mut job = self.correction_job(correction, plan, origin, Some(&archived.path))?;
            job.pending.extend(corrections.note.clone().map(|text| Event::Noted { text }));
            jobs.push(job);
        }
        Ok(jobs)
    }

    /// Takes a returned report that a person named; it stays where it is.
    pub(super) fn take_returned(
        &self,
        source: &File,
        stamp: &FileStamp,
        file: &Path,
        options: &LoadOptions,
        observer: &mut dyn Observer,
    ) -> Result<TakenFile, EngineError> {
        let started = self.clock.elapsed();
        if options.mapping.is_some() {
            observer.note(&format!(
                "{}: it is a corrected report, so it is loaded under the mapping of the rows that it corrects",
                printable::text(&file.to_string_lossy())
            ));
        }
        let name = FileName::new(std::os::unix::ffi::OsStrExt::as_bytes(
            file.file_name().unwrap_or(file.as_os_str()),
        ));
        let mut archived = match self.archive(source, file, &name, observer)? {
            Ok(archived) => archived,
            Err(why) => return self.not_taken(file, options.request, why.reason(), why.message()),
        };
        if let Some(copied) = archived.copied.take() {
            copied.sync()?;
        }
        let origin = Origin {
            source: take::COMMAND_LINE,
            path: file,
            name: &name,
            modified_nanos: stamp.modified_nanos,
            stamp: None,
            evidence: None,
        };
        let comes_to = match self.read_returned(&archived.path) {
            Ok(comes_to) => comes_to,
            Err(EngineError::Ledger(error)) => return Err(error.into()),
            Err(error) => {
                discard(&archived);
                return self.not_taken(file, options.request, Reason::Fault, error.to_string());
            }
        };
        match comes_to {
            ComesTo::Corrections(corrections) => {
                if let Some(note) = &corrections.note {
                    observer.note(&format!("{}: {note}", printable::text(&file.to_string_lossy())));
                }
                let mut jobs = self.jobs_of(&corrections, &origin, &archived)?;
                let answers = accepted(options.request, jobs.iter().map(|job| job.id).collect());
                self.record_taken(&mut jobs, &answers)?;
                Ok(TakenFile::Jobs(jobs))
            }
            ComesTo::Refused(reason, message) => {
                let worked_millis = millis_since(self, started);
                let events = vec![
                    self.taken(&origin, &archived, None),
                    Event::Refused(stop(reason, &message, worked_millis)),
                ];
                self.record_answering(archived.id, events, &accepted(options.request, vec![archived.id]))?;
                Ok(TakenFile::Ended(Box::new(ended(archived.id, file, reason, message, worked_millis))))
            }
        }
    }
}

/// Removes a copy that nobody will ever ask for.
pub(super) fn discard(archived: &Archived) {
    if archived.is_new {
        wire::discard(&archived.path);
    }
}

/// Finds out where ids lead.
struct Leads<'a> {
    reader: &'a LedgerReader,
    key: [u8; 32],
    known: HashMap<DeliveryId, (DeliveryState, RejectStates)>,
}

impl Leads<'_> {
    fn of(&mut self, id: &str) -> Result<Lead, Trouble> {
        let view = self.reader.view();
        let found = find_reject(view, &self.key, id).map_err(Own)?;
        let Some((delivery, record)) = found.filter(|(_, record)| *record > 0) else {
            return Ok(Lead::Nowhere);
        };
        if !self.known.contains_key(&delivery)
            && let Some(state) = view.by_id(delivery).map_err(Own)?
        {
            let states = view.reject_states(delivery).map_err(Own)?;
            self.known.insert(delivery, (state, states));
        }
        let Some((state, states)) = self.known.get(&delivery) else { return Ok(Lead::Nowhere) };
        if let Some(closing) = states.of(record) {
            return Ok(Lead::Closed(delivery, closing.words()));
        }
        if state.is_shadow() {
            return Ok(Lead::Closed(
                delivery,
                "is of a shadow run, of which nothing is loaded: its report is for looking at only"
                    .to_owned(),
            ));
        }
        Ok(match state.state {
            State::LoadedWithRejects => Lead::Record(delivery, record),
            State::Held | State::Failed | State::Taken | State::Waiting | State::Running => Lead::Closed(
                delivery,
                format!(
                    "is of a file that is not loaded yet: see `wharf show {delivery}`, and send it again after that"
                ),
            ),
            _ => Lead::Closed(
                delivery,
                "is of a file of which nothing was loaded: correct that file itself, and send it whole"
                    .to_owned(),
            ),
        })
    }
}
