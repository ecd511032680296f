//! Settings of PostgreSQL connections and tables that do not fit.

use crate::{postgres_loading::Desk, support::Site};

#[test]
fn a_connection_that_makes_no_sense_is_named_with_its_line_and_no_password_is_repeated() {
    let site = Site::new();
    let settings = "[connections.a]\nurl = \"postgres://u:geheim@h/d\"\n\
        [connections.b]\nurl = \"postgres://h/d?sslmode=verify-ca\"\n\
        [connections.c]\nurl = \"postgres://h/d?password=geheim\"\n\
        [connections.d]\nurl = \"postgres://h:99999/d\"\n\
        [connections.e]\nurl = \"postgres://h/d\"\npassword = \"geheim\"\n\
        [connections.f]\nurl = \"postgres://h/d\"\npassword = { env = \"A\", file = \"b\" }\n\
        [connections.g]\nurl = \"postgres://h/d\"\nloads_table = \"a.b.c\"\nlock_seconds = 0\n\
        [connections.h]\nurl = \"sqlite:w.db\"\nstatement_seconds = 5\n\
        [connections.i]\nurl = \"oracle://h/d\"\n";
    site.write("wharf.toml", settings);
    let said = site.run(["check"]).exits(1).err;
    for line in [2, 4, 6, 8, 11, 14, 17, 18, 21, 23] {
        assert!(said.contains(&format!("wharf.toml:{line}:")), "{line}: {said}");
    }
    assert!(said.contains("password = { env = \"NAME\" }"), "{said}");
    assert!(said.contains("only SQLite and PostgreSQL"), "{said}");
}

#[test]
fn each_way_in_which_a_table_of_postgresql_does_not_fit_is_told_with_what_to_do() {
    let columns = "id = { type = \"integer\" }\ncode = {}\nexact = { type = \"decimal(12,4)\" }\nat = { type = \"timestamp\" }\n\
                   hour = { type = \"time\" }\nnumber = {}\nratio = { type = \"float\" }\nmade = {}\nnamed = {}\nplace = {}";
    let desk = Desk::new("table = \"t\"\nkey = \"id\"", columns);
    desk.sql(
        "create table t (id int, code varchar(5), exact numeric(12,2), at timestamp, hour time(0), number bigint, ratio real,
           made text generated always as ('x') stored, nmaed text, place point, must text not null);
         create unique index on t (id) where code is not null;
         create view v as select 1 as id, 'x' as x; create table o (id text unique deferrable, x text);
         create table orders (id text); create table r (id text primary key, x text); create rule r as on insert to r do instead nothing;
         create materialized view m as select 'a' as id, 'b' as x",
    );
    let small = "id = {}\nx = {}";
    for (name, table) in [("v", "v"), ("o", "o"), ("r", "r"), ("m", "m"), ("x", "ordres")] {
        desk.map(name, &format!("table = \"{table}\"\nkey = \"id\"\ncreate = false"), small);
    }
    let long = "x".repeat(70);
    desk.map("w", "table = \"w\"\nkey = \"id\"\ncreate = true", &format!("id = {{}}\n{long} = {{}}"));
    desk.map("l", "table = \"_wharf_loads\"\nkey = \"id\"", small);
    let ran = desk.site.run(["check"]).exits(1);
    let said = format!("{}{}", ran.out, ran.err);
    for words in [
        "`code` is declared character varying(5), where a text of more than 5 characters does not fit (add `max_length = 5`)",
        "where a decimal(12,4) would be rounded to 2 digits",
        "`at` is declared timestamp without time zone, where an instant would lose its time zone",
        "would lose parts of a second",
        "would become one (00123 would become 123)",
        "`ratio` is declared real, where a float would lose digits",
        "`made` is computed by the database",
        "no column `named` (there is `nmaed`)",
        "`place` is declared point, where a text does not belong",
        "`must` of the table must have a value",
        "does not hold for all rows at every moment",
        "rows cannot be written to the view `v`",
        "has rules (CREATE RULE)",
        "`m` is no table that rows can be written to",
        "table `ordres` does not exist (there is `orders`)",
        "longer than the 63 bytes",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(said.matches("does not hold for all rows at every moment").count() == 2, "{said}");
}

#[test]
fn a_loads_table_that_something_else_made_is_told_and_nothing_is_loaded() {
    let desk = Desk::new("table = \"t\"\nkey = \"id\"\ncreate = true", "id = {}");
    desk.connect("loads_table = \"theirs\"\n");
    desk.sql("create table theirs (id int)");
    let (code, failed) = desk.site.load("t1.csv", "id\na\n");
    let message = failed["message"].as_str().unwrap();
    assert!(code == 1 && message.contains("is not the table in which Wharf remembers loads"), "{failed:#}");
    assert_eq!(desk.rows("select to_regclass('t') is null"), ["t"]);
}
