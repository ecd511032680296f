//! Taking a file: its bytes are copied into the archive while they are hashed, the source is looked at again, and the
//! ledger knows, all durably, before anything else happens; then the source is told.

use std::{
    fs::File,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    DeliveryReport, Engine, EngineError, Folders, Observer, Step,
    lanes::{Blocker, LaneId},
    returned,
};
use crate::{
    ledger::{Answer, Event, Stop, Taken},
    mapping::{Choice, Connection, OrderKey, Plan},
    model::{ContentHash, DeliveryId, FileName, Outcome, Reason, Tally},
    wire::{self, Copied, FileStamp, WireError},
};

/// The source of files that are named on the command line.
pub const COMMAND_LINE: &str = "command line";

/// The arrival of a delivery that the ledger has not heard of yet: after all others.
pub const UNRECORDED: u64 = u64::MAX;

/// What is said of a delivery whose file turned out not to have been whole.
pub(super) const WRITTEN_TO: &str = "it was written to after it had been held to be whole and was copied: nothing of this \
                                     copy is loaded, and the file is taken again when it is whole";

/// What is said of a file that is to be a corrected report and is none.
const NOT_RETURNED: &str = "it is no corrected report: its first line has no column wharf_reject_id; `wharf load` loads \
                            other files";

/// So much of the disk of the store is not filled with copies: the ledger and the work files need it.
const RESERVE_BYTES: u64 = 16 << 20;

/// A file in the archive that has to run under a plan.
#[derive(Clone, Debug)]
pub struct Job {
    /// The delivery.
    pub id: DeliveryId,
    /// When it came, as a number of the ledger.
    pub arrival: u64,
    /// The file as it was named to the engine.
    pub file: PathBuf,
    /// Its name.
    pub name: FileName,
    /// The source that it came from.
    pub source: String,
    /// When it was last changed, in nanoseconds since 1970, if that is known.
    pub modified_nanos: Option<i64>,
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
    /// The table it goes to.
    pub lane: LaneId,
    /// Its place among the deliveries of its table.
    pub order: OrderKey,
    /// It waits for other mappings until then, by the engine's clock that never goes back.
    pub waits_until: Duration,
    /// The copy is known to nobody but this job yet.
    pub new_copy: bool,
    /// Events that the ledger learns together with the first of its run: one durable write instead of two.
    pub pending: Vec<Event>,
    /// Attempts before this one.
    pub attempts: u32,
    /// Those of them, in a row, that a fault which may pass had stopped.
    pub postponed: u32,
    /// Rejects that a person has accepted.
    pub approved_rejects: Option<u64>,
    /// Rows of which a person has accepted that they vanish.
    pub approved_deletes: Option<u64>,
    /// It is loaded even if its bytes were loaded before.
    pub again: bool,
    /// The delivery some of whose rejects it brings corrected.
    pub corrects: Option<DeliveryId>,
    /// The delivery whose file, or whose corrections, it loads once more.
    pub reruns: Option<DeliveryId>,
    /// It stands for that delivery, which the target has forgotten.
    pub restores: bool,
}

impl Job {
    /// True when a person has accepted so many rejects, or more.
    #[must_use]
    pub fn accepts(&self, rejected: u64) -> bool {
        self.approved_rejects.is_some_and(|approved| rejected <= approved)
    }

    /// True when a person has accepted that so many rows vanish, or more.
    #[must_use]
    pub fn accepts_deletes(&self, rows: u64) -> bool {
        self.approved_deletes.is_some_and(|approved| rows <= approved)
    }

    /// True when rows that it does not have may vanish: it is a whole file, in its turn or in that of the delivery that it
    /// stands for.
    #[must_use]
    pub fn may_vanish(&self) -> bool {
        let in_turn = self.reruns.is_none() || self.restores;
        self.plan.table.mirror.is_some() && self.corrects.is_none() && in_turn
    }

