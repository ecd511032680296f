//! `[connections.NAME]`: the databases that mappings load into, as they are written and what they come to.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    document::Step,
    findings::Findings,
    names::{self, Dialect, Named},
};
use crate::targets::postgres::{self, PostgresOptions, SecretSource};

/// `[connections.NAME]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct ConnectionWritten {
    /// The database: `sqlite:PATH`, the path from the site's folder, or `postgres://USER@HOST:PORT/DATABASE` as libpq
    /// reads it, with `sslmode`, `sslrootcert`, `sslcert`, `sslkey` and `host` (for a socket) behind a `?`.
    #[schemars(required)]
    pub url: Option<String>,
    /// PostgreSQL: where the password stands.
    pub password: Option<SecretWritten>,
    /// The table in which the database remembers what was loaded into it; in PostgreSQL also `SCHEMA.TABLE`.
    #[serde(default = "loads_table")]
    pub loads_table: String,
    /// PostgreSQL: how long connecting may take, in seconds. Left out: what `connect_timeout` in the URL says, or 10.
    #[schemars(range(min = 1, max = 300))]
    pub connect_seconds: Option<u64>,
    /// PostgreSQL: how long a single statement may take, in seconds; after that the load fails and can be tried again.
    /// Left out: 3600.
    #[schemars(range(min = 1, max = 86_400))]
    pub statement_seconds: Option<u64>,
    /// PostgreSQL: how long a load waits for others that hold a lock, in seconds; after that it fails and can be tried
    /// again. Left out: 30.
    #[schemars(range(min = 1, max = 3600))]
    pub lock_seconds: Option<u64>,
}

fn loads_table() -> String {
    LOADS_TABLE.to_owned()
}

/// Where a secret stands; one of the two.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct SecretWritten {
    /// The name of an environment variable.
    pub env: Option<String>,
    /// A file, from the site's folder. A line break at its end does not belong to the secret.
    pub file: Option<String>,
}

/// The loads table of a connection that names none.
pub const LOADS_TABLE: &str = "_wharf_loads";
/// The scheme of SQLite databases.
const SQLITE: &str = "sqlite:";

/// A database to load into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    /// An SQLite file.
    Sqlite {
        /// The file.
        path: PathBuf,
        /// The table in which it remembers what was loaded.
        loads_table: String,
    },
    /// A PostgreSQL database.
    Postgres(Box<PostgresOptions>),
}

impl Connection {
    /// An SQLite file with the loads table that is usual.
    #[must_use]
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self::Sqlite { path: path.into(), loads_table: loads_table() }
    }

    /// The table in which loads are remembered.
    #[must_use]
    pub fn loads_table(&self) -> &str {
        match self {
            Self::Sqlite { loads_table, .. } => loads_table,
            Self::Postgres(options) => &options.loads_table,
        }
    }

    /// Tells the database from others, whatever the connection is called.
    #[must_use]
    pub fn place(&self) -> PathBuf {
        match self {
            Self::Sqlite { path, .. } => path.clone(),
            Self::Postgres(options) => options.place().into(),
        }
    }

    /// Tells a table of the database from others, by whatever name mappings call it, as far as names tell: an SQLite database
    /// does not tell small letters from capital ones, and `public` is where PostgreSQL looks for a name without a schema, unless
    /// it is told otherwise.
    #[must_use]
    pub fn table_key(&self, table: &str) -> String {
        let key = table.to_lowercase();
        match self {
            Self::Sqlite { .. } => key,
            Self::Postgres(_) => key.strip_prefix("public.").map_or_else(|| key.clone(), str::to_owned),
        }
    }

    /// True when only one load at a time can write to the database, whatever their tables.
    #[must_use]
    pub fn has_one_writer(&self) -> bool {
        matches!(self, Self::Sqlite { .. })
    }

    /// Whose rules the names of tables follow.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite { .. } => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// True for the name of the loads table.
    pub(super) fn is_loads_table(&self, table: &str) -> bool {
        match self {
            Self::Sqlite { loads_table, .. } => table.eq_ignore_ascii_case(loads_table),
            Self::Postgres(options) => table == options.loads_table,
        }
    }
}

