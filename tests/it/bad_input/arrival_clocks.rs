//! Time as a source must take it: writers that go on by their handle whenever they like, and clocks that are set back and
//! forward. What counts is how long a file was seen unchanged, by a clock that never goes back.

use std::{
    fs::{self, File},
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use wharf::{
    exchange::clock::{Clock, SystemClock},
    model::Outcome,
    sources::{
        Lister, Look, Ready, Source, SourceError,
        folder::{After, FolderOptions, FolderSource},
    },
};

use super::{
    arrival::{all_loaded, deliveries, inbox, put, records, set_modified},
    arrival_races::{FILE, run_engine},
};
use crate::support::Site;

/// The folder as a source by itself, with the time in the test's hand.
struct Folder {
    scratch: Site,
    source: FolderSource,
    lister: Box<dyn Lister>,
}

impl Folder {
    fn new() -> Self {
        let scratch = Site::new();
        fs::create_dir(scratch.path("inbox")).unwrap();
        let source = FolderSource::new(FolderOptions {
            name: "inbox".to_owned(),
            folder: scratch.path("inbox"),
            takes: Arc::new(|name: &str| name.ends_with(".csv")),
            recursive: false,
            settle: Some(Duration::from_secs(2)),
            marker: None,
            manifest: None,
            after: After::Delete,
            every: None,
        });
        let lister = source.lister();
        Self { scratch, source, lister }
    }

    fn look(&mut self, second: u64) -> Look {
        self.lister.look(Duration::from_secs(second), &mut |_, _| Some(false)).unwrap()
    }

    /// What is whole at that second.
    fn ready(&mut self, second: u64) -> Vec<Ready> {
        self.look(second).ready
    }
}

#[test]
fn a_writer_that_renames_its_file_and_writes_on_through_its_handle_is_waited_for_and_noticed_to_the_end() {
    let mut folder = Folder::new();
    let part = folder.scratch.path("inbox/a.csv.part");
    let mut writer = File::create(&part).unwrap();
    writer.write_all(b"id,name\n").unwrap();
    writer.set_modified(UNIX_EPOCH + Duration::from_secs(1)).unwrap();
    assert_eq!((folder.ready(0), folder.ready(100)), (vec![], vec![]), "it is in the making");

    // It has its name, but its writer goes on, each time within the quiet period.
    fs::rename(&part, folder.scratch.path(FILE)).unwrap();
    for second in 101..110 {
        assert_eq!(folder.ready(second), [], "{second}");
        writer.write_all(b"1,lamp\n").unwrap();
        writer.set_modified(UNIX_EPOCH + Duration::from_secs(second)).unwrap();
    }
    assert_eq!((folder.ready(110), folder.ready(111)), (vec![], vec![]));

    // It pauses for longer, and goes on when the file is claimed: the file is put back and waited for again.
    let ready = folder.ready(112).remove(0);
    let claimed = folder.source.claim(&ready).unwrap();
    assert!(!folder.scratch.path(FILE).exists());
    writer.write_all(b"2,desk\n").unwrap();
    assert!(matches!(folder.source.settle(claimed), Err(SourceError::Changed(_))));
    assert!(folder.scratch.path(FILE).exists());
    assert_eq!((folder.ready(113), folder.ready(114)), (vec![], vec![]));

    // Between the listing and the claim it goes on once more.
    let ready = folder.ready(115).remove(0);
    writer.write_all(b"3,chair\n").unwrap();
    assert!(matches!(folder.source.claim(&ready), Err(SourceError::Changed(_))));
    assert_eq!((folder.ready(116), folder.ready(117)), (vec![], vec![]));

    let ready = folder.ready(118).remove(0);
    assert_eq!(ready.length, fs::metadata(folder.scratch.path(FILE)).unwrap().len());
    folder.source.settle(folder.source.claim(&ready).unwrap()).unwrap();
    assert_eq!(folder.look(119).files, 0);
}

/// A clock that somebody sets an hour back or forward each time it is read.
#[derive(Debug, Default)]
struct Unsteady {
    clock: SystemClock,
    readings: AtomicU64,
}

impl Clock for Unsteady {
    fn unix_millis(&self) -> u64 {
        const HOUR: u64 = 3_600_000;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        match self.readings.fetch_add(1, Ordering::Relaxed) % 4 {
            0 => now,
            1 => now + HOUR,
            2 => now - 2 * HOUR,
            _ => now - HOUR,
        }
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }
}

#[test]
fn a_clock_that_is_set_back_and_forward_by_hours_changes_neither_what_is_taken_nor_the_order() {
    let site = inbox("settle_seconds = 1");
    for id in 1..=20 {
        let path = put(
            &site,
            &format!("orders_{id}.csv"),
            records([id, 100]).replace("item 100", &format!("last {id}")),
        );
        // Nor do the clocks of those who wrote the files.
        set_modified(&path, if id % 2 == 0 { 1_000 } else { 4_000_000_000 });
    }
    let ended = run_engine(&site, Box::<Unsteady>::default(), 20);
    assert!(ended.iter().all(|report| report.tally.balances()), "{ended:#?}");
    let files: Vec<String> = (1..=20).map(|id| format!("orders_{id}.csv")).collect();
    let order: Vec<String> =
        ended.iter().map(|report| report.file.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(order, files);
    assert!(deliveries(&site).iter().all(|delivery| delivery["evidence"] == "unchanged for 1 s"));
    assert_eq!(site.query("SELECT name FROM items WHERE id = '100'"), [["last 20"]]);
    all_loaded(&site, (1..=20).chain([100]), 20);

    // The next day the clock is right again, and the same bytes are still known.
    put(&site, "again.csv", records([20, 100]).replace("item 100", "last 20"));
    let ended = run_engine(&site, Box::<SystemClock>::default(), 1);
    assert_eq!(ended[0].outcome, Outcome::Duplicate, "{ended:#?}");
}
