//! The part of a delivery that touches the target and the reports: rows in one transaction (or one for each batch, see
//! [`mod@super::batches`]), refusals turned into rejects, rejects kept, reports written.

use std::{collections::BTreeMap, fs::File, path::Path};

use super::{
    Engine, Observer, Step,
    batches::{Batching, Opened, Part},
    commit::Begin,
    deliver::{End, Fault, WORTH_TELLING_RECORDS},
    older::{Older, leave_out},
    pipeline::{self, PipelineError},
    report::sample,
    take::Job,
    vanish::{self, Vanish},
};
use crate::{
    formats::FormatError,
    ledger::{Event, Reports},
    mapping::plan::Plan,
    model::{Batch, ContentHash, Outcome, Reason, Reject, Rule, Tally, Violation},
    rejects::{self, Context, RejectIds},
    targets::{self, Begun, Committed, Load, LoadId, Refusal, RowRefusal, TargetError},
    validate::{ValidateError, WorkFile, keys::KeyIndex},
    wire::{
        AtomicFile, WireError,
        fail::{self, Point},
    },
};

/// Rows that the target may refuse one by one; a file with more is refused whole.
pub use crate::targets::MOST_REFUSALS as MOST_TARGET_REJECTS;

/// What is said of a delivery whose load had been committed when the process ended, or the reply to the commit was lost.
const IN_ALREADY: &str = "the database had the rows already; only recorded now";

impl Engine {
    /// Ends a delivery of which nothing is loaded, or no more than a part, with its reports.
    pub(super) fn withhold(
        &self,
        job: &Job,
        work: &WorkFile,
        part: Option<&Part>,
        (outcome, reason, message): (Outcome, Reason, String),
    ) -> Result<End, Fault> {
        self.keep_rejects(job, work)?;
        let refused = (outcome == Outcome::Refused).then_some(if part.is_some() {
            rejects::PART_LOADED
        } else {
            rejects::NOTHING_LOADED
        });
        let reports = self.write_reports(job, work, refused)?;
        let sample = sample(work)?;
        let message = match part {
            Some(part) => part.words(&message, outcome, job.plan.table.mode),
            None => message,
        };
        let mut end = End::stopped(outcome, reason, message);
        (end.tally, end.reports, end.sample) = (Part::tally(part, work), reports, sample);
        end.rejects = self.part_news(job, work, part)?;
        Ok(end)
    }

    /// Ends a delivery that a fault stopped; what was committed of it stays.
    pub(super) fn failed(&self, job: &Job, work: &WorkFile, part: Option<&Part>, fault: &Fault) -> End {
        let mut end = End::failed(fault, Part::tally(part, work));
        if let Some(part) = part {
            let message = end.message.unwrap_or_default();
            end.message = Some(part.words(&message, Outcome::Failed, job.plan.table.mode));
            end.rejects = self.part_news(job, work, Some(part)).unwrap_or_default();
        }
        end
    }

