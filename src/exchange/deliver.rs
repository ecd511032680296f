//! One delivery from the archive to its outcome: validate, judge, load, report, record.
//!
//! The order of durable steps is what makes a crash harmless. Rejects that only the target can tell of are fsynced before
//! its commit; the target's own row says whether the commit happened; reports and the ledger's outcome come after it and
//! are made again, to the same bytes, if they are missing.

use std::{collections::BTreeMap, fs::File, path::Path, sync::Arc, time::Duration};

use super::{
    DeliveryReport, Engine, EngineError, Observer, Sample, Step, backoff,
    closing::RejectNews,
    facts,
    lanes::{Blocker, Wait},
    load, lookup_files,
    lookups::{self, Created, LookupError},
    memory::Share,
    overtake::overtakings,
    pipeline::{self, PipelineError, PipelineOptions},
    random,
    take::{Job, UNRECORDED, millis_since, with_help},
};
use crate::{
    formats::FormatError,
    ledger::{Event, LedgerError, Reports, Stop, View},
    mapping::plan::{EmptyFile, OnDuplicate, Plan},
    model::{ContentHash, DeliveryId, Outcome, Reason, Tally},
    rejects::ReportError,
    targets::{self, LoadId, Remembered, TargetError},
    validate::{ValidateError, Verdict, WorkFile, kept::Folder, lookup::Snapshots},
    wire::{
        self, WireError,
        fail::{self, Point},
    },
};

/// Why a file of zero bytes is refused.
pub const EMPTY_FILE: &str =
    "the file has no bytes at all; if that is right for this feed, set empty_file = \"load\" in its mapping";

/// Loading so many records takes long enough that somebody may look at the story meanwhile.
pub(super) const WORTH_TELLING_RECORDS: u64 = 100_000;

/// How a delivery ends, before it is recorded.
pub(super) struct End {
    pub(super) outcome: Outcome,
    pub(super) reason: Option<Reason>,
    pub(super) message: Option<String>,
    pub(super) tally: Tally,
    /// Rows that would have vanished from the table, of a delivery that is held.
    pub(super) deletes: u64,
    pub(super) reports: Reports,
    pub(super) sample: Vec<Sample>,
    pub(super) retryable: bool,
    /// What it means for rejects, if it is loaded.
    pub(super) rejects: RejectNews,
}

impl End {
    pub(super) fn stopped(outcome: Outcome, reason: Reason, message: String) -> Self {
        Self {
            outcome,
            reason: Some(reason),
            message: Some(message),
            tally: Tally::default(),
            deletes: 0,
            reports: Reports::default(),
            sample: Vec::new(),
            retryable: false,
            rejects: RejectNews::default(),
        }
    }

    pub(super) fn failed(fault: &Fault, tally: Tally) -> Self {
        let retryable = matches!(fault, Fault::Passing(_));
        Self { tally, retryable, ..Self::stopped(Outcome::Failed, Reason::Fault, fault.to_string()) }
    }
}

/// How a delivery is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By itself, with all the memory; a fault is told at once, as somebody is there to see it.
    Alone,
    /// Beside others; what a passing fault stopped is tried again later, as often as the site's settings say.
    Beside,
}

/// What became of running a delivery.
#[derive(Debug)]
pub enum Delivered {
    /// It has come to rest.
    Ended {
        /// How.
        report: Box<DeliveryReport>,
        /// It is held or failed, so that others have to wait.
        blocks: Option<Blocker>,
        /// Held and failed deliveries that it made void.
        overtaken: Vec<DeliveryId>,
        /// Deliveries with rejects that may have waited for what it loaded.
        wanted_by: Vec<DeliveryId>,
    },
    /// A fault that may pass: the ledger knows that it waits.
    Postponed {
        /// The same delivery for another attempt.
        job: Box<Job>,
        /// How long to wait before that.
        pause: Duration,
        /// What went wrong.
        message: String,
    },
    /// The engine is being stopped; the next one takes it up.
    Interrupted,
}

