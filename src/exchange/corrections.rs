//! Corrections: rejected records of one delivery, as they are now, run as a delivery of their own under the mapping as it is
//! today. Where they come from makes no difference: a report that came back, or the program itself that tries them again.
//!
//! Nothing of it is special on the way: it is archived, recorded, runs in the lane of its table, and is finished after a
//! crash like any delivery. It keeps nobody waiting and waits behind nobody: whether a reject may still load is looked at
//! when its turn comes, one by one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Engine, EngineError, Folders,
    deliver::Fault,
    recover::Plans,
    take::{Job, Origin, TakenFile, UNRECORDED, accepted},
};
use crate::{
    formats::corrected::Corrected,
    ledger::{Closing, DeliveryState, Event, LedgerError, RejectStates, View, Wish},
    mapping::{
        Plan,
        plan::{EmptyFile, OnDuplicate, RejectLimits},
    },
    model::{ContentHash, DeliveryId, FileName, Reject, State},
    rejects::{Correction, CorrectionWriter, RejectIds},
    targets::Commit,
    validate::{Seal, ValidateError, work::RejectFile},
    wire::{
        self, AtomicFile, WireError,
        fail::{self, Point},
    },
};

/// The source of corrections that a person asked for without giving new values.
pub const REPLAY: &str = "replay";

/// The delivery and the record that the id of a reject leads to; none when there is no such delivery. Whether that record
/// was rejected is another question.
///
/// # Errors
/// When the ledger cannot be read.
pub fn find_reject(
    view: View<'_>,
    key: &[u8; 32],
    id: &str,
) -> Result<Option<(DeliveryId, u64)>, LedgerError> {
    let Some(place) = RejectIds::read(key, id) else { return Ok(None) };
    let (low, high) = place.range();
    let found = view.between(low, high)?.into_iter().find(|delivery| place.is_in(*delivery));
    Ok(found.map(|delivery| (delivery, place.record)))
}

/// Why the open rejects of a delivery cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenRejectsError {
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The file that they are kept in.
    #[error("the rejects kept in {0} cannot be read: {1}")]
    Kept(PathBuf, ValidateError),
    /// Whoever goes through them.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<OpenRejectsError> for EngineError {
    fn from(error: OpenRejectsError) -> Self {
        match error {
            OpenRejectsError::Ledger(error) => error.into(),
            OpenRejectsError::Kept(..) => Self::Decision(error.to_string()),
            OpenRejectsError::Io(cause) => WireError::io("write", Path::new("the correction"), cause).into(),
        }
    }
}

/// Goes through the open rejects of a delivery, each as it was seen last: one that a correction left wrong is the record of
/// that correction. In no order.
///
/// # Errors
/// When the ledger or a file of rejects cannot be read, or `each` says so.
pub fn for_each_open(
    folders: &Folders,
    view: View<'_>,
    delivery: DeliveryId,
    each: &mut dyn FnMut(&Seal, Reject, Version) -> io::Result<()>,
) -> Result<(), OpenRejectsError> {
    if view.by_id(delivery)?.is_none_or(|found| found.rejects.open == 0) {
        return Ok(());
    }
    let states = view.reject_states(delivery)?;
    let loaded = |found: &DeliveryState| found.state == State::LoadedWithRejects;
    let corrections = view.corrections_of(delivery)?.into_iter().filter(loaded).rev();
    let mut seen: BTreeSet<u64> = BTreeSet::new();
    for correction in corrections {
        read_open(folders, correction.id, &states, &mut seen, &mut |seal, reject| {
            each(seal, reject, Version::Corrected)
        })?;
    }
    read_open(folders, delivery, &states, &mut seen, &mut |seal, reject| each(seal, reject, Version::First))
}

/// Which version of a reject it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The record as it came with the file, its bytes in the file's encoding.
    First,
    /// The record as a correction brought it, its bytes in UTF-8.
    Corrected,
}

fn read_open(
    folders: &Folders,
    delivery: DeliveryId,
    states: &RejectStates,
    seen: &mut BTreeSet<u64>,
    each: &mut dyn FnMut(&Seal, Reject) -> io::Result<()>,
) -> Result<(), OpenRejectsError> {
    let path = folders.reject_file(delivery);
    let damaged = |error: ValidateError| OpenRejectsError::Kept(path.clone(), error);
    let file = File::open(&path).map_err(|cause| damaged(ValidateError::Work(cause)))?;
    let kept = RejectFile::open(file).map_err(damaged)?;
    for reject in kept.rejects().map_err(damaged)? {
        let reject = reject.map_err(damaged)?;
        let record = reject.position.record;
        // Rows of a corrected file that stood for nothing have no number.
        if record > 0 && states.of(record).is_none() && seen.insert(record) {
            each(&kept.seal, reject)?;
        }
    }
    Ok(())
}

