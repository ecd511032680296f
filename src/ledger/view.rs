//! Reading the ledger. Every question is answered from one moment, and works while another process writes.

use std::path::{Path, PathBuf};

use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row, params_from_iter, types::Value};

use super::{
    closing::{RejectKey, RejectStates},
    error::LedgerError,
    event::Event,
    filter::Filter,
    recovery::{self, Recovery},
    request::{self, Answer, Request},
    row::{self, Unsigned, integer},
    schema,
    state::{DeliveryState, Place},
    store::Site,
};
use crate::model::{ContentHash, DeliveryId, State};

/// Every state, in the order in which they are shown.
const STATES: [State; 10] = [
    State::Taken,
    State::Waiting,
    State::Running,
    State::Held,
    State::Failed,
    State::Loaded,
    State::LoadedWithRejects,
    State::Refused,
    State::Duplicate,
    State::Overtaken,
];

/// Fewer digits of a name are not looked up.
const MIN_PREFIX_DIGITS: usize = 4;
/// More candidates are not listed when the beginning of a name fits several.
const MAX_CANDIDATES: usize = 10;

/// The ledger, open for reading only.
#[derive(Debug)]
pub struct LedgerReader {
    connection: Connection,
    path: PathBuf,
}

impl LedgerReader {
    /// Opens the ledger without the right to change it.
    ///
    /// # Errors
    /// [`LedgerError::Missing`] when there is none yet, [`LedgerError::Newer`] when a newer program wrote it;
    /// otherwise when it cannot be opened or read.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        schema::open_to_read(path).map(|connection| Self { connection, path: path.to_path_buf() })
    }

    /// The ledger as it stands at each question.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View::new(&self.connection, &self.path)
    }
}

/// Questions to the ledger.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    connection: &'a Connection,
    path: &'a Path,
}

/// An event where it stands in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number, delivery and time.
    pub place: Place,
    /// What happened.
    pub event: Event,
}

/// A load that later ones are compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedBefore {
    /// The delivery that was loaded.
    pub delivery: DeliveryId,
    /// BLAKE3 of its bytes.
    pub hash: ContentHash,
    /// Fingerprint of the plan it was loaded with.
    pub plan: Option<String>,
    /// Hash of the files that its values were looked up in.
    pub lookups: Option<String>,
}

/// A delivery that brought something into a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brought {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Fingerprint of the plan it was loaded with.
    pub plan: Option<String>,
    /// It stands for another that the target had forgotten.
    pub restores: bool,
}

/// A mapping as it was when it ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptPlan {
    /// The mapping's name.
    pub name: String,
    /// Its text.
    pub toml: String,
}

impl<'a> View<'a> {
    pub(super) fn new(connection: &'a Connection, path: &'a Path) -> Self {
        Self { connection, path }
    }

