//! `wharf run` at work in a site: started, watched by what it says, writes and records, and always ended.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{Ran, Site};

/// Only a test that fails waits so long.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks at something that is waited for.
const GLANCE: Duration = Duration::from_millis(10);

/// Looks until there is something to see, and gives it.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(GLANCE);
    }
}

/// A process of the program; it is killed when this is dropped.
pub struct Running {
    child: Child,
    out: PathBuf,
    err: PathBuf,
    /// What the log held before this one.
    begun_at: usize,
}

impl Running {
    /// Starts a command whose output goes into files of the site, behind that of those before.
    pub fn start(site: &Site, mut command: Command) -> Self {
        let (out, err) = (site.path("run.out"), site.path("run.log"));
        let begun_at = fs::metadata(&err).map_or(0, |meta| usize::try_from(meta.len()).unwrap());
        fs::write(&out, "").unwrap();
        let append = |path: &Path| File::options().append(true).create(true).open(path).unwrap();
        command.stdin(Stdio::null()).stdout(append(&out)).stderr(append(&err));
        let child = command.spawn().expect("the program starts");
        Self { child, out, err, begun_at }
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard error so far, without a line that it is still writing.
    pub fn text(&self) -> String {
        let text = fs::read_to_string(&self.err).unwrap();
        let mine = &text[self.begun_at..];
        mine[..mine.rfind('\n').map_or(0, |end| end + 1)].to_owned()
    }

    /// The lines of its log.
    #[track_caller]
    pub fn log(&self) -> Vec<Value> {
        let text = self.text();
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        text.lines().map(parse).collect()
    }

    /// Waits for a line of its log whose message holds `part`.
    #[track_caller]
    pub fn says(&self, part: &str) -> Value {
        let holds = |line: &Value| line["message"].as_str().is_some_and(|message| message.contains(part));
        until(&format!("the log to say {part:?}"), || self.log().into_iter().find(holds))
    }

    /// Waits until the condition holds. Fails with what it wrote, and at once if it ends before that.
    #[track_caller]
    pub fn until(&mut self, what: &str, mut condition: impl FnMut() -> bool) {
        let begun = Instant::now();
        loop {
            // What has ended may have done before what is waited for.
            let is_over = self.is_over();
            if condition() {
                return;
            }
            let in_vain = is_over || begun.elapsed() > PATIENCE;
            assert!(!in_vain, "waited in vain for {what}; ended: {is_over}\n{}", self.text());
            thread::sleep(GLANCE);
        }
    }

    /// True when it has ended.
    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().expect("a process of ours").is_some()
    }

    /// Makes it stand still, and returns when it does.
    #[track_caller]
    pub fn freeze(&mut self) {
        self.signal("STOP");
        let stat = format!("/proc/{}/stat", self.process());
        // The state follows the name, which is in parentheses.
        self.until("it to stand still", || {
            let stat = fs::read_to_string(&stat).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
        });
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.process().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end.
    #[track_caller]
    pub fn ends(mut self) -> Ran {
        let status = until("the process to end", || self.child.try_wait().unwrap());
        let code = status.code().unwrap_or(-1);
        Ran { code, out: fs::read_to_string(&self.out).unwrap(), err: self.text() }
    }

    /// Tells it to stop, as soon as it listens to that, and waits for its end.
    #[track_caller]
    pub fn stop(mut self) -> Ran {
        const TERM: u64 = 1 << (15 - 1);
        let status = format!("/proc/{}/status", self.process());
        until("the process to listen to signals", || {
            let status = fs::read_to_string(&status).unwrap_or_default();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
            (caught & TERM != 0 || self.is_over()).then_some(())
        });
        if !self.is_over() {
            self.signal("TERM");
        }
        self.ends()
    }

    /// Ends it as a power failure would.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Killing a process that has come to its end is no error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Site {
    /// Starts `wharf run` in the site, with a log in JSON.
    pub fn start(&self) -> Running {
        self.start_with(["run", "--json"])
    }

    /// Starts the program with these arguments.
    pub fn start_with<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Running {
        Running::start(self, self.command(arguments))
    }

    /// Puts a whole file into a folder at once, as a partner does who renames it when it is complete.
    pub fn arrive(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let written = self.write("written/elsewhere", content);
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::rename(written, &path).unwrap();
        path
    }

    /// All deliveries as `wharf deliveries` tells of them, the first one first; none before there is a ledger.
    #[track_caller]
    pub fn deliveries(&self) -> Vec<Value> {
        if !self.path("var/ledger.db").exists() {
            return Vec::new();
        }
        let ran = self.run(["deliveries", "--json", "--limit", "100000"]);
        // Until its maker has written it down, the ledger is no ledger yet.
        if ran.code != 0 {
            return Vec::new();
        }
        let mut all = ran.json();
        all.reverse();
        all
    }

    /// Waits until the latest delivery of this file is in this state, and gives it.
    #[track_caller]
    pub fn waits_for(&self, file: &str, outcome: &str) -> Value {
        let is_it = |delivery: &Value| delivery["file"] == file && delivery["outcome"] == outcome;
        let mut last = Vec::new();
        let begun = Instant::now();
        loop {
            if let Some(found) = last.iter().rev().find(|delivery| is_it(delivery)) {
                return Value::clone(found);
            }
            assert!(begun.elapsed() < PATIENCE, "{file} did not come to be {outcome}: {last:#?}");
            thread::sleep(GLANCE);
            last = self.deliveries();
        }
    }

    /// The rows of a query on the site's own database; none before there is what it asks for.
    pub fn query_or_none(&self, sql: &str) -> Vec<Vec<String>> {
        let database = self.path("var/warehouse.db");
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let Ok(connection) = rusqlite::Connection::open_with_flags(&database, flags) else {
            return Vec::new();
        };
        if connection.prepare(sql).is_ok() { self.query(sql) } else { Vec::new() }
    }

    /// What `wharf status` says, as JSON.
    #[track_caller]
    pub fn status(&self) -> Value {
        self.run(["status", "--json"]).exits(0).object()
    }

    /// The names of the files in a folder of the site and those below it, claimed ones included, sorted.
    pub fn files_in(&self, folder: &str) -> Vec<String> {
        let (root, mut names) = (self.path(folder), Vec::new());
        let mut open = vec![root.clone()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    names.push(path.strip_prefix(&root).unwrap().to_string_lossy().into_owned());
                }
            }
        }
        names.sort();
        names
    }
}
