//! Reaching a PostgreSQL server: passwords, encryption, a pooler on the way, and privileges; and what is said when it cannot be
//! reached or the table does not fit.

use serde_json::json;

use crate::{
    postgres::{Certificate, Certificates, PgBouncer, Postgres},
    postgres_loading::{Desk, counts},
    support::{Ran, Site, run},
};

const MAPPING: &str = "match = \"t*\"\n[format]\ntype = \"csv\"\n[target]\nconnection = \"w\"\ntable = \"t\"\nkey = \"id\"\ncreate = true\n\
                       [columns]\nid = {}\nx = {}\n";

/// A site that reaches its database by this URL, with more lines for the connection.
fn site(url: &str, more: &str) -> Site {
    let site = Site::with_mapping("t", MAPPING);
    site.write("wharf.toml", format!("[connections.w]\nurl = \"{url}\"\n{more}\n[run]\nattempts = 1\n"));
    site.write("t.csv", "id,x\na,1\n");
    site
}

/// Loads with a password in the environment.
fn load(site: &Site, password: &str) -> Ran {
    run(site.command(["load", "--json", "--again", "t.csv"]).env("SECRET", password))
}

const FROM_ENV: &str = "password = { env = \"SECRET\" }";

fn failure(ran: &Ran) -> String {
    let delivery = ran.object();
    assert_eq!((ran.code, &delivery["outcome"]), (1, &json!("failed")), "{delivery:#}");
    assert!(!ran.out.contains("wr0ng") && !ran.err.contains("wr0ng"), "{ran:?}");
    delivery["message"].as_str().unwrap().to_owned()
}

/// A server with TLS only, and a role that may create tables.
fn server(certificates: &Certificates, certificate: Certificate) -> Postgres {
    let postgres = Postgres::over_tls(certificates, certificate);
    postgres.role("loader", "r1ght");
    postgres.script("grant create on schema public to loader");
    postgres
}

#[test]
fn passwords_come_from_the_environment_or_a_file_and_connections_are_encrypted_as_sslmode_says() {
    let certificates = Certificates::new();
    let postgres = server(&certificates, Certificate::Good);
    let url = |host: &str, query: &str| format!("{}?{query}", postgres.tcp_url("loader", host, "postgres"));
    let root = format!("sslrootcert={}", certificates.authority().display());
    for query in
        ["", "sslmode=allow", "sslmode=prefer", "sslmode=require", &format!("sslmode=verify-full&{root}")]
    {
        let ran = load(&site(&url("localhost", query), FROM_ENV), "r1ght");
        assert_eq!(ran.code, 0, "{query}: {ran:?}");
    }
    let with_file =
        site(&url("127.0.0.1", &format!("sslmode=verify-ca&{root}")), "password = { file = \"keys/db\" }");
    with_file.write("keys/db", "r1ght\n");
    assert_eq!(load(&with_file, "").code, 0);
    let encrypted = "select count(*) from pg_stat_ssl where pid = pg_backend_pid() and ssl";
    assert_eq!(postgres.rows("postgres", encrypted), ["0"], "the test's own way in is not");

    let failed =
        |query: &str, password: &str| failure(&load(&site(&url("localhost", query), FROM_ENV), password));
    assert!(failed("sslmode=disable", "r1ght").contains("does not let this user in"));
    let wrong = failed("", "wr0ng");
    assert!(wrong.contains("does not let this user in") && wrong.contains("28P01"), "{wrong}");
    let missing = failure(&site(&url("localhost", ""), FROM_ENV).run(["load", "--json", "t.csv"]));
    assert!(missing.contains("the environment variable `SECRET` is not set"), "{missing}");
    let untold = failure(&load(&site(&url("localhost", ""), ""), ""));
    assert!(untold.contains("asks for a password"), "{untold}");
    let stranger = failed("sslmode=verify-full", "r1ght");
    assert!(stranger.contains("no encrypted connection"), "{stranger}");
}

