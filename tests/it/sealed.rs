//! Sealed work files: a load that is killed goes on with what was validated, and validates nothing twice.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;

use crate::support::{Site, run};

const MAPPING: &str = "match = \"*\"\n[format]\ntype = \"csv\"\n\
    [target]\ntable = \"parts\"\nkey = \"id\"\nduplicate_keys = \"last\"\n\
    [columns]\nid = { type = \"integer\" }\nnote = { max_length = 120 }\n";

/// Records of a file whose rows are too many for memory: two megabytes, with the places that stand beside them.
const RECORDS: u32 = 16_000;

/// Good rows; every thousandth is rejected, and some are outdone by the last ones.
fn file() -> String {
    let note = "n".repeat(100);
    let record = |id: u32| match id % 1_000 {
        7 => format!("{id},{note}{note}\n"),
        _ => format!("{id},{note}\n"),
    };
    let last: String = (1..=5).map(|id| format!("{id},again\n")).collect();
    format!("id,note\n{}{last}", (1..=RECORDS).map(record).collect::<String>())
}

fn site(mapping: &str) -> Site {
    let site = Site::with_mapping("parts", mapping);
    site.write("parts.csv", file());
    site
}

fn cut(site: &Site, fail: &str) {
    let mut command = site.command(["load", "parts.csv"]);
    command.env("WHARF_FAIL", format!("{fail}=kill")).env("WHARF_BATCH_ROWS", "4000");
    let killed = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert_eq!(killed.signal(), Some(9), "{fail} is reached");
}

/// Starts again and finishes what was left.
fn go_on(site: &Site) {
    let done = run(site.command(["run", "--once"]).env("WHARF_BATCH_ROWS", "4000"));
    assert!(done.code >= 0, "{}", done.err);
}

fn delivery(site: &Site) -> Value {
    let found = site.run(["deliveries", "--json"]).exits(0).json();
    found.into_iter().find(|delivery| delivery["file"] == "parts.csv").unwrap()
}

fn story(site: &Site) -> String {
    let delivery = delivery(site);
    site.run(["show", delivery["delivery"].as_str().unwrap()]).out
}

/// Everything below `var/work`.
fn kept(site: &Site) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(site.path("var/work")).min_depth(1).into_iter();
    entries.map(|entry| entry.unwrap().into_path()).collect()
}

/// The one file below `var/work` of this name.
fn part(site: &Site, name: &str) -> PathBuf {
    kept(site).into_iter().find(|path| path.file_name().is_some_and(|found| found == name)).unwrap()
}

/// Flips a bit of the byte so far before the end.
fn flip(path: &Path, before_end: i64) {
    let mut file = File::options().read(true).write(true).open(path).unwrap();
    file.seek(SeekFrom::End(-before_end)).unwrap();
    let mut byte = [0];
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::End(-before_end)).unwrap();
    file.write_all(&[byte[0] ^ 4]).unwrap();
}

/// What a load leaves behind, apart from ids and times.
fn result(site: &Site) -> (Value, Vec<Vec<String>>, String) {
    let delivery = delivery(site);
    let tally = serde_json::json!([delivery["outcome"], delivery["tally"], delivery["violations"]]);
    let sql = "SELECT count(*), sum(id), sum(length(note)), sum(note = 'again') FROM parts";
    (tally, site.query(sql), site.read("outbox/rejects/parts/parts.csv.errors.csv"))
}

fn undisturbed(mapping: &str) -> (Value, Vec<Vec<String>>, String) {
    let site = site(mapping);
    site.run(["load", "parts.csv"]).exits(2);
    assert_eq!(kept(&site), Vec::<PathBuf>::new(), "nothing is kept of a delivery at rest");
    result(&site)
}

