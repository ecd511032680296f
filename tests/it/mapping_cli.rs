//! What the integration admin does before the first night: make a site, write a mapping, have it checked and tried out.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};

use crate::support::{Site, run};

const BROKEN: &str = r#"match = "orders_*.csv"

[format]
type = "csv"
delimeter = ";"

[target]
table = "orders"
key = ["order_nr"]

[columns]
order_no = { requierd = true, pattern = "SO-(\\d+" }
amount   = { type = "decimal(2,12)" }
day      = { type = "dat", min = 5 }
"#;

const SMALL: &str = "match = \"small*.csv\"\n[format]\ntype = \"csv\"\n[target]\ntable = \"small\"\nkey = \"id\"\n[columns]\n\
                     id = { type = \"integer\" }\n";

#[test]
fn check_reports_every_problem_at_once_with_its_place_marked_and_a_suggestion() {
    let site = Site::with_mapping("orders", BROKEN);
    site.write(
        "mappings/inbound/a.toml",
        "match = \"a\"\n[format]\ntype = \"csv\"\n[target]\ntable = \"a\"\nkey = \"id\"\n",
    );
    let ran = site.run(["check"]).exits(1);
    assert_eq!(ran.out, "");
    for part in [
        "error: there is no key `delimeter` here\n --> mappings/inbound/orders.toml:5:1\n",
        "5 | delimeter = \";\"\n  | ^^^^^^^^^\n",
        "did you mean `delimiter`?",
        "orders.toml:9:8\n",
        "did you mean `order_no`?",
        "12 | order_no = { requierd = true, pattern = \"SO-(\\\\d+\" }\n   |              ^^^^^^^^\n",
        "did you mean `required`?",
        "this is not a regular expression: unclosed group\n",
        "orders.toml:13:21\n",
        "did you mean `date`?",
        "mappings/inbound/a.toml",
        "\n7 problems found\n",
    ] {
        assert!(ran.err.contains(part), "{part:?} is missing:\n{}", ran.err);
    }
    assert!(!ran.err.contains('\u{1b}'), "no colours where there is no terminal");

    let ran = site.run(["check", "--json", "orders"]).exits(1);
    let problems = ran.object()["problems"].as_array().unwrap().clone();
    assert_eq!(problems.len(), 6);
    let place = |problem: &Value| [&problem["line"], &problem["column"], &problem["text"]].map(Clone::clone);
    assert_eq!(place(&problems[0]), [json!(5), json!(1), json!("delimeter")]);
    assert_eq!(problems[0]["help"], "did you mean `delimiter`?");
    assert!(problems.iter().all(|problem| problem["file"] == "mappings/inbound/orders.toml"));
}

#[test]
fn problems_of_the_settings_are_reported_the_same_way() {
    let site = Site::with_mapping("small", SMALL);
    site.write(
        "wharf.toml",
        "[store]\npth = \"x\"\nmax_memory = \"1\"\n[connections.a]\nurl = \"mysql://x\"\n",
    );
    for arguments in [&["check"][..], &["load", "x.csv"], &["status"]] {
        let ran = site.run(arguments).exits(1);
        for part in
            ["wharf.toml:2:1", "did you mean `path`?", "`1` is not a size", "only SQLite", "3 problems found"]
        {
            assert!(ran.err.contains(part), "{part:?} is missing:\n{}", ran.err);
        }
    }
}

#[test]
fn sources_and_mappings_that_are_named_but_not_there_are_problems_of_the_mapping_that_names_them() {
    let site = Site::with_mapping(
        "small",
        &format!("source = \"inbx\"\nwaits_for = [\"other\", \"smal\"]\n{SMALL}"),
    );
    site.write(
        "mappings/inbound/other.toml",
        format!("waits_for = \"small\"\n{}", SMALL.replace("small", "other")),
    );
    let ran = site.run(["check"]).exits(1);
    for part in [
        "error: there is no source `inbx` in wharf.toml\n --> mappings/inbound/small.toml:1:10\n",
        "1 | source = \"inbx\"\n  |          ^^^^^^\n",
        "did you mean `inbox`?",
        "`small` waits for `other`, `other` waits for `small`\n --> mappings/inbound/small.toml:2:14\n",
        "there is no mapping `smal`\n",
        "mappings/inbound/other.toml:1:13\n",
        "\n4 problems found\n",
    ] {
        assert!(ran.err.contains(part), "{part:?} is missing:\n{}", ran.err);
    }
    site.write("mappings/inbound/small.toml", format!("source = \"inbox\"\norder = \"modified\"\n{SMALL}"));
    site.run(["check"]).exits(0);
}

