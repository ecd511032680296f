//! A real PostgreSQL server of the test's own: a new cluster in a folder of its own, reached by a socket in that folder only,
//! and gone with everything in it when it is dropped.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::{
    engine::until,
    support::{Ran, run},
};

/// Where Debian puts the server's programs, a folder for each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// The owner of the cluster, and its one user.
const USER: &str = "wharf";

/// A running server. Its processes end before its folder goes.
pub struct Postgres {
    server: Child,
    folder: tempfile::TempDir,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, which is as good.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Postgres {
    /// A new cluster with an empty database `postgres`, in UTF-8, with texts in the order of their code points, in UTC.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("pg").tempdir().expect("a folder for the server");
        let data = folder.path().join("data");
        let mut initdb = program("initdb");
        initdb.args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "--lc-ctype=C.UTF-8"]);
        initdb.args(["--username", USER, "--pgdata"]).arg(&data);
        run(&mut initdb).exits(0);
        let log = File::create(folder.path().join("log")).expect("the log opens");
        let mut server = program("postgres");
        server.arg("-D").arg(&data).arg("-k").arg(folder.path());
        // Nothing of it outlives the test, so nothing has to reach the disk.
        for setting in
            ["listen_addresses=", "fsync=off", "timezone=UTC", "datestyle=ISO", "max_connections=20"]
        {
            server.args(["-c", setting]);
        }
        server.stdin(Stdio::null()).stdout(log.try_clone().expect("the log opens")).stderr(log);
        let postgres = Self { server: server.spawn().expect("unshare starts"), folder };
        until("PostgreSQL to answer", || {
            (run(&mut postgres.command(["-c", "select 1"])).code == 0).then_some(())
        });
        postgres
    }

    /// The folder of its socket.
    pub fn socket(&self) -> &Path {
        self.folder.path()
    }

    fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new("psql");
        command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--username", USER, "--host"]);
        command.arg(self.socket()).args(["--dbname", "postgres"]).args(arguments);
        command.env("PGTZ", "UTC").env("PGCLIENTENCODING", "UTF8");
        command
    }

    /// Runs a script in one session, and gives what it printed. It ends at its first error.
    #[track_caller]
    pub fn script(&self, sql: &str) -> Ran {
        let path = self.folder.path().join("script.sql");
        fs::write(&path, sql).expect("the script can be written");
        let mut psql = self.command(["-v", "ON_ERROR_STOP=1", "-f"]);
        run(psql.arg(&path)).exits(0)
    }
}

/// A program of the server. It refuses to run as root, so that it is somebody else in a world of its own; what it has
/// started ends with it.
fn program(name: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-user=1", "--map-group=1", "--pid", "--fork", "--kill-child"]);
    command.arg(newest(name)).env("LC_ALL", "C.UTF-8");
    command
}

/// The program of the newest version that is installed.
fn newest(name: &str) -> PathBuf {
    let versions =
        fs::read_dir(VERSIONS).map(|entries| entries.flatten().collect::<Vec<_>>()).unwrap_or_default();
    let number =
        |path: &Path| path.file_name().and_then(OsStr::to_str).and_then(|name| name.parse::<u32>().ok());
    let programs = versions.iter().map(|entry| entry.path());
    let newest = programs.filter(|path| path.join("bin").join(name).exists()).max_by_key(|path| number(path));
    newest.expect("Debian's package postgresql is installed; tests/run installs it").join("bin").join(name)
}
