//! Loading into a real PostgreSQL: counts, values, refused rows, tables that others made, and others at work.

use std::process::Command;

use serde_json::{Value, json};

use crate::{
    engine::until,
    postgres::Postgres,
    support::{Ran, Site, violations},
};

/// A database of a test's own, and a site that loads into it.
pub struct Desk {
    pub postgres: Postgres,
    pub database: String,
    pub site: Site,
}

impl Desk {
    /// With these lines under `[target]` and these columns; the files are called `t*`.
    pub fn new(target: &str, columns: &str) -> Self {
        let postgres = Postgres::start();
        let database = postgres.database();
        let site = Site::new();
        let desk = Self { postgres, database, site };
        desk.connect("");
        desk.map("t", target, columns);
        desk
    }

    /// Writes the connection `w`, with more lines.
    pub fn connect(&self, more: &str) {
        let url = self.postgres.url(&self.database);
        self.site.write("wharf.toml", format!("[connections.w]\nurl = \"{url}\"\n{more}"));
    }

    /// Writes a mapping of files that begin with its name.
    pub fn map(&self, name: &str, target: &str, columns: &str) {
        let text = format!(
            "match = \"{name}*\"\n[format]\ntype = \"csv\"\n[target]\nconnection = \"w\"\n{target}\n[columns]\n{columns}\n"
        );
        self.site.write(format!("mappings/inbound/{name}.toml"), text);
    }

    #[track_caller]
    pub fn sql(&self, sql: &str) {
        self.postgres.script_in(&self.database, sql);
    }

    #[track_caller]
    pub fn rows(&self, sql: &str) -> Vec<String> {
        self.postgres.rows(&self.database, sql)
    }

    /// The load of a file in a process of its own, under way.
    fn loading(&self, name: &str, content: &str) -> std::process::Child {
        self.site.write(name, content);
        let mut command: Command = self.site.command(["load", "--json", name]);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command.spawn().expect("the program starts")
    }

    /// Waits until somebody waits for a lock.
    fn wait_for_a_lock(&self) {
        until("the load to wait for a lock", || {
            let waiting = self.rows("select count(*) from pg_locks where not granted");
            (waiting != ["0"]).then_some(())
        });
    }
}

fn ended(child: std::process::Child) -> Value {
    let output = child.wait_with_output().expect("the program ends");
    let ran = Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    };
    ran.object()
}

/// Inserted, updated, unchanged, superseded, rejected.
pub fn counts(delivery: &Value) -> [u64; 5] {
    ["inserted", "updated", "unchanged", "superseded", "rejected"]
        .map(|key| delivery["tally"][key].as_u64().unwrap_or_else(|| panic!("{delivery:#}")))
}

const ORDERS: &str =
    "id = { type = \"integer\" }\namount = { type = \"decimal(12,2)\", required = true }\nnote = {}";
const KEYED: &str = "table = \"t\"\nkey = \"id\"";

#[test]
fn a_table_is_created_and_each_load_tells_what_is_new_what_changed_and_leaves_the_rest_alone() {
    let desk = Desk::new(&format!("{KEYED}\ncreate = true"), ORDERS);
    assert!(desk.site.run(["check"]).exits(0).out.contains("the first load creates it"));
    let (code, first) = desk.site.load("t1.csv", "id,amount,note\n1,5.10,a\n2,7,\n3,-0.01,c\n");
    assert_eq!((code, counts(&first)), (0, [3, 0, 0, 0, 0]), "{first:#}");
    let rows = "select id, amount, note from t order by id";
    assert_eq!(desk.rows(rows), ["1|5.10|a", "2|7.00|", "3|-0.01|c"]);
    let versions = "select ctid, xmin from t where id < 3 order by id";
    let before = desk.rows(versions);
    let (_, second) = desk.site.load("t2.csv", "id,amount,note\n1,5.1,a\n2,7.00,\n3,-0.01,C\n4,1,d\n");
    assert_eq!(counts(&second), [1, 1, 2, 0, 0], "{second:#}");
    assert_eq!(desk.rows(rows), ["1|5.10|a", "2|7.00|", "3|-0.01|C", "4|1.00|d"]);
    assert_eq!(desk.rows(versions), before, "an unchanged row is not rewritten");
    // A file without a column leaves that alone, and all new rows again go in at once.
    let (_, third) = desk.site.load("t3.csv", "id,amount\n1,6\n2,7\n");
    assert_eq!(counts(&third), [0, 1, 1, 0, 0], "{third:#}");
    let (_, fourth) = desk.site.load("t4.csv", "id,amount,note\n8,6,\n9,7,\n");
    assert_eq!(counts(&fourth), [2, 0, 0, 0, 0]);
    assert_eq!(desk.rows("select note from t where id = 1"), ["a"]);
    let remembered = "select count(*), count(distinct site), min(state) from _wharf_loads";
    assert_eq!(desk.rows(remembered), ["4|1|loaded"]);
    let kinds = "select string_agg(format_type(atttypid, atttypmod) || attnotnull, ' ' order by attnum)
                 from pg_attribute where attrelid = 't'::regclass and attnum > 0";
    assert_eq!(desk.rows(kinds), ["biginttrue numeric(12,2)true textfalse"]);
}

