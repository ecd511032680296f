//! The order in which the files of a mapping are loaded, and the key by which two of them compare.

use std::cmp::Ordering;

use schemars::{Schema, SchemaGenerator, json_schema};

use crate::model::natural;

/// What stands before the name of a capture.
const CAPTURE: &str = "file.";

/// By what the files of a mapping are put in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By their names, digits compared as numbers.
    #[default]
    Name,
    /// By the time of last change that they bear.
    Modified,
    /// By what this capture took from their names.
    Capture(String),
}

impl Order {
    /// How [`Order::Name`] is written.
    pub(super) const NAME: &'static str = "name";
    /// How [`Order::Modified`] is written.
    pub(super) const MODIFIED: &'static str = "modified";

    /// What `written` means; none for a text that the schema does not take.
    pub(super) fn read(written: &str) -> Option<Self> {
        match written {
            Self::NAME => Some(Self::Name),
            Self::MODIFIED => Some(Self::Modified),
            _ => written.strip_prefix(CAPTURE).map(|name| Self::Capture(name.to_owned())),
        }
    }

    /// Where the name of the capture stands in the text that means it.
    pub(super) fn capture_at(written: &str) -> std::ops::Range<usize> {
        CAPTURE.len().min(written.len())..written.len()
    }
}

/// The words, and a pattern for captures.
pub(super) fn schema(_: &mut SchemaGenerator) -> Schema {
    let word =
        |word: &str, meaning: &str| json_schema!({ "type": "string", "const": word, "description": meaning });
    json_schema!({ "anyOf": [
        word(Order::NAME, "By the file's name, digits compared as numbers: `orders_9` comes before `orders_10`."),
        word(Order::MODIFIED, "By the time of last change that the file bears."),
        json_schema!({ "type": "string", "title": "file.CAPTURE", "pattern": format!("^{}", regex::escape(CAPTURE)) }),
    ] })
}

/// The place of a file among those of its mapping: the smaller one is loaded first. What the mapping's order says counts
/// first, then the name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderKey {
    value: OrderValue,
    name: Natural,
}

impl OrderKey {
    /// The key of a file of this name.
    pub(super) fn new(value: OrderValue, name: &str) -> Self {
        Self { value, name: Natural(name.into()) }
    }
}

/// What a file's order says of it. Values of different kinds come in the order of the kinds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum OrderValue {
    /// Nothing: its name decides.
    Name,
    /// When it was changed last, in nanoseconds since 1970.
    Modified(i128),
    /// Year, month, day, hour, minute and second; 0 for what its name does not say.
    Time([u16; 6]),
    /// A text of its name.
    Text(Natural),
    /// Its name has no such capture; it was given to the mapping by hand.
    Absent,
}

/// A text that compares as people read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Natural(Box<str>);

impl From<&str> for Natural {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl Ord for Natural {
    fn cmp(&self, other: &Self) -> Ordering {
        natural(&self.0, &other.0)
    }
}

impl PartialOrd for Natural {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::*;
    use crate::mapping::{Plan, compile};

    fn plan(head: &str) -> Plan {
        let text = format!(
            "{head}\n[format]\ntype = 'csv'\n[target]\ntable = 't'\nkey = 'id'\n[columns]\nid = {{}}\n"
        );
        compile("x", "x.toml", &text, &IndexMap::new()).unwrap()
    }

    /// The names in the order of the plan; their times of change run against the order in which they are given.
    fn ordered(plan: &Plan, names: &[&str]) -> String {
        let key = |(age, name): (i128, &&str)| (plan.order_key(name, -age), (*name).to_owned());
        let mut keys: Vec<(OrderKey, String)> = (0..).zip(names).map(key).collect();
        keys.sort_by(|one, other| one.0.cmp(&other.0));
        keys.into_iter().map(|(_, name)| name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn files_come_in_the_order_that_the_mapping_asks_for() {
        let table: [(&str, &[&str], &str); 6] = [
            ("match = '*'", &["a_10", "b_1", "a_9", "a_09"], "a_09 a_9 a_10 b_1"),
            ("match = '*'\norder = 'name'", &["a_10", "a_9"], "a_9 a_10"),
            ("match = '*'\norder = 'modified'", &["a_1", "a_3", "a_2"], "a_2 a_3 a_1"),
            (
                "match = 'a_{date:%d%m%Y}_{n}'\norder = 'file.date'",
                &["a_31012026_1", "a_01022026_10", "a_01022026_9", "a_02012027_1"],
                "a_31012026_1 a_01022026_9 a_01022026_10 a_02012027_1",
            ),
            ("match = '{shop}_{n}'\norder = 'file.n'", &["b_10", "a_10", "z_9"], "z_9 a_10 b_10"),
            (
                "match = ['{d:%F}.csv', 'x{d:%d-%b-%y}', 'y{d:%Y%j}']\norder = 'file.d'",
                &["2026-03-02.csv", "x01-Mar-26", "y2026059", "other", "Y2026060"],
                "y2026059 Y2026060 x01-Mar-26 2026-03-02.csv other",
            ),
        ];
        for (head, names, expected) in table {
            assert_eq!(ordered(&plan(head), names), expected, "{head}");
        }
    }

    #[test]
    fn files_of_the_same_time_of_change_come_by_name() {
        let plan = plan("match = '*'\norder = 'modified'");
        let mut keys = ["a_10", "a_9", "b"].map(|name| plan.order_key(name, 7));
        let expected = [keys[1].clone(), keys[0].clone(), keys[2].clone()];
        keys.sort();
        assert_eq!(keys, expected);
        assert!(plan.order_key("z", -1) < plan.order_key("a", 0));
    }
}
