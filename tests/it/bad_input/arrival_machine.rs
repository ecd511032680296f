//! What the machine may refuse while `wharf run` goes on: to list the inbox, to take from it, to be there at all, to give
//! room. It is said once with what to do, the others go on, and when it is mended everything is loaded, once.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    thread,
};

use super::{
    arrival::{all_loaded, count, counts, inbox, outcomes, put, records, started},
    files_below,
    machine::Unprivileged,
    mounts::{Mount, in_a_namespace},
};
use crate::{engine::Running, support::Site};

/// The program of an unprivileged user, at work.
fn started_by(user: &Unprivileged) -> Running {
    let run = Running::start(&user.site, user.command(&["run", "--json"]));
    run.says("at work");
    run
}

/// How many deliveries of that user's site are loaded.
fn loaded_by(user: &Unprivileged) -> u64 {
    counts(&user.run(&["status", "--json"]).exits(0)).get("loaded").copied().unwrap_or_default()
}

#[test]
fn a_folder_that_may_not_be_listed_is_told_with_the_remedy_and_taken_from_once_it_may() {
    let user = Unprivileged::of(inbox("settle_seconds = 0"));
    put(&user.site, "a.csv", records([1]));
    user.give_away();
    user.allow("inbox", 0o000);
    let mut run = started_by(&user);
    run.says("cannot list");
    for part in ["inbox: Permission denied", "let the user that runs wharf read and write there"] {
        assert!(run.text().contains(part), "{part}\n{}", run.text());
    }
    run.until("status tells of it", || {
        user.run(&["status"]).exits(0).out.contains("inbox: Permission denied")
    });
    user.allow("inbox", 0o755);
    run.until("the file is loaded", || loaded_by(&user) == 1);
    run.says("the folder can be listed again");
    let log = run.stop().exits(0).err;
    assert_eq!(log.matches("cannot list").count(), 1, "{log}");
    all_loaded(&user.site, [1], 1);
}

#[test]
fn a_folder_that_may_not_be_written_keeps_its_files_and_says_so_until_it_may() {
    let user = Unprivileged::of(inbox("settle_seconds = 0"));
    put(&user.site, "a.csv", records([1]));
    user.give_away();
    user.allow("inbox", 0o555);
    let mut run = started_by(&user);
    run.says("cannot be taken");
    for part in ["Permission denied", "let the user that runs wharf read and write there"] {
        assert!(run.text().contains(part), "{part}\n{}", run.text());
    }
    assert_eq!(files_below(&user.site.path("inbox")), [user.site.path("inbox/a.csv")]);
    user.allow("inbox", 0o755);
    run.until("the file is loaded", || loaded_by(&user) == 1);
    run.stop().exits(0);
    all_loaded(&user.site, [1], 1);
}

#[test]
fn a_folder_that_may_only_be_read_is_taken_from_once_where_files_are_kept() {
    let user = Unprivileged::of(inbox("settle_seconds = 0\nafter = \"keep\"\nevery = \"1s\""));
    let add = |name: &str, id: u32| {
        user.allow("inbox", 0o755);
        put(&user.site, name, records([id]));
        user.give_away();
        user.allow("inbox", 0o555);
    };
    add("a.csv", 1);
    let mut run = started_by(&user);
    run.until("the first is loaded", || loaded_by(&user) == 1);
    add("b.csv", 2);
    run.until("the second is loaded", || loaded_by(&user) == 2);
    let log = run.stop().exits(0).err;
    assert!(!log.contains("\"level\":\"error\""), "{log}");

    // The next one knows them, and takes what is new.
    add("c.csv", 3);
    let mut run = started_by(&user);
    run.until("the third is loaded", || loaded_by(&user) == 3);
    run.stop().exits(0);
    assert_eq!(outcomes(&user.site), ["a.csv loaded", "b.csv loaded", "c.csv loaded"]);
    assert_eq!(files_below(&user.site.path("inbox")).len(), 3);
}

#[test]
fn a_file_that_may_not_be_read_keeps_no_other_from_being_taken() {
    let user = Unprivileged::of(inbox("settle_seconds = 0"));
    put(&user.site, "a.csv", records([1]));
    put(&user.site, "b.csv", records([2]));
    user.give_away();
    user.allow("inbox/a.csv", 0o000);
    let mut run = started_by(&user);
    run.until("the other is loaded", || loaded_by(&user) == 1);
    run.says("a.csv: Permission denied");
    assert!(run.text().contains("let the user that runs wharf read"), "{}", run.text());
    user.allow("inbox/a.csv", 0o400);
    run.until("it is loaded", || loaded_by(&user) == 2);
    run.stop().exits(0);
    assert_eq!(outcomes(&user.site), ["b.csv loaded", "a.csv loaded"]);
    all_loaded(&user.site, [1, 2], 2);
}

