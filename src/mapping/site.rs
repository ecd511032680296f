//! A site's configuration as it lies on the disk: `wharf.toml` and `mappings/inbound/*.toml`. Nothing but reading
//! happens here.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    MappingError,
    across::{self, Waits},
    catalog::Catalog,
    check,
    compile::ReadMapping,
    document::Document,
    findings::Findings,
    problem::{Problem, Problems},
    schema,
    settings::{Settings, SiteWritten},
};
use crate::model::{FileName, printable};

/// The settings' file.
const SETTINGS: &str = "wharf.toml";
/// The folder of inbound mappings.
const INBOUND: &str = "mappings/inbound";
/// The ending of a mapping's file name.
const ENDING: &str = ".toml";
/// A configuration file that is larger was not written by a person.
const MAX_BYTES: u64 = 1 << 20;

/// A site's configuration.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its folder.
    pub dir: PathBuf,
    /// What `wharf.toml` says.
    pub settings: Settings,
    /// Its mappings, those that cannot run included.
    pub catalog: Catalog,
}

impl Site {
    /// Reads the site at `dir`. Without a `wharf.toml` the defaults count, without mappings there are none. What is
    /// wrong with a mapping is kept with it, as the others can run. That its file cannot be read as a disk fails is not:
    /// a file that it takes would be refused for good, as one that no mapping takes.
    ///
    /// # Errors
    /// The folder or a mapping cannot be read, or all that is wrong with `wharf.toml`.
    pub fn open(dir: &Path) -> Result<Self, Problems> {
        if !dir.is_dir() {
            return Err(whole(dir, "there is no such folder", Some("name the site's folder with --site")));
        }
        let settings = settings(dir)?;
        let mappings: Vec<(String, ReadMapping)> =
            mapping_files(dir)?.iter().map(|path| read_mapping(path, &settings)).collect::<Result<_, _>>()?;
        let waits = Waits::of(mappings.iter().map(|(name, mapping)| (name.as_str(), mapping.waits_for())));
        let sources = settings.source_names();
        let entries = mappings.iter().map(|(name, mapping)| across::check(name, mapping, &sources, &waits));
        let entries = entries.collect();
        Ok(Self { dir: dir.to_owned(), settings, catalog: Catalog::new(entries) })
    }

    /// The mapping that a person names: one of the site, or the path of a file (with a separator or the ending
    /// `.toml`).
    ///
    /// # Errors
    /// There is none of that name, or what is wrong with it.
    pub fn mapping(&self, name_or_path: &str) -> Result<Arc<super::plan::Plan>, MappingError> {
        if !name_or_path.contains(std::path::is_separator) && !name_or_path.ends_with(ENDING) {
            return self.catalog.get(name_or_path);
        }
        let (name, mapping) = read_mapping(Path::new(name_or_path), &self.settings)?;
        let of_site = self.catalog.iter().map(|entry| (entry.name.as_str(), entry.waits_for()));
        let waits = Waits::of(of_site.chain([(name.as_str(), mapping.waits_for())]));
        let entry = across::check(&name, &mapping, &self.settings.source_names(), &waits);
        entry.plan.map_err(|broken| broken.problems.into())
    }
}

fn settings(dir: &Path) -> Result<Settings, Problems> {
    let path = dir.join(SETTINGS);
    let file = shown(&path);
    let text = match read(&path) {
        Ok(text) => text,
        Err(Unreadable::Missing) => String::new(),
        Err(error) => return Err(whole(&path, &error.to_string(), None)),
    };
    let (document, mut problems) = Document::parse(&file, &text)?;
    let checked = check::check(schema::site(), &document);
    problems.extend(checked.problems);
    let written = serde_json::from_value::<SiteWritten>(checked.value)
        .map_err(|error| whole(&path, &format!("this cannot be read: {error}"), None))?;
    let mut findings = Findings::new(&document);
    let settings = Settings::new(dir, written, &mut findings);
    problems.extend(findings.into_problems());
    if problems.is_empty() { Ok(settings) } else { Err(Problems::new(problems)) }
}

/// The files of the inbound mappings, by name. Hidden files are those of editors.
fn mapping_files(dir: &Path) -> Result<Vec<PathBuf>, Problems> {
    let folder = dir.join(INBOUND);
    let listing = match folder.read_dir() {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(whole(&folder, &format!("this folder cannot be read: {error}"), None)),
    };
    let mut files = Vec::new();
    for item in listing {
        let item =
            item.map_err(|error| whole(&folder, &format!("this folder cannot be read: {error}"), None))?;
        let name = item.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(ENDING) && !name.starts_with('.') {
            files.push(item.path());
        }
    }
    files.sort();
    Ok(files)
}

