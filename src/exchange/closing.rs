//! What a load means for rejects: its own are open from now on, those that a correction loaded are closed, and so are older
//! ones whose key it has loaded. All of it is recorded together with the load itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use super::{Engine, EngineError, batches::Part, deliver::Fault, take::Job};
use crate::{
    formats::{FormatError, corrected},
    ledger::{Closing, DeliveryState, Event, LedgerError, Ranges, RejectKey, View},
    mapping::{Plan, plan::DuplicateKeys},
    model::{DeliveryId, Rule},
    validate::{WorkFile, keys::KeyHash, work::RejectFile},
    wire::WireError,
};

/// Keys of open rejects looked up at once.
const KEYS_AT_ONCE: u32 = 10_000;
/// A load of at most so many keys asks the ledger for each, if the table has more open rejects than that. Each question
/// takes some microseconds, and a table may have hundreds of thousands of open rejects.
const FEW_KEYS: usize = 1_000;

/// What a load means for rejects.
#[derive(Debug, Default)]
pub(super) struct RejectNews {
    /// The keys of its own rejects, as far as they can be read.
    keys: Vec<(u64, KeyHash)>,
    /// Of its own rejects, or those of the delivery that it corrects, those whose key another row of the file has loaded.
    outdone: Vec<u64>,
    /// For a correction: the records that are settled by it.
    corrected: Vec<u64>,
    /// Of its rejects, those that only lack a row of another table, by that table.
    missing: BTreeMap<String, u64>,
    /// Rejects of others whose key it has loaded, or of the delivery that it runs again.
    overtaken: BTreeMap<DeliveryId, Vec<u64>>,
    /// Of its own rejects, those of which it was settled in the delivery that it stands for that they load no more.
    settled: Vec<(Closing, Vec<u64>)>,
}

impl Engine {
    /// Finds out what a load means for rejects, once it is known which rows the target took.
    pub(super) fn reject_news(&self, job: &Job, work: &WorkFile) -> Result<RejectNews, Fault> {
        let refused: BTreeSet<u64> =
            work.target_rejects()?.iter().map(|reject| reject.position.record).collect();
        let mut news = RejectNews::default();
        self.overtaken_rejects(job, work, &refused, u64::MAX, &mut news)?;
        match job.corrects {
            Some(of) => news.corrected = self.corrected_records(job, of, work)?,
            None if work.has_rejects() => self.own_keys(job, work, &refused, &mut news)?,
            None => {}
        }
        if work.has_rejects() {
            news.missing = self.missing(&job.plan, work)?;
        }
        if job.is_complete() {
            // The file is the whole truth: what it has not, no older row may bring back.
            let older = self.ledger().view().open_in(&self.place(&job.plan))?;
            for former in older.into_iter().filter(|former| former.id != job.id) {
                let open = self.kept_records(former.id)?;
                news.overtaken.insert(former.id, open);
            }
        }
        match job.reruns {
            Some(former) if job.corrects.is_none() => self.take_over(job, former, work, &mut news)?,
            _ => {}
        }
        Ok(news)
    }

    /// The same for a delivery that ends although only a part of it is loaded: its own rejects are not open.
    pub(super) fn part_news(
        &self,
        job: &Job,
        work: &WorkFile,
        part: Option<&Part>,
    ) -> Result<RejectNews, Fault> {
        let mut news = RejectNews::default();
        if let Some(part) = part {
            let refused = work.target_rejects()?.iter().map(|reject| reject.position.record).collect();
            self.overtaken_rejects(job, work, &refused, part.progress.mark.record, &mut news)?;
        }
        Ok(news)
    }

