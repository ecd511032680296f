//! The folders of sources and those that files are moved to must keep clear of one another and of the site's own.
//!
//! Folders are compared by their paths alone. Nothing is looked up on the disk, as a folder may lie on a share that does
//! not answer, and reading the settings must not hang on it.

use std::path::{Component, Path, PathBuf};

use super::{findings::Findings, source::SOURCES};
use crate::sources::folder::{After, FolderOptions};

/// The folders of one source, comparable with those of others.
struct Spot<'a> {
    name: &'a str,
    folder: PathBuf,
    recursive: bool,
    moves_to: Option<PathBuf>,
}

impl<'a> Spot<'a> {
    fn of(source: &'a FolderOptions) -> Self {
        let moves_to = match &source.after {
            After::Move(path) => Some(plain(path)),
            After::Delete | After::Keep => None,
        };
        Self { name: &source.name, folder: plain(&source.folder), recursive: source.recursive, moves_to }
    }
}

/// Reports the sources whose folders do not keep clear; `dir` is the site's folder, `store` that of its store.
pub fn check(dir: &Path, store: &Path, sources: &[FolderOptions], findings: &mut Findings<'_>) {
    let own = Own {
        site: plain(dir),
        parts: [
            ("the store", plain(store)),
            ("the folder `outbox`", plain(&dir.join("outbox"))),
            ("the folder `mappings`", plain(&dir.join("mappings"))),
        ],
    };
    let spots: Vec<Spot<'_>> = sources.iter().map(Spot::of).collect();
    for (index, spot) in spots.iter().enumerate() {
        let earlier = spots.get(..index).unwrap_or_default();
        let at = |key: &'static str| [SOURCES.into(), spot.name.into(), key.into()];
        if let Some((message, help)) = own.clash(spot).or_else(|| clash(spot, earlier)) {
            findings.value(&at("folder"), &message, Some(help));
        }
        if let Some((message, help)) = clash_of_move(spot, &spots, &own) {
            findings.value(&at("after"), &message, Some(help));
        }
    }
}

/// True when `inner` is `outer` or lies in it.
pub fn lies_in(inner: &Path, outer: &Path) -> bool {
    plain(inner).starts_with(plain(outer))
}

/// The folders of a site that are no source's.
struct Own {
    /// The site's folder, with its settings.
    site: PathBuf,
    /// What is not to be taken, and its name.
    parts: [(&'static str, PathBuf); 3],
}

/// What is wrong with a folder, and what to do.
type Clash = (String, &'static str);

impl Own {
    /// Files of the site's own would be taken for arrivals.
    fn clash(&self, spot: &Spot<'_>) -> Option<Clash> {
        if spot.folder == self.site {
            let message = "this is the site's own folder, with its settings".to_owned();
            return Some((message, "choose a folder of its own, such as `inbox`"));
        }
        self.parts.iter().find_map(|(part, path)| {
            if let Some(stands) = position(&spot.folder, path) {
                let message = format!("this folder {stands} {part} of the site");
                return Some((message, "choose a folder of its own, such as `inbox`"));
            }
            let reaches = spot.recursive && path.starts_with(&spot.folder);
            let message =
                || format!("{part} of the site lies in this folder, and `recursive` takes its files too");
            reaches
                .then(|| (message(), "leave out `recursive`, or choose a folder of its own, such as `inbox`"))
        })
    }
}

/// How `inner` stands to `outer`, if it is or lies in it.
fn position(inner: &Path, outer: &Path) -> Option<&'static str> {
    inner.starts_with(outer).then_some(if inner == outer { "is" } else { "lies in" })
}

/// A file would arrive from two sources.
fn clash(spot: &Spot<'_>, earlier: &[Spot<'_>]) -> Option<Clash> {
    earlier.iter().find_map(|other| {
        let name = other.name;
        if spot.folder == other.folder {
            let message = format!("this is the folder of the source `{name}` too");
            return Some((message, "make one source of the two, or choose another folder"));
        }
        if other.recursive && spot.folder.starts_with(&other.folder) {
            let message = format!(
                "this lies in the folder of the source `{name}`, and its `recursive` takes these files too"
            );
            return Some((message, "leave out `recursive` there, or choose a folder outside"));
        }
        if spot.recursive && other.folder.starts_with(&spot.folder) {
            let message = format!(
                "the folder of the source `{name}` lies in this one, and `recursive` takes its files too"
            );
            return Some((message, "leave out `recursive`, or choose a folder outside"));
        }
        None
    })
}

/// A file that is moved away would arrive again, or would change the site.
fn clash_of_move(spot: &Spot<'_>, all: &[Spot<'_>], own: &Own) -> Option<Clash> {
    let target = spot.moves_to.as_ref()?;
    let help = "choose a folder outside, such as `done`";
    let again = all
        .iter()
        .find(|source| *target == source.folder || source.recursive && target.starts_with(&source.folder));
    if let Some(source) = again {
        let message =
            format!("files that are moved there would arrive again from the source `{}`", source.name);
        return Some((message, help));
    }
    if *target == own.site {
        return Some(("this is the site's own folder, with its settings".to_owned(), help));
    }
    let inside = own.parts.iter().find_map(|(part, path)| Some((part, position(target, path)?)));
    inside.map(|(part, stands)| (format!("this folder {stands} {part} of the site"), help))
}

