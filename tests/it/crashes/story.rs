//! The reference run: a site with several feeds, and the steps by which files reach it, are held and approved, corrected,
//! and looked up. Each step drops files and runs one command, which is repeated after a kill.

use std::{fs, process::Command};

use serde_json::Value;

use super::database::Database;
use crate::{
    crash::copy_of,
    support::{Site, csv},
};

const SETTINGS: &str = r#"[run]
at_once = 1
retry_seconds = 1
[sources.inbox]
folder = "inbox"
settle_seconds = 0
[sources.shelf]
folder = "shelf"
settle_seconds = 0
marker = "{name}.done"
after = "move:done"
"#;

/// Tables of other hands: one that refuses rows, and one that another job fills.
const TABLES: &str =
    "CREATE TABLE prices (article TEXT PRIMARY KEY, price NUMERIC(9,2) CHECK (price <> 13.13), note TEXT);
    CREATE TABLE audit (id TEXT PRIMARY KEY, value INTEGER);
    CREATE TABLE bulk (id TEXT PRIMARY KEY NOT NULL, value INTEGER CHECK (value < 90));
    INSERT INTO audit VALUES ('1', 1), ('2', 2), ('9', 9);";
/// SQLite keeps decimals as texts.
const TABLES_OF_SQLITE: &str =
    "CREATE TABLE prices (article TEXT PRIMARY KEY NOT NULL, price TEXT CHECK (price <> '13.13'), note TEXT);
    CREATE TABLE audit (id TEXT PRIMARY KEY NOT NULL, value INTEGER);
    CREATE TABLE bulk (id TEXT PRIMARY KEY NOT NULL, value INTEGER CHECK (value < 90));
    INSERT INTO audit VALUES ('1', 1), ('2', 2), ('9', 9);";

/// (mapping, what stands at its top, the table and what else stands in `[target]`, columns).
const MAPPINGS: &[(&str, &str, &str, &str)] = &[
    (
        "prices",
        "match = \"prices*\"",
        "table = \"prices\"\nkey = \"article\"",
        "article = { pattern = \"A\\\\d+\" }\nprice = { type = \"decimal(9,2)\" }\nnote = {}",
    ),
    (
        "stock",
        "match = \"stock*\"",
        "table = \"stock\"\nkey = [\"store\", \"article\"]\nmode = \"mirror\"\nvanished = \"delete\"",
        "store = { max_length = 4 }\narticle = {}\npieces = { type = \"integer\" }",
    ),
    (
        "journal",
        "match = \"journal*\"",
        "table = \"journal\"\nkey = \"no\"\nmode = \"insert\"",
        "no = { type = \"integer\" }\ntext = {}",
    ),
    ("staff", "match = \"staff*\"\nshared = true", "table = \"staff\"\nkey = \"id\"", "id = {}\nname = {}"),
    (
        "badges",
        "match = \"staff*\"\nshared = true",
        "table = \"badges\"\nkey = \"id\"",
        "id = {}\nbadge = { type = \"integer\" }",
    ),
    ("shops", "match = \"shops*\"", "table = \"shops\"\nkey = \"shop\"", "shop = {}"),
    (
        "bulk",
        "match = \"bulk*\"",
        "table = \"bulk\"\nkey = \"id\"\ncommit = \"batch\"",
        "id = {}\nvalue = { type = \"integer\" }",
    ),
    (
        "orders",
        "match = \"orders*\"",
        "table = \"orders\"\nkey = \"no\"",
        "no = {}\nshop = { lookup = { table = \"shops\", key = \"shop\" } }\ncount = { type = \"integer\" }",
    ),
    (
        "items",
        "match = \"items*\"",
        "table = \"items\"\nkey = \"id\"",
        "id = {}\nvalue = { type = \"integer\" }",
    ),
    (
        "audit",
        "match = \"audit*\"",
        "table = \"audit\"\nkey = \"id\"\nshadow = true",
        "id = {}\nvalue = { type = \"integer\" }",
    ),
];

