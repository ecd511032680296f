//! What a mapping says in expressions: columns that are computed, records that are left out, checks over several columns.

use crate::support::{Site, violations};

/// Orders of a shop; `more` stands behind the columns.
fn orders(columns: &str, more: &str) -> String {
    format!(
        "match = [\"orders_{{day:%Y%m%d}}_{{shop}}.csv\", \"*.csv\"]\n[format]\ntype = \"csv\"\n[target]\ntable = \"orders\"\n\
         key = \"id\"\n[columns]\nid = {{}}\nquantity = {{ type = \"integer\" }}\nprice = {{ type = \"decimal(10,2)\" }}\n\
         ordered = {{ type = \"date\" }}\ndue = {{ type = \"date\" }}\n{columns}\n{more}\n"
    )
}

fn site(columns: &str, more: &str) -> Site {
    Site::with_mapping("orders", &orders(columns, more))
}

const HEADER: &str = "id,quantity,price,ordered,due\n";

#[track_caller]
fn rows(site: &Site, columns: &str) -> Vec<String> {
    site.query(&format!("SELECT {columns} FROM orders ORDER BY id")).iter().map(|row| row.join("|")).collect()
}

#[test]
fn a_column_is_computed_from_others_exactly_and_of_its_own_type() {
    let site = site(
        "total = { value = \"quantity * price\" }\nlabel = { value = \"id || '-' || quantity\" }\n\
         days = { value = \"due - ordered\" }\nmonth = { value = \"extract(month from due)\" }",
        "",
    );
    let file = format!("{HEADER}a,3,0.10,2026-01-01,2026-03-01\nb,,1.00,,\n");
    let (code, delivery) = site.load("o.csv", file);
    assert_eq!(code, 0, "{delivery:#}");
    assert_eq!(rows(&site, "id, total, label, days"), ["a|0.30|a-3|59", "b|-|-|-"]);
}

#[test]
fn computed_columns_may_read_each_other_in_whatever_order_they_stand() {
    let site = site(
        "gross = { value = \"net * 2\", type = \"decimal(14,4)\" }\nnet = { value = \"base - 1\" }\nbase = { value = \"price * quantity\" }",
        "",
    );
    let (code, delivery) = site.load("o.csv", format!("{HEADER}a,3,1.50,,\n"));
    assert_eq!(code, 0, "{delivery:#}");
    assert_eq!(rows(&site, "base, net, gross"), ["4.50|3.50|7.0000"]);
}

#[test]
fn rules_hold_for_computed_values_too_and_say_the_value() {
    let site = site(
        "total = { value = \"quantity * price\", type = \"decimal(10,2)\", min = 1, max = 100, required = true }\n\
         kind = { value = \"case when id like 'C%' then 'c' else 'a' end\", one_of = [\"a\", \"b\"], max_length = 1 }",
        "",
    );
    let file = format!("{HEADER}A1,1,50,,\nB1,1,0.5,,\nC1,3,50,,\nB2,,50,,\nA2,x,50,,\n");
    let (code, delivery) = site.load("o.csv", file);
    assert_eq!(code, 2, "{delivery:#}");
    assert_eq!(
        violations(&site, &delivery),
        [
            "2 total min 0.50: is less than 1",
            "3 total max 150.00: is greater than 100",
            "3 kind one_of c: is not one of a, b",
            "4 total required : is required, but has no value",
            "5 quantity type x: is not a whole number like 1234",
        ]
    );
    assert_eq!(rows(&site, "id, total, kind"), ["A1|50.00|a"]);
}

