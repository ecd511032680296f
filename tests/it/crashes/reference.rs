//! The story as it goes when nothing disturbs it, and copies of its site that are disturbed and brought to the same end.

use std::{fs, os::unix::process::ExitStatusExt, process::Stdio};

use wharf::wire::fail::VARIABLE;

use super::{
    database::Database,
    ending::{Ending, difference, ending},
    story::{self, STEPS, Step},
};
use crate::support::{Ran, Site, run};

/// The story, undisturbed.
pub struct Reference<'a> {
    pub database: &'a dyn Database,
    /// The site before the command of each step.
    before: Vec<Site>,
    /// The points that each step's process reached, in their order.
    pub reached: Vec<Vec<String>>,
    end: Ending,
}

impl Drop for Reference<'_> {
    fn drop(&mut self) {
        self.before.iter().for_each(|site| self.database.discard(site));
    }
}

impl<'a> Reference<'a> {
    pub fn new(database: &'a dyn Database) -> Self {
        let site = story::site(database);
        let (mut before, mut reached) = (Vec::new(), Vec::new());
        for step in STEPS {
            step.prepare(&site);
            before.push(story::copy(&site, database));
            let (ran, points) = recorded(&site, step);
            ran.exits(step.exits);
            reached.push(points);
        }
        let end = ending(&site, database);
        database.discard(&site);
        Self { database, before, reached, end }
    }

    /// A copy of the site before the command of a step.
    pub fn before(&self, step: usize) -> Site {
        story::copy(&self.before[step], self.database)
    }

    /// Runs the command of a step once more, then the steps after it, and compares; or says what is not as it should be.
    pub fn finish(&self, site: &Site, step: usize) -> Result<(), String> {
        STEPS[step].again(site)?;
        for step in &STEPS[step + 1..] {
            step.prepare(site);
            step.again(site)?;
        }
        let found = ending(site, self.database);
        self.database.discard(site);
        difference(&found, &self.end).map_or(Ok(()), Err)
    }
}

/// Runs the command of a step as `instructions` disturb it; true when it was killed.
pub fn disturbed(site: &Site, step: &Step, instructions: &str) -> bool {
    let mut command = step.command(site);
    command.env(VARIABLE, instructions).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().unwrap().signal() == Some(9)
}

/// Runs the command of a step; gives how it ended and the points that it reached, in their order.
#[track_caller]
pub fn recorded(site: &Site, step: &Step) -> (Ran, Vec<String>) {
    let scratch = tempfile::tempdir().unwrap();
    let record = scratch.path().join("points");
    let mut command = step.command(site);
    let ran = run(command.env(VARIABLE, format!("record={}", record.display())));
    assert!(!ran.err.contains("panicked"), "{}: {ran:?}", step.name);
    let points = fs::read_to_string(&record).unwrap().lines().map(str::to_owned).collect();
    (ran, points)
}

impl Step {
    /// Runs it, after a kill or after steps that were killed.
    fn again(&self, site: &Site) -> Result<(), String> {
        let ran = run(&mut self.command(site));
        let is_well = matches!(ran.code, 0 | 2 | 3) && !ran.err.contains("panicked");
        if is_well { Ok(()) } else { Err(format!("{} ends so: {ran:?}", self.name)) }
    }
}
