//! PgBouncer between a client and a server, as Debian ships it: in transaction mode, in which a connection to the server is
//! another one for each transaction.

use std::{
    fs::{self, File},
    process::{Child, Stdio},
};

use super::{MOST_PORTS, Postgres, elsewhere, spare_port};
use crate::engine::until;

/// Where Debian puts it; the PATH of an ordinary user need not lead there.
const PROGRAM: &str = "/usr/sbin/pgbouncer";
/// Connections that it keeps to a database: fewer than a test has clients, so that they do share them.
const POOL: u32 = 2;

/// A running PgBouncer. It ends when it is dropped.
pub struct PgBouncer {
    bouncer: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, which is as good.
        let _ = self.bouncer.kill();
        let _ = self.bouncer.wait();
    }
}

impl PgBouncer {
    /// One before a server, for a role that gives this password (SCRAM). It enters the server by its socket.
    pub fn before(postgres: &Postgres, role: &str, password: &str) -> Self {
        let tried = (0..MOST_PORTS).find_map(|_| Self::on(spare_port(), postgres, (role, password)));
        tried.expect("PgBouncer starts on one of many ports")
    }

    fn on(port: u16, postgres: &Postgres, (role, password): (&str, &str)) -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("pgb").tempdir().expect("a folder for PgBouncer");
        let file = |name: &str| folder.path().join(name);
        fs::write(file("users.txt"), format!("\"{role}\" \"{password}\"\n")).expect("a file can be written");
        let settings = format!(
            "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\npool_mode = transaction\n\
             default_pool_size = {POOL}\nserver_reset_query =\nserver_round_robin = 1\n",
            postgres.socket().display(),
            postgres.port(),
            file("users.txt").display(),
        );
        fs::write(file("pgbouncer.ini"), settings).expect("a file can be written");
        let log = File::create(file("log")).expect("the log opens");
        let mut bouncer = elsewhere(PROGRAM);
        bouncer.arg(file("pgbouncer.ini")).stdin(Stdio::null());
        bouncer.stdout(log.try_clone().expect("the log opens")).stderr(log);
        let bouncer = bouncer.spawn().expect("unshare starts");
        let mut this = Self { bouncer, folder, port };
        let answers = until("PgBouncer to answer", || {
            if this.bouncer.try_wait().expect("a process of ours").is_some() {
                return Some(false);
            }
            this.log().contains("listening on 127.0.0.1").then_some(true)
        });
        let in_use = this.log().contains("already in use");
        assert!(answers || in_use, "PgBouncer does not start:\n{}", this.log());
        answers.then_some(this)
    }

    /// The URL by which a role reaches a database through it.
    pub fn url(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{database}", self.port)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}
