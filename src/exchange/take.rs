//! Taking a file: its bytes are copied into the archive while they are hashed, the source is looked at again, and the
//! ledger knows, all durably, before anything else happens.

use std::{
    fs::File,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{DeliveryReport, Engine, EngineError, Folders, Observer, Step};
use crate::{
    ledger::{Event, Stop, Taken},
    mapping::{Choice, plan::Plan},
    model::{ContentHash, DeliveryId, FileName, Outcome, Reason, Tally},
    wire::{self, FileStamp, WireError},
};

/// The source of files that are named on the command line.
pub const COMMAND_LINE: &str = "command line";

/// A file in the archive that has to run under a plan.
#[derive(Debug)]
pub struct Job {
    /// The delivery.
    pub id: DeliveryId,
    /// The file as it was named to the engine.
    pub file: PathBuf,
    /// Its name.
    pub name: FileName,
    /// Its size in bytes.
    pub size: u64,
    /// BLAKE3 of its bytes.
    pub hash: ContentHash,
    /// Its copy.
    pub archive: PathBuf,
    /// The copy was made by an earlier run, so that its bytes are looked at first.
    pub verify: bool,
    /// The plan in force.
    pub plan: Arc<Plan>,
    /// The copy is known to nobody but this job yet.
    pub new_copy: bool,
    /// Events that the ledger learns together with the first of its run: one durable write instead of two.
    pub pending: Vec<Event>,
    /// Attempts before this one.
    pub attempts: u32,
    /// Rejects that a person has accepted.
    pub approved_rejects: Option<u64>,
}

impl Job {
    /// True when a person has accepted so many rejects, or more.
    #[must_use]
    pub fn accepts(&self, rejected: u64) -> bool {
        self.approved_rejects.is_some_and(|approved| rejected <= approved)
    }
}

/// What is asked for a file.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// The mapping to use, whatever the file's name.
    pub mapping: Option<Arc<Plan>>,
    /// Load bytes that were loaded before.
    pub again: bool,
}

/// What came of taking a file.
pub enum TakenFile {
    /// These have to run; several when mappings share the file.
    Jobs(Vec<Job>),
    /// Nothing is to be done.
    Ended(Box<DeliveryReport>),
}

impl Engine {
    /// Takes one file from where it lies; it stays there.
    ///
    /// # Errors
    /// When the ledger or the store fails. That the file itself cannot be taken is in its report.
    pub fn take(
        &mut self,
        file: &Path,
        options: &LoadOptions,
        observer: &mut dyn Observer,
    ) -> Result<TakenFile, EngineError> {
        let started = self.clock.elapsed();
        let name = FileName::new(file.file_name().unwrap_or(file.as_os_str()).as_bytes());
        let plans = match self.plans_for(&name, options) {
            Ok(plans) => plans,
            Err((reason @ Reason::Fault, message)) => return Ok(not_taken(file, reason, message)),
            Err((reason, message)) => {
                let archived = match self.archive(file, &name, observer)? {
                    Ok(archived) => archived,
                    Err((reason, message)) => return Ok(not_taken(file, reason, message)),
                };
                let id = archived.id;
                let worked_millis = millis_since(self, started);
                let taken = self.taken(file, &name, &archived, None);
                self.record(id, vec![taken, Event::Refused(stop(reason, &message, worked_millis))])?;
                return Ok(TakenFile::Ended(Box::new(ended(id, file, None, reason, message, worked_millis))));
            }
        };
        let archived = match self.archive(file, &name, observer)? {
            Ok(archived) => archived,
            Err((reason, message)) => return Ok(not_taken(file, reason, message)),
        };
        let mut jobs = Vec::new();
        for plan in plans {
            let id = if jobs.is_empty() { archived.id } else { self.new_id()? };
            self.ledger.keep_plan(&plan.fingerprint, &plan.name, &plan.source)?;
            jobs.push(Job {
                id,
                file: file.to_owned(),
                name: name.clone(),
                size: archived.size,
                hash: archived.hash,
                archive: archived.path.clone(),
                verify: false,
                new_copy: !archived.reused,
                pending: vec![self.taken(file, &name, &archived, Some(&plan))],
                plan,
                attempts: 0,
                approved_rejects: None,
            });
        }
        if jobs.len() > 1 {
            // Deliveries that have to wait for another are known before that one begins. All at once, as the copy that
            // they share is known by the first one's id.
            let pending = jobs.iter_mut().flat_map(|job| {
                let id = job.id;
                std::mem::take(&mut job.pending).into_iter().map(move |event| (id, event))
            });
            let taken: Vec<_> = pending.collect();
            if let Err(error) = self.ledger.append(self.clock.unix_millis(), &taken) {
                if !archived.reused && error.is_passing() {
                    // Nothing was recorded, so nobody will ever ask for the copy.
                    let _ = std::fs::remove_file(&archived.path);
                }
                return Err(error.into());
            }
        }
        Ok(TakenFile::Jobs(jobs))
    }

