//! What takes time and is done by others than the thread that decides: looks, takes, deliveries. Each tells it when it is
//! done, also when it panicked.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    Runner,
    arrivals::{Arrival, Arrived, TakenBatch, Verdict},
    board::{Noting, Unseen},
    intake::{Batch, Candidate, Coming},
    survey::Survey,
    watched::Watched,
};
use crate::{
    exchange::{
        DeliveryReport, Engine, EngineError,
        deliver::{Delivered, Mode},
        lanes::{self, Next},
        live::LiveAside,
        take::{Job, TakenFile},
    },
    ledger::{Event, Stop},
    model::{DeliveryId, Outcome, Reason, Tally, printable},
    sources::{Lister, Look, Ready, SourceError},
    wire::WireError,
};

/// What is told to the thread that decides.
pub(super) enum Done {
    Looked {
        source: usize,
        began: Duration,
        lister: Box<dyn Lister>,
        result: Result<Look, SourceError>,
        candidates: Vec<Candidate>,
        coming: Vec<Coming>,
        broken: Vec<LiveAside>,
    },
    Remembered {
        forgotten: Vec<String>,
    },
    Surveyed {
        source: usize,
        survey: Survey,
    },
    Settled {
        source: usize,
        results: Vec<(PathBuf, Result<(), String>)>,
    },
    Took {
        source: usize,
        lane: Option<lanes::LaneId>,
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
pub(super) struct Unfinished {
    pub(super) id: DeliveryId,
    pub(super) arrival: u64,
    pub(super) lane: lanes::LaneId,
    pub(super) mapping: String,
    pub(super) connection: Option<String>,
    pub(super) blocker: lanes::Blocker,
}

/// What a panic comes to; the panic itself has told more on standard error.
pub(super) fn caught<T>(task: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(task)).map_err(|_| {
        "an error in Wharf itself ended this attempt, and nothing more was done: keep the file and the log, and tell the \
         makers; for a delivery, then `retry` or `decline` it"
            .to_owned()
    })
}

impl Runner<'_> {
    pub(super) fn start_looks(&mut self, now: Duration) {
        for index in 0..self.watched.len() {
            let backlog = self.intake.waiting(index);
            let Some(watched) = self.watched.get_mut(index) else { continue };
            watched.tick(now, backlog);
            if std::mem::take(&mut watched.has_news) {
                self.live_due = Duration::ZERO;
            }
            if let Some(survey) = watched.survey(now, &self.engine.identity.id) {
                self.work(move || {
                    let survey = caught(survey).unwrap_or(Survey { identity: None, begun: None });
                    Done::Surveyed { source: index, survey }
                });
            }
            let Some(watched) = self.watched.get_mut(index) else { continue };
            let Some(mut lister) = watched.due(now) else { continue };
            let (engine, source) = (Arc::clone(&self.engine), Arc::clone(&watched.source));
            self.busy.looks += 1;
            self.work(move || {
                let name = source.name();
                let mut known =
                    |path: &Path, stamp: &str| engine.ledger().view().took(name, path, stamp).ok();
                let looked = caught(|| lister.look(engine.clock.elapsed(), &mut known));
                let result = looked.unwrap_or_else(|message| {
                    // What it remembers may make no sense any more.
                    lister = source.lister();
                    Err(SourceError::Wire(WireError::io("list", Path::new(name), io::Error::other(message))))
                });
                let (candidates, coming, broken) = match &result {
                    Ok(look) => engine.sort(name, look),
                    Err(_) => Default::default(),
                };
                Done::Looked { source: index, began: now, lister, result, candidates, coming, broken }
            });
        }
    }

    pub(super) fn start_takes(&mut self, now: Duration) {
        // What one source holds may have to go before what another one does: nothing is taken until each has been seen,
        // or is known not to answer.
        if self.watched.iter().any(Watched::is_unseen) {
            return;
        }
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
                let taken = caught(|| engine.take_arrived(&*source, arrivals, &mut Unseen));
                let result = taken.unwrap_or_else(|why| {
                    let troubled = paths.iter().map(|path| (path.clone(), Arrived::Trouble(why.clone())));
                    Ok(TakenBatch { results: troubled.collect(), ..TakenBatch::default() })
                });
                Done::Took { source: index, lane, paths, result }
            });
        }
    }

    pub(super) fn start_deliveries(&mut self, now: Duration) -> Result<(), EngineError> {
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
            let delivered = caught(|| engine.deliver(job, Mode::Beside, &mut observer));
            let result = delivered.unwrap_or_else(|why| engine.fail_after_panic(&unfinished, why));
            Done::Delivered { job: unfinished, result }
        });
    }

    /// Does something that takes time, on a thread of its own.
    pub(super) fn work(&mut self, task: impl FnOnce() -> Done + Send + 'static) {
        let told = self.told.clone();
        self.workers.spawn_blocking(move || {
            // The receiver lives until all workers have ended.
            let _ = told.send(task());
        });
    }

    /// Tells a source of files that it was not told of before.
    pub(super) fn settle_known(&mut self, index: usize, known: Vec<Ready>) {
        let Some(watched) = self.watched.get(index) else { return };
        let (engine, source) = (Arc::clone(&self.engine), Arc::clone(&watched.source));
        let known: Vec<Ready> =
            known.into_iter().filter(|ready| self.busy.settling.insert(ready.path.clone())).collect();
        if known.is_empty() {
            return;
        }
        self.work(move || {
            let settle = |ready: Ready| {
                let result = caught(|| engine.settle_known(&*source, &ready));
                (ready.path, result.unwrap_or_else(Err))
            };
            Done::Settled { source: index, results: known.into_iter().map(settle).collect() }
        });
    }
}

impl Unfinished {
    fn new(job: &Job) -> Self {
        Self {
            id: job.id,
            arrival: job.arrival,
            lane: job.lane.clone(),
            mapping: job.plan.name.clone(),
            connection: job.plan.connection.clone(),
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
                let (path, since) = (settling.path.clone(), settling.since);
                coming.push(Coming { path, lane: self.lane(&plan), order, since });
            }
        }
        (candidates, coming, broken)
    }

    /// The worker of a delivery panicked: it is left to a person, and the others go on.
    fn fail_after_panic(&self, job: &Unfinished, message: String) -> Result<Delivered, EngineError> {
        let stop = Stop {
            reason: Reason::Fault,
            message,
            tally: Tally::default(),
            deletes: 0,
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
        Ok(Delivered::Ended {
            report: Box::new(report),
            blocks,
            overtaken: Vec::new(),
            wanted_by: Vec::new(),
        })
    }
}
