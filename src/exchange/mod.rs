//! The engine: takes files, validates and loads them, writes the reports, and records every step.
//!
//! The only place that starts threads, opens channels, reads the clock and writes the ledger. One engine at a time works
//! on a site; it holds the site's lock.
//!
//! Promise: a file that was taken ends in exactly one recorded outcome, whatever happens in between. What an engine
//! left unfinished, the next one finishes: from the archive, under the plan that was in force, to the same effect.

pub mod against;
pub mod ask;
pub mod backoff;
mod batches;
pub mod clock;
mod closing;
mod commit;
pub mod compared;
pub mod corrections;
pub mod decide;
pub mod deliver;
pub mod facts;
pub mod infer;
pub mod inspect;
pub mod lanes;
pub mod live;
pub mod load;
mod lookup_files;
pub mod lookups;
mod memory;
mod older;
mod overtake;
pub mod pipeline;
pub mod preview;
pub mod reconcile;
pub mod recover;
pub mod report;
pub mod rerun;
pub mod retrying;
mod returned;
mod rows;
pub mod run;
mod sealed;
mod shadow;
pub mod take;
pub mod target;
mod vanish;

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use thiserror::Error;

use crate::{
    ledger::{Answer, Event, Ledger, LedgerError},
    mapping::{MappingError, Problems, Site},
    model::DeliveryId,
    sources::filesystem::{self, FileSystem},
    targets::TargetError,
    wire::{self, SiteLock, WireError},
};
use clock::Clock;
use memory::KeyMemory;
pub use report::{DeliveryReport, Sample};
use target::Targets;

/// Why the engine cannot work at all. What goes wrong with one delivery is in its report.
#[derive(Debug, Error)]
pub enum EngineError {
    /// `wharf.toml` or a mapping.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// The mapping that was asked for.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The site's folders, or its lock.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A database that cannot even be opened.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// What a person asked for would do harm.
    #[error("{0}")]
    Decision(String),
    /// The ledger is gone, but not what it speaks of.
    #[error(
        "the ledger {} is missing or empty, but the archive is not: restore it from a backup; or, to start afresh, move the \
         folder of the store away", .0.display()
    )]
    LedgerLost(PathBuf),
    /// A store whose files other machines may change, or whose locks and durable writes cannot be trusted.
    #[error(
        "the store {} is on a network file system ({}), where locks and durable writes cannot be relied on: set `[store] \
         path` in wharf.toml to a folder on a local disk", .0.display(), .1
    )]
    StoreOnNetwork(PathBuf, &'static str),
    /// The machine gives no threads or no random numbers.
    #[error("cannot work: {0}")]
    Start(String),
}

/// What the engine tells while it works on a delivery. Calls come from the thread that works on it.
pub trait Observer {
    /// `done` of `total` units of a step of `file` are done.
    fn progress(&mut self, file: &Path, step: Step, done: u64, total: u64);
    /// A delivery, or a file that could not be taken, came to its end.
    fn ended(&mut self, report: DeliveryReport);
    /// Something that the person at the terminal should know.
    fn note(&mut self, text: &str);
}

/// What is being done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// It is copied into the archive; bytes.
    Taking,
    /// Its records are checked; bytes.
    Validating,
    /// Its rows are written; rows.
    Loading,
}

/// The folders of a site's store.
#[derive(Clone, Debug)]
pub struct Folders {
    /// The site.
    pub site: PathBuf,
    /// The store itself.
    pub store: PathBuf,
}

impl Folders {
    /// Those of a site.
    #[must_use]
    pub fn of(site: &Site) -> Self {
        Self { site: site.dir.clone(), store: site.settings.store.clone() }
    }

    /// The copies of all files taken.
    #[must_use]
    pub fn archive(&self) -> PathBuf {
        self.store.join("archive")
    }

