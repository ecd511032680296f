//! PostgreSQL: the suite on a real server, and what only PostgreSQL has. How it is reached is tested with the program itself
//! (`postgres_reaching`, `postgres_comparing`).

use std::{path::Path, time::Duration};

use wharf::{
    model::value::ValueType,
    targets::{
        Mirror, Mode, RowRefusal, TableSpec, Target, Vanished, Vanishing,
        postgres::{PostgresOptions, PostgresTarget},
    },
};

use super::{Database, Event, Outside, conforms, rows::*};
use crate::postgres::{Postgres, Session};

/// As long as a test waits for a lock that nobody gives back.
const LOCK_PATIENCE: Duration = Duration::from_millis(300);

conforms!(Postgres::start(), Place::new);

/// A database of a server.
struct Place<'s> {
    server: &'s Postgres,
    name: String,
}

impl<'s> Place<'s> {
    fn new(server: &'s Postgres) -> Self {
        Self { server, name: server.database() }
    }
}

impl Database for Place<'_> {
    fn target(&self) -> Box<dyn Target> {
        let mut options = PostgresOptions::parse(&self.server.url(&self.name), Path::new("/")).unwrap();
        options.lock_timeout = LOCK_PATIENCE;
        Box::new(PostgresTarget::new(options))
    }

    fn another(&self) -> Box<dyn Database + '_> {
        Box::new(Self::new(self.server))
    }

    fn outside(&self) -> Box<dyn Outside> {
        Box::new(self.server.session(&self.name))
    }

    fn declares(&self, of: ValueType) -> String {
        match of {
            ValueType::Text => "text".to_owned(),
            ValueType::Integer => "bigint".to_owned(),
            ValueType::Decimal { precision, scale } => format!("numeric({precision},{scale})"),
            ValueType::Float => "double precision".to_owned(),
            ValueType::Boolean => "boolean".to_owned(),
            ValueType::Date => "date".to_owned(),
            ValueType::Time => "time".to_owned(),
            ValueType::Timestamp => "timestamptz".to_owned(),
            ValueType::Uuid => "uuid".to_owned(),
            ValueType::Json => "jsonb".to_owned(),
        }
    }

    fn refuse(&self, event: Event, condition: &str, words: &str) {
        let (event, row) = match event {
            Event::Insert => ("INSERT", "new"),
            Event::Update => ("UPDATE", "new"),
            Event::Delete => ("DELETE", "old"),
        };
        self.run(&format!(
            "CREATE FUNCTION refuse_{event}() RETURNS trigger LANGUAGE plpgsql AS $wharf$
             BEGIN
                 IF {condition} THEN RAISE EXCEPTION '%', '{words}'; END IF;
                 RETURN {row};
             END $wharf$;
             CREATE TRIGGER refuse_{event} BEFORE {event} ON t FOR EACH ROW EXECUTE FUNCTION refuse_{event}()"
        ));
    }

    fn mixed_tables(&self) -> &'static [&'static str] {
        &[
            "",
            "CREATE TABLE t (a text, b bigint, v bigint, kept bigint, once bigint, aside bigint, PRIMARY KEY (b, a))",
            "CREATE TABLE t (aside bigint, once integer, kept numeric, v bigint, b bigint NOT NULL, a text NOT NULL);
             CREATE UNIQUE INDEX u ON t (a DESC, b)",
            "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a varchar, b bigint, v bigint, kept bigint,
                             once bigint, aside bigint, UNIQUE (a, b))",
            "CREATE TABLE t (a text, b bigint, v bigint, kept bigint, once bigint, aside bigint, PRIMARY KEY (a, b))
                 PARTITION BY LIST (a);
             CREATE TABLE t1 PARTITION OF t FOR VALUES IN ('', 'A'); CREATE TABLE t2 PARTITION OF t DEFAULT",
            "CREATE TABLE base (a text, b bigint, v bigint, kept bigint, once bigint, aside bigint, PRIMARY KEY (a, b));
             CREATE VIEW t AS SELECT * FROM base",
            "CREATE TABLE t (a text, b bigint, v bigint, kept bigint, once bigint, aside bigint, PRIMARY KEY (a, b));
             CREATE TABLE log (n bigint);
             CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS
                 $f$ BEGIN INSERT INTO log VALUES (1), (2); RETURN NULL; END $f$;
             CREATE TRIGGER g AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION noted()",
        ]
    }

    fn article_tables(&self) -> &'static [&'static str] {
        &[
            "",
            "CREATE TABLE t (shop text, no bigint, price bigint, deleted_at timestamptz, PRIMARY KEY (no, shop))",
            "CREATE TABLE t (shop text, no integer, price bigint PRIMARY KEY, deleted_at timestamptz, UNIQUE (shop, no));
             INSERT INTO t VALUES ('a', -1, 0, NULL)",
            "CREATE TABLE t (shop text, no bigint, price bigint, deleted_at timestamptz, PRIMARY KEY (shop, no))
                 PARTITION BY HASH (no);
             CREATE TABLE t1 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0);
             CREATE TABLE t2 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
            "CREATE TABLE base (shop text, no bigint, price bigint, deleted_at timestamptz, PRIMARY KEY (shop, no));
             CREATE VIEW t AS SELECT * FROM base",
        ]
    }

    fn property_cases(&self) -> u32 {
        10
    }
}