const EVERY_TYPE: &str = "id = {}\nwhole = { type = \"integer\" }\nexact = { type = \"decimal(38,19)\" }\n\
     small = { type = \"decimal(3,3)\" }\nfloat = { type = \"float\" }\nflag = { type = \"boolean\" }\n\
     day = { type = \"date\" }\nhour = { type = \"time\" }\nat = { type = \"timestamp\" }\nnumber = { type = \"uuid\" }\n\
     doc = { type = \"json\" }";

#[test]
fn every_type_arrives_exactly_to_its_edges_and_is_unchanged_the_next_time() {
    let desk = Desk::new(&format!("{KEYED}\ncreate = true"), EVERY_TYPE);
    let head = "id,whole,exact,small,float,flag,day,hour,at,number,doc";
    let low = "low,-9223372036854775808,-9999999999999999999.9999999999999999999,-0.999,-1.7976931348623157e308,false,\
               0001-01-01,00:00:00,0001-01-01T00:00:00Z,00000000-0000-0000-0000-000000000000,[]";
    let high = "high,9223372036854775807,9999999999999999999.9999999999999999999,0.001,5e-324,true,9999-12-31,\
                23:59:59.999999,9999-12-31T23:59:59.999999Z,FFFFFFFF-ffff-ffff-ffff-ffffffffffff,\
                \"{\"\"b\"\": 1.50,  \"\"a\"\": \"\"\u{1f6a2}\"\"}\"";
    let nothing = "nothing,,,,,,,,,,";
    let file = format!("{head}\n{low}\n{high}\n{nothing}\nÆ\u{10ffff} z,,,,,,,,,,\n");
    let (code, first) = desk.site.load("t1.csv", &file);
    assert_eq!((code, counts(&first)), (0, [4, 0, 0, 0, 0]), "{first:#}");
    assert_eq!(
        desk.rows("select * from t where id in ('low', 'high') order by 1 desc"),
        [
            "low|-9223372036854775808|-9999999999999999999.9999999999999999999|-0.999|-1.7976931348623157e+308|f|\
             0001-01-01|00:00:00|0001-01-01 00:00:00+00|00000000-0000-0000-0000-000000000000|[]",
            "high|9223372036854775807|9999999999999999999.9999999999999999999|0.001|5e-324|t|9999-12-31|\
             23:59:59.999999|9999-12-31 23:59:59.999999+00|ffffffff-ffff-ffff-ffff-ffffffffffff|{\"a\": \"\u{1f6a2}\", \"b\": 1.50}",
        ]
    );
    assert_eq!(
        desk.rows("select count(*) from t where num_nulls(whole, exact, small, float, flag, day, hour, at, number, doc) = 10"),
        ["2"],
        "{:?}",
        desk.rows("select * from t")
    );
    let (_, again) = desk.site.load("t2.csv", format!("{file}another,1,1,0,0,no,,,,,\n"));
    assert_eq!(counts(&again), [1, 0, 4, 0, 0], "{again:#}");
}