/// The tables that the story fills, with their columns.
pub const FILLED: &[(&str, &[&str])] = &[
    ("prices", &["article", "price", "note"]),
    ("stock", &["store", "article", "pieces"]),
    ("journal", &["no", "text"]),
    ("staff", &["id", "name"]),
    ("badges", &["id", "badge"]),
    ("shops", &["shop"]),
    ("orders", &["no", "shop", "count"]),
    ("items", &["id", "value"]),
    ("bulk", &["id", "value"]),
    ("audit", &["id", "value"]),
];

/// Rows that are committed together where a mapping says `commit = "batch"`.
const ROWS_A_BATCH: &str = "5";

/// One command, and the files that lie there before it.
pub struct Step {
    /// What happens, for people.
    pub name: &'static str,
    /// Puts the files there.
    drop: fn(&Site),
    /// What is run; also after a kill.
    command: fn(&Site) -> Vec<String>,
    /// How it ends when nothing disturbs it.
    pub exits: i32,
}

pub const STEPS: &[Step] = &[
    Step { name: "first files", drop: first_files, command: once, exits: 3 },
    Step { name: "feeds with rejects", drop: feeds, command: once, exits: 2 },
    Step { name: "changes, duplicates and a hold", drop: changes, command: once, exits: 3 },
    Step { name: "approval", drop: |_| {}, command: approve, exits: 0 },
    Step {
        name: "what was lacking comes",
        drop: |site| drop(site.write("inbox/shops_2.csv", "shop\nW\n")),
        command: once,
        exits: 0,
    },
    Step { name: "correction", drop: correction, command: once, exits: 2 },
    Step {
        name: "a file loaded by hand",
        drop: by_hand,
        command: |_| words(&["load", "desk/prices_9.csv"]),
        exits: 2,
    },
];

impl Step {
    /// Puts the files of the step there.
    pub fn prepare(&self, site: &Site) {
        (self.drop)(site);
    }

    /// Its command as the site stands now.
    pub fn command(&self, site: &Site) -> Command {
        let mut command = site.command((self.command)(site));
        command.env("WHARF_BATCH_ROWS", ROWS_A_BATCH);
        command
    }
}

/// A site before the first step.
pub fn site(database: &dyn Database) -> Site {
    let site = Site::new();
    for folder in ["inbox", "shelf", "desk"] {
        fs::create_dir(site.path(folder)).unwrap();
    }
    let url = database.make(&site);
    settings(&site, &url);
    for (name, top, target, columns) in MAPPINGS {
        let text = format!(
            "{top}\n[format]\ntype = \"csv\"\n[target]\nconnection = \"db\"\n{target}\n[columns]\n{columns}\n"
        );
        site.write(format!("mappings/inbound/{name}.toml"), text);
    }
    let tables = if url.starts_with("sqlite:") { TABLES_OF_SQLITE } else { TABLES };
    database.script(&site, tables);
    site
}

/// A copy of a site with a copy of its database.
pub fn copy(site: &Site, database: &dyn Database) -> Site {
    let other = copy_of(site);
    if let Some(url) = database.copy(site, &other) {
        settings(&other, &url);
    }
    other
}

