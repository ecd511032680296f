//! The engine with a PostgreSQL server: side by side and in order, while the server is down or its reply is lost, checked before
//! anything is loaded, and reconciled after it was put back.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::{
    engine::{Running, until},
    postgres::{Cut, OWNER, Postgres, Relay},
    support::{Ran, Site},
};

/// The settings of a site that takes files as soon as they are seen, and tries again soon.
fn settings(url: &str) -> String {
    format!(
        "[sources.inbox]\nfolder = \"inbox\"\nsettle_seconds = 0\n[run]\nretry_seconds = 1\nattempts = 20\n\
         [connections.w]\nurl = \"{url}\"\n"
    )
}

/// A mapping of files `NAME_*` into a table.
fn mapping(name: &str, table: &str, more: &str) -> String {
    format!(
        "match = \"{name}_*\"\n[format]\ntype = \"csv\"\n[target]\nconnection = \"w\"\ntable = \"{table}\"\nkey = [\"id\"]\n\
         {more}\n[columns]\nid = {{ max_length = 10 }}\nvalue = {{ type = \"integer\" }}\n"
    )
}

/// A site with mappings of files `NAME_*` into tables of these names, which are created.
fn site(url: &str, tables: &[&str]) -> Site {
    let site = Site::new();
    site.write("wharf.toml", settings(url));
    for table in tables {
        site.write(format!("mappings/inbound/{table}.toml"), mapping(table, table, "create = true"));
    }
    fs::create_dir(site.path("inbox")).unwrap();
    site
}

fn row(id: &str, value: u32) -> String {
    format!("id,value\n{id},{value}\n")
}

fn id(delivery: &Value) -> &str {
    delivery["delivery"].as_str().unwrap_or_else(|| panic!("{delivery}"))
}

/// The texts and names of a delivery's events.
fn story(site: &Site, delivery: &Value) -> Vec<String> {
    let shown = site.run(["show", "--json", id(delivery)]).exits(0).object();
    let entries = shown["story"].as_array().unwrap().clone();
    entries
        .iter()
        .map(|entry| &entry["event"])
        .map(|event| event["text"].as_str().or(event["event"].as_str()).unwrap().to_owned())
        .collect()
}

fn load(site: &Site, name: &str, content: &str) -> Ran {
    site.write(name, content);
    site.run(["load", "--json", name])
}

/// The deliveries that run, by their files.
fn running(site: &Site) -> Vec<String> {
    let told = site.status();
    let running = told["engine"]["running"].as_array().cloned().unwrap_or_default();
    let name = |path: &Value| {
        PathBuf::from(path.as_str().unwrap()).file_name().unwrap().to_string_lossy().into_owned()
    };
    let mut names: Vec<String> = running.iter().map(|delivery| name(&delivery["file"])).collect();
    names.sort();
    names
}

#[test]
fn tables_are_loaded_side_by_side_and_one_table_one_after_the_other_by_whatever_name() {
    let postgres = Postgres::start();
    let database = postgres.database();
    let site = site(&postgres.url(&database), &["a", "b", "c", "d"]);
    site.write("mappings/inbound/e.toml", mapping("e", "public.a", ""));
    for table in ["a", "b", "c", "d"] {
        load(&site, &format!("{table}_0.csv"), &row("0", 0)).exits(0);
    }
    let holder = postgres.session(&database);
    holder.run("begin; lock table a, b, c in access exclusive mode");
    let run: Running = site.start();
    for (name, value) in [("a_1", 1), ("b_1", 1), ("c_1", 1)] {
        site.arrive(format!("inbox/{name}.csv"), row("1", value));
    }
    until("three to be at work", || (running(&site) == ["a_1.csv", "b_1.csv", "c_1.csv"]).then_some(()));
    site.arrive("inbox/e_2.csv", row("1", 2));
    site.waits_for("e_2.csv", "taken");
    // There is room for one more, and only another table may take it.
    site.arrive("inbox/d_1.csv", row("1", 1));
    site.waits_for("d_1.csv", "loaded");
    assert_eq!(running(&site), ["a_1.csv", "b_1.csv", "c_1.csv"]);
    holder.run("commit");
    site.waits_for("e_2.csv", "loaded");
    for name in ["a_1.csv", "b_1.csv", "c_1.csv"] {
        site.waits_for(name, "loaded");
    }
    assert_eq!(postgres.rows(&database, "select id, value from a order by id"), ["0|0", "1|2"]);
    run.stop().exits(0);
}

