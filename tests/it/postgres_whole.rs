//! The whole program with PostgreSQL behind it: lookups, previews, shadow runs, corrections and rejects that wait for a row of
//! another table, as with SQLite.

use serde_json::{Value, json};

use crate::{
    postgres::Postgres,
    support::{Ran, Site},
};

const STOCK: &str = r#"match = "stock*"
[format]
type = "csv"
[target]
connection = "w"
table = "stock"
key = ["article"]
create = true
[columns]
article = { required = true, max_length = 8 }
shop = { lookup = { table = "shops", key = "shop" } }
count = { type = "integer" }
"#;

const SHOPS: &str = r#"match = "shops*"
[format]
type = "csv"
[target]
connection = "w"
table = "shops"
key = ["shop"]
create = true
[columns]
shop = { max_length = 8 }
"#;

/// A site that loads into a new database of a server, whose shop N is known.
fn site(postgres: &Postgres) -> (Site, String) {
    let database = postgres.database();
    let site = Site::with_mapping("stock", STOCK);
    site.write("mappings/inbound/shops.toml", SHOPS);
    site.write("wharf.toml", format!("[connections.w]\nurl = \"{}\"\n", postgres.url(&database)));
    load(&site, "shops_1.csv", "shop\nN\n").exits(0);
    (site, database)
}

fn load(site: &Site, name: &str, content: &str) -> Ran {
    site.write(name, content);
    site.run(["load", "--json", name])
}

fn stock(postgres: &Postgres, database: &str) -> Vec<String> {
    postgres.rows(database, "select article, shop, count from stock order by article")
}

fn id(delivery: &Value) -> &str {
    delivery["delivery"].as_str().unwrap_or_else(|| panic!("{delivery}"))
}

/// How many rejects of a delivery are open, corrected, overtaken.
#[track_caller]
fn standing(site: &Site, delivery: &Value) -> [u64; 3] {
    let shown = site.run(["show", "--json", id(delivery)]).exits(0).object();
    ["open", "corrected", "overtaken"].map(|state| shown["rejects"][state].as_u64().unwrap())
}

#[test]
fn rejects_that_lack_a_row_of_another_table_load_when_it_comes() {
    let postgres = Postgres::start();
    let (site, database) = site(&postgres);
    let first = load(&site, "stock_1.csv", "article,shop,count\nA,N,1\nB,S,2\n").exits(2).object();
    assert_eq!(standing(&site, &first), [1, 0, 0]);
    load(&site, "shops_2.csv", "shop\nS\n").exits(0);
    assert_eq!(stock(&postgres, &database), ["A|N|1", "B|S|2"]);
    assert_eq!(standing(&site, &first), [0, 1, 0]);

    postgres.script_in(
        &database,
        "create table lines (article text primary key references stock, pieces bigint)",
    );
    let lines = STOCK
        .replace("\"stock", "\"lines")
        .replace("shop = { lookup = { table = \"shops\", key = \"shop\" } }\n", "");
    site.write("mappings/inbound/lines.toml", lines.replace("count = ", "pieces = "));
    let lines = load(&site, "lines_1.csv", "article,pieces\nA,1\nC,3\n").exits(2).object();
    assert_eq!(standing(&site, &lines), [1, 0, 0]);
    load(&site, "stock_2.csv", "article,shop,count\nC,N,3\n").exits(0);
    assert_eq!(postgres.rows(&database, "select article, pieces from lines order by 1"), ["A|1", "C|3"]);
    assert_eq!(standing(&site, &lines), [0, 1, 0]);
}

#[test]
fn a_preview_tells_what_a_load_then_does_and_writes_nothing() {
    let postgres = Postgres::start();
    let (site, database) = site(&postgres);
    load(&site, "stock_1.csv", "article,shop,count\nA,N,1\nB,N,2\nC,N,3\n").exits(0);
    let before = stock(&postgres, &database);
    site.write("stock_2.csv", "article,shop,count\nA,N,1\nB,N,20\nD,N,4\nE,X,1\n");
    let previewed = site.run(["preview", "--json", "stock_2.csv"]).exits(2).object();
    assert_eq!(stock(&postgres, &database), before);
    let loaded =
        load(&site, "stock_2.csv", "article,shop,count\nA,N,1\nB,N,20\nD,N,4\nE,X,1\n").exits(2).object();
    for count in ["read", "inserted", "updated", "unchanged", "rejected"] {
        assert_eq!(previewed["tally"][count], loaded["tally"][count], "{count}: {previewed:#}");
    }
    assert_eq!(loaded["tally"]["updated"], 1);
}

#[test]
fn a_shadow_run_reports_what_differs_and_writes_nothing() {
    let postgres = Postgres::start();
    let (site, database) = site(&postgres);
    load(&site, "stock_1.csv", "article,shop,count\nA,N,1\nB,N,2\n").exits(0);
    site.write("mappings/inbound/stock.toml", STOCK.replace("[target]", "[target]\nshadow = true"));
    let compared = load(&site, "stock_2.csv", "article,shop,count\nA,N,1\nB,N,3\nC,N,1\n").exits(0).object();
    assert_eq!(stock(&postgres, &database), ["A|N|1", "B|N|2"]);
    let (_, rows) = site.report(&compared, "differences");
    let told: Vec<String> = rows.iter().map(|row| format!("{} {} {}", row[1], row[4], row[5])).collect();
    assert_eq!(told, ["different B count", "missing in the table C "], "{rows:?}");
    site.run(["reconcile"]).exits(0);
}

#[test]
fn corrections_never_put_older_values_over_newer_ones() {
    let postgres = Postgres::start();
    let (site, database) = site(&postgres);
    let first = load(&site, "stock_1.csv", "article,shop,count\nA,N,1\nB,N,x\n,N,5\n").exits(2).object();
    let report = site.read(first["reports"]["rejects"].as_str().unwrap());
    load(&site, "stock_2.csv", "article,shop,count\nC,N,3\nD,N,4\n").exits(0);
    // B is corrected; the record without a key gets one that the later file has brought.
    site.write("back.csv", report.replacen("B,N,x", "B,N,2", 1).replacen(",,N,5", ",C,N,5", 1));
    let corrected = site.run(["resubmit", "--json", "back.csv"]).exits(2).object();
    assert_eq!((&corrected["tally"]["inserted"], &corrected["tally"]["rejected"]), (&json!(1), &json!(1)));
    assert_eq!(stock(&postgres, &database), ["A|N|1", "B|N|2", "C|N|3", "D|N|4"]);
    assert_eq!(standing(&site, &first), [1, 1, 0]);
}