    /// True when it is the whole truth about its table, so that what came before it for its mapping is void once it is
    /// loaded.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let whole = self.plan.table.mirror.as_ref().is_some_and(|mirror| mirror.scope.is_empty());
        whole && self.may_vanish() && !self.plan.shadow
    }

    /// What it is to others of its table while a person has to decide about it.
    #[must_use]
    pub fn blocker(&self) -> Blocker {
        Blocker {
            id: self.id,
            arrival: self.arrival,
            order: Some(self.order.clone()),
            mapping: self.plan.name.clone(),
            hash: self.hash,
        }
    }
}

/// What is asked for a file.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// The mapping to use, whatever the file's name.
    pub mapping: Option<Arc<Plan>>,
    /// Load bytes that were loaded before.
    pub again: bool,
    /// Take corrected reports only.
    pub corrected: bool,
    /// The request that asks for it; it is answered with the first event.
    pub request: Option<u64>,
}

/// What came of taking a file.
#[derive(Debug)]
pub enum TakenFile {
    /// These have to run; several when mappings share the file.
    Jobs(Vec<Job>),
    /// Nothing is to be done.
    Ended(Box<DeliveryReport>),
}

/// A file whose bytes lie in the archive, before the ledger knows.
pub(super) struct Archived {
    /// The delivery that it will be.
    pub(super) id: DeliveryId,
    pub(super) hash: ContentHash,
    pub(super) size: u64,
    pub(super) path: PathBuf,
    /// The archive did not have the bytes before.
    pub(super) is_new: bool,
    /// The copy while it is not durable yet.
    pub(super) copied: Option<Copied>,
}

/// Where a file came from, as the ledger keeps it.
pub(super) struct Origin<'a> {
    pub(super) source: &'a str,
    pub(super) path: &'a Path,
    pub(super) name: &'a FileName,
    pub(super) modified_nanos: i128,
    pub(super) stamp: Option<String>,
    pub(super) evidence: Option<String>,
}

/// Why a file was not taken.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// It was written to meanwhile.
    Changed,
    /// The store has no room for it.
    Large {
        /// Its length in bytes.
        length: u64,
        /// The room in bytes, without the reserve.
        room: u64,
    },
    /// Its folder or its disk is at fault.
    Source(WireError),
    /// The site's own store is.
    Store(WireError),
}

impl NotTaken {
    pub(super) fn reason(&self) -> Reason {
        if matches!(self, Self::Changed) { Reason::Changed } else { Reason::Fault }
    }

    pub(super) fn message(&self) -> String {
        match self {
            Self::Changed => {
                "the file changed while it was read, so nothing was taken; try again when it is complete"
                    .to_owned()
            }
            Self::Large { length, room } => format!(
                "the file has {length} bytes, and the disk of the store has room for {room}: free space there, or take the file \
                 away; other files go on"
            ),
            Self::Source(error) | Self::Store(error) => with_help(error),
        }
    }
}

impl Engine {
    /// Takes one file from where it lies; it stays there.
    ///
    /// # Errors
    /// When the ledger or the store fails. That the file itself cannot be taken is in its report.
    pub fn take(
        &self,
        file: &Path,
        options: &LoadOptions,
        observer: &mut dyn Observer,
    ) -> Result<TakenFile, EngineError> {
        let started = self.clock.elapsed();
        let name = FileName::new(file.file_name().unwrap_or(file.as_os_str()).as_bytes());
        let opened = wire::open_regular(file)
            .and_then(|source| Ok((FileStamp::of(&source, file)?, source)))
            .map_err(NotTaken::Source);
        if let Ok((stamp, source)) = &opened {
            // Before any mapping is asked, whatever its name.
            if returned::shows_returned(source) {
                return self.take_returned(source, stamp, file, options, observer);
            }
            if options.corrected {
                return self.not_taken(file, options.request, Reason::Header, NOT_RETURNED.to_owned());
            }
        }
        let plans = self.plans_for(&name, options.mapping.as_ref(), None);
        if let Err((reason @ Reason::Fault, message)) = plans {
            return self.not_taken(file, options.request, reason, message);
        }
        let archived = match opened {
            Ok((stamp, source)) => self.archive(&source, file, &name, observer)?.map(|done| (stamp, done)),
            Err(why) => Err(why),
        };
        let (stamp, mut archived) = match archived {
            Ok(done) => done,
            Err(why) => return self.not_taken(file, options.request, why.reason(), why.message()),
        };
        if let Some(copied) = archived.copied.take() {
            copied.sync()?;
        }
        let origin = Origin {
            source: COMMAND_LINE,
            path: file,
            name: &name,
            modified_nanos: stamp.modified_nanos,
            stamp: None,
            evidence: None,
        };
        let plans = match plans {
            Ok(plans) => plans,
            Err((reason, message)) => {
                let worked_millis = millis_since(self, started);
                let taken = self.taken(&origin, &archived, None);
                let answers = accepted(options.request, vec![archived.id]);
                let events = vec![taken, Event::Refused(stop(reason, &message, worked_millis))];
                self.record_answering(archived.id, events, &answers)?;
                let report = ended(archived.id, file, reason, message, worked_millis);
                return Ok(TakenFile::Ended(Box::new(report)));
            }
        };
        let mut jobs = self.jobs(&origin, &archived, &plans)?;
        for job in &mut jobs {
            job.again = options.again;
        }
        if jobs.len() > 1 || options.request.is_some() {
            // Deliveries that have to wait for another are known before that one begins. All at once, as the copy that
            // they share is known by the first one's id.
            let answers = accepted(options.request, jobs.iter().map(|job| job.id).collect());
            self.record_taken(&mut jobs, &answers)?;
        }
        Ok(TakenFile::Jobs(jobs))
    }