    /// Work files. What outlives the engine bears the name of a delivery that has not come to rest.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.store.join("work")
    }

    /// The rejects of each delivery, as they were found.
    #[must_use]
    pub fn rejects(&self) -> PathBuf {
        self.store.join("rejects")
    }

    /// The kept rejects of one delivery.
    #[must_use]
    pub fn reject_file(&self, delivery: DeliveryId) -> PathBuf {
        self.rejects().join(format!("{delivery}.rejects"))
    }

    /// The rows of a delivery that its target has refused so far, where it is committed batch by batch.
    #[must_use]
    pub fn refusals_file(&self, delivery: DeliveryId) -> PathBuf {
        self.work().join(format!("{delivery}.{}", sealed::REFUSALS))
    }

    /// The work file of a delivery, where it outlives the engine.
    #[must_use]
    pub fn work_folder(&self, delivery: DeliveryId) -> PathBuf {
        self.work().join(delivery.to_string())
    }

    /// The lock of the engine.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.store.join("lock")
    }

    /// What the engine that runs tells of itself, for `status`.
    #[must_use]
    pub fn live(&self) -> PathBuf {
        self.store.join("live.json")
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.store.join("ledger.db")
    }

    /// The reject reports, a folder a mapping.
    #[must_use]
    pub fn all_reports(&self) -> PathBuf {
        self.site.join("outbox/rejects")
    }

    /// The reject reports of one mapping.
    #[must_use]
    pub fn reports(&self, mapping: &str) -> PathBuf {
        self.all_reports().join(mapping)
    }

    /// All that shadow runs found.
    #[must_use]
    pub fn all_shadow_reports(&self) -> PathBuf {
        self.site.join("outbox/shadow")
    }

    /// What shadow runs of one mapping found.
    #[must_use]
    pub fn shadow_reports(&self, mapping: &str) -> PathBuf {
        self.all_shadow_reports().join(mapping)
    }

    /// `path` as it is kept and shown: from the site's folder, where it lies in it.
    #[must_use]
    pub fn from_site(&self, path: &Path) -> String {
        path.strip_prefix(&self.site).unwrap_or(path).to_string_lossy().into_owned()
    }
}

/// Lookup tables in memory take so much of it: one part in eight.
const LOOKUP_SHARE: u64 = 8;

/// The engine of one site. Several threads may work with it at once; each delivery is one thread's.
pub struct Engine {
    site: Site,
    folders: Folders,
    ledger: Mutex<Ledger>,
    /// The site's identity and key, as the ledger has them.
    identity: crate::ledger::Site,
    pool: rayon::ThreadPool,
    clock: Box<dyn Clock>,
    /// The command under which it works.
    command: String,
    targets: Targets,
    memory: KeyMemory,
    lookup_memory: KeyMemory,
    /// Keys the hashes of keys; made from the site's key, as hashes of the keys of rejects are kept.
    secret: [u64; 2],
    lock: Mutex<SiteLock>,
    /// No new work is begun, and what can be broken off is.
    stopping: AtomicBool,
}

