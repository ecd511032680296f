//! Negative controls: a Wharf that leaves out an fsync is caught, whichever it is. So the other tests here can fail.

use super::{loss::Cuts, scene::Scene};
use crate::lossy::Lossy;

/// Cuts the power from the last step of a run backwards, in which the fsync of this fail point is left out, until it shows.
fn is_caught(left_out: &str) -> String {
    let (scene, mut disk, mut cuts) = (Scene::first_day(), Lossy::new(), Cuts::default());
    let skip = format!("{left_out}=skip");
    for step in (0..=scene.steps).rev().step_by(4) {
        cuts.cut(&mut disk, &scene, step, None, &[("WHARF_FAIL", &skip)]);
        if let Some(wrong) = cuts.wrong.pop() {
            return wrong;
        }
    }
    panic!("nobody notices that the fsync of {left_out} is left out");
}

#[test]
fn an_archived_copy_whose_content_is_not_fsynced_is_caught_by_a_power_cut() {
    assert!(is_caught("copy.sync").contains("archived Some(false)"));
}

#[test]
fn an_archived_copy_whose_folder_is_not_fsynced_is_caught_by_a_power_cut() {
    assert!(is_caught("copy.folder").contains("archived Some(false)"));
}

#[test]
fn reports_that_are_not_fsynced_are_caught_by_a_power_cut() {
    assert!(is_caught("file.sync").contains("- report rejects/orders/"));
    assert!(is_caught("file.folder").contains("- report rejects/orders/"));
}
