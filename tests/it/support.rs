//! A site in a folder of its own, and the program run in it with nothing of the machine around it.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

/// A site that is gone when it is dropped.
pub struct Site {
    folder: tempfile::TempDir,
}

/// What a run of the program left behind.
#[derive(Debug)]
pub struct Ran {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// The program.
pub fn wharf() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("TMPDIR", std::env::temp_dir())
        .env("USER", "tester");
    command
}

/// Runs a prepared command.
pub fn run(command: &mut Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    Ran {
        code: status.code().unwrap_or(-1),
        out: String::from_utf8(stdout).expect("output is UTF-8"),
        err: String::from_utf8(stderr).expect("errors are UTF-8"),
    }
}

impl Ran {
    /// The JSON objects on standard output, one a line.
    #[track_caller]
    pub fn json(&self) -> Vec<Value> {
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}\n{self:?}"))
        };
        self.out.lines().map(parse).collect()
    }

    /// The only JSON object on standard output.
    #[track_caller]
    pub fn object(&self) -> Value {
        let mut objects = self.json();
        assert_eq!(objects.len(), 1, "{self:?}");
        objects.remove(0)
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self
    }
}

/// The violations of a delivery's report for programs, each as `record column rule value: message`.
#[track_caller]
pub fn violations(site: &Site, delivery: &Value) -> Vec<String> {
    let (_, rows) = site.report(delivery, "errors");
    rows.iter().map(|row| format!("{} {} {} {}: {}", row[0], row[3], row[5], row[4], row[6])).collect()
}

impl Site {
    /// An empty site.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder for the site") }
    }

    /// An empty site with one mapping.
    pub fn with_mapping(name: &str, text: &str) -> Self {
        let site = Self::new();
        site.write(format!("mappings/inbound/{name}.toml"), text);
        site
    }

    /// A path in the site.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of the site, and the folders it needs.
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
        fs::write(&path, content).expect("the file can be written");
        path
    }

    /// Reads a file of the site as text.
    #[track_caller]
    pub fn read(&self, name: impl AsRef<Path>) -> String {
        let path = self.path(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The program with this site and these arguments.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = wharf();
        command.current_dir(self.folder.path()).args(arguments);
        command
    }

    /// Runs the program in the site.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ran {
        run(&mut self.command(arguments))
    }

    /// Writes `content` as the file `name`, loads it, and gives the JSON object of its delivery with the exit code.
    #[track_caller]
    pub fn load(&self, name: &str, content: impl AsRef<[u8]>) -> (i32, Value) {
        self.write(name, content);
        let ran = self.run(["load", "--json", name]);
        (ran.code, ran.object())
    }

    /// The rows of a query on the site's own database, as texts; NULL is `-`.
    #[track_caller]
    pub fn query(&self, sql: &str) -> Vec<Vec<String>> {
        query(&self.path("var/warehouse.db"), sql)
    }

    /// A report of a delivery, by its key in `reports`: its header and its rows.
    #[track_caller]
    pub fn report(&self, delivery: &Value, kind: &str) -> (Vec<String>, Vec<Vec<String>>) {
        let path =
            delivery["reports"][kind].as_str().unwrap_or_else(|| panic!("no {kind} report: {delivery}"));
        csv(&self.path(path))
    }
}

/// The rows of a query on a database, as texts; NULL is `-`.
#[track_caller]
pub fn query(database: &Path, sql: &str) -> Vec<Vec<String>> {
    let connection = rusqlite::Connection::open(database).expect("the database opens");
    let mut statement = connection.prepare(sql).expect("the query is valid");
    let columns = statement.column_count();
    let text = |value: rusqlite::types::Value| match value {
        rusqlite::types::Value::Null => "-".to_owned(),
        rusqlite::types::Value::Integer(number) => number.to_string(),
        rusqlite::types::Value::Real(number) => number.to_string(),
        rusqlite::types::Value::Text(text) => text,
        rusqlite::types::Value::Blob(bytes) => format!("{bytes:?}"),
    };
    let rows = statement.query_map([], |row| (0..columns).map(|at| row.get(at).map(text)).collect());
    rows.expect("the query runs").collect::<Result<_, _>>().expect("the rows can be read")
}

/// A CSV file's header and rows; a byte order mark is no part of it.
#[track_caller]
pub fn csv(path: &Path) -> (Vec<String>, Vec<Vec<String>>) {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(bytes);
    let texts = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect::<Vec<_>>();
    let header = texts(reader.headers().expect("a header"));
    let rows = reader.records().map(|record| texts(&record.expect("a record"))).collect();
    (header, rows)
}
