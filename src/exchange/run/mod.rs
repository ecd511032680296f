//! The engine that stands for years: it watches the sources, takes what arrives, runs it in order, answers requests, and
//! goes on when one of them is bad.
//!
//! One thread decides; everything that takes time (looking, taking, running a delivery) is done by others, a limited
//! number at once, which tell it when they are done. It sleeps until something is due or somebody tells it something.
//!
//! Everything here can be lost at any moment: the ledger, the archive and the sources hold all that the next engine needs.

mod arrivals;
mod board;
mod intake;
mod requests;
mod watched;

use std::{
    collections::{BTreeSet, HashMap},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{Notify, mpsc},
    task::JoinSet,
};

use super::{
    DeliveryReport, Engine, EngineError, backoff,
    clock::Clock,
    deliver::{Delivered, Mode},
    lanes::{Lanes, Next},
    live::{Live, LiveAside, LiveSource},
    load, recover,
    take::{Job, TakenFile},
};
use crate::{
    ledger::{Event, Stop},
    mapping::Site,
    model::{Outcome, Reason, Tally, printable},
    sources::{
        Lister, Look, Ready, SourceError,
        folder::{FolderOptions, FolderSource},
    },
    wire::WireError,
};
use arrivals::{Arrival, Arrived, TakenBatch, Verdict};
use board::{Board, Noting, Unseen};
use intake::{Batch, Candidate, Coming, Intake};
use watched::Watched;

/// How often it is seen whether somebody has asked for something. A person does not notice the difference, and it costs a
/// few microseconds.
const REQUEST_INTERVAL: Duration = Duration::from_millis(250);
/// How often progress is written down for `status`, while there is some.
const LIVE_INTERVAL: Duration = Duration::from_secs(1);
/// A file or a store that could not be read or written is tried again after this, and then at longer intervals.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
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
}

/// What is told to the thread that decides.
enum Done {
    Looked {
        source: usize,
        began: Duration,
        lister: Box<dyn Lister>,
        result: Result<Look, SourceError>,
        candidates: Vec<Candidate>,
        coming: Vec<Coming>,
        broken: Vec<LiveAside>,
    },
    Settled {
        source: usize,
        path: PathBuf,
        result: Result<(), String>,
    },
    Took {
        source: usize,
        lane: Option<super::lanes::LaneId>,
        paths: Vec<PathBuf>,
        result: Result<TakenBatch, EngineError>,
    },
    Asked {
        number: u64,
        result: Result<TakenFile, EngineError>,
    },
    Delivered {
        job: Box<Unfinished>,
        result: Result<Delivered, EngineError>,
    },
}

/// What has to be known of a delivery when its worker has ended, whatever became of it.
struct Unfinished {
    id: crate::model::DeliveryId,
    arrival: u64,
    lane: super::lanes::LaneId,
    mapping: String,
    blocker: super::lanes::Blocker,
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
        let recovered = self.recover(&mut |text| tracing::warn!("{text}"))?;
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
            live: Live::default(),
            live_due: Duration::ZERO,
            started: self.clock.elapsed(),
            broken: Vec::new(),
            unsettled: HashMap::new(),
            ended,
        };
        for report in recovered.set_aside {
            runner.has_ended(report);
        }
        runner.go(stop, tells).await
    }
}

/// Runs engines of a site, one after the other when the ledger or the store had a passing fault, until it is told to stop
/// by SIGTERM or SIGINT; a second signal ends the process at once, which does no harm.
///
/// # Errors
/// When the site cannot be worked on, or fails in a way that does not pass.
pub fn serve(
    site: &Site,
    options: RunOptions,
    clock: impl Fn() -> Box<dyn Clock>,
    ended: &mut (dyn FnMut(DeliveryReport) + Send),
) -> Result<Ran, EngineError> {
    let cannot = |error: std::io::Error| EngineError::Start(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    runtime.block_on(async {
        let stop = Arc::new(Notify::new());
        let stopping = Arc::new(AtomicBool::new(false));
        let signals = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
        for signal in signals {
            tokio::spawn(stop_on(signal.map_err(cannot)?, Arc::clone(&stop), Arc::clone(&stopping)));
        }
        let mut failures = 0;
        loop {
            let ran = match Engine::open(site.clone(), super::ask::RUN, clock()) {
                Ok(engine) => {
                    tracing::info!(
                        site = %site.dir.display(), process = std::process::id(), version = env!("CARGO_PKG_VERSION"),
                        "at work"
                    );
                    let began = engine.clock.elapsed();
                    let engine = Arc::new(engine);
                    let ran = engine.run(options, Arc::clone(&stop), ended).await;
                    if engine.clock.elapsed() - began > backoff::LONGEST {
                        failures = 0;
                    }
                    ran
                }
                // Whoever starts it is told at once; once it has worked, it waits.
                Err(error) if failures == 0 => return Err(error),
                Err(error) => Err(error),
            };
            match ran {
                Err(error) if may_pass(&error, options.once) && !stopping.load(Ordering::Relaxed) => {
                    failures += 1;
                    let pause = backoff::pause(FIRST_PAUSE, failures, 0);
                    tracing::error!("{}; beginning again in {} s", in_words(&error), pause.as_secs());
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = stop.notified() => return Ok(Ran { left: Vec::new(), stopped: true }),
                    }
                }
                Ok(ran) => {
                    tracing::info!("{}", if ran.stopped { "stopped" } else { "done" });
                    return Ok(ran);
                }
                Err(error) => return Err(error),
            }
        }
    })
}

