//! The engine that stands for years: it watches the sources, takes what arrives, runs it in order, answers requests, and
//! goes on when one of them is bad.
//!
//! One thread decides; everything that takes time (looking, taking, running a delivery) is done by others, a limited
//! number at once, which tell it when they are done. It sleeps until something is due or somebody tells it something.
//!
//! Everything here can be lost at any moment: the ledger, the archive and the sources hold all that the next engine needs.

mod arrivals;
mod board;
mod found;
mod intake;
mod requests;
mod serve;
mod survey;
mod told;
mod view;
mod watched;
mod work;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
};

use super::{
    DeliveryReport, Engine, EngineError,
    lanes::Lanes,
    live::{Live, LiveAside, LiveDatabase},
    take::TakenFile,
};
use crate::{
    model::DeliveryId,
    sources::{
        Look,
        folder::{FolderOptions, FolderSource},
    },
};
use arrivals::Arrived;
use board::Board;
pub(super) use board::Unseen;
use intake::Intake;
pub use serve::serve;
use watched::Watched;
use work::Done;

/// How often it is seen whether somebody has asked for something. A person does not notice the difference, and it costs a
/// few microseconds.
const REQUEST_INTERVAL: Duration = Duration::from_millis(250);
/// How often progress is written down for `status`, while there is some.
const LIVE_INTERVAL: Duration = Duration::from_secs(1);
/// A file or a store that could not be read or written is tried again after this, and then at longer intervals.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// More requests that nobody had answered are not counted.
const MOST_COUNTED: u32 = 10_000;
/// How often it is seen whether the store is still where it was.
const LOCK_INTERVAL: Duration = Duration::from_secs(5);
/// Told to stop, it waits so long for files that are being taken: their source may never answer. What is being loaded is
/// waited for as long as it takes.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
/// In the end it waits so long for looks.
const LAST_WAIT: Duration = Duration::from_secs(2);
/// With `--once`, a file that is still written to is waited for so long beyond its quiet period.
const ONCE_PATIENCE: Duration = Duration::from_secs(60);

/// How to run.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    /// End when everything that was there is done.
    pub once: bool,
}

/// What an engine came to.
#[derive(Clone, Debug, Default)]
pub struct Ran {
    /// Files that were there and could not be taken, or were not whole in time; only with `once`.
    pub left: Vec<LiveAside>,
    /// It was told to stop before it was done.
    pub stopped: bool,
    /// Deliveries that the next engine has to finish.
    pub unfinished: u64,
}

impl Engine {
    /// Runs until `stop` says so or, with `once`, until everything that was there is done. What comes to an end is told to
    /// `ended`.
    ///
    /// # Errors
    /// When the site itself fails. Whatever was begun is then left to the next engine.
    pub async fn run(
        self: &Arc<Self>,
        options: RunOptions,
        stop: Arc<Notify>,
        ended: &mut (dyn FnMut(DeliveryReport) + Send),
    ) -> Result<Ran, EngineError> {
        let mut recovered = self.recover(&mut |text| tracing::warn!("{text}"))?;
        recovered.found.requests = self.ledger().view().open_requests(MOST_COUNTED)?.len() as u64;
        let (told, tells) = mpsc::unbounded_channel();
        let mut runner = Runner {
            engine: Arc::clone(self),
            options,
            lanes: recovered.lanes,
            intake: Intake::default(),
            watched: Vec::new(),
            board: Arc::default(),
            workers: JoinSet::new(),
            told,
            busy: Busy::default(),
            store_trouble: None,
            requests: requests::Requests::default(),
            lacking: VecDeque::new(),
            trying: false,
            live: Live {
                mappings: Live::mappings_of(&self.site.catalog),
                started_millis: self.clock.unix_millis(),
                ..Live::default()
            },
            recovery: found::Kept::new(recovered.found),
            databases: Vec::new(),
            remembering: found::Remembering::default(),
            live_due: Duration::ZERO,
            lock_due: Duration::ZERO,
            stopping: None,
            started: self.clock.elapsed(),
            started_millis: self.clock.unix_millis(),
            broken: Vec::new(),
            unsettled: HashMap::new(),
            ended,
        };
        for report in recovered.set_aside {
            runner.has_ended(report);
        }
        runner.lacking.extend(self.due_lacking()?);
        runner.go(stop, tells).await
    }
}