/// What a connection of the site at `dir` comes to; all that makes no sense goes to `findings`.
pub(super) fn connect(
    dir: &Path,
    name: &str,
    written: ConnectionWritten,
    findings: &mut Findings<'_>,
) -> Option<Connection> {
    let path = ["connections".into(), name.into()];
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
        findings.key(&path, "a connection is named by letters, digits, `_` and `-`", None);
    }
    let url = written.url.clone()?;
    let dialect = if postgres::is_url(&url) { Dialect::Postgres } else { Dialect::Sqlite };
    let at = |key| [path[0], path[1], key];
    if let Err((message, help)) = names::check_table(Named::LoadsTable, &written.loads_table, dialect) {
        findings.value(&at("loads_table".into()), &message, help);
    }
    match dialect {
        Dialect::Postgres => postgres(dir, path, &url, written, findings),
        Dialect::Sqlite => sqlite(dir, path, &url, written, findings),
    }
}

fn sqlite(
    dir: &Path,
    path: [Step<'_>; 2],
    url: &str,
    written: ConnectionWritten,
    findings: &mut Findings<'_>,
) -> Option<Connection> {
    let foreign = [
        ("password", written.password.is_some()),
        ("connect_seconds", written.connect_seconds.is_some()),
        ("statement_seconds", written.statement_seconds.is_some()),
        ("lock_seconds", written.lock_seconds.is_some()),
    ];
    for (key, _) in foreign.into_iter().filter(|(_, is_written)| *is_written) {
        let help = "leave it out; how long a load waits for other writers is `busy_seconds` under `[store]`";
        findings.key(&[path[0], path[1], key.into()], "this is for PostgreSQL only", Some(help));
    }
    match sqlite_path(url) {
        Ok(file) => Some(Connection::Sqlite { path: dir.join(file), loads_table: written.loads_table }),
        Err(message) => {
            let help =
                "write sqlite:PATH, such as \"sqlite:data/warehouse.db\", or postgres://USER@HOST/DATABASE";
            findings.value(&[path[0], path[1], "url".into()], message, Some(help));
            None
        }
    }
}

fn postgres(
    dir: &Path,
    path: [Step<'_>; 2],
    url: &str,
    written: ConnectionWritten,
    findings: &mut Findings<'_>,
) -> Option<Connection> {
    let mut options = match PostgresOptions::parse(url, dir) {
        Ok(options) => options,
        Err((message, help)) => {
            findings.value(&[path[0], path[1], "url".into()], &message, Some(help));
            return None;
        }
    };
    if let Some(password) = written.password {
        options.password = secret(dir, [path[0], path[1], "password".into()], password, findings);
    }
    options.loads_table = written.loads_table;
    let set = |seconds: Option<u64>, limit: &mut Duration| {
        *limit = seconds.map_or(*limit, Duration::from_secs);
    };
    set(written.connect_seconds, &mut options.connect_timeout);
    set(written.statement_seconds, &mut options.statement_timeout);
    set(written.lock_seconds, &mut options.lock_timeout);
    Some(Connection::Postgres(Box::new(options)))
}

/// Where a secret stands; nothing is read.
fn secret(
    dir: &Path,
    path: [Step<'_>; 3],
    written: SecretWritten,
    findings: &mut Findings<'_>,
) -> Option<SecretSource> {
    let named = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    match (named(written.env), named(written.file)) {
        (Some(name), None) if !name.contains(['=', '\0']) => Some(SecretSource::Env(name)),
        (None, Some(file)) if !file.contains('\0') => Some(SecretSource::File(dir.join(file))),
        _ => {
            let help = "write `{ env = \"NAME\" }` for an environment variable, or `{ file = \"PATH\" }`";
            findings.value(&path, "it is not said where the secret stands", Some(help));
            None
        }
    }
}

/// The path of a `sqlite:PATH` address.
fn sqlite_path(url: &str) -> Result<&str, &'static str> {
    let Some(path) = url.strip_prefix(SQLITE) else {
        return Err("only SQLite and PostgreSQL databases can be loaded into");
    };
    match path {
        "" => Err("the path is missing"),
        ":memory:" => Err("a database in memory would forget what was loaded"),
        _ if path.starts_with("//") => Err("the path stands right behind `sqlite:`"),
        _ if path.contains(['\0', '?']) => Err("this is not a path"),
        _ => Ok(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_to_a_sqlite_file_is_an_address() {
        assert_eq!(sqlite_path("sqlite:data/w.db"), Ok("data/w.db"));
        assert_eq!(sqlite_path("sqlite:/srv/w.db"), Ok("/srv/w.db"));
        for url in ["mysql://x", "sqlite:", "sqlite::memory:", "sqlite://x.db", "w.db", "sqlite:x?mode=ro"] {
            assert!(sqlite_path(url).is_err(), "{url}");
        }
    }
}
