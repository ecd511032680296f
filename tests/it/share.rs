//! A real SMB share: Samba serves a folder in a network of the test's own, which has nothing but a loopback, and partners
//! drop files with `smbclient`. Once the folder is on the disk of the machine that runs Wharf; once Wharf has it from the
//! server, through a mount by smbnetfs, where no event tells of what the partners do.
//!
//! A mount needs `/dev/fuse`, which this user may read and write, as on every Debian with udev. A machine without it fails
//! those tests: nothing else would show what they show.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use serde_json::Value;

use crate::{
    engine::{Running, until},
    support::{Site, run, wharf},
};

const MAPPING: &str = r#"match = "orders_*.csv"
[format]
type = "csv"
[target]
table = "orders"
key = ["number"]
mode = "insert"
create = true
[columns]
number = { type = "integer" }
note = {}
"#;

/// The programs of the administrator lie where another user's `PATH` need not lead.
const PROGRAMS: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// The server sends and takes so many bytes at once: a part of an upload is on its disk soon.
const BLOCK: u64 = 65_536;
/// Rows of the file that is uploaded slowly: more than some blocks.
const MANY_ROWS: u64 = 6_000;

/// A network with a server in it. All of it ends when this is dropped, in this order.
struct Network {
    mount: Option<Process>,
    server: Option<Process>,
    /// Without it there is no network.
    keeper: Process,
    folder: tempfile::TempDir,
    served: PathBuf,
}

/// A process that is ended when this is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Network {
    /// A network whose server serves this folder.
    fn serving(folder: &Path) -> Self {
        let scratch = tempfile::tempdir().expect("a folder for the server");
        let own = "ip link set lo up && echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start && echo up && exec cat";
        let mut keeper = tool("unshare");
        keeper.args(["--user", "--map-root-user", "--net", "--mount", "sh", "-c", own]);
        // Its input ends when the test does, however that ends.
        let keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut keeper = Process(keeper.expect("unshare starts"));
        let mut said = String::new();
        let output = keeper.0.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut said).expect("it says something");
        assert_eq!(said, "up\n", "a network of our own");
        let mut network =
            Self { mount: None, server: None, keeper, folder: scratch, served: folder.to_owned() };
        network.write_settings();
        network.start_server();
        network
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_settings(&self) {
        for name in ["private", "lock", "state", "cache", "pid", "rpc", "mount", "home/.smb"] {
            fs::create_dir_all(self.path(name)).expect("a folder for the server");
        }
        let (own, served) = (self.folder.path().display(), self.served.display());
        let server = format!(
            "[global]
             server role = standalone server
             interfaces = lo
             bind interfaces only = yes
             smb ports = 445
             smb2 max write = {BLOCK}
             private dir = {own}/private
             lock directory = {own}/lock
             state directory = {own}/state
             cache directory = {own}/cache
             pid directory = {own}/pid
             ncalrpc dir = {own}/rpc
             map to guest = Bad User
             load printers = no
             printing = bsd
             printcap name = /dev/null
             disable spoolss = yes
             usershare max shares = 0
             [drop]
             path = {served}
             guest ok = yes
             force user = daemon
             read only = no\n"
        );
        fs::write(self.path("smb.conf"), server).expect("the server's settings");
        fs::write(self.path("home/.smb/smb.conf"), "[global]\ninterfaces = lo\n")
            .expect("the mount's settings");
        let mount = "smb_query_browsers \"false\"\nuse_libsecret \"false\"\n";
        fs::write(self.path("home/.smb/smbnetfs.conf"), mount).expect("the mount's settings");
    }

    /// A program in this network, as the one who owns it.
    fn tool(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = tool("nsenter");
        command.args(["--user", "--preserve-credentials", "--net", "--mount", "--target"]);
        command.arg(self.keeper.0.id().to_string()).arg("--").arg(program);
        command.env("HOME", self.path("home"));
        command
    }

    /// Starts a program that goes on, and that takes all that it has started with it when it ends.
    fn start(&self, unshare: &[&str], program: &[&OsStr]) -> Process {
        let log = File::options().append(true).create(true).open(self.path("log")).expect("the log opens");
        let mut command = self.tool("unshare");
        command.args(unshare).args(["--pid", "--fork", "--kill-child"]).args(program);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("the log opens")).stderr(log);
        Process(command.spawn().expect("nsenter starts"))
    }

    fn start_server(&mut self) {
        // Samba changes users if it is root; it is `daemon` here, who owns what it serves.
        let daemon = ["--user", "--map-user=1", "--map-group=1"];
        let settings = self.path("smb.conf");
        let program = ["smbd", "--foreground", "--no-process-group", "--debug-stdout", "--configfile"];
        let mut program = program.map(OsStr::new).to_vec();
        program.push(settings.as_os_str());
        self.server = Some(self.start(&daemon, &program));
        until("the server to answer", || (run(&mut self.client("ls")).code == 0).then_some(()));
    }

    /// The server is gone, without a word to anybody.
    fn stop_server(&mut self) {
        self.server = None;
        until("the server to be gone", || (run(&mut self.client("ls")).code != 0).then_some(()));
    }

    /// Mounts the share; gives its folder, which only programs in this network see.
    fn mount(&mut self) -> PathBuf {
        let fuse = File::options().read(true).write(true).open("/dev/fuse");
        fuse.expect(
            "this test needs /dev/fuse, and a user who may open it; on Debian with udev, everybody may",
        );
        let folder = self.path("mount");
        self.mount = Some(self.start(&[], &["smbnetfs".as_ref(), folder.as_os_str(), "-f".as_ref()]));
        let share = folder.join("127.0.0.1/drop");
        let mut look = self.tool("ls");
        look.arg(&share);
        until("the mount of the share", || (run(&mut look).code == 0).then_some(()));
        share
    }

    fn client(&self, commands: &str) -> Command {
        let mut client = self.tool("smbclient");
        client.args(["--no-pass", "--configfile"]).arg(self.path("smb.conf"));
        client.args(["//127.0.0.1/drop", "--command", commands]);
        client
    }

    /// What a partner does.
    #[track_caller]
    fn partner(&self, commands: &str) {
        run(&mut self.client(commands)).exits(0);
    }

    /// A partner drops a file at once.
    #[track_caller]
    fn put(&self, name: &str, content: &str) {
        let local = self.path(name);
        fs::write(&local, content).expect("the partner's file");
        self.partner(&format!("put {} {name}", local.display()));
    }

    /// A partner begins to upload a file, of which this much is on the server's disk when this returns.
    fn begin(&self, name: &str, content: &str) -> Upload {
        let mut client = self.client(&format!("put - {name}"));
        client.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut client = Process(client.spawn().expect("nsenter starts"));
        let input = client.0.stdin.as_mut().expect("its input");
        input.write_all(content.as_bytes()).expect("it reads");
        let there = self.served.join(name);
        let is_there = || fs::metadata(&there).is_ok_and(|found| found.len() >= BLOCK);
        until("a part of the upload", || is_there().then_some(()));
        Upload(client)
    }

    /// Waits until the server has these files and no others.
    #[track_caller]
    fn until_on_disk(&self, names: &[&str]) {
        until(&format!("the server to have {names:?}"), || {
            let entries = fs::read_dir(&self.served).expect("the folder that is served");
            let names_found = entries.filter_map(|entry| {
                let entry = entry.ok()?;
                entry.file_type().ok()?.is_file().then(|| entry.file_name())
            });
            (names_found.collect::<Vec<_>>() == names).then_some(())
        });
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = fs::read(self.path("log")).unwrap_or_default();
            Write::write_all(&mut std::io::stderr(), &log).unwrap();
        }
    }
}

