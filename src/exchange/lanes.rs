//! Whose turn it is: deliveries of one table one after the other in their order, different tables side by side.
//!
//! A lane is a table. Its deliveries go in the order that their mappings say; a held or failed one keeps those that came
//! after it waiting, and so does one that will be tried again later. A delivery whose mapping waits for another mapping
//! waits until everything of that mapping that came before it has come to its end.
//!
//! Pure: no clock, no ledger. Whoever asks gives the time, and records what comes out.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
    time::Duration,
};

use super::take::Job;
use crate::{
    mapping::OrderKey,
    model::{ContentHash, DeliveryId},
};

/// So many deliveries run into a database with one writer at once: one is written, the next one validated meanwhile. An SQLite file has
/// one writer at a time, and more that wait for it would only keep other databases waiting.
const MOST_IN_A_DATABASE: usize = 2;

/// A table of a database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId {
    /// The database takes one writer at a time, whatever their tables.
    pub one_writer: bool,
    /// The database: an SQLite file, or the server and name of another one.
    pub database: PathBuf,
    /// The table, in small letters, as databases do not tell them apart.
    pub table: String,
}

/// Why a delivery does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// This held or failed delivery of its table came before it.
    Behind(DeliveryId),
    /// A mapping that its own waits for has not loaded this delivery, which came before it.
    For {
        /// The mapping.
        mapping: String,
        /// Its delivery.
        delivery: DeliveryId,
    },
}

/// What is to be done next.
#[derive(Debug)]
pub enum Next {
    /// This delivery runs now.
    Run(Box<Job>),
    /// This one has waited for other mappings for as long as its own allows: a person decides.
    Hold(Box<Job>, Wait),
}

/// A delivery that keeps others waiting until a person decides about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// The delivery.
    pub id: DeliveryId,
    /// When it came, as a number of the ledger.
    pub arrival: u64,
    /// Its place among the deliveries of its table; none if its mapping does not run any more.
    pub order: Option<OrderKey>,
    /// Its mapping.
    pub mapping: String,
    /// Its bytes.
    pub hash: ContentHash,
}

/// All lanes of a site.
#[derive(Debug, Default)]
pub struct Lanes {
    lanes: BTreeMap<LaneId, Lane>,
    /// Deliveries by mapping and arrival that have not come to their end.
    open: BTreeMap<String, BTreeMap<u64, DeliveryId>>,
    running: usize,
    waiting: usize,
}

#[derive(Debug, Default)]
struct Lane {
    queue: BTreeMap<(OrderKey, u64, DeliveryId), Queued>,
    blockers: BTreeMap<u64, Blocker>,
    running: Option<DeliveryId>,
}

#[derive(Debug)]
struct Queued {
    job: Job,
    not_before: Option<Duration>,
    told: Option<Wait>,
}

/// How the first of a lane stands.
enum Head {
    Runs((OrderKey, u64, DeliveryId)),
    Overdue((OrderKey, u64, DeliveryId), Wait),
    Waits,
}

impl Lanes {
    /// Puts a delivery into its lane. `not_before` keeps it, and the lane with it, from running until then.
    pub fn push(&mut self, job: Job, not_before: Option<Duration>) {
        self.open.entry(job.plan.name.clone()).or_default().insert(job.arrival, job.id);
        let lane = self.lanes.entry(job.lane.clone()).or_default();
        let key = (job.order.clone(), job.arrival, job.id);
        self.waiting += 1;
        lane.queue.insert(key, Queued { job, not_before, told: None });
    }

    /// A delivery is held or failed: those that came after it wait.
    pub fn block(&mut self, lane: &LaneId, blocker: Blocker) {
        self.open.entry(blocker.mapping.clone()).or_default().insert(blocker.arrival, blocker.id);
        self.lanes.entry(lane.clone()).or_default().blockers.insert(blocker.arrival, blocker);
    }

    /// A person has decided, or it was overtaken: it keeps nobody waiting any more.
    pub fn unblock(&mut self, delivery: DeliveryId) {
        for lane in self.lanes.values_mut() {
            lane.blockers.retain(|_, blocker| blocker.id != delivery);
        }
        for of_mapping in self.open.values_mut() {
            of_mapping.retain(|_, id| *id != delivery);
        }
    }

    /// The delivery that was given to run has stopped running, however that ended. It is no longer known here: put it back
    /// with [`Lanes::push`] or [`Lanes::block`] if there is more to come.
    pub fn stopped(&mut self, lane: &LaneId, mapping: &str, arrival: u64) {
        if let Some(lane) = self.lanes.get_mut(lane)
            && lane.running.take().is_some()
        {
            self.running -= 1;
        }
        if let Some(of_mapping) = self.open.get_mut(mapping) {
            of_mapping.remove(&arrival);
        }
    }

