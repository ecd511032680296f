//! What the machine may refuse: to read the file, to write the site, to hold still while a file is read.

use std::{
    fs::{self, File, Permissions},
    io::Write,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use wharf::{
    exchange::{
        DeliveryReport, Engine, Observer, Step,
        clock::SystemClock,
        take::{LoadOptions, TakenFile},
    },
    model::{Outcome, Reason},
};

use super::{ITEMS, balances, files_below, items, plain};
use crate::support::{Ran, Site, run, wharf};

/// The user and group `nobody` of most systems; what counts is that it is not root and owns nothing else.
const NOBODY: u32 = 65_534;

/// A site whose owner may do no more than its permissions say, and the program as that owner runs it.
pub(super) struct Unprivileged {
    /// The site.
    pub(super) site: Site,
    /// The program, where that user reaches it.
    program: Option<PathBuf>,
}

impl Unprivileged {
    /// The site of items.
    fn new() -> Self {
        let site = items();
        site.write("a.csv", "id,name,amount\n1,lamp,2\n2,desk,much\n");
        Self::of(site)
    }

    /// Root makes the site another user's; any other user is unprivileged already.
    pub(super) fn of(site: Site) -> Self {
        let root = fs::metadata(site.path("")).unwrap().uid() == 0;
        let program = root.then(|| {
            let path = site.path("program");
            let built = wharf().get_program().to_owned();
            fs::hard_link(&built, &path).or_else(|_| fs::copy(&built, &path).map(drop)).unwrap();
            path
        });
        let this = Self { site, program };
        this.give_away();
        this
    }

    /// Makes all that is in the site the unprivileged user's.
    pub(super) fn give_away(&self) {
        if self.program.is_some() {
            for entry in walkdir::WalkDir::new(self.site.path("")) {
                let entry = entry.unwrap();
                if entry.file_name() != "program" {
                    chown(entry.path(), Some(NOBODY), Some(NOBODY)).unwrap();
                }
            }
        }
    }

    /// Sets the permissions of something in the site.
    pub(super) fn allow(&self, path: impl AsRef<Path>, mode: u32) {
        fs::set_permissions(self.site.path(path), Permissions::from_mode(mode)).unwrap();
    }

    /// Runs the program as the unprivileged user.
    pub(super) fn run(&self, arguments: &[&str]) -> Ran {
        let ran = run(&mut self.command(arguments));
        plain(&ran);
        ran
    }

    /// The program as that user has it.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        match &self.program {
            None => self.site.command(arguments),
            Some(program) => {
                let mut command = Command::new(program);
                command.env_clear().env("PATH", "/usr/bin:/bin").env("USER", "tester").args(arguments);
                command.current_dir(self.site.path("")).uid(NOBODY).gid(NOBODY);
                command
            }
        }
    }

    /// Loads the file for programs and then for people; both are told the same. Gives the object and the text.
    #[track_caller]
    fn load_fails(&self, parts: &[&str]) -> serde_json::Value {
        let object = self.run(&["load", "--json", "a.csv"]).exits(1).object();
        let text = self.run(&["load", "a.csv"]).exits(1);
        for part in parts {
            assert!(object.to_string().contains(part), "{part:?} is not in {object}");
            assert!((text.out.clone() + &text.err).contains(part), "{part:?} is not in {text:?}");
        }
        object
    }
}

impl Drop for Unprivileged {
    /// Who may not write a folder cannot remove it either.
    fn drop(&mut self) {
        for entry in walkdir::WalkDir::new(self.site.path("")).into_iter().flatten() {
            if entry.file_type().is_dir() {
                let _ = fs::set_permissions(entry.path(), Permissions::from_mode(0o755));
            }
        }
    }
}

