//! What a running engine tells of itself for `status` and for commands that follow it: a small file, written anew at most
//! once a second while something happens, and not at all while nothing does. It is not durable and nothing depends on it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::Step;
use crate::{
    mapping::{Catalog, Plan},
    model::DeliveryId,
};

/// The engine at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// Its process.
    pub process: u32,
    /// When this was written, in milliseconds since 1970.
    pub at_millis: u64,
    /// The sources that it watches.
    pub sources: Vec<LiveSource>,
    /// Deliveries that run.
    pub running: Vec<LiveDelivery>,
    /// Deliveries that are ready and wait for their turn only.
    pub queued: u64,
    /// When it began, in milliseconds since 1970.
    #[serde(default)]
    pub started_millis: u64,
    /// Databases into which deliveries do not get on.
    #[serde(default)]
    pub databases: Vec<LiveDatabase>,
    /// What the databases seem to have forgotten, a sentence each.
    #[serde(default)]
    pub forgotten: Vec<String>,
    /// Why nothing is taken at the moment, if that is so.
    pub trouble: Option<String>,
    /// The mappings as it read them when it began: names, and hashes of their texts.
    #[serde(default)]
    pub mappings: BTreeMap<String, String>,
}

/// A database into which deliveries do not get on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LiveDatabase {
    /// Its connection; none for the site's own.
    pub connection: Option<String>,
    /// Since when, in milliseconds since 1970.
    pub since_millis: u64,
    /// What was said last.
    pub trouble: String,
}

/// A source at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveSource {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub place: String,
    /// How changes in it are noticed, in words.
    pub watched: String,
    /// What is wrong with it, if something is.
    pub trouble: Option<String>,
    /// Files seen in it, all together.
    pub files: u64,
    /// Files that are whole and wait to be taken.
    pub ready: u64,
    /// Files that may still be written to.
    pub settling: u64,
    /// Some files that are not taken, with the reason.
    pub asides: Vec<LiveAside>,
}

/// A file that is not taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LiveAside {
    /// The file.
    pub file: String,
    /// Why.
    pub why: String,
}

/// A delivery that runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LiveDelivery {
    /// Its id.
    pub delivery: DeliveryId,
    /// Its file.
    pub file: String,
    /// Its mapping.
    pub mapping: String,
    /// What is being done.
    pub step: Step,
    /// Units done of this step: bytes, or rows when loading.
    pub done: u64,
    /// Units in all; none while that is not known.
    pub total: Option<u64>,
    /// For how long this step has been going on, in milliseconds.
    pub step_millis: u64,
}

impl LiveDelivery {
    /// Units done a second, and seconds until the step is done, as far as that can be told.
    #[must_use]
    pub fn pace(&self) -> Option<(f64, f64)> {
        let total = self.total?;
        if self.done == 0 || self.step_millis == 0 {
            return None;
        }
        let rate = self.done as f64 * 1_000.0 / self.step_millis as f64;
        Some((rate, total.saturating_sub(self.done) as f64 / rate))
    }
}

/// Beyond that, nothing is read of a file that a running engine is said to have written.
const MOST_BYTES: u64 = 4 << 20;

impl Live {
    /// Reads what the engine wrote last; none when there is nothing that makes sense.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        let length = fs::metadata(path).ok()?.len();
        let text = (length <= MOST_BYTES).then(|| fs::read(path).ok()).flatten()?;
        serde_json::from_slice(&text).ok()
    }

    /// The mappings of a catalog as [`Live::mappings`] has them.
    #[must_use]
    pub fn mappings_of(catalog: &Catalog) -> BTreeMap<String, String> {
        let hash = |text: &str| blake3::hash(text.as_bytes()).to_hex().to_string();
        let of = |plan: &Result<_, _>| {
            plan.as_ref().map_or_else(|_| String::new(), |plan: &Arc<Plan>| hash(&plan.source))
        };
        catalog.iter().map(|entry| (entry.name.clone(), of(&entry.plan))).collect()
    }

    /// The mappings that were changed, added or taken away since the engine began; it goes on with those that it knows.
    #[must_use]
    pub fn changed_mappings(&self, catalog: &Catalog) -> Vec<String> {
        let today = Self::mappings_of(catalog);
        let names: BTreeSet<&String> = today.keys().chain(self.mappings.keys()).collect();
        let changed = names.into_iter().filter(|name| today.get(*name) != self.mappings.get(*name));
        changed.cloned().collect()
    }

    /// Writes it, whole or not at all. That it cannot be written is no reason to stop working.
    pub(super) fn write(&self, path: &Path) {
        let new = path.with_extension("json.new");
        let written = serde_json::to_vec(self).is_ok_and(|text| fs::write(&new, text).is_ok());
        if !(written && fs::rename(&new, path).is_ok()) {
            // What was true before must not be told now.
            let _ = fs::remove_file(&new);
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_anything_else_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("live.json");
        assert_eq!(Live::read(&path), None);
        let live = Live { process: 7, queued: 3, ..Live::default() };
        live.write(&path);
        assert_eq!(Live::read(&path), Some(live));
        fs::write(&path, "{\"process\":").unwrap();
        assert_eq!(Live::read(&path), None);
    }

    #[test]
    fn the_pace_tells_rate_and_time_left() {
        let mut delivery = LiveDelivery {
            delivery: DeliveryId::new(1, &[1; 10]),
            file: "a".into(),
            mapping: "m".into(),
            step: Step::Loading,
            done: 250,
            total: Some(1_000),
            step_millis: 500,
        };
        assert_eq!(delivery.pace(), Some((500.0, 1.5)));
        delivery.done = 0;
        assert_eq!(delivery.pace(), None);
    }
}