    /// The next delivery that may run, the earliest arrival first; it counts as running from now on. None when nothing may.
    pub fn next(&mut self, now: Duration) -> Option<Next> {
        let mut first: Option<(u64, LaneId, Head)> = None;
        let mut busy: HashMap<&Path, usize> = HashMap::new();
        for (id, _) in self.lanes.iter().filter(|(_, lane)| lane.running.is_some()) {
            *busy.entry(&id.database).or_default() += 1;
        }
        let has_room = |id: &LaneId| {
            !id.one_writer || busy.get(&*id.database).is_none_or(|running| *running < MOST_IN_A_DATABASE)
        };
        let idle = self.lanes.iter().filter(|(id, lane)| lane.running.is_none() && has_room(id));
        for (id, lane) in idle {
            let head = lane.head(&self.open, now);
            let (Head::Runs((_, arrival, _)) | Head::Overdue((_, arrival, _), _)) = &head else { continue };
            if first.as_ref().is_none_or(|(earliest, _, _)| arrival < earliest) {
                first = Some((*arrival, id.clone(), head));
            }
        }
        let (_, id, head) = first?;
        let lane = self.lanes.get_mut(&id)?;
        self.running += 1;
        self.waiting -= 1;
        match head {
            Head::Runs(key) => {
                let queued = lane.queue.remove(&key)?;
                lane.running = Some(queued.job.id);
                Some(Next::Run(Box::new(queued.job)))
            }
            Head::Overdue(key, wait) => {
                let queued = lane.queue.remove(&key)?;
                lane.running = Some(queued.job.id);
                Some(Next::Hold(Box::new(queued.job), wait))
            }
            Head::Waits => None,
        }
    }

    /// What waits for another delivery and was not told yet, with that delivery. That a mapping is waited for is told once, and
    /// again when the delivery in the way is one that a person has to see to.
    pub fn newly_waiting(&mut self) -> Vec<(DeliveryId, Wait)> {
        let blockers: HashSet<DeliveryId> =
            self.lanes.values().flat_map(|lane| lane.blockers.values()).map(|blocker| blocker.id).collect();
        let is_told = |told: &Option<Wait>, wait: &Wait| match (told, wait) {
            (Some(Wait::For { mapping: told, .. }), Wait::For { mapping, delivery }) => {
                told == mapping && !blockers.contains(delivery)
            }
            _ => false,
        };
        let mut news = Vec::new();
        for lane in self.lanes.values_mut() {
            let running = lane.running.is_some();
            for queued in lane.queue.values_mut() {
                let wait = behind(&lane.blockers, &queued.job)
                    .or_else(|| awaited(&self.open, &queued.job).filter(|_| !running));
                let Some(wait) = wait else { continue };
                if queued.told.as_ref() != Some(&wait) && !is_told(&queued.told, &wait) {
                    queued.told = Some(wait.clone());
                    news.push((queued.job.id, wait));
                }
            }
        }
        news
    }

    /// It has been told that this delivery waits so.
    pub fn told(&mut self, delivery: DeliveryId, wait: Wait) {
        let mut queues = self.lanes.values_mut().flat_map(|lane| lane.queue.values_mut());
        if let Some(queued) = queues.find(|queued| queued.job.id == delivery) {
            queued.told = Some(wait);
        }
    }

    /// When something may run that may not now, if that is a matter of time.
    #[must_use]
    pub fn next_due(&self, now: Duration) -> Option<Duration> {
        let idle = self.lanes.values().filter(|lane| lane.running.is_none());
        let due = idle.flat_map(|lane| {
            lane.queue.values().flat_map(|queued| {
                let limit = (!queued.job.plan.waits_for.is_empty()).then_some(queued.job.waits_until);
                [queued.not_before, limit].into_iter().flatten()
            })
        });
        due.filter(|due| *due > now).min()
    }

    /// How many run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running
    }

    /// How many wait for their turn.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many wait in one lane.
    #[must_use]
    pub fn waiting_in(&self, lane: &LaneId) -> usize {
        self.lanes.get(lane).map_or(0, |lane| lane.queue.len())
    }

    /// The deliveries that wait, and until when if a fault made them.
    pub fn queue(&self) -> impl Iterator<Item = (&Job, Option<Duration>)> {
        self.lanes
            .values()
            .flat_map(|lane| lane.queue.values())
            .map(|queued| (&queued.job, queued.not_before))
    }

    /// Takes a waiting delivery out of its lane.
    pub fn remove(&mut self, delivery: DeliveryId) -> Option<Job> {
        for lane in self.lanes.values_mut() {
            let key = lane.queue.keys().find(|(_, _, id)| *id == delivery).cloned();
            if let Some(queued) = key.and_then(|key| lane.queue.remove(&key)) {
                self.waiting -= 1;
                if let Some(of_mapping) = self.open.get_mut(&queued.job.plan.name) {
                    of_mapping.remove(&queued.job.arrival);
                }
                return Some(queued.job);
            }
        }
        None
    }
}