    /// What of a file that is loaded once more still does not load is a reject of this delivery. Of those that people had
    /// ignored, or a later delivery had outdone, the same is true as before, if the delivery was only forgotten.
    fn take_over(
        &self,
        job: &Job,
        former: DeliveryId,
        work: &WorkFile,
        news: &mut RejectNews,
    ) -> Result<(), Fault> {
        let mut standing = self.standing_for(former)?;
        standing.remove(&job.id);
        for before in &standing {
            let open = self.kept_records(*before)?;
            news.overtaken.insert(*before, open);
        }
        if !job.restores || !work.has_rejects() {
            return Ok(());
        }
        let mut mine: BTreeSet<u64> = work
            .rejects()?
            .map(|reject| reject.map(|reject| reject.position.record))
            .collect::<Result<_, _>>()?;
        news.outdone.iter().for_each(|record| {
            mine.remove(record);
        });
        for before in &standing {
            let states = self.ledger().view().reject_states(*before)?;
            for (closing, records) in states.closed() {
                let is_settled = match closing {
                    Closing::Ignored { .. } => true,
                    Closing::Overtaken { delivery, same_file: false } => !standing.contains(delivery),
                    Closing::Overtaken { .. } | Closing::Corrected { .. } => false,
                };
                let still: Vec<u64> =
                    mine.iter().copied().filter(|record| is_settled && records.contains(*record)).collect();
                if !still.is_empty() {
                    still.iter().for_each(|record| {
                        mine.remove(record);
                    });
                    news.settled.push((closing.clone(), still));
                }
            }
        }
        news.keys.retain(|(record, _)| !news.settled.iter().any(|(_, records)| records.contains(record)));
        Ok(())
    }

    /// The open rejects of other deliveries whose keys this one has loaded, by its records up to `up_to`.
    fn overtaken_rejects(
        &self,
        job: &Job,
        work: &WorkFile,
        refused: &BTreeSet<u64>,
        up_to: u64,
        news: &mut RejectNews,
    ) -> Result<(), Fault> {
        let Some(loaded) = &work.keys else { return Ok(()) };
        let corrects = match job.corrects {
            Some(delivery) => self.ledger().view().by_id(delivery)?,
            None => None,
        };
        let place = self.place(&job.plan);
        let mut brought = None;
        let mut outdo = |page: &[RejectKey]| -> Result<(), Fault> {
            for key in page {
                let found = loaded
                    .find(KeyHash::from_bytes(&key.hash))
                    .map_err(crate::validate::ValidateError::from)?;
                let by = found.filter(|record| *record <= up_to && !refused.contains(record));
                match (by, &corrects) {
                    (None, _) => {}
                    (Some(_), None) => {
                        news.overtaken.entry(key.delivery).or_default().push(key.record);
                    }
                    (Some(by), Some(of)) => {
                        self.outdone_by_correction(job, of, key, by, &mut brought, news)?
                    }
                }
            }
            Ok(())
        };
        // Whichever is less: what is open, or what is loaded.
        let few: Option<Vec<[u8; 16]>> =
            loaded.few(FEW_KEYS).map(|keys| keys.into_iter().map(KeyHash::to_bytes).collect());
        let first = few.as_ref().map_or(KEYS_AT_ONCE, |few| u32::try_from(few.len()).unwrap_or(KEYS_AT_ONCE));
        let mut page = self.ledger().view().open_keys(&place, None, first.saturating_add(1))?;
        if let Some(few) = few.filter(|few| page.len() > few.len()) {
            let mut among = self.ledger().view().open_keys_among(&place, &few)?;
            among.sort_unstable_by_key(|key| (key.arrival, key.record));
            return outdo(&among);
        }
        while let Some(last) = page.last() {
            let after = Some((last.arrival, last.record));
            outdo(&page)?;
            page = self.ledger().view().open_keys(&place, after, KEYS_AT_ONCE)?;
        }
        Ok(())
    }

    /// A correction has loaded, by record `by`, the key of an open reject. It brings values as old as those of the file that
    /// it belongs to: it outdoes only what stood before them. Of rows of that file with one key the first that loads is
    /// loaded, unless the later wins; what the correction itself has brought and could not load stays open, as it says why.
    fn outdone_by_correction(
        &self,
        job: &Job,
        of: &DeliveryState,
        key: &RejectKey,
        by: u64,
        brought: &mut Option<BTreeSet<u64>>,
        news: &mut RejectNews,
    ) -> Result<(), Fault> {
        if key.arrival < of.arrival {
            news.overtaken.entry(key.delivery).or_default().push(key.record);
        } else if key.arrival == of.arrival && key.record < by {
            news.outdone.push(key.record);
        } else if key.arrival == of.arrival
            && key.record > by
            && job.plan.duplicate_keys != DuplicateKeys::Last
        {
            let brought = match brought {
                Some(brought) => brought,
                None => brought.insert(self.records_of(job)?.into_iter().collect()),
            };
            news.outdone.extend((!brought.contains(&key.record)).then_some(key.record));
        }
        Ok(())
    }