#[test]
fn a_server_that_is_down_keeps_nothing_from_being_taken_and_what_waits_is_loaded_when_it_is_back() {
    let mut postgres = Postgres::over_tcp();
    let database = postgres.database();
    postgres.role("loader", "secret");
    postgres
        .script_in(&database, "create schema s authorization loader; alter role loader set search_path = s");
    let site = site(&postgres.tcp_url("loader", "127.0.0.1", &database), &["a"]);
    let password = site.write("password", "secret\n");
    let toml = settings(&postgres.tcp_url("loader", "127.0.0.1", &database));
    site.write("wharf.toml", format!("{toml}password = {{ file = \"{}\" }}\n", password.display()));
    postgres.stop();
    let run = site.start();
    site.arrive("inbox/a_1.csv", row("1", 1));
    let database_of = |told: &Value| told["engine"]["databases"][0].clone();
    let told = until("status to tell of it", || {
        Some(database_of(&site.status())).filter(|database| !database.is_null())
    });
    assert_eq!(told["connection"], "w");
    assert!(told["trouble"].as_str().unwrap().contains("cannot be reached"), "{told}");
    assert!(told["since"].as_str().unwrap().starts_with("20"), "{told}");
    let shown = site.run(["status"]).exits(0).out;
    assert!(shown.contains("connection w takes nothing since 20"), "{shown}");
    assert!(shown.contains("a_1.csv: waiting"), "{shown}");
    // Others are taken, and wait behind it.
    site.arrive("inbox/a_2.csv", row("1", 2));
    site.waits_for("a_2.csv", "taken");
    assert_eq!(site.files_in("inbox"), Vec::<String>::new());
    postgres.start_again();
    site.waits_for("a_2.csv", "loaded");
    assert_eq!(postgres.rows(&database, "select id, value from s.a"), ["1|2"]);
    until("status to say no more of it", || database_of(&site.status()).is_null().then_some(()));
    run.stop().exits(0);
}

#[test]
fn a_wrong_password_is_no_matter_of_time_and_retry_goes_on_when_it_is_mended() {
    let postgres = Postgres::over_tcp();
    let database = postgres.database();
    postgres.role("loader", "secret");
    postgres.script_in(&database, "grant create, usage on schema public to loader");
    let url = postgres.tcp_url("loader", "127.0.0.1", &database);
    let site = site(&url, &["a"]);
    let password = site.write("password", "wrong-and-secret");
    site.write(
        "wharf.toml",
        format!("{}password = {{ file = \"{}\" }}\n", settings(&url), password.display()),
    );
    let failed = load(&site, "a_1.csv", &row("1", 1)).exits(1).object();
    let message = failed["message"].as_str().unwrap();
    assert!(message.contains("does not let this user in") && !message.contains("wrong-and"), "{message}");
    let run = site.start();
    site.arrive("inbox/a_2.csv", row("1", 2));
    let waiting = site.waits_for("a_2.csv", "waiting");
    assert!(waiting["message"].as_str().unwrap().contains(id(&failed)), "{waiting}");
    fs::write(&password, "secret").unwrap();
    site.run(["retry", id(&failed)]).exits(0);
    site.waits_for("a_2.csv", "loaded");
    assert_eq!(postgres.rows(&database, "select id, value from a"), ["1|2"]);
    run.stop().exits(0);
}

