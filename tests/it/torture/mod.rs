//! Torture: one seed, one life of a site. Files are dropped while it runs, it is killed and loses its power at random
//! instants, its disk fails, it is stopped while another one is started, its clock is set back and forth, and in the end
//! everything must be as if nothing had happened. The same seed makes the same choices; instants are chosen by counting
//! the steps on the disk where that can be done, and by microseconds where not.
//!
//! `just torture SEEDS FROM` runs many seeds; among the tests a few run that are always the same.

mod clock;
mod instances;
mod time;

use std::{
    collections::VecDeque,
    env,
    fs::{self, File},
    io,
    path::Path,
    process::Child,
    thread,
    time::{Duration, Instant},
};

use fuser::Errno;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    lossy::{Fault, Image, Lossy, Step, dice::Dice},
    power::{
        scene::{self, End},
        warehouse::{Database, InTheSite, Server, Warehouse},
    },
    support::run,
};

/// The seeds that are run among the tests.
const SEEDS: u64 = 24;
/// The same with a server, where each takes longer.
const SEEDS_WITH_SERVER: u64 = 8;
/// A run takes about so long: what happens at a random instant should mostly happen before its end.
const RUN_MICROS: u64 = 60_000;
/// And about so many steps on the disk.
const RUN_STEPS: u64 = 300;
/// What another instance says that finds the site in use.
const IN_USE: &str = "another process is at work in this site";

const KINDS: [&[Step]; 4] = [
    &[Step::Open, Step::Make],
    &[Step::Write, Step::Resize],
    &[Step::Sync, Step::SyncFolder],
    &[Step::Rename, Step::Link, Step::Remove],
];
/// What can happen, the more frequent twice or more; with a server, that can go away as well.
const KINDS_OF_DISASTER: u64 = 12;
const KINDS_WITH_SERVER: u64 = 16;
const ERRORS: [Errno; 3] = [Errno::EIO, Errno::ENOSPC, Errno::EDQUOT];

/// What is done to a site again and again, and what it must come to.
pub struct Torture {
    /// None: the site loads into a file of its own.
    server: Option<Server>,
    image: Image,
    end: End,
}

/// One life.
struct Life<'a> {
    disk: Lossy,
    /// Where it loads to, if that is a server.
    database: Option<Database<'a>>,
    /// Something has failed, so that a delivery may have failed and be tried again after others.
    has_failed: bool,
    dice: Dice,
    /// Files that are still to be dropped, in their order.
    to_come: VecDeque<(String, String)>,
    /// What was done, for people.
    story: Vec<String>,
}

/// The files of a life, in the order in which they come: one that changes what the ones before brought, one that comes
/// twice, one that no mapping takes.
fn files() -> Vec<(String, String)> {
    let orders = |day, numbers| scene::orders(day, numbers);
    let own = |name: &str, content: &str| (name.to_owned(), content.to_owned());
    vec![
        own("inbox/orders_1.csv", &orders(1, 0..20)),
        own("shelf/stock_1.csv", "article,pieces\nS1,11\nS3,30\n"),
        own("inbox/orders_2.csv", &orders(2, 10..30)),
        own("inbox/photo.png", "PNG"),
        own("inbox/orders_3.csv", &orders(2, 10..30)),
        own("inbox/orders_4.csv", &orders(3, 0..40)),
    ]
}

/// A partner drops a file, whole and durably.
fn drop_file(site: &Path, name: &str, content: &str) -> io::Result<()> {
    let (desk, target) = (site.join("desk/file"), site.join(name));
    fs::write(&desk, content)?;
    File::open(&desk)?.sync_all()?;
    fs::rename(&desk, target)
}

impl Torture {
    /// Makes the site, and sees what it comes to undisturbed.
    pub fn new(server: Option<Server>) -> Self {
        let disk = Lossy::new();
        scene::write_site(&disk);
        for folder in ["desk", "inbox", "shelf"] {
            fs::create_dir(disk.path().join(folder)).unwrap();
        }
        disk.settle();
        let image = disk.image();
        let database = server.as_ref().map(|server| server.database("undisturbed"));
        let mut life = Life::new(disk, database, 0);
        for (name, content) in files() {
            drop_file(life.disk.path(), &name, &content).unwrap();
        }
        scene::bring_to_an_end(&life.disk);
        let end = life.end();
        life.disk.reset(Image::default());
        drop(life);
        Self { server, image, end }
    }