impl Outside for Session {
    fn run(&self, sql: &str) {
        self.run(sql);
    }

    fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        self.rows(sql)
    }
}

/// The records of refusals, and which columns they name.
fn places(refusals: &[RowRefusal]) -> Vec<(u64, Option<u16>)> {
    refusals.iter().map(|refusal| (refusal.origin.record, refusal.column)).collect()
}

#[test]
fn a_comparison_refuses_the_rows_that_the_tables_types_do_not_take_as_a_load_does() {
    let server = Postgres::start();
    let place = Place::new(&server);
    place.run(
        "CREATE TYPE mood AS ENUM ('well', 'ill');
         CREATE TABLE t (k text PRIMARY KEY, n integer, m mood);
         INSERT INTO t VALUES ('a', 1, 'well'), ('b', 1, 'well')",
    );
    let columns =
        vec![column("k", ValueType::Text), column("n", ValueType::Integer), column("m", ValueType::Text)];
    let spec = spec(columns, 1);
    let row = |k, n, m| vec![text(k), Cell::Integer(n), text(m)];
    let rows =
        [row("a", 1, "well"), row("b", 3_000_000_000, "well"), row("c", 1, "so so"), row("d", 1, "ill\0")];
    let target = place.target();
    let mut comparison = target.compare(&spec, schema(&spec)).unwrap();
    let mut foretold = comparison.compare(&batch(&spec, &rows), None).unwrap();
    foretold.sort_by_key(|refusal| refusal.origin.record);
    assert_eq!(comparison.finish().unwrap().unchanged, 1);
    let (tally, refused) = load(&place, &spec, &rows);
    assert_eq!((tally.unchanged, tally.rejected), (1, 3));
    let records = |refusals: &[RowRefusal]| refusals.iter().map(|one| one.origin.record).collect::<Vec<_>>();
    assert_eq!((records(&foretold), records(&refused)), (vec![2, 3, 4], vec![2, 3, 4]));
    assert_eq!(places(&refused)[1..], [(3, Some(2)), (4, Some(2))]);
}

#[test]
fn a_mirror_of_an_empty_table_keeps_other_writers_out_until_it_is_done() {
    let server = Postgres::start();
    let place = Place::new(&server);
    place.run("CREATE TABLE t (k text PRIMARY KEY, v text)");
    let mirror = Mirror { vanished: Vanished::Delete, scope: Vec::new() };
    let spec = TableSpec { mode: Mode::Mirror, mirror: Some(mirror), ..pair() };
    let target = place.target();
    let mut under_way = open(&*target, &spec, fresh());
    write(&mut *under_way, &[batch(&spec, &pairs(&[("a", "1")]))]).unwrap();
    let other = server.session(&place.name);
    other.run("SET lock_timeout = '100ms'");
    assert_eq!(other.fails("INSERT INTO t VALUES ('b', '1')").as_deref(), Some("55P03"));
    finish(under_way, 0);
    assert_eq!(other.fails("INSERT INTO t VALUES ('b', '1')"), None);
    let mut later = open(&*target, &spec, fresh());
    write(&mut *later, &[batch(&spec, &pairs(&[("a", "1")]))]).unwrap();
    assert_eq!(later.vanishing().unwrap(), Some(Vanishing { rows: 1, of: 2 }));
}

#[test]
fn a_rejected_key_that_the_key_column_cannot_hold_is_that_of_no_row() {
    let server = Postgres::start();
    let place = Place::new(&server);
    place.run(
        "CREATE TABLE t (k smallint PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'x'), (2, 'x'), (3, 'x')",
    );
    let mirror = Mirror { vanished: Vanished::Delete, scope: Vec::new() };
    let columns = vec![column("k", ValueType::Integer), column("v", ValueType::Text)];
    let spec = TableSpec { mode: Mode::Mirror, mirror: Some(mirror), ..spec(columns, 1) };
    // More of them than rows may be refused: what comes after them counts all the same.
    let mut keys: Vec<_> = (0..2_500).map(|n| vec![Cell::Integer(100_000 + n)]).collect();
    keys.push(vec![Cell::Integer(2)]);
    let mut of_key = spec.clone();
    of_key.columns.truncate(1);
    let keys = batch(&of_key, &keys).rows;
    let rows = batch(&spec, &[vec![Cell::Integer(1), text("x")]]);
    let target = place.target();
    let mut comparison = target.compare(&spec, schema(&spec)).unwrap();
    comparison.compare(&rows, None).unwrap();
    comparison.present(&keys).unwrap();
    assert_eq!(comparison.vanishing(None).unwrap(), Some(Vanishing { rows: 1, of: 3 }));
    let mut load = open(&*target, &spec, fresh());
    write(&mut *load, &[rows]).unwrap();
    load.present(&keys).unwrap();
    assert_eq!(load.vanishing().unwrap(), Some(Vanishing { rows: 1, of: 3 }));
    load.vanish().unwrap();
    finish(load, 0);
    assert_eq!(place.texts(&["k"], "FROM t ORDER BY k"), ["1", "2"]);
}