/// What is under way, beside deliveries.
#[derive(Debug, Default)]
struct Busy {
    looks: usize,
    takes: usize,
    asked: usize,
    settling: BTreeSet<PathBuf>,
}

struct Runner<'a> {
    engine: Arc<Engine>,
    options: RunOptions,
    lanes: Lanes,
    intake: Intake,
    watched: Vec<Watched>,
    board: Arc<Board>,
    workers: JoinSet<()>,
    told: mpsc::UnboundedSender<Done>,
    busy: Busy,
    /// The store takes nothing until then, for this reason, after so many failures.
    store_trouble: Option<(Duration, String, u32)>,
    requests: requests::Requests,
    /// Deliveries whose rejects may load now, and whether those of one are being tried: one after the other, as they take the
    /// memory of a delivery.
    lacking: VecDeque<DeliveryId>,
    trying: bool,
    live: Live,
    /// What was found unfinished at the start.
    recovery: found::Kept,
    /// Databases into which deliveries do not get on.
    databases: Vec<LiveDatabase>,
    remembering: found::Remembering,
    live_due: Duration,
    lock_due: Duration,
    /// When it was told to stop.
    stopping: Option<Duration>,
    started: Duration,
    started_millis: u64,
    /// Files whose mapping is not valid, by source.
    broken: Vec<Vec<LiveAside>>,
    /// Files that are taken and of which their source cannot be told, with the reason that was given last.
    unsettled: HashMap<PathBuf, String>,
    ended: &'a mut (dyn FnMut(DeliveryReport) + Send),
}