/// A file on its way; broken off when this is dropped.
struct Upload(Process);

impl Upload {
    /// Uploads the rest.
    #[track_caller]
    fn finish(mut self, rest: &str) {
        let Process(client) = &mut self.0;
        let mut input = client.stdin.take().expect("its input");
        input.write_all(rest.as_bytes()).expect("it reads");
        drop(input);
        assert!(client.wait().expect("smbclient ends").success());
    }
}

fn tool(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env_clear().env("PATH", PROGRAMS);
    command
}

fn rows(numbers: std::ops::Range<u64>) -> String {
    let row = |number| format!("{number},{}\n", "n".repeat(60));
    format!("number,note\n{}", numbers.map(row).collect::<String>())
}

/// A large file in two parts, the first of which has some whole blocks and ends within a row.
fn two_parts(numbers: std::ops::Range<u64>) -> (String, String) {
    let mut first = rows(numbers);
    let rest = first.split_off(first.len() * 2 / 3);
    assert!(first.len() as u64 > 2 * BLOCK && !first.ends_with('\n'));
    (first, rest)
}

/// A site with one source; `folder` is where its files arrive.
fn site(folder: &Path) -> Site {
    let site = Site::with_mapping("orders", MAPPING);
    let folder = folder.display();
    let settings = format!("[sources.drop]\nfolder = \"{folder}\"\nsettle_seconds = 1\nevery = \"1s\"\n");
    site.write("wharf.toml", settings);
    site
}

/// Waits until these files, and no others, are deliveries, each of them one that is loaded.
#[track_caller]
fn until_loaded(site: &Site, names: &[&str]) {
    until(&format!("{names:?} to be loaded"), || {
        let all = site.deliveries();
        assert!(all.len() <= names.len(), "{all:#?}");
        let is_loaded = |name| all.iter().any(|found| found["file"] == name && found["outcome"] == "loaded");
        names.iter().all(|name| is_loaded(*name)).then_some(())
    });
}