    /// The records of a correction that are rejects no more.
    fn corrected_records(&self, job: &Job, of: DeliveryId, work: &WorkFile) -> Result<Vec<u64>, Fault> {
        let rejected: BTreeSet<u64> = work
            .rejects()?
            .map(|reject| reject.map(|reject| reject.position.record))
            .collect::<Result<_, _>>()?;
        let mut records = self.records_of(job)?;
        if job.reruns.is_some() {
            // What was corrected once may have been no reject of the delivery that is corrected now.
            let kept: BTreeSet<u64> = self.kept_records(of)?.into_iter().collect();
            records.retain(|record| kept.contains(record));
        }
        Ok(records.into_iter().filter(|record| !rejected.contains(record)).collect())
    }

    /// The records of a correction.
    pub(super) fn records_of(&self, job: &Job) -> Result<Vec<u64>, Fault> {
        let failed = |cause| Fault::from(WireError::io("read", &job.archive, cause));
        let file = File::open(&job.archive).map_err(failed)?;
        corrected::record_numbers(file).map_err(|error| match error {
            FormatError::Read(cause) => failed(cause),
            other => Fault::Lasting(other.to_string()),
        })
    }

    /// The keys of the delivery's own rejects, and which of them another row of the file has loaded: correcting those would
    /// put one row of the file over another.
    fn own_keys(
        &self,
        job: &Job,
        work: &WorkFile,
        refused: &BTreeSet<u64>,
        news: &mut RejectNews,
    ) -> Result<(), Fault> {
        let Some(loaded) = &work.keys else { return Ok(()) };
        let failed = crate::validate::ValidateError::from;
        for (record, key) in &work.reject_keys {
            let by = loaded.find(*key).map_err(failed)?.filter(|by| !refused.contains(by));
            let later_wins = job.plan.duplicate_keys == DuplicateKeys::Last;
            if by.is_some_and(|by| !later_wins || by > *record) {
                news.outdone.push(*record);
            } else {
                news.keys.push((*record, *key));
            }
        }
        let room = self.most_reject_keys().saturating_sub(news.keys.len());
        if !refused.is_empty() {
            // A row whose key is in the table already (mode insert) is corrected by another key, if at all.
            let repeats: BTreeSet<u64> = work
                .target_rejects()?
                .iter()
                .filter(|reject| reject.violations.iter().any(|violation| violation.rule == Rule::Key))
                .map(|reject| reject.position.record)
                .collect();
            let mut keys = loaded.keys_of(refused).map_err(failed)?;
            keys.retain(|(record, _)| !repeats.contains(record));
            keys.sort_unstable();
            news.keys.extend(keys.into_iter().take(room));
        }
        Ok(())
    }

    /// The records of a delivery that were rejected, as they were kept.
    fn kept_records(&self, delivery: DeliveryId) -> Result<Vec<u64>, Fault> {
        let open = self.ledger().view().by_id(delivery)?.map_or(0, |former| former.rejects.open);
        if open == 0 {
            return Ok(Vec::new());
        }
        let path = self.folders.reject_file(delivery);
        let file = File::open(&path).map_err(|cause| WireError::io("open", &path, cause))?;
        let kept = RejectFile::open(file)?;
        let records = kept.rejects()?.map(|reject| reject.map(|reject| reject.position.record));
        Ok(records.collect::<Result<_, _>>()?)
    }

    /// The event by which rejects are ignored: these records, or all that are open.
    ///
    /// # Errors
    /// When they are no open rejects, or a correction of the delivery is under way.
    pub(super) fn ignore(
        &self,
        delivery: DeliveryId,
        records: Option<&Ranges>,
        by: &str,
        reason: &str,
    ) -> Result<Vec<Event>, EngineError> {
        let former = self.known(delivery)?;
        let denied = |message: String| Err(EngineError::Decision(message));
        if let Some(of) = former.corrects {
            return denied(format!("{delivery} is a correction: its rejects are those of {of}"));
        }
        let corrections = self.ledger().view().corrections_of(delivery)?;
        if let Some(open) = corrections.iter().find(|correction| !correction.state.is_final()) {
            return denied(format!(
                "{} is a correction of {delivery} that has not come to its end: wait for it, or `retry` or `decline` it",
                open.id
            ));
        }
        let kept = self.kept_records(delivery).map_err(|fault| EngineError::Decision(fault.to_string()))?;
        let states = self.ledger().view().reject_states(delivery)?;
        for (first, last) in records.into_iter().flat_map(Ranges::iter) {
            for record in first..=last {
                if let Some(closing) = states.of(record) {
                    return denied(format!("record {record} of {delivery} {}", closing.words()));
                }
                if kept.binary_search(&record).is_err() {
                    return denied(format!("record {record} of {delivery} is no open reject"));
                }
            }
        }
        let is_wanted = |record: &u64| records.is_none_or(|records| records.contains(*record));
        let open: Ranges =
            kept.into_iter().filter(|record| is_wanted(record) && states.of(*record).is_none()).collect();
        if open.is_empty() {
            return denied(format!("{} ({delivery}) has no open rejects", former.file));
        }
        let how = Closing::Ignored { person: by.to_owned(), reason: reason.to_owned() };
        Ok(vec![Event::RejectsClosed { how, records: open }])
    }

