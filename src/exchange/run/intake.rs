//! Which of the files that are whole are taken next, and which have to wait although they are whole.
//!
//! Pure: the looks at the sources go in, batches of files to take come out. A file is not taken while one that comes before
//! it in the order of its table is still being written, taken, or waiting to be taken; so the order of loading is the
//! order of names, not that of luck.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    super::lanes::{LaneId, Lanes},
    arrivals::{Arrival, Verdict},
};
use crate::mapping::{OrderKey, Plan};

/// Files taken together: enough to share a durable write, few enough not to keep the first one waiting.
const BATCH_FILES: usize = 64;
/// The same in bytes.
const BATCH_BYTES: u64 = 8 << 20;
/// A file that is still written to holds those after it back for so long. One that never gets ready, as its writer hangs,
/// must not hold up its table for ever.
pub(super) const LONGEST_HOLD: Duration = Duration::from_secs(5 * 60);
/// So many deliveries wait in one lane at most; the others stay where they arrived. A lane that a held delivery blocks
/// must not fill the memory.
pub(super) const MOST_WAITING_IN_LANE: usize = 1_000;
/// So many wait in all lanes together.
pub(super) const MOST_WAITING: usize = 10_000;

/// What a file goes to first: the table of its first mapping; none for what is refused.
type Lane = Option<LaneId>;
type Place = (Option<OrderKey>, usize, PathBuf);

/// A file that is whole and may be taken.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) arrival: Arrival,
    pub(super) lane: Lane,
    pub(super) order: Option<OrderKey>,
}

/// A file that may still be written to, where it will stand.
#[derive(Clone, Debug)]
pub(super) struct Coming {
    pub(super) path: PathBuf,
    pub(super) lane: LaneId,
    pub(super) order: OrderKey,
    /// When it was seen first, whatever it became since.
    pub(super) since: Duration,
}

/// Files of one lane and one source that are taken together.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) source: usize,
    pub(super) lane: Lane,
    pub(super) arrivals: Vec<Arrival>,
}

/// What the looks at all sources showed, and what is being taken.
#[derive(Debug, Default)]
pub(super) struct Intake {
    candidates: BTreeMap<Lane, BTreeMap<Place, Candidate>>,
    /// How many candidates each source has.
    counts: HashMap<usize, usize>,
    coming: HashMap<usize, Vec<Coming>>,
    taking: BTreeSet<Lane>,
    /// Lanes in which no more may wait: nobody waits for what would come into them.
    full: BTreeSet<Lane>,
    /// Files being taken, by source.
    in_hand: HashMap<usize, BTreeSet<PathBuf>>,
    /// Files taken, by source, since its last look came in: a look that began before that still shows them.
    gone: HashMap<usize, BTreeSet<PathBuf>>,
    /// Sources to look at again once what is being taken of them is done.
    again: BTreeSet<usize>,
    /// Files that could not be taken, until when they are left alone, and how often they could not.
    trouble: HashMap<(usize, PathBuf), Trouble>,
}

/// A file that could not be taken.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) why: String,
    pub(super) until: Duration,
    pub(super) failures: u32,
}

impl Intake {
    /// A look at a source replaces what was known of it.
    pub(super) fn looked(&mut self, source: usize, candidates: Vec<Candidate>, coming: Vec<Coming>) {
        // One that is written to again and again is on its way since it was seen first.
        let before = self.coming.remove(&source).unwrap_or_default();
        let before: HashMap<PathBuf, Duration> =
            before.into_iter().map(|coming| (coming.path, coming.since)).collect();
        let first = |coming: Coming| Coming {
            since: before.get(&coming.path).map_or(coming.since, |before| coming.since.min(*before)),
            ..coming
        };
        let coming = coming.into_iter().map(first).collect();
        self.forget(source);
        let seen: BTreeSet<&PathBuf> =
            candidates.iter().map(|candidate| &candidate.arrival.ready.path).collect();
        self.trouble.retain(|(of, path), _| *of != source || seen.contains(path));
        self.coming.insert(source, coming);
        let gone = self.gone.remove(&source).unwrap_or_default();
        let in_hand = self.in_hand.get(&source);
        for candidate in candidates {
            let path = &candidate.arrival.ready.path;
            if gone.contains(path) || in_hand.is_some_and(|paths| paths.contains(path)) {
                continue;
            }
            let place = (candidate.order.clone(), source, path.clone());
            self.candidates.entry(candidate.lane.clone()).or_default().insert(place, candidate);
            *self.counts.entry(source).or_default() += 1;
        }
    }