    pub(super) fn load_rows(
        &self,
        job: &Job,
        work: &mut WorkFile,
        part: &mut Option<Part>,
        observer: &mut dyn Observer,
    ) -> Result<End, Fault> {
        let settings = &self.site.settings;
        let connection = job.plan.connection.as_deref();
        let target = self.targets.get(settings, connection)?;
        let schema = job.plan.row_schema(&work.seal.layout);
        let load = LoadId { site: &self.identity.id, delivery: job.id };
        let turn = settings.connection(connection).and_then(|found| self.targets.turn(found));
        // Nothing is begun that would keep the engine from ending; what is begun is finished.
        if self.is_stopping() {
            return Err(Fault::Stopped);
        }
        let older = self.older_rows(job, work, &*target)?;
        // They are asked for again when the rows are in; until then the memory is the database's.
        work.keys.as_mut().map(KeyIndex::set_aside).transpose().map_err(ValidateError::from)?;
        targets::reach(Point::TargetBegin)?;
        let begin = || target.begin(load, &job.plan.table, schema.clone());
        let loading = match begin() {
            Ok(Begun::Open(open)) => {
                let opened = Opened::new(open, &job.plan);
                self.write_rows(job, work, opened, (&begin, &older), part, observer)?
            }
            Ok(Begun::Resumed(open, progress)) => {
                let opened = self.take_up(job, work, (open, progress), false, part)?;
                self.write_rows(job, work, opened, (&begin, &older), part, observer)?
            }
            Ok(Begun::Lost(open, progress)) => {
                let opened = self.take_up(job, work, (open, progress), true, part)?;
                self.write_rows(job, work, opened, (&begin, &older), part, observer)?
            }
            Ok(Begun::Already(committed)) => self.loaded_before(job, work, committed, observer)?,
            Err(TargetError::Misfit(differences)) => return self.misfit(job, work, &differences),
            Err(error) => return Err(error.into()),
        };
        drop(turn);
        let (tally, message) = match loading {
            Loading::Done(tally, message) => (tally, message),
            Loading::Withheld(outcome, reason, message, deletes) => {
                let end = self.withhold(job, work, part.as_ref(), (outcome, reason, message))?;
                return Ok(End { deletes, ..end });
            }
        };
        let reports = match self.write_reports(job, work, None) {
            Ok(reports) => reports,
            // What is in the database stays there: another attempt finds it and only writes the reports.
            Err(fault) => {
                let mut end = End::failed(&fault, tally);
                end.message =
                    Some(format!("the good rows are loaded, but not the rejects reported: {fault}"));
                return Ok(end);
            }
        };
        Ok(End {
            outcome: if tally.rejected == 0 { Outcome::Loaded } else { Outcome::LoadedWithRejects },
            reason: None,
            message,
            tally,
            deletes: 0,
            reports,
            sample: sample(work)?,
            retryable: false,
            rejects: self.reject_news(job, work)?,
        })
    }

    pub(super) fn misfit(&self, job: &Job, work: &WorkFile, differences: &[String]) -> Result<End, Fault> {
        let message = format!(
            "the table {} does not fit the mapping: {}",
            job.plan.table.table,
            differences.join("; ")
        );
        let part = self.part_in_target(job.id, &job.plan);
        self.withhold(job, work, part.as_ref(), (Outcome::Refused, Reason::Target, message))
    }

