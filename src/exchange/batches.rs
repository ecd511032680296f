//! Deliveries that are committed batch by batch (`commit = "batch"`): where a batch ends, what must be on the disk before it
//! is committed, and how a load that was cut off goes on.
//!
//! What a target has put aside it writes before a batch ends. What was refused in a batch is known to nobody but this run, so
//! it is kept durably before the batch is committed; the target's row holds its hash, and a hash of the rows that are sent. A
//! load goes on only if both are as they were. If not, all rows are sent again, to the same effect; where rows are only ever
//! inserted, a person has to look.

use std::{collections::BTreeMap, fs};

use super::{
    Engine,
    commit::Begin,
    deliver::{Fault, withheld},
    rows::{Loading, MOST_TARGET_REJECTS, refuse_none, write_batch},
    take::Job,
};
use crate::{
    ledger::Event,
    mapping::Plan,
    model::{Batch, ContentHash, DeliveryId, Origin, Outcome, Position, Reason, Reject, Tally, Violation},
    targets::{
        self, Commit, Load, LoadId, Mark, Mode, Progress, Refusal, Remembered, RowRefusal, TargetError,
    },
    validate::{
        ValidateError, Verdict, WorkFile,
        store::{RejectReader, RejectWriter},
        verdict,
    },
    wire::{AtomicFile, WireError, fail::Point, open_regular},
};

/// Rows that one transaction holds. Writing so many takes some tenths of a second: little to do again, and committing
/// them, a few milliseconds, is no more than a hundredth of it.
const ROWS_A_BATCH: usize = 100_000;

/// The environment variable by which tests of debug builds make batches small.
#[cfg(debug_assertions)]
const ROWS_VARIABLE: &str = "WHARF_BATCH_ROWS";

fn rows_a_batch() -> usize {
    #[cfg(debug_assertions)]
    if let Some(rows) = std::env::var(ROWS_VARIABLE).ok().and_then(|text| text.parse().ok()) {
        return rows;
    }
    ROWS_A_BATCH
}

/// What of a delivery is committed although it has not come to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// How far.
    pub(super) progress: Progress,
    /// Rows up to there that the target has refused, and that the work file does not tell of.
    pub(super) refused: u64,
}

impl Part {
    /// The counts of a delivery of which only this part is loaded, or nothing.
    pub(super) fn tally(part: Option<&Self>, work: &WorkFile) -> Tally {
        let none = withheld(work);
        let Some(Self { progress, refused }) = part else { return none };
        let Tally { inserted, updated, unchanged, superseded, exact, .. } = progress.counts;
        let settled = [inserted, updated, unchanged, superseded, *refused];
        let sum = settled.iter().try_fold(0u64, |sum, part| sum.checked_add(*part));
        // Validated again, the file may have other rows than those that are in.
        let Some(withheld) = sum.and_then(|sum| none.withheld.checked_sub(sum)) else { return none };
        let rejected = none.rejected + refused;
        Tally { inserted, updated, unchanged, superseded, exact, rejected, withheld, ..none }
    }

    /// The counts where nothing is known but this part: as if no more had been read.
    pub(super) fn tally_alone(self) -> Tally {
        let Tally { inserted, updated, unchanged, superseded, .. } = self.progress.counts;
        let parts = [inserted, updated, unchanged, superseded];
        Tally { read: parts.iter().fold(0, |sum, part| sum.saturating_add(*part)), ..self.progress.counts }
    }

    /// What is told of a delivery that ends like this, with the part of it that is loaded.
    pub(super) fn words(&self, message: &str, outcome: Outcome, mode: Mode) -> String {
        let what = message.strip_suffix(verdict::NOTHING_LOADED).unwrap_or(message);
        let then = match (outcome, mode) {
            (Outcome::Refused, Mode::Insert) => ": send what comes after it",
            (Outcome::Refused, _) => ": send the whole file again",
            _ => "",
        };
        format!("{what}; {}{then}", self.stays())
    }

