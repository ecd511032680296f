//! Loads that are committed batch by batch: what only the loads table of SQLite has.

use wharf::{
    model::DeliveryId,
    targets::{Mark, Remembered},
};

use super::*;

const NONE: ContentHash = ContentHash([0; 32]);
const WORK: ContentHash = ContentHash([1; 32]);

fn by_batch() -> TableSpec {
    TableSpec { commit: Commit::Batch, ..pair() }
}

fn mark(record: u64) -> Mark {
    Mark { record, rejects: NONE, work: WORK }
}

fn id(delivery: DeliveryId) -> LoadId<'static> {
    LoadId { site: "site", delivery }
}

#[test]
fn a_loads_table_of_before_gets_its_column_for_progress() {
    let place = Place::with(
        "CREATE TABLE _wharf_loads (site TEXT NOT NULL, delivery TEXT NOT NULL, part INTEGER NOT NULL DEFAULT 0,
         state TEXT NOT NULL, tally TEXT, rejects TEXT, PRIMARY KEY (site, delivery, part))",
    );
    let (spec, delivery) = (by_batch(), fresh());
    assert_eq!(place.target().remembers(id(delivery)).unwrap(), Remembered::Nothing);
    let mut load = open(&place.target(), &spec, delivery);
    load.write(&batch(&spec, &pairs(&[("a", "1")]))).unwrap();
    load.mark(&mark(1)).unwrap();
    drop(load);
    assert_eq!(place.stored(&["state"], "FROM _wharf_loads WHERE progress IS NOT NULL"), ["'part'"]);
}

#[test]
fn progress_that_another_hand_changed_is_a_fault_that_says_so() {
    let place = Place::new();
    let (spec, delivery) = (by_batch(), fresh());
    let mut load = open(&place.target(), &spec, delivery);
    load.write(&batch(&spec, &pairs(&[("a", "1")]))).unwrap();
    load.mark(&mark(1)).unwrap();
    drop(load);
    place.run("UPDATE _wharf_loads SET progress = 'soon'");
    let Err(TargetError::Lasting(text)) = begin(&place.target(), &spec, delivery) else { panic!("it began") };
    assert!(text.contains("was changed by another hand"), "{text}");
}