/// Why a delivery stopped without an outcome of its own: a fault.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("{0}")]
    Passing(String),
    #[error("{0}")]
    Lasting(String),
    /// What was put aside is not what was written.
    #[error("{0}")]
    Damaged(String),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the engine is being stopped")]
    Stopped,
}

impl From<WireError> for Fault {
    fn from(error: WireError) -> Self {
        let text = with_help(&error);
        if error.is_full() { Self::Passing(text) } else { Self::Lasting(text) }
    }
}

impl From<ValidateError> for Fault {
    fn from(error: ValidateError) -> Self {
        match error {
            ValidateError::Work(cause) => WireError::io("write", Path::new("the work file"), cause).into(),
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<LookupError> for Fault {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::Away(..) => Self::Passing(error.to_string()),
            LookupError::Wrong(..) => Self::Lasting(error.to_string()),
            LookupError::Disk(cause) => ValidateError::Work(cause).into(),
        }
    }
}

impl From<ReportError> for Fault {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Wire(error) => error.into(),
            ReportError::Write(cause) => WireError::io("write", Path::new("the reject report"), cause).into(),
            ReportError::Rejects(error) => error.into(),
            other @ ReportError::TooMany(_) => Self::Lasting(other.to_string()),
        }
    }
}

impl From<TargetError> for Fault {
    fn from(error: TargetError) -> Self {
        match error {
            TargetError::Passing(text) | TargetError::Unsettled(text) | TargetError::NoTable(text) => {
                Self::Passing(text)
            }
            other => Self::Lasting(other.to_string()),
        }
    }
}

impl Engine {
    /// Brings a delivery to its end and records it.
    ///
    /// # Errors
    /// When the ledger fails: then nothing can be promised any more, and the next engine picks the delivery up.
    pub fn deliver(
        &self,
        mut job: Job,
        mode: Mode,
        observer: &mut dyn Observer,
    ) -> Result<Delivered, EngineError> {
        let started = self.clock.elapsed();
        let mut events = std::mem::take(&mut job.pending);
        let lookups = lookup_files::hash(&self.site.dir, &job.plan);
        if let Some(of) = self.duplicate_of(&job, lookups.as_deref())? {
            events.push(Event::Duplicate { of });
            self.record_first(&mut job, events)?;
            let mut report =
                DeliveryReport::new(Some(job.id), &job.file, Some(&job.plan.name), Outcome::Duplicate);
            report.reason = Some(Reason::SameContent);
            report.message = Some(format!("duplicate of {of}, nothing to do"));
            report.worked_millis = millis_since(self, started);
            // The table is as this file says, so what came between is as void as if the file had been loaded again.
            let overtaken = if job.is_complete() { self.overtaken_by(&job)? } else { BTreeMap::new() };
            self.ledger().append(self.clock.unix_millis(), &overtakings(&job, &overtaken))?;
            return Ok(Delivered::Ended {
                report: Box::new(report),
                blocks: None,
                overtaken: overtaken.into_keys().collect(),
                wanted_by: Vec::new(),
            });
        }
        let plan = Some(job.plan.fingerprint.clone());
        job.attempts += 1;
        events.push(Event::Started { attempt: job.attempts, plan, lookups });
        self.record_first(&mut job, events)?;
        let mut untold = Vec::new();
        let ran = match job.corrects {
            Some(corrects) => self.plan_of_correction(&job, corrects).map(|plan| job.plan = plan),
            None => Ok(()),
        };
        let ran = ran.and_then(|()| self.run_delivery(&job, mode, &mut untold, observer));
        let end = match ran {
            Ok(end) => end,
            Err(Fault::Ledger(error)) => return Err(error.into()),
            Err(Fault::Stopped) => {
                self.forget_unsealed(job.id);
                self.record(job.id, vec![Event::Interrupted])?;
                return Ok(Delivered::Interrupted);
            }
            Err(fault) => End::failed(&fault, Tally::default()),
        };
        let retries = &self.site.settings.run;
        let may_pass = mode == Mode::Beside && end.outcome == Outcome::Failed && end.retryable;
        // Nobody knows how the attempt would have gone on.
        if may_pass && self.is_stopping() {
            self.record(job.id, vec![Event::Interrupted])?;
            return Ok(Delivered::Interrupted);
        }
        if may_pass && job.postponed + 1 < retries.attempts {
            job.postponed += 1;
            let pause = backoff::pause(retries.retry, job.postponed, random::<1>()?[0]);
            return self.postpone(job, end, pause, started);
        }
        self.settle(&job, end, untold, started)
    }

