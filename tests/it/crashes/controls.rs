//! Negative controls: a program that leaves out a step on which everything rests is caught by the very comparison that the
//! real one passes. What is left out is left out by the fail points of debug builds.

use super::{
    database::Sqlite,
    reference::{Reference, disturbed},
    story::STEPS,
};

/// What the comparison says of a site that was disturbed so in a step, and killed.
#[track_caller]
fn caught(reference: &Reference<'_>, step: usize, instructions: &str) -> String {
    let site = reference.before(step);
    assert!(disturbed(&site, &STEPS[step], instructions), "{instructions}: was not killed");
    reference.finish(&site, step).expect_err("a program that does this must not pass")
}

/// The source is told before the ledger has the file: in between, nobody has it.
#[test]
fn settling_the_source_before_the_ledger_has_the_file_is_caught() {
    let reference = Reference::new(&Sqlite);
    let lost = caught(&reference, 0, "ledger.commit@1=skip;settle.done@1=kill");
    assert!(lost.starts_with("deliveries differs"), "{lost}");
    // The same kill of the program as it is does no harm.
    let site = reference.before(0);
    assert!(disturbed(&site, &STEPS[0], "settle.done@1=kill"));
    reference.finish(&site, 0).unwrap();
}

/// Without its row in the loads table nobody knows that the rows are loaded: they are loaded once more.
#[test]
fn a_load_without_its_row_in_the_loads_table_is_caught() {
    let reference = Reference::new(&Sqlite);
    for step in [0, 1] {
        let doubled =
            caught(&reference, step, "loads.enter@1=skip;loads.complete@1=skip;target.committed@1=kill");
        assert!(doubled.starts_with("deliveries differs"), "{doubled}");
    }
    let site = reference.before(0);
    assert!(disturbed(&site, &STEPS[0], "target.committed@1=kill"));
    reference.finish(&site, 0).unwrap();
}
