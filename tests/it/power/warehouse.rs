//! Where the site on the disk loads to: a file on that disk, or a database of a server that stands elsewhere.

use std::{cell::RefCell, path::Path};

use crate::{
    engine::until,
    postgres::{Postgres, Session},
    support::query,
};

/// What is asked of the database that a site loads into.
pub trait Warehouse {
    /// Its tables, without the one in which loads are remembered.
    fn tables(&self, site: &Path) -> Vec<String>;

    /// The rows of a query. The site is a copy, which nothing else works on.
    fn rows(&self, site: &Path, sql: &str) -> Vec<Vec<String>>;

    /// What it says of its own files, where it has any in the site.
    fn integrity(&self, _site: &Path) -> Option<Vec<String>> {
        None
    }
}

/// The file that is used when nothing else is said.
pub struct InTheSite;

impl Warehouse for InTheSite {
    fn tables(&self, site: &Path) -> Vec<String> {
        let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> '_wharf_loads'";
        self.rows(site, names).into_iter().map(|mut row| row.remove(0)).collect()
    }

    fn rows(&self, site: &Path, sql: &str) -> Vec<Vec<String>> {
        query(&site.join("var/warehouse.db"), sql)
    }

    fn integrity(&self, site: &Path) -> Option<Vec<String>> {
        Some(self.rows(site, "PRAGMA integrity_check").remove(0))
    }
}

/// A server, and an administrator who is at hand there.
pub struct Server {
    postgres: RefCell<Postgres>,
    administrator: RefCell<Option<Session>>,
}

/// What every database begins with. Some rows are refused by a table of other hands.
const TEMPLATE: &str =
    "CREATE TABLE orders (number text PRIMARY KEY, price numeric(9,2) CHECK (price <> 13.13), note text)";

/// Where each database is copied from.
const TEMPLATE_NAME: &str = "fresh";

impl Server {
    pub fn start() -> Self {
        let postgres = Postgres::start();
        postgres.script(&format!("CREATE DATABASE {TEMPLATE_NAME}"));
        postgres.script_in(TEMPLATE_NAME, TEMPLATE);
        // The server takes a moment to notice that a process has ended its connection.
        let idle = format!("SELECT 1 FROM pg_stat_activity WHERE datname = '{TEMPLATE_NAME}'");
        until("the template to be left alone", || postgres.rows("postgres", &idle).is_empty().then_some(()));
        let administrator = postgres.session("postgres");
        Self { postgres: RefCell::new(postgres), administrator: RefCell::new(Some(administrator)) }
    }

    fn order(&self, sql: &str) {
        self.administrator.borrow().as_ref().expect("the administrator is there").run(sql);
    }

    /// A new database as every site finds it.
    pub fn database(&self, name: &str) -> Database<'_> {
        self.order(&format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE_NAME}"));
        Database { server: self, name: name.to_owned() }
    }

    /// Ends it without letting it tidy up, and starts it again.
    pub fn restart_at_once(&self) {
        self.administrator.take();
        let mut postgres = self.postgres.borrow_mut();
        postgres.crash();
        postgres.start_again();
        self.administrator.replace(Some(postgres.session("postgres")));
    }
}

/// A database of a server, gone when it is dropped.
pub struct Database<'a> {
    server: &'a Server,
    name: String,
}

impl Database<'_> {
    pub fn url(&self) -> String {
        self.server.postgres.borrow().url(&self.name)
    }

    /// Ends every back end that works on it.
    pub fn cut(&self) {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname";
        self.server.order(&format!("{sql} = '{}'", self.name));
    }

    pub fn server(&self) -> &Server {
        self.server
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.server.order(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
        }
    }
}

impl Warehouse for Database<'_> {
    fn tables(&self, site: &Path) -> Vec<String> {
        let names = "SELECT tablename FROM pg_tables
                     WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND tablename <> '_wharf_loads'";
        self.rows(site, names).into_iter().map(|mut row| row.remove(0)).collect()
    }

    fn rows(&self, _site: &Path, sql: &str) -> Vec<Vec<String>> {
        let rows = self.server.postgres.borrow().session(&self.name).rows(sql);
        let text = |value: Option<String>| value.unwrap_or_else(|| "NULL".to_owned());
        rows.into_iter().map(|row| row.into_iter().map(text).collect()).collect()
    }
}