    /// The sentence that tells of it.
    pub(super) fn stays(&self) -> String {
        format!("the good rows up to record {} are loaded and stay", self.progress.mark.record)
    }
}

/// A load that is open, and what is known from before.
pub(super) struct Opened {
    /// The load.
    pub(super) open: Box<dyn Load>,
    /// Rows up to this record are in.
    pub(super) skip: u64,
    /// Rows up to there that the target has refused.
    pub(super) refusals: Vec<RowRefusal>,
    /// What is to be told in the end.
    pub(super) note: Option<String>,
    /// It is committed batch by batch.
    pub(super) by_batch: bool,
}

impl Opened {
    /// A load that begins with the first record.
    pub(super) fn new(open: Box<dyn Load>, plan: &Plan) -> Self {
        let by_batch = plan.table.commit == Commit::Batch;
        Self { open, skip: 0, refusals: Vec::new(), note: None, by_batch }
    }
}

impl Job {
    /// How a load ends by its rejects alone; none when it goes on.
    #[must_use]
    pub(super) fn judge_rejects(&self, read: u64, rejected: u64) -> Option<Loading> {
        match verdict::judge_rejects(&self.plan, read, rejected)? {
            Verdict::Refuse { reason, message } => {
                Some(Loading::Withheld(Outcome::Refused, reason, message, 0))
            }
            Verdict::Hold { message } if !self.accepts(rejected) => {
                Some(Loading::Withheld(Outcome::Held, Reason::RejectHold, message, 0))
            }
            _ => None,
        }
    }
}

/// Writes a delivery's rows and commits them batch by batch.
pub(super) struct Batching<'a> {
    engine: &'a Engine,
    job: &'a Job,
    rows: usize,
    /// Where the rows come from that were written since the last mark: no more than `rows` of them, which is 3 MB.
    written: Vec<Origin>,
    skip: u64,
    read: u64,
    rejected: u64,
    work: ContentHash,
    /// So many refusals are kept, with this hash.
    kept: (usize, ContentHash),
    part: &'a mut Option<Part>,
    /// Begins the load again, where nobody said whether a mark was made.
    begin: Begin<'a>,
}

impl<'a> Batching<'a> {
    /// For the rows of `work`; `part` is told how far it has come.
    pub(super) fn new(
        engine: &'a Engine,
        job: &'a Job,
        work: &WorkFile,
        opened: &Opened,
        (part, begin): (&'a mut Option<Part>, Begin<'a>),
    ) -> Option<Self> {
        opened.by_batch.then(|| Self {
            engine,
            job,
            rows: rows_a_batch().max(1),
            written: Vec::new(),
            skip: opened.skip,
            read: work.seal.read,
            rejected: work.seal.rejected,
            work: work.rows_hash(),
            kept: part
                .filter(|_| opened.skip > 0)
                .map_or((0, NONE), |part: Part| (opened.refusals.len(), part.progress.mark.rejects)),
            part,
            begin,
        })
    }

    /// Writes those rows of a batch that are not in yet, and commits wherever enough are written. Gives how the load ends, if
    /// it cannot go on.
    pub(super) fn write(
        &mut self,
        open: &mut Box<dyn Load>,
        batch: &Batch,
        refusals: &mut Vec<RowRefusal>,
    ) -> Result<Option<Loading>, Fault> {
        let mut at = batch.origins.partition_point(|origin| origin.record <= self.skip);
        while at < batch.len() && refusals.len() <= MOST_TARGET_REJECTS {
            let rows = (batch.len() - at).min(self.rows - self.written.len());
            let part = slice(batch, at, rows);
            write_batch(&mut **open, &part, refusals)?;
            at += rows;
            self.written.extend(&part.origins);
            if self.written.len() == self.rows
                && refusals.len() <= MOST_TARGET_REJECTS
                && let Some(last) = part.origins.last()
                && let Some(stop) = self.commit(open, last.record, refusals)?
            {
                return Ok(Some(stop));
            }
        }
        Ok(None)
    }