/// A table that refuses for every reason.
const STRICT: &str = "create type colour as enum ('red', 'green');
    create domain even as int check (value % 2 = 0);
    create table p (id bigint primary key);
    insert into p values (1);
    create table t (id int primary key, parent bigint references p, code text unique, colour colour, even even,
      size smallint check (size <> 13), doc jsonb, lone text, name varchar(5));
    create function t() returns trigger language plpgsql as $$ begin
      if new.lone = 'raise' then raise exception 'no % here', new.lone; end if;
      if new.lone = 'own' then raise exception 'own' using errcode = 'WH001'; end if;
      if new.lone = 'pass' then return null; end if;
      if new.lone = 'divide' then new.size = 1 / 0; end if;
      return new; end $$;
    create trigger t before insert or update on t for each row execute function t();";
const STRICT_COLUMNS: &str = "id = { type = \"integer\" }\nparent = { type = \"integer\" }\ncode = {}\ncolour = {}\n\
     even = { type = \"integer\" }\nsize = { type = \"integer\" }\ndoc = { type = \"json\" }\nlone = { trim = false }\n\
     name = { max_length = 5 }";
/// Records, each with what it is refused for.
const REFUSED: [(&str, &str); 12] = [
    ("11,2,,,,,,,", "refers to a row that is not there (a foreign key of the table)"),
    ("12,,taken,,,,,,", "code: stands in another row of the table"),
    ("13,,,blue,,,,,", "colour: is not of the type"),
    ("14,,,,3,,,,", "does not pass the check `even_check` of its type"),
    ("15,,,,,13,,,", "does not pass the table's check `t_size_check`"),
    ("16,,,,,40000,,,", "size: is out of the range of the table's column"),
    ("17,,,,,,\"\"\"a\\u0000\"\"\",,", "doc: holds a character that the database cannot keep"),
    ("18,,,,,,,raise,", "was refused by a trigger of the table"),
    ("19,,,,,,,own,", "was refused by a trigger of the table"),
    ("20,,,,,,,pass,", "was passed over by a trigger of the table"),
    ("21,,,,,,,divide,", "cannot be kept, or computed with, by the table (SQLSTATE 22012)"),
    ("3000000000,,,,,,,,", "id: is out of the range of the table's column"),
];

#[test]
fn each_row_that_the_database_refuses_costs_that_row_only_whichever_way_rows_go() {
    for populated in [false, true] {
        let desk = Desk::new(KEYED, STRICT_COLUMNS);
        desk.sql(STRICT);
        if populated {
            desk.sql("insert into t (id, code) values (0, 'x'), (12, null), (18, null), (20, 'y')");
        }
        let mut file =
            "id,parent,code,colour,even,size,doc,lone,name\n1,1,taken,red,4,1,{},x,abcde\n".to_owned();
        for (record, _) in REFUSED {
            file.push_str(record);
            file.push('\n');
        }
        file.push_str("2,1,,green,,,,ab,\n3,,,,,,,,\n");
        let (code, delivery) = desk.site.load("t1.csv", &file);
        assert_eq!((code, counts(&delivery)), (2, [3, 0, 0, 0, 12]), "{populated}: {delivery:#}");
        let told = violations(&desk.site, &delivery);
        for ((record, words), told) in REFUSED.iter().zip(&told) {
            // Some begin with the column that is named.
            let (column, words) = words.split_once(": ").unwrap_or(("", words));
            assert!(told.contains(words), "{populated}: {record}: {told}");
            assert!(told.contains(&format!(" {column} target ")) || column.is_empty(), "{record}: {told}");
        }
        assert_eq!(desk.rows("select id from t where id in (1, 2, 3) order by 1"), ["1", "2", "3"]);
        assert_eq!(desk.rows("select count(*) from t"), [if populated { "7" } else { "3" }]);
    }
}

