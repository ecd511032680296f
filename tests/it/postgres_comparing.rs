//! Looking at tables of a real PostgreSQL without writing to them (previews, shadow runs, lookups), mirrors, and what a user who
//! may only read can do.

use serde_json::json;

use crate::{
    postgres::{PgBouncer, Postgres},
    postgres_loading::{Desk, counts},
    support::{Site, run, violations},
};

const STOCK: &str = "table = \"stock\"\nkey = [\"store\", \"article\"]\nmode = \"mirror\"\ncreate = true";
const STOCK_COLUMNS: &str = "store = {}\narticle = {}\npieces = { type = \"integer\" }";

fn deleted(delivery: &serde_json::Value) -> &serde_json::Value {
    &delivery["tally"]["deleted"]
}

#[test]
fn a_preview_tells_what_the_load_then_does_and_writes_nothing() {
    for more in ["", "mode = \"insert\"", "newer = \"day\""] {
        let target = format!("table = \"t\"\nkey = \"id\"\ncreate = true\n{more}");
        let columns = "id = {}\nprice = { type = \"decimal(9,2)\" }\nday = { type = \"date\" }\nnote = { sensitive = true }";
        let desk = Desk::new(&target, columns);
        let first = "id,price,day,note\na,1.5,2026-01-02,x\nb,2,2026-01-02,x\nc,,2026-01-02,\n";
        desk.site.write("t1.csv", first);
        let ahead = desk.site.run(["preview", "--json", "t1.csv"]).exits(0).object();
        assert_eq!(
            (counts(&ahead), desk.rows("select to_regclass('t')")),
            ([3, 0, 0, 0, 0], vec![String::new()])
        );
        desk.site.load("t1.csv", first);
        desk.site.write(
            "t2.csv",
            "id,price,day,note\na,1.50,2026-01-02,x\nb,2.01,2026-01-01,y\nc,1,2026-01-03,\nd,1,2026-01-01,z\n",
        );
        let stands =
            || desk.rows("select ctid, xmin, * from t order by id; select count(*) from _wharf_loads");
        let before = stands();
        let preview = desk.site.run(["preview", "--json", "t2.csv"]);
        assert_eq!(stands(), before, "nothing was written");
        let loaded = desk.site.run(["load", "--json", "t2.csv"]);
        assert_eq!(preview.code, loaded.code, "{more}");
        let (foretold, loaded) = (preview.object(), loaded.object());
        assert_eq!(
            (&foretold["tally"], &foretold["outcome"]),
            (&loaded["tally"], &loaded["outcome"]),
            "{more}"
        );
        if more.is_empty() {
            assert_eq!(
                foretold["updated"],
                json!([
                    { "line": 3, "key": ["b"], "changes": [
                        { "column": "price", "from": "2.00", "to": "2.01" },
                        { "column": "day", "from": "2026-01-02", "to": "2026-01-01" },
                        { "column": "note", "from": "***", "to": "***" },
                    ] },
                    { "line": 4, "key": ["c"], "changes": [
                        { "column": "price", "from": null, "to": "1.00" },
                        { "column": "day", "from": "2026-01-02", "to": "2026-01-03" },
                    ] },
                ])
            );
        }
    }
}

#[test]
fn to_compare_it_is_enough_to_read_and_what_else_is_needed_to_load_is_said() {
    let desk = Desk::new("table = \"t\"\nkey = \"id\"\nshadow = true", "id = {}\nx = {}");
    desk.sql("create table t (id text primary key, x text); insert into t values ('a', '1'), ('b', '2')");
    desk.postgres.role("reader", "x");
    desk.sql(&format!(
        "revoke temporary on database {} from public; grant select on t to reader",
        desk.database
    ));
    let url = desk.postgres.url_as("reader", &desk.database);
    desk.site.write("wharf.toml", format!("[connections.w]\nurl = \"{url}\"\n"));
    desk.site.run(["check"]).exits(0);
    let (code, compared) = desk.site.load("t1.csv", "id,x\na,1\nb,3\nc,4\n");
    assert_eq!((code, counts(&compared)), (0, [1, 1, 1, 0, 0]), "{compared:#}");
    assert_eq!(desk.rows("select * from t order by id"), ["a|1", "b|2"]);
    desk.site.write("t2.csv", "id,x\na,2\n");
    assert_eq!(counts(&desk.site.run(["preview", "--json", "t2.csv"]).exits(0).object()), [0, 1, 0, 0, 0]);
    // A real load names what is missing.
    desk.map("t", "table = \"t\"\nkey = \"id\"", "id = {}\nx = {}");
    let said = desk.site.run(["check"]).exits(1);
    let said = format!("{}{}", said.out, said.err);
    for grant in ["GRANT INSERT, UPDATE ON \"public\".\"t\"", "GRANT TEMPORARY ON DATABASE"] {
        assert!(said.contains(grant), "{grant}: {said}");
    }
    desk.sql("revoke select on t from reader");
    let refused = desk.site.run(["preview", "t2.csv"]);
    let said = format!("{}{}", refused.out, refused.err);
    assert!(refused.code == 3 && said.contains("GRANT SELECT ON \"public\".\"t\" TO \"reader\""), "{said}");
}