#[test]
fn a_value_that_cannot_be_computed_is_its_records_violation_alone() {
    let site = site(
        "ratio = { value = \"100 / quantity\" }\nexact = { value = \"price * price\", type = \"decimal(6,2)\" }",
        "[checks.share]\ncheck = \"1000 / quantity < 600\"",
    );
    let file = format!("{HEADER}a,2,1.00,,\nb,0,1.00,,\nc,4,1.01,,\nd,1,1.00,,\ne,,,,\n");
    let (code, delivery) = site.load("o.csv", file);
    assert_eq!(code, 2, "{delivery:#}");
    let found = violations(&site, &delivery);
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found[0].starts_with("2 ratio type : cannot be computed (division by zero"), "{found:?}");
    assert!(
        found[1].starts_with("2  check:share : whether this holds cannot be told (division by zero"),
        "{found:?}"
    );
    assert!(
        found[2].starts_with("3 exact type : cannot be computed (") && found[2].contains("round("),
        "{found:?}"
    );
    assert_eq!(found[3], "4  check:share : this must hold: 1000 / quantity < 600");
    assert_eq!(rows(&site, "id, ratio, exact"), ["a|50|1.00", "e|-|-"]);
}

#[test]
fn a_check_rejects_records_for_which_it_is_false_and_lets_null_pass() {
    let site = site(
        "",
        "[checks.due_after_order]\ncheck = \"due >= ordered\"\nmessage = \"due date is before the order date\"\n\
         [checks.small]\ncheck = \"quantity < 10 or price < 1\"",
    );
    let file = format!(
        "{HEADER}a,1,1,2026-01-02,2026-01-02\nb,1,1,2026-01-02,2026-01-01\nc,1,1,,2026-01-01\nd,10,1,2026-01-02,2026-01-01\n\
         e,1,1,2026-01-02,soon\nf,,0.5,,\ng,,2,,\n"
    );
    let (code, delivery) = site.load("o.csv", file);
    assert_eq!(code, 2, "{delivery:#}");
    assert_eq!(
        violations(&site, &delivery),
        [
            "2  check:due_after_order : due date is before the order date",
            "4  check:due_after_order : due date is before the order date",
            "4  check:small : this must hold: quantity < 10 or price < 1",
            "5 due type soon: is not a date like 2025-12-31",
        ]
    );
    assert_eq!(rows(&site, "id"), ["a", "c", "f", "g"]);
    let (header, people) = site.report(&delivery, "rejects");
    assert_eq!(header[1..6], ["id", "quantity", "price", "ordered", "due"]);
    assert_eq!(
        people[0][1..6],
        ["b", "1", "1", "2026-01-02", "2026-01-01"],
        "a check leaves the fields what they are"
    );
    assert_eq!(people[0][6], "line 3: due date is before the order date");
    assert_eq!(people[0][7], "");
    let shown = site.run(["show", "--json", delivery["delivery"].as_str().unwrap()]).exits(0).object();
    assert_eq!(shown["violations"]["check:due_after_order"], 2, "{shown:#}");
}

#[test]
fn a_filter_leaves_records_out_whatever_else_is_wrong_with_them() {
    let site = site("", "[filter]\nkeep = \"quantity > 0\"\n[checks.price]\ncheck = \"price > 1\"");
    let file =
        format!("{HEADER}a,1,5,,\nb,0,5,,\nc,0,x,,\nd,x,5,,\ne,,5,,\na,0,5,,\nf,0,0,,\n,1,5,,\n,0,5,,\n");
    let (code, delivery) = site.load("o.csv", file);
    assert_eq!(code, 2, "{delivery:#}");
    let tally = &delivery["tally"];
    assert_eq!(
        [&tally["read"], &tally["inserted"], &tally["filtered"], &tally["rejected"]]
            .map(|n| n.as_u64().unwrap()),
        [9, 1, 6, 2]
    );
    assert_eq!(
        violations(&site, &delivery),
        ["4 quantity type x: is not a whole number like 1234", "8 id required : is required, but empty"]
    );
    assert_eq!(rows(&site, "id"), ["a"]);
    let told = site.run(["show", delivery["delivery"].as_str().unwrap()]).exits(0).out;
    assert!(told.contains("1 good, 6 filtered, 2 rejected"), "{told}");
    assert!(told.contains("6 filtered + 2 rejected"), "{told}");
    let told = site.run(["validate", "o.csv"]).exits(2).out;
    assert!(told.contains("9 records = 1 good + 6 filtered + 2 rejected"), "{told}");
}