#[test]
fn a_lost_reply_to_commit_is_settled_by_the_loads_table_within_the_attempt() {
    let postgres = Postgres::start();
    let database = postgres.database();
    let relay = Relay::to(&postgres);
    let site = site(&relay.url(&database), &["a"]);
    load(&site, "a_0.csv", &row("0", 0)).exits(0);
    relay.cut(Cut::After, false);
    let ran = load(&site, "a_1.csv", &row("1", 1)).exits(0);
    assert!(relay.has_cut());
    let loaded = ran.object();
    assert_eq!((&loaded["outcome"], &loaded["tally"]["inserted"]), (&json!("loaded"), &json!(1)));
    assert!(ran.err.contains("the reply to the commit was lost, and the database has the rows"), "{ran:?}");
    let told = story(&site, &loaded);
    assert_eq!(told.iter().filter(|event| *event == "started").count(), 1, "{told:?}");
    assert!(told.iter().any(|event| event.contains("the reply to the commit was lost")), "{told:?}");
    assert_eq!(postgres.rows(&database, "select id, value from a order by id"), ["0|0", "1|1"]);
    assert_eq!(
        postgres.rows(&database, "select count(*), min(state), max(state) from _wharf_loads"),
        ["2|loaded|loaded"]
    );
    site.run(["reconcile"]).exits(0);
}

#[test]
fn a_commit_that_never_arrived_has_loaded_nothing_and_is_made_by_the_next_attempt() {
    let postgres = Postgres::start();
    let database = postgres.database();
    let relay = Relay::to(&postgres);
    let site = site(&relay.url(&database), &["a"]);
    load(&site, "a_0.csv", &row("0", 0)).exits(0);
    relay.cut(Cut::Before, false);
    let failed = load(&site, "a_1.csv", &row("1", 1)).exits(1).object();
    assert_eq!((&failed["outcome"], relay.has_cut()), (&json!("failed"), true));
    assert_eq!(postgres.rows(&database, "select id from a"), ["0"]);
    let retried = site.run(["retry", "--json", id(&failed)]).exits(0).object();
    assert_eq!(retried["tally"]["inserted"], 1);

    relay.cut(Cut::Before, false);
    let run = site.start();
    site.arrive("inbox/a_2.csv", row("1", 2));
    let loaded = site.waits_for("a_2.csv", "loaded");
    let told = story(&site, &loaded);
    assert_eq!(told.iter().filter(|event| *event == "postponed").count(), 1, "{told:?}");
    assert_eq!(postgres.rows(&database, "select id, value from a order by id"), ["0|0", "1|2"]);
    run.stop().exits(0);
}

#[test]
fn a_commit_whose_fate_nobody_can_tell_yet_is_found_out_when_the_server_is_back() {
    for cut in [Cut::Before, Cut::After] {
        let postgres = Postgres::start();
        let database = postgres.database();
        let relay = Relay::to(&postgres);
        let site = site(&relay.url(&database), &["a"]);
        load(&site, "a_0.csv", &row("0", 0)).exits(0);
        relay.cut(cut, true);
        let run = site.start();
        site.arrive("inbox/a_1.csv", row("1", 1));
        let said = run.says("the next attempt finds out whether the rows are in");
        assert_eq!(said["level"], "warn", "{cut:?}: {said}");
        relay.mend();
        let loaded = site.waits_for("a_1.csv", "loaded");
        assert_eq!(loaded["tally"]["inserted"], 1, "{cut:?}: {loaded}");
        let told = story(&site, &loaded);
        let only_recorded = told.iter().any(|event| event.contains("only recorded now"));
        assert_eq!(only_recorded, cut == Cut::After, "{told:?}");
        assert_eq!(postgres.rows(&database, "select id, value from a order by id"), ["0|0", "1|1"]);
        run.stop().exits(0);
    }
}

