//! Values that are looked up: in a table of the target or in a file of the site, to be there or to be replaced.

use crate::support::{Site, query, violations};

/// People with a country; `country` is that column, `more` stands at the top, `others` behind the columns.
fn people(country: &str, others: &str) -> String {
    format!(
        "match = \"*\"\n[format]\ntype = \"csv\"\n[target]\ntable = \"people\"\nkey = \"id\"\n[columns]\nid = {{}}\n\
         country = {{ {country} }}\n{others}\n"
    )
}

/// A site whose own database has a table of countries.
fn site(country: &str, others: &str) -> Site {
    let site = Site::with_mapping("people", &people(country, others));
    std::fs::create_dir_all(site.path("var")).unwrap();
    rusqlite::Connection::open(site.path("var/warehouse.db"))
        .unwrap()
        .execute_batch(
            "CREATE TABLE countries (iso2 TEXT, id INTEGER PRIMARY KEY, name TEXT, year INTEGER, since DATE);
             INSERT INTO countries VALUES ('DE', 7, 'Germany', 2026, '1990-10-03'), ('FR', 8, 'France', 2026, NULL),
             ('XX', 9, NULL, 2025, NULL)",
        )
        .unwrap();
    site
}

#[track_caller]
fn rows(site: &Site, columns: &str) -> Vec<String> {
    site.query(&format!("SELECT {columns} FROM people ORDER BY id")).iter().map(|row| row.join("|")).collect()
}

#[test]
fn a_value_must_be_in_the_table_and_stays_as_it_is() {
    let site = site("map = { Deutschland = \"DE\" }, lookup = { table = \"countries\", key = \"iso2\" }", "");
    let (code, delivery) = site.load("a.csv", "id,country\n1,DE\n2,Deutschland\n3,de\n4,\n5,ZZ\n");
    assert_eq!(code, 2, "{delivery:#}");
    assert_eq!(
        violations(&site, &delivery),
        ["3 country lookup de: is not in countries", "5 country lookup ZZ: is not in countries"]
    );
    assert_eq!(rows(&site, "id, country"), ["1|DE", "2|DE", "4|-"]);
    let (_, people) = site.report(&delivery, "rejects");
    assert_eq!(people[1][3], "line 6: country \"ZZ\" is not in countries");
}

#[test]
fn a_value_is_replaced_by_what_stands_beside_it_before_type_and_rules() {
    let site = site(
        "type = \"integer\", max = 8, lookup = { table = \"countries\", key = \"iso2\", value = \"id\" }",
        "name = { from = \"country\", required = true, lookup = { table = \"countries\", key = \"iso2\", value = \"name\" } }",
    );
    let (code, delivery) = site.load("a.csv", "id,country\n1,DE\n2,XX\n3,ZZ\n4,FR\n");
    assert_eq!(code, 2, "{delivery:#}");
    assert_eq!(
        violations(&site, &delivery),
        [
            "2 country max XX: has a value in countries that is greater than 8",
            "2 name required XX: is required, but has no value in countries",
            "3 country lookup ZZ: is not in countries",
            "3 name lookup ZZ: is not in countries",
        ]
    );
    assert_eq!(rows(&site, "id, country, name"), ["1|7|Germany", "4|8|France"]);
}

#[test]
fn keys_compare_by_value_where_the_table_has_numbers_or_dates() {
    let site = site(
        "lookup = { table = \"countries\", key = \"id\", value = \"iso2\" }",
        "n = { type = \"decimal(5,2)\", lookup = { table = \"countries\", key = \"id\" } }\n\
         day = { type = \"date\", format = \"%d.%m.%Y\", lookup = { table = \"countries\", key = \"since\" } }",
    );
    let (code, delivery) =
        site.load("a.csv", "id,country,n,day\n1,007,7.00,03.10.1990\n2,+8,08,\n3,7x,,\n4,,7.5,04.10.1990\n");
    assert_eq!(code, 2, "{delivery:#}");
    assert_eq!(
        violations(&site, &delivery),
        [
            "3 country lookup 7x: is not in countries",
            "4 n lookup 7.5: is not in countries",
            "4 day lookup 04.10.1990: is not in countries",
        ]
    );
    assert_eq!(rows(&site, "id, country"), ["1|DE", "2|FR"]);
}

#[test]
fn several_keys_are_looked_up_together_when_all_are_valid() {
    let lookup = "lookup = { table = \"countries\", key = { iso2 = \"country\", year = \"year\" }";
    let site = site(
        &format!("{lookup} }}"),
        &format!(
            "year = {{ type = \"integer\" }}\n\
             nr = {{ from = \"country\", type = \"integer\", {}, value = \"id\" }} }}\ntwice = {{ value = \"nr * 2\" }}",
            lookup.replace("iso2 = \"country\"", "iso2 = \"nr\"")
        ),
    );
    let file = "id,country,year\n1,DE,2026\n2,XX,2026\n3,XX,02025\n4,DE,soon\n5,DE,\n6,,2026\n";
    let (code, delivery) = site.load("a.csv", file);
    assert_eq!(code, 2, "{delivery:#}");
    assert_eq!(
        violations(&site, &delivery),
        [
            "2 country lookup XX: is not in countries",
            "2 nr lookup XX: is not in countries",
            "4 year type soon: is not a whole number like 1234",
        ]
    );
    assert_eq!(
        rows(&site, "id, country, year, nr, twice"),
        ["1|DE|2026|7|14", "3|XX|2025|9|18", "5|DE|-|-|-", "6|-|2026|-|-"]
    );
}

