//! The databases that the story is loaded into: each copy of a site has one of its own.

use std::path::Path;

use crate::support::{Site, query};

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