    /// The deliveries that a file makes, one a plan; the ledger has not heard of them yet.
    pub(super) fn jobs(
        &self,
        origin: &Origin<'_>,
        archived: &Archived,
        plans: &[Arc<Plan>],
    ) -> Result<Vec<Job>, EngineError> {
        let mut jobs = Vec::new();
        for plan in plans {
            let id = if jobs.is_empty() { archived.id } else { self.new_id()? };
            self.ledger().keep_plan(&plan.fingerprint, &plan.name, &plan.source)?;
            jobs.push(Job {
                id,
                arrival: UNRECORDED,
                file: origin.path.to_owned(),
                name: origin.name.clone(),
                source: origin.source.to_owned(),
                modified_nanos: i64::try_from(origin.modified_nanos).ok(),
                size: archived.size,
                hash: archived.hash,
                archive: archived.path.clone(),
                verify: false,
                lane: self.lane(plan),
                order: plan.order_key(&origin.name.to_text(), origin.modified_nanos),
                waits_until: self.clock.elapsed() + plan.wait_limit,
                new_copy: archived.is_new,
                pending: vec![self.taken(origin, archived, Some(plan))],
                plan: Arc::clone(plan),
                attempts: 0,
                postponed: 0,
                approved_rejects: None,
                approved_deletes: None,
                again: false,
                corrects: None,
                reruns: None,
                restores: false,
            });
        }
        Ok(jobs)
    }

    /// Records what the jobs have pending, all or none, with the answers that this gives.
    pub(super) fn record_taken(
        &self,
        jobs: &mut [Job],
        answers: &[(u64, Answer)],
    ) -> Result<(), EngineError> {
        self.record_taken_with(jobs, answers, Vec::new())
    }

    /// The same, with what it means for other deliveries.
    pub(super) fn record_taken_with(
        &self,
        jobs: &mut [Job],
        answers: &[(u64, Answer)],
        others: Vec<(DeliveryId, Event)>,
    ) -> Result<(), EngineError> {
        let mut events: Vec<(DeliveryId, Event)> =
            jobs.iter().flat_map(|job| job.pending.iter().map(|event| (job.id, event.clone()))).collect();
        events.extend(others);
        let recorded = self.ledger().append_answering(self.clock.unix_millis(), &events, answers);
        let sequences = recorded.inspect_err(|error| {
            for job in jobs.iter().filter(|job| job.new_copy && error.is_passing()) {
                // Nothing was recorded, so nobody will ever ask for the copy.
                wire::discard(&job.archive);
            }
        })?;
        let mut sequences = sequences.into_iter();
        for job in jobs {
            let mine: Vec<u64> = sequences.by_ref().take(job.pending.len()).collect();
            job.arrival = mine.first().copied().unwrap_or(job.arrival);
            job.pending.clear();
        }
        Ok(())
    }