    /// Records that a delivery is tried again after a pause.
    fn postpone(
        &self,
        mut job: Job,
        end: End,
        pause: Duration,
        started: Duration,
    ) -> Result<Delivered, EngineError> {
        self.forget_unsealed(job.id);
        let message = end.message.unwrap_or_default();
        let not_before =
            self.clock.unix_millis().saturating_add(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        let worked_millis = millis_since(self, started);
        let event = Event::Postponed { message: message.clone(), not_before, worked_millis };
        self.record(job.id, vec![event])?;
        (job.verify, job.new_copy) = (true, false);
        Ok(Delivered::Postponed { job: Box::new(job), pause, message })
    }

    /// Ends a delivery that has waited for other mappings for as long as its own allows: it is held for a person.
    ///
    /// # Errors
    /// When the ledger fails.
    pub(super) fn hold_waiting(&self, job: &Job, wait: &Wait) -> Result<Delivered, EngineError> {
        let (blocker, why) = load::words(wait);
        let message = format!(
            "it {why}, but not within its time limit: load that one ({blocker}) and then `retry` this one, `approve` it to \
             load it all the same, or `decline` it"
        );
        let mut events = job.pending.clone();
        events.push(Event::Started { attempt: job.attempts + 1, plan: None, lookups: None });
        self.record(job.id, events)?;
        let end = End::stopped(Outcome::Held, Reason::WaitLimit, message);
        self.settle(job, end, Vec::new(), self.clock.elapsed())
    }

    /// Records the first events of a run, with which the ledger may hear of the delivery at all.
    fn record_first(&self, job: &mut Job, events: Vec<Event>) -> Result<(), EngineError> {
        let sequences = self.record(job.id, events).inspect_err(|error| {
            if job.new_copy && error.is_passing() {
                // Nothing was recorded, so nobody will ever ask for the copy.
                wire::discard(&job.archive);
            }
        })?;
        if job.arrival == UNRECORDED {
            job.arrival = sequences.first().copied().unwrap_or(UNRECORDED);
        }
        Ok(())
    }

    /// True when the target has the rows of a delivery, as far as it can be asked.
    pub(super) fn is_in_target(&self, delivery: DeliveryId, plan: &Plan) -> bool {
        self.remembered_of(delivery, plan).is_ok_and(|found| found == Remembered::Whole)
    }

    /// What the target has of a delivery.
    pub(super) fn remembered_of(&self, delivery: DeliveryId, plan: &Plan) -> Result<Remembered, TargetError> {
        let target = self.targets.get(&self.site.settings, plan.connection.as_deref())?;
        target.remembers(LoadId { site: &self.identity.id, delivery })
    }

    /// The loaded delivery that makes this one void, if there is one: the ledger and the target both have to know it, as
    /// a target may have been put back to an older state.
    fn duplicate_of(&self, job: &Job, lookups: Option<&str>) -> Result<Option<DeliveryId>, EngineError> {
        let Some(of) = self.loaded_before_by(job, lookups)? else { return Ok(None) };
        // An earlier attempt may have found no target to ask; but where it came to something, that counts.
        let begun =
            job.attempts > 0 && !matches!(self.remembered_of(job.id, &job.plan), Ok(Remembered::Nothing));
        if begun {
            return Ok(None);
        }
        // A target that cannot be asked is a fault of the load, which says it better.
        let remembers = self.is_in_target(of, &job.plan);
        // A delivery without records leaves no row in the target.
        Ok(Some(of).filter(|_| remembers || job.size == 0))
    }

    fn loaded_before_by(&self, job: &Job, lookups: Option<&str>) -> Result<Option<DeliveryId>, EngineError> {
        if job.again || job.plan.on_duplicate == OnDuplicate::Load {
            return Ok(None);
        }
        Ok(loaded_before(self.ledger().view(), &job.plan, &job.hash, lookups)?)
    }

    fn run_delivery(
        &self,
        job: &Job,
        mode: Mode,
        untold: &mut Vec<Event>,
        observer: &mut dyn Observer,
    ) -> Result<End, Fault> {
        if job.size == 0 {
            return Ok(empty_file(&job.plan));
        }
        // The keys are asked for until it is known what the load means for rejects.
        let share = self.memory.share(job.size, mode == Mode::Alone);
        let (work, taken_up) = match self.work_of(job, mode, &share, observer)? {
            Ok(found) => found,
            // Nothing but a byte order mark or blank lines.
            Err((Reason::Empty, _)) if job.plan.empty_file == EmptyFile::Load => {
                return Ok(empty_file(&job.plan));
            }
            Err((reason, message)) => return Ok(End::stopped(Outcome::Refused, reason, message)),
        };
        match self.conclude(job, work, taken_up, untold, observer) {
            // What was made of it is undone, back to the last batch at most, and every row before that was checked.
            Err(Fault::Damaged(damage)) if taken_up => {
                untold.clear();
                self.forget_work(job.id);
                let text = format!("{damage}: it is validated again");
                self.record(job.id, vec![Event::Noted { text }])?;
                match self.work_of(job, mode, &share, observer)? {
                    Ok((work, _)) => self.conclude(job, work, false, untold, observer),
                    Err((reason, message)) => Ok(End::stopped(Outcome::Refused, reason, message)),
                }
            }
            ended => ended,
        }
    }

    /// Brings a delivery that is validated to its end. `taken_up`: by an attempt before.
    fn conclude(
        &self,
        job: &Job,
        mut work: WorkFile,
        taken_up: bool,
        untold: &mut Vec<Event>,
        observer: &mut dyn Observer,
    ) -> Result<End, Fault> {
        fail::step(Point::WorkDone).map_err(ValidateError::Work)?;
        let validated = Event::Validated {
            read: work.seal.read,
            good: work.seal.good,
            filtered: work.seal.filtered,
            rejected: work.seal.rejected,
            violations: work.seal.violations.clone(),
            before: taken_up,
        };
        if work.seal.read >= WORTH_TELLING_RECORDS {
            self.record(job.id, vec![validated])?;
        } else {
            // The ledger learns it together with the outcome.
            untold.push(validated);
        }
        let verdict = match &work.seal.verdict {
            Verdict::Hold { .. } if job.accepts(work.seal.rejected) => Verdict::Load,
            verdict => verdict.clone(),
        };
        if job.plan.shadow {
            match &verdict {
                Verdict::Load => return self.shadow(job, &mut work, None, observer),
                Verdict::Hold { message } => {
                    let held = Some(message.clone());
                    return self.shadow(job, &mut work, held, observer);
                }
                Verdict::Refuse { .. } => {}
            }
        }
        match verdict {
            Verdict::Load => {
                let mut part = None;
                match self.load_rows(job, &mut work, &mut part, observer) {
                    Err(damaged @ Fault::Damaged(_)) if taken_up => Err(damaged),
                    Err(fault @ (Fault::Passing(_) | Fault::Lasting(_) | Fault::Damaged(_))) => {
                        Ok(self.failed(job, &work, part.as_ref(), &fault))
                    }
                    ended => ended,
                }
            }
            Verdict::Refuse { reason, message } => {
                let part = self.part_in_target(job.id, &job.plan);
                self.withhold(job, &work, part.as_ref(), (Outcome::Refused, reason, message))
            }
            Verdict::Hold { message } => {
                let part = self.part_in_target(job.id, &job.plan);
                self.withhold(job, &work, part.as_ref(), (Outcome::Held, Reason::RejectHold, message))
            }
        }
    }

    /// Validates the archived bytes; or says why they are refused as a whole. What can be kept lies in the folder `own`, if
    /// one is given.
    pub(super) fn validate(
        &self,
        job: &Job,
        mode: Mode,
        share: &Share<'_>,
        own: Option<&Path>,
        observer: &mut dyn Observer,
    ) -> Result<Result<WorkFile, (Reason, String)>, Fault> {
        let file = self.open_archived(job)?;
        let former = match job.corrects.or(job.reruns) {
            Some(former) => self.ledger().view().by_id(former)?,
            None => None,
        };
        let facts = facts::of_job(job, former.as_ref());
        let (lookups, _held) = self.lookups(&job.plan, mode)?;
        let passing = self.folders.work();
        let options = PipelineOptions {
            work_folder: own.map_or(Folder::passing(&passing), |own| Folder::keeping(&passing, own)),
            key_memory_bytes: share.bytes,
            keep_rows: true,
            secret: self.secret,
            most_reject_keys: self.most_reject_keys(),
            stopping: &self.stopping,
            facts: &facts,
            lookups: &lookups,
        };
        let mut progress = |done| observer.progress(&job.file, Step::Validating, done, job.size);
        match pipeline::validate(&job.plan, Box::new(file), options, &self.pool, &mut progress) {
            Ok(work) => Ok(Ok(work)),
            Err(PipelineError::Format(FormatError::Refused { reason, message })) => {
                Ok(Err((reason, message)))
            }
            Err(PipelineError::Format(FormatError::Read(cause))) => {
                Err(WireError::io("read", &job.archive, cause).into())
            }
            Err(PipelineError::Validate(error)) => Err(error.into()),
            Err(error @ PipelineError::Lost) => Err(Fault::Lasting(error.to_string())),
            Err(PipelineError::Stopped) => Err(Fault::Stopped),
        }
    }

    /// The lookup tables of a plan as they stand now, with the memory that they hold.
    fn lookups(&self, plan: &Plan, mode: Mode) -> Result<(Arc<Snapshots>, Option<Share<'_>>), Fault> {
        if plan.lookups.is_empty() {
            return Ok((Arc::default(), None));
        }
        let mut share = self.lookup_memory.share(u64::MAX, mode == Mode::Alone);
        let reader = lookups::Reader {
            site: &self.site.dir,
            created: &Created::of(&self.site.catalog),
            open: &|connection| self.targets.get(&self.site.settings, connection),
            work_folder: &self.folders.work(),
            memory_bytes: share.bytes,
            secret: self.secret,
        };
        let snapshots = reader.snapshots(plan)?;
        share.keep(snapshots.0.iter().map(|snapshot| snapshot.memory_bytes() as u64).sum());
        Ok((snapshots, Some(share)))
    }

    /// Opens the archived copy; one that an earlier run made is looked at first, as nothing may be said of a file on the
    /// strength of a damaged copy.
    pub(super) fn open_archived(&self, job: &Job) -> Result<File, Fault> {
        let path = self.folders.from_site(&job.archive);
        let file = match File::open(&job.archive) {
            Ok(file) => file,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                return Err(Fault::Lasting(format!(
                    "the archived copy {path} is gone; load the original file again"
                )));
            }
            Err(cause) => return Err(WireError::io("open", &job.archive, cause).into()),
        };
        if job.verify && wire::hash_file(&file, &job.archive, |_| {})?.0 != job.hash.0 {
            return Err(Fault::Lasting(format!(
                "the archived copy {path} is damaged: its checksum is not the one recorded; load the original file again"
            )));
        }
        Ok(file)
    }

