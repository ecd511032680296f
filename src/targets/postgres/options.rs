//! How a PostgreSQL database is reached: what its URL says, as libpq reads it, and the limits of its connection.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::wire::SecretSource;

/// Where Debian's and most other packages put the server's socket; the place of an URL that names no host.
const SOCKET_FOLDER: &str = "/var/run/postgresql";
/// The server's port where none is named.
const PORT: u16 = 5432;

/// How a database is reached and used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresOptions {
    /// The server.
    pub host: Host,
    /// Its port; a part of the socket's name too.
    pub port: u16,
    /// The user; none: the one Wharf runs as.
    pub user: Option<String>,
    /// The database; none: that of the user's name.
    pub database: Option<String>,
    /// Where the password stands.
    pub password: Option<SecretSource>,
    /// Whether and how the connection is encrypted.
    pub tls: TlsOptions,
    /// What the server's own views call the connection.
    pub application_name: String,
    /// The table in which loads are remembered, `schema.table` or `table`.
    pub loads_table: String,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a statement may take.
    pub statement_timeout: Duration,
    /// How long a statement may wait for others that hold a lock.
    pub lock_timeout: Duration,
}

/// The server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name or an address.
    Tcp(String),
    /// The folder of its socket.
    Socket(PathBuf),
}

/// Whether and how a connection is encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// What is asked of it.
    pub mode: SslMode,
    /// Whom it trusts; none: nobody in particular.
    pub root: Option<Root>,
    /// Files of the certificate and its key by which Wharf says who it is.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// What is asked of the encryption, as libpq has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// None.
    Disable,
    /// Only if the server asks for it.
    Allow,
    /// If the server can.
    #[default]
    Prefer,
    /// Always; whose certificate it is is not asked, unless roots are named.
    Require,
    /// Always, with a certificate that a trusted root has signed.
    VerifyCa,
    /// Always, with such a certificate in the server's own name.
    VerifyFull,
}

/// Whom a connection trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// The roots of the operating system.
    System,
    /// Those in this file.
    File(PathBuf),
}

/// What an URL of a database that is wrong says, and what to do.
pub type UrlProblem = (String, &'static str);

const HOW: &str =
    "write \"postgres://USER@HOST:PORT/DATABASE\", with `?sslmode=verify-full` where it is encrypted";
const SSL_MODES: [(&str, SslMode); 6] = [
    ("disable", SslMode::Disable),
    ("allow", SslMode::Allow),
    ("prefer", SslMode::Prefer),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];

/// True for the URL of a PostgreSQL database.
#[must_use]
pub fn is_url(url: &str) -> bool {
    rest(url).is_some()
}

fn rest(url: &str) -> Option<&str> {
    url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"))
}

/// What stands in an URL before it is known what it comes to.
#[derive(Default)]
struct Parts {
    user: Option<String>,
    host: Option<String>,
    port: Option<String>,
    database: Option<String>,
    ssl_mode: Option<SslMode>,
    root: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
    connect_seconds: Option<u64>,
    application_name: Option<String>,
}

impl PostgresOptions {
    /// What `url` says; paths in it start at `folder`.
    ///
    /// # Errors
    /// What is wrong with it. Nothing of a password in it is repeated.
    pub fn parse(url: &str, folder: &Path) -> Result<Self, UrlProblem> {
        let parts = Parts::read(url)?;
        let host = match parts.host.as_deref() {
            None | Some("") if Path::new(SOCKET_FOLDER).is_dir() => Host::Socket(SOCKET_FOLDER.into()),
            None | Some("") => Host::Tcp("localhost".to_owned()),
            Some(socket) if socket.starts_with('/') => Host::Socket(socket.into()),
            Some(host) if host.contains(',') => {
                return Err(("the URL names several servers".to_owned(), "name one"));
            }
            Some(host) => Host::Tcp(host.to_owned()),
        };
        let port = match parts.port.as_deref() {
            None | Some("") => PORT,
            Some(port) => match port.parse() {
                Ok(port @ 1..) => port,
                _ => return Err(("the port is not a number from 1 to 65535".to_owned(), HOW)),
            },
        };
        let named = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Self {
            tls: parts.tls(folder)?,
            host,
            port,
            user: named(parts.user),
            database: named(parts.database),
            password: None,
            application_name: named(parts.application_name).unwrap_or_else(|| "wharf".to_owned()),
            loads_table: "_wharf_loads".to_owned(),
            connect_timeout: Duration::from_secs(parts.connect_seconds.unwrap_or(10).clamp(2, 300)),
            statement_timeout: Duration::from_secs(3600),
            lock_timeout: Duration::from_secs(30),
        })
    }

    /// The database, as messages name it.
    #[must_use]
    pub fn shown(&self) -> String {
        let name = self.database.as_deref().or(self.user.as_deref()).unwrap_or("(the user's own)");
        crate::model::printable::short(&format!("{name}` on `{}", self.server()), 200)
    }

    /// The server and its port.
    fn server(&self) -> String {
        match &self.host {
            Host::Tcp(host) if host.contains(':') => format!("[{host}]:{}", self.port),
            Host::Tcp(host) => format!("{host}:{}", self.port),
            Host::Socket(folder) => format!("{}:{}", folder.display(), self.port),
        }
    }

    /// Tells the database from others, whoever uses it.
    #[must_use]
    pub fn place(&self) -> String {
        let database = self.database.as_deref().or(self.user.as_deref()).unwrap_or_default();
        format!("postgres://{}/{database}", self.server().to_lowercase())
    }
}