    /// The target that the site loads into.
    fn target(&self) -> &'static str {
        if self.server.is_some() { "postgresql" } else { "sqlite" }
    }

    /// Lives the life of a seed. True when all is identical, false when only that differs which may after a failure; what
    /// went wrong, with its story.
    pub fn live(&self, seed: u64) -> Result<bool, String> {
        let database = self.server.as_ref().map(|server| server.database(&format!("seed{seed}")));
        let mut life = Life::new(Lossy::with(self.image.clone()), database, seed);
        for _ in 0..life.dice.of(2..6) {
            life.episode();
        }
        life.finish();
        let end = life.end();
        let Some(differs) = end.differs(&self.end) else { return Ok(true) };
        if life.has_failed && end.whatever_came_first() == self.end.whatever_came_first() {
            return Ok(false);
        }
        Err(format!("{}, seed {seed}: {:#?}\n{differs}", self.target(), life.story))
    }

    /// Lives the lives that are asked for, or else so many, and has it told what came of them.
    fn lives(&self, seeds: u64, tell: impl Fn(String)) {
        let (count, from) = (wanted("WHARF_SEEDS", seeds), wanted("WHARF_SEED", 1));
        let (target, begun) = (self.target(), Instant::now());
        let (mut identical, mut reordered, mut wrong) = (0, 0, Vec::new());
        for seed in from..from + count {
            match self.live(seed) {
                Ok(true) => identical += 1,
                Ok(false) => reordered += 1,
                Err(differs) => {
                    tell(format!("{differs}\nagain: just torture 1 {seed}"));
                    wrong.push(seed);
                }
            }
            let done = seed - from + 1;
            if done % 100 == 0 || done == count {
                tell(format!(
                    "{target}: seeds {done} from {from}, identical {identical}, identical but for the order after a failure \
                     {reordered}, different {}, {:.0?}",
                    wrong.len(),
                    begun.elapsed()
                ));
            }
        }
        assert!(wrong.is_empty(), "{target}: these lives differ; again: just torture 1 SEED: {wrong:?}");
    }
}

impl<'a> Life<'a> {
    fn new(disk: Lossy, database: Option<Database<'a>>, seed: u64) -> Self {
        if let Some(database) = &database {
            scene::load_into(&disk, &database.url());
            disk.settle();
        }
        let (dice, to_come) = (Dice::new(seed), files().into());
        Self { disk, database, has_failed: false, dice, to_come, story: Vec::new() }
    }

    /// What has become of it.
    fn end(&self) -> End {
        let warehouse = self.database.as_ref().map_or(&InTheSite as &dyn Warehouse, |database| database);
        End::with(&self.disk, warehouse)
    }

    fn tell(&mut self, what: impl Into<String>) {
        self.story.push(what.into());
    }

    /// Something happens while files come and a run is at work.
    fn episode(&mut self) {
        let before = self.dice.of(0..3);
        for _ in 0..before {
            self.drop_next();
        }
        let kinds = if self.database.is_some() { KINDS_WITH_SERVER } else { KINDS_OF_DISASTER };
        match self.dice.of(0..kinds) {
            0..3 => self.killed(),
            3..6 => self.loses_power(),
            6..8 => self.has_a_bad_disk(),
            8 => self.is_stopped_beside_another(),
            9 => self.runs_beside_another(),
            10 => self.runs_at_another_time(),
            11 => self.runs_in_peace(),
            12 | 13 => self.loses("back end", |database| database.cut()),
            _ => self.loses("server", |database| database.server().restart_at_once()),
        }
    }

    fn drop_next(&mut self) {
        if let Some((name, content)) = self.to_come.pop_front() {
            self.tell(format!("{name} comes"));
            drop_file(self.disk.path(), &name, &content).expect("the disk is whole");
        }
    }

    /// Some instant of a run.
    fn instant(&mut self) -> Duration {
        Duration::from_micros(self.dice.of(0..RUN_MICROS))
    }

    /// Starts a run; a file may come while it is at work, unless the disk does not take it.
    fn start(&mut self, variables: &[(&str, &str)], then: impl FnOnce(&mut Self, Child)) {
        let child = scene::start(&self.disk, variables);
        let next = if self.dice.even() { self.to_come.pop_front() } else { None };
        let pause = self.instant();
        let site = self.disk.path().to_owned();
        let dropped = next.as_ref().map(|(name, content)| {
            let (name, content) = (name.clone(), content.clone());
            thread::spawn(move || {
                thread::sleep(pause);
                drop_file(&site, &name, &content)
            })
        });
        then(self, child);
        if let (Some(next), Some(dropped)) = (next, dropped) {
            if dropped.join().expect("it does not panic").is_ok() {
                self.tell(format!("{} came meanwhile", next.0));
            } else {
                self.to_come.push_front(next);
            }
        }
    }