    /// One delivery by its whole name.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn by_id(self, delivery: DeliveryId) -> Result<Option<DeliveryState>, LedgerError> {
        self.one(row::SELECT_BY_ID, [delivery.as_bytes()], row::read)
    }

    /// The delivery whose name begins with `wanted`: at least four hexadecimal digits, hyphens where one likes.
    ///
    /// # Errors
    /// [`LedgerError::NotAnId`], [`LedgerError::Unknown`], or [`LedgerError::Ambiguous`] with the candidates;
    /// otherwise when the ledger cannot be read.
    pub fn delivery(self, wanted: &str) -> Result<DeliveryState, LedgerError> {
        let (low, high) =
            prefix_range(wanted).ok_or_else(|| LedgerError::NotAnId { wanted: wanted.to_owned() })?;
        let sql = "SELECT id FROM deliveries WHERE id BETWEEN ?1 AND ?2 ORDER BY arrival DESC LIMIT ?3";
        let mut candidates: Vec<DeliveryId> =
            self.all(sql, (low, high, MAX_CANDIDATES as i64 + 1), |row| {
                row.get(0).map(DeliveryId::from_bytes)
            })?;
        let unknown = || LedgerError::Unknown { wanted: wanted.to_owned() };
        match candidates.as_slice() {
            [] => Err(unknown()),
            [only] => self.by_id(*only)?.ok_or_else(unknown),
            several => {
                let more = several.len() > MAX_CANDIDATES;
                candidates.truncate(MAX_CANDIDATES);
                Err(LedgerError::Ambiguous { wanted: wanted.to_owned(), candidates, more })
            }
        }
    }

    /// Everything that happened to a delivery, oldest first; empty when it is not known.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn story(self, delivery: DeliveryId) -> Result<Vec<Entry>, LedgerError> {
        let sql = "SELECT sequence, delivery, at, event FROM events WHERE delivery = ?1 ORDER BY sequence";
        self.all(sql, [delivery.as_bytes()], read_event)
    }

    /// The deliveries that fit, the latest arrival first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn list(self, filter: &Filter) -> Result<Vec<DeliveryState>, LedgerError> {
        let (condition, mut values) = filter.condition();
        let sql = format!("{}{condition} ORDER BY arrival DESC LIMIT ? OFFSET ?", row::SELECT);
        values.push(Value::Integer(filter.limit.map_or(-1, i64::from)));
        values.push(Value::Integer(filter.offset.into()));
        self.all(&sql, params_from_iter(values), row::read)
    }

    /// The deliveries that have no outcome yet, the earliest arrival first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn unfinished(self) -> Result<Vec<DeliveryState>, LedgerError> {
        let states = STATES.into_iter().filter(|state| !state.is_final()).collect();
        let (condition, values) = Filter { states, ..Filter::default() }.condition();
        self.all(&format!("{}{condition} ORDER BY arrival", row::SELECT), params_from_iter(values), row::read)
    }

    /// The delivery that was loaded last under a mapping; the order is that of loading, not of arrival. None when a part of
    /// another one was loaded after it, so that the table is as neither says.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn latest_loaded(self, mapping: &str) -> Result<Option<LoadedBefore>, LedgerError> {
        let sql = "SELECT id, hash, plan, lookups, settled FROM deliveries
            WHERE mapping = ?1 AND corrects IS NULL AND state IN ('loaded', 'loaded_with_rejects')
            ORDER BY settled DESC LIMIT 1";
        let latest = self.one(sql, [mapping], |row| {
            let loaded = LoadedBefore {
                delivery: DeliveryId::from_bytes(row.get(0)?),
                hash: ContentHash(row.get(1)?),
                plan: row.get(2)?,
                lookups: row.get(3)?,
            };
            Ok((loaded, row.get(4).map(|Unsigned(settled)| settled)?))
        })?;
        Ok(match latest {
            Some((_, settled)) if self.part_after(mapping, settled)? => None,
            latest => latest.map(|(loaded, _)| loaded),
        })
    }

    /// True when a delivery that is refused, but a part of which is loaded, ended after this event.
    fn part_after(self, mapping: &str, after: u64) -> Result<bool, LedgerError> {
        let sql = "SELECT 1 FROM deliveries WHERE mapping = ?1 AND settled > ?2
            AND state = 'refused' AND inserted + updated > 0 LIMIT 1";
        Ok(self.one(sql, (mapping, integer(after)), |_| Ok(()))?.is_some())
    }

    /// The latest delivery that loaded these bytes under this mapping as it was with this fingerprint, with lookup files of
    /// this hash.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn loaded_with(
        self,
        mapping: &str,
        hash: &ContentHash,
        plan: &str,
        lookups: Option<&str>,
    ) -> Result<Option<DeliveryId>, LedgerError> {
        let sql = "SELECT id FROM deliveries WHERE hash = ?1 AND mapping = ?2 AND plan = ?3 AND lookups IS ?4
            AND state IN ('loaded', 'loaded_with_rejects') ORDER BY settled DESC LIMIT 1";
        self.one(sql, (hash.0, mapping, plan, lookups), |row| row.get(0).map(DeliveryId::from_bytes))
    }

    /// The held and failed deliveries of these bytes under this mapping.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn at_rest_with(
        self,
        mapping: &str,
        size: u64,
        hash: &ContentHash,
    ) -> Result<Vec<DeliveryId>, LedgerError> {
        let sql = "SELECT id FROM deliveries WHERE size = ?1 AND hash = ?2 AND mapping = ?3
            AND state IN ('held', 'failed') ORDER BY arrival DESC";
        self.all(sql, (integer(size), hash.0, mapping), |row| row.get(0).map(DeliveryId::from_bytes))
    }

    /// The deliveries of a mapping that came before this arrival and wait, for their turn or for a person.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn waiting_before(self, mapping: &str, arrival: u64) -> Result<Vec<DeliveryState>, LedgerError> {
        let states = vec![State::Waiting, State::Held, State::Failed];
        let filter = Filter { states, mapping: Some(mapping.to_owned()), ..Filter::default() };
        let mut found = self.list(&filter)?;
        found.retain(|delivery| delivery.arrival < arrival);
        Ok(found)
    }

    /// Where in the archive a file with this length and these bytes is, if there is one.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn archived(self, size: u64, hash: &ContentHash) -> Result<Option<String>, LedgerError> {
        let sql =
            "SELECT archive FROM deliveries WHERE size = ?1 AND hash = ?2 ORDER BY arrival DESC LIMIT 1";
        self.one(sql, (integer(size), hash.0), |row| row.get(0))
    }

    /// True when a file that stood at `path` in a source, with this stamp, has been taken.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn took(self, source: &str, path: &Path, stamp: &str) -> Result<bool, LedgerError> {
        use std::os::unix::ffi::OsStrExt;
        let sql = "SELECT 1 FROM deliveries WHERE source_path = ?1 AND source = ?2 AND stamp = ?3 LIMIT 1";
        self.one(sql, (path.as_os_str().as_bytes(), source, stamp), |_| Ok(())).map(|found| found.is_some())
    }

    /// What has been asked and not answered yet, oldest first; at most `limit`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn open_requests(self, limit: u32) -> Result<Vec<Request>, LedgerError> {
        let sql =
            "SELECT number, at, person, request FROM requests WHERE answer IS NULL ORDER BY number LIMIT ?1";
        self.all(sql, [limit], request::read)
    }

    /// The answer to a request; none while there is none.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn answer(self, number: u64) -> Result<Option<Answer>, LedgerError> {
        let sql = "SELECT answer FROM requests WHERE number = ?1 AND answer IS NOT NULL";
        self.one(sql, [integer(number)], request::read_answer)
    }

    /// True when a file of this length came before: only then can its bytes be known.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn knows_size(self, size: u64) -> Result<bool, LedgerError> {
        let sql = "SELECT 1 FROM deliveries WHERE size = ?1 LIMIT 1";
        self.one(sql, [integer(size)], |_| Ok(())).map(|found| found.is_some())
    }

    /// Who this site is.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn site(self) -> Result<Site, LedgerError> {
        let site = self.one("SELECT site_id, site_key FROM site", [], |row| {
            Ok(Site { id: row.get(0)?, key: row.get(1)? })
        })?;
        site.ok_or_else(|| LedgerError::Foreign { path: self.path.to_path_buf() })
    }

    /// The deliveries whose names lie between two others, both included; at most a few share a moment.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn between(self, low: DeliveryId, high: DeliveryId) -> Result<Vec<DeliveryId>, LedgerError> {
        let sql = "SELECT id FROM deliveries WHERE id BETWEEN ?1 AND ?2";
        self.all(sql, (low.as_bytes(), high.as_bytes()), |row| row.get(0).map(DeliveryId::from_bytes))
    }

    /// Which rejects of a delivery are open no more.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn reject_states(self, delivery: DeliveryId) -> Result<RejectStates, LedgerError> {
        // How the event begins is fixed: its tag comes first.
        let sql = "SELECT sequence, delivery, at, event FROM events
            WHERE delivery = ?1 AND event LIKE '{\"event\":\"rejects_closed\"%' ORDER BY sequence";
        let entries = self.all(sql, [delivery.as_bytes()], read_event)?;
        let closed = entries.into_iter().filter_map(|entry| match entry.event {
            Event::RejectsClosed { how, records } => Some((how, records)),
            _ => None,
        });
        Ok(RejectStates { closed: closed.collect() })
    }

    /// The deliveries that correct rejects of this one, the earliest arrival first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn corrections_of(self, delivery: DeliveryId) -> Result<Vec<DeliveryState>, LedgerError> {
        let sql = format!("{} WHERE corrects = ?1 ORDER BY arrival", row::SELECT);
        self.all(&sql, [delivery.as_bytes()], row::read)
    }

    /// The deliveries that load the file or the corrections of this one once more, the earliest arrival first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn reruns_of(self, delivery: DeliveryId) -> Result<Vec<DeliveryState>, LedgerError> {
        let sql = format!("{} WHERE reruns = ?1 ORDER BY arrival", row::SELECT);
        self.all(&sql, [delivery.as_bytes()], row::read)
    }

    /// The fingerprints of the plans under which anything was loaded.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn loaded_plans(self) -> Result<Vec<String>, LedgerError> {
        let sql = "SELECT DISTINCT plan FROM deliveries WHERE state IN ('loaded', 'loaded_with_rejects')
            AND tables IS NOT NULL AND plan IS NOT NULL ORDER BY plan";
        self.all(sql, [], |row| row.get(0))
    }

    /// The deliveries that brought something into a table, in the order of their ids: at most `limit`, those after `after`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn brought(self, after: Option<DeliveryId>, limit: u32) -> Result<Vec<Brought>, LedgerError> {
        let sql = "SELECT id, plan, restores FROM deliveries
            WHERE id > ?1 AND state IN ('loaded', 'loaded_with_rejects') AND tables IS NOT NULL
                AND (read > 0 OR deleted > 0) ORDER BY id LIMIT ?2";
        let after = after.map_or_else(Vec::new, |after| after.as_bytes().to_vec());
        self.all(sql, (after, limit), |row| {
            let delivery = DeliveryId::from_bytes(row.get(0)?);
            Ok(Brought { delivery, plan: row.get(1)?, restores: row.get(2)? })
        })
    }

    /// The deliveries that brought something into a table, of this mapping if one is given, and ended after the event `after`, in
    /// the order in which they ended; at most `limit`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn loaded_after(
        self,
        mapping: Option<&str>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<DeliveryState>, LedgerError> {
        let of_mapping = if mapping.is_some() { "mapping = ?3" } else { "?3 IS NULL" };
        let sql = format!(
            "{} WHERE {of_mapping} AND settled > ?1 AND state IN ('loaded', 'loaded_with_rejects')
                AND tables IS NOT NULL AND (read > 0 OR deleted > 0) ORDER BY settled LIMIT ?2",
            row::SELECT
        );
        self.all(&sql, (integer(after), limit, mapping), row::read)
    }

    /// What engines found unfinished when they began, the latest first; at most `limit`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn recoveries(self, limit: u32) -> Result<Vec<Recovery>, LedgerError> {
        let sql = "SELECT recovery FROM recoveries ORDER BY number DESC LIMIT ?1";
        self.all(sql, [limit], recovery::read)
    }

    /// The deliveries with open rejects that belong to this table, the earliest arrival first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn open_in(self, place: &str) -> Result<Vec<DeliveryState>, LedgerError> {
        let sql = format!("{} WHERE place = ?1 AND open > 0 ORDER BY arrival", row::SELECT);
        self.all(&sql, [place], row::read)
    }

    /// The deliveries with open rejects that only lack a row of another table, the earliest arrival first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn lacking(self) -> Result<Vec<DeliveryState>, LedgerError> {
        let sql = format!("{} WHERE missing IS NOT NULL AND open > 0 ORDER BY arrival", row::SELECT);
        self.all(&sql, [], row::read)
    }

    /// The number of the last event.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn last_event(self) -> Result<u64, LedgerError> {
        let sql = "SELECT coalesce(max(sequence), 0) FROM events";
        let found = self.one(sql, [], |row| row.get(0).map(|Unsigned(sequence)| sequence))?;
        Ok(found.unwrap_or_default())
    }

    /// The event up to which loads were seen when the rejects of a delivery were tried last; its own last attempt was the
    /// first time.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn tried_up_to(self, delivery: DeliveryId) -> Result<u64, LedgerError> {
        let sql = "SELECT sequence, delivery, at, event FROM events WHERE delivery = ?1
            AND (event LIKE '{\"event\":\"rejects_tried\"%' OR event LIKE '{\"event\":\"started\"%')
            ORDER BY sequence DESC LIMIT 1";
        let found = self.one(sql, [delivery.as_bytes()], read_event)?;
        Ok(found.map_or(0, |entry| match entry.event {
            Event::RejectsTried { seen } => seen,
            _ => entry.place.sequence,
        }))
    }

    /// True when a delivery has brought rows under `mapping` and ended after the event `after`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn brought_after(self, mapping: &str, after: u64) -> Result<bool, LedgerError> {
        let sql = "SELECT 1 FROM deliveries WHERE mapping = ?1 AND settled > ?2
            AND state IN ('loaded', 'loaded_with_rejects') AND tables IS NOT NULL AND inserted + updated > 0 LIMIT 1";
        let whole = self.one(sql, (mapping, integer(after)), |_| Ok(()))?.is_some();
        Ok(whole || self.part_after(mapping, after)?)
    }

    /// True when a delivery that came after `former`, and is no correction of it, has been loaded into `table`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn loaded_since(self, former: &DeliveryState, table: &str) -> Result<bool, LedgerError> {
        // Its key in the JSON of the tables.
        let key = format!("{}:", serde_json::Value::String(table.to_owned()));
        let sql = "SELECT 1 FROM deliveries WHERE arrival > ?1 AND state IN ('loaded', 'loaded_with_rejects')
            AND corrects IS NOT ?2 AND instr(lower(tables), lower(?3)) > 0 LIMIT 1";
        // What was loaded in part comes after its own arrival.
        if let Some(mapping) = &former.mapping
            && self.part_after(mapping, former.arrival)?
        {
            return Ok(true);
        }
        let found = self.one(sql, (integer(former.arrival), former.id.as_bytes(), key), |_| Ok(()));
        found.map(|found| found.is_some())
    }

    /// The open rejects of a delivery whose keys are known, by its arrival: record and keyed hash of the key.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn keys_of(self, arrival: u64) -> Result<Vec<(u64, [u8; 16])>, LedgerError> {
        let sql = "SELECT record, hash FROM reject_keys WHERE delivery = ?1 ORDER BY record";
        self.all(sql, [integer(arrival)], |row| Ok((row.get(0).map(|Unsigned(record)| record)?, row.get(1)?)))
    }

    /// How many deliveries have open rejects, and how many rejects those are.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn open_rejects(self) -> Result<(u64, u64), LedgerError> {
        let sql = "SELECT count(*), coalesce(sum(open), 0) FROM deliveries WHERE open > 0";
        let number = |row: &Row<'_>, index| row.get(index).map(|Unsigned(value)| value);
        let found = self.one(sql, [], |row| Ok((number(row, 0)?, number(row, 1)?)))?;
        Ok(found.unwrap_or_default())
    }

    /// The open rejects of a table whose keys are known, by arrival and record: at most `limit`, those after `after` if that
    /// is given.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn open_keys(
        self,
        place: &str,
        after: Option<(u64, u64)>,
        limit: u32,
    ) -> Result<Vec<RejectKey>, LedgerError> {
        let sql = "SELECT k.delivery, d.id, k.record, k.hash
            FROM deliveries d JOIN reject_keys k ON k.delivery = d.arrival
            WHERE d.place = ?1 AND d.open > 0 AND (k.delivery, k.record) > (?2, ?3)
            ORDER BY k.delivery, k.record LIMIT ?4";
        let (arrival, record) =
            after.map_or((-1, 0), |(arrival, record)| (integer(arrival), integer(record)));
        self.all(sql, (place, arrival, record, limit), reject_key)
    }

    /// The open rejects of a table that have one of these keys.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn open_keys_among(self, place: &str, hashes: &[[u8; 16]]) -> Result<Vec<RejectKey>, LedgerError> {
        let sql = "SELECT k.delivery, d.id, k.record, k.hash
            FROM reject_keys k JOIN deliveries d ON d.arrival = k.delivery
            WHERE k.hash = ?2 AND d.place = ?1 AND d.open > 0";
        let mut found = Vec::new();
        for hash in hashes {
            found.extend(self.all(sql, (place, hash), reject_key)?);
        }
        Ok(found)
    }

    /// How many deliveries stand where; states without any are left out.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn counts_by_state(self) -> Result<Vec<(State, u64)>, LedgerError> {
        let sql = "SELECT state, count(*) FROM deliveries GROUP BY state";
        let found: Vec<(String, Unsigned)> = self.all(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let count =
            |state: State| found.iter().find(|(code, _)| code == state.code()).map(|(_, count)| count.0);
        Ok(STATES.into_iter().filter_map(|state| count(state).map(|count| (state, count))).collect())
    }

    /// How many of the loaded deliveries were compared only, as [`DeliveryState::is_shadow`] has it, by state.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn shadow_runs(self) -> Result<Vec<(State, u64)>, LedgerError> {
        let sql = "SELECT count(*) FROM deliveries WHERE state = ?1 AND tables IS NULL";
        let mut found = Vec::new();
        for state in [State::Loaded, State::LoadedWithRejects] {
            let count: Option<Unsigned> = self.one(sql, [state.code()], |row| row.get(0))?;
            found.push((state, count.map_or(0, |count| count.0)));
        }
        Ok(found)
    }

    /// The mapping that had this fingerprint.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn plan(self, fingerprint: &str) -> Result<Option<KeptPlan>, LedgerError> {
        let sql = "SELECT name, toml FROM plans WHERE fingerprint = ?1";
        self.one(sql, [fingerprint], |row| Ok(KeptPlan { name: row.get(0)?, toml: row.get(1)? }))
    }

    fn one<T>(
        self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, LedgerError> {
        self.prepare(sql)?
            .query_row(params, read)
            .optional()
            .map_err(|cause| LedgerError::from_sqlite(self.path, &cause))
    }

    fn all<T>(
        self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, LedgerError> {
        let mut statement = self.prepare(sql)?;
        let rows = statement.query_map(params, read).and_then(Iterator::collect);
        rows.map_err(|cause| LedgerError::from_sqlite(self.path, &cause))
    }

    fn prepare(self, sql: &str) -> Result<CachedStatement<'a>, LedgerError> {
        self.connection.prepare_cached(sql).map_err(|cause| LedgerError::from_sqlite(self.path, &cause))
    }
}