#[test]
fn mode_insert_newer_write_once_and_keeping_what_is_there_mean_what_they_mean_in_sqlite() {
    let columns = "id = {}\nversion = { type = \"integer\" }\nonce = { write = \"insert\" }\n\
                   kept = { on_null = \"keep\" }\nseen = { compare = false }";
    let desk = Desk::new(&format!("{KEYED}\ncreate = true\nnewer = \"version\""), columns);
    desk.site
        .load("t1.csv", "id,version,once,kept,seen\na,5,o,k,s\nb,5,o,k,s\nc,,o,k,s\nd,5,o,k,s\ne,5,o,k,s\n");
    let (_, second) = desk.site.load(
        "t2.csv",
        "id,version,once,kept,seen\na,6,x,,t\nb,4,x,K,t\nc,1,x,K,t\nd,5,x,,t\ne,,x,K,t\nf,,x,K,t\n",
    );
    // b and e are not newer, of d nothing that counts differs.
    assert_eq!(counts(&second), [1, 2, 1, 2, 0], "{second:#}");
    let all = desk.rows("select * from t order by id");
    assert_eq!(all, ["a|6|o|k|t", "b|5|o|k|s", "c|1|o|K|t", "d|5|o|k|s", "e|5|o|k|s", "f||x|K|t"]);

    desk.map("i", "table = \"i\"\nkey = \"id\"\nmode = \"insert\"\ncreate = true", "id = {}\nx = {}");
    let (_, first) = desk.site.load("i1.csv", "id,x\na,1\nb,2\n");
    assert_eq!(counts(&first), [2, 0, 0, 0, 0]);
    let (code, second) = desk.site.load("i2.csv", "id,x\nc,1\nb,2\na,3\n");
    assert_eq!((code, counts(&second)), (2, [1, 0, 0, 0, 2]), "{second:#}");
    let told = violations(&desk.site, &second);
    assert_eq!(told, ["2 id key b: is in the table already", "3 id key a: is in the table already"]);
}

#[test]
fn tables_that_others_made_are_taken_as_they_are() {
    let desk = Desk::new(
        "table = \"Sales.Orders\"\nkey = \"id\"",
        "id = { type = \"integer\" }\n\"Net total\" = {}",
    );
    desk.sql(
        "create schema \"Sales\"; create domain words as varchar(30) not null;
         create table \"Sales\".\"Orders\" (id int generated always as identity primary key, \"Net total\" text,
           doubled int generated always as (id * 2) stored, made timestamptz not null default now());
         create table parts (id int not null, region text not null, x words, serial serial, primary key (id, region))
           partition by list (region);
         create table parts_eu partition of parts for values in ('eu');
         create view simple as select id as number, region, x from parts where x <> 'no' with check option;
         create table behind (id int primary key, x text);
         create view complex as select id, max(x) as x from behind group by id;
         create function put() returns trigger language plpgsql as $$ begin
           insert into behind values (new.id, new.x) on conflict (id) do update set x = excluded.x; return new; end $$;
         create trigger put instead of insert or update on complex for each row execute function put();",
    );
    let (_, first) = desk.site.load("t1.csv", "id,Net total\n7,a\n8,b\n");
    let (_, second) = desk.site.load("t2.csv", "id,Net total\n7,a\n8,c\n9,d\n");
    assert_eq!((counts(&first), counts(&second)), ([2, 0, 0, 0, 0], [1, 1, 1, 0, 0]), "{second:#}");
    assert_eq!(
        desk.rows("select id, \"Net total\", doubled, made is not null from \"Sales\".\"Orders\" order by 1"),
        ["7|a|14|t", "8|c|16|t", "9|d|18|t"]
    );

    let region = "region = {}\nx = { required = true, max_length = 30 }";
    desk.map(
        "p",
        "table = \"parts\"\nkey = [\"id\", \"region\"]",
        &format!("id = {{ type = \"integer\" }}\n{region}"),
    );
    let (_, first) = desk.site.load("p1.csv", "id,region,x\n3,eu,a\n1,eu,b\n2,us,c\n");
    assert_eq!(counts(&first), [2, 0, 0, 0, 1], "{first:#}");
    assert!(violations(&desk.site, &first)[0].contains("fits none of the table's partitions"));
    let (_, second) = desk.site.load("p2.csv", "id,region,x\n5,eu,a\n4,eu,b\n3,eu,a\n2,us,c\n");
    assert_eq!(counts(&second), [2, 0, 1, 0, 1], "{second:#}");
    // Numbers are given in the order of the file.
    assert_eq!(desk.rows("select id from parts order by serial"), ["3", "1", "5", "4"]);

    desk.map(
        "s",
        "table = \"simple\"\nkey = \"number\"",
        &format!("number = {{ type = \"integer\" }}\n{region}"),
    );
    let (_, view) = desk.site.load("s1.csv", "number,region,x\n1,eu,B\n3,eu,a\n6,eu,f\n7,eu,no\n");
    assert_eq!(counts(&view), [1, 1, 1, 0, 1], "{view:#}");
    assert!(violations(&desk.site, &view)[0].contains("condition of the view"));

    desk.map("c", "table = \"complex\"\nkey = \"id\"", "id = { type = \"integer\" }\nx = {}");
    desk.site.load("c1.csv", "id,x\n1,a\n2,b\n");
    let (_, view) = desk.site.load("c2.csv", "id,x\n1,a\n2,B\n3,c\n");
    assert_eq!(counts(&view), [1, 1, 1, 0, 0], "{view:#}");
    assert_eq!(desk.rows("select * from behind order by id"), ["1|a", "2|B", "3|c"]);
}