    /// The plans that take the file; or why it is refused (or, as a fault, not even taken).
    fn plans_for(&self, name: &FileName, options: &LoadOptions) -> Result<Vec<Arc<Plan>>, (Reason, String)> {
        if let Some(plan) = &options.mapping {
            return Ok(vec![Arc::clone(plan)]);
        }
        let catalog = &self.site.catalog;
        match catalog.choose(&name.to_text()) {
            Choice::One(plan) => Ok(vec![plan]),
            Choice::Several(plans) => Ok(plans),
            Choice::None => {
                let known: Vec<&str> = catalog.iter().map(|entry| entry.name.as_str()).collect();
                let known = if known.is_empty() { "there are none".to_owned() } else { known.join(", ") };
                let message = format!(
                    "no mapping takes a file of this name (mappings in mappings/inbound: {known}); name one with \
                     --mapping, or add the name to a mapping's `match`"
                );
                Err((Reason::NoMapping, message))
            }
            Choice::Ambiguous(names) => {
                let message = format!(
                    "the mappings {} all take a file of this name; make their `match` narrower, set `shared = true` in \
                     each, or name one with --mapping",
                    names.join(" and ")
                );
                Err((Reason::Ambiguous, message))
            }
            Choice::Broken(names) => {
                let names = names.join(" and ");
                Err((
                    Reason::Fault,
                    format!("the mapping {names} takes this file but is not valid; run `wharf check`"),
                ))
            }
        }
    }

    fn archive(
        &mut self,
        file: &Path,
        name: &FileName,
        observer: &mut dyn Observer,
    ) -> Result<Result<Archived, (Reason, String)>, EngineError> {
        let id = self.new_id()?;
        let source = match wire::open_regular(file) {
            Ok(source) => source,
            Err(error) => return Ok(Err((Reason::Fault, with_help(&error)))),
        };
        let size = FileStamp::of(&source, file)?.length;
        // Bytes that are known already need no second copy.
        if self.ledger.view().knows_size(size)? {
            match hash_unchanged(&source, file, |done| observer.progress(file, Step::Taking, done, size)) {
                Ok(Some((hash, size))) => {
                    if let Some(path) = self.known_copy(hash, size)? {
                        return Ok(Ok(Archived { id, hash, size, path, reused: true }));
                    }
                }
                Ok(None) => return Ok(Err((Reason::Changed, changed()))),
                Err(error) => return Ok(Err((Reason::Fault, with_help(&error)))),
            }
        }
        let path = self.archive_path(id, name);
        wire::folder::ensure(path.parent().unwrap_or(&path))?;
        match wire::copy_hashed(&source, file, &path, |done| {
            observer.progress(file, Step::Taking, done, size)
        }) {
            Ok(copied) if copied.source_changed => Ok(Err((Reason::Changed, changed()))),
            Ok(copied) => {
                let (hash, size) = (ContentHash(copied.hash), copied.length);
                copied.sync()?;
                Ok(Ok(Archived { id, hash, size, path, reused: false }))
            }
            Err(error) => Ok(Err((Reason::Fault, with_help(&error)))),
        }
    }