#[test]
fn a_mapping_that_is_not_valid_stops_its_own_files_and_no_others() {
    let site = Site::with_mapping("orders", BROKEN);
    site.write("mappings/inbound/small.toml", SMALL);
    assert_eq!(site.load("small.csv", "id\n1\n").0, 0);
    let (code, report) = site.load("orders_1.csv", "order_no\n1\n");
    assert_eq!((code, &report["outcome"]), (1, &json!("failed")));
    assert!(report["message"].as_str().unwrap().contains("wharf check"), "{report:#}");
    site.run(["check", "small"]).exits(0);
}

#[test]
fn check_of_a_sound_site_names_files_tables_and_columns() {
    let site = Site::with_mapping("small", SMALL);
    let ran = site.run(["check"]).exits(0);
    assert_eq!(
        ran.out,
        "small: small*.csv -> table small (the first load creates it), 1 column\n1 mapping, no problems\n"
    );
    let sound = site.run(["check", "--json"]).exits(0).object();
    assert_eq!(sound, json!({ "problems": [], "mappings": ["small"] }));
    assert!(!site.path("var").exists(), "checking makes nothing");
    site.load("small.csv", "id\n1\n");
    assert!(!site.run(["check"]).exits(0).out.contains("creates"));
}

#[test]
fn check_holds_each_mapping_against_the_table_it_loads_into() {
    let site = Site::with_mapping("small", SMALL);
    site.load("small.csv", "id\n1\n");
    let table = "DROP TABLE small; CREATE TABLE small (no INTEGER PRIMARY KEY, must TEXT NOT NULL)";
    rusqlite::Connection::open(site.path("var/warehouse.db")).unwrap().execute_batch(table).unwrap();
    let ran = site.run(["check"]).exits(1);
    for part in ["mappings/inbound/small.toml", "the table small does not fit", "`id`", "`must`"] {
        assert!(ran.err.contains(part), "{part:?} is missing:\n{}", ran.err);
    }
}

/// The keys that the schema describes under a pointer.
fn keys(schema: &Value, pointer: &str) -> BTreeSet<String> {
    let found = schema.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is missing"));
    found.as_object().unwrap().keys().cloned().collect()
}

fn words(text: &str) -> BTreeSet<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_schema_is_json_and_describes_every_key_of_a_mapping() {
    let site = Site::new();
    let schema: Value = serde_json::from_str(&site.run(["schema"]).exits(0).out).unwrap();
    assert!(schema["$schema"].as_str().unwrap().contains("json-schema.org"));
    assert_eq!(
        keys(&schema, "/properties"),
        words(
            "match source waits_for wait_limit order on_duplicate empty_file shared format target rejects filter \
             columns checks"
        )
    );
    assert_eq!(
        keys(&schema, "/properties/format/oneOf/0/properties"),
        words(
            "type delimiter quote escape comment skip_rows trailing_delimiter encoding header unexpected trailer controls \
             max_record_bytes max_record_lines"
        )
    );
    assert_eq!(
        keys(&schema, "/properties/target/properties"),
        words(
            "connection table key mode create duplicate_keys newer vanished scope max_deletes commit shadow"
        )
    );
    assert_eq!(keys(&schema, "/properties/rejects/properties"), words("limit at_least hold"));
    assert_eq!(
        keys(&schema, "/$defs/Column/properties"),
        words(
            "from value type required default null empty trim min_length max_length pattern one_of map case is format pivot min max \
             decimal_mark group_mark negative strip true false timezone ambiguous lookup unique compare write on_null sensitive"
        )
    );
    assert_eq!(schema["additionalProperties"], false, "unknown keys are marked in the editor too");
    let of_site: Value = serde_json::from_str(&site.run(["schema", "site"]).exits(0).out).unwrap();
    assert_eq!(keys(&of_site, "/properties"), words("store connections sources run"));
    assert_eq!(
        keys(&of_site, "/properties/store/properties"),
        words("path max_memory report_max threads busy_seconds")
    );
    assert_eq!(
        keys(&of_site, "/properties/sources/additionalProperties/properties"),
        words("folder match recursive settle_seconds marker manifest after every")
    );
    assert_eq!(keys(&of_site, "/properties/run/properties"), words("attempts retry_seconds at_once"));
}