#[test]
fn keys_that_the_table_takes_for_one_are_rejects_that_name_the_earlier_record() {
    let desk = Desk::new(KEYED, "id = { max_length = 5, trim = false }\nx = {}");
    desk.sql("create extension citext; create collation folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)");
    for (kind, same) in [("citext", "a"), ("text collate folded", "A"), ("char(5)", "A  ")] {
        desk.sql(&format!("drop table if exists t; create table t (id {kind} primary key, x text)"));
        let file = format!("id,x\nA,1\nb,2\n{same},3\n");
        let (code, first) = desk.site.load("t1.csv", &file);
        assert_eq!((code, counts(&first)), (2, [2, 0, 0, 0, 1]), "{kind}: {first:#}");
        let told = violations(&desk.site, &first);
        assert!(
            told[0].starts_with("3 id key ") && told[0].contains("repeats the key of record 1"),
            "{told:?}"
        );
        let (_, second) = desk.site.load("t2.csv", format!("id,x\n{same},1\nb,9\n"));
        assert_eq!(counts(&second), [0, 1, 1, 0, 0], "{kind}: {second:#}");
    }
    // What is not the same bytes differs, whatever the table takes for equal.
    desk.sql("drop table t; create table t (id text primary key, x citext)");
    desk.site.load("t3.csv", "id,x\na,big\nb,big\n");
    let (_, changed) = desk.site.load("t4.csv", "id,x\na,BIG\nb,big\n");
    assert_eq!(
        (counts(&changed), desk.rows("select x from t where id = 'a'")),
        ([0, 1, 1, 0, 0], vec!["BIG".to_owned()])
    );
}

#[test]
fn a_trigger_that_rewrites_values_has_its_rows_updated_each_time_and_it_is_said() {
    let desk = Desk::new(KEYED, "id = {}\nx = {}");
    desk.sql(
        "create table t (id text primary key, x text);
         create function f() returns trigger language plpgsql as $$ begin new.x = upper(new.x); return new; end $$;
         create trigger f before insert or update on t for each row execute function f()",
    );
    desk.site.load("t1.csv", "id,x\n1,a\n2,B\n");
    let (_, again) = desk.site.load("t2.csv", "id,x\n1,a\n2,B\n3,\n");
    assert_eq!(counts(&again), [1, 1, 1, 0, 0], "{again:#}");
    let message = again["message"].as_str().unwrap();
    assert_eq!(message.matches("has triggers that can change rows").count(), 1, "{message}");
}

#[test]
fn rows_that_refer_to_others_of_the_file_are_taken_in_any_order_and_deferred_keys_are_told_row_by_row() {
    let desk = Desk::new(KEYED, "id = {}\nboss = {}\nplace = {}");
    desk.sql(
        "create table places (id text primary key); insert into places values ('here');
         create table t (id text primary key, boss text references t,
           place text references places deferrable initially deferred)",
    );
    let (_, first) = desk
        .site
        .load("t1.csv", "id,boss,place\na,c,here\nb,,nowhere\nc,d,here\nd,,\ne,nobody,\nf,e,\ng,b,\n");
    assert_eq!(counts(&first), [3, 0, 0, 0, 4], "{first:#}");
    assert_eq!(desk.rows("select id from t order by id"), ["a", "c", "d"]);
    let records: Vec<String> =
        violations(&desk.site, &first).iter().map(|told| told[..1].to_owned()).collect();
    assert_eq!(records, ["2", "5", "6", "7"]);
    // A rule that only the end of the load can check, and that refers to the table itself, is nobody's row.
    let desk = Desk::new(KEYED, "id = {}\nboss = {}\nplace = {}");
    desk.sql("create table t (id text primary key, boss text references t deferrable initially deferred, place text)");
    let (_, good) = desk.site.load("t2.csv", "id,boss,place\na,b,\nb,,\n");
    assert_eq!(counts(&good), [2, 0, 0, 0, 0], "{good:#}");
    let (code, bad) = desk.site.load("t3.csv", "id,boss,place\nx,y,\nz,,\n");
    assert_eq!((code, &bad["outcome"]), (1, &json!("failed")), "{bad:#}");
    assert!(bad["message"].as_str().unwrap().contains("DEFERRED"), "{bad:#}");
    assert_eq!(desk.rows("select id from t order by id"), ["a", "b"]);
}