    fn commit(
        &mut self,
        open: &mut Box<dyn Load>,
        record: u64,
        refusals: &mut Vec<RowRefusal>,
    ) -> Result<Option<Loading>, Fault> {
        let mut late: BTreeMap<u64, Refusal> = open.finish()?.into_iter().collect();
        let written = self.written.drain(..);
        refusals.extend(written.filter_map(|from| Some(late.remove(&from.record)?.of(from))));
        refuse_none(&late)?;
        if refusals.len() > MOST_TARGET_REJECTS {
            return Ok(None);
        }
        let refused = refusals.len() as u64;
        if let Some(stop) = self.job.judge_rejects(self.read, self.rejected + refused) {
            return Ok(Some(stop));
        }
        if refusals.len() > self.kept.0 {
            self.kept = (refusals.len(), self.engine.keep_refusals(self.job, refusals)?);
        }
        let mark = Mark { record, rejects: self.kept.1, work: self.work };
        targets::reach(Point::TargetMark)?;
        let progress = Progress { mark, counts: open.counts() };
        match open.mark(&mark) {
            Err(TargetError::Unsettled(lost)) => {
                *open = self.engine.settle_mark(self.job, &lost, &progress, self.begin)?;
            }
            marked => marked?,
        }
        *self.part = Some(Part { progress, refused });
        targets::reach(Point::TargetMarked)?;
        // What is committed stays, so this is a good moment to end.
        if self.engine.is_stopping() { Err(Fault::Stopped) } else { Ok(None) }
    }
}

const NONE: ContentHash = ContentHash([0; 32]);

fn slice(batch: &Batch, at: usize, rows: usize) -> Batch {
    let origins = batch.origins.get(at..at + rows).unwrap_or_default().to_vec();
    Batch { rows: batch.rows.slice(at, rows), origins }
}

impl Engine {
    /// Takes up a load that was cut off between two batches: where it stopped, or, if its rows are not those of then or
    /// `is_lost` what was in the table, from the first record.
    pub(super) fn take_up(
        &self,
        job: &Job,
        work: &WorkFile,
        (open, progress): (Box<dyn Load>, Progress),
        is_lost: bool,
        part: &mut Option<Part>,
    ) -> Result<Opened, Fault> {
        let mut opened = Opened { by_batch: true, ..Opened::new(open, &job.plan) };
        let Mark { record, rejects, work: rows } = progress.mark;
        if is_lost {
            return self.begin_lost(job, opened, record);
        }
        let refusals = self.kept_refusals(job.id, &job.plan, record, rejects)?;
        *part = Some(Part { progress, refused: refusals.as_ref().map_or(0, Vec::len) as u64 });
        if let Some(refusals) = refusals.filter(|_| rows == work.rows_hash()) {
            let text = format!("goes on after record {record}: the rows up to it were committed before");
            self.record(job.id, vec![Event::Noted { text }])?;
            (opened.skip, opened.refusals) = (record, refusals);
            return Ok(opened);
        }
        if job.plan.table.mode == Mode::Insert {
            return Err(Fault::Lasting(format!(
                "the rows up to record {record} are in the table {}, but those of the file are not the same any more (the \
                 tables that values are looked up in have changed, or files of the store are gone): put back what has \
                 changed and `retry`, or `decline` and send what comes after that record",
                job.plan.table.table
            )));
        }
        let note = format!(
            "begun again from the first record, as its rows are not those that were committed up to record {record} before (the \
             tables that values are looked up in have changed, or files of the store are gone); what was in the table \
             already is counted as found there"
        );
        self.record(job.id, vec![Event::Noted { text: note.clone() }])?;
        opened.open.start_over()?;
        opened.note = Some(note);
        Ok(opened)
    }

    /// The rows that were committed are gone from the table: it was dropped or emptied, or put back without them.
    fn begin_lost(&self, job: &Job, mut opened: Opened, record: u64) -> Result<Opened, Fault> {
        let table = &job.plan.table.table;
        if job.plan.table.mode == Mode::Insert {
            return Err(Fault::Lasting(format!(
                "the rows up to record {record} were committed to the table {table} before, and it has no rows now: put them \
                 back and `retry`, or `decline` and load the whole file again"
            )));
        }
        let note = format!(
            "begun again from the first record: the rows up to record {record} were committed before, but the table {table} has \
             no rows any more"
        );
        self.record(job.id, vec![Event::Noted { text: note.clone() }])?;
        opened.open.start_over()?;
        opened.note = Some(note);
        Ok(opened)
    }