impl Engine {
    /// Opens the site, takes its lock and opens its ledger. `command` is what others are told that meet the lock.
    ///
    /// # Errors
    /// When the site cannot be worked on.
    pub fn open(site: Site, command: &str, clock: Box<dyn Clock>) -> Result<Self, EngineError> {
        let folders = Folders::of(&site);
        let is_new = !folders.store.exists();
        for folder in [folders.archive(), folders.work(), folders.rejects()] {
            wire::folder::ensure(&folder)?;
        }
        if is_new {
            // What lies in it is data of others: nobody else on the machine needs to look.
            let nobody_else = std::os::unix::fs::PermissionsExt::from_mode(0o750);
            std::fs::set_permissions(&folders.store, nobody_else)
                .map_err(|cause| WireError::io("protect", &folders.store, cause))?;
        }
        if let Ok(FileSystem::Network(kind)) = filesystem::kind(&folders.store) {
            return Err(EngineError::StoreOnNetwork(folders.store, kind));
        }
        let lock = SiteLock::acquire(&folders.lock(), command)?;
        wire::fail::moment(wire::fail::Point::LockHeld);
        let known = folders.ledger().metadata().is_ok_and(|ledger| ledger.len() > 0);
        if !known && has_files(&folders.archive()) {
            return Err(EngineError::LedgerLost(folders.ledger()));
        }
        let ledger = Ledger::open(&folders.ledger(), clock.unix_millis())?;
        if lock.was_left_behind() {
            ledger.work_in()?;
        }
        let mut pool = rayon::ThreadPoolBuilder::new().thread_name(|number| format!("validate-{number}"));
        if let Some(threads) = site.settings.threads {
            pool = pool.num_threads(threads.get());
        }
        let pool = pool.build().map_err(|error| EngineError::Start(error.to_string()))?;
        let secret = key_secret(&ledger.site().key);
        Ok(Self {
            identity: ledger.site().clone(),
            memory: KeyMemory::new(site.settings.max_memory_bytes / 4),
            lookup_memory: KeyMemory::new(site.settings.max_memory_bytes / LOOKUP_SHARE),
            ledger: Mutex::new(ledger),
            targets: Targets::default(),
            lock: Mutex::new(lock),
            stopping: AtomicBool::new(false),
            site,
            folders,
            pool,
            clock,
            command: command.to_owned(),
            secret,
        })
    }

    /// The site's configuration.
    #[must_use]
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Where the site keeps its files.
    #[must_use]
    pub fn folders(&self) -> &Folders {
        &self.folders
    }

    /// Lets the work end: a transaction at hand is finished, everything else is broken off and left to the next engine.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        locked(&self.ledger)
    }

    /// The store is still the one that this engine holds.
    fn check_lock(&self) -> Result<(), EngineError> {
        if locked(&self.lock).is_at(&self.folders.lock()) {
            return Ok(());
        }
        Err(EngineError::Start(format!(
            "the store {} was moved or replaced while this engine worked: put it back, or start again where it is meant to be",
            self.folders.store.display()
        )))
    }

    /// The engine before did not end in order.
    fn was_left_behind(&self) -> bool {
        locked(&self.lock).was_left_behind()
    }

    /// What was to be done is done, and nothing is half made.
    fn end_in_order(&self) {
        locked(&self.lock).end_in_order();
    }

    /// Records events of one delivery, all or none, and gives their sequence numbers.
    fn record(&self, delivery: DeliveryId, events: Vec<Event>) -> Result<Vec<u64>, LedgerError> {
        self.record_answering(delivery, events, &[])
    }

    /// Records events of one delivery, and with them the answers that they give.
    fn record_answering(
        &self,
        delivery: DeliveryId,
        events: Vec<Event>,
        answers: &[(u64, Answer)],
    ) -> Result<Vec<u64>, LedgerError> {
        let events: Vec<_> = events.into_iter().map(|event| (delivery, event)).collect();
        self.ledger().append_answering(self.clock.unix_millis(), &events, answers)
    }

    fn new_id(&self) -> Result<DeliveryId, EngineError> {
        Ok(DeliveryId::new(self.clock.unix_millis(), &random::<10>()?))
    }
}

/// The lock, whoever panicked while holding it: what it guards is never left half changed.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// True when a whole file lies anywhere in the archive.
fn has_files(archive: &Path) -> bool {
    let whole = |entry: &walkdir::DirEntry| {
        entry.file_type().is_file() && !entry.file_name().to_string_lossy().starts_with('.')
    };
    walkdir::WalkDir::new(archive).into_iter().flatten().any(|entry| whole(&entry))
}

/// What keys the hashes of keys, made from the site's key, so that a later run finds the same.
fn key_secret(site_key: &[u8; 32]) -> [u64; 2] {
    let derived = blake3::derive_key("wharf 2026-11-20 hashes of keys", site_key);
    let word =
        |from: usize| derived.iter().skip(from).take(8).fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    [word(0), word(8)]
}

fn random<const N: usize>() -> Result<[u8; N], EngineError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| EngineError::Start(error.to_string()))?;
    Ok(bytes)
}
