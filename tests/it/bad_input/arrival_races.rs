//! Writers that do not wait: a file is written to, replaced, renamed or removed at every moment between the listing and the
//! end. What is loaded is a whole file, once, and nothing that was written is lost.
//!
//! The moments are those at which the engine looks at its clock, which a test can put its hand on: when a file is claimed
//! and not yet copied, and when it is copied and not yet in the ledger.

use std::{
    fmt,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread::{self, ThreadId},
    time::Duration,
};

use tokio::sync::Notify;
use wharf::exchange::{
    DeliveryReport, Engine,
    clock::{Clock, SystemClock},
    run::RunOptions,
};

use super::{
    arrival::{all_loaded, deliveries, inbox, outcomes, put, records, set_modified, started},
    files_below,
};
use crate::{engine::PATIENCE, support::Site};

/// The file whose taking is watched.
pub(super) const FILE: &str = "inbox/a.csv";

/// Something that is done once while the first file is being taken.
type Deed = Box<dyn FnOnce(&Site) + Send>;

/// When it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// The first file is claimed, and not copied.
    Claimed,
    /// It is copied, and not in the ledger.
    Copied,
}

/// The machine's clock, by which somebody stands who does something at that moment.
struct Watched {
    clock: SystemClock,
    site: Arc<Site>,
    /// The thread that decides; files are taken by others.
    decides: ThreadId,
    moment: Moment,
    deed: Mutex<Option<Deed>>,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("moment", &self.moment).finish_non_exhaustive()
    }
}

impl Clock for Watched {
    fn unix_millis(&self) -> u64 {
        let copied = files_below(&self.site.path("var/archive")).iter().any(|path| is_whole(path));
        if thread::current().id() != self.decides && copied == (self.moment == Moment::Copied) {
            let deed = self.deed.lock().unwrap().take();
            if let Some(deed) = deed {
                deed(&self.site);
            }
        }
        self.clock.unix_millis()
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }
}

fn is_whole(path: &Path) -> bool {
    !path.file_name().unwrap().to_string_lossy().starts_with('.')
}

/// Runs an engine in the site, in which `deed` is done at that moment, until so many deliveries have come to rest.
#[track_caller]
fn serve(site: &Arc<Site>, moment: Moment, deed: Deed, wanted: usize) {
    run_engine(site, watched(site, moment, deed), wanted);
}

fn watched(site: &Arc<Site>, moment: Moment, deed: Deed) -> Box<dyn Clock> {
    Box::new(Watched {
        clock: SystemClock::default(),
        site: Arc::clone(site),
        decides: thread::current().id(),
        moment,
        deed: Mutex::new(Some(deed)),
    })
}

/// Runs an engine with this clock in the site until so many deliveries have come to rest.
#[track_caller]
pub(super) fn run_engine(site: &Site, clock: Box<dyn Clock>, wanted: usize) -> Vec<DeliveryReport> {
    run_until(site, clock, RunOptions::default(), wanted)
}