#[test]
fn a_mirror_lets_vanish_what_the_file_no_longer_has_and_a_preview_shows_it() {
    let desk = Desk::new(
        &format!("{STOCK}\nvanished = {{ mark = \"deleted_at\" }}\nmax_deletes = 2"),
        STOCK_COLUMNS,
    );
    desk.site.load("t1.csv", "store,article,pieces\na,1,5\na,2,5\nb,1,5\nb,2,x\n");
    desk.site.write("t2.csv", "store,article,pieces\na,1,5\nb,1,y\nc,1,1\n");
    let preview = desk.site.run(["preview", "--json", "t2.csv"]).exits(2).object();
    assert_eq!(preview["deleted"], json!([{ "line": null, "key": ["a", "2"] }]), "{preview:#}");
    let (code, second) = desk.site.load("t2.csv", "store,article,pieces\na,1,5\nb,1,y\nc,1,1\n");
    assert_eq!((code, counts(&second), deleted(&second)), (2, [1, 0, 1, 0, 1], &json!(1)), "{second:#}");
    let marked = "select store, article from stock where deleted_at is not null order by 1, 2";
    assert_eq!(desk.rows(marked), ["a|2"], "a rejected record counts as there");
    let (_, third) = desk.site.load("t3.csv", "store,article,pieces\na,1,5\na,2,5\nb,1,5\nc,1,1\n");
    assert_eq!((counts(&third), deleted(&third)), ([0, 1, 3, 0, 0], &json!(0)), "{third:#}");
    assert!(desk.rows(marked).is_empty());
    // More than may vanish without a person.
    let (code, held) = desk.site.load("t4.csv", "store,article,pieces\na,1,5\n");
    assert_eq!((code, &held["outcome"]), (3, &json!("held")), "{held:#}");
    assert!(desk.rows(marked).is_empty(), "nothing was written");
    desk.site.run(["approve", held["delivery"].as_str().unwrap()]).exits(0);
    assert_eq!(desk.rows(marked), ["a|2", "b|1", "c|1"]);
}

#[test]
fn to_delete_rows_takes_a_right_of_its_own_and_a_row_that_others_refer_to_says_why_it_stays() {
    let desk = Desk::new(&format!("{STOCK}\nvanished = \"delete\"\nmax_deletes = \"100%\""), STOCK_COLUMNS);
    desk.sql(
        "create table stock (store text, article text, pieces bigint, primary key (store, article));
              create table orders (store text, article text, foreign key (store, article) references stock);
              insert into stock values ('a', '1', 1), ('a', '2', 1); insert into orders values ('a', '2')",
    );
    desk.postgres.role("loader", "x");
    desk.sql("grant select, insert, update on stock to loader; grant create on schema public to loader");
    let url = desk.postgres.url_as("loader", &desk.database);
    desk.site.write("wharf.toml", format!("[connections.w]\nurl = \"{url}\"\n[run]\nattempts = 1\n"));
    let said = desk.site.run(["check"]).exits(1);
    let said = format!("{}{}", said.out, said.err);
    assert!(said.contains("GRANT DELETE ON \"public\".\"stock\" TO \"loader\""), "{said}");
    desk.sql("grant delete on stock to loader");
    desk.site.run(["check"]).exits(0);
    let (code, failed) = desk.site.load("t1.csv", "store,article,pieces\na,1,2\n");
    assert_eq!((code, &failed["outcome"]), (1, &json!("failed")), "{failed:#}");
    assert!(failed["message"].as_str().unwrap().contains("other rows refer to it"), "{failed:#}");
    assert_eq!(desk.rows("select * from stock order by 2"), ["a|1|1", "a|2|1"]);
    desk.sql("delete from orders");
    desk.site.run(["retry", failed["delivery"].as_str().unwrap()]).exits(0);
    assert_eq!(desk.rows("select * from stock"), ["a|1|2"]);
}

