//! A disk that fills up at any moment of a load: nothing is half loaded, and once there is room again the load ends as if
//! nothing had happened.

use std::{
    fs::{self, File},
    io::Write,
    path::PathBuf,
};

use serde_json::Value;

use super::{
    balances, items,
    mounts::{Mount, in_a_namespace},
    plain,
};
use crate::support::{Ran, Site, query, run};

const DISK_KIB: u64 = 8 * 1024;
/// What a disk gives at least.
const PAGE_KIB: u64 = 4;

/// The file system that is filled, for as long as it is mounted.
struct Disk {
    /// Only kept; it ends before the folder that it is mounted on.
    _mount: Mount,
    site: Site,
}

impl Disk {
    /// A site on a small disk of its own; none when this user may not mount one.
    fn mount() -> Option<Self> {
        let site = Site::new();
        let mount = Mount::disk(&site.path(""), &format!("size={DISK_KIB}k,mode=755"))?;
        Some(Self { _mount: mount, site })
    }

    /// Leaves no more than so much of the disk free.
    fn fill(&self, free_kib: u64) {
        let mut ballast = File::create(self.site.path("ballast")).unwrap();
        let block = [0u8; 1024];
        let mut written = 0;
        while ballast.write_all(&block).is_ok() {
            written += 1;
        }
        ballast.set_len(u64::saturating_sub(written, free_kib) * 1024).unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.site.path("ballast")).unwrap();
    }

    /// Makes the site new.
    fn empty(&self) {
        for entry in fs::read_dir(self.site.path("")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        }
        self.site.write("mappings/inbound/items.toml", super::ITEMS);
    }
}

/// Some megabytes of rows, one in fifty rejected.
fn content() -> String {
    let row = |id: u32| match id % 50 {
        7 => format!("{id},item {id},much\n"),
        _ => format!("{id},item {id} with a name of some length to fill the disk,{id}.25\n"),
    };
    (0..25_000).map(row).fold("id,name,amount\n".to_owned(), |text, row| text + &row)
}

/// What a site's users have in the end: a summary of the rows, SQLite's word on the database, and the report.
#[derive(Debug, PartialEq)]
struct End {
    rows: Vec<Vec<String>>,
    integrity: Vec<Vec<String>>,
    report: String,
}

impl End {
    fn of(site: &Site) -> Self {
        let rows = "SELECT count(*), sum(id), min(name), max(amount), count(DISTINCT name) FROM items";
        Self {
            rows: site.query(rows),
            integrity: site.query("PRAGMA integrity_check"),
            report: site.read("outbox/rejects/items/a.csv.errors.csv"),
        }
    }
}

/// One file that is loaded again and again, with more or less room.
struct Trial {
    disk: Disk,
    file: PathBuf,
    undisturbed: End,
    /// What was said of each load that failed.
    said: Vec<String>,
}

impl Trial {
    fn load(&self) -> Ran {
        run(self.disk.site.command(["load", "--json"]).arg(&self.file))
    }

    /// Loads the file with so much of the disk free; if that fails, there is room again and it is tried again, until it
    /// ended as if undisturbed. True when it went well the first time.
    fn goes_well_with(&mut self, free_kib: u64) -> bool {
        self.disk.empty();
        self.disk.fill(free_kib);
        let first = self.load();
        self.disk.free();
        plain(&first);
        let told = first.object();
        if first.code == 1 {
            let words = told.to_string();
            let full = ["No space left", "disk is full", "is full", "no storage space"];
            assert!(full.iter().any(|part| words.contains(part)), "{free_kib} KiB: {words}");
            assert!(words.contains("free space"), "{free_kib} KiB: {words}");
            self.nothing_is_half_loaded(&words);
            match told["delivery"].as_str() {
                Some(id) => self.retry(id, &told),
                None => self.load_again(),
            }
            self.said.push(words);
        } else {
            assert_eq!(first.code, 2, "{free_kib} KiB: {first:?}");
        }
        assert_eq!(End::of(&self.disk.site), self.undisturbed, "{free_kib} KiB: {told}");
        let kept = self.disk.site.run(["deliveries", "--json"]).exits(0).json();
        let ended = |kept: &Value| kept["outcome"] == "loaded_with_rejects" || kept["outcome"] == "duplicate";
        assert!(kept.iter().all(ended), "{free_kib} KiB: {kept:?}");
        first.code == 2
    }