/// The path from the root, without `.` and `..`, so that paths can be compared.
fn plain(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut plain = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::super::{document::Document, settings::Settings};
    use super::*;

    /// A source as (folder, recursive, after).
    type Row = (&'static str, bool, &'static str);

    /// What is said of these sources, which are named a, b and so on.
    fn said_of(sources: &[Row]) -> Vec<String> {
        let tables = ('a'..).zip(sources).map(|(name, (folder, recursive, after))| {
            format!("[sources.{name}]\nfolder = '{folder}'\nrecursive = {recursive}\nafter = '{after}'\n")
        });
        let (document, _) = Document::parse("wharf.toml", &tables.collect::<String>()).unwrap();
        let written = serde_json::from_value(document.root.to_json()).unwrap();
        let mut findings = Findings::new(&document);
        Settings::new(Path::new("/site"), written, &mut findings);
        let said = findings.into_problems().into_iter();
        said.map(|problem| format!("{} {}", problem.place.unwrap().text, problem.message)).collect()
    }

    #[test]
    fn no_file_can_arrive_from_two_sources_or_from_the_sites_own_folders() {
        let table: [(&[Row], Option<&str>); 20] = [
            (&[("in/a", true, "delete"), ("in/b", true, "keep"), ("in/ab", false, "delete")], None),
            (&[("in", false, "delete"), ("in/b", true, "delete")], None),
            (&[("in", false, "move:in/done"), ("..", false, "delete")], None),
            (&[("in", true, "move:outbox/done")], Some("lies in the folder `outbox`")),
            (
                &[("in", false, "delete"), ("./x/../in/", false, "keep")],
                Some("'./x/../in/' this is the folder of the source `a`"),
            ),
            (&[("in", false, "delete"), ("/site/in", false, "keep")], Some("'/site/in' this is the folder")),
            (
                &[("in", true, "delete"), ("in/b", false, "keep")],
                Some("'in/b' this lies in the folder of the source `a`"),
            ),
            (
                &[("in/b", false, "delete"), ("in", true, "keep")],
                Some("'in' the folder of the source `a` lies in this one"),
            ),
            (&[(".", false, "delete")], Some("the site's own folder, with its settings")),
            (&[("var", false, "delete")], Some("this folder is the store")),
            (&[("var/in", false, "delete")], Some("this folder lies in the store")),
            (&[("outbox/in", false, "delete")], Some("this folder lies in the folder `outbox`")),
            (&[("x/../mappings/inbound", false, "keep")], Some("this folder lies in the folder `mappings`")),
            (&[("/", true, "delete")], Some("the store of the site lies in this folder")),
            (
                &[("in", false, "move:in")],
                Some("'move:in' files that are moved there would arrive again from the source `a`"),
            ),
            (&[("in", true, "move:in/done")], Some("arrive again from the source `a`")),
            (
                &[("in", false, "move:b/done"), ("b", true, "delete")],
                Some("arrive again from the source `b`"),
            ),
            (&[("in", false, "move:.")], Some("the site's own folder")),
            (&[("in", false, "move:mappings/inbound")], Some("lies in the folder `mappings`")),
            (&[("in", false, "move:var")], Some("is the store")),
        ];
        for (sources, expected) in table {
            let said = said_of(sources);
            match (expected, said.as_slice()) {
                (None, []) => {}
                (Some(part), [only]) => assert!(only.contains(part), "{sources:?}: {only}"),
                _ => panic!("{sources:?}: {said:?}"),
            }
        }
    }
}