/// Writes until the disk of that folder is full, into a file that no source takes; then gives back so many bytes.
fn fill(folder: &Path, free_kib: u64) -> PathBuf {
    let path = folder.join("ballast.tmp");
    let mut ballast = File::create(&path).unwrap();
    let mut written = 0;
    while ballast.write_all(&[0; 1024]).is_ok() {
        written += 1;
    }
    ballast.set_len(u64::saturating_sub(written, free_kib) * 1024).unwrap();
    path
}

#[test]
fn a_folder_on_a_full_disk_is_taken_from_all_the_same() {
    const TEST: &str = "bad_input::arrival_machine::a_folder_on_a_full_disk_is_taken_from_all_the_same";
    let site = inbox("settle_seconds = 0");
    let Some(_disk) = Mount::disk(&site.path("inbox"), "size=64k,mode=755") else {
        return in_a_namespace(TEST);
    };
    site.write("inbox/a.csv", records([1]));
    let ballast = fill(&site.path("inbox"), 0);
    let mut run = started(&site);
    run.until("the file is loaded", || count(&site, "loaded") == 1);
    run.stop().exits(0);
    fs::remove_file(ballast).unwrap();
    all_loaded(&site, [1], 1);
}

#[test]
fn a_folder_whose_disk_has_no_room_for_one_more_name_says_so_and_is_taken_from_when_it_has() {
    const TEST: &str = "bad_input::arrival_machine::\
        a_folder_whose_disk_has_no_room_for_one_more_name_says_so_and_is_taken_from_when_it_has";
    let site = inbox("settle_seconds = 0");
    let Some(_disk) = Mount::disk(&site.path("inbox"), "nr_inodes=50,mode=755") else {
        return in_a_namespace(TEST);
    };
    site.write("inbox/a.csv", records([1]));
    let mut ballast = Vec::new();
    for number in 0..50 {
        let path = site.path(format!("inbox/{number}.tmp"));
        if File::create(&path).is_ok() {
            ballast.push(path);
        }
    }
    assert!(ballast.len() < 50, "the disk is not full");
    let mut run = started(&site);
    run.says("cannot be taken");
    for part in ["No space left", "free space on that disk"] {
        assert!(run.text().contains(part), "{part}\n{}", run.text());
    }
    ballast.into_iter().for_each(|path| fs::remove_file(path).unwrap());
    run.until("the file is loaded", || count(&site, "loaded") == 1);
    run.stop().exits(0);
    all_loaded(&site, [1], 1);
}

/// A site whose store runs full at one step or another while the program goes on; then there is room again.
fn runs_full(site: &Site, free_kib: u64) -> String {
    put(site, "a.csv", records([1]));
    let mut run = started(site);
    run.until("the first is loaded", || count(site, "loaded") == 1);
    let ballast = fill(&site.path("var"), free_kib);
    for number in 2..=5 {
        put(site, &format!("b_{number}.csv"), records(number * 1_000..number * 1_000 + 400));
    }
    run.says("free space on that disk");
    fs::remove_file(ballast).unwrap();
    run.until("the others are loaded", || count(site, "loaded") == 5);
    let log = run.stop().exits(0).err;
    let expected = [1].into_iter().chain((2..=5).flat_map(|number| number * 1_000..number * 1_000 + 400));
    all_loaded(site, expected, 5);
    assert_eq!(site.query("PRAGMA integrity_check"), [["ok"]]);
    log
}

#[test]
fn a_store_that_runs_full_while_the_program_goes_on_loses_nothing_and_everything_is_loaded_when_there_is_room()
 {
    const TEST: &str = "bad_input::arrival_machine::\
        a_store_that_runs_full_while_the_program_goes_on_loses_nothing_and_everything_is_loaded_when_there_is_room";
    let sites: Vec<Site> = (0..6).map(|_| inbox("settle_seconds = 0")).collect();
    let mut disks = Vec::new();
    for site in &sites {
        fs::create_dir(site.path("var")).unwrap();
        let Some(disk) = Mount::disk(&site.path("var"), "size=4m,mode=755") else {
            return in_a_namespace(TEST);
        };
        disks.push(disk);
    }
    // From no room at all to room for some of the steps; side by side, as each waits before it tries again.
    let logs: Vec<String> = thread::scope(|scope| {
        let trials: Vec<_> = sites
            .iter()
            .zip([0, 8, 24, 40, 56, 80])
            .map(|(site, free)| scope.spawn(move || runs_full(site, free)))
            .collect();
        trials.into_iter().map(|trial| trial.join().unwrap()).collect()
    });
    for step in ["var/archive/", "ledger.db"] {
        assert!(logs.iter().any(|log| log.contains(step)), "{step} never failed: {logs:#?}");
    }
}