    /// Records how a delivery ended.
    fn settle(
        &self,
        job: &Job,
        end: End,
        untold: Vec<Event>,
        started: Duration,
    ) -> Result<Delivered, EngineError> {
        // On a full disk the ledger needs the room.
        self.forget_work(job.id);
        let worked_millis = millis_since(self, started);
        let table = job.plan.table.table.clone();
        let loaded = matches!(end.outcome, Outcome::Loaded | Outcome::LoadedWithRejects);
        // A shadow run leaves the table alone.
        let tables: BTreeMap<String, Tally> =
            if loaded && !job.plan.shadow { [(table, end.tally)].into() } else { BTreeMap::new() };
        let stop = |reason: Option<Reason>| Stop {
            reason: reason.unwrap_or(Reason::Fault),
            message: end.message.clone().unwrap_or_default(),
            tally: end.tally,
            deletes: end.deletes,
            reports: end.reports.clone(),
            worked_millis,
        };
        let event = match end.outcome {
            Outcome::Refused => Event::Refused(stop(end.reason)),
            Outcome::Held => Event::Held(stop(end.reason)),
            Outcome::Failed => Event::Failed { stop: stop(end.reason), retryable: end.retryable },
            _ => Event::Loaded {
                tally: end.tally,
                tables: tables.clone(),
                message: end.message.clone(),
                reports: end.reports.clone(),
                worked_millis,
            },
        };
        let mut events: Vec<(DeliveryId, Event)> =
            untold.into_iter().chain([event]).map(|event| (job.id, event)).collect();
        let overtaken = if loaded { self.overtaken_by(job)? } else { BTreeMap::new() };
        events.extend(overtakings(job, &overtaken));
        let brought = end.tally.inserted + end.tally.updated > 0;
        if loaded || end.tally.loaded() > 0 {
            let opened = if loaded { end.tally.rejected } else { 0 };
            self.append_loaded(job, opened, &end.rejects, events)?;
        } else {
            self.ledger().append(self.clock.unix_millis(), &events)?;
        }
        if end.outcome.is_final() {
            self.forget_refusals(job.id);
        }
        for void in overtaken.keys() {
            self.forget_work(*void);
            self.forget_refusals(*void);
        }
        let overtaken = overtaken.into_keys().collect();
        let mut report = DeliveryReport::new(Some(job.id), &job.file, Some(&job.plan.name), end.outcome);
        (report.reason, report.message, report.tally) = (end.reason, end.message, end.tally);
        (report.tables, report.reports, report.sample) = (tables, end.reports, end.sample);
        (report.shadow, report.worked_millis) = (loaded && job.plan.shadow, worked_millis);
        report.corrects = job.corrects;
        let blocks = (end.outcome.needs_attention() && job.corrects.is_none()).then(|| job.blocker());
        let wanted_by = if loaded || brought { self.waiting_for(job, &end.tally)? } else { Vec::new() };
        Ok(Delivered::Ended { report: Box::new(report), blocks, overtaken, wanted_by })
    }
}