    fn killed(&mut self) {
        let pause = self.instant();
        self.tell(format!("killed after {pause:?}"));
        self.start(&[], |_, mut child| {
            thread::sleep(pause);
            child.kill().unwrap();
            child.wait().unwrap();
        });
    }

    fn loses_power(&mut self) {
        let step = usize::try_from(self.dice.of(0..RUN_STEPS)).unwrap();
        let seed = if self.dice.even() { Some(self.dice.next()) } else { None };
        self.tell(format!("loses its power before step {step}, seed {seed:?}"));
        self.disk.cut_before(step, seed);
        self.start(&[], |life, mut child| {
            life.disk.watch(&mut child);
        });
        self.disk.power_cut(seed);
    }

    fn has_a_bad_disk(&mut self) {
        let (steps, with) = (*self.dice.pick(&KINDS), *self.dice.pick(&ERRORS));
        let fault = Fault { steps, nth: self.dice.of(1..100), with, lasts: self.dice.even() };
        self.tell(format!("{fault:?}"));
        self.disk.break_with(fault);
        self.has_failed = true;
        self.start(&[], |life, mut child| {
            life.disk.watch(&mut child);
        });
        self.disk.mend();
    }

    /// What it loads into goes away at some instant of a run, and is there again at once.
    fn loses(&mut self, what: &str, goes: impl FnOnce(&Database<'_>)) {
        let pause = self.instant();
        self.tell(format!("loses the {what} after {pause:?}"));
        self.has_failed = true;
        self.start(&[], |life, mut child| {
            thread::sleep(pause);
            goes(life.database.as_ref().expect("it loads into a server"));
            life.disk.watch(&mut child);
        });
    }

    fn is_stopped_beside_another(&mut self) {
        let pause = self.instant();
        self.tell(format!("stopped after {pause:?} while another is started"));
        self.start(&[], |life, mut child| {
            thread::sleep(pause);
            let process = Pid::from_child(&child);
            // One that has ended already cannot be stopped, which is as good.
            let _ = kill_process(process, Signal::STOP);
            life.run_another();
            let _ = kill_process(process, Signal::CONT);
            child.wait().unwrap();
        });
    }

    fn runs_beside_another(&mut self) {
        self.tell("runs beside another");
        self.start(&[], |life, mut child| {
            life.run_another();
            child.wait().unwrap();
        });
    }

    /// Another instance: it does all there is to do, or says that it may not.
    fn run_another(&mut self) {
        let ran = run(&mut scene::command(&self.disk, &["run", "--once", "--json"]));
        self.tell(format!("the other one ended with {}", ran.code));
        assert!(ran.code != 1 || ran.err.contains(IN_USE) || ran.out.contains(IN_USE), "{ran:?}");
    }

    fn runs_at_another_time(&mut self) {
        let by = *self.dice.pick(&["-1h", "+1h", "-1d", "+1d"]);
        let zone = *self.dice.pick(&["UTC", "Europe/Berlin", "America/New_York"]);
        let pause = self.instant() * 2;
        self.tell(format!("killed after {pause:?} with its clock at {by} in {zone}"));
        let variables = time::shifted(by, zone);
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.start(&variables, |_, mut child| {
            thread::sleep(pause);
            child.kill().unwrap();
            child.wait().unwrap();
        });
    }

    fn runs_in_peace(&mut self) {
        self.tell("runs in peace");
        self.start(&[], |life, mut child| {
            life.disk.watch(&mut child);
        });
    }

    /// Everything comes to its end; what is durable by then must be all of it.
    fn finish(&mut self) {
        while !self.to_come.is_empty() {
            self.drop_next();
        }
        scene::bring_to_an_end(&self.disk);
        self.disk.power_cut(None);
        scene::bring_to_an_end(&self.disk);
    }
}

/// A number from the environment.
fn wanted(name: &str, default: u64) -> u64 {
    env::var(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
fn lives_of_random_disasters_all_end_as_if_nothing_had_happened() {
    Torture::new(None).lives(SEEDS, |told| println!("{told}"));
}

#[test]
fn lives_of_random_disasters_with_postgresql_all_end_as_if_nothing_had_happened() {
    Torture::new(Some(Server::start())).lives(SEEDS_WITH_SERVER, |told| println!("{told}"));
}
