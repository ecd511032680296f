//! The fail points themselves: they do what the environment says in a debug build, and are nothing in a release build.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Stdio},
};

use wharf::wire::fail::{Point, VARIABLE};

use crate::support::{Site, run};

const MAPPING: &str = "match = \"a*\"\n[format]\ntype = \"csv\"\n[target]\ntable = \"a\"\nkey = [\"id\"]\n\
                       [columns]\nid = {}\n";

/// A program of the product's own module and a stand-in for the one type that it uses.
const PROGRAM: &str = r#"
mod wire {
    pub mod error {
        pub struct WireError;
        impl WireError {
            pub fn io(_: &'static str, _: &std::path::Path, _: std::io::Error) -> Self { Self }
        }
    }
    #[path = "FAIL/mod.rs"]
    pub mod fail;
}
fn main() {
    use wire::fail::{Point, moment, step};
    moment(Point::LockHeld);
    std::process::exit(if step(Point::CopySync).unwrap() { 7 } else { 8 });
}
"#;

#[test]
fn a_release_build_has_no_fail_point_and_does_not_know_the_variable() {
    let scratch = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wire/fail");
    let main = scratch.path().join("main.rs");
    fs::write(&main, PROGRAM.replace("FAIL", source.to_str().unwrap())).unwrap();
    let program = scratch.path().join("program");
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let built = Command::new(compiler)
        .args(["--edition", "2024", "-O", "-A", "warnings", "-o"])
        .args([&program, &main])
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let ran = Command::new(&program).env(VARIABLE, "lock.held=kill;copy.sync=skip").status().unwrap();
    assert_eq!(ran.code(), Some(7), "neither killed nor left out");
    let bytes = fs::read(&program).unwrap();
    let has = |text: &str| memchr::memmem::find(&bytes, text.as_bytes()).is_some();
    assert!(!has(VARIABLE));
    for point in Point::ALL {
        assert!(!has(point.name()) && !has(point.what()), "{point:?}");
    }
}

#[test]
fn the_page_on_reliability_tells_of_every_point() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reliability.md")).unwrap();
    for point in Point::ALL {
        let line = format!("| `{}` | {} |", point.name(), point.what());
        assert!(page.contains(&line), "docs/reliability.md lacks the line\n{line}");
    }
}

#[test]
fn a_debug_build_records_its_points_and_is_killed_where_it_is_told() {
    let site = Site::with_mapping("a", MAPPING);
    site.write("a.csv", "id\n1\n");
    let record = site.path("points.txt");
    let killed = site
        .command(["load", "a.csv"])
        .env(VARIABLE, format!("record={};target.commit@1=kill", record.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(killed.signal(), Some(9));
    let reached = fs::read_to_string(&record).unwrap();
    assert_eq!(reached.lines().last(), Some("target.commit"), "{reached}");
    assert!(reached.lines().any(|line| line == "copy.sync"), "{reached}");
    assert_eq!(site.run(["status"]).exits(0).out.matches("not finished").count(), 1);
}

#[test]
fn a_variable_that_makes_no_sense_stops_the_program_with_the_reason() {
    let site = Site::with_mapping("a", MAPPING);
    site.write("a.csv", "id\n1\n");
    let ran = run(site.command(["load", "a.csv"]).env(VARIABLE, "copy.sink@1=kill")).exits(1);
    assert!(ran.err.contains("there is no point \"copy.sink\""), "{}", ran.err);
}