#[test]
fn a_computed_column_is_looked_up_too() {
    let site = site(
        "",
        "nr = { value = \"country || ''\", type = \"integer\", min = 8, lookup = { table = \"countries\", \
         key = \"iso2\", value = \"id\" } }\nsame = { value = \"country || ''\", lookup = { table = \"countries\", key = \"iso2\" } }",
    );
    let (code, delivery) = site.load("a.csv", "id,country\n1,FR\n2,DE\n3,ZZ\n4,\n");
    assert_eq!(code, 2, "{delivery:#}");
    assert_eq!(
        violations(&site, &delivery),
        [
            "2 nr min 7: is less than 8",
            "3 nr lookup ZZ: is not in countries",
            "3 same lookup ZZ: is not in countries",
        ]
    );
    assert_eq!(rows(&site, "id, nr, same"), ["1|8|FR", "4|-|-"]);
}

#[test]
fn a_file_of_the_site_serves_as_well_as_a_table() {
    let site = Site::with_mapping(
        "people",
        &people(
            "lookup = { file = \"countries.csv\", key = \"ISO2\", value = \"Name\" }",
            "code = { from = \"country\", lookup = { file = \"countries.csv\", key = \"iso2\" } }",
        ),
    );
    site.write(
        "mappings/lookups/countries.csv",
        "\u{feff}iso2, name ,x\nDE,\"Ger\"\"many\",\nAT,,\nDE,\"Ger\"\"many\",\n",
    );
    site.run(["check"]).exits(0);
    let (code, delivery) = site.load("a.csv", "id,country\n1,DE\n2,AT\n3,FR\n");
    assert_eq!(code, 2, "{delivery:#}");
    assert_eq!(
        violations(&site, &delivery),
        ["3 country lookup FR: is not in countries.csv", "3 code lookup FR: is not in countries.csv"]
    );
    assert_eq!(rows(&site, "id, country, code"), ["1|Ger\"many|DE", "2|-|AT"]);
    let told = site.run(["validate", "a.csv"]).exits(2).out;
    assert!(told.contains("is not in countries.csv"), "{told}");
    let told = site.run(["preview", "--json", "a.csv"]).exits(2).object();
    assert_eq!(told["tally"]["rejected"], 1, "{told:#}");
}

#[test]
fn another_connection_can_be_asked() {
    let site = site("lookup = { connection = \"master\", table = \"lands\", key = \"code\" }", "");
    site.write("wharf.toml", "[connections.master]\nurl = \"sqlite:master.db\"\n");
    rusqlite::Connection::open(site.path("master.db"))
        .unwrap()
        .execute_batch("CREATE TABLE lands (code TEXT); INSERT INTO lands VALUES ('CH')")
        .unwrap();
    let (code, delivery) = site.load("a.csv", "id,country\n1,CH\n");
    assert_eq!(code, 0, "{delivery:#}");
    assert_eq!(query(&site.path("master.db"), "SELECT count(*) FROM lands"), [["1"]], "it is only read");
}

#[test]
fn a_delivery_looks_up_in_what_an_earlier_one_has_loaded() {
    let site = Site::with_mapping(
        "orders",
        "match = \"orders*\"\nwaits_for = \"customers\"\n[format]\ntype = \"csv\"\n[target]\ntable = \"orders\"\nkey = \"id\"\n\
         [columns]\nid = {}\ncustomer = { lookup = { table = \"customers\", key = \"no\" } }\n",
    );
    site.write(
        "mappings/inbound/customers.toml",
        "match = \"customers*\"\n[format]\ntype = \"csv\"\n[target]\ntable = \"customers\"\nkey = \"no\"\n[columns]\nno = {}\n",
    );
    // The table is not there yet, but a mapping makes it.
    site.run(["check"]).exits(0);
    site.load("customers.csv", "no\nC1\n");
    let (code, delivery) = site.load("orders.csv", "id,customer\n1,C1\n2,C2\n");
    assert_eq!((code, delivery["tally"]["inserted"].as_u64()), (2, Some(1)), "{delivery:#}");
    site.write("customers2.csv", "no\nC2\n");
    site.run(["load", "customers2.csv"]).exits(0);
    let (code, delivery) = site.load("orders2.csv", "id,customer\n2,C2\n");
    assert_eq!(code, 0, "{delivery:#}");
}

#[test]
fn a_file_dropped_again_is_loaded_when_its_lookup_file_has_changed() {
    let text = "match = \"*.csv\"\n[format]\ntype = \"csv\"\n[target]\ntable = \"t\"\nkey = \"id\"\n[columns]\nid = {}\n\
                name = { lookup = { file = \"names.csv\", key = \"k\", value = \"v\" } }\n";
    for mode in ["upsert", "insert"] {
        let site = Site::with_mapping(
            "t",
            &text.replace("table = \"t\"", &format!("table = \"t\"\nmode = \"{mode}\"")),
        );
        site.write("mappings/lookups/names.csv", "k,v\na,1\n");
        let file = "id,name\n1,a\n2,b\n";
        assert_eq!(site.load("x.csv", file).0, 2);
        assert_eq!(site.load("x.csv", file).1["outcome"], "duplicate");
        site.write("mappings/lookups/names.csv", "k,v\na,1\nb,2\n");
        let foretold = site.run(["preview", "--json", "x.csv"]).object();
        assert_eq!(foretold["loaded_by"], serde_json::Value::Null, "{foretold:#}");
        let (_, again) = site.load("x.csv", file);
        assert_eq!(again["tally"]["inserted"], 1, "{mode}: {again:#}");
        assert_eq!(site.query("SELECT id, name FROM t ORDER BY id"), [["1", "1"], ["2", "2"]]);
        assert_eq!(site.load("x.csv", file).1["outcome"], "duplicate");
    }
}