#[test]
fn a_killed_load_goes_on_with_the_sealed_work_file_and_does_not_even_read_the_file_again() {
    let wanted = undisturbed(MAPPING);
    for fail in ["target.begin@1", "target.written@1", "target.commit@1"] {
        let site = site(MAPPING);
        cut(&site, fail);
        // Nobody could validate this.
        let copies = walkdir::WalkDir::new(site.path("var/archive")).into_iter().map(Result::unwrap);
        let copy = copies.into_iter().find(|entry| entry.file_type().is_file()).unwrap().into_path();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&copy, "lost").unwrap();
        go_on(&site);
        assert_eq!(result(&site), wanted, "{fail}");
        let story = story(&site);
        assert!(story.contains("validated by the attempt before: 16,005 records"), "{fail}: {story}");
        assert_eq!(kept(&site), Vec::<PathBuf>::new(), "{fail}");
    }
}

#[test]
fn with_batches_nothing_is_validated_twice_and_no_more_than_a_batch_is_sent_again() {
    let mapping = MAPPING.replace("\nkey =", "\ncommit = \"batch\"\nkey =");
    let wanted = undisturbed(&mapping);
    let site = site(&mapping);
    cut(&site, "target.mark@3");
    let there: u32 = site.query("SELECT count(*) FROM parts")[0][0].parse().unwrap();
    assert_eq!(there, 8_000);
    go_on(&site);
    assert_eq!(result(&site), wanted);
    let story = story(&site);
    assert!(
        story.contains("validated by the attempt before") && story.contains("goes on after record"),
        "{story}"
    );
}

#[test]
fn a_work_file_that_is_not_as_it_was_written_is_made_again() {
    let wanted = undisturbed(MAPPING);
    // The last rows, the first ones, which records are void, the rejects: found when they are read, and what was written is undone.
    for (name, before_end) in [("rows", 300), ("rows", 1_900_000), ("superseded", 3), ("rejects", 900)] {
        let site = site(MAPPING);
        cut(&site, "target.written@1");
        flip(&part(&site, name), before_end);
        go_on(&site);
        assert_eq!(result(&site), wanted, "{name} {before_end}");
        let story = story(&site);
        assert!(story.contains("its checksum does not match: it is validated again"), "{name}: {story}");
        assert_eq!(kept(&site), Vec::<PathBuf>::new());
    }
    // The seal, and what is not there at all: seen at once.
    for name in ["seal", "rows", "keys.0"] {
        let site = site(MAPPING);
        cut(&site, "target.written@1");
        if name == "seal" {
            flip(&part(&site, name), 40)
        } else {
            fs::remove_file(part(&site, name)).unwrap()
        }
        go_on(&site);
        assert_eq!(result(&site), wanted, "{name}");
        assert!(!story(&site).contains("by the attempt before"), "{name}");
    }
}

#[test]
fn damage_after_some_batches_costs_only_what_comes_after_them() {
    let mapping = MAPPING.replace("\nkey =", "\ncommit = \"batch\"\nkey =");
    let wanted = undisturbed(&mapping);
    let site = site(&mapping);
    cut(&site, "target.marked@1");
    flip(&part(&site, "rows"), 300);
    go_on(&site);
    assert_eq!(result(&site), wanted);
    let story = story(&site);
    assert!(story.contains("it is validated again") && story.contains("goes on after record"), "{story}");
}

#[test]
fn keys_that_were_kept_still_tell_which_rejects_of_others_are_overtaken() {
    for damage in [false, true] {
        let site = site(MAPPING);
        site.load("first.csv", format!("id,note\n77,{}\n", "n".repeat(200)));
        cut(&site, "target.written@1");
        if damage {
            flip(&part(&site, "keys.0"), 1_000);
        }
        go_on(&site);
        let found = site.run(["deliveries", "--json"]).exits(0).json();
        let first = found.iter().find(|delivery| delivery["file"] == "first.csv").unwrap();
        assert_eq!(first["rejects"]["overtaken"], 1, "damage: {damage}: {first}");
        assert_eq!(delivery(&site)["outcome"], "loaded_with_rejects");
    }
}

