//! Certificates made on the spot: an authority, and what it says of servers.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::run;

/// How openssl keeps the authority's books.
const AUTHORITY: &str = "[ca]\ndefault_ca = own\n[own]\ndatabase = issued\nnew_certs_dir = .\nserial = serial\ndefault_md = sha256\n\
                         certificate = ca.crt\nprivate_key = ca.key\nunique_subject = no\npolicy = any\n\
                         [any]\ncommonName = supplied\n";

/// A server's certificate.
#[derive(Clone, Copy, Debug)]
pub enum Certificate {
    /// Of `localhost` and 127.0.0.1, and in force.
    Good,
    /// Of another host.
    OfAnotherHost,
    /// Of `localhost`, but no longer in force.
    Expired,
}

/// An authority with its certificates, in a folder of its own.
pub struct Certificates {
    folder: tempfile::TempDir,
}

impl Certificates {
    /// A new authority.
    pub fn new() -> Self {
        let this = Self { folder: tempfile::tempdir().expect("a folder for certificates") };
        this.openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ca.key"]);
        let request = ["req", "-x509", "-new", "-key", "ca.key", "-days", "2", "-out", "ca.crt"];
        this.openssl(&[&request[..], &["-subj", "/CN=An authority of a test"]].concat());
        fs::write(this.path("ca.cnf"), AUTHORITY).expect("a file can be written");
        fs::write(this.path("issued"), "").expect("a file can be written");
        this
    }

    /// The authority's own certificate, for those who are to trust it.
    pub fn authority(&self) -> PathBuf {
        self.path("ca.crt")
    }

    /// A certificate's file and that of its key, which the server reads only when nobody else may.
    pub fn files(&self, certificate: Certificate) -> (PathBuf, PathBuf) {
        let (name, hosts, end) = match certificate {
            Certificate::Good => ("good", "DNS:localhost,IP:127.0.0.1", "20491231000000Z"),
            Certificate::OfAnotherHost => ("other", "DNS:db.example", "20491231000000Z"),
            Certificate::Expired => ("expired", "DNS:localhost,IP:127.0.0.1", "20210101000000Z"),
        };
        let file = |kind: &str| format!("{name}.{kind}");
        let (key, request, chain) = (file("key"), file("csr"), file("crt"));
        self.openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &key]);
        self.openssl(&["req", "-new", "-key", &key, "-subj", "/CN=A server of a test", "-out", &request]);
        let extensions = format!("subjectAltName={hosts}\nextendedKeyUsage=serverAuth\n");
        fs::write(self.path("extensions"), extensions).expect("a file can be written");
        let sign =
            ["ca", "-batch", "-notext", "-config", "ca.cnf", "-create_serial", "-extfile", "extensions"];
        let dates = ["-startdate", "20200101000000Z", "-enddate", end, "-in", &request, "-out", &chain];
        self.openssl(&[&sign[..], &dates].concat());
        let key = self.path(&key);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("the key is ours");
        (self.path(&chain), key)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    #[track_caller]
    fn openssl(&self, arguments: &[&str]) {
        let folder: &Path = self.folder.path();
        run(Command::new("openssl").args(arguments).current_dir(folder)).exits(0);
    }
}