    /// The table of a plan, as the ledger names it.
    pub(super) fn place(&self, plan: &Plan) -> String {
        self.place_of(plan.connection.as_deref(), &plan.table.table)
    }

    /// So many keys of rejects are kept for a delivery: those of the records that people were given.
    pub(super) fn most_reject_keys(&self) -> usize {
        usize::try_from(self.site.settings.report_max).unwrap_or(usize::MAX)
    }

    /// Records how a delivery was loaded, and with it what that means for rejects. `events` are those of the load.
    pub(super) fn append_loaded(
        &self,
        job: &Job,
        rejected: u64,
        news: &RejectNews,
        mut events: Vec<(DeliveryId, Event)>,
    ) -> Result<(), EngineError> {
        let at_millis = self.clock.unix_millis();
        // Nothing closes between the look at what is open and the writing.
        let mut ledger = self.ledger();
        let mut keys: Vec<RejectKey> = Vec::new();
        if rejected > 0 && job.corrects.is_none() && !job.plan.shadow {
            let place = self.place(&job.plan);
            events.push((job.id, Event::RejectsOpened { place, missing: news.missing.clone() }));
            let (arrival, delivery) = (job.arrival, job.id);
            let key = |(record, key): &(u64, KeyHash)| RejectKey {
                arrival,
                delivery,
                record: *record,
                hash: key.to_bytes(),
            };
            keys.extend(news.keys.iter().map(key));
            let how = Closing::Overtaken { delivery: job.id, same_file: true };
            if !news.outdone.is_empty() {
                let records = news.outdone.iter().copied().collect();
                events.push((job.id, Event::RejectsClosed { how, records }));
            }
            for (how, records) in &news.settled {
                let records = records.iter().copied().collect();
                events.push((job.id, Event::RejectsClosed { how: how.clone(), records }));
            }
        }
        let corrected = job.corrects.map(|of| (of, Closing::Corrected { delivery: job.id }, &news.corrected));
        let overtaken = news
            .overtaken
            .iter()
            .map(|(of, records)| (*of, Closing::Overtaken { delivery: job.id, same_file: false }, records));
        let outdone = job
            .corrects
            .map(|of| (of, Closing::Overtaken { delivery: job.id, same_file: true }, &news.outdone));
        let mut closed: BTreeMap<DeliveryId, BTreeSet<u64>> = BTreeMap::new();
        for (of, how, records) in corrected.into_iter().chain(outdone).chain(overtaken) {
            let now = closed.entry(of).or_default();
            let records =
                still_open(ledger.view(), of, records.iter().filter(|record| !now.contains(record)))?;
            if !records.is_empty() {
                now.extend(records.iter().flat_map(|(first, last)| first..=last));
                events.push((of, Event::RejectsClosed { how, records }));
            }
        }
        if let Some(of) = job.corrects.filter(|_| !news.missing.is_empty()) {
            let mut former = ledger.view().by_id(of)?.into_iter();
            if let Some((place, mut missing)) = former.find_map(|of| Some((of.place?, of.missing))) {
                let known = missing.len();
                news.missing.iter().for_each(|(table, count)| {
                    missing.entry(table.clone()).or_insert(*count);
                });
                if missing.len() > known {
                    events.push((of, Event::RejectsOpened { place, missing }));
                }
            }
        }
        ledger.append_all(at_millis, &events, &[], &keys)?;
        Ok(())
    }
}

/// Those of `records` that are open rejects of the delivery.
pub(super) fn still_open<'a>(
    view: View<'_>,
    delivery: DeliveryId,
    records: impl Iterator<Item = &'a u64>,
) -> Result<Ranges, LedgerError> {
    let states = view.reject_states(delivery)?;
    Ok(records.copied().filter(|record| states.of(*record).is_none()).collect())
}