#[test]
fn a_refused_file_counts_what_its_filter_left_out() {
    let site = site("", "[filter]\nkeep = \"quantity > 0\"\n[rejects]\nlimit = 0");
    let (code, delivery) = site.load("o.csv", format!("{HEADER}a,1,5,,\nb,0,5,,\nc,x,5,,\n"));
    assert_eq!((code, &delivery["outcome"]), (3, &"refused".into()));
    let tally = &delivery["tally"];
    assert_eq!(
        [&tally["filtered"], &tally["rejected"], &tally["withheld"]].map(|n| n.as_u64().unwrap()),
        [1, 1, 1]
    );
}

#[test]
fn file_and_delivery_can_be_asked_and_now_is_one_moment() {
    let site = site(
        "day = { value = \"file.day\" }\nshop = { value = \"file.shop\" }\nname = { value = \"file.name\" }\n\
         size = { value = \"file.size\" }\ndelivery = { value = \"delivery.id\" }\nmapping = { value = \"delivery.mapping\" }\n\
         loaded_at = { value = \"now()\", compare = false }\nnumber = { value = \"record\" }",
        "",
    );
    let file = format!("{HEADER}a,,,,\nb,,,,\n");
    let (code, delivery) = site.load("orders_20260228_north.csv", &file);
    assert_eq!(code, 0, "{delivery:#}");
    let id = delivery["delivery"].as_str().unwrap();
    let size = file.len();
    assert_eq!(
        rows(&site, "day, shop, name, size, delivery, mapping, number"),
        [1, 2].map(|n| format!("2026-02-28|north|orders_20260228_north.csv|{size}|{id}|orders|{n}"))
    );
    assert_eq!(site.query("SELECT DISTINCT loaded_at FROM orders").len(), 1);
    let (_, again) = site.load("orders_20260230_north.csv", format!("{file}c,,,,\n"));
    assert_eq!(again["outcome"], "loaded");
    assert_eq!(rows(&site, "day"), ["-", "-", "-"], "there is no such day");
    site.load("other.csv", format!("{file}d,,,,\n"));
    assert_eq!(rows(&site, "shop"), ["-", "-", "north", "-"], "another pattern took the last file");
}

#[test]
fn record_numbers_are_those_of_the_file_and_may_be_part_of_everything() {
    let mapping = orders(
        "line = { value = \"record\", unique = true }\nstep = { value = \"line * 10\" }",
        "[filter]\nkeep = \"line % 3 <> 0\"\n[checks.low]\ncheck = \"step < 100000 or price is null\"",
    )
    .replace("key = \"id\"", "key = [\"id\", \"line\"]");
    let site = Site::with_mapping("orders", &mapping);
    // Enough for several chunks.
    let mut file = HEADER.to_owned();
    for _ in 1..=60_000 {
        file.push_str("same key,1,,2026-01-01,2026-01-02\n");
    }
    file.push_str("last,1,1,,\n");
    let (code, delivery) = site.load("o.csv", file);
    assert_eq!(code, 2, "{delivery:#}");
    let tally = &delivery["tally"];
    assert_eq!(
        [&tally["inserted"], &tally["filtered"], &tally["rejected"]].map(|n| n.as_u64().unwrap()),
        [40_000, 20_000, 1]
    );
    assert_eq!(
        violations(&site, &delivery),
        ["60001  check:low : this must hold: step < 100000 or price is null"]
    );
    assert_eq!(rows(&site, "count(DISTINCT line), min(step), max(step)"), ["40000|10|599990"]);
}

#[test]
fn a_computed_column_can_be_the_key_and_unique() {
    let mapping =
        orders("no = { value = \"case id when 'a' then 'A' else id end\" }\npart = { value = \"price\", unique = true }", "").replace("key = \"id\"", "key = \"no\"");
    let site = Site::with_mapping("orders", &mapping);
    let file = format!("{HEADER}a,1,1,,\nA,1,2,,\nb,1,1,,\n,1,4,,\n");
    let (code, delivery) = site.load("o.csv", file);
    assert_eq!(code, 2, "{delivery:#}");
    assert_eq!(
        violations(&site, &delivery),
        [
            "2 no key A: repeats the key of record 1",
            "3 part unique 1.00: must be unique, but stands in record 1 already",
            "4 no required : is required, but has no value",
        ]
    );
    assert_eq!(rows(&site, "no, part"), ["A|1.00"]);
}

