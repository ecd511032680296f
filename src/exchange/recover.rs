//! Whole runs: everything that was left unfinished, then the files that were named; and deliveries that a person lets go
//! on.

use std::{
    cmp::Ordering,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    DeliveryReport, Engine, EngineError, Observer,
    take::{Job, LoadOptions, TakenFile},
};
use crate::{
    ledger::{DeliveryState, Event, Filter, LedgerError, Stop},
    mapping::compile,
    model::{Reason, State},
    wire,
};

/// A delivery that ended the program so often is not picked up again by itself: it would keep all others waiting.
const MOST_ATTEMPTS: u32 = 3;

impl Engine {
    /// Takes and delivers `files`, in the order of their names, after everything that was left unfinished. What becomes
    /// of each is told to `observer`.
    ///
    /// # Errors
    /// When the site itself fails; what was taken by then is finished by the next run.
    pub fn load(
        &mut self,
        files: &[PathBuf],
        options: &LoadOptions,
        observer: &mut dyn Observer,
    ) -> Result<(), EngineError> {
        self.recover(observer)?;
        let mut files: Vec<&PathBuf> = files.iter().collect();
        files.sort_by(|a, b| natural(&a.to_string_lossy(), &b.to_string_lossy()));
        for file in files {
            match self.take(file, options, observer)? {
                TakenFile::Ended(report) => observer.ended(*report),
                TakenFile::Jobs(jobs) => {
                    for job in jobs {
                        let report = self.deliver(job, options.again, observer)?;
                        observer.ended(report);
                    }
                }
            }
        }
        self.lock.end_in_order();
        Ok(())
    }

    /// Finishes what an earlier run was kept from finishing.
    ///
    /// # Errors
    /// When the site itself fails.
    pub fn recover(&mut self, observer: &mut dyn Observer) -> Result<(), EngineError> {
        if self.lock.was_left_behind() {
            self.sweep(observer)?;
        }
        let open = |state: State| matches!(state, State::Taken | State::Waiting | State::Running);
        let unfinished = self.ledger.view().unfinished()?;
        for delivery in unfinished.into_iter().filter(|delivery| open(delivery.state)) {
            observer.note(&format!(
                "{} ({}) was left {} by an earlier run; finishing it",
                delivery.file,
                delivery.id,
                delivery.state.code()
            ));
            if delivery.attempts >= MOST_ATTEMPTS {
                let report = self.set_aside(
                    &delivery,
                    &format!("{MOST_ATTEMPTS} attempts ended without an outcome, so it is set aside; other files go on"),
                    false,
                )?;
                observer.ended(report);
                continue;
            }
            let note = "picked up again: the run before ended without finishing it";
            self.record(delivery.id, vec![Event::Noted { text: note.to_owned() }])?;
            let report = self.resume(&delivery, observer)?;
            observer.ended(report);
        }
        Ok(())
    }

    /// Removes files in the making that a killed run left behind. Whole files are never removed, known or not.
    fn sweep(&mut self, observer: &mut dyn Observer) -> Result<(), EngineError> {
        let mut removed = 0;
        for root in [self.folders.rejects(), self.folders.all_reports(), self.folders.archive()] {
            for entry in walkdir::WalkDir::new(root).into_iter().flatten() {
                if entry.file_type().is_dir() {
                    removed += wire::atomic::remove_leftovers(entry.path())?;
                }
            }
        }
        if removed > 0 {
            observer.note(&format!("removed {removed} unfinished files that an earlier run left behind"));
        }
        Ok(())
    }

    /// Tries a held or failed delivery again.
    ///
    /// # Errors
    /// [`LedgerError`] when there is no such delivery or it is neither held nor failed.
    pub fn retry(
        &mut self,
        id: &str,
        by: &str,
        observer: &mut dyn Observer,
    ) -> Result<DeliveryReport, EngineError> {
        let delivery = self.waiting_for_a_person(id, observer)?;
        self.record(delivery.id, vec![Event::Retried { by: by.to_owned() }])?;
        self.resume_by_id(delivery, observer)
    }