impl Lane {
    /// The first of the queue that nothing keeps from running.
    fn head(&self, open: &BTreeMap<String, BTreeMap<u64, DeliveryId>>, now: Duration) -> Head {
        let mine: BTreeSet<DeliveryId> =
            if self.queue.values().any(|queued| !queued.job.plan.waits_for.is_empty()) {
                self.queue.keys().map(|(_, _, id)| *id).collect()
            } else {
                BTreeSet::new()
            };
        for (key, queued) in &self.queue {
            let job = &queued.job;
            if behind(&self.blockers, job).is_some() {
                continue;
            }
            if queued.not_before.is_some_and(|due| now < due) {
                return Head::Waits;
            }
            match awaited(open, job) {
                None => return Head::Runs(key.clone()),
                Some(wait) if now >= job.waits_until => {
                    return Head::Overdue(key.clone(), wait);
                }
                // What it waits for stands behind it in its own lane, and would never come.
                Some(Wait::For { delivery, .. }) if mine.contains(&delivery) => {}
                Some(_) => return Head::Waits,
            }
        }
        Head::Waits
    }
}

/// The earliest held or failed delivery that came before this one, by its arrival or by the order of the table. The same
/// bytes sent again for the same mapping are no later values: they may go, and make the other one void. So may a file that is
/// the whole truth, where the other one is before it in every way.
fn behind(blockers: &BTreeMap<u64, Blocker>, job: &Job) -> Option<Wait> {
    if job.corrects.is_some() {
        return None; // its rows are looked at one by one when its turn comes
    }
    let same = |blocker: &Blocker| blocker.hash == job.hash && blocker.mapping == job.plan.name;
    let before = |blocker: &Blocker| {
        blocker.arrival < job.arrival || blocker.order.as_ref().is_some_and(|order| *order < job.order)
    };
    let void = |blocker: &Blocker| {
        job.is_complete()
            && blocker.mapping == job.plan.name
            && blocker.arrival < job.arrival
            && blocker.order.as_ref().is_none_or(|order| *order <= job.order)
    };
    let earlier = blockers.values().filter(|blocker| before(blocker));
    earlier.filter(|blocker| !same(blocker) && !void(blocker)).map(|blocker| Wait::Behind(blocker.id)).next()
}

