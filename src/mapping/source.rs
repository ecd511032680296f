//! `[sources.NAME]`: the folders in which files arrive, as they are written and what they come to.

use std::{ops::RangeInclusive, path::Path, sync::Arc, time::Duration};

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::{
    document::Step,
    duration::{self, duration},
    findings::Findings,
    overlaps,
    pattern::NamePattern,
    written::Texts,
};
use crate::sources::folder::{After, FolderOptions, Marker, NameFilter};

/// `[sources.NAME]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct SourceWritten {
    /// The folder, from the site's folder.
    #[schemars(required)]
    pub folder: Option<String>,
    /// Patterns of the names of the files that are taken, as in mappings; one or a list. Files of other names are left
    /// alone. Left out: all files are taken.
    #[serde(rename = "match")]
    pub matches: Option<Texts>,
    /// Take the files of the folders below it too.
    #[serde(default)]
    pub recursive: bool,
    /// How long a file must stay unchanged before it is taken, in seconds. Left out: 2 on a local disk, 60 on a network
    /// file system.
    #[schemars(range(max = 86_400))]
    pub settle_seconds: Option<u64>,
    /// The name of the file that says that another one is whole: `"{name}.done"`, or `"{stem}.ok"` for the name
    /// without its ending. Files without it are left alone.
    pub marker: Option<String>,
    /// Patterns of the names of files that list others, one name a line; one or a list. Those files are taken when all of
    /// them are there, files that no list names are left alone.
    pub manifest: Option<Texts>,
    /// What happens to a file once its copy is in the archive and the ledger has it. `move:PATH` moves it into that
    /// folder, from the site's folder; no file there is ever replaced.
    #[serde(default = "delete")]
    #[schemars(schema_with = "after_schema")]
    pub after: String,
    /// How often the folder is listed where the file system does not tell of changes, such as `"10s"` or `"5m"` (1s to 1d).
    /// Left out: every 5 s on a local disk, 30 s on a network file system.
    pub every: Option<String>,
}

const DELETE: &str = "delete";
const KEEP: &str = "keep";
const MOVE: &str = "move:";

fn delete() -> String {
    DELETE.to_owned()
}

/// The words, and a pattern for a path.
fn after_schema(_: &mut SchemaGenerator) -> Schema {
    let word =
        |word: &str, meaning: &str| json_schema!({ "type": "string", "const": word, "description": meaning });
    json_schema!({ "anyOf": [
        word(DELETE, "It is removed."),
        word(KEEP, "It stays and is remembered; when it changes it is taken again."),
        json_schema!({ "type": "string", "title": "move:PATH", "pattern": format!("^{MOVE}") }),
    ] })
}

/// How often a folder may be listed.
const EVERY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3_600);
/// The source of a site that names none, and its folder.
const INBOX: &str = "inbox";
/// The key of all sources.
pub const SOURCES: &str = "sources";

/// What the sources of the site at `dir` come to, in the order in which they are written; `store` is the folder of its
/// store.
pub fn sources(
    dir: &Path,
    store: &Path,
    written: IndexMap<String, SourceWritten>,
    findings: &mut Findings<'_>,
) -> Vec<FolderOptions> {
    if written.is_empty() {
        let inbox = inbox(dir);
        if overlaps::lies_in(&inbox.folder, store) {
            let help = "choose another path, such as `var`, or name a folder for files in `[sources]`";
            findings.value(
                &["store".into(), "path".into()],
                "the folder `inbox`, where files arrive, lies in it",
                Some(help),
            );
        }
        return vec![inbox];
    }
    let options = written.into_iter().filter_map(|(name, source)| folder(dir, &name, source, findings));
    let options: Vec<FolderOptions> = options.collect();
    overlaps::check(dir, store, &options, findings);
    options
}

/// The source of a site that names none.
fn inbox(dir: &Path) -> FolderOptions {
    FolderOptions {
        name: INBOX.to_owned(),
        folder: dir.join(INBOX),
        takes: Arc::new(|_| true),
        recursive: false,
        settle: None,
        marker: None,
        manifest: None,
        after: After::Delete,
        every: None,
    }
}

/// One source by itself; none when it has no folder.
fn folder(
    dir: &Path,
    name: &str,
    written: SourceWritten,
    findings: &mut Findings<'_>,
) -> Option<FolderOptions> {
    let source = [SOURCES.into(), name.into()];
    let at = |key| [source.as_slice(), &[key]].concat();
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
        findings.key(&source, "a source is named by letters, digits, `_` and `-`", None);
    }
    let takes = filter(&at("match".into()), written.matches.as_ref(), findings);
    let manifest = filter(&at("manifest".into()), written.manifest.as_ref(), findings);
    let marker = written.marker.as_deref().and_then(|text| match Marker::parse(text) {
        Ok(marker) => Some(marker),
        Err(error) => {
            let help = "write it such as \"{name}.done\" or \"{stem}.ok\"";
            findings.value(&at("marker".into()), &error.to_string(), Some(help));
            None
        }
    });
    if written.marker.is_some() && written.manifest.is_some() {
        let message = "a source has a marker or a manifest, not both";
        findings.key(&at("manifest".into()), message, Some("leave one of the two out"));
    }
    let every = written.every.as_deref().and_then(|text| match duration(text, &EVERY) {
        Ok(every) => Some(every),
        Err(message) => {
            findings.value(&at("every".into()), &message, Some(duration::HELP));
            None
        }
    });
    let after = match written.after.strip_prefix(MOVE).map(str::trim) {
        Some(path) if is_path(path) => After::Move(dir.join(path)),
        Some(_) => {
            let help = "write it such as \"move:inbox/done\"";
            findings.value(&at("after".into()), "this names no folder", Some(help));
            After::Keep
        }
        None if written.after == KEEP => After::Keep,
        None => After::Delete,
    };
    let folder = written.folder?;
    if !is_path(&folder) {
        findings.value(&at("folder".into()), "this names no folder", None);
        return None;
    }
    Some(FolderOptions {
        name: name.to_owned(),
        folder: dir.join(folder),
        takes: takes.unwrap_or_else(|| Arc::new(|_| true)),
        recursive: written.recursive,
        settle: written.settle_seconds.map(Duration::from_secs),
        marker,
        manifest,
        after,
        every,
    })
}

