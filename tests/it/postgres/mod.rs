//! A real PostgreSQL server of the test's own: a new cluster in a folder of its own, reached by a socket in that folder and,
//! where a test asks for it, by TCP on loopback; gone with everything in it when it is dropped.
//!
//! A cluster takes half a second to make, a database in it a twentieth: tests with many cases give each a database.

mod bouncer;
mod certificates;
mod relay;
mod session;

use std::{
    ffi::OsStr,
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

pub use self::{
    bouncer::PgBouncer,
    certificates::{Certificate, Certificates},
    relay::{Cut, Relay},
    session::Session,
};
use crate::{
    engine::until,
    support::{Ran, run},
};

/// Where Debian puts the server's programs, a folder for each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// The owner of the cluster, who may do everything, and enters by the socket without a password.
pub const OWNER: &str = "wharf";
/// Ports are picked from these: below those that Linux gives to clients (32768 and up), so that a server that is started
/// again finds its own still free.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// So many ports are tried before a test gives up: that others take each of them is not to be expected.
const MOST_PORTS: u32 = 50;

/// A running server. Its processes end before its folder goes.
pub struct Postgres {
    server: Option<Child>,
    folder: tempfile::TempDir,
    /// None: reached by its socket only.
    port: Option<u16>,
    settings: Vec<String>,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            // One that has ended already cannot be killed, which is as good.
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

impl Postgres {
    /// A new cluster with an empty database `postgres`, in UTF-8, with texts in the order of their code points, in UTC,
    /// reached by its socket only.
    pub fn start() -> Self {
        let mut postgres = Self::made(Vec::new());
        postgres.serve();
        postgres
    }

    /// As [`Postgres::start`], and reached by TCP too, on a port of its own on loopback. There, roles need their passwords
    /// (SCRAM).
    pub fn over_tcp() -> Self {
        Self::listening("host", &[])
    }

    /// As [`Postgres::over_tcp`], with TLS by this certificate, and by TLS only.
    pub fn over_tls(certificates: &Certificates, certificate: Certificate) -> Self {
        let (chain, key) = certificates.files(certificate);
        let settings = [
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", chain.display()),
            format!("ssl_key_file={}", key.display()),
        ];
        Self::listening("hostssl", &settings)
    }

    /// `kind` are the connections by TCP that are let in (`host`, `hostssl`), each with a password.
    fn listening(kind: &str, settings: &[String]) -> Self {
        let rules = format!("local all all trust\n{kind} all all 127.0.0.1/32 scram-sha-256\n");
        let mut postgres = Self::made(settings.to_vec());
        fs::write(postgres.folder.path().join("data/pg_hba.conf"), rules).expect("a file can be written");
        let serves = (0..MOST_PORTS).any(|_| {
            // Somebody else may be quicker to take it.
            postgres.port = Some(spare_port());
            postgres.try_serve()
        });
        assert!(serves, "PostgreSQL starts on none of many ports:\n{}", postgres.log());
        postgres
    }

    fn made(settings: Vec<String>) -> Self {
        let folder = tempfile::Builder::new().prefix("pg").tempdir().expect("a folder for the server");
        let data = folder.path().join("data");
        let mut initdb = program("initdb");
        initdb.args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "--lc-ctype=C.UTF-8"]);
        initdb.args(["--username", OWNER, "--pgdata"]).arg(&data);
        run(&mut initdb).exits(0);
        Self { server: None, folder, port: None, settings }
    }

    fn serve(&mut self) {
        assert!(self.try_serve(), "PostgreSQL does not start:\n{}", self.log());
    }

    /// Starts the server; false when it ends at once.
    fn try_serve(&mut self) -> bool {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log"));
        let log = log.expect("the log opens");
        let mut server = program("postgres");
        server.arg("-D").arg(self.folder.path().join("data")).arg("-k").arg(self.folder.path());
        let listen = self.port.map_or_else(
            || "listen_addresses=".to_owned(),
            |port| {
                server.args(["-p", &port.to_string()]);
                "listen_addresses=127.0.0.1".to_owned()
            },
        );
        // Nothing of it outlives the test, so nothing has to reach the disk.
        let own = ["fsync=off", "timezone=UTC", "datestyle=ISO", "max_connections=40"].map(str::to_owned);
        for setting in own.iter().chain([&listen]).chain(&self.settings) {
            server.args(["-c", setting]);
        }
        server.stdin(Stdio::null()).stdout(log.try_clone().expect("the log opens")).stderr(log);
        let mut child = server.spawn().expect("unshare starts");
        let answers = until("PostgreSQL to answer", || {
            if child.try_wait().expect("a process of ours").is_some() {
                return Some(false);
            }
            (run(&mut self.psql("postgres", ["-c", "select 1"])).code == 0).then_some(true)
        });
        self.server = answers.then_some(child);
        answers
    }

    /// Ends the server as an administrator does who wants it to be quick: transactions under way are undone, connections
    /// closed. Its data stays.
    pub fn stop(&mut self) {
        self.end("INT");
    }

    /// Ends the server without letting it tidy up: it recovers from its log when it starts again.
    pub fn crash(&mut self) {
        self.end("QUIT");
    }

    fn end(&mut self, signal: &str) {
        let Some(mut server) = self.server.take() else { return };
        run(Command::new("kill").arg(format!("-{signal}")).arg(inside(&server).to_string())).exits(0);
        server.wait().expect("the server ends");
    }

    /// Starts the server again, where it was before.
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "it runs");
        self.serve();
    }

    /// Cuts every connection to a database but our own; says how many there were.
    pub fn cut(&self, database: &str) -> usize {
        let cut = "select pg_terminate_backend(pid) from pg_stat_activity
                   where datname = current_database() and pid <> pg_backend_pid()";
        self.rows(database, cut).len()
    }

    /// The folder of its socket.
    pub fn socket(&self) -> &Path {
        self.folder.path()
    }

    /// The port of its socket, and of TCP where it listens there.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(5432)
    }

    /// The URL by which the owner reaches a database through the socket.
    pub fn url(&self, database: &str) -> String {
        self.url_as(OWNER, database)
    }

    /// The URL by which a role reaches a database through the socket, where nobody is asked for a password.
    pub fn url_as(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@/{database}?host={}&port={}", self.socket().display(), self.port())
    }

    /// The URL by which a role reaches a database by TCP, at this host (`localhost` or `127.0.0.1`). More can be added to it
    /// behind a `?`.
    pub fn tcp_url(&self, role: &str, host: &str, database: &str) -> String {
        format!("postgres://{role}@{host}:{}/{database}", self.port())
    }

    /// A new empty database, by a name of its own, which is given back.
    pub fn database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("db{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.script(&format!("create database {name}"));
        name
    }

    /// A new role that may log in with a password, and nothing else.
    pub fn role(&self, name: &str, password: &str) {
        self.script(&format!("create role {name} login password '{password}'"));
    }

    /// A session in a database, which can keep a transaction open.
    pub fn session(&self, database: &str) -> Session {
        Session::open(self.socket(), self.port(), OWNER, database)
    }

    /// The rows of a query on a database, their values joined by `|`; NULL is nothing.
    #[track_caller]
    pub fn rows(&self, database: &str, sql: &str) -> Vec<String> {
        let ran = run(&mut self.psql(database, ["-c", sql])).exits(0);
        ran.out.lines().map(str::to_owned).collect()
    }

    fn psql<S: AsRef<OsStr>>(&self, database: &str, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new("psql");
        command.args([
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--username",
            OWNER,
            "--host",
        ]);
        command.arg(self.socket()).args(["--port", &self.port().to_string(), "--dbname", database]);
        command.args(arguments).env("PGTZ", "UTC").env("PGCLIENTENCODING", "UTF8");
        command
    }

    /// Runs a script in one session in the database `postgres`, and gives what it printed. It ends at its first error.
    #[track_caller]
    pub fn script(&self, sql: &str) -> Ran {
        self.script_in("postgres", sql)
    }

    /// As [`Postgres::script`], in another database.
    #[track_caller]
    pub fn script_in(&self, database: &str, sql: &str) -> Ran {
        let path = self.folder.path().join("script.sql");
        fs::write(&path, sql).expect("the script can be written");
        let mut psql = self.psql(database, ["-v", "ON_ERROR_STOP=1", "-f"]);
        run(psql.arg(&path)).exits(0)
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// A port on loopback that was free a moment ago.
fn spare_port() -> u16 {
    let mut random = [0; 2];
    let free = (0..1_000).find_map(|_| {
        getrandom::fill(&mut random).expect("random bytes");
        let port = PORTS.start + u16::from_le_bytes(random) % (PORTS.end - PORTS.start);
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok().then_some(port)
    });
    free.expect("a port of loopback is free")
}

/// A server's program refuses to run as root, so that it is somebody else in a world of its own; what it has started ends
/// with it.
fn elsewhere(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-user=1", "--map-group=1", "--pid", "--fork", "--kill-child"]);
    command.arg(program).env("LC_ALL", "C.UTF-8");
    command
}

/// The process that [`elsewhere`] has started, as it is known here.
fn inside(outer: &Child) -> u32 {
    let id = outer.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).expect("it runs");
    children.trim().parse().expect("it has started one process")
}