/// Runs an engine until so many deliveries have come to rest, or it ends by itself.
#[track_caller]
fn run_until(site: &Site, clock: Box<dyn Clock>, options: RunOptions, wanted: usize) -> Vec<DeliveryReport> {
    let opened = wharf::mapping::Site::open(&site.path("")).unwrap();
    let engine = Arc::new(Engine::open(opened, "test", clock).unwrap());
    let (stop, mut ended) = (Arc::new(Notify::new()), Vec::new());
    let mut tell = |report| {
        ended.push(report);
        if ended.len() == wanted {
            stop.notify_one();
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ran = runtime.block_on(async {
        let run = engine.run(options, Arc::clone(&stop), &mut tell);
        tokio::time::timeout(PATIENCE, run).await
    });
    ran.unwrap_or_else(|_| panic!("{wanted} deliveries never came, but {ended:#?}")).unwrap();
    ended
}

/// Something that happens to a file, and what comes of it.
struct Case {
    what: &'static str,
    /// What is done; the handle is one that the file's writer has had open all the time.
    deed: fn(&Site, &File),
    outcomes: &'static [&'static str],
    ids: &'static [u32],
    loads: u64,
}

/// The bytes of the file at first.
fn before() -> String {
    records([1, 2])
}

/// A handle for writing, as a writer has it who has not closed the file.
fn writer(path: &Path) -> File {
    // Coarse clocks give two changes in a row the same time; the first one was long ago.
    set_modified(path, 1_000_000);
    File::options().write(true).open(path).unwrap()
}

fn append(_: &Site, mut writer: &File) {
    std::io::Seek::seek(&mut writer, std::io::SeekFrom::End(0)).unwrap();
    writer.write_all(b"3,item 3,3.25\n").unwrap();
}

fn cut(_: &Site, writer: &File) {
    writer.set_len(records([1]).len() as u64).unwrap();
}

fn write_over(_: &Site, mut writer: &File) {
    writer.write_all(records([7, 8]).as_bytes()).unwrap();
}

/// Where the file lies by now.
fn found(site: &Site) -> PathBuf {
    let claimed = site.path("inbox/.wharf/a.csv");
    if claimed.exists() { claimed } else { site.path(FILE) }
}

/// What can happen once a file is claimed.
const ONCE_CLAIMED: [Case; 6] = [
    Case {
        what: "appended to",
        deed: append,
        outcomes: &["a.csv refused", "a.csv loaded"],
        ids: &[1, 2, 3],
        loads: 1,
    },
    Case { what: "cut", deed: cut, outcomes: &["a.csv refused", "a.csv loaded"], ids: &[1], loads: 1 },
    Case {
        what: "written over",
        deed: write_over,
        outcomes: &["a.csv refused", "a.csv loaded"],
        ids: &[7, 8],
        loads: 1,
    },
    Case {
        what: "replaced",
        deed: |site, _| drop(put(site, "a.csv", records([5]))),
        outcomes: &["a.csv loaded", "a.csv loaded"],
        ids: &[1, 2, 5],
        loads: 2,
    },
    Case {
        what: "renamed",
        deed: |site, _| fs::rename(found(site), site.path("inbox/b.csv")).unwrap(),
        outcomes: &["a.csv loaded", "b.csv duplicate"],
        ids: &[1, 2],
        loads: 1,
    },
    Case {
        what: "removed",
        deed: |site, _| fs::remove_file(found(site)).unwrap(),
        outcomes: &["a.csv loaded"],
        ids: &[1, 2],
        loads: 1,
    },
];

#[test]
fn a_file_that_is_written_to_replaced_renamed_or_removed_once_it_is_claimed_is_loaded_whole_and_once() {
    for moment in [Moment::Claimed, Moment::Copied] {
        for case in &ONCE_CLAIMED {
            let what = format!("{} when it is {moment:?}", case.what);
            let site = Arc::new(inbox("settle_seconds = 0"));
            let writer = writer(&put(&site, "a.csv", before()));
            let deed = case.deed;
            serve(&site, moment, Box::new(move |site| deed(site, &writer)), case.outcomes.len());
            assert_eq!(outcomes(&site), case.outcomes, "{what}");
            for refused in deliveries(&site).iter().filter(|delivery| delivery["outcome"] == "refused") {
                assert_eq!(refused["reason"], "changed", "{what}");
                let message = refused["message"].as_str().unwrap();
                assert!(message.contains("nothing of this copy is loaded"), "{what}: {message}");
            }
            all_loaded(&site, case.ids.iter().copied(), case.loads);
        }
    }
}

#[test]
fn a_kept_file_that_is_written_to_replaced_renamed_or_removed_while_it_is_taken_is_loaded_whole_and_once() {
    for moment in [Moment::Claimed, Moment::Copied] {
        for case in &ONCE_CLAIMED {
            let what = format!("{} when it is {moment:?}", case.what);
            let site = Arc::new(inbox("settle_seconds = 0\nafter = \"keep\""));
            let writer = writer(&put(&site, "a.csv", before()));
            let deed = case.deed;
            serve(&site, moment, Box::new(move |site| deed(site, &writer)), case.outcomes.len());
            assert_eq!(outcomes(&site), case.outcomes, "{what}");
            let (ids, loads) = super::arrival::loaded(&site);
            let expected: Vec<String> = case.ids.iter().map(u32::to_string).collect();
            assert_eq!((ids, loads), (expected, case.loads.to_string()), "{what}");
            let kept = files_below(&site.path("inbox"));
            assert_eq!(kept.len(), usize::from(case.what != "removed"), "{what}: {kept:?}");
        }
    }
}

/// What can happen to the second of two listed files while the first one is being taken.
const BEFORE_THE_CLAIM: [Case; 6] = [
    Case {
        what: "appended to",
        deed: append,
        outcomes: &["a.csv loaded", "b.csv loaded"],
        ids: &[1, 2, 3, 9],
        loads: 2,
    },
    Case { what: "cut", deed: cut, outcomes: &["a.csv loaded", "b.csv loaded"], ids: &[1, 9], loads: 2 },
    Case {
        what: "written over",
        deed: write_over,
        outcomes: &["a.csv loaded", "b.csv loaded"],
        ids: &[7, 8, 9],
        loads: 2,
    },
    Case {
        what: "replaced",
        deed: |site, _| drop(put(site, "b.csv", records([5]))),
        outcomes: &["a.csv loaded", "b.csv loaded"],
        ids: &[5, 9],
        loads: 2,
    },
    Case {
        what: "renamed",
        deed: |site, _| fs::rename(site.path("inbox/b.csv"), site.path("inbox/c.csv")).unwrap(),
        outcomes: &["a.csv loaded", "c.csv loaded"],
        ids: &[1, 2, 9],
        loads: 2,
    },
    Case {
        what: "removed",
        deed: |site, _| fs::remove_file(site.path("inbox/b.csv")).unwrap(),
        outcomes: &["a.csv loaded"],
        ids: &[9],
        loads: 1,
    },
];

#[test]
fn a_file_that_changes_or_goes_between_the_listing_and_the_claim_is_taken_as_it_is_in_the_end_or_not_at_all()
{
    for after in ["delete", "move:done"] {
        for case in &BEFORE_THE_CLAIM {
            let site = Arc::new(inbox(&format!("settle_seconds = 0\nafter = \"{after}\"")));
            put(&site, "a.csv", records([9]));
            let writer = writer(&put(&site, "b.csv", before()));
            let deed = case.deed;
            // Both were listed together, and the second one is claimed after the first is copied.
            let deed: Deed = Box::new(move |site| deed(site, &writer));
            serve(&site, Moment::Claimed, deed, case.outcomes.len());
            assert_eq!(outcomes(&site), case.outcomes, "{} ({after})", case.what);
            all_loaded(&site, case.ids.iter().copied(), case.loads);
        }
    }
}

#[test]
fn a_run_that_ends_when_all_is_done_does_not_end_before_a_file_that_changed_meanwhile_is_taken() {
    for case in &BEFORE_THE_CLAIM {
        let site = Arc::new(inbox("settle_seconds = 0"));
        put(&site, "a.csv", records([9]));
        let writer = writer(&put(&site, "b.csv", before()));
        let deed = case.deed;
        let clock = watched(&site, Moment::Claimed, Box::new(move |site| deed(site, &writer)));
        run_until(&site, clock, RunOptions { once: true }, usize::MAX);
        assert_eq!(outcomes(&site), case.outcomes, "{}", case.what);
        all_loaded(&site, case.ids.iter().copied(), case.loads);
    }
}

#[test]
fn a_writer_that_pauses_for_longer_than_the_quiet_period_and_goes_on_is_noticed_and_one_whole_file_is_loaded()
{
    for moment in [Moment::Claimed, Moment::Copied] {
        let site = Arc::new(inbox("settle_seconds = 1"));
        // It pauses in the middle of a record.
        let mut writer = File::create(site.path(FILE)).unwrap();
        writer.write_all(b"id,name,amount\n1,item 1,1.25\n2,it").unwrap();
        let deed: Deed = Box::new(move |_| writer.write_all(b"em 2,2.25\n3,item 3,3.25\n").unwrap());
        serve(&site, moment, deed, 2);

        let all = deliveries(&site);
        assert_eq!(outcomes(&site), ["a.csv refused", "a.csv loaded"]);
        assert_eq!((&all[0]["reason"], &all[0]["tally"]["inserted"]), (&"changed".into(), &0.into()));
        assert_eq!(all[1]["evidence"], "unchanged for 1 s");
        assert_eq!((&all[1]["size"], &all[1]["tally"]["read"]), (&records(1..=3).len().into(), &3.into()));
        let names = site.query("SELECT name FROM items ORDER BY id");
        assert_eq!(names, [["item 1"], ["item 2"], ["item 3"]]);
        all_loaded(&site, 1..=3, 1);
    }
}

/// A file that takes a while to copy, and the copy that is being made of it.
fn in_the_making(site: &Site) -> Option<u64> {
    let archive = files_below(&site.path("var/archive"));
    archive.iter().find(|path| !is_whole(path)).and_then(|path| Some(fs::metadata(path).ok()?.len()))
}

#[test]
fn a_file_that_is_appended_to_or_cut_while_it_is_copied_is_put_back_and_taken_when_it_is_whole() {
    let record = |id: usize| format!("{id},{},{id}\n", "x".repeat(8_000));
    let first = "id,name,amount\n".len() + record(10).len();
    for is_cut in [false, true] {
        // A copy may be done before this is noticed; then there is another try with a larger file.
        let mut records = 4_000;
        let (site, mut run) = loop {
            let site = inbox("settle_seconds = 0");
            let content = (10..records).fold("id,name,amount\n".to_owned(), |text, id| text + &record(id));
            let writer = writer(&put(&site, "a.csv", &content));
            let mut run = started(&site);
            run.until("the copy to begin", || count_files(&site) > 0);
            run.freeze();
            if in_the_making(&site).is_some_and(|length| length < content.len() as u64) {
                if is_cut {
                    writer.set_len(first as u64).unwrap()
                } else {
                    append(&site, &writer)
                }
                run.thaw();
                break (site, run);
            }
            records *= 2;
            assert!(records < 200_000, "no copy takes long enough to see it");
        };
        run.says("it was written to while it was read, so nothing was taken and it was put back");
        run.until("it is loaded", || super::arrival::count(&site, "loaded") == 1);
        run.stop().exits(0);
        assert_eq!(outcomes(&site), ["a.csv loaded"]);
        let rows = site.query("SELECT count(*), min(CAST(id AS INTEGER)) FROM items").remove(0);
        let expected =
            if is_cut { ["1".to_owned(), "10".to_owned()] } else { [(records - 9).to_string(), "3".into()] };
        assert_eq!(rows, expected);
        assert_eq!(in_the_making(&site), None);
    }
}

fn count_files(site: &Site) -> usize {
    files_below(&site.path("var/archive")).len()
}