    /// Tells whether a look that has ended should be followed by another one, as it shows files under names under which
    /// others were taken meanwhile: nobody can tell whether it saw those or new ones. While these are still being taken,
    /// it is [`Intake::done`] that tells.
    pub(super) fn is_outdated<'path>(
        &mut self,
        source: usize,
        shown: impl Iterator<Item = &'path PathBuf>,
    ) -> bool {
        let (in_hand, gone) = (self.in_hand.get(&source), self.gone.get(&source));
        let has = |files: Option<&BTreeSet<PathBuf>>, path| files.is_some_and(|files| files.contains(path));
        let mut outdated = false;
        for path in shown {
            outdated |= has(gone, path);
            if has(in_hand, path) {
                self.again.insert(source);
            }
        }
        outdated
    }

    /// Nothing is known of a source any more.
    pub(super) fn forget(&mut self, source: usize) {
        for lane in self.candidates.values_mut() {
            lane.retain(|(_, of, _), _| *of != source);
        }
        self.candidates.retain(|_, lane| !lane.is_empty());
        self.counts.remove(&source);
        self.coming.remove(&source);
    }

    /// The next files to take; none when nothing may be.
    pub(super) fn next(
        &mut self,
        now: Duration,
        lanes: &Lanes,
        lane_of: &dyn Fn(&str) -> Option<LaneId>,
    ) -> Option<Batch> {
        if lanes.waiting() >= MOST_WAITING {
            return None;
        }
        let is_full =
            |lane: &Lane| lane.as_ref().is_some_and(|lane| lanes.waiting_in(lane) >= MOST_WAITING_IN_LANE);
        self.full = self.candidates.keys().filter(|lane| is_full(lane)).cloned().collect();
        let free = self.candidates.keys().filter(|lane| !self.taking.contains(*lane));
        let lane = free
            .filter(|lane| !self.full.contains(*lane))
            .find(|lane| self.first(lane, now, lane_of).is_some())?
            .clone();
        let (_, source, _) = self.first(&lane, now, lane_of)?;
        let places = self.batch(&lane, source, now, lane_of);
        let mut arrivals = Vec::new();
        if let Some(of_lane) = self.candidates.get_mut(&lane) {
            for place in places {
                if let Some(candidate) = of_lane.remove(&place) {
                    self.in_hand.entry(source).or_default().insert(place.2);
                    if let Some(count) = self.counts.get_mut(&source) {
                        *count -= 1;
                    }
                    arrivals.push(candidate.arrival);
                }
            }
            if of_lane.is_empty() {
                self.candidates.remove(&lane);
            }
        }
        self.taking.insert(lane.clone());
        Some(Batch { source, lane, arrivals })
    }

    /// A batch is done: its lane goes on. `paths` are its files, `taken` those of them that were taken. True when the source
    /// should be looked at again.
    pub(super) fn done(
        &mut self,
        source: usize,
        lane: &Lane,
        paths: Vec<PathBuf>,
        taken: Vec<PathBuf>,
    ) -> bool {
        self.taking.remove(lane);
        self.gone.entry(source).or_default().extend(taken);
        if let Some(in_hand) = self.in_hand.get_mut(&source) {
            for path in paths {
                in_hand.remove(&path);
            }
        }
        self.again.remove(&source)
    }

    /// A file could not be taken. Gives how often that was so by now.
    pub(super) fn failed(
        &mut self,
        source: usize,
        path: PathBuf,
        why: String,
        until: impl FnOnce(u32) -> Duration,
    ) -> u32 {
        let failures = self.trouble.get(&(source, path.clone())).map_or(1, |before| before.failures + 1);
        self.trouble.insert((source, path), Trouble { why, until: until(failures), failures });
        failures
    }

    /// A file could be taken, or needs no taking.
    pub(super) fn well(&mut self, source: usize, path: &Path) {
        self.trouble.remove(&(source, path.to_owned()));
    }

    /// Files of a source that could not be taken.
    pub(super) fn troubles(&self, source: usize) -> impl Iterator<Item = (&Path, &Trouble)> {
        self.trouble
            .iter()
            .filter(move |((of, _), _)| *of == source)
            .map(|((_, path), why)| (path.as_path(), why))
    }

    /// Files of a source that wait to be taken.
    pub(super) fn waiting(&self, source: usize) -> usize {
        self.counts.get(&source).copied().unwrap_or_default()
    }

    /// When something may be taken that may not now.
    pub(super) fn next_due(&self, now: Duration) -> Option<Duration> {
        let holds = self.coming.values().flatten().map(|coming| coming.since + LONGEST_HOLD);
        holds.chain(self.trouble.values().map(|trouble| trouble.until)).filter(|due| *due > now).min()
    }

    /// True when files of any source are being taken or may be.
    pub(super) fn is_busy(&self) -> bool {
        !self.taking.is_empty()
    }

    /// The first file of a lane, if it may be taken.
    fn first(&self, lane: &Lane, now: Duration, lane_of: &dyn Fn(&str) -> Option<LaneId>) -> Option<Place> {
        let mut places =
            self.candidates.get(lane)?.iter().filter(|(place, _)| !self.is_in_trouble(place, now));
        let (place, candidate) = places.next()?;
        self.may_go(lane, candidate, now, lane_of).then(|| place.clone())
    }

    fn batch(
        &self,
        lane: &Lane,
        source: usize,
        now: Duration,
        lane_of: &dyn Fn(&str) -> Option<LaneId>,
    ) -> Vec<Place> {
        let (mut places, mut bytes) = (Vec::new(), 0);
        let all = self.candidates.get(lane).into_iter().flatten();
        for (place, candidate) in all.filter(|(place, _)| !self.is_in_trouble(place, now)) {
            bytes += candidate.arrival.ready.length;
            let fits = places.is_empty() || (places.len() < BATCH_FILES && bytes <= BATCH_BYTES);
            if !fits || place.1 != source || !self.may_go(lane, candidate, now, lane_of) {
                break;
            }
            places.push(place.clone());
        }
        places
    }

    fn is_in_trouble(&self, (_, source, path): &Place, now: Duration) -> bool {
        self.trouble.get(&(*source, path.clone())).is_some_and(|trouble| now < trouble.until)
    }

    /// False while a file that has to go first is on its way.
    fn may_go(
        &self,
        lane: &Lane,
        candidate: &Candidate,
        now: Duration,
        lane_of: &dyn Fn(&str) -> Option<LaneId>,
    ) -> bool {
        let (Some(lane), Some(order)) = (lane, &candidate.order) else { return true };
        let mut coming = self.coming.values().flatten().filter(|coming| now < coming.since + LONGEST_HOLD);
        if coming.any(|coming| coming.lane == *lane && coming.order < *order) {
            return false;
        }
        let plans: &[Arc<Plan>] = match &candidate.arrival.verdict {
            Verdict::Runs(plans) => plans,
            Verdict::Refused(..) => &[],
        };
        let awaited = plans.iter().flat_map(|plan| &plan.waits_for).filter_map(|mapping| lane_of(mapping));
        awaited.filter(|awaited| awaited != lane).all(|awaited| !self.is_expected(&awaited, now))
    }

    /// True when files for this lane are seen that are not taken yet.
    fn is_expected(&self, lane: &LaneId, now: Duration) -> bool {
        let key = Some(lane.clone());
        let whole = self.candidates.get(&key).into_iter().flat_map(BTreeMap::keys);
        let mut coming = self.coming.values().flatten().filter(|coming| now < coming.since + LONGEST_HOLD);
        let is_full = self.full.contains(&key);
        self.taking.contains(&key)
            || whole.into_iter().filter(|_| !is_full).any(|place| !self.is_in_trouble(place, now))
            || coming.any(|coming| coming.lane == *lane)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        exchange::lanes::tests::{job, plan},
        model::{FileName, Reason},
        sources::Ready,
    };

    const SECOND: Duration = Duration::from_secs(1);

    fn candidate(plan: Option<&Arc<Plan>>, name: &str, length: u64) -> Candidate {
        let ready = Ready {
            path: PathBuf::from("in").join(name),
            at: PathBuf::from("in").join(name),
            name: FileName::new(name),
            length,
            modified_nanos: 0,
            stamp: String::new(),
            evidence: String::new(),
            marker: None,
        };
        let verdict = match plan {
            Some(plan) => Verdict::Runs(vec![Arc::clone(plan)]),
            None => Verdict::Refused(Reason::NoMapping, "no".into()),
        };
        Candidate {
            lane: plan.map(|plan| job(plan, 1, name, 1).lane),
            order: plan.map(|plan| plan.order_key(name, 0)),
            arrival: Arrival { ready, verdict },
        }
    }

    fn coming(plan: &Arc<Plan>, name: &str, since: Duration) -> Coming {
        let path = PathBuf::from("in").join(name);
        Coming { path, lane: job(plan, 1, name, 1).lane, order: plan.order_key(name, 0), since }
    }

    struct Scene {
        intake: Intake,
        lanes: Lanes,
        plans: Vec<Arc<Plan>>,
    }

    impl Scene {
        fn new(plans: &[&Arc<Plan>]) -> Self {
            let plans = plans.iter().copied().cloned().collect();
            Self { intake: Intake::default(), lanes: Lanes::default(), plans }
        }

        /// The next batch: its names, and what is needed to say that it is done.
        fn next(&mut self, now: Duration) -> Option<(Vec<String>, Batch)> {
            let plans = self.plans.clone();
            let lane_of = move |mapping: &str| {
                plans.iter().find(|plan| plan.name == mapping).map(|plan| job(plan, 1, "", 1).lane)
            };
            let batch = self.intake.next(now, &self.lanes, &lane_of)?;
            let names = batch.arrivals.iter().map(|arrival| arrival.ready.name.to_string()).collect();
            Some((names, batch))
        }

        fn done(&mut self, batch: Batch) {
            let paths: Vec<_> = batch.arrivals.into_iter().map(|arrival| arrival.ready.path).collect();
            self.intake.done(batch.source, &batch.lane, paths.clone(), paths);
        }
    }

    #[test]
    fn files_of_a_lane_are_taken_together_in_their_order_and_lanes_side_by_side() {
        let (orders, prices) = (plan("orders", "orders", ""), plan("prices", "prices", ""));
        let mut scene = Scene::new(&[&orders, &prices]);
        let found = ["orders_10", "orders_9", "orders_1"].map(|name| candidate(Some(&orders), name, 1));
        let others = [candidate(Some(&prices), "prices", 1), candidate(None, "other", 1)];
        scene.intake.looked(0, found.into_iter().chain(others).collect(), Vec::new());
        assert_eq!(scene.intake.waiting(0), 5);
        let (refused, _) = scene.next(SECOND).unwrap();
        let (names, batch) = scene.next(SECOND).unwrap();
        let (beside, _) = scene.next(SECOND).unwrap();
        assert_eq!(
            (refused, names),
            (vec!["other".to_owned()], vec!["orders_1".into(), "orders_9".into(), "orders_10".into()])
        );
        assert_eq!((beside, scene.intake.waiting(0)), (vec!["prices".to_owned()], 0));
        assert!(scene.next(SECOND).is_none());
        // A look that began before still shows what is taken by now; it is not taken twice.
        scene.intake.looked(0, vec![candidate(Some(&orders), "orders_1", 1)], Vec::new());
        assert!(scene.next(SECOND).is_none());
        scene.done(batch);
        scene.intake.looked(0, vec![candidate(Some(&orders), "orders_9", 1)], Vec::new());
        assert!(scene.next(SECOND).is_none());
        // The next file of the name is another one.
        scene.intake.looked(0, vec![candidate(Some(&orders), "orders_9", 1)], Vec::new());
        assert_eq!(scene.next(SECOND).unwrap().0, ["orders_9"]);
    }

    #[test]
    fn a_batch_is_bounded_in_files_and_bytes_and_comes_from_one_source() {
        let orders = plan("orders", "orders", "");
        let mut scene = Scene::new(&[&orders]);
        let many = (0..100).map(|number| candidate(Some(&orders), &format!("orders_{number}"), 1));
        scene.intake.looked(0, many.collect(), Vec::new());
        assert_eq!(scene.next(SECOND).unwrap().0.len(), BATCH_FILES);
        let mut scene = Scene::new(&[&orders]);
        let large = (0..3).map(|number| candidate(Some(&orders), &format!("orders_{number}"), BATCH_BYTES));
        scene.intake.looked(0, large.collect(), Vec::new());
        assert_eq!(scene.next(SECOND).unwrap().0, ["orders_0"]);
        let mut scene = Scene::new(&[&orders]);
        scene.intake.looked(1, vec![candidate(Some(&orders), "orders_1", 1)], Vec::new());
        scene.intake.looked(0, vec![candidate(Some(&orders), "orders_2", 1)], Vec::new());
        let (names, batch) = scene.next(SECOND).unwrap();
        assert_eq!((names, batch.source), (vec!["orders_1".to_owned()], 1));
    }

    #[test]
    fn a_file_waits_for_one_before_it_that_is_still_written_but_not_for_ever() {
        let (orders, prices) = (plan("orders", "orders", ""), plan("prices", "prices", ""));
        let mut scene = Scene::new(&[&orders, &prices]);
        let found = ["orders_1", "orders_10"].map(|name| candidate(Some(&orders), name, 1));
        let written = vec![coming(&orders, "orders_9", SECOND), coming(&prices, "a", SECOND)];
        scene.intake.looked(0, found.to_vec(), written);
        let (names, batch) = scene.next(2 * SECOND).unwrap();
        assert_eq!(names, ["orders_1"]);
        scene.done(batch);
        assert!(scene.next(2 * SECOND).is_none());
        assert_eq!(scene.intake.next_due(2 * SECOND), Some(SECOND + LONGEST_HOLD));
        // That it goes on being written does not make it later.
        let still = vec![coming(&orders, "orders_9", 60 * SECOND)];
        scene.intake.looked(0, vec![candidate(Some(&orders), "orders_10", 1)], still);
        scene.intake.looked(
            0,
            vec![candidate(Some(&orders), "orders_10", 1)],
            vec![coming(&orders, "orders_9", 99 * SECOND)],
        );
        assert!(scene.next(100 * SECOND).is_none());
        assert_eq!(scene.next(SECOND + LONGEST_HOLD).unwrap().0, ["orders_10"]);
    }

    #[test]
    fn files_of_a_mapping_that_is_waited_for_are_taken_first() {
        let customers = plan("customers", "customers", "");
        let orders = plan("orders", "a_table", "waits_for = 'customers'");
        let mut scene = Scene::new(&[&customers, &orders]);
        let found =
            vec![candidate(Some(&orders), "a_orders", 1), candidate(Some(&customers), "z_customers", 1)];
        scene.intake.looked(0, found, vec![coming(&customers, "zz_customers", SECOND)]);
        let (names, batch) = scene.next(2 * SECOND).unwrap();
        assert_eq!(names, ["z_customers"]);
        assert!(scene.next(2 * SECOND).is_none(), "one is being taken, another one still written");
        scene.done(batch);
        assert!(scene.next(2 * SECOND).is_none(), "another one is still written");
        assert_eq!(scene.next(SECOND + LONGEST_HOLD).unwrap().0, ["a_orders"]);
    }

    #[test]
    fn a_file_that_cannot_be_taken_is_left_alone_for_a_while_and_holds_nobody_up() {
        let orders = plan("orders", "orders", "");
        let mut scene = Scene::new(&[&orders]);
        let found = ["orders_1", "orders_2"].map(|name| candidate(Some(&orders), name, 1)).to_vec();
        scene.intake.looked(0, found.clone(), Vec::new());
        let (_, batch) = scene.next(SECOND).unwrap();
        let paths = batch.arrivals.iter().map(|arrival| arrival.ready.path.clone()).collect();
        scene.intake.done(0, &batch.lane, paths, vec!["in/orders_2".into()]);
        let failed = scene.intake.failed(0, "in/orders_1".into(), "no".into(), |_| 9 * SECOND);
        assert_eq!(failed, 1);
        scene.intake.looked(0, Vec::new(), Vec::new());
        assert_eq!(scene.intake.troubles(0).count(), 0, "it is gone");
        scene.intake.failed(0, "in/orders_1".into(), "no".into(), |_| 9 * SECOND);
        scene.intake.looked(0, found, Vec::new());
        let (names, batch) = scene.next(SECOND).unwrap();
        assert_eq!((names, scene.intake.next_due(SECOND)), (vec!["orders_2".to_owned()], Some(9 * SECOND)));
        scene.done(batch);
        assert_eq!(scene.next(9 * SECOND).unwrap().0, ["orders_1"]);
    }

    #[test]
    fn a_full_lane_leaves_its_files_where_they_arrived() {
        let (orders, prices) = (plan("orders", "orders", ""), plan("prices", "prices", ""));
        let mut scene = Scene::new(&[&orders, &prices]);
        for number in 0..MOST_WAITING_IN_LANE {
            let mut waiting = job(&orders, 1, &format!("orders_{number}"), 1);
            waiting.arrival = number as u64;
            scene.lanes.push(waiting, None);
        }
        let found = vec![candidate(Some(&orders), "orders_x", 1), candidate(Some(&prices), "prices", 1)];
        scene.intake.looked(0, found, Vec::new());
        assert_eq!(scene.next(SECOND).unwrap().0, ["prices"]);
        assert!(scene.next(SECOND).is_none());
    }
}
