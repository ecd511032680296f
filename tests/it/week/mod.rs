//! A week of nightly files, dropped into a site whose engine is killed every night at another step of its work. In the end
//! every file has one outcome, none was loaded twice, none is lost, and the database is the one that somebody gets who
//! loads the same files by hand in their right order.

mod moments;
mod replay;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::Write,
    path::PathBuf,
};

use serde_json::Value;

use crate::{
    engine::until,
    support::{Site, query},
};
use moments::Moment;
use replay::{Decision, Dropped, HOLD, Week, file, hash, is_final, name, new_site, rows, text};

impl Week {
    fn monday_and_tuesday(&mut self) {
        self.kill(Moment::Claimed, |week| week.usual(1), |week| week.drop("inbox", "photos.zip", "PK"));
        self.done();

        self.kill(Moment::Copied, |week| week.usual(2), |_| {});
        self.done();
        // Twice: under the same name, and under another.
        self.drop("inbox", &name("customers", 2), &file(2, 900, 3));
        self.drop("bank", "payments_20260102_again.csv", &file(2, 300, 0));
        self.done();
    }

    /// Somebody writes slowly, and the files of Thursday come before those of Wednesday are there.
    fn wednesday(&mut self) {
        let (orders, payments) = (file(3, 6_000, 9), file(3, 300, 0));
        let mut slow = File::create(self.site.path("desk").join(name("orders", 3))).unwrap();
        let (first, second) = orders.split_at(orders.len() / 2);
        slow.write_all(first.as_bytes()).unwrap();
        until("the slow file to be seen", || {
            let status = self.site.status();
            let sources = status["engine"]["sources"].as_array()?.clone();
            sources.iter().any(|source| source["name"] == "desk" && source["settling"] == 1).then_some(())
        });
        self.drop("inbox", &name("orders", 4), &file(4, 6_000, 9));
        slow.write_all(second.as_bytes()).unwrap();
        drop(slow);
        self.whole(&name("orders", 3), &orders);

        // A marker that comes too soon, and a file that has a name of its own while it is written.
        let part = self.site.path("bank").join(name("payments", 3) + ".part");
        fs::write(self.site.path("bank").join(name("payments", 3) + ".done"), "").unwrap();
        let mut writer = File::create(&part).unwrap();
        let (first, second) = payments.split_at(payments.len() / 2);
        writer.write_all(first.as_bytes()).unwrap();
        self.kill(
            Moment::Taken,
            |week| {
                week.drop("inbox", &name("customers", 3), &file(3, 900, 3));
                week.drop("shelf", &name("prices", 3), &file(3, 300, 1));
            },
            |_| {},
        );
        writer.write_all(second.as_bytes()).unwrap();
        fs::rename(&part, part.with_extension("")).unwrap();
        self.whole(&name("payments", 3), &payments);
        self.done();
    }

    /// The customers are late, a person has to look at the payments, and the prices are appended to.
    fn thursday(&mut self) {
        let (prices, more) = (file(4, 300, 1), rows(4, 300, 600, 0));
        self.halves.insert((name("prices", 4), hash(&prices)));
        let path = self.site.arrive(PathBuf::from("shelf").join(name("prices", 4)), &prices);
        until("the prices to be loaded as they are", || {
            let found = self.site.deliveries();
            found
                .iter()
                .any(|delivery| delivery["hash"] == hash(&prices).as_str() && is_final(delivery))
                .then_some(())
        });
        self.kill(
            Moment::RowsWritten,
            |week| {
                File::options().append(true).open(&path).unwrap().write_all(more.as_bytes()).unwrap();
                week.whole(&name("prices", 4), &(prices + &more));
            },
            |_| {},
        );
        self.drop("bank", &name("payments", 4), &file(4, 300, HOLD + 1));
        self.site.waits_for(&name("payments", 4), "held");
        self.drop("bank", "payments_20260104b.csv", &file(4, 200, 1));
        self.site.waits_for("payments_20260104b.csv", "waiting");
        self.decide(&name("payments", 4), Decision::Approve);
        self.done();
    }