/// The earliest delivery of a mapping that this one waits for, if it came before it and has not come to its end.
fn awaited(open: &BTreeMap<String, BTreeMap<u64, DeliveryId>>, job: &Job) -> Option<Wait> {
    if job.approved_rejects.is_some() {
        return None; // a person has let it go on
    }
    job.plan.waits_for.iter().find_map(|mapping| {
        let (_, delivery) = open.get(mapping)?.range(..job.arrival).next()?;
        Some(Wait::For { mapping: mapping.clone(), delivery: *delivery })
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        mapping::{Plan, compile},
        model::FileName,
    };

    const SECOND: Duration = Duration::from_secs(1);

    /// A mapping of this name for a table; `more` stands at its top.
    pub fn plan(name: &str, table: &str, more: &str) -> Arc<Plan> {
        let text = format!(
            "match = '*'\n{more}\n[format]\ntype = 'csv'\n[target]\ntable = '{table}'\nkey = 'id'\n[columns]\nid = {{}}\n"
        );
        Arc::new(compile(name, name, &text, &indexmap::IndexMap::new()).unwrap())
    }

    /// The delivery `number` of a file of this name; its bytes are those of all files with the same `content`.
    pub fn job(plan: &Arc<Plan>, number: u8, name: &str, content: u8) -> Job {
        Job {
            id: DeliveryId::new(number.into(), &[number; 10]),
            arrival: number.into(),
            file: name.into(),
            name: FileName::new(name),
            source: "inbox".to_owned(),
            modified_nanos: None,
            size: 1,
            hash: ContentHash([content; 32]),
            archive: PathBuf::new(),
            verify: false,
            plan: Arc::clone(plan),
            lane: LaneId { one_writer: true, database: PathBuf::from("db"), table: plan.table.table.clone() },
            order: plan.order_key(name, 0),
            waits_until: plan.wait_limit,
            new_copy: false,
            pending: Vec::new(),
            attempts: 0,
            postponed: 0,
            approved_rejects: None,
            approved_deletes: None,
            again: false,
            corrects: None,
            reruns: None,
            restores: false,
        }
    }

    fn started(lanes: &mut Lanes, now: Duration) -> Option<(Job, String)> {
        match lanes.next(now)? {
            Next::Run(job) => Some((*job.clone(), job.name.to_string())),
            Next::Hold(job, _) => Some((*job.clone(), format!("hold {}", job.name))),
        }
    }

    /// Runs everything that may run, one after the other, and gives the names in that order.
    fn drained(lanes: &mut Lanes, now: Duration) -> Vec<String> {
        let mut names = Vec::new();
        while let Some((job, name)) = started(lanes, now) {
            lanes.stopped(&job.lane, &job.plan.name, job.arrival);
            names.push(name);
        }
        names
    }

    #[test]
    fn one_table_goes_in_the_order_of_names_one_at_a_time_and_another_beside_it() {
        let (orders, prices) = (plan("orders", "orders", ""), plan("prices", "prices", ""));
        let mut lanes = Lanes::default();
        for (number, plan, name) in [
            (1, &orders, "orders_10"),
            (2, &orders, "orders_9"),
            (3, &prices, "prices"),
            (4, &orders, "orders_1"),
        ] {
            lanes.push(job(plan, number, name, number), None);
        }
        let (first, _) = started(&mut lanes, SECOND).unwrap();
        let (second, _) = started(&mut lanes, SECOND).unwrap();
        let both = [first.name.to_string(), second.name.to_string()];
        assert_eq!(both, ["prices", "orders_1"], "the earliest arrival that may run comes first");
        assert!(started(&mut lanes, SECOND).is_none(), "one at a time");
        assert_eq!((lanes.running(), lanes.waiting()), (2, 2));
        lanes.stopped(&second.lane, "orders", second.arrival);
        assert_eq!(drained(&mut lanes, SECOND), ["orders_9", "orders_10"]);
    }

    #[test]
    fn tables_of_one_database_do_not_keep_another_database_waiting() {
        let mut lanes = Lanes::default();
        for number in 1..=4 {
            let table = plan("orders", &format!("table_{number}"), "");
            lanes.push(job(&table, number, &format!("orders_{number}"), number), None);
        }
        let elsewhere = job(&plan("prices", "prices", ""), 5, "prices_5", 5);
        let lane = LaneId { database: "other".into(), ..elsewhere.lane.clone() };
        lanes.push(Job { lane, ..elsewhere }, None);
        let names: Vec<String> =
            std::iter::from_fn(|| started(&mut lanes, SECOND)).map(|(_, name)| name).collect();
        assert_eq!(names, ["orders_1", "orders_2", "prices_5"]);
    }

    #[test]
    fn a_blocker_keeps_later_arrivals_of_its_table_waiting_but_not_earlier_ones_or_the_same_bytes() {
        let (orders, prices) = (plan("orders", "orders", ""), plan("prices", "prices", ""));
        let mut lanes = Lanes::default();
        let held = job(&orders, 5, "orders_5", 50);
        lanes.block(&held.lane, held.blocker());
        for (number, plan, content) in [(4, &orders, 4), (6, &orders, 6), (7, &prices, 7), (8, &orders, 50)] {
            lanes.push(job(plan, number, &format!("{}_{number}", plan.name), content), None);
        }
        assert_eq!(drained(&mut lanes, SECOND), ["orders_4", "prices_7", "orders_8"]);
        let waits = lanes.newly_waiting();
        assert_eq!(waits, [(DeliveryId::new(6, &[6; 10]), Wait::Behind(held.id))]);
        assert!(lanes.newly_waiting().is_empty(), "told once");
        // What comes before it in the order of the table waits for nobody, what comes after it does, whenever it arrived.
        lanes.push(job(&orders, 2, "orders_7", 2), None);
        assert!(drained(&mut lanes, SECOND).is_empty());
        assert_eq!(lanes.newly_waiting().len(), 1);
        lanes.remove(DeliveryId::new(2, &[2; 10]));
        lanes.unblock(held.id);
        assert_eq!(drained(&mut lanes, SECOND), ["orders_6"]);
    }

    #[test]
    fn a_delivery_that_is_tried_again_later_keeps_its_table_waiting_until_then() {
        let orders = plan("orders", "orders", "");
        let mut lanes = Lanes::default();
        lanes.push(job(&orders, 1, "orders_1", 1), Some(10 * SECOND));
        lanes.push(job(&orders, 2, "orders_2", 2), None);
        assert!(drained(&mut lanes, SECOND).is_empty());
        assert_eq!(lanes.next_due(SECOND), Some(10 * SECOND));
        assert_eq!(drained(&mut lanes, 10 * SECOND), ["orders_1", "orders_2"]);
    }

    #[test]
    fn a_mapping_waits_for_what_came_before_of_another_one_and_for_nothing_else() {
        let customers = plan("customers", "customers", "");
        let orders = plan("orders", "orders", "waits_for = 'customers'\nwait_limit = '2m'");
        let mut lanes = Lanes::default();
        lanes.push(job(&customers, 1, "customers_1", 1), None);
        lanes.push(job(&orders, 2, "orders_2", 2), None);
        lanes.push(job(&customers, 3, "customers_3", 3), None);
        let (first, name) = started(&mut lanes, SECOND).unwrap();
        assert_eq!(name, "customers_1");
        assert!(started(&mut lanes, SECOND).is_none());
        let expected = Wait::For { mapping: "customers".into(), delivery: first.id };
        assert_eq!(lanes.newly_waiting(), [(DeliveryId::new(2, &[2; 10]), expected.clone())]);
        lanes.stopped(&first.lane, "customers", first.arrival);
        // It was held: the limit is all that lets the order get out of waiting, to a person.
        lanes.block(&first.lane, first.blocker());
        assert!(started(&mut lanes, 119 * SECOND).is_none());
        assert_eq!(lanes.next_due(SECOND), Some(120 * SECOND));
        let (overdue, name) = started(&mut lanes, 120 * SECOND).unwrap();
        assert_eq!(name, "hold orders_2");
        lanes.stopped(&overdue.lane, "orders", overdue.arrival);
        // A person lets it go on although nothing has changed.
        let approved = Job { approved_rejects: Some(0), ..overdue };
        lanes.push(approved, None);
        assert_eq!(drained(&mut lanes, 120 * SECOND), ["orders_2"]);
        lanes.unblock(first.id);
        assert_eq!(drained(&mut lanes, 120 * SECOND), ["customers_3"]);
    }

    #[test]
    fn what_is_waited_for_in_the_same_table_goes_first_whatever_its_name() {
        let first = plan("z", "shared", "");
        let second = plan("a", "shared", "waits_for = 'z'");
        let mut lanes = Lanes::default();
        lanes.push(job(&first, 1, "z_1", 1), None);
        lanes.push(job(&second, 2, "a_2", 2), None);
        assert_eq!(drained(&mut lanes, SECOND), ["z_1", "a_2"]);
    }

    #[test]
    fn what_is_taken_out_is_waited_for_no_more() {
        let orders = plan("orders", "orders", "");
        let mut lanes = Lanes::default();
        lanes.push(job(&orders, 1, "orders_1", 1), Some(9 * SECOND));
        lanes.push(job(&orders, 2, "orders_2", 2), None);
        assert_eq!(lanes.remove(DeliveryId::new(1, &[1; 10])).unwrap().arrival, 1);
        assert!(lanes.remove(DeliveryId::new(9, &[9; 10])).is_none());
        assert_eq!((lanes.waiting(), drained(&mut lanes, SECOND)), (1, vec!["orders_2".to_owned()]));
    }

    #[test]
    fn a_file_that_is_the_whole_truth_goes_past_older_ones_of_its_mapping_and_past_no_others() {
        let mirror = |scope: &str| {
            let text = format!(
                "match = '*'\n[format]\ntype = 'csv'\n[target]\ntable = 'stock'\nkey = ['id', 'store']\nmode = 'mirror'\n\
                 vanished = 'delete'\n{scope}\n[columns]\nid = {{}}\nstore = {{}}\n"
            );
            Arc::new(compile("stock", "stock", &text, &indexmap::IndexMap::new()).unwrap())
        };
        let whole = mirror("");
        for (mapping, blocker, name, passes) in [
            (&whole, job(&whole, 1, "stock_1", 1), "stock_2", true),
            (&whole, job(&whole, 1, "stock_3", 1), "stock_2", false),
            (&whole, job(&plan("other", "stock", ""), 1, "other_1", 1), "stock_2", false),
            (&mirror("scope = 'store'"), job(&whole, 1, "stock_1", 1), "stock_2", false),
        ] {
            let mut lanes = Lanes::default();
            lanes.block(&blocker.lane, blocker.blocker());
            lanes.push(job(mapping, 2, name, 2), None);
            assert_eq!(drained(&mut lanes, SECOND).len(), usize::from(passes), "{}", blocker.name);
        }
    }
}
