//! `wharf.toml`: as it is written, and what it comes to.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    connection::{self, Connection, ConnectionWritten},
    findings::Findings,
    source::{self, SourceWritten},
};
use crate::sources::folder::FolderOptions;

/// The site's settings, in `wharf.toml`. Every part may be left out, and so may the file.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Wharf site")]
pub struct SiteWritten {
    /// Where the site keeps its own files, and how much of the machine it may use.
    #[serde(default)]
    pub store: StoreWritten,
    /// Databases that mappings load into, by names of your own.
    #[serde(default)]
    pub connections: IndexMap<String, ConnectionWritten>,
    /// Folders in which files arrive, by names of your own. Left out: one source named `inbox`, the folder `inbox`.
    #[serde(default)]
    pub sources: IndexMap<String, SourceWritten>,
    /// How deliveries are worked on.
    #[serde(default)]
    pub run: RunWritten,
}

/// `[store]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct StoreWritten {
    /// The folder of ledger, archive, work files and the site's own database, from the site's folder.
    #[serde(default = "var")]
    pub path: String,
    /// The memory that running deliveries may take together, in KB, MB, GB (thousands) or KiB, MiB, GiB (1,024s); at
    /// least 64MB.
    #[serde(default = "max_memory")]
    pub max_memory: String,
    /// The most rejected records that the reports of one delivery write out; counting goes on.
    #[serde(default = "report_max")]
    #[schemars(range(min = 1))]
    pub report_max: u64,
    /// Processor cores to use. Left out: all.
    #[schemars(range(min = 1, max = 1024))]
    pub threads: Option<NonZeroUsize>,
    /// How long a load waits for another program that is writing to its SQLite database, in seconds; after that it
    /// fails and can be tried again.
    #[serde(default = "busy_seconds")]
    #[schemars(range(min = 0, max = 3600))]
    pub busy_seconds: u64,
}

impl Default for StoreWritten {
    fn default() -> Self {
        let (path, max_memory, report_max) = (var(), max_memory(), report_max());
        Self { path, max_memory, report_max, threads: None, busy_seconds: busy_seconds() }
    }
}

fn var() -> String {
    "var".to_owned()
}

fn max_memory() -> String {
    "256MB".to_owned()
}

fn report_max() -> u64 {
    100_000
}

fn busy_seconds() -> u64 {
    5
}

/// `[run]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct RunWritten {
    /// How often a delivery is tried that a passing fault, such as a busy database, keeps from loading, before it is
    /// `failed` and waits for a person.
    #[serde(default = "attempts")]
    #[schemars(range(min = 1, max = 20))]
    pub attempts: u32,
    /// The pause before the second try, in seconds. Each further one is four times as long, at most 15 minutes, and up to a
    /// quarter longer by chance.
    #[serde(default = "retry_seconds")]
    #[schemars(range(min = 1, max = 3600))]
    pub retry_seconds: u64,
    /// Deliveries that are worked on side by side.
    #[serde(default = "at_once")]
    #[schemars(range(min = 1, max = 64))]
    pub at_once: usize,
}

impl Default for RunWritten {
    fn default() -> Self {
        Self { attempts: attempts(), retry_seconds: retry_seconds(), at_once: at_once() }
    }
}

fn attempts() -> u32 {
    3
}

fn retry_seconds() -> u64 {
    10
}

fn at_once() -> usize {
    4
}

/// The site's own database, in its store.
const WAREHOUSE: &str = "warehouse.db";
/// With less, the buffers of one delivery would not fit.
const LEAST_MEMORY_BYTES: u64 = 64_000_000;

/// What `wharf.toml` comes to. Paths are absolute or start at the process's folder, like the site's own.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of ledger, archive and work files.
    pub store: PathBuf,
    /// The memory that running deliveries may take together, in bytes.
    pub max_memory_bytes: u64,
    /// The most rejected records that the reports of one delivery write out.
    pub report_max: u64,
    /// Threads for the parallel step; none: as many as there are cores.
    pub threads: Option<NonZeroUsize>,
    /// How long a load waits for others that write to its database.
    pub busy_timeout: Duration,
    /// The connections by name.
    pub connections: IndexMap<String, Connection>,
    /// The site's own database, for mappings that name no connection.
    pub warehouse: Connection,
    /// Where files arrive; never empty, each by another name.
    pub sources: Vec<FolderOptions>,
    /// How deliveries are worked on.
    pub run: RunSettings,
}