#[test]
fn a_file_that_may_not_be_read_is_not_taken_and_says_who_must_let_it() {
    let user = Unprivileged::new();
    user.allow("a.csv", 0o000);
    let object =
        user.load_fails(&["cannot open a.csv: Permission denied", "let the user that runs wharf read"]);
    assert_eq!((&object["outcome"], &object["reason"]), (&"failed".into(), &"fault".into()));
    balances(&object);
    assert!(files_below(&user.site.path("var/archive")).is_empty());
    user.allow("a.csv", 0o400);
    let loaded = user.run(&["load", "--json", "a.csv"]).exits(2).object();
    assert_eq!(loaded["tally"]["inserted"], 1);
}

#[test]
fn a_site_that_may_not_be_written_is_told_with_path_and_remedy_and_stays_as_it_is() {
    let user = Unprivileged::new();
    user.allow("", 0o555);
    let before = files_below(&user.site.path(""));
    let object =
        user.load_fails(&["cannot make the folder ./var: Permission denied", "let the user that runs wharf"]);
    assert!(object["error"].is_string() && object["help"].is_string(), "{object}");
    assert_eq!(files_below(&user.site.path("")), before);
    // What only reads still works.
    user.run(&["check"]).exits(0);
    user.run(&["status"]).exits(0);
    user.run(&["validate", "a.csv"]).exits(2);
    user.allow("", 0o755);
    user.run(&["load", "a.csv"]).exits(2);
}