/// A program of the server.
fn program(name: &str) -> Command {
    elsewhere(newest(name))
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

#[cfg(test)]
mod tests {
    //! What other tests trust this module for.

    use super::*;

    #[test]
    fn a_server_stopped_or_crashed_comes_back_with_its_data_where_it_was() {
        let mut postgres = Postgres::over_tcp();
        let (database, port) = (postgres.database(), postgres.port());
        postgres.script_in(&database, "create table t (k text); insert into t values ('a'), (null)");
        for end in [Postgres::stop, Postgres::crash] {
            let session = postgres.session(&database);
            end(&mut postgres);
            assert!(session.fails("select 1").is_some());
            postgres.start_again();
            assert_eq!(postgres.port(), port);
            assert_eq!(postgres.rows(&database, "select k from t order by k"), ["a", ""]);
        }
        let session = postgres.session(&database);
        session.run("begin; insert into t values ('b')");
        assert_eq!(session.rows("select count(*) from t"), [[Some("3".to_owned())]]);
        let outside =
            run(Command::new("psql").args([&postgres.url(&database), "-Atc", "select count(*) from t"]));
        assert_eq!(outside.exits(0).out, "2\n", "the session has not committed");
        assert_eq!(postgres.cut(&database), 1);
        assert!(session.fails("select 1").is_some());
    }

    #[test]
    fn by_tcp_a_password_is_asked_for_and_with_tls_the_certificate_is_shown() {
        let certificates = Certificates::new();
        let postgres = Postgres::over_tls(&certificates, Certificate::Good);
        postgres.role("loader", "right");
        let bouncer = PgBouncer::before(&postgres, "loader", "right");
        let ask = |url: &str, password: &str, mode: &str| {
            let mut psql = Command::new("psql");
            psql.args([url, "-Atc", "select current_user"])
                .env("PGPASSWORD", password)
                .env("PGSSLMODE", mode);
            run(psql.env("PGSSLROOTCERT", certificates.authority()))
        };
        let url = postgres.tcp_url("loader", "localhost", "postgres");
        assert_eq!(ask(&url, "right", "verify-full").exits(0).out, "loader\n");
        assert!(ask(&url, "wrong", "verify-full").exits(2).err.contains("password authentication failed"));
        assert!(ask(&url, "right", "disable").exits(2).err.contains("no encryption"));
        assert_eq!(ask(&bouncer.url("loader", "postgres"), "right", "disable").exits(0).out, "loader\n");
        assert!(ask(&bouncer.url("loader", "postgres"), "wrong", "disable").code != 0);
        for (certificate, words) in [
            (Certificate::OfAnotherHost, "does not match host name"),
            (Certificate::Expired, "certificate verify failed"),
        ] {
            let postgres = Postgres::over_tls(&certificates, certificate);
            let url = postgres.tcp_url("loader", "localhost", "postgres");
            let refused = ask(&url, "right", "verify-full").exits(2).err;
            assert!(refused.contains(words), "{refused}");
        }
    }
}
