//! Shadow runs: a mapping beside the job that it is to replace. Its rows are held against the table that the other job
//! fills, the differences are written down for people, and nothing else is written.

use std::{
    io::{Read, Write},
    path::PathBuf,
};

use super::{
    Engine, Observer, Step,
    closing::RejectNews,
    compared::{self, CompareError},
    deliver::{End, Fault},
    preview::{ChangeShown, RowShown},
    report::sample,
    take::Job,
};
use crate::{
    ledger::Reports,
    mapping::plan::Plan,
    model::{DeliveryId, Outcome, Reason, Tally},
    rejects::spreadsheet,
    targets::{Difference, DifferenceKind, TargetError},
    validate::WorkFile,
    wire::{self, AtomicFile, WireError},
};

/// The columns of the report before those that tell of a difference.
const COLUMNS: [&str; 8] = ["delivery", "difference", "line", "record", "key", "column", "table", "file"];
/// Reports of one file name; more means that nobody takes them away.
const MOST_SAME_NAME: u32 = 10_000;

impl Engine {
    /// Ends a delivery of a mapping with `shadow = true`. `held` is why a load would have waited for a person.
    pub(super) fn shadow(
        &self,
        job: &Job,
        work: &mut WorkFile,
        held: Option<String>,
        observer: &mut dyn Observer,
    ) -> Result<End, Fault> {
        let mut reports = self.report_rejects(job, work)?;
        let target = self.targets.get(&self.site.settings, job.plan.connection.as_deref())?;
        let total = work.seal.good;
        observer.progress(&job.file, Step::Loading, 0, total);
        let mut found = Found { report: None, written: 0, most: self.site.settings.report_max, failed: None };
        let mut tell = |difference: Difference| found.tell(self, job, difference);
        let compared = match compared::compare(&*target, &job.plan, work, &mut tell) {
            Ok(compared) => compared,
            Err(CompareError::Target(TargetError::Misfit(differences))) => {
                return self.misfit(job, work, &differences);
            }
            Err(CompareError::Target(error)) => return Err(error.into()),
            Err(CompareError::Validate(error)) => return Err(error.into()),
        };
        reports.differences = found.finish()?.map(|path| self.folders.from_site(&path));
        let tally = match compared.outcome {
            // What the table would refuse as a whole is not compared to its end.
            Outcome::Refused => {
                let reason = compared.reason.unwrap_or(Reason::Target);
                let mut end = End::stopped(Outcome::Refused, reason, compared.message.unwrap_or_default());
                (end.tally, end.reports, end.sample) = (compared.tally, reports, sample(work)?);
                return Ok(end);
            }
            _ => compared.counts,
        };
        let held = held.or(compared.message).map(|why| format!("; a load would be held: {why}"));
        let message = words(&tally, reports.differences.as_deref()) + held.as_deref().unwrap_or_default();
        Ok(End {
            outcome: if tally.rejected == 0 { Outcome::Loaded } else { Outcome::LoadedWithRejects },
            reason: None,
            message: Some(message),
            tally,
            deletes: 0,
            reports,
            sample: sample(work)?,
            retryable: false,
            rejects: RejectNews::default(),
        })
    }

    fn report_rejects(&self, job: &Job, work: &WorkFile) -> Result<Reports, Fault> {
        self.keep_rejects(job, work)?;
        self.write_reports(job, work, None)
    }

    /// A new report of differences, under a name that nobody has; one that an attempt before this one left is replaced.
    fn differences_report(&self, job: &Job) -> Result<(AtomicFile, PathBuf), Fault> {
        let folder = self.folders.shadow_reports(&job.plan.name);
        self.refuse_links(&folder)?;
        wire::folder::ensure(&folder)?;
        let name = job.name.safe();
        for number in 1..=MOST_SAME_NAME {
            let stem = if number == 1 { name.clone() } else { format!("{name}.{number}") };
            let path = folder.join(format!("{stem}.differences.csv"));
            if path.symlink_metadata().is_err() || is_of(&path, job.id) {
                return Ok((AtomicFile::create(&path)?, path));
            }
        }
        Err(Fault::Lasting(format!(
            "{} already holds {MOST_SAME_NAME} reports of that name; move the old ones away",
            folder.display()
        )))
    }
}

