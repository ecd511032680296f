//! Validation by itself: no target, no ledger, no lock. What `validate`, `test` and `show` need.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Sample, Step,
    lookups::{self, Created, LookupError},
    pipeline::{self, PipelineError, PipelineOptions},
    random,
    report::sample_of,
    target,
};
use crate::{
    formats::FormatError,
    mapping::{Settings, Site, expression::Facts, plan::EmptyFile, plan::Plan},
    model::{DeliveryId, Outcome, Reason, Tally, value},
    rejects::RejectIds,
    validate::{ValidateError, Verdict, WorkFile, kept::Folder, lookup::Snapshots},
    wire,
};

/// What validation says of a file.
pub struct Inspection {
    /// How a load would end, if the target took every row.
    pub outcome: Outcome,
    /// Why, where that needs saying.
    pub reason: Option<Reason>,
    /// The same in words.
    pub message: Option<String>,
    /// The counts; rows that passed are `withheld`, as nothing is loaded.
    pub tally: Tally,
    /// Rejects and rows; none when the file could not even be opened under the mapping.
    pub work: Option<WorkFile>,
}

/// Validates files outside of any site's store.
pub struct Inspector {
    pool: rayon::ThreadPool,
    folder: PathBuf,
    site: PathBuf,
    created: Created,
    settings: Settings,
}

impl Inspector {
    /// With the site's limits and lookup tables; work files overflow into the machine's folder for temporary files.
    ///
    /// # Errors
    /// The machine gives no threads.
    pub fn new(site: &Site) -> Result<Self, super::EngineError> {
        let settings = &site.settings;
        let threads = settings.threads.map_or(0, std::num::NonZeroUsize::get);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| super::EngineError::Start(error.to_string()))?;
        Ok(Self {
            pool,
            folder: std::env::temp_dir(),
            site: site.dir.clone(),
            created: Created::of(&site.catalog),
            settings: settings.clone(),
        })
    }

    /// The threads that it works on.
    pub(super) fn pool(&self) -> &rayon::ThreadPool {
        &self.pool
    }

    /// Validates one file. Rows are kept only if `keep_rows`; `facts` is what expressions may ask of the file.
    ///
    /// # Errors
    /// When the file cannot be read, or the work file not written.
    pub fn inspect(
        &self,
        plan: &Arc<Plan>,
        path: &Path,
        facts: &Arc<Facts>,
        keep_rows: bool,
        progress: &mut dyn FnMut(Step, u64, u64),
    ) -> Result<Inspection, InspectError> {
        let file = wire::open_regular(path)?;
        let size = file.metadata().map_err(|cause| wire::WireError::io("read", path, cause))?.len();
        if size == 0 {
            return Ok(empty(plan));
        }
        let from = (path, file);
        self.inspect_file(plan, from, facts, keep_rows, &mut |done| progress(Step::Validating, done, size))
    }

    fn lookups(&self, plan: &Plan) -> Result<Arc<Snapshots>, InspectError> {
        let reader = lookups::Reader {
            site: &self.site,
            created: &self.created,
            open: &|connection| target::open(&self.settings, connection),
            work_folder: &self.folder,
            memory_bytes: self.settings.max_memory_bytes / super::LOOKUP_SHARE,
            secret: [random::<8>()?, random::<8>()?].map(u64::from_le_bytes),
        };
        Ok(reader.snapshots(plan)?)
    }

    fn inspect_file(
        &self,
        plan: &Arc<Plan>,
        (path, file): (&Path, File),
        facts: &Arc<Facts>,
        keep_rows: bool,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Inspection, InspectError> {
        let options = PipelineOptions {
            work_folder: Folder::passing(&self.folder),
            key_memory_bytes: self.settings.max_memory_bytes / 4,
            keep_rows,
            secret: [random::<8>()?, random::<8>()?].map(u64::from_le_bytes),
            most_reject_keys: 0,
            stopping: &std::sync::atomic::AtomicBool::new(false),
            facts,
            lookups: &self.lookups(plan)?,
        };
        let work = match pipeline::validate(plan, Box::new(file), options, &self.pool, progress) {
            Ok(work) => work,
            Err(PipelineError::Format(FormatError::Refused { reason: Reason::Empty, .. }))
                if plan.empty_file == EmptyFile::Load =>
            {
                return Ok(empty(plan));
            }
            Err(PipelineError::Format(FormatError::Refused { reason, message })) => {
                return Ok(refused(reason, message));
            }
            Err(PipelineError::Format(FormatError::Read(cause))) => {
                return Err(wire::WireError::io("read", path, cause).into());
            }
            Err(PipelineError::Validate(error)) => return Err(error.into()),
            Err(PipelineError::Lost | PipelineError::Stopped) => return Err(InspectError::Lost),
        };
        let seal = &work.seal;
        let tally = Tally {
            read: seal.read,
            rejected: seal.rejected,
            superseded: seal.superseded,
            filtered: seal.filtered,
            withheld: seal.good,
            ..Tally::default()
        };
        let (outcome, reason, message) = match &seal.verdict {
            Verdict::Refuse { reason, message } => (Outcome::Refused, Some(*reason), Some(message.clone())),
            Verdict::Hold { message } => (Outcome::Held, Some(Reason::RejectHold), Some(message.clone())),
            Verdict::Load if seal.rejected > 0 => (Outcome::LoadedWithRejects, None, None),
            Verdict::Load => (Outcome::Loaded, None, None),
        };
        Ok(Inspection { outcome, reason, message, tally, work: Some(work) })
    }
}