#[test]
fn a_server_that_cannot_prove_who_it_is_gets_nothing() {
    let certificates = Certificates::new();
    let root = format!("sslrootcert={}", certificates.authority().display());
    let tries = |certificate, mode: &str| {
        let postgres = server(&certificates, certificate);
        let url = format!("{}?sslmode={mode}&{root}", postgres.tcp_url("loader", "localhost", "postgres"));
        load(&site(&url, FROM_ENV), "r1ght")
    };
    let other = failure(&tries(Certificate::OfAnotherHost, "verify-full"));
    assert!(other.contains("no encrypted connection") && other.contains("name"), "{other}");
    assert_eq!(tries(Certificate::OfAnotherHost, "verify-ca").code, 0);
    // With a root, `require` verifies too.
    for mode in ["verify-full", "verify-ca", "require"] {
        let expired = failure(&tries(Certificate::Expired, mode));
        assert!(expired.contains("no encrypted connection") && expired.contains("xpired"), "{expired}");
    }
    let postgres = server(&Certificates::new(), Certificate::Good);
    let url = format!("{}?sslmode=verify-ca&{root}", postgres.tcp_url("loader", "localhost", "postgres"));
    assert!(failure(&load(&site(&url, FROM_ENV), "r1ght")).contains("no encrypted connection"));
}