    fn write_rows(
        &self,
        job: &Job,
        work: &mut WorkFile,
        mut opened: Opened,
        (begin, older): (Begin<'_>, &Older),
        part: &mut Option<Part>,
        observer: &mut dyn Observer,
    ) -> Result<Loading, Fault> {
        targets::reach(Point::TargetBegun)?;
        let (mut refusals, mut left_out) = (std::mem::take(&mut opened.refusals), Vec::new());
        let mut batching = Batching::new(self, job, work, &opened, (&mut *part, begin));
        let Opened { mut open, note: known, .. } = opened;
        let mut newer_only = |batch: Result<Batch, ValidateError>| leave_out(batch?, older, &mut left_out);
        let written = if work.seal.good < WORTH_TELLING_RECORDS {
            let batches = work.rows()?.map(&mut newer_only);
            write_all(&mut open, batches, batching.as_mut(), &mut refusals, &mut |_| {})?
        } else {
            let good = work.seal.good;
            let mut progress = |written| observer.progress(&job.file, Step::Loading, written, good);
            // Reading back and decoding goes on beside writing; a few batches are enough to keep both busy.
            std::thread::scope(|scope| {
                let (batches, received) = std::sync::mpsc::sync_channel(4);
                let rows = work.rows()?;
                scope.spawn(move || {
                    for batch in rows {
                        if batches.send(batch).is_err() {
                            return; // writing has stopped
                        }
                    }
                });
                let batches = received.into_iter().map(&mut newer_only);
                write_all(&mut open, batches, batching.as_mut(), &mut refusals, &mut progress)
            })?
        };
        let written = match written {
            Written::All if !finish(&mut *open, work, &mut refusals)? => Written::TooMany,
            written => written,
        };
        match written {
            Written::All => {}
            Written::TooMany => {
                drop(open);
                let message = too_many(&refusals, part.is_none());
                // What was refused between rows that are loaded is a reject of the delivery.
                let up_to = part.map_or(0, |part| part.progress.mark.record);
                refusals.retain(|refusal| refusal.origin.record <= up_to);
                self.add_refusals(job, work, &refusals)?;
                note_added(part);
                return Ok(Loading::Withheld(Outcome::Refused, Reason::TargetLimit, message, 0));
            }
            Written::Judged(withheld) => {
                drop(open);
                self.add_refusals(job, work, &refusals)?;
                note_added(part);
                return Ok(withheld);
            }
        }
        refusals.append(&mut left_out);
        let note = match self.judge_loaded(job, work, refusals.len() as u64, &mut open)? {
            Ok(note) => note,
            Err(withheld) => {
                drop(open);
                self.add_refusals(job, work, &refusals)?;
                note_added(part);
                return Ok(withheld);
            }
        };
        let notes = [note, known, open.note()].into_iter().flatten();
        let note = notes.reduce(|note, more| format!("{note}; {more}"));
        let rejected = work.seal.rejected + refusals.len() as u64;
        let counts = open.counts();
        let tally = Tally {
            read: work.seal.read,
            rejected,
            superseded: counts.superseded + work.seal.superseded,
            filtered: work.seal.filtered,
            ..counts
        };
        if !tally.balances() {
            return Err(Fault::Lasting(format!(
                "the counts do not balance, so nothing was loaded: {tally:?}"
            )));
        }
        self.add_refusals(job, work, &refusals)?;
        // From here on the target may have committed: what only it could tell must be on the disk first.
        self.keep_rejects(job, work)?;
        targets::reach(Point::TargetSeal)?;
        open.seal(&tally, work.seal.target_reject_hash)?;
        targets::reach(Point::TargetCommit)?;
        match open.commit() {
            Err(TargetError::Unsettled(lost)) => self.settle_commit(job, &lost, begin, observer)?,
            committed => committed?,
        }
        targets::reach(Point::TargetCommitted)?;
        Ok(Loading::Done(tally, note))
    }

    /// Judges a load whose rows are written but not committed: there may be too many rejects, now that the target has added
    /// its own, or too many rows that would vanish. If not, those vanish; what is to be told of them is given back.
    fn judge_loaded(
        &self,
        job: &Job,
        work: &WorkFile,
        refused: u64,
        open: &mut Box<dyn Load>,
    ) -> Result<Result<Option<String>, Loading>, Fault> {
        let held = |reason, message, deletes| Err(Loading::Withheld(Outcome::Held, reason, message, deletes));
        let rejected = work.seal.rejected + refused;
        if let Some(withheld) = job.judge_rejects(work.seal.read, rejected) {
            return Ok(Err(withheld));
        }
        if !job.may_vanish() {
            return Ok(Ok(None));
        }
        let vanish = vanish::look::<Fault>(&job.plan, work, open)?;
        match vanish.hold(&job.plan, work.seal.good.saturating_sub(refused)) {
            Some(hold) if !job.accepts_deletes(hold.deletes) => {
                return Ok(held(Reason::DeleteHold, hold.message, hold.deletes));
            }
            _ => {}
        }
        if let Vanish::Rows(_) = vanish {
            targets::reach(Point::TargetVanish)?;
            open.vanish()?;
        }
        Ok(Ok(vanish.note()))
    }

    /// The target has the delivery already: the process ended before the ledger knew.
    fn loaded_before(
        &self,
        job: &Job,
        work: &mut WorkFile,
        committed: Committed,
        observer: &mut dyn Observer,
    ) -> Result<Loading, Fault> {
        if committed.rejects != ContentHash([0; 32]) {
            let path = self.folders.reject_file(job.id);
            let file = File::open(&path).map_err(|cause| WireError::io("open", &path, cause))?;
            let kept = crate::validate::work::RejectFile::open(file)?;
            if kept.seal.target_reject_hash != committed.rejects {
                return Err(Fault::Lasting(format!(
                    "the rejects kept in {} are not those of the load that the database remembers",
                    self.folders.from_site(&path)
                )));
            }
            work.add_target_rejects(kept.target_rejects()?)?;
        }
        self.keep_rejects(job, work)?;
        observer.note(&format!("{} ({}): {IN_ALREADY}", job.name, job.id));
        self.record(job.id, vec![Event::Noted { text: IN_ALREADY.to_owned() }])?;
        let message = if job.may_vanish() { vanish::unreadable(&job.plan, work) } else { None };
        Ok(Loading::Done(committed.tally, message))
    }

    /// Turns rows that the target refused into rejects.
    fn add_refusals(&self, job: &Job, work: &mut WorkFile, refusals: &[RowRefusal]) -> Result<(), Fault> {
        if refusals.is_empty() {
            return Ok(());
        }
        let mut by_record: BTreeMap<u64, &RowRefusal> =
            refusals.iter().map(|refusal| (refusal.origin.record, refusal)).collect();
        let file = self.open_archived(job)?;
        let wanted = by_record.keys().copied().collect();
        let found =
            pipeline::read_records(&job.plan, Box::new(file), wanted).map_err(|error| match error {
                PipelineError::Format(FormatError::Read(cause)) => {
                    WireError::io("read", &job.archive, cause).into()
                }
                other => Fault::Lasting(other.to_string()),
            })?;
        let layout = work.seal.layout.clone();
        let rejects = found.into_iter().filter_map(|record| {
            let refusal = by_record.remove(&record.position.record)?;
            let columns: Vec<usize> = match (refusal.column, &refusal.rule) {
                (Some(column), _) => vec![usize::from(column)],
                (None, Rule::Key) => job.plan.table.key.clone(),
                (None, _) => Vec::new(),
            };
            let place = |column: usize| layout.get(column).copied().flatten();
            let field = |column| place(column).and_then(|at| record.fields.get(at)).map(|field| &**field);
            let violation = Violation {
                column: columns.first().and_then(|column| u16::try_from(*column).ok()),
                rule: refusal.rule.clone(),
                value: job.plan.joined(&columns, field).into(),
                message: words(&job.plan, refusal).into(),
            };
            Some(Reject { violations: vec![violation], ..record })
        });
        Ok(work.add_target_rejects(rejects.collect())?)
    }

    /// Keeps the rejects beyond this run, durably.
    pub(super) fn keep_rejects(&self, job: &Job, work: &WorkFile) -> Result<(), Fault> {
        if !work.has_rejects() {
            return Ok(());
        }
        let path = self.folders.reject_file(job.id);
        fail::step(Point::RejectsKeep).map_err(|cause| WireError::io("write", &path, cause))?;
        let mut file = AtomicFile::create(&path)?;
        work.write_rejects(&mut file)?;
        Ok(file.commit_replace()?)
    }

    /// Writes the reports; `refused` is what each line says first where the file is to be sent again.
    pub(super) fn write_reports(
        &self,
        job: &Job,
        work: &WorkFile,
        refused: Option<&'static str>,
    ) -> Result<Reports, Fault> {
        if !work.has_rejects() {
            return Ok(Reports::default());
        }
        self.refuse_links(&self.folders.reports(&job.plan.name))?;
        // What a correction could not load keeps the ids that it has.
        let of = job.corrects.unwrap_or(job.id);
        let context = Context {
            seal: &work.seal,
            ids: &RejectIds::new(self.identity.key, of),
            report_max: self.site.settings.report_max,
            refused,
            corrects: job.corrects.is_some(),
        };
        let paths = rejects::write_reports(&self.folders.reports(&job.plan.name), &job.name, work, context)?;
        Ok(self.folders.report_paths(&paths))
    }
}

impl Engine {
    /// Refuses a folder of reports, below one of its kind, where either is a symbolic link.
    pub(super) fn refuse_links(&self, folder: &Path) -> Result<(), Fault> {
        for folder in folder.parent().into_iter().chain([folder]) {
            if folder.is_symlink() {
                return Err(Fault::Lasting(format!(
                    "{} is a symbolic link, and reports are not written through links: put a folder in its place",
                    folder.display()
                )));
            }
        }
        Ok(())
    }
}

/// How writing batches ended.
pub(super) enum Written {
    /// They are all written.
    All,
    /// The target refuses too many rows.
    TooMany,
    /// The load cannot go on.
    Judged(Loading),
}

/// Writes batches until they end.
pub(super) fn write_all(
    open: &mut Box<dyn Load>,
    batches: impl IntoIterator<Item = Result<Batch, ValidateError>>,
    mut batching: Option<&mut Batching<'_>>,
    refusals: &mut Vec<RowRefusal>,
    progress: &mut dyn FnMut(u64),
) -> Result<Written, Fault> {
    let mut written = 0;
    for batch in batches {
        let batch = batch?;
        let judged = match &mut batching {
            Some(batching) => batching.write(open, &batch, refusals)?,
            None => write_batch(&mut **open, &batch, refusals).map(|()| None)?,
        };
        if let Some(withheld) = judged {
            return Ok(Written::Judged(withheld));
        }
        if refusals.len() > MOST_TARGET_REJECTS {
            return Ok(Written::TooMany);
        }
        written += batch.len() as u64;
        progress(written);
    }
    Ok(Written::All)
}

/// Writes one batch.
pub(super) fn write_batch(
    open: &mut dyn Load,
    batch: &Batch,
    refusals: &mut Vec<RowRefusal>,
) -> Result<(), Fault> {
    targets::reach(Point::TargetWrite)?;
    let mut refused = open.write(batch)?;
    refused.sort_by_key(|refusal| refusal.origin.record);
    refusals.append(&mut refused);
    targets::reach(Point::TargetWritten)?;
    Ok(())
}

/// What is said of a file with more refusals than are taken one by one.
fn too_many(refusals: &[RowRefusal], nothing_loaded: bool) -> String {
    let first = refusals.first().map_or_else(String::new, |first| {
        format!(" (the first, on line {}: {})", first.origin.line, first.message)
    });
    let nothing = if nothing_loaded { ", so nothing was loaded" } else { "" };
    format!(
        "the database refused more than {MOST_TARGET_REJECTS} rows{first}{nothing}; see whether the table is as the mapping \
         expects it"
    )
}

/// The refusals are rejects of the work file from now on.
fn note_added(part: &mut Option<Part>) {
    if let Some(part) = part {
        part.refused = 0;
    }
}

/// Has the target write what it put aside; false when it refuses too many rows.
pub(super) fn finish(
    open: &mut dyn Load,
    work: &mut WorkFile,
    refusals: &mut Vec<RowRefusal>,
) -> Result<bool, Fault> {
    let mut late: BTreeMap<u64, Refusal> = open.finish()?.into_iter().collect();
    if refusals.len() + late.len() > MOST_TARGET_REJECTS && !refusals.is_empty() {
        return Ok(false);
    }
    // Only the work file knows where those records stand.
    if !late.is_empty() {
        for batch in work.rows()? {
            for origin in batch?.origins {
                refusals.extend(late.remove(&origin.record).map(|refusal| refusal.of(origin)));
            }
            if late.is_empty() {
                break;
            }
        }
    }
    refuse_none(&late)?;
    Ok(refusals.len() <= MOST_TARGET_REJECTS)
}

/// No record may be left of those that the target refused: these were not sent.
pub(super) fn refuse_none(left: &BTreeMap<u64, Refusal>) -> Result<(), Fault> {
    match left.keys().next() {
        Some(record) => Err(Fault::Lasting(format!(
            "the database refused record {record}, which was not loaded into it; this is a mistake in Wharf: please \
             report it"
        ))),
        None => Ok(()),
    }
}

/// What is said of a row that the target refused. A trigger's own words may quote any value, so they are left out where
/// some are sensitive.
pub(super) fn words(plan: &Plan, refusal: &RowRefusal) -> String {
    match &refusal.said {
        Some(said) if !plan.columns.iter().any(|column| column.sensitive) => {
            format!("{}: {said}", refusal.message)
        }
        _ => refusal.message.clone(),
    }
}

/// How writing to the target ended.
pub(super) enum Loading {
    /// It is all there; and what a person should know of it.
    Done(Tally, Option<String>),
    /// It is not, or not all: it ends refused, or held; and so many rows would have vanished.
    Withheld(Outcome, Reason, String, u64),
}