fn settings(site: &Site, url: &str) {
    site.write("wharf.toml", format!("{SETTINGS}[connections.db]\nurl = \"{url}\"\n"));
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn once(_: &Site) -> Vec<String> {
    words(&["run", "--once"])
}

/// What is held is approved. After a kill it may be so already: what was begun is then finished.
fn approve(site: &Site) -> Vec<String> {
    let deliveries = site.run(["deliveries", "--json"]).exits(0).json();
    match deliveries.iter().find(|delivery| delivery["outcome"] == "held") {
        Some(held) => words(&["approve", held["delivery"].as_str().unwrap()]),
        None => words(&["load"]),
    }
}

fn lines(header: &str, records: impl Iterator<Item = String>) -> String {
    format!("{header}\n{}", records.map(|record| record + "\n").collect::<String>())
}

fn stock(articles: impl Iterator<Item = u32>) -> String {
    lines("store,article,pieces", articles.map(|article| format!("n,{article},{}", article % 7)))
}

fn first_files(site: &Site) {
    site.write("inbox/shops_1.csv", "shop\nN\n");
    site.write("inbox/stock_1.csv", stock(0..60));
    site.write("inbox/photos.zip", "PK");
    site.write("inbox/prices_0.csv", "");
    site.write("shelf/items_1.csv", "id,value\n1,10\n2,20\n");
    site.write("shelf/items_1.csv.done", "");
}

/// Rows new and bad, some refused by the table, one file that outgrows what is kept in memory, one for two mappings.
fn feeds(site: &Site) {
    let note = "n".repeat(2_200);
    let price = |number: u32| match number % 100 {
        7 => format!("bad,{number},short"),
        8 => format!("A{number},x,\"two\nlines\""),
        9 => format!("A{number},13.13,refused by the table"),
        _ => format!("A{number},{}.50,{note}", number % 3),
    };
    site.write("inbox/prices_1.csv", lines("article,price,note", (0..520).map(price)));
    site.write("inbox/orders_1.csv", "no,shop,count\n1,N,1\n2,W,2\n3,S,3\n4,W,four\n");
    site.write(
        "inbox/journal_1.csv",
        lines("no,text", (0..20).map(|number| format!("{number},entry {number}"))),
    );
    // Several batches, with a bad record in one and a row that the table refuses in another.
    let bulk = |number: u32| match number {
        4 => "4,x".to_owned(),
        9 => "9,99".to_owned(),
        _ => format!("{number},{}", number % 5),
    };
    site.write("inbox/bulk_1.csv", lines("id,value", (0..14).map(bulk)));
    site.write("inbox/staff_1.csv", "id,name,badge\n1,Ada,7\n2,Bo,x\n3,Cy,9\n");
    site.write("inbox/audit_1.csv", "id,value\n1,1\n2,3\n3,3\n");
}

fn changes(site: &Site) {
    // 8 was a reject and loads now; most are as they were.
    let price = |number: u32| format!("A{number},{}.50,later", if number == 30 { 9 } else { number % 3 });
    let prices = lines("article,price,note", (0..60).filter(|number| *number != 9).map(price));
    site.write("inbox/prices_2.csv", &prices);
    site.write("inbox/prices_3.csv", &prices);
    site.write("inbox/journal_2.csv", lines("no,text", (17..25).map(|number| format!("{number},again"))));
    site.write(
        "inbox/journal_3.csv",
        lines("no,text", (0..20).map(|number| format!("{number},entry {number}"))),
    );
    site.write("inbox/stock_2.csv", stock(0..20));
}

/// The report of `prices_1.csv` comes back: some rows put right, one made worse in another way.
fn correction(site: &Site) {
    let (header, mut rows) = csv(&site.path("outbox/rejects/prices/prices_1.csv.rejects.csv"));
    let at = |name: &str| header.iter().position(|column| column == name).unwrap();
    let (article, price) = (at("article"), at("price"));
    for row in &mut rows {
        match &*row[article] {
            "bad" => row[article] = format!("A700{}", row[price]),
            "A108" => row[price] = "1.08".to_owned(),
            "A208" => row[price] = "13.13".to_owned(),
            "A308" => row[price] = "y".to_owned(),
            _ => {}
        }
    }
    let mut written = csv::Writer::from_path(site.path("inbox/.back.part")).unwrap();
    written.write_record(&header).unwrap();
    rows.iter().for_each(|row| written.write_record(row).unwrap());
    drop(written);
    fs::rename(site.path("inbox/.back.part"), site.path("inbox/back.csv")).unwrap();
}

fn by_hand(site: &Site) {
    site.write("desk/prices_9.csv", "article,price,note\nA1,7.00,by hand\nA2,x,bad\nA9001,1.00,new\n");
}

/// The deliveries that count: a file that is loaded by hand once more after a kill is a duplicate of itself.
pub fn counts(delivery: &Value) -> bool {
    !(delivery["file"] == "prices_9.csv" && delivery["outcome"] == "duplicate")
}
