//! Many files at once: none is missed when the system tells of too many to tell of all, and a large folder takes no more
//! memory than a small one.

use std::{fs, sync::Arc, time::Duration};

use wharf::sources::{
    MOST_READY, Source,
    folder::{After, FolderOptions, FolderSource},
};

use super::{
    arrival::{all_loaded, count, inbox, put, records, started, states},
    files_below,
};
use crate::support::Site;

/// How many events the system keeps for one who watches and is slow.
const QUEUE_LIMIT: &str = "/proc/sys/fs/inotify/max_queued_events";

/// The system's limit, set otherwise until this is dropped.
struct QueueLimit(String);

impl QueueLimit {
    /// None when this user may not set it.
    fn set(limit: u32) -> Option<Self> {
        let before = fs::read_to_string(QUEUE_LIMIT).ok()?;
        fs::write(QUEUE_LIMIT, limit.to_string()).ok().map(|()| Self(before))
    }
}

impl Drop for QueueLimit {
    fn drop(&mut self) {
        fs::write(QUEUE_LIMIT, self.0.trim()).unwrap();
    }
}

#[test]
fn five_thousand_files_dropped_while_the_system_tells_of_sixteen_are_all_taken_once() {
    const FILES: u32 = 5_000;
    let site = inbox("settle_seconds = 0");
    // The limit counts for who begins to watch now. Where it cannot be set, the files come all the same.
    let limit = QueueLimit::set(16);
    let mut run = started(&site);
    run.says("file events come here");
    drop(limit);
    // It cannot keep up, as it stands still.
    run.freeze();
    for id in 1..=FILES {
        put(&site, &format!("{id}.csv"), records([id]));
    }
    run.thaw();
    run.until("all are loaded", || count(&site, "loaded") == u64::from(FILES));
    // What comes one by one is still noticed.
    put(&site, "last.csv", records([FILES + 1]));
    run.until("the last is loaded", || count(&site, "loaded") == u64::from(FILES) + 1);
    run.stop().exits(0);
    assert_eq!(states(&site).len(), 1, "{:?}", states(&site));
    all_loaded(&site, 1..=FILES + 1, u64::from(FILES) + 1);
}

/// The most memory that a process has had so far, in bytes.
fn peak_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// How many files lie in the inbox.
fn left(site: &Site) -> usize {
    files_below(&site.path("inbox")).len()
}

#[test]
fn fifty_thousand_files_in_one_folder_are_taken_in_order_once_each_in_little_memory() {
    const FILES: u32 = 50_000;
    let site = inbox("settle_seconds = 0");
    for name in 0..FILES {
        fs::write(site.path(format!("inbox/{name}.csv")), records([name])).unwrap();
    }
    let mut run = started(&site);
    run.until("many are loaded", || count(&site, "loaded") > 500);
    let peak_bytes = peak_bytes(run.process());
    run.stop().exits(0);
    assert!(peak_bytes < 120_000_000, "{peak_bytes} bytes");
    let taken: u64 = states(&site).values().sum();
    assert_eq!(taken + left(&site) as u64, u64::from(FILES), "each is taken or left");

    // The others, as fast as they can be taken from the folder alone.
    let source = FolderSource::new(FolderOptions {
        name: "inbox".to_owned(),
        folder: site.path("inbox"),
        takes: Arc::new(|_: &str| true),
        recursive: false,
        settle: Some(Duration::from_secs(1)),
        marker: None,
        manifest: None,
        after: After::Delete,
        every: None,
    });
    let mut lister = source.lister();
    let (mut next, mut second) = (taken, 0);
    while next < u64::from(FILES) {
        let look = lister.look(Duration::from_secs(second), &mut |_, _| Some(false)).unwrap();
        second += 1;
        assert_eq!(look.files, u64::from(FILES) - next);
        assert!(
            look.ready.len() <= MOST_READY && (second == 1 || !look.ready.is_empty()),
            "{}",
            look.ready.len()
        );
        for ready in look.ready {
            assert_eq!(ready.name.to_string(), format!("{next}.csv"));
            source.settle(source.claim(&ready).unwrap()).unwrap();
            next += 1;
        }
    }
    assert_eq!(left(&site), 0);
}