    /// What came while nobody was there is taken in order; two files are corrected.
    fn friday(&mut self) {
        self.kill(
            Moment::RejectsKept,
            |week| week.drop("inbox", &name("orders", 5), &file(5, 6_000, 9)),
            |week| {
                week.drop("inbox", &name("customers", 5), &file(5, 900, 3));
                week.drop("inbox", &name("customers", 4), &file(4, 900, 3));
                week.drop("bank", &name("payments", 5), &file(5, 300, 0));
                week.drop("shelf", &name("prices", 5), &file(5, 300, 1));
            },
        );
        self.done();
        self.kill(
            Moment::Running,
            |week| {
                week.drop("inbox", &name("orders", 5), &file(5, 6_500, 0));
                week.drop("shelf", &name("prices", 5), &file(5, 310, 0));
            },
            |_| {},
        );
        self.done();
    }

    /// The customers are empty, and the payments are declined and sent again.
    fn saturday(&mut self) {
        self.drop("inbox", &name("customers", 6), "");
        self.drop("bank", &name("payments", 6), &file(6, 300, HOLD + 1));
        self.site.waits_for(&name("customers", 6), "refused");
        self.site.waits_for(&name("payments", 6), "held");
        self.kill(
            Moment::InDatabase,
            |week| {
                week.drop("bank", &name("payments", 6), &file(6, 300, 1));
                week.drop("inbox", &name("orders", 6), &file(6, 6_000, 9));
                week.drop("inbox", &name("customers", 6), &file(6, 900, 3));
                week.drop("shelf", &name("prices", 6), &file(6, 300, 1));
            },
            |_| {},
        );
        self.decide(&name("payments", 6), Decision::Decline);
        self.done();
    }

    /// Many files, out of their order.
    fn sunday(&mut self) {
        self.kill(Moment::ReportWritten, |week| week.usual(7), |_| {});
        self.done();
        self.kill(
            Moment::BeforeTheSourceIsTold,
            |week| {
                week.engine.take().unwrap().stop().exits(0);
                for number in (1..=20).rev() {
                    let name = format!("customers_20260107_{number}.csv");
                    week.drop("inbox", &name, &file(100 + number, 30 + number, 0));
                }
            },
            |_| {},
        );
        self.done();
    }

    /// The last of everything: nothing is left to do, to take or to look at.
    fn over(&mut self) {
        self.engine.take().unwrap().stop().exits(0);
        let before = self.site.deliveries();
        self.site.run(["run", "--once", "--json"]).exits(0);
        assert_eq!(self.site.deliveries(), before);
        // No orders began before all customers that had come earlier were done.
        let early = "SELECT count(*) FROM events AS began
            JOIN deliveries AS orders ON orders.id = began.delivery AND orders.mapping = 'orders'
            JOIN deliveries AS customers ON customers.mapping = 'customers' AND customers.arrival < orders.arrival
            WHERE json_extract(began.event, '$.event') = 'started' AND began.sequence < customers.settled";
        assert_eq!(query(&self.site.path("var/ledger.db"), early), [["0"]]);
        assert!(self.site.run(["status"]).exits(0).out.contains("nothing needs a person"));
        for folder in ["inbox", "desk", "bank"] {
            assert_eq!(self.site.files_in(folder), [""; 0], "{folder}");
        }
        let kept: Vec<String> = (1..=7).map(|night| name("prices", night)).collect();
        assert_eq!(self.site.files_in("shelf"), kept);
    }

    /// The same files, by hand: each table's in the order of their names, and of one name in the order of their coming.
    fn by_hand(&self) -> Site {
        let site = new_site();
        let mut files: Vec<&Dropped> = self.dropped.iter().collect();
        files.sort_by_key(|file| place(&file.name));
        for file in files {
            site.write(&file.name, &file.content);
            let delivery = site.run(["load", "--json", &file.name]).object();
            let id = text(&delivery, "delivery");
            if let Some(decision) = file.decision {
                decision.carry_out(&site, id);
            }
        }
        site
    }
}

/// Where a file stands among those of its table: by its night, then by what follows.
fn place(name: &str) -> (&str, u64, u64) {
    let mut parts = name.trim_end_matches(".csv").splitn(3, '_');
    let (table, night, more) = (parts.next().unwrap(), parts.next().unwrap_or_default(), parts.next());
    let date = night.trim_end_matches(char::is_alphabetic);
    let later = u64::from(date != night || more.is_some());
    (table, date.parse().unwrap_or_default(), more.and_then(|more| more.parse().ok()).unwrap_or(later))
}

