//! What the power is cut on: a site on a disk that forgets, files in two sources, and what it all must come to.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use super::warehouse::{InTheSite, Warehouse};
use crate::{
    lossy::{Ended, Image, Lossy},
    support::{Ran, query, run, wharf},
};

const SETTINGS: &str = r#"[store]
threads = 1
[run]
attempts = 1
[sources.inbox]
folder = "inbox"
settle_seconds = 0
[sources.shelf]
folder = "shelf"
settle_seconds = 0
after = "move:done"
"#;

/// Rows that the file brings, rows that the mapping rejects, and rows that only the database refuses.
const ORDERS: &str = r#"match = "orders_*.csv"
[format]
type = "csv"
[target]
table = "orders"
key = ["number"]
[columns]
number = { pattern = "A\\d+" }
price = { type = "decimal(9,2)" }
note = {}
"#;

const STOCK: &str = r#"match = "stock_*.csv"
[format]
type = "csv"
[target]
table = "stock"
key = ["article"]
mode = "mirror"
vanished = "delete"
[columns]
article = {}
pieces = { type = "integer" }
"#;

/// A site and its files as they lie there when Wharf is started; all of it is durable.
pub struct Scene {
    pub image: Image,
    /// What there is when all is done.
    pub end: End,
    /// How many steps the undisturbed run takes.
    pub steps: usize,
}

/// What a site's users have in the end.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// The tables of the warehouse with all their rows.
    tables: BTreeMap<String, Vec<Vec<String>>>,
    /// How often the database remembers the load of each file.
    loads: Vec<String>,
    /// The deliveries with their outcomes and tallies, by name.
    deliveries: Vec<String>,
    /// The reports of rejects, without the ids that no two runs share.
    reports: BTreeMap<String, String>,
    /// What lies in the sources, and where it is put when it is taken.
    sources: BTreeMap<String, String>,
    /// What SQLite says of its files.
    integrity: Vec<Vec<String>>,
}

impl Scene {
    /// Nothing was ever done in this site.
    pub fn first_day() -> Self {
        let disk = Lossy::new();
        write_site(&disk);
        write(&disk, "inbox/orders_1.csv", &orders(1, 0..20));
        write(&disk, "shelf/stock_1.csv", "article,pieces\nS1,10\nS2,20\nS3,30\n");
        Self::undisturbed(disk)
    }

    /// Files of a second day: changed rows, rows that the database refuses, the same file twice, one of no mapping, and a
    /// mirror from which articles vanish.
    pub fn second_day() -> Self {
        let Scene { image, .. } = Self::first_day();
        let mut disk = Lossy::with(image);
        assert_eq!(start(&disk, &[]).wait().unwrap().code(), Some(2));
        let refuses = "CREATE TRIGGER refuses BEFORE INSERT ON orders WHEN NEW.price = '13.13'
                       BEGIN SELECT RAISE(ABORT, 'unlucky'); END";
        run(Command::new("sqlite3").arg(disk.path().join("var/warehouse.db")).arg(refuses)).exits(0);
        write(&disk, "inbox/orders_2.csv", &orders(2, 10..30));
        write(&disk, "inbox/orders_3.csv", &orders(2, 10..30));
        write(&disk, "inbox/photo.png", "PNG");
        write(&disk, "shelf/stock_2.csv", "article,pieces\nS1,11\nS3,30\n");
        disk.settle();
        let image = disk.image();
        disk.reset(image.clone());
        Self::undisturbed(disk)
    }

    fn undisturbed(mut disk: Lossy) -> Self {
        disk.settle();
        let image = disk.image();
        disk.reset(image.clone());
        disk.count();
        let mut child = start(&disk, &[]);
        let Ended::Itself(code) = disk.watch(&mut child) else { panic!("nobody cut the power") };
        assert!(code == 2 || code == 3, "{}", fs::read_to_string(disk.log()).unwrap());
        let steps = disk.done().len();
        Self { image, end: End::of(&disk), steps }
    }
}

/// The settings and mappings of the site.
pub fn write_site(disk: &Lossy) {
    write(disk, "wharf.toml", SETTINGS);
    write(disk, "mappings/inbound/orders.toml", ORDERS);
    write(disk, "mappings/inbound/stock.toml", STOCK);
}

/// The site loads into the database at this URL from now on.
pub fn load_into(disk: &Lossy, url: &str) {
    let connection = |mapping: &str| mapping.replace("[target]", "[target]\nconnection = \"warehouse\"");
    write(disk, "wharf.toml", &format!("{SETTINGS}[connections.warehouse]\nurl = \"{url}\"\n"));
    write(disk, "mappings/inbound/orders.toml", &connection(ORDERS));
    write(disk, "mappings/inbound/stock.toml", &connection(STOCK));
}