#[test]
fn a_store_that_may_not_be_written_any_more_keeps_what_it_has() {
    // Each folder or file in turn is closed, and the message names it.
    let table = [
        ("var", "cannot open the lock file ./var/lock"),
        ("var/archive", "cannot create ./var/archive/"),
        ("var/ledger.db", "cannot open or write the ledger ./var/ledger.db: it may only be read"),
        ("var/warehouse.db", "warehouse.db` cannot be written"),
    ];
    for (closed, part) in table {
        let user = Unprivileged::new();
        user.run(&["load", "a.csv"]).exits(2);
        user.site.write("a.csv", "id,name,amount\n3,more,3\n4,some,much\n");
        user.give_away();
        let paths: Vec<PathBuf> = walkdir::WalkDir::new(user.site.path(closed))
            .into_iter()
            .flatten()
            .map(walkdir::DirEntry::into_path)
            .collect();
        let modes: Vec<u32> = paths.iter().map(|path| fs::metadata(path).unwrap().mode()).collect();
        for (path, mode) in paths.iter().zip(&modes) {
            fs::set_permissions(path, Permissions::from_mode(mode & !0o222)).unwrap();
        }
        user.load_fails(&[part]);
        for (path, mode) in paths.iter().zip(modes) {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        assert_eq!(user.site.query("SELECT id FROM items"), [["1"]], "{closed}");
        let loaded = user.run(&["load", "--json", "a.csv"]).exits(2).json();
        assert_eq!(loaded.last().unwrap()["tally"]["read"], 2, "{closed}: {loaded:?}");
        assert_eq!(user.site.query("SELECT id FROM items ORDER BY id"), [["1"], ["3"]], "{closed}");
    }
}

#[test]
fn reports_that_may_not_be_written_are_written_by_another_attempt_without_loading_again() {
    let user = Unprivileged::new();
    fs::create_dir(user.site.path("outbox")).unwrap();
    user.give_away();
    user.allow("outbox", 0o555);
    let object = user.run(&["load", "--json", "a.csv"]).exits(1).object();
    let message = object["message"].as_str().unwrap();
    let said =
        "the good rows are loaded, but not the rejects reported: cannot make the folder ./outbox/rejects";
    assert!(message.starts_with(said) && message.contains("let the user that runs wharf"), "{message}");
    balances(&object);
    assert_eq!((&object["outcome"], &object["tally"]["inserted"]), (&"failed".into(), &1.into()));
    assert_eq!(user.site.query("SELECT id, name FROM items"), [["1", "lamp"]]);

    user.allow("outbox", 0o755);
    let id = object["delivery"].as_str().unwrap();
    let retried = user.run(&["retry", "--json", id]).exits(2).object();
    balances(&retried);
    assert_eq!(
        (&retried["outcome"], &retried["tally"]["inserted"]),
        (&"loaded_with_rejects".into(), &1.into())
    );
    assert_eq!(user.site.report(&retried, "errors").1.len(), 1);
    assert_eq!(user.site.query("SELECT count(*) FROM _wharf_loads"), [["1"]]);
}

/// Appends to the file while the engine reads it.
struct Appending(File);

impl Observer for Appending {
    fn progress(&mut self, _: &Path, step: Step, _: u64, _: u64) {
        assert_eq!(step, Step::Taking);
        self.0.write_all(b"9,late,9\n").unwrap();
    }

    fn ended(&mut self, _: DeliveryReport) {}

    fn note(&mut self, _: &str) {}
}

/// Takes `a.csv` while it is appended to.
fn take_while_it_changes(site: &Site) -> DeliveryReport {
    let path = site.path("a.csv");
    let mut observer = Appending(File::options().append(true).open(&path).unwrap());
    let opened = wharf::mapping::Site::open(&site.path("")).unwrap();
    let engine = Engine::open(opened, "test", Box::new(SystemClock::default())).unwrap();
    match engine.take(&path, &LoadOptions::default(), &mut observer).unwrap() {
        TakenFile::Ended(report) => *report,
        TakenFile::Jobs(jobs) => panic!("taken: {jobs:?}"),
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_not_taken_and_loads_when_it_is_complete() {
    let content = "id,name,amount\n1,lamp,2\n";
    // The second time the archive knows a file of that size, so that the file is hashed before it is copied.
    for known in [false, true] {
        let site = Site::with_mapping("items", ITEMS);
        if known {
            site.load("before.csv", content.replace("lamp", "desk"));
        }
        let archived = files_below(&site.path("var/archive")).len();
        site.write("a.csv", content);
        let report = take_while_it_changes(&site);
        assert_eq!((report.outcome, report.reason), (Outcome::Failed, Some(Reason::Changed)), "{report:?}");
        assert!(report.message.unwrap().contains("changed while it was read, so nothing was taken"));
        assert!(report.delivery.is_none() && report.tally.balances());
        assert_eq!(files_below(&site.path("var/archive")).len(), archived, "the copy is gone");

        let loaded = site.run(["load", "--json", "a.csv"]).exits(0).object();
        assert_eq!(loaded["tally"]["read"], 2, "{loaded}");
        assert_eq!(site.query("SELECT name FROM items WHERE id = '9'"), [["late"]]);
    }
}

#[test]
fn an_archived_copy_that_was_changed_is_never_loaded() {
    let site = items();
    site.write("wharf.toml", "[store]\nbusy_seconds = 0\n");
    site.load("before.csv", "id,name,amount\n");
    let other = rusqlite::Connection::open(site.path("var/warehouse.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (code, failed) = site.load("a.csv", "id,name,amount\n1,lamp,2\n");
    assert_eq!((code, &failed["outcome"]), (1, &"failed".into()));
    other.execute_batch("ROLLBACK").unwrap();

    let archived = files_below(&site.path("var/archive"));
    let copy = archived.iter().find(|path| path.to_string_lossy().ends_with("a.csv")).unwrap();
    fs::set_permissions(copy, Permissions::from_mode(0o644)).unwrap();
    fs::write(copy, "id,name,amount\n1,lump,2\n").unwrap();
    let id = failed["delivery"].as_str().unwrap();
    let retried = site.run(["retry", "--json", id]).exits(1).object();
    balances(&retried);
    assert_eq!((&retried["outcome"], &retried["reason"]), (&"failed".into(), &"fault".into()), "{retried}");
    let message = retried["message"].as_str().unwrap();
    assert!(message.contains("var/archive/") && message.contains("damaged"), "{message}");
    assert!(message.contains("load the original file again"), "{message}");
    assert_eq!(site.query("SELECT count(*) FROM items"), [["0"]]);

    // The file itself is as good as it was.
    let loaded = site.run(["load", "--json", "a.csv"]).exits(0).object();
    assert_eq!((&loaded["outcome"], &loaded["tally"]["inserted"]), (&"loaded".into(), &1.into()));
    assert_eq!(site.query("SELECT name FROM items"), [["lamp"]]);
}
