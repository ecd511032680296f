//! How far the deliveries at work have come, for whoever asks.

use std::{collections::HashMap, path::Path, sync::Mutex, time::Duration};

use super::super::{DeliveryReport, Engine, Observer, Step, live::LiveDelivery, locked};
use crate::model::DeliveryId;

/// The deliveries at work.
#[derive(Debug, Default)]
pub(super) struct Board(Mutex<HashMap<DeliveryId, Progress>>);

#[derive(Debug)]
struct Progress {
    file: String,
    mapping: String,
    step: Step,
    step_since: Duration,
    done: u64,
    total: Option<u64>,
}

impl Board {
    /// A delivery begins.
    pub(super) fn begin(&self, delivery: DeliveryId, file: String, mapping: String, now: Duration) {
        let progress =
            Progress { file, mapping, step: Step::Validating, step_since: now, done: 0, total: None };
        locked(&self.0).insert(delivery, progress);
    }

    /// It has stopped.
    pub(super) fn end(&self, delivery: DeliveryId) {
        locked(&self.0).remove(&delivery);
    }

    /// All of them.
    pub(super) fn all(&self, now: Duration) -> Vec<LiveDelivery> {
        let live = |(delivery, progress): (&DeliveryId, &Progress)| LiveDelivery {
            delivery: *delivery,
            file: progress.file.clone(),
            mapping: progress.mapping.clone(),
            step: progress.step,
            done: progress.done,
            total: progress.total,
            step_millis: u64::try_from(now.saturating_sub(progress.step_since).as_millis())
                .unwrap_or(u64::MAX),
        };
        let mut all: Vec<_> = locked(&self.0).iter().map(live).collect();
        all.sort_by_key(|delivery| delivery.delivery);
        all
    }
}

/// Notes the progress of one delivery on the board.
pub(super) struct Noting<'a> {
    pub(super) board: &'a Board,
    pub(super) engine: &'a Engine,
    pub(super) delivery: DeliveryId,
}

impl Observer for Noting<'_> {
    fn progress(&mut self, _: &Path, step: Step, done: u64, total: u64) {
        let mut board = locked(&self.board.0);
        let Some(progress) = board.get_mut(&self.delivery) else { return };
        if progress.step != step {
            (progress.step, progress.step_since) = (step, self.engine.clock.elapsed());
        }
        (progress.done, progress.total) = (done, Some(total));
    }

    fn ended(&mut self, _: DeliveryReport) {}

    fn note(&mut self, text: &str) {
        tracing::info!(delivery = %self.delivery, "{text}");
    }
}

/// For work whose progress nobody follows.
pub(in crate::exchange) struct Unseen;

impl Observer for Unseen {
    fn progress(&mut self, _: &Path, _: Step, _: u64, _: u64) {}

    fn ended(&mut self, _: DeliveryReport) {}

    fn note(&mut self, text: &str) {
        tracing::info!("{text}");
    }
}