#[test]
fn a_failed_delivery_is_not_declined_while_the_server_cannot_say_whether_it_has_the_rows() {
    let postgres = Postgres::start();
    let database = postgres.database();
    let relay = Relay::to(&postgres);
    let site = site(&relay.url(&database), &["a"]);
    load(&site, "a_0.csv", &row("0", 0)).exits(0);
    relay.cut(Cut::After, true);
    let failed = load(&site, "a_1.csv", &row("1", 1)).exits(1).object();
    assert!(failed["message"].as_str().unwrap().contains("the next attempt finds out"), "{failed}");
    let denied = site.run(["decline", id(&failed)]).exits(1);
    assert!(denied.err.contains("cannot be asked whether it has the rows"), "{denied:?}");
    relay.mend();
    let denied = site.run(["decline", id(&failed)]).exits(1);
    assert!(denied.err.contains("are in the database already"), "{denied:?}");
    site.run(["retry", id(&failed)]).exits(0);
    assert_eq!(postgres.rows(&database, "select id, value from a order by id"), ["0|0", "1|1"]);
}

#[test]
fn a_file_that_came_twice_while_the_server_was_down_is_a_duplicate_all_the_same() {
    let postgres = Postgres::start();
    let database = postgres.database();
    let relay = Relay::to(&postgres);
    let site = site(&relay.url(&database), &[]);
    site.write("mappings/inbound/a.toml", mapping("a", "a", "create = true\nmode = \"insert\""));
    load(&site, "a_1.csv", &row("1", 1)).exits(0);
    relay.cut(Cut::Before, true);
    let run = site.start();
    site.arrive("inbox/a_2.csv", row("2", 2));
    run.says("tried again in");
    site.arrive("inbox/a_3.csv", row("2", 2));
    relay.mend();
    site.waits_for("a_2.csv", "loaded");
    let duplicate = site.waits_for("a_3.csv", "duplicate");
    assert_eq!(duplicate["tally"], Value::Null);
    run.stop().exits(0);
}

#[test]
fn what_a_restored_server_forgot_is_named_and_brought_back() {
    let postgres = Postgres::start();
    let database = postgres.database();
    let site = site(&postgres.url(&database), &["a"]);
    load(&site, "a_1.csv", &row("1", 1)).exits(0);
    let copy = format!("{database}_copy");
    postgres.script(&format!("create database {copy} template {database}"));
    let second = load(&site, "a_2.csv", "id,value\n1,2\n2,x\n").exits(2).object();
    let third = load(&site, "a_3.csv", &row("3", 3)).exits(0).object();
    let before = postgres.rows(&database, "select id, value from a order by id");
    postgres.script(&format!("drop database {database}"));
    postgres.script(&format!("create database {database} template {copy}"));
    let told = site.run(["reconcile", "--json", "--connection", "w"]).exits(3).object();
    let database_told = &told["databases"][0];
    assert_eq!((&database_told["connection"], &database_told["agreed"]), (&json!("w"), &json!(1)));
    let command = database_told["tables"][0]["command"].as_str().unwrap();
    assert_eq!(command, format!("wharf rerun {} {}", id(&second), id(&third)));
    site.run(command.split(' ').skip(1)).exits(2);
    assert_eq!(postgres.rows(&database, "select id, value from a order by id"), before);
    site.run(["reconcile"]).exits(0);
}

#[test]
fn check_names_a_server_that_is_down_once_and_everything_else_that_is_wrong() {
    let mut postgres = Postgres::start();
    let database = postgres.database();
    let site = site(&postgres.url(&database), &["a", "b"]);
    site.write("mappings/inbound/c.toml", "match = 5\n");
    let local = mapping("d", "d", "create = false").replace("connection = \"w\"\n", "");
    site.write("mappings/inbound/d.toml", local);
    postgres.stop();
    let ran = site.run(["check"]).exits(1);
    assert_eq!(ran.err.matches("cannot be reached").count(), 1, "{}", ran.err);
    for part in ["connection `w`", "a, b", "mappings/inbound/c.toml", "table `d` does not exist"] {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }
    postgres.start_again();
    let ran = site.run(["check", "a"]).exits(0);
    assert!(ran.out.contains("a_* -> table a of w (the first load creates it)"), "{}", ran.out);
}

