//! One delivery after the other, on the thread that calls: what `load`, `retry`, `approve` and `decline` do when no engine
//! runs. What was left unfinished comes first.

use std::path::PathBuf;

use super::{
    DeliveryReport, Engine, EngineError, Observer,
    deliver::{Delivered, Mode},
    lanes::{Lanes, Next, Wait},
    recover,
    take::{LoadOptions, TakenFile},
};
use crate::model::{DeliveryId, Outcome, natural};

impl Engine {
    /// Takes and delivers `files`, in the order of their names, after everything that was left unfinished. What becomes
    /// of each is told to `observer`.
    ///
    /// # Errors
    /// When the site itself fails; what was taken by then is finished by the next run.
    pub fn load(
        &self,
        files: &[PathBuf],
        options: &LoadOptions,
        observer: &mut dyn Observer,
    ) -> Result<(), EngineError> {
        let mut recovered = self.recover_and_keep(observer)?;
        for report in recovered.set_aside {
            observer.ended(report);
        }
        let mut lanes = std::mem::take(&mut recovered.lanes);
        self.drain(&mut lanes, observer)?;
        self.drain_lacking(&mut lanes, observer)?;
        let files_named = files.len();
        let mut files: Vec<&PathBuf> = files.iter().collect();
        files.sort_by(|a, b| natural(&a.to_string_lossy(), &b.to_string_lossy()));
        for file in files {
            match self.take(file, options, observer)? {
                TakenFile::Ended(report) => observer.ended(*report),
                TakenFile::Jobs(jobs) => {
                    for job in jobs {
                        lanes.push(job, None);
                    }
                    self.drain(&mut lanes, observer)?;
                }
            }
        }
        if files_named == 0 && lanes.waiting() > 0 {
            observer.note(&format!("{} wait for another; `wharf status` tells for which", lanes.waiting()));
        }
        self.end_in_order();
        Ok(())
    }

    /// Runs what may run, and says of the rest what it waits for.
    pub(super) fn drain(&self, lanes: &mut Lanes, observer: &mut dyn Observer) -> Result<(), EngineError> {
        while let Some(next) = lanes.next(self.clock.elapsed()) {
            let (lane, mapping, arrival) = match &next {
                Next::Run(job) | Next::Hold(job, _) => (job.lane.clone(), job.plan.name.clone(), job.arrival),
            };
            let delivered = match next {
                Next::Run(job) => self.deliver(*job, Mode::Alone, observer)?,
                Next::Hold(job, wait) => self.hold_waiting(&job, &wait)?,
            };
            lanes.stopped(&lane, &mapping, arrival);
            if let Delivered::Ended { report, blocks, overtaken, wanted_by } = delivered {
                for delivery in overtaken {
                    lanes.remove(delivery);
                    lanes.unblock(delivery);
                }
                if let Some(blocker) = blocks {
                    lanes.block(&lane, blocker);
                }
                observer.ended(*report);
                for delivery in wanted_by {
                    if let TakenFile::Jobs(jobs) = self.take_lacking(delivery, observer)? {
                        jobs.into_iter().for_each(|job| lanes.push(job, None));
                    }
                }
            }
        }
        self.tell_waiting(lanes, observer)
    }

    /// Records what waits for another delivery, and reports it.
    fn tell_waiting(&self, lanes: &mut Lanes, observer: &mut dyn Observer) -> Result<(), EngineError> {
        for (delivery, wait) in lanes.newly_waiting() {
            let Some(mut job) = lanes.remove(delivery) else { continue };
            let mut events = std::mem::take(&mut job.pending);
            events.push(recover::waiting(&wait));
            let sequences = self.record(job.id, events)?;
            if job.arrival == u64::MAX {
                job.arrival = sequences.first().copied().unwrap_or(job.arrival);
            }
            let mut report =
                DeliveryReport::new(Some(job.id), &job.file, Some(&job.plan.name), Outcome::Waiting);
            report.message = Some(words(&wait).1);
            observer.ended(report);
            lanes.push(job, None);
            lanes.told(delivery, wait);
        }
        Ok(())
    }
}

/// The delivery that is waited for, and the whole in words.
pub(super) fn words(wait: &Wait) -> (DeliveryId, String) {
    match wait {
        Wait::Behind(blocker) => (
            *blocker,
            format!(
                "waits behind {blocker}, an earlier file for the same table: see `wharf show {blocker}`, then retry, \
                 approve or decline that one"
            ),
        ),
        Wait::For { mapping, delivery } => {
            (*delivery, format!("waits until the mapping {mapping} has loaded {delivery}, which came before"))
        }
    }
}