/// True when an engine that was at work may go on later: another program is done then, or somebody has freed space. With
/// `once`, somebody is waiting for the end and is told instead.
fn may_pass(error: &EngineError, once: bool) -> bool {
    match error {
        EngineError::Ledger(error) => error.is_passing() || (error.is_full() && !once),
        EngineError::Wire(error) => (error.is_full() || matches!(error, WireError::Held(_))) && !once,
        _ => false,
    }
}

/// An error with what can be done about it.
fn in_words(error: &EngineError) -> String {
    let help = match error {
        EngineError::Ledger(error) => error.help(),
        EngineError::Wire(error) => error.help(),
        _ => None,
    };
    help.map_or_else(|| error.to_string(), |help| format!("{error}; {help}"))
}

/// The first signal asks for an end in order, the second one does not wait for it.
async fn stop_on(mut signal: Signal, stop: Arc<Notify>, stopping: Arc<AtomicBool>) {
    while signal.recv().await.is_some() {
        if stopping.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "told to stop a second time: ending at once; the next run finishes what was begun"
            );
            std::process::exit(SECOND_SIGNAL);
        }
        stop.notify_one();
    }
}

/// The exit code of a process that did not end in order.
const SECOND_SIGNAL: i32 = 1;

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
    live: Live,
    live_due: Duration,
    started: Duration,
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
                if self.is_idle() {
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
                    tracing::info!("told to stop: finishing the transactions at hand");
                    self.engine.stop();
                }
                () = tokio::time::sleep(sleep) => {}
            }
        }
        while self.workers.join_next().await.is_some() {}
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
        Ok(Ran { left, stopped })
    }

    /// Starts whatever may be started now.
    fn turn(&mut self) -> Result<(), EngineError> {
        while self.workers.try_join_next().is_some() {}
        if self.engine.is_stopping() {
            return Ok(());
        }
        let now = self.engine.clock.elapsed();
        self.answer_requests(now)?;
        self.start_looks(now);
        self.start_takes(now);
        self.start_deliveries(now)?;
        self.record_waiting()
    }

    fn start_looks(&mut self, now: Duration) {
        for index in 0..self.watched.len() {
            let backlog = self.intake.waiting(index);
            let Some(watched) = self.watched.get_mut(index) else { continue };
            watched.tick(now, backlog);
            let Some(mut lister) = watched.due(now) else { continue };
            let (engine, source) = (Arc::clone(&self.engine), Arc::clone(&watched.source));
            self.busy.looks += 1;
            self.work(move || {
                let name = source.name();
                // That the ledger cannot be asked shows when the file is to be taken.
                let mut known = |path: &std::path::Path, stamp: &str| {
                    engine.ledger().view().took(name, path, stamp).unwrap_or(false)
                };
                let result = lister.look(engine.clock.elapsed(), &mut known);
                let (candidates, coming, broken) = match &result {
                    Ok(look) => engine.sort(name, look),
                    Err(_) => Default::default(),
                };
                Done::Looked { source: index, began: now, lister, result, candidates, coming, broken }
            });
        }
    }

    fn start_takes(&mut self, now: Duration) {
        if self.store_trouble.as_ref().is_some_and(|(until, ..)| now < *until) {
            return;
        }
        while self.busy.takes < self.engine.site.settings.run.at_once {
            let engine = Arc::clone(&self.engine);
            let lane_of =
                |mapping: &str| engine.site.catalog.get(mapping).ok().map(|plan| engine.lane(&plan));
            let Some(batch) = self.intake.next(now, &self.lanes, &lane_of) else { return };
            let Batch { source: index, lane, arrivals } = batch;
            let Some(watched) = self.watched.get(index) else { return };
            let source = Arc::clone(&watched.source);
            let paths: Vec<PathBuf> = arrivals.iter().map(|arrival| arrival.ready.path.clone()).collect();
            self.busy.takes += 1;
            let engine = Arc::clone(&self.engine);
            self.work(move || {
                let result = engine.take_arrived(&*source, arrivals, &mut Unseen);
                Done::Took { source: index, lane, paths, result }
            });
        }
    }

    fn start_deliveries(&mut self, now: Duration) -> Result<(), EngineError> {
        while self.lanes.running() < self.engine.site.settings.run.at_once {
            let Some(next) = self.lanes.next(now) else { return Ok(()) };
            match next {
                Next::Run(job) => self.start_delivery(*job, now),
                Next::Hold(job, wait) => {
                    let unfinished = Unfinished::new(&job);
                    self.lanes.stopped(&unfinished.lane, &unfinished.mapping, unfinished.arrival);
                    let held = self.engine.hold_waiting(&job, &wait)?;
                    self.delivered(unfinished, held);
                }
            }
        }
        Ok(())
    }

    fn start_delivery(&mut self, job: Job, now: Duration) {
        let unfinished = Box::new(Unfinished::new(&job));
        let (engine, board) = (Arc::clone(&self.engine), Arc::clone(&self.board));
        let file = printable::text(&job.file.to_string_lossy());
        self.board.begin(job.id, file, job.plan.name.clone(), now);
        self.work(move || {
            let delivery = unfinished.id;
            let mut observer = Noting { board: &board, engine: &engine, delivery };
            let delivered =
                catch_unwind(AssertUnwindSafe(|| engine.deliver(job, Mode::Beside, &mut observer)));
            let result = delivered.unwrap_or_else(|_| engine.fail_after_panic(&unfinished));
            Done::Delivered { job: unfinished, result }
        });
    }

    /// Does something that takes time, on a thread of its own.
    fn work(&mut self, task: impl FnOnce() -> Done + Send + 'static) {
        let told = self.told.clone();
        self.workers.spawn_blocking(move || {
            // The receiver lives until all workers have ended.
            let _ = told.send(task());
        });
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
            Done::Settled { source, path, result } => {
                self.busy.settling.remove(&path);
                if let Some(watched) = self.watched.get(source) {
                    watched.settled();
                }
                self.settled(source, path, result, now);
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

    /// Files of a source were taken, or not.
    fn took(&mut self, source: usize, batch: TakenBatch, now: Duration) {
        let name =
            self.watched.get(source).map(|watched| watched.source.name().to_owned()).unwrap_or_default();
        for (path, warning) in batch.warnings {
            tracing::warn!(source = name, file = %path.display(), "{warning}");
        }
        for (path, arrived) in batch.results {
            match arrived {
                Arrived::Taken(jobs) => {
                    self.intake.well(source, &path);
                    jobs.into_iter().for_each(|job| self.taken(job, Some(&name)));
                }
                Arrived::Refused(report) => {
                    self.intake.well(source, &path);
                    self.has_ended(*report);
                }
                Arrived::Nothing(why) => {
                    self.intake.well(source, &path);
                    tracing::info!(source = name, file = %path.display(), "not taken yet: {why}");
                }
                Arrived::Trouble(why) => {
                    let until = |failures| now + backoff::pause(FIRST_PAUSE, failures, 0);
                    let failures = self.intake.failed(source, path.clone(), why.clone(), until);
                    if failures == 1 {
                        tracing::error!(source = name, file = %path.display(), "cannot be taken: {why}; it is tried again");
                    }
                    // Nothing may tell that it could be taken now.
                    if let Some(watched) = self.watched.get_mut(source) {
                        watched.look_at(now + FIRST_PAUSE);
                    }
                }
            }
        }
        match (batch.store_trouble, self.store_trouble.take()) {
            (Some(why), before) => {
                let failures = before.map_or(1, |(_, _, failures)| failures + 1);
                if failures == 1 {
                    tracing::error!(
                        "nothing can be taken: {why}; files stay where they are, and it is tried again"
                    );
                }
                self.store_trouble = Some((now + backoff::pause(FIRST_PAUSE, failures, 0), why, failures));
                // What was not taken is found again by a look.
                if let Some(watched) = self.watched.get_mut(source) {
                    watched.look_at(now + FIRST_PAUSE);
                }
            }
            (None, Some(_)) => tracing::info!("files can be taken again"),
            (None, None) => {}
        }
    }

    /// A delivery is taken and waits for its turn.
    fn taken(&mut self, job: Job, source: Option<&str>) {
        let source = source.unwrap_or(super::take::COMMAND_LINE);
        tracing::info!(
            delivery = %job.id, file = %job.name, source, mapping = job.plan.name, bytes = job.size, "taken"
        );
        self.lanes.push(job, None);
    }

    /// A source was told of a file that it was not told of before, or could not be told.
    fn settled(&mut self, source: usize, path: PathBuf, result: Result<(), String>, now: Duration) {
        let Some(watched) = self.watched.get_mut(source) else { return };
        let name = watched.source.name();
        match result {
            Ok(()) => {
                self.unsettled.remove(&path);
                tracing::info!(source = name, file = %path.display(), "was taken before; now settled");
            }
            Err(why) => {
                if self.unsettled.get(&path) != Some(&why) {
                    tracing::warn!(source = name, file = %path.display(), "was taken before; {why}");
                }
                self.unsettled.insert(path, why);
                // Nothing tells when it could be told.
                watched.look_at(now + FIRST_PAUSE);
            }
        }
    }

    /// A delivery has stopped running.
    fn delivered(&mut self, job: Unfinished, delivered: Delivered) {
        match delivered {
            Delivered::Ended { report, blocks, overtaken } => {
                for delivery in overtaken {
                    self.lanes.unblock(delivery);
                }
                if let Some(blocker) = blocks {
                    self.lanes.block(&job.lane, blocker);
                }
                self.has_ended(*report);
            }
            Delivered::Postponed { job, pause, message } => {
                let seconds = pause.as_secs();
                tracing::warn!(
                    delivery = %job.id, file = %job.name, attempt = job.attempts, "{message}; tried again in {seconds} s"
                );
                self.lanes.push(*job, Some(self.engine.clock.elapsed() + pause));
            }
            Delivered::Interrupted => {
                tracing::info!(delivery = %job.id, "broken off before anything was loaded; the next run takes it up");
            }
        }
    }

    /// A delivery has come to rest: the log tells, and whoever wants to know.
    fn has_ended(&mut self, report: DeliveryReport) {
        let delivery = report.delivery.map(|id| id.to_string()).unwrap_or_default();
        let file = report.file.file_name().unwrap_or(report.file.as_os_str()).to_string_lossy().into_owned();
        let outcome = report.outcome.code();
        let mapping = report.mapping.clone().unwrap_or_default();
        let message = report.message.clone().unwrap_or_default();
        let Tally { read, inserted, updated, unchanged, rejected, .. } = report.tally;
        let millis = report.worked_millis;
        match report.outcome {
            Outcome::Failed | Outcome::Held => {
                tracing::error!(delivery, file, mapping, read, rejected, millis, "{outcome}: {message}");
            }
            Outcome::Refused => {
                tracing::warn!(delivery, file, mapping, read, rejected, millis, "{outcome}: {message}");
            }
            Outcome::Loaded | Outcome::LoadedWithRejects => tracing::info!(
                delivery,
                file,
                mapping,
                read,
                inserted,
                updated,
                unchanged,
                rejected,
                millis,
                "{outcome}"
            ),
            _ => tracing::info!(delivery, file, mapping, "{message}"),
        }
        (self.ended)(report);
    }

    /// Records what waits for another delivery.
    fn record_waiting(&mut self) -> Result<(), EngineError> {
        let news = self.lanes.newly_waiting();
        let mut events = Vec::new();
        for (delivery, wait) in &news {
            tracing::info!(%delivery, "{}", load::words(wait).1);
            events.push((*delivery, recover::waiting(wait)));
        }
        let now = self.engine.clock.unix_millis();
        self.engine.ledger().append(now, &events)?;
        Ok(())
    }

    /// Tells of the deliveries that still wait, as they do for what only a person can end.
    fn tell_waiting(&mut self) -> Result<(), EngineError> {
        let waiting: Vec<_> = self.lanes.queue().map(|(job, _)| job.id).collect();
        for id in waiting {
            let found = self.engine.ledger().view().by_id(id)?;
            if let Some(delivery) = found {
                (self.ended)(DeliveryReport::of(&delivery, Outcome::Waiting));
            }
        }
        Ok(())
    }

    /// Tells a source of files that it was not told of before.
    fn settle_known(&mut self, index: usize, known: Vec<Ready>) {
        for ready in known {
            let Some(watched) = self.watched.get(index) else { return };
            if !self.busy.settling.insert(ready.path.clone()) {
                continue;
            }
            let (engine, source) = (Arc::clone(&self.engine), Arc::clone(&watched.source));
            self.work(move || {
                let result = engine.settle_known(&*source, &ready);
                Done::Settled { source: index, path: ready.path, result }
            });
        }
    }

    /// Files whose mapping is not valid stay where they are; it is said once.
    fn note_broken(&mut self, source: usize, broken: Vec<LiveAside>) {
        let Some(before) = self.broken.get_mut(source) else { return };
        for aside in broken.iter().filter(|aside| !before.contains(aside)) {
            tracing::error!(file = aside.file, "left alone: {}", aside.why);
        }
        *before = broken;
    }

    /// Nothing is under way.
    fn is_idle(&self) -> bool {
        let Busy { looks, takes, asked, settling } = &self.busy;
        looks + takes + asked + self.lanes.running() == 0 && settling.is_empty()
    }

    /// Everything that was there is done, or can only be done when somebody does something.
    fn is_drained(&self) -> bool {
        let now = self.engine.clock.elapsed();
        let looked = self.watched.iter().all(|watched| watched.looks > 0);
        let patience = now < self.started + self.patience();
        let settling = self
            .watched
            .iter()
            .flat_map(|watched| &watched.seen.settling)
            .any(|settling| settling.due.is_some() && patience);
        let untaken = (0..self.watched.len())
            .any(|source| self.intake.waiting(source) > self.intake.troubles(source).count() && patience);
        let more = self
            .watched
            .iter()
            .enumerate()
            .any(|(source, watched)| watched.seen.more && self.intake.waiting(source) < watched::BACKLOG);
        let later = self.lanes.queue().any(|(_, not_before)| not_before.is_some_and(|due| now < due));
        looked && !settling && !untaken && !more && !later && self.is_idle() && !self.intake.is_busy()
    }

    fn patience(&self) -> Duration {
        let quiet = self.watched.iter().map(Watched::quiet).max().unwrap_or_default();
        quiet * 2 + ONCE_PATIENCE
    }

    /// Files that are left where they are.
    fn left(&self) -> Vec<LiveAside> {
        let mut left: Vec<LiveAside> = self.broken.iter().flatten().cloned().collect();
        left.extend(self.store_trouble.iter().map(|(_, why, _)| LiveAside {
            file: self.engine.folders.store.to_string_lossy().into_owned(),
            why: why.clone(),
        }));
        for (index, watched) in self.watched.iter().enumerate() {
            left.extend(watched.trouble.iter().map(|why| LiveAside {
                file: watched.options.folder.to_string_lossy().into_owned(),
                why: why.clone(),
            }));
            left.extend(self.intake.troubles(index).map(|(path, trouble)| LiveAside {
                file: path.to_string_lossy().into_owned(),
                why: trouble.why.clone(),
            }));
            let behind = self.intake.waiting(index).saturating_sub(self.intake.troubles(index).count());
            left.extend((behind > 0).then(|| LiveAside {
                file: watched.options.folder.to_string_lossy().into_owned(),
                why: format!("{behind} files of it wait for others; `wharf status` tells for which"),
            }));
            let settling = watched.seen.settling.iter().filter(|settling| settling.due.is_some());
            left.extend(settling.map(|settling| LiveAside {
                file: settling.path.to_string_lossy().into_owned(),
                why: "it is still being written".to_owned(),
            }));
        }
        left
    }

    /// When something is due that nobody tells us about.
    fn next_due(&self) -> Duration {
        let now = self.engine.clock.elapsed();
        let mut due = vec![now + REQUEST_INTERVAL];
        if !self.engine.is_stopping() {
            due.extend(self.watched.iter().map(Watched::next_due));
            due.extend(self.lanes.next_due(now));
            due.extend(self.intake.next_due(now));
            due.extend(self.store_trouble.as_ref().map(|(until, ..)| *until).filter(|until| *until > now));
        }
        due.into_iter().min().unwrap_or(now)
    }

    /// Writes down what `status` shows, if it is time and something has changed.
    fn publish(&mut self) {
        let now = self.engine.clock.elapsed();
        if now < self.live_due {
            return;
        }
        self.live_due = now + LIVE_INTERVAL;
        let sources = self.watched.iter().enumerate().map(|(index, watched)| LiveSource {
            name: watched.source.name().to_owned(),
            place: watched.options.folder.to_string_lossy().into_owned(),
            watched: watched.watched_how(),
            trouble: watched.trouble.clone(),
            files: watched.seen.files,
            ready: self.intake.waiting(index) as u64,
            settling: watched.seen.settling.len() as u64,
            asides: watched
                .asides()
                .chain(self.broken.get(index).into_iter().flatten().cloned())
                .chain(self.intake.troubles(index).map(|(path, trouble)| LiveAside {
                    file: path.to_string_lossy().into_owned(),
                    why: trouble.why.clone(),
                }))
                .take(MOST_ASIDES)
                .collect(),
        });
        let mut live = Live {
            process: std::process::id(),
            at_millis: self.live.at_millis,
            sources: sources.collect(),
            running: self.board.all(now),
            queued: self.lanes.waiting() as u64,
            trouble: self.store_trouble.as_ref().map(|(_, why, _)| why.clone()),
        };
        if live != self.live {
            live.at_millis = self.engine.clock.unix_millis();
            live.write(&self.engine.folders.live());
            self.live = live;
        }
    }
}

/// Files left alone that `status` names.
const MOST_ASIDES: usize = 20;

impl Unfinished {
    fn new(job: &Job) -> Self {
        Self {
            id: job.id,
            arrival: job.arrival,
            lane: job.lane.clone(),
            mapping: job.plan.name.clone(),
            blocker: job.blocker(),
        }
    }
}

impl Engine {
    /// Sorts what a look showed by the tables that the files go to.
    fn sort(&self, source: &str, look: &Look) -> (Vec<Candidate>, Vec<Coming>, Vec<LiveAside>) {
        let (mut candidates, mut coming, mut broken) = (Vec::new(), Vec::new(), Vec::new());
        for ready in &look.ready {
            let verdict = match self.plans_for(&ready.name, None, Some(source)) {
                Ok(plans) => Verdict::Runs(plans),
                Err((Reason::Fault, why)) => {
                    broken.push(LiveAside { file: ready.path.to_string_lossy().into_owned(), why });
                    continue;
                }
                Err((reason, message)) => Verdict::Refused(reason, message),
            };
            let first = match &verdict {
                Verdict::Runs(plans) => plans.first(),
                Verdict::Refused(..) => None,
            };
            let lane = first.map(|plan| self.lane(plan));
            let order = first.map(|plan| plan.order_key(&ready.name.to_text(), ready.modified_nanos));
            candidates.push(Candidate { arrival: Arrival { ready: ready.clone(), verdict }, lane, order });
        }
        for settling in look.settling.iter().filter(|settling| settling.due.is_some()) {
            for plan in self.plans_for(&settling.name, None, Some(source)).unwrap_or_default() {
                let order = plan.order_key(&settling.name.to_text(), settling.modified_nanos);
                coming.push(Coming { lane: self.lane(&plan), order, since: settling.since });
            }
        }
        (candidates, coming, broken)
    }

    /// The worker of a delivery panicked: it is left to a person, and the others go on.
    fn fail_after_panic(&self, job: &Unfinished) -> Result<Delivered, EngineError> {
        let stop = Stop {
            reason: Reason::Fault,
            message: "an error in Wharf itself ended this attempt, nothing more was loaded: keep the file and the log, tell \
                      the makers, then `retry` or `decline` it"
                .to_owned(),
            tally: Tally::default(),
            reports: crate::ledger::Reports::default(),
            worked_millis: 0,
        };
        let message = stop.message.clone();
        self.record(job.id, vec![Event::Failed { stop, retryable: false }])?;
        let found = self.ledger().view().by_id(job.id)?;
        let mut report = found.map_or_else(
            || DeliveryReport::new(Some(job.id), &PathBuf::new(), Some(&job.mapping), Outcome::Failed),
            |delivery| DeliveryReport::of(&delivery, Outcome::Failed),
        );
        report.message = Some(message);
        let blocks = Some(job.blocker.clone());
        Ok(Delivered::Ended { report: Box::new(report), blocks, overtaken: Vec::new() })
    }
}
