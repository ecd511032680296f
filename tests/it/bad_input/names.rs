//! Names of files and mappings that would lead a terminal, a shell or a path astray.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
};

use wharf::model::printable;

use super::{ITEMS, Loaded, files_below, items, load, plain};
use crate::support::Site;

const CONTENT: &str = "id,name,amount\n1,lamp,2\n2,desk,much\n";

/// Each name, and how it is shown.
fn hostile() -> Vec<(OsString, String)> {
    let table: [(&[u8], &str); 13] = [
        (b"new\nline.csv", r"new\nline.csv"),
        (b"a\x1b[31;1mred\x1b[0m.csv", r"a\u{1b}[31;1mred\u{1b}[0m.csv"),
        (b"bell\x07\r\t.csv", r"bell\u{7}\r\t.csv"),
        (b"a..b...csv", "a..b...csv"),
        (b"..csv", "..csv"),
        (b"...", "..."),
        (b"not\xffutf\xfe8.csv", r"not\xffutf\xfe8.csv"),
        (b"-rf.csv", "-rf.csv"),
        (b"--json", "--json"),
        (b"trailing.csv ", "trailing.csv "),
        (b" ", " "),
        ("mirror\u{202e}vsc.exe".as_bytes(), r"mirror\u{202e}vsc.exe"),
        (b"$(reboot);`reboot`'\"&|*?.csv", "$(reboot);`reboot`'\"&|*?.csv"),
    ];
    let mut names: Vec<(OsString, String)> =
        table.iter().map(|(name, shown)| (OsString::from_vec(name.to_vec()), (*shown).to_owned())).collect();
    for long in ["x".repeat(251) + ".csv", "ü".repeat(125) + ".csv"] {
        assert!((254..=255).contains(&long.len()));
        names.push((long.clone().into(), long));
    }
    names
}

#[test]
fn files_with_hostile_names_are_loaded_and_named_escaped() {
    for (name, shown) in hostile() {
        let loaded = load(items, &name, CONTENT);
        loaded.ends(2, "loaded_with_rejects", "").counts(2, 1, 1, 0).rows(&["1|lamp|2.00"]);
        assert_eq!(loaded.object["file"], shown.as_str());
        assert!(loaded.text.starts_with(&format!("{shown}: loaded with rejects\n")), "{}", loaded.text);
        assert!(loaded.site.path(&name).exists(), "it stays where it is");
        lie_where_they_belong(&loaded, &shown);
    }
}

/// Asserts that reports and archived copy have safe names in the right folders.
#[track_caller]
fn lie_where_they_belong(loaded: &Loaded, shown: &str) {
    let folder = loaded.site.path("outbox/rejects/items");
    let reports = files_below(&loaded.site.path("outbox"));
    assert_eq!(reports.len(), 2, "{shown}: {reports:?}");
    for kind in ["rejects", "errors"] {
        let path = loaded.object["reports"][kind].as_str().unwrap();
        let report = loaded.site.path(path);
        assert_eq!(report.parent(), Some(folder.as_path()), "{shown}");
        assert!(report.is_file() && path.ends_with(&format!(".{kind}.csv")), "{path}");
        let name = report.file_name().unwrap().to_str().unwrap();
        assert!(name.chars().all(printable::is_plain) && !name.starts_with(['.', '-']), "{name}");
    }
    let archive = files_below(&loaded.site.path("var/archive"));
    assert_eq!(archive.len(), 1);
    assert_eq!(std::fs::read_to_string(&archive[0]).unwrap(), CONTENT);
    let name = archive[0].file_name().unwrap().to_str().unwrap();
    assert!(name.chars().all(printable::is_plain), "{name}");
}

#[test]
fn every_list_and_story_names_files_with_hostile_names_escaped() {
    let site = items();
    let names = hostile();
    for (name, _) in &names {
        site.write(name, CONTENT);
    }
    let files = names.iter().map(|(name, _)| name.as_os_str());
    let load = [OsStr::new("load"), OsStr::new("--again"), OsStr::new("--json"), OsStr::new("--")];
    let told = site.run(load.into_iter().chain(files)).exits(2);
    plain(&told);
    let objects = told.json();
    assert_eq!(objects.len(), names.len());
    for command in ["deliveries", "status", "rejects"] {
        plain(&site.run([command]).exits(0));
        let json = site.run([command, "--json"]).exits(0);
        plain(&json);
        assert!(!json.json().is_empty());
    }
    for object in objects {
        let id = object["delivery"].as_str().unwrap();
        for arguments in [&["show", id][..], &["show", "--json", id], &["rejects", id]] {
            let shown = site.run(arguments).exits(0);
            plain(&shown);
            let escaped = object["file"].as_str().unwrap();
            let in_json = escaped.replace('\\', "\\\\").replace('"', "\\\"");
            assert!(shown.out.contains(escaped) || shown.out.contains(&in_json), "{escaped}: {shown:?}");
        }
    }
}