    /// The table that a plan loads into.
    pub(super) fn lane(&self, plan: &Plan) -> LaneId {
        let connection = self.site.settings.connection(plan.connection.as_deref());
        LaneId {
            database: connection.map(Connection::place).unwrap_or_default(),
            one_writer: connection.is_none_or(Connection::has_one_writer),
            table: self.site.settings.table_key(plan.connection.as_deref(), &plan.table.table),
        }
    }

    /// The plans that take the file; or why it is refused (or, as a fault, not even taken). `source` is the one that it
    /// comes from, none for the command line.
    pub(super) fn plans_for(
        &self,
        name: &FileName,
        mapping: Option<&Arc<Plan>>,
        source: Option<&str>,
    ) -> Result<Vec<Arc<Plan>>, (Reason, String)> {
        if let Some(plan) = mapping {
            return Ok(vec![Arc::clone(plan)]);
        }
        let catalog = &self.site.catalog;
        let named = if source.is_none() { "name one with --mapping, or " } else { "" };
        match catalog.choose(&name.to_text(), source) {
            Choice::One(plan) => Ok(vec![plan]),
            Choice::Several(plans) => Ok(plans),
            Choice::None => {
                let known: Vec<&str> = catalog.iter().map(|entry| entry.name.as_str()).collect();
                let known = if known.is_empty() { "there are none".to_owned() } else { known.join(", ") };
                let message = format!(
                    "no mapping takes a file of this name (mappings in mappings/inbound: {known}); {named}add the name to a \
                     mapping's `match`"
                );
                Err((Reason::NoMapping, message))
            }
            Choice::Ambiguous(names) => {
                let message = format!(
                    "the mappings {} all take a file of this name; {named}make their `match` narrower, or set `shared = \
                     true` in each",
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

    /// Copies an open file into the archive; the copy is not durable yet. `path` is for messages.
    pub(super) fn archive(
        &self,
        source: &File,
        path: &Path,
        name: &FileName,
        observer: &mut dyn Observer,
    ) -> Result<Result<Archived, NotTaken>, EngineError> {
        let id = self.new_id()?;
        let size = match FileStamp::of(source, path) {
            Ok(stamp) => stamp.length,
            Err(error) => return Ok(Err(NotTaken::Source(error))),
        };
        // Bytes that are known already need no second copy.
        let knows_size = self.ledger().view().knows_size(size)?;
        if knows_size {
            match hash_unchanged(source, path, |done| observer.progress(path, Step::Taking, done, size)) {
                Ok(Some((hash, size))) => {
                    if let Some(path) = self.known_copy(hash, size)? {
                        return Ok(Ok(Archived { id, hash, size, path, is_new: false, copied: None }));
                    }
                }
                Ok(None) => return Ok(Err(NotTaken::Changed)),
                Err(error) => return Ok(Err(NotTaken::Source(error))),
            }
        }
        let target = self.archive_path(id, name);
        if let Err(error) = wire::folder::ensure(target.parent().unwrap_or(&target)) {
            return Ok(Err(NotTaken::Store(error)));
        }
        // One file that never fits must not fill the disk again and again: the others need it.
        if let Ok(disk) = rustix::fs::statvfs(&self.folders.store) {
            let room = disk.f_bavail.saturating_mul(disk.f_frsize).saturating_sub(RESERVE_BYTES);
            if size > RESERVE_BYTES && size > room {
                return Ok(Err(NotTaken::Large { length: size, room }));
            }
        }
        let progress = |done| observer.progress(path, Step::Taking, done, size);
        Ok(match wire::copy_hashed(source, path, &target, progress) {
            Ok(copied) if copied.source_changed => Err(NotTaken::Changed),
            Ok(copied) => {
                let (hash, size) = (ContentHash(copied.hash), copied.length);
                Ok(Archived { id, hash, size, path: target, is_new: true, copied: Some(copied) })
            }
            Err(error) if error.is_about(&target) => Err(NotTaken::Store(error)),
            Err(error) => Err(NotTaken::Source(error)),
        })
    }

    /// An archived copy that has these bytes, as a look at every one of them shows.
    fn known_copy(&self, hash: ContentHash, size: u64) -> Result<Option<PathBuf>, EngineError> {
        let Some(relative) = self.ledger().view().archived(size, &hash)? else { return Ok(None) };
        let path = self.folders.archive().join(relative);
        let found = wire::open_regular(&path).and_then(|copy| wire::hash_file(&copy, &path, |_| {}));
        Ok(found.is_ok_and(|found| found == (hash.0, size)).then_some(path))
    }

    /// One folder a day, so that retention can take whole days away.
    pub(super) fn archive_path(&self, id: DeliveryId, name: &FileName) -> PathBuf {
        let now = i64::try_from(self.clock.unix_millis()).unwrap_or(i64::MAX);
        let day = jiff::Timestamp::from_millisecond(now)
            .map_or_else(|_| "undated".to_owned(), |now| now.strftime("%Y/%m/%d").to_string());
        self.folders.archive().join(day).join(format!("{id}-{}", name.safe()))
    }

    pub(super) fn taken(&self, origin: &Origin<'_>, archived: &Archived, plan: Option<&Plan>) -> Event {
        let archive = self.folders.archive();
        Event::Taken(Taken {
            file: origin.name.clone(),
            source: origin.source.to_owned(),
            source_path: Some(origin.path.to_owned()),
            stamp: origin.stamp.clone(),
            evidence: origin.evidence.clone(),
            size: archived.size,
            modified_nanos: i64::try_from(origin.modified_nanos).ok(),
            hash: archived.hash,
            archive: archived
                .path
                .strip_prefix(&archive)
                .unwrap_or(&archived.path)
                .to_string_lossy()
                .into_owned(),
            mapping: plan.map(|plan| plan.name.clone()),
            plan: plan.map(|plan| plan.fingerprint.clone()),
            corrects: None,
            returned: None,
            reruns: None,
            restores: false,
        })
    }

    /// Says that a file was not taken, to whoever asked for it.
    pub(super) fn not_taken(
        &self,
        file: &Path,
        request: Option<u64>,
        reason: Reason,
        message: String,
    ) -> Result<TakenFile, EngineError> {
        if let Some(number) = request {
            let answer = Answer::NotTaken { reason, message: message.clone() };
            self.ledger().append_answering(self.clock.unix_millis(), &[], &[(number, answer)])?;
        }
        let mut report = DeliveryReport::new(None, file, None, Outcome::Failed);
        (report.reason, report.message) = (Some(reason), Some(message));
        Ok(TakenFile::Ended(Box::new(report)))
    }
}

pub(super) fn accepted(request: Option<u64>, deliveries: Vec<DeliveryId>) -> Vec<(u64, Answer)> {
    request.map(|number| (number, Answer::Accepted { deliveries })).into_iter().collect()
}

pub(super) fn stop(reason: Reason, message: &str, worked_millis: u64) -> Stop {
    Stop {
        reason,
        message: message.to_owned(),
        tally: Tally::default(),
        deletes: 0,
        reports: crate::ledger::Reports::default(),
        worked_millis,
    }
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

/// An error of the disk with what can be done about it.
#[must_use]
pub fn with_help(error: &WireError) -> String {
    match error.help() {
        Some(help) => format!("{error}; {help}"),
        None => error.to_string(),
    }
}

pub(super) fn millis_since(engine: &Engine, started: Duration) -> u64 {
    u64::try_from((engine.clock.elapsed() - started).as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn ended(
    id: DeliveryId,
    file: &Path,
    reason: Reason,
    message: String,
    worked_millis: u64,
) -> DeliveryReport {
    let mut report = DeliveryReport::new(Some(id), file, None, Outcome::Refused);
    (report.reason, report.message, report.worked_millis) = (Some(reason), Some(message), worked_millis);
    report
}

impl Folders {
    /// The site-relative form of a report's path.
    pub(super) fn report_paths(&self, paths: &crate::rejects::ReportPaths) -> crate::ledger::Reports {
        crate::ledger::Reports {
            rejects: Some(self.from_site(&paths.rejects)),
            errors: Some(self.from_site(&paths.errors)),
            differences: None,
        }
    }
}
