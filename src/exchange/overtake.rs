//! Deliveries that a later one makes void: nobody has to look at them any more.

use std::collections::BTreeMap;

use super::{Engine, take::Job};
use crate::{
    ledger::{Event, LedgerError},
    model::DeliveryId,
};

impl Engine {
    /// What this delivery, which is loaded now, makes void: held and failed ones of the same bytes and mapping, and, where a
    /// file is the whole truth, those before it (true).
    pub(super) fn overtaken_by(&self, job: &Job) -> Result<BTreeMap<DeliveryId, bool>, LedgerError> {
        let mut overtaken = BTreeMap::new();
        if job.is_complete() {
            let waiting = self.ledger().view().waiting_before(&job.plan.name, job.arrival)?;
            let older = waiting.into_iter().filter(|delivery| {
                let modified_nanos = delivery.modified_nanos.unwrap_or_default().into();
                delivery.corrects.is_none()
                    && job.plan.order_key(&delivery.file.to_text(), modified_nanos) <= job.order
            });
            overtaken.extend(older.map(|delivery| (delivery.id, true)));
        }
        let same = self.ledger().view().at_rest_with(&job.plan.name, job.size, &job.hash)?;
        overtaken.extend(same.into_iter().map(|delivery| (delivery, false)));
        overtaken.remove(&job.id);
        Ok(overtaken)
    }
}

/// That those deliveries are made void by this one.
pub(super) fn overtakings(job: &Job, overtaken: &BTreeMap<DeliveryId, bool>) -> Vec<(DeliveryId, Event)> {
    let event = |newer: bool| Event::Overtaken { by: job.id, newer };
    overtaken.iter().map(|(delivery, newer)| (*delivery, event(*newer))).collect()
}