/// The loaded delivery that makes the same bytes under the same mapping void: the latest of its mapping, or any where rows are
/// only ever inserted. `lookups` is the hash of the files that values are looked up in: another one may translate other values.
///
/// # Errors
/// When the ledger cannot be read.
pub(super) fn loaded_before(
    view: View<'_>,
    plan: &Plan,
    hash: &ContentHash,
    lookups: Option<&str>,
) -> Result<Option<DeliveryId>, LedgerError> {
    let (name, fingerprint) = (&plan.name, &plan.fingerprint);
    if plan.table.mode == targets::Mode::Insert {
        return view.loaded_with(name, hash, fingerprint, lookups);
    }
    let latest = view.latest_loaded(name)?;
    Ok(latest
        .filter(|latest| latest.hash == *hash && latest.plan.as_deref() == Some(fingerprint))
        .filter(|latest| latest.lookups.as_deref() == lookups)
        .map(|latest| latest.delivery))
}

/// The counts of a delivery of which nothing is in the target.
pub(super) fn withheld(work: &WorkFile) -> Tally {
    let (read, filtered, rejected) = (work.seal.read, work.seal.filtered, work.rejected());
    Tally { read, filtered, rejected, withheld: read - filtered - rejected, ..Tally::default() }
}

fn empty_file(plan: &Plan) -> End {
    if plan.empty_file == EmptyFile::Refuse {
        return End::stopped(Outcome::Refused, Reason::Empty, EMPTY_FILE.to_owned());
    }
    End {
        outcome: Outcome::Loaded,
        reason: None,
        message: None,
        tally: Tally::default(),
        deletes: 0,
        reports: Reports::default(),
        sample: Vec::new(),
        retryable: false,
        rejects: RejectNews::default(),
    }
}