#[test]
fn samples_are_held_against_what_was_accepted_of_them() {
    let site = Site::with_mapping("small", SMALL);
    site.write("mappings/samples/small_1.csv", "id\n1\nx\n");
    site.write("mappings/samples/small_2.csv", "");
    site.write("mappings/samples/other.csv", "not ours");
    let ran = site.run(["test"]).exits(1);
    assert!(
        ran.out.contains("small_1.csv: nothing is expected of it yet")
            && ran.out.ends_with("0 passed, 2 failed\n")
    );

    site.run(["test", "--accept"]).exits(0);
    let accepted: Value = serde_json::from_str(&site.read("mappings/inbound/small.expected.json")).unwrap();
    let first = json!({ "outcome": "loaded_with_rejects", "read": 2, "rejects": [{ "line": 3, "column": "id", "rule": "type" }] });
    assert_eq!(accepted["small_1.csv"], first);
    assert_eq!(
        (&accepted["small_2.csv"]["outcome"], &accepted["small_2.csv"]["reason"]),
        (&json!("refused"), &json!("empty"))
    );
    assert_eq!(site.run(["test"]).exits(0).out, "2 passed, 0 failed\n");
    assert_eq!(site.run(["test", "--json", "small"]).exits(0).object(), json!({ "passed": 2, "failed": 0 }));

    // A rule that rejects more, a sample that is gone, one that is new, and one whose fate is another.
    site.write("mappings/inbound/small.toml", SMALL.replace("\"integer\"", "\"integer\", max = 0"));
    let out = site.run(["test"]).exits(1).out;
    assert!(out.contains("small: small_1.csv: found line 2 id max, which is not expected\n"), "{out}");
    site.write("mappings/inbound/small.toml", SMALL);
    fs::rename(site.path("mappings/samples/small_1.csv"), site.path("mappings/samples/small_3.csv")).unwrap();
    site.write("mappings/samples/small_2.csv", "id\n1\n");
    let differences: Vec<String> =
        site.run(["test", "--json"]).exits(1).json().iter().map(Value::to_string).collect();
    assert_eq!(differences.len(), 4, "{differences:?}");
    for (difference, part) in differences.iter().zip([
        "refused expected, but it is loaded",
        "nothing is expected",
        "no such file",
        "\"failed\":3",
    ]) {
        assert!(difference.contains(part), "{differences:?}");
    }
    assert!(!site.path("var").exists() && !site.path("outbox").exists());
}

#[test]
fn a_new_site_can_be_checked_and_loaded_at_once() {
    let site = Site::new();
    let ran = site.run(["init", "shop"]).exits(0);
    assert!(ran.out.contains("next: wharf --site shop check"), "{}", ran.out);
    for name in [
        "wharf.toml",
        "mappings/inbound/customers.toml",
        "mappings/schema.json",
        "inbox",
        "outbox",
        ".gitignore",
    ] {
        assert!(site.path("shop").join(name).exists(), "{name}");
    }
    assert!(site.read("shop/mappings/inbound/customers.toml").starts_with("#:schema ../schema.json\n"));
    assert_eq!(site.read("shop/mappings/schema.json"), site.run(["schema"]).out);
    let ran = site.run(["--site", "shop", "check"]).exits(0);
    assert!(ran.out.ends_with("1 mapping, no problems\n"), "{}", ran.out);
    let sample = "shop/mappings/samples/customers_2026-11-20.csv";
    let loaded = site.run(["load", "--json", "--site", "shop", sample]).exits(2).object();
    assert_eq!(loaded["outcome"], "loaded_with_rejects");
    assert!(site.path("shop").join(loaded["reports"]["rejects"].as_str().unwrap()).exists());
    assert!(site.path("shop/var/ledger.db").exists() && !site.path("var").exists());

    // An own mapping with a misspelt key.
    site.write("shop/mappings/inbound/mine.toml", SMALL.replace("type = \"integer\"", "requred = true"));
    let ran = site.run(["--site", "shop", "check"]).exits(1);
    assert!(ran.err.contains("mine.toml:8:8") && ran.err.contains("did you mean `required`?"), "{}", ran.err);

    let ran = site.run(["init", "shop"]).exits(1);
    assert!(ran.err.contains("exists already; nothing was changed"), "{}", ran.err);
}