/// Why a file could not be validated.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The file or its folder.
    #[error(transparent)]
    Wire(#[from] wire::WireError),
    /// A lookup table.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The work file.
    #[error(transparent)]
    Validate(#[from] ValidateError),
    /// The machine.
    #[error(transparent)]
    Engine(#[from] super::EngineError),
    /// The machine's folder for temporary files.
    #[error("cannot use the folder for temporary files: {0}")]
    Temporary(#[from] io::Error),
    /// A step ended without an answer.
    #[error("a validation step ended unexpectedly")]
    Lost,
}

impl Inspection {
    /// The first rejects, as they may be shown.
    ///
    /// # Errors
    /// When the work file cannot be read.
    pub fn sample(&self, rejects: usize) -> Result<Vec<Sample>, ValidateError> {
        let Some(work) = &self.work else { return Ok(Vec::new()) };
        let mut sample = Vec::new();
        for reject in work.rejects()?.take(rejects) {
            sample.extend(sample_of(&work.seal, &reject?));
        }
        Ok(sample)
    }
}

/// Ids for rejects that belong to no delivery: they are good for this report only.
///
/// # Errors
/// The machine gives no random numbers.
pub fn passing_ids() -> Result<RejectIds, super::EngineError> {
    Ok(RejectIds::new(random::<32>()?, DeliveryId::new(0, &[0; 10])))
}

fn empty(plan: &Plan) -> Inspection {
    match plan.empty_file {
        EmptyFile::Refuse => refused(Reason::Empty, super::deliver::EMPTY_FILE.to_owned()),
        EmptyFile::Load => Inspection {
            outcome: Outcome::Loaded,
            reason: None,
            message: None,
            tally: Tally::default(),
            work: None,
        },
    }
}

fn refused(reason: Reason, message: String) -> Inspection {
    Inspection {
        outcome: Outcome::Refused,
        reason: Some(reason),
        message: Some(message),
        tally: Tally::default(),
        work: None,
    }
}

/// A row as it was loaded.
#[derive(Clone, Debug)]
pub struct LoadedRow {
    /// The record it came from.
    pub record: u64,
    /// The target columns that the file holds.
    pub columns: Vec<String>,
    /// Their values as text; none is NULL.
    pub cells: Vec<Option<String>>,
}

impl Inspector {
    /// The first rows that pass, read from the start of a file of which `facts` are known.
    ///
    /// # Errors
    /// When the input cannot be read, or is none under this plan.
    pub fn first_rows(
        &self,
        plan: &Arc<Plan>,
        input: Box<dyn io::Read + Send>,
        facts: &Arc<Facts>,
        most: usize,
    ) -> Result<Vec<LoadedRow>, InspectError> {
        let options = PipelineOptions {
            work_folder: Folder::passing(&self.folder),
            key_memory_bytes: self.settings.max_memory_bytes / 4,
            keep_rows: true,
            secret: [random::<8>()?, random::<8>()?].map(u64::from_le_bytes),
            most_reject_keys: 0,
            stopping: &std::sync::atomic::AtomicBool::new(false),
            facts,
            lookups: &self.lookups(plan)?,
        };
        let mut work = match pipeline::validate(plan, input, options, &self.pool, &mut |_| {}) {
            Ok(work) => work,
            Err(PipelineError::Validate(error)) => return Err(error.into()),
            Err(error) => return Err(io::Error::other(error.to_string()).into()),
        };
        let mut rows = Vec::new();
        for batch in work.rows()? {
            let batch = batch?;
            let columns: Vec<String> =
                batch.rows.schema_ref().fields().iter().map(|field| field.name().clone()).collect();
            for (row, origin) in batch.origins.iter().enumerate() {
                if rows.len() >= most {
                    return Ok(rows);
                }
                let cells = batch.rows.columns().iter().map(|array| value::text::text(array, row)).collect();
                rows.push(LoadedRow { record: origin.record, columns: columns.clone(), cells });
            }
        }
        Ok(rows)
    }
}