/// What a file of orders holds: good and bad rows, by the day.
pub fn orders(day: u64, numbers: std::ops::Range<u64>) -> String {
    let row = |number: u64| match number % 10 {
        3 => format!("A{number},much,\n"),
        7 => format!("A{number},13.{:02},day {day}\n", if day == 1 { 0 } else { 13 }),
        _ => format!("A{number},{}.50,{}\n", number % 4 * day, "n".repeat(40)),
    };
    format!("number,price,note\n{}", numbers.map(row).collect::<String>())
}

fn write(disk: &Lossy, name: &str, content: &str) {
    let path = disk.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// The program, in the site on this disk.
pub fn command(disk: &Lossy, arguments: &[&str]) -> Command {
    let mut command = wharf();
    command.arg("--site").arg(disk.path()).args(arguments).stdin(Stdio::null());
    command.env("WHARF_TEST_DISK", "1");
    command
}

/// Starts a run that ends when all is done, with more variables.
pub fn start(disk: &Lossy, variables: &[(&str, &str)]) -> Child {
    let mut command = command(disk, &["run", "--once", "--json"]);
    let log = File::create(disk.log()).unwrap();
    command.envs(variables.iter().copied()).stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().expect("the program starts")
}

/// Runs until all is done; what failed is tried again, as a person would who has mended the disk.
pub fn bring_to_an_end(disk: &Lossy) -> Vec<Ran> {
    const MOST: usize = 6;
    let mut ran = Vec::new();
    for _ in 0..MOST {
        ran.push(run(&mut command(disk, &["run", "--once", "--json"])));
        let failed = deliveries(disk).into_iter().filter(|delivery| delivery["outcome"] == "failed");
        let failed: Vec<Value> = failed.collect();
        for delivery in &failed {
            let id = delivery["delivery"].as_str().unwrap();
            ran.push(run(&mut command(disk, &["retry", "--json", id])));
        }
        let is_over = ran.last().is_some_and(|last| last.code != 1);
        if failed.is_empty() && is_over {
            return ran;
        }
    }
    panic!("it does not come to an end: {ran:#?}");
}

fn deliveries(disk: &Lossy) -> Vec<Value> {
    let ran = run(&mut command(disk, &["deliveries", "--json", "--limit", "1000"]));
    ran.exits(0).json()
}

impl End {
    /// What has become of a site that loads into a file of its own.
    #[track_caller]
    pub fn of(disk: &Lossy) -> Self {
        Self::with(disk, &InTheSite)
    }

    /// What has become of a site and its warehouse.
    #[track_caller]
    pub fn with(disk: &Lossy, warehouse: &dyn Warehouse) -> Self {
        let all = deliveries(disk);
        // Databases are not opened on a disk that this process serves.
        let copy = tempfile::tempdir().unwrap();
        let site = copy.path();
        disk.image().export(site).unwrap();
        let ledger = site.join("var/ledger.db");
        let archived = archived(site, &ledger);
        let rows = |name: &str| warehouse.rows(site, &format!("SELECT * FROM {name} ORDER BY 1"));
        let loads = "SELECT lower(delivery), count(*), min(state) FROM _wharf_loads GROUP BY 1";
        let file = |id: &str| all.iter().find(|one| one["delivery"] == id).map(|one| one["file"].to_string());
        let mut loads: Vec<String> = warehouse
            .rows(site, loads)
            .iter()
            .map(|row| format!("{:?} {} {}", file(&row[0]), row[1], row[2]))
            .collect();
        loads.sort();
        let mut told: Vec<String> = all
            .iter()
            .map(|one| {
                let is_kept = archived.get(one["delivery"].as_str().unwrap());
                let other = one["other"].as_str().and_then(&file);
                format!(
                    "{} {} {} {} {} other {other:?} archived {is_kept:?}",
                    one["file"], one["outcome"], one["reason"], one["tally"], one["rejects"]
                )
            })
            .collect();
        told.sort();
        let integrity = warehouse.integrity(site).into_iter();
        Self {
            tables: warehouse.tables(site).into_iter().map(|name| (name.clone(), rows(&name))).collect(),
            loads,
            deliveries: told,
            reports: reports(site),
            sources: ["inbox", "shelf", "done"]
                .iter()
                .flat_map(|folder| {
                    let all = files(&site.join(folder)).into_iter();
                    all.map(move |(name, text)| (format!("{folder}/{name}"), text))
                })
                .collect(),
            integrity: integrity.chain(query(&ledger, "PRAGMA integrity_check")).collect(),
        }
    }

    /// What is compared when a delivery has failed once and was tried again after others: `orders_2.csv` and `orders_3.csv` have
    /// the same bytes, so that one of them may load in the place of the other, which is then overtaken, a duplicate, or
    /// changes nothing; and how many rows a file inserts and updates depends on what came before it. Everything else, and
    /// above all every row, is as it was.
    pub fn whatever_came_first(&self) -> Self {
        let twin = |text: &str| text.replace("orders_3.csv", "orders_2.csv");
        let orders = |line: &String| line.contains("\"orders_");
        let mut end = self.clone();
        let (of_orders, others): (Vec<_>, Vec<_>) = end.deliveries.iter().cloned().partition(orders);
        let outcome = |line: &str| {
            let is_loaded = line.contains(" \"loaded_with_rejects\" ");
            let is_void = [" \"overtaken\" ", " \"duplicate\" "].iter().any(|word| line.contains(word));
            let is_kept = line.ends_with("archived Some(true)");
            let open =
                line.split("\"open\":").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or("none");
            let file = twin(line.split(' ').next().unwrap());
            match (is_loaded, is_void && file.contains("orders_2")) {
                (true, _) => format!("{file} loaded, rejects open {open}, archived {is_kept}"),
                (false, true) => format!("{file} void, archived {is_kept}"),
                _ => line.to_owned(),
            }
        };
        let told: BTreeSet<String> = of_orders.iter().map(|line| outcome(line)).collect();
        end.deliveries = others.into_iter().chain(told).collect();
        // Which of the two it was, and whether the other one was loaded too, is left out; that it is there is not.
        end.deliveries.retain(|line| !line.contains(" void, archived true"));
        end.deliveries.push(format!("{} deliveries", self.deliveries.len()));
        end.loads = end.loads.iter().map(|load| twin(load)).collect();
        end.loads.sort();
        end.loads.dedup();
        end.reports = end.reports.iter().map(|(name, text)| (twin(name), text.clone())).collect();
        end
    }

    /// Every fact of it as a line.
    fn facts(&self) -> BTreeSet<String> {
        let tables = self.tables.iter().flat_map(|(name, rows)| {
            rows.iter().enumerate().map(move |(at, row)| format!("table {name}, row {at}: {row:?}"))
        });
        let loads = self.loads.iter().map(|load| format!("load {load}"));
        let deliveries = self.deliveries.iter().map(|delivery| format!("delivery {delivery}"));
        let reports = self.reports.iter().map(|(name, text)| format!("report {name}: {text:?}"));
        let sources = self.sources.iter().map(|(name, text)| format!("file {name}: {text:?}"));
        let integrity = self.integrity.iter().map(|said| format!("integrity {said:?}"));
        tables.chain(loads).chain(deliveries).chain(reports).chain(sources).chain(integrity).collect()
    }

    /// What is here and not there, and the other way round; nothing when both are the same.
    pub fn differs(&self, expected: &Self) -> Option<String> {
        let (found, wanted) = (self.facts(), expected.facts());
        let more = found.difference(&wanted).map(|fact| format!("+ {fact}\n"));
        let less = wanted.difference(&found).map(|fact| format!("- {fact}\n"));
        (self != expected).then(|| more.chain(less).collect())
    }
}

/// For each delivery whether its copy is in the archive, whole.
fn archived(site: &Path, ledger: &Path) -> BTreeMap<String, bool> {
    let kept = query(ledger, "SELECT lower(hex(id)), lower(hex(hash)), archive FROM deliveries");
    let of = |row: &Vec<String>| {
        let copy = fs::read(site.join("var/archive").join(&row[2]));
        let is_whole = copy.is_ok_and(|bytes| blake3::hash(&bytes).to_hex().as_str() == row[1]);
        let id = uuid::Uuid::parse_str(&row[0]).unwrap();
        (id.to_string(), is_whole)
    };
    kept.iter().map(of).collect()
}

/// All files below a folder with their contents; folders that Wharf makes for itself are left out when they are empty.
fn files(root: &Path) -> Vec<(String, String)> {
    let found = walkdir::WalkDir::new(root).into_iter().flatten().filter(|entry| entry.file_type().is_file());
    let paths: Vec<PathBuf> = found.map(walkdir::DirEntry::into_path).collect();
    let read = |path: &PathBuf| {
        let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        (path.strip_prefix(root).unwrap().to_string_lossy().into_owned(), text)
    };
    paths.iter().map(read).collect()
}

fn reports(site: &Path) -> BTreeMap<String, String> {
    files(&site.join("outbox")).into_iter().map(|(name, text)| (name, without_ids(&text))).collect()
}

/// A report with the lengths of its ids in their place.
fn without_ids(report: &str) -> String {
    let is_id = |cell: &str| cell.len() == 32 && cell.bytes().all(|byte| byte.is_ascii_hexdigit());
    let line = |line: &str| match line.split_once(',') {
        Some((id, rest)) if is_id(id) => format!("ID,{rest}\n"),
        _ => format!("{line}\n"),
    };
    report.lines().map(line).collect()
}