#[test]
fn loads_go_through_pgbouncer_in_transaction_mode_and_leave_nothing_behind() {
    let postgres = Postgres::over_tcp();
    postgres.role("loader", "r1ght");
    postgres.script("grant create on schema public to loader");
    let bouncer = PgBouncer::before(&postgres, "loader", "r1ght");
    let url = bouncer.url("loader", "postgres");
    let site = site(&url, FROM_ENV);
    for (file, expected) in [
        ("id,x\na,1\nb,2\n", [2, 0, 0, 0, 0]),
        ("id,x\na,1\nb,3\n", [0, 1, 1, 0, 0]),
        ("id,x\nc,1\nb,3\n", [1, 0, 1, 0, 0]),
    ] {
        site.write("t.csv", file);
        let ran = load(&site, "r1ght");
        assert_eq!(counts(&ran.object()), expected, "{ran:?}\n{}", bouncer.log());
    }
    // Names that others left behind on all of the pooler's connections are stepped over.
    let ask = |sql: &str| {
        let mut psql = std::process::Command::new("psql");
        run(psql.args([&url, "-AXtc", sql]).env("PGPASSWORD", "r1ght")).exits(0).out
    };
    let left = "select count(*) from pg_prepared_statements";
    for _ in 0..4 {
        assert_eq!(
            (ask(left), ask("select count(*) from pg_class where relpersistence = 't'")),
            ("0\n".into(), "0\n".into())
        );
    }
    for _ in 0..4 {
        ask("do $$ begin if not exists (select from pg_prepared_statements where name = 's0')
             then execute 'prepare s0 as select 1'; end if; end $$");
    }
    site.write("t.csv", "id,x\nc,2\nb,3\n");
    assert_eq!(counts(&load(&site, "r1ght").object()), [0, 1, 1, 0, 0]);
}

#[test]
fn a_server_that_is_not_there_is_a_fault_that_passes() {
    let mut postgres = Postgres::over_tcp();
    postgres.role("loader", "r1ght");
    postgres.script("grant create on schema public to loader");
    let site = site(&postgres.tcp_url("loader", "127.0.0.1", "postgres"), FROM_ENV);
    postgres.stop();
    let gone = load(&site, "r1ght");
    assert!(failure(&gone).contains("cannot be reached"), "{gone:?}");
    postgres.start_again();
    let retry = run(site
        .command(["retry", "--json", gone.object()["delivery"].as_str().unwrap()])
        .env("SECRET", "r1ght"));
    assert_eq!(retry.code, 0, "{retry:?}");
    assert_eq!(postgres.rows("postgres", "select * from t"), ["a|1"]);
    let nowhere = self::site(&postgres.tcp_url("loader", "127.0.0.1", "nowhere"), FROM_ENV);
    assert!(failure(&load(&nowhere, "r1ght")).contains("does not exist: create it"));
}

#[test]
fn what_a_user_may_not_do_is_named_with_the_statement_that_helps() {
    let desk = Desk::new("table = \"t\"\nkey = \"id\"", "id = {}\nx = {}");
    desk.postgres.role("loader", "x");
    desk.sql("create schema s; create table s.t (id text primary key, x text); create table public.t (like s.t including all);
              create schema own; revoke temporary on database postgres from public");
    desk.sql(&format!("revoke temporary on database {} from public", desk.database));
    let url = desk.postgres.url_as("loader", &desk.database);
    desk.site.write("wharf.toml", format!("[connections.w]\nurl = \"{url}\"\nloads_table = \"own.loads\"\n"));
    desk.map("s", "table = \"s.t\"\nkey = \"id\"", "id = {}\nx = {}");
    desk.map("c", "table = \"s.new\"\nkey = \"id\"\ncreate = true", "id = {}\nx = {}");
    let said = desk.site.run(["check"]).exits(1);
    let grants = [
        "GRANT USAGE ON SCHEMA \"s\" TO \"loader\"",
        "GRANT SELECT, INSERT, UPDATE ON \"s\".\"t\" TO \"loader\"",
        "GRANT SELECT, INSERT, UPDATE ON \"public\".\"t\" TO \"loader\"",
        "GRANT CREATE, USAGE ON SCHEMA \"s\" TO \"loader\"",
        &format!("GRANT TEMPORARY ON DATABASE {} TO \"loader\"", desk.database),
    ];
    let text = format!("{}{}", said.out, said.err);
    for grant in grants {
        assert!(text.contains(grant), "{grant}: {text}");
        desk.sql(grant);
    }
    // The statements for the loads table, as they are said.
    let start = text.find("CREATE TABLE \"own\".\"loads\"").unwrap_or_else(|| panic!("{text}"));
    let ddl = text[start..].lines().next().unwrap();
    let (ddl, grant) = ddl.split_once("; ").unwrap();
    let end = grant.find("\"loader\"").unwrap() + "\"loader\"".len();
    desk.sql(&format!("{ddl}; {}; grant usage on schema own to loader", &grant[..end]));
    desk.site.run(["check"]).exits(0);
    let (code, loaded) = desk.site.load("s1.csv", "id,x\na,1\n");
    assert_eq!((code, counts(&loaded)), (0, [1, 0, 0, 0, 0]), "{loaded:#}");
    let (_, created) = desk.site.load("c1.csv", "id,x\na,1\n");
    assert_eq!(counts(&created), [1, 0, 0, 0, 0], "{created:#}");
}

#[test]
fn rows_that_a_policy_keeps_out_are_rejects() {
    let desk = Desk::new("table = \"t\"\nkey = \"id\"", "id = {}\nx = {}");
    desk.postgres.role("loader", "x");
    desk.sql(
        "create table t (id text primary key, x text); insert into t values ('hidden', 'theirs');
         alter table t enable row level security; create policy p on t to loader using (x <> 'theirs') with check (x <> 'no');
         grant all on t to loader; grant create on schema public to loader",
    );
    let url = desk.postgres.url_as("loader", &desk.database);
    desk.site.write("wharf.toml", format!("[connections.w]\nurl = \"{url}\"\n"));
    let (_, delivery) = desk.site.load("t1.csv", "id,x\na,1\nb,no\nhidden,mine\n");
    assert_eq!(counts(&delivery), [1, 0, 0, 0, 2], "{delivery:#}");
    let told = crate::support::violations(&desk.site, &delivery);
    assert!(
        told[0].contains("row level security") && told[1].contains("not there when the load looked"),
        "{told:?}"
    );
    assert_eq!(desk.rows("select * from t order by id"), ["a|1", "hidden|theirs"]);
}