/// A mapping by itself, with its name.
///
/// # Errors
/// The system fails to read its file; that this user may not is wrong with the mapping.
fn read_mapping(path: &Path, settings: &Settings) -> Result<(String, ReadMapping), Problems> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let file = shown(path);
    // Reports and archives are filed under the mapping's name.
    let mapping = if FileName::new(name.as_bytes()).safe() == name {
        match read(path) {
            Ok(text) => ReadMapping::new(&name, &file, &text, &settings.connections),
            Err(error) if error.is_passing() => return Err(whole(path, &error.to_string(), None)),
            Err(error) => ReadMapping::unreadable(&file, whole(path, &error.to_string(), None)),
        }
    } else {
        let message = "a mapping's name must be good as a file name everywhere";
        let help = "rename the file: letters, digits, `_` and `-` are safe";
        ReadMapping::unreadable(&file, whole(path, message, Some(help)))
    };
    // The name of a mapping that can run is plain already; one that cannot is only shown.
    Ok((printable::text(&name), mapping))
}

/// Why a configuration file cannot be read.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("there is no such file")]
    Missing,
    #[error("this file cannot be read: {0}")]
    Fault(io::Error),
    #[error("this is not a file")]
    NotFile,
    #[error("this file is larger than 1 MiB")]
    TooLarge,
    #[error("line {0} is not UTF-8: save the file as UTF-8")]
    NotText(usize),
}

impl Unreadable {
    /// True when the file may well be in order, and the disk or the system is not.
    fn is_passing(&self) -> bool {
        matches!(self, Self::Fault(cause) if cause.kind() != io::ErrorKind::PermissionDenied)
    }
}

fn read(path: &Path) -> Result<String, Unreadable> {
    let fault = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Unreadable::Missing,
        _ => Unreadable::Fault(error),
    };
    // Opening a pipe would wait for its writer.
    if !path.metadata().map_err(fault)?.is_file() {
        return Err(Unreadable::NotFile);
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(fault)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Unreadable::TooLarge);
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        Unreadable::NotText(valid.iter().filter(|byte| **byte == b'\n').count() + 1)
    })
}

/// A path as problems name it.
fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