#[test]
fn values_are_looked_up_in_a_table_as_its_types_compare() {
    let desk = Desk::new(
        "table = \"people\"\nkey = \"id\"\ncreate = true",
        "id = {}\ncountry = { lookup = { table = \"ref.countries\", key = \"iso\", value = \"id\" } }\n\
         since = { lookup = { table = \"ref.years\", key = \"at\" } }\nrate = { lookup = { table = \"ref.rates\", key = \"rate\" } }",
    );
    desk.sql(
        "create schema ref; create table ref.countries (iso char(2), id int); create table ref.years (at timestamptz);
         create table ref.rates (rate numeric); insert into ref.countries values ('DE', 7), ('F', 8), (null, 9);
         insert into ref.years values ('2026-01-01 01:00:00+01'); insert into ref.rates values (1.50)",
    );
    let (code, delivery) = desk.site.load(
        "t1.csv",
        "id,country,since,rate\n1,DE,2026-01-01T00:00:00Z,1.5\n2,F,,\n3,ZZ,,\n4,,2026-01-02T00:00:00Z,2\n",
    );
    assert_eq!(code, 2, "{delivery:#}");
    assert_eq!(desk.rows("select id, country from people order by id"), ["1|7", "2|8"]);
    let told = violations(&desk.site, &delivery);
    assert_eq!(told[0], "3 country lookup ZZ: is not in ref.countries");
    assert_eq!(told.len(), 3, "{told:?}");
}

#[test]
fn a_reject_that_only_lacked_a_row_of_another_table_is_tried_again_when_it_comes() {
    let desk = Desk::new("table = \"t\"\nkey = \"id\"", "id = {}\nparent = {}");
    desk.map("p", "table = \"p\"\nkey = \"id\"", "id = {}");
    desk.sql("create table p (id text primary key); create table t (id text primary key, parent text references p)");
    let (code, first) = desk.site.load("t1.csv", "id,parent\n1,a\n2,\n");
    assert_eq!((code, counts(&first)), (2, [1, 0, 0, 0, 1]), "{first:#}");
    desk.site.write("p1.csv", "id\na\n");
    desk.site.run(["load", "p1.csv"]).exits(0);
    assert_eq!(desk.rows("select * from t order by id"), ["1|a", "2|"]);
}

#[test]
fn looking_and_mirrors_go_through_pgbouncer_in_transaction_mode() {
    let postgres = Postgres::over_tcp();
    postgres.role("loader", "r1ght");
    postgres.script("grant create on schema public to loader");
    let bouncer = PgBouncer::before(&postgres, "loader", "r1ght");
    let mapping = format!(
        "match = \"t*\"\n[format]\ntype = \"csv\"\n[target]\nconnection = \"w\"\n{STOCK}\nvanished = \"delete\"\n\
         max_deletes = \"100%\"\n[columns]\n{STOCK_COLUMNS}\n"
    );
    let site = Site::with_mapping("t", &mapping);
    let connection =
        format!("url = \"{}\"\npassword = {{ env = \"SECRET\" }}", bouncer.url("loader", "postgres"));
    site.write("wharf.toml", format!("[connections.w]\n{connection}\n"));
    for (file, expected, gone) in [
        ("store,article,pieces\na,1,5\na,2,5\n", [2, 0, 0, 0, 0], 0),
        ("store,article,pieces\na,1,6\nb,1,5\n", [1, 1, 0, 0, 0], 1),
        ("store,article,pieces\nb,1,5\n", [0, 0, 1, 0, 0], 1),
    ] {
        site.write("t.csv", file);
        let ran = |command: &str| run(site.command([command, "--json", "t.csv"]).env("SECRET", "r1ght"));
        let (foretold, loaded) = (ran("preview"), ran("load"));
        for delivery in [foretold.object(), loaded.object()] {
            assert_eq!(
                (counts(&delivery), deleted(&delivery)),
                (expected, &json!(gone)),
                "{}",
                bouncer.log()
            );
        }
    }
    assert_eq!(postgres.rows("postgres", "select * from stock"), ["b|1|5"]);
}