#[test]
fn check_prints_the_statements_that_a_user_without_rights_needs_ready_to_paste() {
    let postgres = Postgres::start();
    let database = postgres.database();
    postgres.role("loader", "secret");
    postgres.script_in(&database, "create table b (id text primary key, value bigint); revoke temporary on database postgres from public");
    postgres.script_in(&database, &format!("revoke temporary on database {database} from public"));
    let site = site(&postgres.url_as("loader", &database), &["a"]);
    site.write("mappings/inbound/b.toml", mapping("b", "b", ""));
    let ran = site.run(["check"]).exits(1);
    assert!(ran.err.contains("may not"), "{}", ran.err);
    let script = ran
        .err
        .rsplit("\n\n")
        .find(|part| part.contains("CREATE TABLE"))
        .unwrap_or_else(|| panic!("{}", ran.err));
    let statements: String = script
        .lines()
        .filter(|line| line.trim_end().ends_with(';'))
        .map(|line| format!("{line}\n"))
        .collect();
    for part in [
        "_wharf_loads",
        "CREATE TABLE \"a\"",
        "GRANT SELECT, INSERT, UPDATE ON",
        "GRANT TEMPORARY ON DATABASE",
    ] {
        assert!(statements.contains(part), "{part}: {statements}");
    }
    let told = site.run(["check", "--json"]).exits(1).object();
    assert_eq!(told["statements"]["w"].as_array().unwrap().len(), statements.lines().count(), "{told:#}");
    // As their owner runs it.
    postgres.script_in(&database, &statements);
    site.run(["check"]).exits(0);
    for file in ["a_1.csv", "b_1.csv"] {
        load(&site, file, &row("1", 1)).exits(0);
        load(&site, file, &row("1", 2)).exits(0);
    }
    assert_eq!(
        postgres.rows(&database, "select tableowner from pg_tables where schemaname = 'public' group by 1"),
        [OWNER]
    );
    assert_eq!(postgres.rows(&database, "select value from a union all select value from b"), ["2", "2"]);
}

/// The first block in this language of the section on PostgreSQL in the manual.
fn manual(language: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let text = fs::read_to_string(path).unwrap();
    let section = text.split("\n## PostgreSQL\n").nth(1).expect("the section");
    section
        .split(&format!("```{language}\n"))
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap()
        .to_owned()
}

#[test]
fn what_the_manual_says_of_roles_and_settings_is_all_that_is_needed() {
    let postgres = Postgres::over_tcp();
    postgres.script("create database warehouse; revoke temporary on database warehouse from public");
    postgres.script_in("warehouse", "create table orders (id text primary key, value bigint)");
    postgres.script_in("warehouse", &manual("sql"));
    let url = postgres.tcp_url("loader", "127.0.0.1", "warehouse");
    let lines = manual("toml");
    let lines: Vec<String> = lines
        .lines()
        .map(|line| if line.starts_with("url = ") { format!("url = \"{url}\"") } else { line.to_owned() })
        .collect();
    let site = Site::new();
    site.write("wharf.toml", lines.join("\n"));
    site.write(
        "mappings/inbound/orders.toml",
        mapping("orders", "orders", "").replace("\"w\"", "\"warehouse\""),
    );
    let run = |arguments: &[&str]| {
        crate::support::run(site.command(arguments).env("WAREHOUSE_PASSWORD", "change this"))
    };
    let checked = run(&["check"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    for value in [1, 2] {
        site.write("orders_1.csv", row("1", value));
        assert_eq!(run(&["load", "orders_1.csv"]).code, 0);
    }
    assert_eq!(postgres.rows("warehouse", "select value from orders"), ["2"]);
    assert_eq!(postgres.rows("warehouse", "select count(*) from wharf.loads"), ["2"]);
}
