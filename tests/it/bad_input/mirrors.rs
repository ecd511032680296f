//! Files that say of a table that rows have vanished, and should not be believed.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::{
    mirrors::{file, id, many, rows, stock},
    support::Site,
};

/// A site that has loaded three articles of store a.
fn loaded(target: &str) -> Site {
    let site = stock(&format!("vanished = \"delete\"\n{target}"));
    site.load("stock_1.csv", file(&["a,1,5", "a,2,5", "a,3,5"]));
    site
}

fn held(site: &Site, name: &str, content: &str) -> Value {
    let (code, delivery) = site.load(name, content);
    assert_eq!(
        (code, &delivery["outcome"], &delivery["reason"]),
        (3, &json!("held"), &json!("delete_hold")),
        "{delivery:#}"
    );
    delivery
}

#[test]
fn a_mirror_file_that_is_empty_empties_no_table() {
    let site = loaded("max_deletes = \"100%\"");
    let (code, empty) = site.load("stock_2.csv", "");
    assert_eq!((code, &empty["outcome"], &empty["reason"]), (3, &json!("refused"), &json!("empty")));
    let header = held(&site, "stock_3.csv", "store,article,pieces\n");
    let message = header["message"].as_str().unwrap();
    assert!(
        message.contains("no record of the file was accepted") && message.contains("all 3 rows"),
        "{message}"
    );
    assert_eq!(rows(&site), 3);
    // Only a person can say that it is meant so.
    let approved = site.run(["approve", "--json", id(&header)]).exits(0).object();
    assert_eq!((&approved["tally"]["deleted"], rows(&site)), (&json!(3), 0));
}

#[test]
fn a_mirror_file_of_which_every_record_is_rejected_is_held() {
    let site = loaded("max_deletes = \"100%\"");
    let delivery = held(&site, "stock_2.csv", &file(&["a,1,x", "a,9,x"]));
    assert!(delivery["message"].as_str().unwrap().contains("all 2 rows"), "{delivery:#}");
    assert_eq!((&delivery["tally"]["rejected"], rows(&site)), (&json!(2), 3));
}

#[test]
fn a_mirror_file_of_another_store_takes_nothing_from_ours() {
    let scoped = loaded("scope = \"store\"");
    let (code, other) = scoped.load("stock_2.csv", file(&["b,1,5"]));
    assert_eq!((code, &other["tally"]["deleted"], rows(&scoped)), (0, &json!(0), 4));
    let site = loaded("max_deletes = \"50%\"");
    held(&site, "stock_2.csv", &file(&["b,1,5", "b,2,5"]));
    assert_eq!(rows(&site), 3);
}

#[test]
fn a_mirror_file_with_a_key_that_cannot_be_read_lets_nothing_vanish_and_says_so() {
    for unreadable in ["too long,2,5", ",2,5", "a,2", "a,\"2\"x,5"] {
        let site = loaded("");
        let (code, delivery) = site.load("stock_2.csv", file(&["a,1,6", unreadable]));
        assert_eq!((code, &delivery["outcome"]), (2, &json!("loaded_with_rejects")), "{delivery:#}");
        assert_eq!((&delivery["tally"]["deleted"], rows(&site)), (&json!(0), 3), "{unreadable}");
        let message = delivery["message"].as_str().unwrap();
        assert!(message.contains("nothing was deleted this time"), "{message}");
        assert!(site.run(["show", id(&delivery)]).out.contains("nothing was deleted this time"));
        // The next whole file does it.
        let (_, next) = site.load("stock_3.csv", file(&["a,1,6"]));
        assert_eq!((&next["tally"]["deleted"], rows(&site)), (&json!(2), 1));
    }
}

#[test]
fn a_mirror_file_cut_off_in_the_middle_is_held() {
    let site = stock("vanished = \"delete\"");
    let whole = many("a", 0, 1_000);
    site.load("stock_1.csv", &whole);
    held(&site, "stock_2.csv", &whole[..whole.len() / 2 - whole.len() / 2 % 10]);
    assert_eq!(rows(&site), 1_000);
}