#[test]
fn what_others_write_meanwhile_is_met_by_holding_the_rows_against_the_table_again() {
    let desk = Desk::new(&format!("{KEYED}\ncreate = true"), "id = {}\nx = {}");
    desk.sql("create table t (id text primary key, x text)");
    let other = desk.postgres.session(&desk.database);
    // The table looks empty, and is not.
    other.run("begin; insert into t values ('b', 'theirs')");
    let load = desk.loading("t1.csv", "id,x\na,1\nb,2\nc,3\n");
    desk.wait_for_a_lock();
    other.run("commit");
    let first = ended(load);
    assert_eq!(counts(&first), [2, 1, 0, 0, 0], "{first:#}");
    // Rows are new, changed and unchanged when the load looks, and not any more when it writes.
    other.run("begin; insert into t values ('d', 'theirs'), ('e', '5'); delete from t where id = 'a'");
    let load = desk.loading("t2.csv", "id,x\na,9\nb,9\nc,3\nd,4\ne,5\nf,6\n");
    desk.wait_for_a_lock();
    other.run("commit");
    let second = ended(load);
    assert_eq!(counts(&second), [2, 2, 2, 0, 0], "{second:#}");
    assert_eq!(desk.rows("select * from t order by id"), ["a|9", "b|9", "c|3", "d|4", "e|5", "f|6"]);
}

#[test]
fn a_lock_that_somebody_keeps_is_a_passing_fault_and_readers_are_never_kept_waiting() {
    let desk = Desk::new(&format!("{KEYED}\ncreate = true"), "id = {}\nx = {}");
    desk.connect("lock_seconds = 1\n[run]\nattempts = 1\n");
    desk.site.load("t1.csv", "id,x\na,1\n");
    let other = desk.postgres.session(&desk.database);
    other.run("begin; update t set x = 'theirs' where id = 'a'");
    let (code, locked) = desk.site.load("t2.csv", "id,x\na,2\n");
    assert_eq!((code, &locked["outcome"]), (1, &json!("failed")), "{locked:#}");
    let message = locked["message"].as_str().unwrap();
    assert!(message.contains("`lock_seconds`"), "{message}");
    other.run("commit");
    let id = locked["delivery"].as_str().unwrap();
    let retried = desk.site.run(["retry", "--json", id]);
    assert_eq!(desk.rows("select x from t"), ["2"], "{retried:?}");
    // With the table locked for reading only, a load of nothing new goes through.
    other.run("begin; lock table t in row exclusive mode");
    let (code, same) = desk.site.load("t3.csv", "x,id\n2,a\n");
    assert_eq!((code, counts(&same)), (0, [0, 0, 1, 0, 0]), "{same:#}");
}

#[test]
fn more_than_a_thousand_refused_rows_refuse_the_file() {
    let desk = Desk::new(KEYED, "id = {}\nx = { type = \"integer\" }");
    desk.sql("create table t (id text primary key, x int check (x > 0))");
    for populated in [false, true] {
        if populated {
            desk.sql("insert into t values ('there', 1)");
        }
        let record = |row: u32| format!("r{row}{populated},{}\n", u32::from(row.is_multiple_of(3)));
        let rows: String = (0..1_500).map(record).collect();
        let (_, within) = desk.site.load("t1.csv", format!("id,x\n{rows}"));
        assert_eq!(counts(&within), [500, 0, 0, 0, 1000], "{within:#}");
        let (code, beyond) = desk.site.load("t2.csv", format!("id,x\n{rows}z,0\n"));
        assert_eq!((code, &beyond["reason"]), (3, &json!("target_limit")), "{beyond:#}");
        desk.sql("delete from t where id <> 'there'");
    }
}