    /// What the target has of a delivery that is committed batch by batch, as far as it can be asked.
    pub(super) fn part_in_target(&self, delivery: DeliveryId, plan: &Plan) -> Option<Part> {
        if plan.table.commit != Commit::Batch {
            return None;
        }
        let target = self.targets.get(&self.site.settings, plan.connection.as_deref()).ok()?;
        match target.remembers(LoadId { site: &self.identity.id, delivery }) {
            Ok(Remembered::Part(progress)) => Some(Part { progress, refused: 0 }),
            _ => None,
        }
    }

    /// Keeps the rows that the target has refused so far, durably, and gives their hash.
    fn keep_refusals(&self, job: &Job, refusals: &[RowRefusal]) -> Result<ContentHash, Fault> {
        let bytes = encoded(&job.plan, refusals)?;
        let path = self.folders.refusals_file(job.id);
        let mut file = AtomicFile::create(&path)?;
        std::io::Write::write_all(&mut file, &bytes).map_err(|cause| WireError::io("write", &path, cause))?;
        file.commit_replace()?;
        Ok(hash(&bytes))
    }

    /// The refusals that were kept, up to a record; none if they are not those of this hash. What was kept for a batch that
    /// was never committed is left out.
    fn kept_refusals(
        &self,
        delivery: DeliveryId,
        plan: &Plan,
        record: u64,
        wanted: ContentHash,
    ) -> Result<Option<Vec<RowRefusal>>, Fault> {
        if wanted == NONE {
            return Ok(Some(Vec::new()));
        }
        let path = self.folders.refusals_file(delivery);
        let file = match open_regular(&path) {
            Ok(file) => file,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Ok(kept) =
            RejectReader::new(std::io::BufReader::new(file)).and_then(Iterator::collect::<Result<Vec<_>, _>>)
        else {
            return Ok(None);
        };
        let kept = kept.into_iter().filter(|reject| reject.position.record <= record);
        let refusals: Vec<RowRefusal> = kept.filter_map(refusal).collect();
        let found = hash(&encoded(plan, &refusals)?);
        Ok((found == wanted).then_some(refusals))
    }

    /// Forgets what was kept for a delivery that has come to its end.
    pub(super) fn forget_refusals(&self, delivery: DeliveryId) {
        // What cannot be removed now is found by the next engine.
        let _ = fs::remove_file(self.folders.refusals_file(delivery));
    }
}

fn hash(bytes: &[u8]) -> ContentHash {
    ContentHash(*blake3::hash(bytes).as_bytes())
}

/// Refusals as they are kept: rejects of which only the place is known, and what was said.
fn encoded(plan: &Plan, refusals: &[RowRefusal]) -> Result<Vec<u8>, ValidateError> {
    let mut writer = RejectWriter::new(Vec::new())?;
    for refusal in refusals {
        let Origin { record, line, byte, length } = refusal.origin;
        writer.push(Reject {
            position: Position { record, line, byte, length: length.into() },
            raw: Vec::new(),
            fields: Vec::new(),
            violations: vec![Violation {
                column: refusal.column,
                rule: refusal.rule.clone(),
                value: "".into(),
                message: super::rows::words(plan, refusal).into(),
            }],
        })?;
    }
    writer.finish()
}

fn refusal(kept: Reject) -> Option<RowRefusal> {
    let Position { record, line, byte, length } = kept.position;
    let length = u32::try_from(length).ok()?;
    let violation = kept.violations.into_iter().next()?;
    Some(RowRefusal {
        origin: Origin { record, line, byte, length },
        rule: violation.rule,
        column: violation.column,
        message: violation.message.into(),
        said: None,
    })
}
