//! The first fifteen minutes of README.md, line by line, in a copy of the repository: what a stranger types works.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::support::{Ran, Site, run, wharf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A copy of the repository as a site.
fn repository() -> Site {
    let site = Site::new();
    for name in ["wharf.toml", "mappings/inbound", "mappings/samples", "mappings/schema.json"] {
        copy(&root().join(name), &site.path(name));
    }
    site
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}

/// The fenced blocks of README.md in this language.
fn blocks(language: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == format!("```{language}") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(block.join("\n"));
        }
    }
    blocks
}

/// Runs a line of the README as a shell would, with the program under test as `target/release/wharf`.
fn shell(site: &Site, line: &str) -> Ran {
    let line = line.replace("target/release/wharf", env!("CARGO_BIN_EXE_wharf"));
    let path =
        wharf().get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, value)| value).unwrap().to_owned();
    let mut command = std::process::Command::new("sh");
    run(command.env_clear().env("PATH", path).current_dir(site.path("")).args(["-c", &line]))
}

/// The lines of all shell blocks, in order.
fn lines() -> Vec<String> {
    blocks("sh").iter().flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn every_line_of_the_first_fifteen_minutes_works_as_the_text_says() {
    let site = repository();
    let mut ran = Vec::new();
    for line in lines() {
        let id = || {
            let listed = site.run(["deliveries", "--json", "--state", "loaded_with_rejects"]);
            listed.json()[0]["delivery"].as_str().unwrap().to_owned()
        };
        let command = match line.as_str() {
            "tests/run" => continue,
            line if line.starts_with("cargo build --release --locked && ") => {
                line.trim_start_matches("cargo build --release --locked && ").to_owned()
            }
            line if line.contains(" ID") => line.replace("ID", &id()),
            line => line.to_owned(),
        };
        if command.ends_with("my-site check") && site.path("my-site/mappings/inbound/prices.toml").exists() {
            check_marks_a_misspelt_key(&site, &command);
        }
        if command.contains("validate bad.csv") {
            site.write("bad.csv", "Article;Price;Valid from\n000123;1.250,00;01.02.2026\n123;x;31.02.2026\n");
        }
        let result = shell(&site, &command);
        if command.ends_with("my-site/mappings/samples/*") {
            site.write("my-site/mappings/inbound/prices.toml", blocks("toml").remove(0));
        }
        ran.push((command, result));
    }
    let codes: Vec<(&str, i32)> = ran.iter().map(|(line, ran)| (line.as_str(), ran.code)).collect();
    let expected = [2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 2, 0, 0, 0];
    assert_eq!(codes.iter().map(|(_, code)| *code).collect::<Vec<_>>(), expected, "{codes:#?}");
    first_load_tells_all(&ran[0].1);
    assert_eq!(ran[1].1.out.matches("duplicate of ").count(), 3, "{}", ran[1].1.out);
    assert_eq!(ran[1].1.out.matches(", nothing to do").count(), 3);
    assert!(ran[2].1.out.contains("nothing needs a person"), "{}", ran[2].1.out);
    let show = &ran[4].1.out;
    for part in ["story:", "taken from command line", "validated:", "loaded in", "first ", " rows as loaded:"]
    {
        assert!(show.contains(part), "{part} in {show}");
    }
    assert!(ran[10].1.out.contains("records pass"), "{:?}", ran[10].1);
    let (_, validate) = &ran[11];
    assert!(validate.out.contains("2 records = 1 good + 1 rejected"), "{}", validate.out);
    let once = &ran[13].1;
    assert!(once.out.contains("duplicate of ") && once.err.contains(" taken "), "{once:?}");
    assert!(!site.path("my-site/inbox/customers_2026-11-20.csv").exists());
    assert!(
        site.path("reports/bad.csv.rejects.csv").exists() && site.path("reports/bad.csv.errors.csv").exists()
    );
}

fn first_load_tells_all(ran: &Ran) {
    let blocks: Vec<&str> = ran.out.split("\n\n").filter(|block| !block.trim().is_empty()).collect();
    assert_eq!(blocks.len(), 3, "one block a file: {}", ran.out);
    for block in blocks {
        for part in [
            ": loaded with rejects",
            "counts:",
            " records = ",
            "rejects:  line ",
            "reports:  outbox/",
            "next:",
        ] {
            assert!(block.contains(part), "{part} in {block}");
        }
    }
}

fn check_marks_a_misspelt_key(site: &Site, command: &str) {
    let name = "my-site/mappings/inbound/prices.toml";
    let good = site.read(name);
    site.write(name, good.replace("delimiter", "delimeter"));
    let ran = shell(site, command).exits(1);
    for part in ["prices.toml:5:1", "delimeter", "^^^^^^^^^", "`delimiter`"] {
        assert!(ran.err.contains(part), "{part} in {}", ran.err);
    }
    site.write(name, good);
}

#[test]
fn git_tracks_nothing_that_a_load_writes() {
    let ignored = fs::read_to_string(root().join(".gitignore")).unwrap();
    for line in ["/var", "/outbox/*", "/inbox/*", "/target"] {
        assert!(ignored.lines().any(|other| other == line), "{line}");
    }
}

#[test]
fn the_samples_end_as_their_mappings_expect() {
    let ran = repository().run(["test"]).exits(0);
    assert_eq!(ran.out.lines().last(), Some("3 passed, 0 failed"));
}

#[test]
fn the_test_command_can_be_run() {
    for name in ["tests/run", ".ci/run"] {
        let mode = fs::metadata(root().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{name}");
    }
}

#[test]
fn the_shipped_mappings_point_at_the_schema_that_the_program_prints() {
    let schema = repository().run(["schema"]).exits(0).out;
    assert_eq!(schema, fs::read_to_string(root().join("mappings/schema.json")).unwrap());
    for entry in fs::read_dir(root().join("mappings/inbound")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            assert!(
                fs::read_to_string(&path).unwrap().starts_with("#:schema ../schema.json\n"),
                "{}",
                path.display()
            );
        }
    }
}