    /// An archived copy that has these bytes, as a look at every one of them shows.
    fn known_copy(&self, hash: ContentHash, size: u64) -> Result<Option<PathBuf>, EngineError> {
        let Some(relative) = self.ledger.view().archived(size, &hash)? else { return Ok(None) };
        let path = self.folders.archive().join(relative);
        let found = wire::open_regular(&path).and_then(|copy| wire::hash_file(&copy, &path, |_| {}));
        Ok(found.is_ok_and(|found| found == (hash.0, size)).then_some(path))
    }

    /// One folder a day, so that retention can take whole days away.
    fn archive_path(&self, id: DeliveryId, name: &FileName) -> PathBuf {
        let now = i64::try_from(self.clock.unix_millis()).unwrap_or(i64::MAX);
        let day = jiff::Timestamp::from_millisecond(now)
            .map_or_else(|_| "undated".to_owned(), |now| now.strftime("%Y/%m/%d").to_string());
        self.folders.archive().join(day).join(format!("{id}-{}", name.safe()))
    }

    fn taken(&self, file: &Path, name: &FileName, archived: &Archived, plan: Option<&Plan>) -> Event {
        let archive = self.folders.archive();
        Event::Taken(Taken {
            file: name.clone(),
            source: COMMAND_LINE.to_owned(),
            source_path: Some(file.to_owned()),
            stamp: None,
            evidence: None,
            size: archived.size,
            hash: archived.hash,
            archive: archived
                .path
                .strip_prefix(&archive)
                .unwrap_or(&archived.path)
                .to_string_lossy()
                .into_owned(),
            mapping: plan.map(|plan| plan.name.clone()),
            plan: plan.map(|plan| plan.fingerprint.clone()),
        })
    }
}

fn stop(reason: Reason, message: &str, worked_millis: u64) -> Stop {
    Stop {
        reason,
        message: message.to_owned(),
        tally: Tally::default(),
        reports: crate::ledger::Reports::default(),
        worked_millis,
    }
}

/// Bytes that lie in the archive.
struct Archived {
    id: DeliveryId,
    hash: ContentHash,
    size: u64,
    path: PathBuf,
    reused: bool,
}

/// The hash and length of a file; none when it was written to meanwhile.
fn hash_unchanged(
    source: &File,
    path: &Path,
    progress: impl FnMut(u64),
) -> Result<Option<(ContentHash, u64)>, WireError> {
    let before = FileStamp::of(source, path)?;
    let (hash, length) = wire::hash_file(source, path, progress)?;
    Ok((FileStamp::of(source, path)? == before).then_some((ContentHash(hash), length)))
}

fn changed() -> String {
    "the file changed while it was read, so nothing was taken; try again when it is complete".to_owned()
}

/// An error of the disk with what can be done about it.
#[must_use]
pub fn with_help(error: &WireError) -> String {
    match error.help() {
        Some(help) => format!("{error}; {help}"),
        None => error.to_string(),
    }
}

pub(super) fn millis_since(engine: &Engine, started: std::time::Duration) -> u64 {
    u64::try_from((engine.clock.elapsed() - started).as_millis()).unwrap_or(u64::MAX)
}

fn not_taken(file: &Path, reason: Reason, message: String) -> TakenFile {
    let mut report = DeliveryReport::new(None, file, None, Outcome::Failed);
    (report.reason, report.message) = (Some(reason), Some(message));
    TakenFile::Ended(Box::new(report))
}

fn ended(
    id: DeliveryId,
    file: &Path,
    mapping: Option<&str>,
    reason: Reason,
    message: String,
    worked_millis: u64,
) -> DeliveryReport {
    let mut report = DeliveryReport::new(Some(id), file, mapping, Outcome::Refused);
    (report.reason, report.message, report.worked_millis) = (Some(reason), Some(message), worked_millis);
    report
}

impl Folders {
    /// The site-relative form of a report's path.
    pub(super) fn report_paths(&self, paths: &crate::rejects::ReportPaths) -> crate::ledger::Reports {
        crate::ledger::Reports {
            rejects: Some(self.from_site(&paths.rejects)),
            errors: Some(self.from_site(&paths.errors)),
        }
    }
}