    fn nothing_is_half_loaded(&self, words: &str) {
        let database = self.disk.site.path("var/warehouse.db");
        if database.exists() {
            let known = query(&database, "SELECT count(*) FROM sqlite_master WHERE name = 'items'");
            let rows = if known == [["0"]] { known } else { query(&database, "SELECT count(*) FROM items") };
            let expected = if words.contains("the good rows are loaded") { "24500" } else { "0" };
            assert_eq!(rows, [[expected]], "{words}");
        }
    }

    /// It failed and is in the ledger: another attempt loads it.
    fn retry(&self, id: &str, told: &Value) {
        balances(told);
        let site = &self.disk.site;
        let shown = site.run(["show", "--json", id]).exits(0).object();
        let last = shown["story"].as_array().unwrap().last().unwrap();
        assert_eq!(
            (&shown["outcome"], &last["event"]["retryable"]),
            (&"failed".into(), &true.into()),
            "{last}"
        );
        let retried = site.run(["retry", "--json", id]).exits(2).object();
        balances(&retried);
        assert_eq!((&retried["delivery"], &retried["outcome"]), (&id.into(), &"loaded_with_rejects".into()));
        assert_eq!(retried["tally"]["inserted"], 24_500, "{retried}");
    }

    /// It was not taken, or the ledger itself had no room: the next load takes it, or finishes it and finds it again.
    fn load_again(&self) {
        let told = self.load().json();
        told.iter().for_each(balances);
        assert_eq!(told[0]["outcome"], "loaded_with_rejects", "{told:?}");
        assert_eq!(told[0]["tally"]["inserted"], 24_500, "{told:?}");
        assert!(told[1..].iter().all(|object| object["outcome"] == "duplicate"), "{told:?}");
    }
}

#[test]
fn a_disk_that_is_full_at_any_moment_loses_nothing_and_the_next_attempt_ends_as_if_undisturbed() {
    const TEST: &str = "bad_input::full_disk::\
        a_disk_that_is_full_at_any_moment_loses_nothing_and_the_next_attempt_ends_as_if_undisturbed";
    let Some(disk) = Disk::mount() else { return in_a_namespace(TEST) };
    let outside = items();
    let file = outside.write("a.csv", content());
    let loaded = run(outside.command(["load", "--json"]).arg(&file)).exits(2).object();
    assert_eq!(loaded["tally"]["inserted"], 24_500);
    let mut trial = Trial { disk, file, undisturbed: End::of(&outside), said: Vec::new() };

    // From no room at all to enough of it, so that every step is the one for which there is none.
    for free_kib in (0..256).step_by(32).chain((512..DISK_KIB).step_by(512)) {
        trial.goes_well_with(free_kib);
    }
    // The last steps need little: they fail just below the point at which all goes well.
    let (mut fails, mut loads) = (0, DISK_KIB);
    while loads - fails > PAGE_KIB {
        let middle = (fails + loads) / 2 / PAGE_KIB * PAGE_KIB;
        if trial.goes_well_with(middle) { loads = middle } else { fails = middle }
    }
    for pages in 1..10 {
        trial.goes_well_with(fails - pages * PAGE_KIB);
    }
    for step in ["var/lock", "ledger.db", "var/archive/", "work file", "warehouse.db", "rejects reported"] {
        assert!(trial.said.iter().any(|said| said.contains(step)), "{step} never failed: {:#?}", trial.said);
    }
}