/// The plan as corrections run under it: the records come in a file of our own making, and what is said of whole files
/// (trailers, shares of rejects, duplicates, other mappings) is not asked of them. `refused` are records that are not
/// loaded, with words that say why.
#[must_use]
pub fn corrected_plan(plan: &Plan, refused: BTreeMap<u64, String>) -> Arc<Plan> {
    let mut plan = plan.clone();
    plan.format = Arc::new(Corrected { has_names: plan.format.has_names(), refused });
    plan.rejects = RejectLimits::default();
    plan.on_duplicate = OnDuplicate::Load;
    plan.empty_file = EmptyFile::Load;
    plan.waits_for.clear();
    plan.control_columns.clear();
    // What may be older than what the table has is found out once, at the beginning.
    plan.table.commit = Commit::Delivery;
    Arc::new(plan)
}

impl Engine {
    /// Archives a correction, and gives the delivery that it makes; the ledger has not heard of it yet. `origin` is where
    /// it came from (an empty path: from nowhere), `returned` the archived copy of the file that it came as.
    ///
    /// # Errors
    /// When the store fails, or the delivery that is corrected is not known.
    pub(super) fn correction_job(
        &self,
        correction: &Correction,
        plan: &Arc<Plan>,
        origin: &Origin<'_>,
        returned: Option<&Path>,
    ) -> Result<Job, EngineError> {
        let former = self.known(correction.delivery)?;
        let id = self.new_id()?;
        let mut name = origin.name.as_bytes().to_vec();
        name.extend_from_slice(b".corrections");
        let path = self.archive_path(id, &FileName::new(name));
        wire::folder::ensure(path.parent().unwrap_or(&path))?;
        fail::step(Point::CorrectionWrite).map_err(|cause| WireError::io("write", &path, cause))?;
        let mut output = Hashed { file: AtomicFile::create(&path)?, hasher: blake3::Hasher::new(), bytes: 0 };
        correction.write_to(&mut output).map_err(|cause| WireError::io("write", &path, cause))?;
        let (hash, size) = (ContentHash(*output.hasher.finalize().as_bytes()), output.bytes);
        output.file.commit_new()?;
        let read_only = std::os::unix::fs::PermissionsExt::from_mode(0o444);
        std::fs::set_permissions(&path, read_only).map_err(|cause| WireError::io("protect", &path, cause))?;
        self.ledger().keep_plan(&plan.fingerprint, &plan.name, &plan.source)?;
        let archived = super::take::Archived { id, hash, size, path, is_new: true, copied: None };
        let mut taken = self.taken(origin, &archived, Some(plan));
        if let Event::Taken(taken) = &mut taken {
            taken.corrects = Some(correction.delivery);
            let archive = self.folders.archive();
            let relative =
                |path: &Path| path.strip_prefix(&archive).unwrap_or(path).to_string_lossy().into_owned();
            taken.returned = returned.map(relative);
            if origin.path.as_os_str().is_empty() {
                taken.source_path = None;
            }
        }
        let file = if origin.path.as_os_str().is_empty() {
            PathBuf::from(former.file.to_string())
        } else {
            origin.path.to_owned()
        };
        Ok(Job {
            id,
            arrival: UNRECORDED,
            file,
            // What a mapping says of file names, it says of the file that is corrected; so do the reports.
            name: former.file.clone(),
            source: origin.source.to_owned(),
            modified_nanos: i64::try_from(origin.modified_nanos).ok(),
            size,
            hash,
            archive: archived.path,
            verify: false,
            lane: self.lane(plan),
            order: plan.order_key(&former.file.to_text(), former.modified_nanos.unwrap_or_default().into()),
            waits_until: self.clock.elapsed(),
            new_copy: true,
            pending: vec![taken],
            plan: corrected_plan(plan, BTreeMap::new()),
            attempts: 0,
            postponed: 0,
            approved_rejects: None,
            approved_deletes: None,
            again: true,
            corrects: Some(correction.delivery),
            reruns: None,
            restores: false,
        })
    }

    /// Takes what a wish is about, unless it is a file that somebody names.
    ///
    /// # Errors
    /// When it cannot be done, or would do harm.
    pub fn take_wished(&self, wish: &Wish, request: Option<u64>) -> Result<TakenFile, EngineError> {
        match wish {
            Wish::Replay { delivery, plan } => self.take_replay(*delivery, plan.as_deref(), request),
            Wish::Rerun { delivery, plan, older } => {
                self.take_rerun(*delivery, plan.as_deref(), *older, request)
            }
            _ => Err(EngineError::Decision("this takes nothing".to_owned())),
        }
    }