#[test]
fn an_approval_after_the_table_changed_holds_again_with_the_new_figures() {
    let site = loaded("max_deletes = 1");
    let delivery = held(&site, "stock_2.csv", &file(&["a,1,5"]));
    let insert = "INSERT INTO stock (store, article, pieces) VALUES ('a', '4', 1)";
    rusqlite::Connection::open(site.path("var/warehouse.db")).unwrap().execute_batch(insert).unwrap();
    let again = site.run(["approve", "--json", id(&delivery)]).exits(3).object();
    assert_eq!((&again["outcome"], &again["reason"]), (&json!("held"), &json!("delete_hold")));
    assert!(again["message"].as_str().unwrap().contains("3 of 4 rows"), "{again:#}");
    assert_eq!(rows(&site), 4);
    // The figures that are shown now can be approved; fewer rows than shown are no reason to ask again.
    let remove = "DELETE FROM stock WHERE article = '2'";
    rusqlite::Connection::open(site.path("var/warehouse.db")).unwrap().execute_batch(remove).unwrap();
    let approved = site.run(["approve", "--json", id(&delivery)]).exits(0).object();
    assert_eq!((&approved["tally"]["deleted"], rows(&site)), (&json!(2), 1));
}

#[test]
fn rejects_and_deletes_are_approved_each_with_its_figure() {
    let site = loaded("max_deletes = 1\n[rejects]\nhold = 0");
    let (_, first) = site.load("stock_2.csv", file(&["a,1,5", "x,9,many"]));
    assert_eq!(first["reason"], "reject_hold");
    let second = site.run(["approve", "--json", id(&first)]).exits(3).object();
    assert_eq!(second["reason"], "delete_hold", "{second:#}");
    assert_eq!(rows(&site), 3);
    let third = site.run(["approve", "--json", id(&first)]).exits(2).object();
    assert_eq!((&third["tally"]["rejected"], &third["tally"]["deleted"]), (&json!(1), &json!(2)));
}

#[test]
fn a_decline_and_an_approve_at_once_come_to_one_decision() {
    for _ in 0..4 {
        let site = loaded("max_deletes = 1");
        let delivery = held(&site, "stock_2.csv", &file(&["a,1,5"]));
        let start = |command: &str| {
            let mut command = site.command([command, id(&delivery)]);
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        };
        let (mut approve, mut decline) = (start("approve"), start("decline"));
        let approved = approve.wait().unwrap().success();
        let declined = decline.wait().unwrap().success();
        assert!(approved != declined, "approved {approved}, declined {declined}");
        let told = site.run(["show", "--json", id(&delivery)]).object();
        assert_eq!(told["outcome"], if approved { "loaded" } else { "refused" });
        assert_eq!(rows(&site), if approved { 1 } else { 3 });
    }
}

#[test]
fn a_mapping_of_a_mirror_that_makes_no_sense_is_refused_with_what_to_do() {
    for (target, part) in [
        ("", "has to say what becomes of rows"),
        ("vanished = \"delete\"\nscope = \"stroe\"", "no column `stroe`"),
        ("vanished = \"delete\"\nscope = [\"store\", \"article\"]", "no row could ever vanish"),
        ("vanished = { mark = \"pieces\" }", "is a column of the mapping"),
        ("vanished = { mark = \"gone\", type = \"text\" }", "`text` is not a word for `type`"),
        ("vanished = { }", "`mark`"),
        ("vanished = \"drop\"", "`drop`"),
        ("vanished = \"delete\"\nmax_deletes = \"5\"", "a share ends with `%`"),
        ("vanished = \"delete\"\nnewer = \"article\"", "is part of the key"),
    ] {
        let ran = stock(target).run(["check"]).exits(1);
        let text = ran.out + &ran.err;
        assert!(text.contains(part), "{target}: {text}");
    }
}