#[test]
fn a_file_that_cannot_be_moved_aside_is_loaded_once_and_moved_when_there_is_room() {
    const TEST: &str = "bad_input::arrival_machine::a_file_that_cannot_be_moved_aside_is_loaded_once_and_moved_when_there_is_room";
    let site = inbox("settle_seconds = 0\nafter = \"move:done\"");
    fs::create_dir(site.path("done")).unwrap();
    let Some(_disk) = Mount::disk(&site.path("done"), "size=64k,mode=755") else {
        return in_a_namespace(TEST);
    };
    let ballast = fill(&site.path("done"), 0);
    let content = records(1..=200);
    put(&site, "a.csv", &content);
    let mut run = started(&site);
    run.until("it is loaded", || count(&site, "loaded") == 1);
    run.says("it is taken, but the source cannot be told");
    assert!(run.text().contains("free space on that disk"), "{}", run.text());
    // Nor does another start take it again.
    run.stop().exits(0);
    let mut run = started(&site);
    run.says("was taken before");
    fs::remove_file(ballast).unwrap();
    run.until("it is moved", || site.path("done/a.csv").exists());
    run.says("now settled");
    run.stop().exits(0);
    assert_eq!(site.read("done/a.csv"), content);
    assert_eq!(outcomes(&site), ["a.csv loaded"]);
    all_loaded(&site, 1..=200, 1);
}

/// So many files lie in the inbox.
const FILES: u32 = 200;

/// The program works on the files of an inbox that is taken away in the middle of it, and later put back.
fn taken_away(site: &Site, take_away: impl FnOnce(), put_back: impl FnOnce()) {
    let mut run = started(site);
    run.until("some are taken", || !states_are_empty(site));
    take_away();
    run.says("inbox is not there");
    let before = outcomes(site).len();
    assert!(before < FILES as usize, "it was too late to take the folder away");
    put_back();
    run.until("all are loaded", || count(site, "loaded") == u64::from(FILES));
    run.until("nothing is left", || files_below(&site.path("inbox")).is_empty());
    run.stop().exits(0);
    let mut expected: Vec<String> = (1..=FILES).map(|id| format!("{id}.csv loaded")).collect();
    let mut found = outcomes(site);
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    all_loaded(site, 1..=FILES, u64::from(FILES));
}

fn states_are_empty(site: &Site) -> bool {
    super::arrival::states(site).is_empty()
}

#[test]
fn a_folder_that_is_unmounted_in_the_middle_and_mounted_again_gives_each_of_its_files_once() {
    const TEST: &str = "bad_input::arrival_machine::\
        a_folder_that_is_unmounted_in_the_middle_and_mounted_again_gives_each_of_its_files_once";
    let site = inbox("settle_seconds = 0");
    let (disk, inbox) = (site.path("disk"), site.path("inbox"));
    for id in 1..=FILES {
        site.write(format!("disk/{id}.csv"), records([id]));
    }
    let Some(mount) = Mount::bind(&disk, &inbox) else { return in_a_namespace(TEST) };
    let mut again = None;
    taken_away(
        &site,
        || {
            drop(mount);
            fs::remove_dir(&inbox).unwrap();
        },
        || {
            fs::create_dir(&inbox).unwrap();
            again = Mount::bind(&disk, &inbox);
        },
    );
    assert!(again.is_some());
}

#[test]
fn a_folder_that_is_renamed_in_the_middle_and_renamed_back_gives_each_of_its_files_once() {
    let site = inbox("settle_seconds = 0");
    for id in 1..=FILES {
        put(&site, &format!("{id}.csv"), records([id]));
    }
    let (inbox, aside) = (site.path("inbox"), site.path("elsewhere"));
    let (there, back) = (|| fs::rename(&inbox, &aside).unwrap(), || fs::rename(&aside, &inbox).unwrap());
    taken_away(&site, there, back);
}
