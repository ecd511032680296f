//! Moments at which the engine is killed, by the traces that it leaves where anybody can see them.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{Instant, SystemTime},
};

use rusqlite::{Connection, OpenFlags};

use crate::{engine::PATIENCE, support::Site};

/// A moment to kill the engine at, by what can be seen of it from outside.
#[derive(Clone, Copy, Debug)]
pub enum Moment {
    Claimed,
    Copied,
    Taken,
    Running,
    RowsWritten,
    RejectsKept,
    InDatabase,
    ReportWritten,
    BeforeTheSourceIsTold,
}

/// What there was before the files of a night came.
pub struct Traces {
    archived: BTreeSet<String>,
    reports: BTreeSet<String>,
    kept: usize,
    sequence: i64,
    loads: i64,
    rows: Option<(u64, SystemTime)>,
}

impl Traces {
    /// Looks at all of it.
    pub fn of(site: &Site) -> Self {
        Self {
            archived: site.files_in("var/archive").into_iter().collect(),
            reports: site.files_in("outbox").into_iter().collect(),
            kept: site.files_in("var/rejects").len(),
            sequence: number(&site.path("var/ledger.db"), "SELECT max(sequence) FROM events"),
            loads: number(&site.path("var/warehouse.db"), "SELECT count(*) FROM _wharf_loads"),
            rows: written(site),
        }
    }

    /// Watches for the moment; false when everything was done before it was seen.
    pub fn wait(&self, site: &Site, moment: Moment, wanted: usize) -> bool {
        let ledger = site.path("var/ledger.db");
        let done = format!(
            "SELECT count(*) >= {wanted} FROM deliveries WHERE state NOT IN ('taken', 'waiting', 'running')"
        );
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < PATIENCE, "waited in vain for {moment:?}, or the end of all");
            // Moments are short: many looks in a row.
            if (0..50).any(|_| self.see(site, &ledger, moment)) {
                return true;
            }
            if number(&ledger, &done) > 0 {
                return false;
            }
            std::thread::yield_now();
        }
    }

    fn see(&self, site: &Site, ledger: &Path, moment: Moment) -> bool {
        let claimed = || site.files_in("inbox/.wharf");
        match moment {
            Moment::Claimed => !claimed().is_empty(),
            Moment::Copied => site.files_in("var/archive").iter().any(|name| !self.archived.contains(name)),
            Moment::Taken => number(ledger, "SELECT max(sequence) FROM events") > self.sequence,
            Moment::Running => number(ledger, "SELECT count(*) FROM deliveries WHERE state = 'running'") > 0,
            Moment::RowsWritten => written(site) != self.rows,
            Moment::RejectsKept => site.files_in("var/rejects").len() > self.kept,
            Moment::InDatabase => {
                number(&site.path("var/warehouse.db"), "SELECT count(*) FROM _wharf_loads") > self.loads
            }
            Moment::ReportWritten => site.files_in("outbox").iter().any(|name| !self.reports.contains(name)),
            Moment::BeforeTheSourceIsTold => {
                !claimed().is_empty()
                    && number(ledger, "SELECT max(sequence) FROM events") > self.sequence
                    && !claimed().is_empty()
            }
        }
    }
}

/// When and how far the log of the warehouse was written.
fn written(site: &Site) -> Option<(u64, SystemTime)> {
    let meta = fs::metadata(site.path("var/warehouse.db-wal")).ok()?;
    Some((meta.len(), meta.modified().unwrap()))
}

/// The number that a query gives; 0 while the database cannot be asked.
pub fn number(database: &Path, sql: &str) -> i64 {
    let Ok(connection) = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY) else {
        return 0;
    };
    connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0)).ok().flatten().unwrap_or(0)
}