impl Parts {
    fn read(url: &str) -> Result<Self, UrlProblem> {
        let no_url = |what: &str| (what.to_owned(), HOW);
        let rest = rest(url).ok_or_else(|| no_url("this is not the URL of a PostgreSQL database"))?;
        if url.contains(['\0', '#']) || url.chars().any(char::is_whitespace) {
            return Err(no_url("the URL holds a character that must be written as %XX"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (server, database) = rest.split_once('/').unwrap_or((rest, ""));
        let mut parts = Self { database: Some(decoded(database)?), ..Self::default() };
        // Before anything else is said, so that nothing of a password is repeated.
        let (user, server) = match server.rsplit_once('@') {
            Some((user, _)) if user.contains(':') => return Err(password_inside()),
            Some((user, server)) => (Some(decoded(user)?), server),
            None => (None, server),
        };
        parts.user = user;
        let (host, port) = match server.strip_prefix('[') {
            Some(v6) => {
                let (host, port) = v6.split_once(']').ok_or_else(|| no_url("a `]` is missing"))?;
                (host, port.strip_prefix(':'))
            }
            None => server.split_once(':').map_or((server, None), |(host, port)| (host, Some(port))),
        };
        (parts.host, parts.port) = (Some(decoded(host)?), port.map(decoded).transpose()?);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or_else(|| no_url("a parameter has no value"))?;
            parts.set(&decoded(key)?, decoded(value)?)?;
        }
        Ok(parts)
    }

    fn set(&mut self, key: &str, value: String) -> Result<(), UrlProblem> {
        let place = match key {
            "host" => &mut self.host,
            "port" => &mut self.port,
            "user" => &mut self.user,
            "dbname" => &mut self.database,
            "sslrootcert" => &mut self.root,
            "sslcert" => &mut self.certificate,
            "sslkey" => &mut self.key,
            "application_name" => &mut self.application_name,
            "password" | "sslpassword" => return Err(password_inside()),
            "sslmode" => {
                let mode = SSL_MODES.iter().find(|(name, _)| *name == value).map(|(_, mode)| *mode);
                self.ssl_mode = Some(mode.ok_or_else(|| {
                    let help = "write disable, allow, prefer, require, verify-ca or verify-full";
                    (format!("there is no sslmode `{}`", shown(&value)), help)
                })?);
                return Ok(());
            }
            "connect_timeout" => {
                let seconds = value.parse().map_err(|_| {
                    ("`connect_timeout` is not a number of seconds".to_owned(), "write a whole number")
                })?;
                self.connect_seconds = Some(seconds);
                return Ok(());
            }
            _ => {
                let help = "known are host, port, user, dbname, sslmode, sslrootcert, sslcert, sslkey, connect_timeout \
                            and application_name";
                return Err((format!("the URL has a parameter `{}`, which is not known", shown(key)), help));
            }
        };
        *place = Some(value);
        Ok(())
    }

    /// How the connection is encrypted. Weaker than it looks is refused: roots of the system sign for anybody, so that only
    /// with the name they mean something.
    fn tls(&self, folder: &Path) -> Result<TlsOptions, UrlProblem> {
        let path = |text: &String| folder.join(text);
        let identity = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Some((path(certificate), path(key))),
            (None, None) => None,
            _ => {
                let help = "name the files of both, or neither";
                return Err(("of `sslcert` and `sslkey` one is missing".to_owned(), help));
            }
        };
        let root = match self.root.as_deref() {
            None | Some("") => None,
            Some("system") => Some(Root::System),
            Some(_) => self.root.as_ref().map(path).map(Root::File),
        };
        let mode = match (self.ssl_mode, &root) {
            (None, Some(Root::System)) => SslMode::VerifyFull,
            (mode, _) => mode.unwrap_or_default(),
        };
        match (mode, root) {
            (SslMode::VerifyFull, None) => Ok(TlsOptions { mode, root: Some(Root::System), identity }),
            (SslMode::VerifyCa, None) => Err((
                "sslmode verify-ca needs to know whom to trust".to_owned(),
                "name the file of the root certificate as `sslrootcert`, or write verify-full",
            )),
            (SslMode::VerifyFull, root) => Ok(TlsOptions { mode, root, identity }),
            (_, Some(Root::System)) => Err((
                "with sslrootcert=system anybody's certificate would do, unless the name is verified"
                    .to_owned(),
                "write sslmode=verify-full",
            )),
            (_, root) => Ok(TlsOptions { mode, root, identity }),
        }
    }
}

fn password_inside() -> UrlProblem {
    (
        "a password does not stand in the configuration".to_owned(),
        "take it out of the URL, and write `password = { env = \"NAME\" }` or `password = { file = \"PATH\" }`",
    )
}

fn shown(text: &str) -> String {
    crate::model::printable::short(text, 40)
}

/// The text that `%XX` stand for.
fn decoded(text: &str) -> Result<String, UrlProblem> {
    let wrong = || ("`%` is not followed by two digits that make a character".to_owned(), "write % as %25");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next()).ok_or_else(wrong)?, digit(rest.next()).ok_or_else(wrong)?);
        bytes.push(u8::try_from(high * 16 + low).ok().filter(|byte| *byte != 0).ok_or_else(wrong)?);
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<PostgresOptions, UrlProblem> {
        PostgresOptions::parse(url, Path::new("/site"))
    }

    #[test]
    fn an_url_is_read_as_libpq_reads_it() {
        let all = parse(
            "postgresql://some%40body@db.example:6432/ware%20house?sslmode=verify-full&sslrootcert=ca.pem&sslcert=c.pem\
             &sslkey=/keys/k.pem&connect_timeout=7&application_name=nightly",
        )
        .unwrap();
        assert_eq!(all.host, Host::Tcp("db.example".to_owned()));
        assert_eq!((all.port, all.user.as_deref()), (6432, Some("some@body")));
        assert_eq!(all.database.as_deref(), Some("ware house"));
        assert_eq!(all.tls.mode, SslMode::VerifyFull);
        assert_eq!(all.tls.root, Some(Root::File("/site/ca.pem".into())));
        assert_eq!(all.tls.identity, Some(("/site/c.pem".into(), "/keys/k.pem".into())));
        assert_eq!((all.connect_timeout.as_secs(), all.application_name.as_str()), (7, "nightly"));
        let socket = parse("postgres:///warehouse?host=/run/pg&port=5433").unwrap();
        assert_eq!((socket.host, socket.port), (Host::Socket("/run/pg".into()), 5433));
        let encoded = parse("postgres://%2Frun%2Fpg/w").unwrap();
        assert_eq!((encoded.host, encoded.tls), (Host::Socket("/run/pg".into()), TlsOptions::default()));
        let v6 = parse("postgres://[::1]:5/w").unwrap();
        assert_eq!((v6.host.clone(), v6.port), (Host::Tcp("::1".to_owned()), 5));
        assert_eq!(v6.place(), "postgres://[::1]:5/w");
    }

    #[test]
    fn encryption_that_would_be_weaker_than_it_looks_is_refused() {
        let system = parse("postgres://h/d?sslrootcert=system").unwrap().tls;
        assert_eq!((system.mode, system.root), (SslMode::VerifyFull, Some(Root::System)));
        let full = parse("postgres://h/d?sslmode=verify-full").unwrap().tls;
        assert_eq!(full.root, Some(Root::System));
        for url in [
            "postgres://h/d?sslmode=verify-ca",
            "postgres://h/d?sslmode=require&sslrootcert=system",
            "postgres://h/d?sslmode=verify-ca&sslrootcert=system",
            "postgres://h/d?sslmode=full",
            "postgres://h/d?sslcert=c.pem",
        ] {
            assert!(parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_password_in_an_url_is_refused_and_not_repeated() {
        for url in ["postgres://u:geheim@h/d", "postgres://h/d?password=geheim"] {
            let (message, help) = parse(url).unwrap_err();
            assert!(help.contains("env"), "{url}: {message}");
            assert!(!message.contains("geheim"), "{message}");
        }
    }

    #[test]
    fn urls_that_are_none_are_refused() {
        for url in [
            "postgres:/h",
            "mysql://h",
            "postgres://h:0/d",
            "postgres://h:x/d",
            "postgres://[::1/d",
            "postgres://a,b/d",
            "postgres://h/d?x=1",
            "postgres://h/d?sslmode",
            "postgres://h/d%2",
            "postgres://h/d%00",
            "postgres://h/d%ff",
            "postgres://h /d",
            "postgres://h/d?connect_timeout=soon",
        ] {
            assert!(parse(url).is_err(), "{url}");
        }
    }
}