impl Runner<'_> {
    async fn go(
        &mut self,
        stop: Arc<Notify>,
        mut tells: mpsc::UnboundedReceiver<Done>,
    ) -> Result<Ran, EngineError> {
        let wake = Arc::new(Notify::new());
        for options in &self.engine.site.settings.sources {
            // What the ledger keeps of a file must not depend on where the program was started.
            let folder = std::path::absolute(&options.folder).unwrap_or_else(|_| options.folder.clone());
            let options = FolderOptions { folder, ..options.clone() };
            let source = Arc::new(FolderSource::new(options.clone()));
            let now = self.engine.clock.elapsed();
            self.watched.push(Watched::new(source, options, Arc::clone(&wake), now));
            self.broken.push(Vec::new());
        }
        let mut failed = None;
        loop {
            if let Err(error) = self.turn() {
                self.engine.stop();
                failed.get_or_insert(error);
            }
            self.publish();
            if self.engine.is_stopping() {
                if self.has_stopped() {
                    break;
                }
            } else if self.options.once && self.is_drained() {
                break;
            }
            let sleep = self.next_due().saturating_sub(self.engine.clock.elapsed());
            tokio::select! {
                Some(done) = tells.recv() => {
                    let mut next = Some(done);
                    while let Some(done) = next {
                        if let Err(error) = self.done(done) {
                            self.engine.stop();
                            failed.get_or_insert(error);
                        }
                        next = tells.try_recv().ok();
                    }
                }
                () = wake.notified() => {}
                () = stop.notified() => {
                    self.engine.stop();
                    tracing::info!("told to stop: finishing the transactions at hand");
                }
                () = tokio::time::sleep(sleep) => {}
            }
        }
        // A folder that does not answer is nobody's reason not to end.
        let ended = async { while self.workers.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_WAIT, ended).await;
        let _ = std::fs::remove_file(self.engine.folders.live());
        if let Some(error) = failed {
            return Err(error);
        }
        let stopped = self.engine.is_stopping();
        if self.options.once && !stopped {
            self.tell_waiting()?;
        }
        self.engine.end_in_order();
        let left = if self.options.once { self.left() } else { Vec::new() };
        let unfinished = self.lanes.waiting() as u64;
        Ok(Ran { left, stopped, unfinished })
    }

    /// Starts whatever may be started now.
    fn turn(&mut self) -> Result<(), EngineError> {
        while self.workers.try_join_next().is_some() {}
        if self.engine.is_stopping() {
            return Ok(());
        }
        let now = self.engine.clock.elapsed();
        if now >= self.lock_due {
            self.lock_due = now + LOCK_INTERVAL;
            self.engine.check_lock()?;
        }
        self.keep_found()?;
        self.answer_requests(now)?;
        self.start_remembering(now);
        self.start_looks(now);
        self.start_takes(now);
        self.start_trying();
        self.start_deliveries(now)?;
        self.record_waiting()
    }

    /// Something that took time has ended.
    fn done(&mut self, done: Done) -> Result<(), EngineError> {
        let now = self.engine.clock.elapsed();
        match done {
            Done::Looked { source, began, lister, mut result, candidates, coming, broken } => {
                self.busy.looks -= 1;
                let known = result.as_mut().map(|look| std::mem::take(&mut look.known)).unwrap_or_default();
                let mut outdated = false;
                if let Ok(look) = &mut result {
                    self.were_put_back(source, std::mem::take(&mut look.put_back));
                    // Where none of those that are named may be taken, another look would name the same.
                    look.more &= !candidates.is_empty();
                    // What waits for nothing that time brings may wait behind a claimed file of its name.
                    let behind = look.settling.iter().filter(|settling| settling.due.is_none());
                    let whole = candidates.iter().map(|candidate| &candidate.arrival.ready.path);
                    outdated =
                        self.intake.is_outdated(source, whole.chain(behind.map(|settling| &settling.path)));
                    self.intake.looked(source, candidates, coming);
                } else {
                    self.intake.forget(source);
                }
                if let Some(watched) = self.watched.get_mut(source) {
                    watched.looked(lister, result.map(|look| Look { ready: Vec::new(), ..look }), began, now);
                    if outdated {
                        watched.look_again();
                    }
                }
                self.note_broken(source, broken);
                self.settle_known(source, known);
                Ok(())
            }
            Done::Remembered { forgotten } => {
                self.remembered(forgotten);
                Ok(())
            }
            Done::Surveyed { source, survey } => {
                self.surveyed(source, survey, now);
                Ok(())
            }
            Done::Settled { source, results } => {
                // What is settled makes room for the next file of its name, of which no event tells.
                if let Some(watched) = self.watched.get(source)
                    && results.iter().any(|(_, result)| result.is_ok())
                {
                    watched.look_again();
                }
                for (path, result) in results {
                    self.busy.settling.remove(&path);
                    self.settled(source, path, result, now);
                }
                Ok(())
            }
            Done::Took { source, lane, paths, result } => {
                self.busy.takes -= 1;
                let batch = result?;
                let is_taken = |arrived: &Arrived| matches!(arrived, Arrived::Taken(_) | Arrived::Refused(_));
                let taken = batch.results.iter().filter(|(_, arrived)| is_taken(arrived));
                let taken = taken.map(|(path, _)| path.clone()).collect();
                let outdated = self.intake.done(source, &lane, paths, taken);
                let untaken = |(_, arrived): &(PathBuf, Arrived)| matches!(arrived, Arrived::Nothing(_));
                if let Some(watched) = self.watched.get_mut(source) {
                    watched.settled();
                    if outdated || batch.results.iter().any(untaken) {
                        watched.look_again();
                    }
                }
                self.took(source, batch, now);
                Ok(())
            }
            Done::Asked { number, result } => {
                self.busy.asked -= 1;
                if number == requests::NOBODYS {
                    self.trying = false;
                }
                self.requests.done(number);
                match result? {
                    TakenFile::Jobs(jobs) => jobs.into_iter().for_each(|job| self.taken(job, None)),
                    TakenFile::Ended(report) => self.has_ended(*report),
                }
                Ok(())
            }
            Done::Delivered { job, result } => {
                self.board.end(job.id);
                // Whatever became of it, it does not run any more.
                self.lanes.stopped(&job.lane, &job.mapping, job.arrival);
                self.delivered(*job, result?);
                Ok(())
            }
        }
    }
}