/// True when a report begins with a line of this delivery.
fn is_of(path: &std::path::Path, delivery: DeliveryId) -> bool {
    const SEARCHED_BYTES: u64 = 256;
    let mut head = Vec::new();
    let read = wire::open_regular(path).map(|file| file.take(SEARCHED_BYTES).read_to_end(&mut head));
    read.is_ok_and(|read| read.is_ok()) && {
        let line = head.split(|byte| *byte == b'\n').nth(1).unwrap_or_default();
        line.starts_with(delivery.to_string().as_bytes())
    }
}

/// What was found, in words.
fn words(tally: &Tally, report: Option<&str>) -> String {
    let Tally { inserted, updated, unchanged, deleted, .. } = tally;
    let counts = format!(
        "shadow run, nothing was written: {unchanged} rows are in the table as they are in the file, {updated} differ, \
         {inserted} are missing there"
    );
    let only_there = if *deleted > 0 { format!(", {deleted} are only there") } else { String::new() };
    let see = report.map(|path| format!("; see {path}")).unwrap_or_default();
    format!("{counts}{only_there}{see}")
}

/// The differences as they are written down.
struct Found {
    report: Option<(csv::Writer<AtomicFile>, PathBuf)>,
    written: u64,
    most: u64,
    failed: Option<Fault>,
}

impl Found {
    /// Writes a difference down; false when no more are wanted.
    fn tell(&mut self, engine: &Engine, job: &Job, difference: Difference) -> bool {
        let told = self.write(engine, job, difference);
        if let Err(fault) = told {
            self.failed = Some(fault);
        }
        self.failed.is_none() && self.written < self.most
    }

    fn write(&mut self, engine: &Engine, job: &Job, difference: Difference) -> Result<(), Fault> {
        if self.report.is_none() {
            let (file, path) = engine.differences_report(job)?;
            let mut writer = csv::Writer::from_writer(file);
            writer.write_record(COLUMNS).map_err(|error| unwritable(&path, error))?;
            self.report = Some((writer, path));
        }
        let Some((writer, path)) = &mut self.report else { return Ok(()) };
        for line in lines(&job.plan, job.id, difference) {
            if self.written >= self.most {
                return Ok(());
            }
            self.written += 1;
            writer.write_record(&line).map_err(|error| unwritable(path, error))?;
        }
        Ok(())
    }

    /// The report, durably; none when nothing differs.
    fn finish(self) -> Result<Option<PathBuf>, Fault> {
        if let Some(fault) = self.failed {
            return Err(fault);
        }
        let Some((writer, path)) = self.report else { return Ok(None) };
        let mut file = writer
            .into_inner()
            .map_err(|error| WireError::io("write", &path, std::io::Error::from(error.error().kind())))?;
        file.flush().map_err(|cause| WireError::io("write", &path, cause))?;
        file.commit_replace()?;
        Ok(Some(path))
    }
}

fn unwritable(path: &std::path::Path, error: csv::Error) -> Fault {
    WireError::io("write", path, error.into()).into()
}

/// A difference as lines of the report: one a value for rows that differ, one a row for others.
fn lines(plan: &Plan, delivery: DeliveryId, difference: Difference) -> Vec<[String; 8]> {
    let kind = match difference.kind {
        DifferenceKind::Insert => "missing in the table",
        DifferenceKind::Update => "different",
        DifferenceKind::Delete => "only in the table",
    };
    let record = difference.origin.map(|origin| origin.record.to_string()).unwrap_or_default();
    let row = RowShown::new(plan, difference);
    let line = row.line.map(|line| line.to_string()).unwrap_or_default();
    let key = spreadsheet::protect(&row.key.join(" / ")).into_owned();
    let cell = |text: Option<String>| spreadsheet::protect(&text.unwrap_or_default()).into_owned();
    let of = |change: Option<ChangeShown>| {
        let (column, stored, new) =
            change.map_or((String::new(), None, None), |change| (change.column, change.from, change.to));
        let head = [delivery.to_string(), kind.to_owned(), line.clone(), record.clone(), key.clone()];
        let [delivery, kind, line, record, key] = head;
        [delivery, kind, line, record, key, column, cell(stored), cell(new)]
    };
    if row.changes.is_empty() {
        vec![of(None)]
    } else {
        row.changes.into_iter().map(|change| of(Some(change))).collect()
    }
}