fn whole(path: &Path, message: &str, help: Option<&str>) -> Problems {
    Problems::new(vec![Problem::whole(&shown(path), message, help)])
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::mapping::{Connection, catalog::Choice};

    const MAPPING: &str = "match = 'orders*'\n[format]\ntype = 'csv'\n[target]\nconnection = 'w'\ntable = 't'\n\
                           key = 'id'\n[columns]\nid = {}\n";

    fn site(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        dir
    }

    #[test]
    fn an_empty_folder_is_a_site_with_defaults() {
        let dir = site(&[]);
        let site = Site::open(dir.path()).unwrap();
        assert_eq!(site.settings.store, dir.path().join("var"));
        assert_eq!(site.settings.max_memory_bytes, 256_000_000);
        assert_eq!(site.settings.report_max, 100_000);
        let warehouse = site.settings.connection(None).unwrap();
        assert_eq!(*warehouse, Connection::sqlite(dir.path().join("var/warehouse.db")));
        assert_eq!(warehouse.loads_table(), "_wharf_loads");
        let names: Vec<&str> = site.settings.sources.iter().map(|source| source.name.as_str()).collect();
        assert_eq!(names, ["inbox"]);
        let run = site.settings.run;
        assert_eq!((run.attempts, run.retry.as_secs(), run.at_once), (3, 10, 4));
        assert_eq!(site.catalog.iter().count(), 0);
        assert!(Site::open(&dir.path().join("none")).is_err());
    }

    #[test]
    fn settings_and_mappings_are_read_from_their_files() {
        let settings = b"[store]\npath = 'state'\nthreads = 2\n[connections.w]\nurl = 'sqlite:db/w.db'\n";
        let dir = site(&[
            ("wharf.toml", settings),
            ("mappings/inbound/orders.toml", MAPPING.as_bytes()),
            ("mappings/inbound/.orders.toml.swp.toml", b"x"),
            ("mappings/inbound/README.md", b"x"),
        ]);
        let site = Site::open(dir.path()).unwrap();
        let file = dir.path().join("db/w.db");
        assert_eq!(*site.settings.connection(Some("w")).unwrap(), Connection::sqlite(file));
        assert_eq!(site.settings.threads.unwrap().get(), 2);
        assert!(site.catalog.problems().is_empty());
        assert!(
            matches!(site.catalog.choose("orders.csv", Some("inbox")), Choice::One(plan) if plan.name == "orders")
        );
        assert_eq!(site.mapping("orders").unwrap().name, "orders");
        let path = dir.path().join("mappings/inbound/orders.toml");
        assert_eq!(site.mapping(path.to_str().unwrap()).unwrap().name, "orders");
        assert!(matches!(site.mapping("order"), Err(MappingError::Unknown { .. })));
        assert!(matches!(site.mapping("./order"), Err(MappingError::Problems(_))));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_problem_that_names_it() {
        let large = vec![b'#'; (1 << 20) + 1];
        let dir = site(&[
            ("mappings/inbound/latin.toml", b"# a\n# \xe4\n"),
            ("mappings/inbound/large.toml", &large),
            ("mappings/inbound/-x.toml", MAPPING.as_bytes()),
            ("mappings/inbound/folder.toml/x", b""),
        ]);
        let site = Site::open(dir.path()).unwrap();
        let problems = site.catalog.problems();
        let all: Vec<String> = problems.iter().map(|p| format!("{} {}", p.file, p.message)).collect();
        for (name, message) in [
            ("-x.toml", "must be good as a file name"),
            ("folder.toml", "is not a file"),
            ("large.toml", "larger than 1 MiB"),
            ("latin.toml", "line 2 is not UTF-8"),
        ] {
            assert!(all.iter().any(|text| text.contains(name) && text.contains(message)), "{name}: {all:?}");
        }
    }

    /// A site with the sources `inbox` and `share`, and mappings whose first lines these are.
    fn connected(mappings: &[(&str, &str)]) -> Site {
        let settings = "[connections.w]\nurl = 'sqlite:w.db'\n[sources.inbox]\nfolder = 'in'\n[sources.share]\nfolder = 's'\n";
        let mut files = vec![("wharf.toml".to_owned(), settings.to_owned())];
        for (name, head) in mappings {
            files.push((format!("mappings/inbound/{name}.toml"), format!("{head}\n{MAPPING}")));
        }
        let files: Vec<(&str, &[u8])> =
            files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
        Site::open(site(&files).path()).unwrap()
    }

    /// What is wrong with the mappings of a site: "mapping:line:column message; help".
    fn said(site: &Site) -> Vec<String> {
        let problems = site.catalog.problems();
        let told = problems.iter().map(|problem| {
            let name = Path::new(&problem.file).file_stem().unwrap().to_string_lossy();
            let place = problem.place.as_ref().unwrap();
            let help = problem.help.as_deref().unwrap_or_default();
            format!("{name}:{}:{} {}; {help}", place.line, place.column, problem.message)
        });
        told.collect()
    }

    #[test]
    fn mappings_may_name_the_sources_and_the_other_mappings_of_their_site() {
        let site = connected(&[
            ("orders", "source = 'share'\nwaits_for = ['customers', 'stock']"),
            ("stock", "waits_for = 'customers'"),
            ("customers", "source = ['inbox', 'share']"),
        ]);
        assert_eq!(said(&site), [""; 0]);
        let orders = site.catalog.get("orders").unwrap();
        assert_eq!((orders.sources.as_slice(), orders.waits_for.len()), (&["share".to_owned()][..], 2));
    }

    #[test]
    fn what_a_mapping_names_must_be_there() {
        let site = connected(&[
            ("a", "source = ['shar', 'inbox']\nwaits_for = ['custmers', 'a']"),
            ("b", "source = 'elsewhere'\nshared = 5"),
            ("customers", ""),
        ]);
        assert_eq!(
            said(&site),
            [
                "a:1:11 there is no source `shar` in wharf.toml; did you mean `share`? possible: `inbox`, `share`",
                "a:2:14 there is no mapping `custmers`; did you mean `customers`? possible: `b`, `customers`",
                "a:2:26 a mapping cannot wait for itself; leave it out",
                "b:1:10 there is no source `elsewhere` in wharf.toml; add `[sources.elsewhere]` to wharf.toml; there are: \
                 `inbox`, `share`",
                "b:2:10 expected true or false, found an integer; ",
            ]
        );
        // Nobody knows which source was meant, so its files wait wherever they come from.
        let choice = site.catalog.choose("orders.csv", Some("share"));
        assert!(matches!(choice, Choice::Broken(names) if names == ["a", "b"]));
        // The only mapping of a site without sources of its own.
        let lone = self::site(&[(
            "mappings/inbound/x.toml",
            format!("source = 'inbox'\nwaits_for = 'y'\n{MAPPING}").as_bytes(),
        )]);
        let lone = Site::open(lone.path()).unwrap();
        assert!(said(&lone)[0].ends_with("no mapping `y`; there are no other mappings in mappings/inbound"));
    }

    #[test]
    fn mappings_that_wait_for_one_another_are_told_the_circle() {
        let site = connected(&[
            ("a", "waits_for = 'b'"),
            ("b", "waits_for = ['other', 'c']"),
            ("c", "waits_for = 'a'\nshared = 5"),
            ("other", ""),
            ("outside", "waits_for = 'a'"),
        ]);
        let help = "one of them must go first: take a name out of its `waits_for`";
        let circle = "these mappings wait for one another:";
        assert_eq!(
            said(&site),
            [
                format!("a:1:13 {circle} `a` waits for `b`, `b` waits for `c`, `c` waits for `a`; {help}"),
                format!("b:1:23 {circle} `b` waits for `c`, `c` waits for `a`, `a` waits for `b`; {help}"),
                format!("c:1:13 {circle} `c` waits for `a`, `a` waits for `b`, `b` waits for `c`; {help}"),
                "c:2:10 expected true or false, found an integer; ".to_owned(),
            ]
        );
        assert!(site.catalog.get("outside").is_ok());
        let many: Vec<(String, String)> =
            (0..100).map(|n| (format!("m{n}"), format!("waits_for = 'm{}'", (n + 1) % 100))).collect();
        let many: Vec<(&str, &str)> =
            many.iter().map(|(name, head)| (name.as_str(), head.as_str())).collect();
        let told = said(&connected(&many));
        assert!(
            told.len() == 100
                && told[0].contains("`m1` waits for `m2`")
                && told[0].contains("`m6` waits for `m7`, and so on;")
        );
    }

    #[test]
    fn a_mapping_given_by_its_path_is_held_against_the_site_too() {
        let folder = site(&[
            ("mappings/inbound/a.toml", format!("waits_for = 'b'\n{MAPPING}").as_bytes()),
            ("mappings/inbound/b.toml", MAPPING.as_bytes()),
            ("tried/b.toml", format!("waits_for = 'a'\nsource = 'x'\n{MAPPING}").as_bytes()),
            ("tried/c.toml", format!("waits_for = 'a'\n{MAPPING}").as_bytes()),
            ("wharf.toml", b"[connections.w]\nurl = 'sqlite:w.db'\n"),
        ]);
        let site = Site::open(folder.path()).unwrap();
        assert_eq!(said(&site), [""; 0]);
        let tried = |name: &str| site.mapping(folder.path().join(name).to_str().unwrap());
        assert_eq!(tried("tried/c.toml").unwrap().waits_for, ["a"]);
        let Err(MappingError::Problems(problems)) = tried("tried/b.toml") else { panic!() };
        let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert!(
            messages[0].starts_with("these mappings wait")
                && messages[1].starts_with("there is no source `x`")
        );
    }

    #[test]
    fn all_problems_of_the_settings_are_reported_at_once() {
        let settings = "[store]\nmax_memroy = '1GB'\npath = ''\nreport_max = 0\nmax_memory = '1MB'\n\
                        [connections.a]\nurl = 'mysql://x'\n[connections.'b c']\nurl = 'sqlite:'\nloads_table = 'a.b'\n\
                        [connections.c]\n[run]\nattempts = 0\nat_once = 65\nretry_seconds = '5'\n[sources.a]\n\
                        [sources.b]\nfolder = 'in'\nafter = 'burn'\nsettle_seconds = 86401\nevery = '1w'\n";
        let dir = site(&[("wharf.toml", settings.as_bytes())]);
        let problems = Site::open(dir.path()).unwrap_err();
        let lines: Vec<usize> = problems.iter().map(|p| p.place.as_ref().unwrap().line).collect();
        assert_eq!(lines, [2, 3, 4, 5, 7, 8, 9, 10, 11, 13, 14, 15, 16, 19, 20, 21], "{problems}");
    }
}