#[test]
fn a_name_with_folders_that_lead_out_of_the_site_writes_nothing_there() {
    let outer = tempfile::tempdir().unwrap();
    let site = Site::with_mapping("items", ITEMS);
    std::fs::write(outer.path().join("a.csv"), CONTENT).unwrap();
    let path = outer.path().join("sub/../a.csv");
    std::fs::create_dir(outer.path().join("sub")).unwrap();
    let told = site.run([OsStr::new("load"), OsStr::new("--json"), path.as_os_str()]).exits(2).object();
    let report = site.path(told["reports"]["errors"].as_str().unwrap());
    assert_eq!(report, site.path("outbox/rejects/items/a.csv.errors.csv"));
    assert_eq!(files_below(outer.path()).len(), 1);
}

#[test]
fn hostile_names_that_differ_only_in_what_is_escaped_keep_their_reports_apart() {
    let site = items();
    let names: [&[u8]; 4] = [b"a\n.csv", b"a\x1b.csv", b"a\xff.csv", b"a_.csv"];
    for name in names {
        let name = OsStr::from_bytes(name);
        site.write(name, CONTENT);
        site.run([OsStr::new("load"), OsStr::new("--again"), name]).exits(2);
    }
    assert_eq!(files_below(&site.path("outbox/rejects/items")).len(), 8);
}

#[test]
fn a_file_that_is_missing_or_nobodys_is_named_escaped() {
    let site = Site::with_mapping("items", &ITEMS.replace("\"*\"", "\"only.csv\""));
    for (name, shown) in hostile() {
        let text = site.run([OsStr::new("load"), OsStr::new("--"), &name]).exits(1);
        plain(&text);
        let object =
            site.run([OsStr::new("load"), OsStr::new("--json"), OsStr::new("--"), &name]).exits(1).object();
        assert_eq!((&object["file"], &object["outcome"]), (&shown.as_str().into(), &"failed".into()));
        site.write(&name, CONTENT);
        let text = site.run([OsStr::new("load"), OsStr::new("--"), &name]).exits(3);
        plain(&text);
        assert!(text.out.starts_with(&format!("{shown}: refused")), "{text:?}");
    }
}

#[test]
fn mappings_with_hostile_names_are_refused_and_named_escaped() {
    let site = items();
    for name in ["a\u{1b}[31mb.toml", "new\nline.toml", "..toml"] {
        site.write(format!("mappings/inbound/{name}"), ITEMS);
    }
    let checked = site.run(["check"]).exits(1);
    plain(&checked);
    assert!(
        checked.err.contains(r"a\u{1b}[31mb.toml") && checked.err.contains(r"new\nline.toml"),
        "{checked:?}"
    );
    site.write("a.csv", CONTENT);
    for asked in ["\u{1b}[31m", "\u{1b}[31m/x.toml", "a\u{1b}[31mb", "mappings/inbound/new\nline.toml"] {
        for arguments in
            [&["load", "--mapping", asked, "a.csv"][..], &["validate", "--mapping", asked, "a.csv"]]
        {
            plain(&site.run(arguments).exits(1));
            let json = site.run(arguments.iter().chain(&["--json"])).exits(1);
            plain(&json);
            assert_eq!(json.json().len(), 1, "{json:?}");
        }
    }
    for command in [&["status"][..], &["load", "a.csv"]] {
        plain(&site.run(command));
    }
    // A mapping called `..` would put its reports elsewhere.
    let outside = site.write("elsewhere/...toml", ITEMS);
    let told = site
        .run([OsStr::new("load"), OsStr::new("--mapping"), outside.as_os_str(), OsStr::new("a.csv")])
        .exits(1);
    assert!(told.err.contains("must be good as a file name"), "{told:?}");
}