/// How deliveries are worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunSettings {
    /// Tries of a delivery that a passing fault keeps from loading; at least 1.
    pub attempts: u32,
    /// The pause before the second try.
    pub retry: Duration,
    /// Deliveries that are worked on side by side; at least 1.
    pub at_once: usize,
}

impl Settings {
    /// What `written` comes to in the site at `dir`; all that makes no sense goes to `findings`.
    pub(super) fn new(dir: &Path, written: SiteWritten, findings: &mut Findings<'_>) -> Self {
        let mut store = written.store;
        if store.path.trim().is_empty() {
            store.path = var();
            findings.value(
                &["store".into(), "path".into()],
                "the path is empty",
                Some("leave it out for `var`"),
            );
        }
        let max_memory_bytes = bytes(&store.max_memory).unwrap_or_else(|message| {
            let help = "write a number and a unit, such as \"256MB\" or \"1GiB\"";
            findings.value(&["store".into(), "max_memory".into()], &message, Some(help));
            LEAST_MEMORY_BYTES
        });
        let mut connections = IndexMap::new();
        for (name, connection) in written.connections {
            if let Some(connection) = connection::connect(dir, &name, connection, findings) {
                connections.insert(name, connection);
            }
        }
        let folder = dir.join(store.path);
        let warehouse = Connection::sqlite(folder.join(WAREHOUSE));
        let sources = source::sources(dir, &folder, written.sources, findings);
        let RunWritten { attempts, retry_seconds, at_once } = written.run;
        Self {
            store: folder,
            max_memory_bytes,
            report_max: store.report_max,
            threads: store.threads,
            busy_timeout: Duration::from_secs(store.busy_seconds),
            connections,
            warehouse,
            sources,
            run: RunSettings { attempts, retry: Duration::from_secs(retry_seconds), at_once },
        }
    }

    /// The names of the sources.
    pub(super) fn source_names(&self) -> Vec<&str> {
        self.sources.iter().map(|source| source.name.as_str()).collect()
    }

    /// Tells a table of a connection's database from others, as [`Connection::table_key`] does.
    #[must_use]
    pub fn table_key(&self, connection: Option<&str>, table: &str) -> String {
        self.connection(connection).map_or_else(|| table.to_lowercase(), |found| found.table_key(table))
    }

    /// The connection of this name, or the site's own database.
    #[must_use]
    pub fn connection(&self, name: Option<&str>) -> Option<&Connection> {
        name.map_or(Some(&self.warehouse), |name| self.connections.get(name))
    }
}

/// The bytes that a size such as "256MB" means.
fn bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 6] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
    ];
    let text = text.trim();
    let unit = UNITS.iter().find_map(|(unit, size)| {
        let at = text.len().checked_sub(unit.len())?;
        let (number, written) = text.split_at_checked(at)?;
        written.eq_ignore_ascii_case(unit).then_some((number.trim(), *size))
    });
    let number = unit.and_then(|(number, size)| number.parse::<u64>().ok()?.checked_mul(size));
    match number {
        Some(bytes) if bytes >= LEAST_MEMORY_BYTES => Ok(bytes),
        Some(_) => Err("this is less than 64MB, with which no delivery could run".to_owned()),
        None => Err(format!("`{text}` is not a size")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_units_of_thousands_and_of_1024s() {
        assert_eq!(bytes("256MB"), Ok(256_000_000));
        assert_eq!(bytes("64 mib"), Ok(64 << 20));
        assert_eq!(bytes("2GiB"), Ok(2 << 30));
        assert_eq!(bytes("70000KB"), Ok(70_000_000));
    }

    #[test]
    fn sizes_that_are_none_or_too_small_are_refused() {
        for text in [
            "",
            "MB",
            "256",
            "256 M",
            "-1GB",
            "1.5GB",
            "99999999999999999999GB",
            "18446744073709551615GB",
            "é",
        ] {
            assert!(bytes(text).unwrap_err().contains("not a size"), "{text}");
        }
        assert!(bytes("63MB").unwrap_err().contains("less than"));
    }
}
