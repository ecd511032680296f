//! One delivery from the archive to its outcome: validate, judge, load, report, record.
//!
//! The order of durable steps is what makes a crash harmless. Rejects that only the target can tell of are fsynced before
//! its commit; the target's own row says whether the commit happened; reports and the ledger's outcome come after it and
//! are made again, to the same bytes, if they are missing.

use std::{collections::BTreeMap, fs::File, path::Path, time::Duration};

use super::{
    DeliveryReport, Engine, EngineError, Observer, Sample, Step,
    pipeline::{self, PipelineError, PipelineOptions},
    take::{Job, millis_since, with_help},
};
use crate::{
    formats::FormatError,
    ledger::{Event, Filter, LedgerError, Reports, Stop},
    mapping::plan::{EmptyFile, OnDuplicate, Plan},
    model::{DeliveryId, Outcome, Reason, State, Tally},
    rejects::ReportError,
    targets::{LoadId, Mode, TargetError},
    validate::{ValidateError, Verdict, WorkFile},
    wire::WireError,
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
    pub(super) reports: Reports,
    pub(super) sample: Vec<Sample>,
    pub(super) retryable: bool,
}

impl End {
    pub(super) fn stopped(outcome: Outcome, reason: Reason, message: String) -> Self {
        Self {
            outcome,
            reason: Some(reason),
            message: Some(message),
            tally: Tally::default(),
            reports: Reports::default(),
            sample: Vec::new(),
            retryable: false,
        }
    }

    pub(super) fn failed(fault: &Fault, tally: Tally) -> Self {
        let retryable = matches!(fault, Fault::Passing(_));
        Self { tally, retryable, ..Self::stopped(Outcome::Failed, Reason::Fault, fault.to_string()) }
    }
}

