//! What `wharf run` promises when all goes well, shown through the real program.

mod asked;
mod life;
mod order;
mod seeing;
mod sources;
mod taking;

use std::fs;

use serde_json::Value;

use crate::support::Site;

/// A mapping of files `TABLE*` into that table; `more` stands above the tables of the mapping, `below` after them.
pub fn mapping(table: &str, more: &str, below: &str) -> String {
    format!(
        "match = \"{table}*\"\n{more}\n[format]\ntype = \"csv\"\n[target]\ntable = \"{table}\"\nkey = [\"id\"]\n\
         [columns]\nid = {{}}\nvalue = {{ type = \"integer\" }}\n{below}\n"
    )
}

/// A site with these settings, and mappings of `prices` and `orders`. The folder `inbox` is there.
pub fn site(settings: &str) -> Site {
    let site = Site::new();
    site.write("wharf.toml", settings);
    for table in ["prices", "orders"] {
        site.write(format!("mappings/inbound/{table}.toml"), mapping(table, "", ""));
    }
    fs::create_dir(site.path("inbox")).unwrap();
    site
}

/// The usual source, from which files are taken as soon as they are seen.
pub const INBOX: &str = "[sources.inbox]\nfolder = \"inbox\"\nsettle_seconds = 0\n";

/// A file with one row.
pub fn row(id: &str, value: u32) -> String {
    format!("id,value\n{id},{value}\n")
}

pub fn id(delivery: &Value) -> &str {
    delivery["delivery"].as_str().unwrap()
}

/// The names of a delivery's events.
#[track_caller]
pub fn events(site: &Site, delivery: &Value) -> Vec<String> {
    let shown = site.run(["show", "--json", id(delivery)]).exits(0).object();
    let name = |entry: &Value| entry["event"]["event"].as_str().unwrap().to_owned();
    shown["story"].as_array().unwrap().iter().map(name).collect()
}

/// The files that were loaded, in the order in which they were.
#[track_caller]
pub fn loaded(site: &Site) -> Vec<String> {
    let sql =
        "SELECT CAST(deliveries.file AS TEXT) FROM events JOIN deliveries ON deliveries.id = events.delivery
               WHERE json_extract(event, '$.event') = 'loaded' ORDER BY sequence";
    let rows = crate::support::query(&site.path("var/ledger.db"), sql);
    rows.into_iter().map(|mut row| row.remove(0)).collect()
}