#[test]
fn what_is_computed_from_a_sensitive_column_is_masked() {
    let site = site(
        "email = { sensitive = true }\ndomain = { value = \"email || ''\", max_length = 5 }\n\
         first = { value = \"cast(domain as integer)\" }",
        "[checks.own]\ncheck = \"cast(email as integer) > 0\"\nmessage = \"must be ours\"",
    );
    let (code, delivery) =
        site.load("o.csv", "id,quantity,price,ordered,due,email\na,,,,,x@secret-domain.example\n");
    assert_eq!(code, 2, "{delivery:#}");
    assert_eq!(
        violations(&site, &delivery),
        [
            "1 domain max_length ***: is longer than 5 characters",
            "1  check:own : whether this holds cannot be told: must be ours",
        ]
    );
    let told = site.run(["load", "--again", "o.csv"]).exits(2);
    assert!(!told.out.contains("secret"), "{}", told.out);
}

#[test]
fn a_computed_column_whose_inputs_the_file_lacks_is_not_written() {
    let site = site("total = { value = \"quantity * price\" }\nfixed = { value = \"'x'\" }", "");
    site.load("o.csv", format!("{HEADER}a,2,1.50,,\n"));
    let (code, delivery) = site.load("p.csv", "id,due\na,2026-01-01\n");
    assert_eq!((code, delivery["tally"]["updated"].as_u64()), (0, Some(1)), "{delivery:#}");
    assert_eq!(rows(&site, "total, fixed, due"), ["3.00|x|2026-01-01"]);
    site.load("q.csv", "id,price\na,7\n");
    assert_eq!(rows(&site, "total"), ["-"], "one of two is not there, so the product is not known");
}

#[test]
fn wharf_test_takes_a_fixed_moment_for_now() {
    let site = site("age = { value = \"now()::date - file.modified::date\", one_of = [\"0\"] }", "");
    site.write("mappings/samples/o.csv", format!("{HEADER}a,,,,\n"));
    site.run(["test", "--accept"]).exits(0);
    let expected = site.read("mappings/inbound/orders.expected.json");
    assert!(expected.contains("\"loaded\""), "{expected}");
    site.run(["test"]).exits(0);
}

#[test]
fn a_control_total_may_be_of_a_computed_column() {
    let mapping = orders("total = { value = \"quantity * price\" }", "").replace(
        "type = \"csv\"",
        "type = \"csv\"\ntrailer = { starts_with = \"END\", count = 2 }\ncontrols = [{ column = \"total\", sum = 3 }]",
    );
    for (sum, outcome) in [("7.50", "loaded"), ("7.51", "refused")] {
        let site = Site::with_mapping("orders", &mapping);
        let (_, delivery) = site.load("o.csv", format!("{HEADER}a,2,1.50,,\nb,3,1.50,,\nEND,2,{sum},,\n"));
        assert_eq!(delivery["outcome"], outcome, "{delivery:#}");
    }
}

#[test]
fn loading_the_same_after_a_crash_gives_the_same_moment() {
    let site = site("loaded_at = { value = \"now()\" }\nid2 = { value = \"delivery.id\" }", "");
    let (_, delivery) = site.load("o.csv", format!("{HEADER}a,,,,\n"));
    let before = rows(&site, "loaded_at, id2");
    let shown = site.run(["show", "--json", delivery["delivery"].as_str().unwrap()]).exits(0).object();
    let cells = shown["rows"][0].to_string();
    let moment = before[0].split('|').next().unwrap();
    assert!(cells.contains(moment), "read again from the archive, {cells} has {moment}");
}