/// Reads a row (sequence, delivery, at, event).
pub(super) fn read_event(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let number = |index| row.get(index).map(|Unsigned(value)| value);
    let place = Place {
        sequence: number(0)?,
        delivery: row.get(1).map(DeliveryId::from_bytes)?,
        at_millis: number(2)?,
    };
    let json = row.get_ref(3)?.as_str()?;
    let event = serde_json::from_str(json).map_err(|cause| row::unreadable(3, cause))?;
    Ok(Entry { place, event })
}

/// The lowest and the highest name that begin with these digits.
fn prefix_range(wanted: &str) -> Option<([u8; 16], [u8; 16])> {
    let digits: Option<Vec<u8>> = wanted
        .chars()
        .filter(|c| *c != '-')
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits.filter(|digits| (MIN_PREFIX_DIGITS..=32).contains(&digits.len()))?;
    let filled = |filler: u8| {
        let mut bytes = [0; 16];
        for (at, byte) in bytes.iter_mut().enumerate() {
            let digit = |at: usize| digits.get(at).copied().unwrap_or(filler);
            *byte = digit(2 * at) << 4 | digit(2 * at + 1);
        }
        bytes
    };
    Some((filled(0), filled(0xf)))
}

fn reject_key(row: &Row<'_>) -> rusqlite::Result<RejectKey> {
    let number = |index| row.get(index).map(|Unsigned(value)| value);
    Ok(RejectKey {
        arrival: number(0)?,
        delivery: DeliveryId::from_bytes(row.get(1)?),
        record: number(2)?,
        hash: row.get(3)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{
        Ledger,
        event::tests::{stop, taken},
        store::tests::{id, ledger, loaded, started},
    };

    fn take(ledger: &mut Ledger, number: u8, file: &[u8], at_millis: u64) {
        let mut taken = taken(file);
        taken.size = number.into();
        taken.hash = ContentHash([number; 32]);
        taken.archive = format!("archive-{number}");
        ledger.append(at_millis, &[(id(number), Event::Taken(taken))]).unwrap();
    }

    fn load(ledger: &mut Ledger, number: u8) {
        ledger.append(50, &[(id(number), started(1)), (id(number), loaded(u64::from(number % 2)))]).unwrap();
    }

    fn ids(states: Vec<DeliveryState>) -> Vec<DeliveryId> {
        states.into_iter().map(|state| state.id).collect()
    }

    #[test]
    fn a_delivery_is_found_by_the_beginning_of_its_name() {
        let (_folder, mut ledger) = ledger();
        for number in 1..=12 {
            take(&mut ledger, number, b"a", 1);
        }
        let view = ledger.view();
        let whole = id(3).to_string();
        for wanted in [whole.clone(), whole.to_uppercase(), whole.replace('-', ""), whole[..13].to_owned()] {
            assert_eq!(view.delivery(&wanted).unwrap().id, id(3), "{wanted}");
        }
        let error = view.delivery(&whole[..8]).unwrap_err();
        let LedgerError::Ambiguous { candidates, more: true, .. } = &error else { panic!("{error}") };
        assert_eq!(*candidates, (3..=12).rev().map(id).collect::<Vec<_>>());
        assert!(error.to_string().ends_with(", ..."), "{error}");
    }

    #[test]
    fn names_that_fit_nothing_or_cannot_be_names_are_told_apart() {
        let (_folder, ledger) = ledger();
        for wanted in ["abc", "", "orders.csv", "----", &"0".repeat(33)] {
            assert!(matches!(ledger.view().delivery(wanted), Err(LedgerError::NotAnId { .. })), "{wanted}");
        }
        for wanted in ["ffff", &id(1).to_string()] {
            assert!(matches!(ledger.view().delivery(wanted), Err(LedgerError::Unknown { .. })), "{wanted}");
        }
    }

    #[test]
    fn a_list_has_the_latest_arrival_first_and_can_be_narrowed() {
        let (_folder, mut ledger) = ledger();
        // The second arrives under a clock that was set back.
        take(&mut ledger, 1, b"Orders_1.CSV", 100);
        take(&mut ledger, 2, b"customers.csv", 90);
        take(&mut ledger, 3, b"orders_\xff.csv", 110);
        load(&mut ledger, 1);
        let list = |filter: Filter| ids(ledger.view().list(&filter).unwrap());
        assert_eq!(list(Filter::default()), [id(3), id(2), id(1)]);
        assert_eq!(
            list(Filter { name_contains: Some("orders".into()), ..Filter::default() }),
            [id(3), id(1)]
        );
        assert_eq!(list(Filter { name_contains: Some("%".into()), ..Filter::default() }), []);
        assert_eq!(list(Filter { states: vec![State::Taken], ..Filter::default() }), [id(3), id(2)]);
        let states = vec![State::LoadedWithRejects, State::Taken];
        assert_eq!(list(Filter { states, limit: Some(2), offset: 1, ..Filter::default() }), [id(2), id(1)]);
        assert_eq!(
            list(Filter { since_millis: Some(100), until_millis: Some(110), ..Filter::default() }),
            [id(1)]
        );
        assert_eq!(list(Filter { mapping: Some("none".into()), ..Filter::default() }), []);
        assert_eq!(ids(ledger.view().unfinished().unwrap()), [id(2), id(3)]);
        let counts = ledger.view().counts_by_state().unwrap();
        assert_eq!(counts, [(State::Taken, 2), (State::LoadedWithRejects, 1)]);
    }

    #[test]
    fn the_latest_load_is_the_one_that_ended_last_not_the_one_that_came_last() {
        let (_folder, mut ledger) = ledger();
        for number in 1..=3 {
            take(&mut ledger, number, b"a", 1);
        }
        assert_eq!(ledger.view().latest_loaded("orders").unwrap(), None);
        load(&mut ledger, 2);
        load(&mut ledger, 1);
        let latest = ledger.view().latest_loaded("orders").unwrap().unwrap();
        assert_eq!((latest.delivery, latest.hash), (id(1), ContentHash([1; 32])));
        assert_eq!(latest.plan.as_deref(), Some("f00d"));
        assert_eq!(ledger.view().latest_loaded("customers").unwrap(), None);
    }

    #[test]
    fn content_counts_as_loaded_only_with_its_mapping_and_plan_and_only_when_it_was() {
        let (_folder, mut ledger) = ledger();
        take(&mut ledger, 1, b"a", 1);
        take(&mut ledger, 2, b"b", 1);
        load(&mut ledger, 1);
        let with = |mapping, number, plan| {
            ledger.view().loaded_with(mapping, &ContentHash([number; 32]), plan, None).unwrap()
        };
        assert_eq!(with("orders", 1, "f00d"), Some(id(1)));
        assert_eq!(with("orders", 1, "beef"), None);
        assert_eq!(with("customers", 1, "f00d"), None);
        assert_eq!(with("orders", 2, "f00d"), None);
        let archived = |size, number| ledger.view().archived(size, &ContentHash([number; 32])).unwrap();
        assert_eq!(archived(2, 2).as_deref(), Some("archive-2"));
        assert_eq!(archived(3, 2), None);
        assert!(ledger.view().knows_size(2).unwrap() && !ledger.view().knows_size(3).unwrap());
    }

    #[test]
    fn held_and_failed_deliveries_of_the_same_bytes_and_mapping_are_found() {
        let (_folder, mut ledger) = ledger();
        for number in 1..=3 {
            take(&mut ledger, number, b"a", 1);
        }
        let failed = Event::Failed { stop: stop(crate::model::Reason::Fault), retryable: false };
        ledger.append(50, &[(id(1), started(1)), (id(1), failed)]).unwrap();
        load(&mut ledger, 2);
        let with = |mapping, number: u8| {
            ledger.view().at_rest_with(mapping, number.into(), &ContentHash([number; 32])).unwrap()
        };
        assert_eq!(with("orders", 1), [id(1)]);
        assert_eq!([with("customers", 1), with("orders", 2), with("orders", 3)], [[], [], []]);
    }

    #[test]
    fn a_reader_works_beside_a_writer_and_sees_what_was_appended() {
        let (folder, mut ledger) = ledger();
        take(&mut ledger, 1, b"a", 1);
        let reader = LedgerReader::open(&folder.path().join("ledger.db")).unwrap();
        assert_eq!(ids(reader.view().unfinished().unwrap()), [id(1)]);
        take(&mut ledger, 2, b"b", 1);
        assert_eq!(ids(reader.view().unfinished().unwrap()), [id(1), id(2)]);
        assert!(reader.connection.execute("DELETE FROM events", []).is_err());
    }

    #[test]
    fn an_event_that_cannot_be_read_is_told_as_damage() {
        let (folder, mut ledger) = ledger();
        take(&mut ledger, 1, b"a", 1);
        let path = folder.path().join("ledger.db");
        Connection::open(&path)
            .unwrap()
            .execute("UPDATE events SET event = '{\"event\":\"sold\"}'", [])
            .unwrap();
        let error = ledger.view().story(id(1)).unwrap_err();
        assert!(matches!(error, LedgerError::Corrupt { .. }), "{error:?}");
        assert!(error.to_string().contains("sold"), "{error}");
        assert!(matches!(ledger.rebuild(), Err(LedgerError::Corrupt { .. })));
        assert!(ledger.view().by_id(id(1)).unwrap().is_some());
    }

    #[test]
    fn duplicate_questions_are_answered_from_an_index() {
        let (_folder, ledger) = ledger();
        let loaded = "state IN ('loaded', 'loaded_with_rejects') ORDER BY settled DESC LIMIT 1";
        for (condition, index) in [
            (format!("mapping = 'a' AND {loaded}"), "deliveries_loaded "),
            (
                format!("hash = x'00' AND mapping = 'a' AND plan = 'p' AND {loaded}"),
                "deliveries_loaded_content ",
            ),
            (
                "mapping = 'a' AND settled > 1 AND state = 'refused' AND inserted + updated > 0".to_owned(),
                "deliveries_in_part ",
            ),
            ("size = 1 AND hash = x'00'".to_owned(), "deliveries_by_content "),
            ("state IN ('held', 'failed')".to_owned(), "deliveries_by_state "),
        ] {
            let sql = format!("EXPLAIN QUERY PLAN SELECT * FROM deliveries WHERE {condition}");
            let plan: String = ledger.view().one(&sql, [], |row| row.get(3)).unwrap().unwrap();
            assert!(plan.contains(index), "{condition}: {plan}");
        }
    }
}