    /// Lets a held delivery load with the rejects it has; with more, it holds again.
    ///
    /// # Errors
    /// [`LedgerError`] when there is no such delivery or it is not held.
    pub fn approve(
        &mut self,
        id: &str,
        by: &str,
        observer: &mut dyn Observer,
    ) -> Result<DeliveryReport, EngineError> {
        let delivery = self.waiting_for_a_person(id, observer)?;
        let rejected = delivery.tally.map_or(0, |tally| tally.rejected);
        self.record(delivery.id, vec![Event::Approved { rejected, by: by.to_owned() }])?;
        self.resume_by_id(delivery, observer)
    }

    /// The delivery that a person lets go on, after everything that was left unfinished.
    fn waiting_for_a_person(
        &mut self,
        id: &str,
        observer: &mut dyn Observer,
    ) -> Result<DeliveryState, EngineError> {
        self.recover(observer)?;
        let delivery = self.ledger.view().delivery(id)?;
        self.refuse_older(&delivery)?;
        Ok(delivery)
    }

    /// Old values must not replace new ones without anybody noticing.
    fn refuse_older(&self, delivery: &DeliveryState) -> Result<(), EngineError> {
        let loaded = Filter {
            states: vec![State::Loaded, State::LoadedWithRejects],
            mapping: delivery.mapping.clone(),
            since_millis: Some(delivery.taken_at_millis),
            ..Filter::default()
        };
        let later = self.ledger.view().list(&loaded)?;
        match later.iter().find(|later| later.arrival > delivery.arrival) {
            Some(later) if delivery.state.needs_attention() => Err(EngineError::Decision(format!(
                "{} ({}) came later and is loaded already, so loading {} now would put older values over newer ones; \
                 `decline` this one, or `wharf load --again` the later file after it",
                later.file, later.id, delivery.id
            ))),
            _ => Ok(()),
        }
    }

    /// Ends a held or failed delivery without loading it.
    ///
    /// # Errors
    /// [`LedgerError`] when there is no such delivery or it is neither held nor failed; [`EngineError::Decision`] when
    /// its rows are in the target.
    pub fn decline(&mut self, id: &str, by: &str) -> Result<DeliveryReport, EngineError> {
        let delivery = self.ledger.view().delivery(id)?;
        if !delivery.state.needs_attention() {
            return Err(LedgerError::from(crate::ledger::IllegalTransition::Not {
                delivery: delivery.id,
                state: delivery.state,
                event: "declined",
            })
            .into());
        }
        if delivery.tally.is_some_and(|tally| tally.loaded() > 0) {
            return Err(EngineError::Decision(format!(
                "the rows of {} are in the database already, only its reports are missing: mend the cause, then retry it",
                delivery.id
            )));
        }
        let stop = Stop {
            reason: delivery.reason.unwrap_or(Reason::Fault),
            message: format!(
                "declined by {by}; before: {}",
                delivery.message.as_deref().unwrap_or("no message")
            ),
            tally: delivery.tally.unwrap_or_default(),
            reports: delivery.reports.clone(),
            worked_millis: delivery.worked_millis.unwrap_or(0),
        };
        let message = stop.message.clone();
        self.record(delivery.id, vec![Event::Refused(stop)])?;
        self.lock.end_in_order();
        let mut report = self.report_of(&delivery, State::Refused);
        report.message = Some(message);
        Ok(report)
    }

    fn resume_by_id(
        &mut self,
        delivery: DeliveryState,
        observer: &mut dyn Observer,
    ) -> Result<DeliveryReport, EngineError> {
        let report = match self.ledger.view().by_id(delivery.id)? {
            Some(delivery) => self.resume(&delivery, observer)?,
            None => self.report_of(&delivery, delivery.state),
        };
        self.lock.end_in_order();
        Ok(report)
    }