/// The one source, as the running program tells of it.
fn source(site: &Site) -> Value {
    site.run(["status", "--json"]).object()["engine"]["sources"][0].clone()
}

/// Asserts that the table has these numbers, each once.
#[track_caller]
fn has_rows(site: &Site, numbers: std::ops::Range<u64>) {
    let found = site.query("SELECT count(*), count(DISTINCT number), min(number), max(number) FROM orders");
    let count = numbers.end - numbers.start;
    assert_eq!(found, [[count, count, numbers.start, numbers.end - 1].map(|number| number.to_string())]);
}

#[test]
fn what_partners_drop_over_smb_into_a_folder_of_this_machine_is_taken_once_and_whole() {
    let inbox = tempfile::tempdir().unwrap();
    let network = Network::serving(inbox.path());
    let site = site(inbox.path());
    let wharf = site.start();
    wharf.says("file events come here");

    let (first, rest) = two_parts(0..MANY_ROWS);
    let slow = network.begin("orders_1.csv.part", &first);
    drop(network.begin("orders_2.csv.filepart", &first));
    network.put("orders_3.csv", &rows(MANY_ROWS..MANY_ROWS + 10));
    network.put("orders_4.csv", &rows(MANY_ROWS + 10..MANY_ROWS + 30));
    // The two uploads that came before have been unchanged for longer than these.
    until_loaded(&site, &["orders_3.csv", "orders_4.csv"]);
    slow.finish(&rest);
    network.partner("rename orders_1.csv.part orders_1.csv");
    until_loaded(&site, &["orders_1.csv", "orders_3.csv", "orders_4.csv"]);
    network.until_on_disk(&["orders_2.csv.filepart"]);

    wharf.stop().exits(0);
    assert_eq!(site.deliveries().len(), 3);
    has_rows(&site, 0..MANY_ROWS + 30);
}

/// A share that is mounted through `/dev/fuse`, and Wharf taking files from it.
fn mounted() -> (tempfile::TempDir, Network, Site, Running) {
    let served = tempfile::tempdir().unwrap();
    let mut network = Network::serving(served.path());
    let site = site(&network.mount());
    let mut command = network.tool(wharf().get_program());
    command.args(["run", "--json", "--site"]).arg(site.path(""));
    let wharf = Running::start(&site, command);
    wharf.says("the folder is listed every 1 s: a network file system: FUSE");
    (served, network, site, wharf)
}

#[test]
fn a_share_mounted_through_fuse_is_listed_and_its_files_are_taken_once_and_whole() {
    let (_served, network, site, wharf) = mounted();
    // What `status` tells is written once a second.
    let watched =
        until("what is told of the source", || source(&site)["watched"].as_str().map(str::to_owned));
    assert_eq!(watched, "listed every 1 s (a network file system: FUSE)");
    network.put("orders_1.csv", &rows(0..10));
    network.put("orders_2.csv", &rows(10..30));
    until_loaded(&site, &["orders_1.csv", "orders_2.csv"]);
    network.until_on_disk(&[]);

    // The server lets nobody have a file that is still uploaded, however long that takes.
    let (first, rest) = two_parts(30..MANY_ROWS);
    let slow = network.begin("orders_3.csv", &first);
    let refused = "another program has it open: close it there";
    until("it to be left alone, with the reason", || {
        let source = source(&site);
        source["asides"][0]["why"].as_str()?.ends_with(refused).then_some(())
    });
    until_loaded(&site, &["orders_1.csv", "orders_2.csv"]);
    slow.finish(&rest);
    until_loaded(&site, &["orders_1.csv", "orders_2.csv", "orders_3.csv"]);
    network.until_on_disk(&[]);

    wharf.stop().exits(0);
    assert_eq!(site.deliveries().len(), 3);
    has_rows(&site, 0..MANY_ROWS);
}

#[test]
fn a_mounted_share_whose_server_goes_away_and_comes_back_loses_and_doubles_nothing() {
    let (served, mut network, site, wharf) = mounted();
    network.put("orders_1.csv", &rows(0..10));
    until_loaded(&site, &["orders_1.csv"]);

    network.stop_server();
    until("the share to be missed", || source(&site)["trouble"].is_string().then_some(()));
    fs::write(served.path().join("orders_2.csv"), rows(10..20)).unwrap();
    fs::write(served.path().join("orders_3.csv"), rows(20..30)).unwrap();
    network.start_server();
    network.put("orders_4.csv", &rows(30..40));
    until_loaded(&site, &["orders_1.csv", "orders_2.csv", "orders_3.csv", "orders_4.csv"]);
    network.until_on_disk(&[]);
    assert!(source(&site)["trouble"].is_null());

    wharf.stop().exits(0);
    assert_eq!(site.deliveries().len(), 4);
    has_rows(&site, 0..40);
}