#[test]
fn a_mirror_goes_on_with_the_keys_of_its_rejected_records() {
    let mapping = MAPPING
        .replace("\nkey = ", "\nmode = \"mirror\"\nvanished = \"delete\"\nmax_deletes = \"100%\"\nkey = ");
    let results: Vec<_> = [None, Some("target.vanish@1")]
        .into_iter()
        .map(|fail| {
            let site = Site::with_mapping("parts", &mapping);
            let before: String = (15_990..=16_020).map(|id| format!("{id},old\n")).collect();
            site.load("before.csv", format!("id,note\n7,old\n{before}"));
            site.write("parts.csv", file());
            match fail {
                Some(fail) => {
                    cut(&site, fail);
                    go_on(&site);
                    assert!(story(&site).contains("by the attempt before"));
                }
                None => drop(site.run(["load", "parts.csv"]).exits(2)),
            }
            assert_eq!(site.query("SELECT note FROM parts WHERE id = 7"), [["old"]]);
            result(&site)
        })
        .collect();
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0].0[1]["deleted"], 20);
}

#[test]
fn a_work_file_of_other_lookup_files_is_not_taken_up() {
    let mapping = MAPPING.replace(
        "id = {",
        "word = { from = \"note\", lookup = { file = \"words.csv\", key = \"k\", value = \"v\" } }\nid = {",
    );
    let site = site(&mapping);
    let note = "n".repeat(100);
    let words = |word: &str| format!("k,v\n{note},{word}\nagain,x\n");
    site.write("mappings/lookups/words.csv", words("old"));
    cut(&site, "target.written@1");
    site.write("mappings/lookups/words.csv", words("new"));
    go_on(&site);
    assert!(!story(&site).contains("by the attempt before"));
    assert_eq!(site.query("SELECT count(*) FROM parts WHERE word = 'old'"), [["0"]]);
}

#[test]
fn what_nobody_can_take_up_is_removed_by_the_next_engine() {
    let site = site(MAPPING);
    cut(&site, "work.keep@1");
    assert!(kept(&site).len() > 3, "it was being made: {:?}", kept(&site));
    go_on(&site);
    assert_eq!(kept(&site), Vec::<PathBuf>::new());
    // Of a delivery that came to rest although its work file could not be removed, and of none that is known.
    let id = delivery(&site)["delivery"].as_str().unwrap().to_owned();
    site.write(format!("var/work/{id}/rows"), "x");
    site.write(format!("var/work/{id}.refusals"), "x");
    site.write("var/work/01939b2e-0000-7000-8000-000000000000/seal", "x");
    site.write("var/work/notes.txt", "mine");
    go_on(&site);
    assert_eq!(kept(&site), [site.path("var/work/notes.txt")], "what is not ours stays");
}

#[test]
fn a_delivery_that_is_held_or_failed_keeps_no_work_file() {
    let site = site(&MAPPING.replace("[columns]", "[rejects]\nhold = 1\n[columns]"));
    site.run(["load", "parts.csv"]).exits(3);
    assert_eq!(kept(&site), Vec::<PathBuf>::new());
    let site = self::site(MAPPING);
    run(site.command(["load", "parts.csv"]).env("WHARF_FAIL", "target.commit=eio")).exits(1);
    assert_eq!(kept(&site), Vec::<PathBuf>::new());
}

#[test]
fn an_attempt_after_a_passing_fault_takes_up_what_the_one_before_validated() {
    let site = site(MAPPING);
    site.write("wharf.toml", format!("{}[run]\nretry_seconds = 1\n", crate::running::INBOX));
    fs::create_dir(site.path("inbox")).unwrap();
    fs::rename(site.path("parts.csv"), site.path("inbox/parts.csv")).unwrap();
    run(site.command(["run", "--once"]).env("WHARF_FAIL", "target.commit@1=eio")).exits(2);
    let story = story(&site);
    assert!(story.contains("validated by the attempt before"), "{story}");
    assert_eq!(kept(&site), Vec::<PathBuf>::new());
}