/// By name and content: the outcomes of all deliveries. Those of files that were taken in halves too have other counts.
fn outcomes(
    deliveries: &[Value],
    halves: &BTreeSet<(String, String)>,
) -> BTreeMap<(String, String), Vec<String>> {
    let mut found: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for delivery in deliveries {
        let (file, hash) = (text(delivery, "file").to_owned(), text(delivery, "hash").to_owned());
        let counts =
            if halves.iter().any(|(name, _)| *name == file) { &Value::Null } else { &delivery["tally"] };
        let told = format!("{} {} {counts}", delivery["outcome"], delivery["reason"]);
        found.entry((file, hash)).or_default().push(told);
    }
    found
}

/// All tables of the warehouse with all their rows.
fn tables(site: &Site) -> BTreeMap<String, Vec<Vec<String>>> {
    let names = site.query("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> '_wharf_loads'");
    let rows = |name: &String| site.query(&format!("SELECT * FROM {name} ORDER BY id"));
    names.iter().map(|row| (row[0].clone(), rows(&row[0]))).collect()
}

#[test]
fn a_week_of_nightly_files_ends_as_if_loaded_by_hand_in_order_although_the_engine_is_killed_every_night() {
    let mut week = Week::new();
    week.monday_and_tuesday();
    week.wednesday();
    week.thursday();
    week.friday();
    week.saturday();
    week.sunday();
    week.over();

    let deliveries = week.deliveries();
    let mut wanted: BTreeMap<(String, String), usize> = BTreeMap::new();
    for file in &week.dropped {
        *wanted.entry((file.name.clone(), hash(&file.content))).or_default() += 1;
    }
    let found = outcomes(&deliveries, &week.halves);
    let count = |key| found.get(key).map_or(0, Vec::len);
    let lost: usize = wanted.iter().map(|(key, wanted)| wanted.saturating_sub(count(key))).sum();
    let again: usize = found
        .iter()
        .map(|(key, found)| found.len() - wanted.get(key).map_or(0, |n| found.len().min(*n)))
        .sum();

    let loads = query(
        &week.site.path("var/warehouse.db"),
        "SELECT delivery, count(*) FROM _wharf_loads GROUP BY delivery",
    );
    let loads: BTreeMap<&str, &str> = loads.iter().map(|row| (&*row[0], &*row[1])).collect();
    let loaded = |delivery: &&Value| text(delivery, "outcome").starts_with("loaded");
    let in_all = week.site.deliveries();
    let once = deliveries
        .iter()
        .filter(loaded)
        .filter(|delivery| loads.get(text(delivery, "delivery")) == Some(&"1"));
    let (once, all_loaded) = (once.count(), in_all.iter().filter(loaded).count());
    let doubles =
        again + loads.values().filter(|count| **count != "1").count() + loads.len().abs_diff(all_loaded);
    let files = week.dropped.len();
    println!(
        "files {files}, outcomes {}, loaded once {once}, doubles {doubles}, lost {lost}",
        deliveries.iter().filter(|delivery| is_final(delivery)).count()
    );
    assert_eq!((lost, doubles), (0, 0), "{found:#?}");
    assert_eq!(deliveries.len(), files);
    assert_eq!(once, deliveries.iter().filter(loaded).count());

    let by_hand = week.by_hand();
    let (expected, hand_halves) = (by_hand.deliveries(), &week.halves);
    for (key, expected) in &outcomes(&expected, hand_halves) {
        assert_eq!(found.get(key), Some(expected), "{} differs from the same file loaded by hand", key.0);
    }
    let (found, expected) = (tables(&week.site), tables(&by_hand));
    for (table, rows) in &expected {
        assert!(rows.len() > 300 && &found[table] == rows, "{table} differs from the one loaded by hand");
    }
    assert_eq!(found.len(), expected.len());
    assert!(week.hit >= 5, "only {} of 9 kills came at the moment they were meant for", week.hit);
}
