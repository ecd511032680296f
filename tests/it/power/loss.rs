//! Power loss: before each step that changes the disk, with nothing left of what was not fsynced, or with any part of it.

use fuser::Errno;

use super::{
    cases,
    scene::{self, End, Scene},
};
use crate::lossy::{Ended, Fault, Lossy, Step};

/// What came of the cuts.
#[derive(Default)]
pub struct Cuts {
    runs: usize,
    /// So many runs were at work when the power was cut; the others had ended before.
    cut: usize,
    /// What differs from what it would have come to, and when.
    pub wrong: Vec<String>,
}

impl Cuts {
    /// Cuts the power before this step of a run with these variables, and compares what it all comes to without them.
    pub fn cut(
        &mut self,
        disk: &mut Lossy,
        scene: &Scene,
        step: usize,
        seed: Option<u64>,
        variables: &[(&str, &str)],
    ) {
        disk.reset(scene.image.clone());
        disk.cut_before(step, seed);
        let mut child = scene::start(disk, variables);
        self.runs += 1;
        self.cut += usize::from(disk.watch(&mut child) == Ended::Cut);
        let done = disk.done();
        disk.power_cut(seed);
        scene::bring_to_an_end(disk);
        if let Some(differs) = End::of(disk).differs(&scene.end) {
            let last = &done[done.len().saturating_sub(8)..];
            self.wrong.push(format!("cut before step {step}, after {last:?}, seed {seed:?}:\n{differs}"));
        }
    }
}

/// Cuts the power before each of the steps of a run, one run a step, in two ways. What came of it, in a line.
fn cut_everywhere(scene: &Scene, day: &str) -> String {
    let (mut disk, mut cuts) = (Lossy::new(), Cuts::default());
    for step in cases(scene.steps + 1) {
        for seed in [None, Some(step as u64)] {
            cuts.cut(&mut disk, scene, step, seed, &[]);
        }
    }
    let Cuts { runs, cut, wrong } = &cuts;
    assert!(wrong.is_empty(), "{} of {runs} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(cut * 10 > runs * 9, "{cut} of {runs}");
    format!("sqlite, {day}: steps {}, power cuts {cut}, identical {runs}", scene.steps)
}

#[test]
fn power_loss_at_any_step_of_a_first_day_changes_nothing_in_the_end() {
    println!("{}", cut_everywhere(&Scene::first_day(), "first day"));
}

#[test]
fn power_loss_at_any_step_of_a_later_day_changes_nothing_in_the_end() {
    println!("{}", cut_everywhere(&Scene::second_day(), "later day"));
}

/// A folder that a killed process has just made is there for the next one, but not yet for a power cut.
#[test]
fn a_folder_whose_maker_was_killed_before_its_name_was_durable_is_made_durable_by_the_next_run() {
    const FOLDERS: usize = 6;
    let scene = Scene::first_day();
    let mut disk = Lossy::new();
    for nth in 1..=FOLDERS {
        disk.reset(scene.image.clone());
        scene::start(&disk, &[("WHARF_FAIL", &format!("folder.sync@{nth}=kill"))]).wait().unwrap();
        scene::bring_to_an_end(&disk);
        disk.power_cut(None);
        scene::bring_to_an_end(&disk);
        let differs = End::of(&disk).differs(&scene.end);
        assert!(differs.is_none(), "killed at folder.sync@{nth}:\n{}", differs.unwrap());
    }
}

/// The first files that a run opens are its settings and mappings.
#[test]
fn a_mapping_that_a_bad_disk_does_not_give_refuses_no_file() {
    const FILES: u64 = 3;
    let scene = Scene::first_day();
    let mut disk = Lossy::new();
    for nth in 1..=FILES {
        disk.reset(scene.image.clone());
        disk.break_with(Fault { steps: &[Step::Open], nth, with: Errno::EIO, lasts: false });
        let mut child = scene::start(&disk, &[]);
        assert_eq!(disk.watch(&mut child), Ended::Itself(1), "file {nth}");
        let failed = disk.mend();
        assert!(failed.iter().all(|(_, name)| name.ends_with(".toml")), "{failed:?}");
        scene::bring_to_an_end(&disk);
        let differs = End::of(&disk).differs(&scene.end);
        assert!(differs.is_none(), "file {nth} could not be opened:\n{}", differs.unwrap());
    }
}