/// Why a delivery stopped without an outcome of its own: a fault.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("{0}")]
    Passing(String),
    #[error("{0}")]
    Lasting(String),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
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
            other => Self::Lasting(other.to_string()),
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
            TargetError::Passing(text) => Self::Passing(text),
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
        &mut self,
        mut job: Job,
        again: bool,
        observer: &mut dyn Observer,
    ) -> Result<DeliveryReport, EngineError> {
        let started = self.clock.elapsed();
        let mut events = std::mem::take(&mut job.pending);
        let job = &job;
        if let Some(of) = self.duplicate_of(job, again)? {
            events.push(Event::Duplicate { of });
            self.record_first(job, events)?;
            let mut report =
                DeliveryReport::new(Some(job.id), &job.file, Some(&job.plan.name), Outcome::Duplicate);
            report.reason = Some(Reason::SameContent);
            report.message = Some(format!("duplicate of {of}, nothing to do"));
            report.worked_millis = millis_since(self, started);
            return Ok(report);
        }
        let plan = Some(job.plan.fingerprint.clone());
        events.push(Event::Started { attempt: job.attempts + 1, plan });
        self.record_first(job, events)?;
        let end = match self.run(job, observer) {
            Ok(end) => end,
            Err(Fault::Ledger(error)) => return Err(error.into()),
            Err(fault) => End::failed(&fault, Tally::default()),
        };
        self.settle(job, end, started)
    }

    /// Records the first events of a run, with which the ledger may hear of the delivery at all.
    fn record_first(&mut self, job: &Job, events: Vec<Event>) -> Result<(), EngineError> {
        self.record(job.id, events).map_err(|error| {
            if job.new_copy && error.is_passing() {
                // Nothing was recorded, so nobody will ever ask for the copy.
                let _ = std::fs::remove_file(&job.archive);
            }
            error.into()
        })
    }

    /// The loaded delivery that makes this one void, if there is one: the ledger and the target both have to know it, as
    /// a target may have been put back to an older state.
    fn duplicate_of(&mut self, job: &Job, again: bool) -> Result<Option<DeliveryId>, EngineError> {
        let Some(of) = self.loaded_before_by(job, again)? else { return Ok(None) };
        let site = self.ledger.site().id.clone();
        // A target that cannot be asked is a fault of the load, which says it better.
        let remembers = self
            .target(&job.plan)
            .and_then(|target| target.remembers(LoadId { site: &site, delivery: of }))
            .unwrap_or(false);
        // A delivery without records leaves no row in the target.
        Ok(Some(of).filter(|_| remembers || job.size == 0))
    }

    fn loaded_before_by(&self, job: &Job, again: bool) -> Result<Option<DeliveryId>, EngineError> {
        if again || job.attempts > 0 || job.plan.on_duplicate == OnDuplicate::Load {
            return Ok(None);
        }
        let (name, fingerprint) = (&job.plan.name, &job.plan.fingerprint);
        if job.plan.table.mode == Mode::Insert {
            return Ok(self.ledger.view().loaded_with(name, &job.hash, fingerprint)?);
        }
        let latest = self.ledger.view().latest_loaded(name)?;
        Ok(latest
            .filter(|latest| latest.hash == job.hash && latest.plan.as_deref() == Some(fingerprint))
            .map(|latest| latest.delivery))
    }

    fn run(&mut self, job: &Job, observer: &mut dyn Observer) -> Result<End, Fault> {
        if job.size == 0 {
            return Ok(empty_file(&job.plan));
        }
        let mut work = match self.validate(job, observer)? {
            Ok(work) => work,
            // Nothing but a byte order mark or blank lines.
            Err((Reason::Empty, _)) if job.plan.empty_file == EmptyFile::Load => {
                return Ok(empty_file(&job.plan));
            }
            Err((reason, message)) => return Ok(End::stopped(Outcome::Refused, reason, message)),
        };
        let validated = Event::Validated {
            read: work.seal.read,
            good: work.seal.good,
            rejected: work.seal.rejected,
            violations: work.seal.violations.clone(),
        };
        if work.seal.read >= WORTH_TELLING_RECORDS {
            self.record(job.id, vec![validated])?;
        } else {
            // The ledger learns it together with the outcome.
            self.untold.push(validated);
        }
        let verdict = match &work.seal.verdict {
            Verdict::Hold { .. } if job.accepts(work.seal.rejected) => Verdict::Load,
            verdict => verdict.clone(),
        };
        match verdict {
            Verdict::Load => match self.load_rows(job, &mut work, observer) {
                Err(fault @ (Fault::Passing(_) | Fault::Lasting(_))) => {
                    Ok(End::failed(&fault, withheld(&work)))
                }
                ended => ended,
            },
            Verdict::Refuse { reason, message } => {
                self.withhold(job, &work, Outcome::Refused, reason, message)
            }
            Verdict::Hold { message } => {
                self.withhold(job, &work, Outcome::Held, Reason::RejectHold, message)
            }
        }
    }

    /// Validates the archived bytes; or says why they are refused as a whole.
    fn validate(
        &mut self,
        job: &Job,
        observer: &mut dyn Observer,
    ) -> Result<Result<WorkFile, (Reason, String)>, Fault> {
        let file = self.open_archived(job)?;
        let options = PipelineOptions {
            work_folder: &self.folders.work(),
            max_memory_bytes: self.site.settings.max_memory_bytes,
            keep_rows: true,
            secret: self.secret,
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
        }
    }

    /// Opens the archived copy; one that an earlier run made is looked at first, as nothing may be said of a file on the
    /// strength of a damaged copy.
    fn open_archived(&self, job: &Job) -> Result<File, Fault> {
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
        if job.verify && crate::wire::hash_file(&file, &job.archive, |_| {})?.0 != job.hash.0 {
            return Err(Fault::Lasting(format!(
                "the archived copy {path} is damaged: its checksum is not the one recorded; load the original file again"
            )));
        }
        Ok(file)
    }

    /// Records how a delivery ended.
    fn settle(&mut self, job: &Job, end: End, started: Duration) -> Result<DeliveryReport, EngineError> {
        let worked_millis = millis_since(self, started);
        let table = job.plan.table.table.clone();
        let loaded = matches!(end.outcome, Outcome::Loaded | Outcome::LoadedWithRejects);
        let tables: BTreeMap<String, Tally> =
            if loaded { [(table, end.tally)].into() } else { BTreeMap::new() };
        let stop = |reason: Option<Reason>| Stop {
            reason: reason.unwrap_or(Reason::Fault),
            message: end.message.clone().unwrap_or_default(),
            tally: end.tally,
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
                reports: end.reports.clone(),
                worked_millis,
            },
        };
        let mut events: Vec<(DeliveryId, Event)> = std::mem::take(&mut self.untold)
            .into_iter()
            .chain([event])
            .map(|event| (job.id, event))
            .collect();
        if loaded {
            events.extend(self.overtaken_by(job)?);
        }
        self.ledger.append(self.clock.unix_millis(), &events)?;
        let mut report = DeliveryReport::new(Some(job.id), &job.file, Some(&job.plan.name), end.outcome);
        (report.reason, report.message, report.tally) = (end.reason, end.message, end.tally);
        (report.tables, report.reports, report.sample) = (tables, end.reports, end.sample);
        report.worked_millis = worked_millis;
        Ok(report)
    }
}

impl Engine {
    /// Held and failed deliveries of the same bytes and mapping: now that these are loaded, nobody has to look at the
    /// others any more.
    fn overtaken_by(&self, job: &Job) -> Result<Vec<(DeliveryId, Event)>, LedgerError> {
        let filter = Filter {
            states: vec![State::Held, State::Failed],
            mapping: Some(job.plan.name.clone()),
            ..Filter::default()
        };
        let waiting = self.ledger.view().list(&filter)?;
        let same = waiting.into_iter().filter(|delivery| delivery.hash == job.hash && delivery.id != job.id);
        Ok(same.map(|delivery| (delivery.id, Event::Overtaken { by: job.id })).collect())
    }
}

/// The counts of a delivery of which nothing is in the target.
pub(super) fn withheld(work: &WorkFile) -> Tally {
    let (read, rejected) = (work.seal.read, work.rejected());
    Tally { read, rejected, withheld: read - rejected, ..Tally::default() }
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
        reports: Reports::default(),
        sample: Vec::new(),
        retryable: false,
    }
}