    /// Takes the open rejects of a delivery to try them again under `plan`, or under its mapping as it is today.
    ///
    /// # Errors
    /// When they cannot be read, or the mapping is not valid.
    pub(super) fn take_replay(
        &self,
        delivery: DeliveryId,
        plan: Option<&str>,
        request: Option<u64>,
    ) -> Result<TakenFile, EngineError> {
        let former = self.known(delivery)?;
        if former.corrects.is_some() {
            let of = former.corrects.map(|of| of.to_string()).unwrap_or_default();
            return Err(EngineError::Decision(format!(
                "{delivery} is a correction: what it could not load is a reject of the delivery that it corrects; \
                 `wharf replay {of}`"
            )));
        }
        let plan = self.plan_of_today(&former, plan)?;
        let correction = self.open_correction(&former, &plan, &mut |_| true)?;
        let jobs = if correction.is_empty() {
            Vec::new()
        } else {
            vec![self.replay_job(&former, &correction, &plan, REPLAY)?]
        };
        self.taken_jobs(jobs, request)
    }

    /// The delivery that tries a correction again without new values.
    pub(super) fn replay_job(
        &self,
        former: &DeliveryState,
        correction: &Correction,
        plan: &Arc<Plan>,
        source: &str,
    ) -> Result<Job, EngineError> {
        let origin = Origin {
            source,
            path: Path::new(""),
            name: &former.file,
            modified_nanos: former.modified_nanos.unwrap_or_default().into(),
            stamp: None,
            evidence: None,
        };
        self.correction_job(correction, plan, &origin, None)
    }

    /// The open rejects of a delivery that `wanted` takes, as they would run under `plan`.
    pub(super) fn open_correction(
        &self,
        former: &DeliveryState,
        plan: &Plan,
        wanted: &mut dyn FnMut(&Reject) -> bool,
    ) -> Result<Correction, EngineError> {
        let failed = |cause| WireError::io("write", &self.folders.work(), cause);
        let reader = crate::ledger::LedgerReader::open(&self.folders.ledger())?;
        let mut writer: Option<CorrectionWriter<'_>> = None;
        let folder = self.folders.work();
        for_each_open(&self.folders, reader.view(), former.id, &mut |seal, reject, version| {
            if !wanted(&reject) {
                return Ok(());
            }
            let open = match &mut writer {
                Some(open) => open,
                None => writer.insert(CorrectionWriter::new(&folder, former.id, plan, &seal.header)?),
            };
            if open.is_full() {
                return Ok(());
            }
            open.push_again(seal, &reject, version == Version::First)
        })?;
        let writer = match writer {
            Some(writer) => writer,
            None => CorrectionWriter::new(&folder, former.id, plan, &[]).map_err(failed)?,
        };
        Ok(writer.finish().map_err(failed)?)
    }

    /// Records jobs as taken, with the answer to whoever asked for them.
    pub(super) fn taken_jobs(
        &self,
        mut jobs: Vec<Job>,
        request: Option<u64>,
    ) -> Result<TakenFile, EngineError> {
        let answers = accepted(request, jobs.iter().map(|job| job.id).collect());
        self.record_taken(&mut jobs, &answers)?;
        Ok(TakenFile::Jobs(jobs))
    }

    /// The mapping of a delivery as it is today: as a command has kept it, or as this engine knows it.
    pub(super) fn plan_of_today(
        &self,
        delivery: &DeliveryState,
        kept: Option<&str>,
    ) -> Result<Arc<Plan>, EngineError> {
        let Some(mapping) = &delivery.mapping else {
            return Err(EngineError::Decision(format!(
                "no mapping took {} ({}): `wharf load --mapping NAME` loads the original file",
                delivery.file, delivery.id
            )));
        };
        let Some(fingerprint) = kept else { return Ok(self.site.catalog.get(mapping)?) };
        let of_today = DeliveryState { plan: Some(fingerprint.to_owned()), ..delivery.clone() };
        self.plan_of(&of_today, &mut Plans::new())?.map_err(EngineError::Decision)
    }

    /// The plan of a correction whose turn has come: records that are not open any more are refused, each with its reason.
    pub(super) fn plan_of_correction(&self, job: &Job, corrects: DeliveryId) -> Result<Arc<Plan>, Fault> {
        let records = self.records_of(job)?;
        let states = self.ledger().view().reject_states(corrects)?;
        // What it loads once more it had closed itself.
        let again = match job.reruns {
            Some(former) => self.standing_for(former)?,
            None => BTreeSet::new(),
        };
        let by_itself = |closing: &Closing| matches!(closing, Closing::Corrected { delivery } if again.contains(delivery));
        let refused = records.into_iter().filter_map(|record| {
            let closing = states.of(record).filter(|closing| !by_itself(closing))?;
            Some((record, closing.words()))
        });
        Ok(corrected_plan(&job.plan, refused.collect()))
    }
}

/// Writes to a file, counts and hashes.
struct Hashed {
    file: AtomicFile,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