    /// Runs a delivery from the archive under the plan that was in force.
    fn resume(
        &mut self,
        delivery: &DeliveryState,
        observer: &mut dyn Observer,
    ) -> Result<DeliveryReport, EngineError> {
        let kept = match &delivery.plan {
            Some(fingerprint) => self.ledger.view().plan(fingerprint)?,
            None => None,
        };
        let plan = match kept {
            Some(kept) => {
                let file = format!("{}.toml (as it was)", kept.name);
                compile(&kept.name, &file, &kept.toml, &self.site.settings.connections)
                    .map_err(|broken| broken.problems.to_string())
            }
            None => Err("the ledger does not have it".to_owned()),
        };
        let plan = match plan {
            Ok(plan) => plan,
            // What it has come to stays open: whatever is wrong can be put right.
            Err(problem) => {
                let message = format!("the mapping it was taken under does not run any more: {problem}");
                return self.set_aside(delivery, &message, true);
            }
        };
        let job = Job {
            id: delivery.id,
            file: delivery.source_path.clone().unwrap_or_else(|| PathBuf::from(delivery.file.to_string())),
            name: delivery.file.clone(),
            size: delivery.size,
            hash: delivery.hash,
            archive: self.folders.archive().join(&delivery.archive),
            verify: true,
            new_copy: false,
            pending: Vec::new(),
            plan: Arc::new(plan),
            attempts: delivery.attempts,
            approved_rejects: delivery.approved_rejects,
        };
        self.deliver(job, false, observer)
    }

    /// Records that a delivery cannot be brought to its end, and leaves it to a person.
    fn set_aside(
        &mut self,
        delivery: &DeliveryState,
        message: &str,
        retryable: bool,
    ) -> Result<DeliveryReport, EngineError> {
        let stop = Stop {
            reason: Reason::Fault,
            message: message.to_owned(),
            tally: delivery.tally.unwrap_or_default(),
            reports: delivery.reports.clone(),
            worked_millis: 0,
        };
        let mut events = Vec::new();
        if delivery.state != State::Running {
            events.push(Event::Started { attempt: delivery.attempts + 1, plan: None });
        }
        events.push(Event::Failed { stop, retryable });
        self.record(delivery.id, events)?;
        let mut report = self.report_of(delivery, State::Failed);
        (report.reason, report.message) = (Some(Reason::Fault), Some(message.to_owned()));
        Ok(report)
    }

    fn report_of(&self, delivery: &DeliveryState, outcome: State) -> DeliveryReport {
        let name = delivery.file.to_string();
        let file = delivery.source_path.as_deref().unwrap_or(Path::new(&name));
        let mut report = DeliveryReport::new(Some(delivery.id), file, delivery.mapping.as_deref(), outcome);
        report.tally = delivery.tally.unwrap_or_default();
        report.reports = delivery.reports.clone();
        report
    }
}

/// Names in the order people give them: runs of digits compare as numbers, so `orders_9` comes before `orders_10`.
#[must_use]
pub fn natural(one: &str, other: &str) -> Ordering {
    let (mut a, mut b) = (one, other);
    loop {
        let (x, y) = (token(a), token(b));
        if x.is_empty() || y.is_empty() {
            // Equal as numbers, such as 01 and 1: the texts decide, so that the order is always the same.
            return x.len().cmp(&y.len()).then_with(|| one.cmp(other));
        }
        let number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        let order = if number(x) && number(y) {
            let (x, y) = (x.trim_start_matches('0'), y.trim_start_matches('0'));
            x.len().cmp(&y.len()).then_with(|| x.cmp(y))
        } else {
            x.cmp(y)
        };
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (a.get(x.len()..).unwrap_or_default(), b.get(y.len()..).unwrap_or_default());
    }
}

/// The digits or the other characters that a text begins with.
fn token(text: &str) -> &str {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::natural;

    #[test]
    fn names_with_digits_come_in_the_order_of_the_numbers() {
        let mut names = [
            "orders_10.csv",
            "orders_9.csv",
            "orders_2026-01-02.csv",
            "a2b10",
            "a2b9",
            "a10",
            "orders_009.csv",
        ];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(
            names,
            [
                "a2b9",
                "a2b10",
                "a10",
                "orders_009.csv",
                "orders_9.csv",
                "orders_10.csv",
                "orders_2026-01-02.csv"
            ]
        );
    }

    #[test]
    fn digits_beyond_any_number_type_are_compared_too() {
        let (small, large) = (format!("x{}", "9".repeat(300)), format!("x1{}", "0".repeat(300)));
        assert_eq!(natural(&small, &large), std::cmp::Ordering::Less);
    }
}