fn is_path(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains('\0')
}

/// Tells the names that one of the patterns at `path` takes; none when there are no patterns.
fn filter(path: &[Step<'_>], written: Option<&Texts>, findings: &mut Findings<'_>) -> Option<NameFilter> {
    let written = written?;
    let mut patterns = Vec::new();
    for (index, text) in written.as_slice().iter().enumerate() {
        match NamePattern::parse(text) {
            Ok(pattern) => patterns.push(pattern),
            Err(error) => {
                let item = [path, &[index.into()]].concat();
                let path = if matches!(written, Texts::Many(_)) { &item } else { path };
                findings.part(path, error.part, &error.message, None);
            }
        }
    }
    Some(Arc::new(move |name: &str| patterns.iter().any(|pattern| pattern.takes(name))))
}

#[cfg(test)]
mod tests {
    use super::super::{document::Document, settings::Settings};
    use super::*;

    /// What a `wharf.toml` of the site /site comes to, and what is said of it: (marked text, message).
    fn read(text: &str) -> (Vec<FolderOptions>, Vec<(String, String)>) {
        let (document, problems) = Document::parse("wharf.toml", text).unwrap();
        assert!(problems.is_empty());
        let written = serde_json::from_value(document.root.to_json()).unwrap();
        let mut findings = Findings::new(&document);
        let settings = Settings::new(Path::new("/site"), written, &mut findings);
        let said = findings.into_problems().into_iter().map(|p| (p.place.unwrap().text, p.message));
        (settings.sources, said.collect())
    }

    #[test]
    fn a_site_that_names_no_source_has_its_inbox() {
        for text in ["", "[sources]\n"] {
            let (sources, said) = read(text);
            assert_eq!(said, []);
            let [inbox] = sources.as_slice() else { panic!() };
            assert_eq!((inbox.name.as_str(), inbox.folder.as_path()), ("inbox", Path::new("/site/inbox")));
            assert!((inbox.takes)("anything") && !inbox.recursive && inbox.after == After::Delete);
            assert!(
                inbox.settle.is_none()
                    && inbox.marker.is_none()
                    && inbox.manifest.is_none()
                    && inbox.every.is_none()
            );
        }
    }

    #[test]
    fn a_source_is_what_is_written() {
        let (sources, said) = read(
            "[sources.share]\nfolder = '/mnt/share'\nmatch = ['*.csv', 'x_{n}.txt']\nrecursive = true\nsettle_seconds = 0\n\
             manifest = '*.list'\nafter = 'move: done'\nevery = '10m'\n\
             [sources.b]\nfolder = 'in/b'\nmarker = '{name}.done'\nafter = 'keep'\n",
        );
        assert_eq!(said, []);
        let [share, b] = sources.as_slice() else { panic!() };
        assert_eq!((share.name.as_str(), share.folder.as_path()), ("share", Path::new("/mnt/share")));
        let taken = |name: &str| (share.takes)(name);
        assert_eq!(["a.CSV", "x_1.txt", "a.txt", "a.csv.gz"].map(taken), [true, true, false, false]);
        let is_list = share.manifest.as_ref().unwrap();
        assert!(is_list("a.list") && !is_list("a.csv"));
        assert_eq!(share.after, After::Move("/site/done".into()));
        assert_eq!((share.settle, share.every), (Some(Duration::ZERO), Some(Duration::from_secs(600))));
        assert_eq!((b.folder.as_path(), &b.after), (Path::new("/site/in/b"), &After::Keep));
        assert!(share.recursive && !b.recursive);
        assert_eq!(b.marker, Some(Marker::parse("{name}.done").unwrap()));
    }

    #[test]
    fn what_makes_no_sense_in_a_source_is_all_told_with_its_place() {
        let (_, said) = read(
            "[sources.'a b']\nfolder = 'in'\nmatch = ['*.csv', 'in/*']\nmarker = 'x'\nmanifest = '{'\nafter = 'move: '\n\
             every = '5'\n[sources.c]\nfolder = ' '\nevery = '2d'\n",
        );
        let told: Vec<(&str, &str)> =
            said.iter().map(|(text, message)| (text.as_str(), message.as_str())).collect();
        let marker = Marker::parse("x").unwrap_err().to_string();
        assert_eq!(
            told,
            [
                ("'a b'", "a source is named by letters, digits, `_` and `-`"),
                ("/", "a pattern is of a file's name, without folders"),
                ("{", "this `{` is never closed; write `{{` for a brace"),
                ("'x'", &marker),
                ("manifest", "a source has a marker or a manifest, not both"),
                ("'5'", "`5` is not a duration"),
                ("'move: '", "this names no folder"),
                ("'2d'", "this must be from 1s to 1d"),
                ("' '", "this names no folder"),
            ]
        );
    }

    #[test]
    fn a_store_around_the_inbox_is_a_problem_of_the_store() {
        for (store, is_wrong) in [("inbox", true), (".", true), ("inbox/var", false), ("state", false)] {
            let (_, said) = read(&format!("[store]\npath = '{store}'\n"));
            assert_eq!(said.first().map(|(text, _)| text.clone()), is_wrong.then(|| format!("'{store}'")));
        }
    }
}