#[test]
fn a_mapping_is_named_or_given_by_its_path_whatever_the_file_is_called() {
    let site = Site::with_mapping("small", SMALL);
    site.write("elsewhere/tried.toml", SMALL.replace("small", "tried"));
    site.write("data.csv", "id\n1\n");
    let refused = site.run(["load", "--json", "data.csv"]).exits(3).object();
    assert_eq!((&refused["outcome"], &refused["reason"]), (&json!("refused"), &json!("no_mapping")));
    let named = site.run(["load", "--json", "--mapping", "small", "data.csv"]).exits(0).object();
    assert_eq!(named["mapping"], "small");
    let path = site.path("elsewhere/tried.toml");
    for path in ["elsewhere/tried.toml", "./elsewhere/tried.toml", path.to_str().unwrap()] {
        let given = site.run(["load", "--json", "--again", "--mapping", path, "data.csv"]).exits(0).object();
        assert_eq!((&given["mapping"], &given["outcome"]), (&json!("tried"), &json!("loaded")));
        site.run(["validate", "--mapping", path, "data.csv"]).exits(0);
        site.run(["check", path]).exits(0);
    }
    assert_eq!(site.query("SELECT (SELECT count(*) FROM small), (SELECT count(*) FROM tried)"), [["1", "1"]]);
    let ran = site.run(["load", "--mapping", "smal", "data.csv"]).exits(1);
    assert!(ran.err.contains("did you mean `small`?"), "{}", ran.err);
    let ran = site.run(["load", "--mapping", "elsewhere/none.toml", "data.csv"]).exits(1);
    assert!(ran.err.contains("elsewhere/none.toml"), "{}", ran.err);
}

#[test]
fn completions_are_a_script_that_bash_runs_and_that_completes_commands() {
    let site = Site::new();
    let script = site.run(["completions", "bash"]).exits(0).out;
    site.write("wharf.bash", script);
    let mut bash = std::process::Command::new("bash");
    let ask = "source wharf.bash && COMP_WORDS=(wharf val) COMP_CWORD=1 && _wharf wharf val wharf && echo ${COMPREPLY[*]}";
    let ran = run(bash.current_dir(site.path("")).args(["--noprofile", "--norc", "-c", ask])).exits(0);
    assert_eq!((ran.out.trim(), &*ran.err), ("validate", ""));
    for shell in ["zsh", "fish", "powershell", "elvish"] {
        assert!(site.run(["completions", shell]).exits(0).out.contains("wharf"), "{shell}");
    }
}

#[test]
fn help_is_no_error_and_a_usage_error_exits_with_1_and_says_what_is_meant() {
    let commands = [
        "init",
        "check",
        "test",
        "validate",
        "load",
        "status",
        "deliveries",
        "show",
        "rejects",
        "retry",
        "approve",
        "decline",
        "schema",
        "completions",
    ];
    let site = Site::new();
    let all = site.run(["--help"]).exits(0).out;
    for command in commands {
        assert!(all.contains(&format!("\n  {command} ")), "{command} is missing:\n{all}");
        let help = site.run([command, "--help"]).exits(0);
        assert!(help.out.contains("Usage: wharf") && help.err.is_empty(), "{command}");
    }
    assert!(site.run(["--version"]).exits(0).out.starts_with("wharf 0."));
    for (arguments, said) in [
        (&["lod", "x"][..], "'load'"),
        (&["validate"], "<FILE>"),
        (&["load", "--agan", "x"], "'--again'"),
        (&["schema", "everything"], "mapping"),
        (&["completions", "tcsh"], "bash"),
        (&[], "Usage: wharf"),
    ] {
        let ran = site.run(arguments).exits(1);
        assert!(ran.err.contains(said) && ran.out.is_empty(), "{arguments:?}: {}", ran.err);
    }
}
