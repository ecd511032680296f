//! The site of the week, the files that are dropped into it, and the person who decides.

use std::{
    collections::BTreeSet,
    fs, thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::moments::{Moment, Traces};
use crate::{
    engine::{PATIENCE, Running},
    support::Site,
};

const SETTINGS: &str = r#"
[sources.inbox]
folder = "inbox"
settle_seconds = 1

[sources.desk]
folder = "desk"
settle_seconds = 5

[sources.bank]
folder = "bank"
marker = "{name}.done"
settle_seconds = 0

[sources.shelf]
folder = "shelf"
after = "keep"
settle_seconds = 0
"#;

/// Table, and what its mapping says beside the usual.
const TABLES: [(&str, &str); 4] = [
    ("customers", "source = \"inbox\"\n"),
    ("orders", "source = [\"inbox\", \"desk\"]\nwaits_for = \"customers\"\n"),
    ("payments", "source = \"bank\"\n"),
    ("prices", "source = \"shelf\"\n"),
];
/// More rejects than this, and a person decides.
pub const HOLD: u32 = 15;

/// What a person decides about a file that is held.
#[derive(Clone, Copy, PartialEq)]
pub enum Decision {
    Approve,
    Decline,
}

impl Decision {
    #[track_caller]
    pub fn carry_out(self, site: &Site, delivery: &str) {
        match self {
            Self::Approve => site.run(["approve", delivery]).exits(2),
            Self::Decline => site.run(["decline", delivery]).exits(0),
        };
    }
}

/// A file that was dropped whole, or was whole in the end.
pub struct Dropped {
    pub name: String,
    pub content: String,
    pub decision: Option<Decision>,
}

pub struct Week {
    pub site: Site,
    pub engine: Option<Running>,
    pub dropped: Vec<Dropped>,
    /// Name and hash of what was on its way to become a file, and may have been taken so.
    pub halves: BTreeSet<(String, String)>,
    /// Kills at which what they waited for was seen.
    pub hit: usize,
}

fn mapping(table: &str, more: &str) -> String {
    format!(
        "match = \"{table}_*\"\n{more}[format]\ntype = \"csv\"\n[target]\ntable = \"{table}\"\nkey = [\"id\"]\n\
         [rejects]\nhold = {HOLD}\n[columns]\nid = {{}}\nnight = {{ type = \"integer\" }}\nnote = {{}}\n"
    )
}

pub fn new_site() -> Site {
    let site = Site::new();
    for (table, more) in TABLES {
        site.write(format!("mappings/inbound/{table}.toml"), mapping(table, more));
    }
    site.write("wharf.toml", SETTINGS);
    for folder in ["inbox", "desk", "bank", "shelf"] {
        fs::create_dir(site.path(folder)).unwrap();
    }
    site
}

/// Rows `from..to`. Some are of keys that all nights have, or this night and the next one, so that the order of loading
/// shows; the first ones have no number.
pub fn rows(night: u32, from: u32, to: u32, bad: u32) -> String {
    let row = |number: u32| match number % 6 {
        _ if number - from < bad => format!("bad {night} {number},x,\n"),
        0 | 3 => format!("shared {number},{night},one of {to} in night {night}\n"),
        1 => format!("pair {night} {number},{night},one of {to}\n"),
        4 => format!("pair {} {},{night},one of {to}\n", night - 1, number - 3),
        _ => format!("own {night} {number},{night},{}\n", "n".repeat(40)),
    };
    (from..to).map(row).collect()
}

pub fn file(night: u32, count: u32, bad: u32) -> String {
    format!("id,night,note\n{}", rows(night, 0, count, bad))
}

pub fn name(table: &str, night: u32) -> String {
    format!("{table}_2026010{night}.csv")
}

pub fn hash(content: impl AsRef<[u8]>) -> String {
    blake3::hash(content.as_ref()).to_hex().to_string()
}

pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

pub fn is_final(delivery: &Value) -> bool {
    ["loaded", "loaded_with_rejects", "refused", "duplicate", "overtaken"]
        .contains(&text(delivery, "outcome"))
}

impl Week {
    pub fn new() -> Self {
        let (dropped, halves) = (Vec::new(), BTreeSet::new());
        Self { site: new_site(), engine: None, dropped, halves, hit: 0 }
    }

    pub fn start(&mut self) {
        assert!(self.engine.is_none());
        self.engine = Some(self.site.start());
    }

    /// A file that is whole from now on.
    pub fn whole(&mut self, name: &str, content: &str) {
        self.dropped.push(Dropped { name: name.to_owned(), content: content.to_owned(), decision: None });
    }

    /// Drops a whole file.
    pub fn drop(&mut self, source: &str, name: &str, content: &str) {
        self.site.arrive(format!("{source}/{name}"), content);
        if source == "bank" {
            self.site.arrive(format!("{source}/{name}.done"), "");
        }
        self.whole(name, content);
    }

    /// Drops the four usual files of a night.
    pub fn usual(&mut self, night: u32) {
        // Orders come before the customers that they wait for.
        self.drop("inbox", &name("orders", night), &file(night, 6_000, 9));
        self.drop("inbox", &name("customers", night), &file(night, 900, 3));
        self.drop("bank", &name("payments", night), &file(night, 300, 0));
        self.drop("shelf", &name("prices", night), &file(night, 300, 1));
    }

    /// Deliveries, but for those of halves.
    pub fn deliveries(&self) -> Vec<Value> {
        let mut all = self.site.deliveries();
        all.retain(|delivery| {
            !self.halves.contains(&(text(delivery, "file").to_owned(), text(delivery, "hash").to_owned()))
        });
        all
    }

    /// Waits until every file that was dropped has its outcome.
    #[track_caller]
    pub fn done(&mut self) {
        let begun = Instant::now();
        loop {
            let found = self.deliveries();
            if found.len() >= self.dropped.len() && found.iter().all(is_final) {
                return;
            }
            if begun.elapsed() > PATIENCE {
                let log = self.engine.as_ref().map_or_else(String::new, Running::text);
                panic!("{} files were dropped, and this is found:\n{found:#?}\n{log}", self.dropped.len());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills the engine as soon as the moment is seen, or else when all is done; then drops what `meanwhile` says, and starts
    /// it again.
    pub fn kill(&mut self, moment: Moment, begin: impl FnOnce(&mut Self), meanwhile: impl FnOnce(&mut Self)) {
        let traces = Traces::of(&self.site);
        begin(self);
        if self.engine.is_none() {
            self.start();
        }
        let wanted = self.dropped.len() + self.halves.len();
        self.hit += usize::from(traces.wait(&self.site, moment, wanted));
        self.engine.take().unwrap().kill();
        meanwhile(self);
        self.start();
    }

    /// Waits for a delivery that a person has to decide about, and decides.
    #[track_caller]
    pub fn decide(&mut self, name: &str, decision: Decision) {
        let held = self.site.waits_for(name, "held");
        decision.carry_out(&self.site, text(&held, "delivery"));
        let file =
            self.dropped.iter_mut().find(|file| file.name == name && hash(&file.content) == held["hash"]);
        file.expect("the file was dropped").decision = Some(decision);
    }
}
