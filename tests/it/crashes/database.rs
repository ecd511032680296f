//! The databases that the story is loaded into: each copy of a site has one of its own.

use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{
    engine::until,
    postgres::Postgres,
    support::{Site, query},
};

/// What the story needs to know of a kind of target.
pub trait Database: Sync {
    /// Its name, for people.
    fn name(&self) -> &'static str;

    /// Makes an empty database for a site, and gives its URL.
    fn make(&self, site: &Site) -> String;

    /// Gives `copy`, a copy of `site`, a copy of its database, and its URL if that is another one.
    fn copy(&self, site: &Site, copy: &Site) -> Option<String>;

    /// Runs statements.
    fn script(&self, site: &Site, sql: &str);

    /// The first column of a query's rows.
    fn rows(&self, site: &Site, sql: &str) -> Vec<String>;

    /// The expression that makes one text of these columns of a row.
    fn joined(&self, columns: &[&str]) -> String {
        let text = |column: &&str| format!("coalesce(cast({column} as text), '-')");
        columns.iter().map(text).collect::<Vec<_>>().join(" || '|' || ")
    }

    /// Nobody needs the site's database any more.
    fn discard(&self, _site: &Site) {}
}

/// A file in the site.
pub struct Sqlite;

const FILE: &str = "data/target.db";

impl Database for Sqlite {
    fn name(&self) -> &'static str {
        "SQLite"
    }

    fn make(&self, site: &Site) -> String {
        std::fs::create_dir_all(site.path("data")).unwrap();
        format!("sqlite:{FILE}")
    }

    fn copy(&self, _site: &Site, _copy: &Site) -> Option<String> {
        None
    }

    fn script(&self, site: &Site, sql: &str) {
        rusqlite::Connection::open(site.path(Path::new(FILE))).unwrap().execute_batch(sql).unwrap();
    }

    fn rows(&self, site: &Site, sql: &str) -> Vec<String> {
        query(&site.path(Path::new(FILE)), sql).into_iter().map(|mut row| row.remove(0)).collect()
    }
}

/// A database of a server of the test's own, for each copy of a site.
pub struct OnPostgres(pub Postgres);

/// The file of a site that names its database.
const NAME: &str = "database";

impl OnPostgres {
    fn name_of(site: &Site) -> String {
        site.read(NAME)
    }
}

impl Database for OnPostgres {
    fn name(&self) -> &'static str {
        "PostgreSQL"
    }

    fn make(&self, site: &Site) -> String {
        let name = self.0.database();
        site.write(NAME, &name);
        self.0.url(&name)
    }

    fn copy(&self, site: &Site, copy: &Site) -> Option<String> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("copy{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let from = Self::name_of(site);
        // The server takes a moment to notice that a process has ended its connection.
        let idle = format!("SELECT 1 FROM pg_stat_activity WHERE datname = '{from}'");
        until("the database to be left alone", || self.0.rows("postgres", &idle).is_empty().then_some(()));
        self.0.rows("postgres", &format!("CREATE DATABASE {name} TEMPLATE {from}"));
        copy.write(NAME, &name);
        Some(self.0.url(&name))
    }

    fn script(&self, site: &Site, sql: &str) {
        self.0.rows(&Self::name_of(site), sql);
    }

    fn rows(&self, site: &Site, sql: &str) -> Vec<String> {
        self.0.rows(&Self::name_of(site), sql)
    }

    fn discard(&self, site: &Site) {
        self.0.rows("postgres", &format!("DROP DATABASE {} WITH (FORCE)", Self::name_of(site)));
    }
}
