//! The mappings of a site, and which of them takes a file.

use std::sync::Arc;

use super::{
    MappingError,
    compile::Broken,
    expect,
    plan::Plan,
    problem::{Problem, Problems},
};
use crate::model::printable;

/// All inbound mappings of a site, by name.
#[derive(Clone, Debug, Default)]
pub struct Catalog(Vec<Entry>);

/// One mapping of a catalog.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its plan, or what is wrong with it.
    pub plan: Result<Arc<Plan>, Broken>,
}

/// Which mapping takes a file.
#[derive(Clone, Debug)]
pub enum Choice {
    /// This one.
    One(Arc<Plan>),
    /// Each of these; all say `shared = true`.
    Several(Vec<Arc<Plan>>),
    /// No mapping does.
    None,
    /// These do, by name, and not all say `shared = true`.
    Ambiguous(Vec<String>),
    /// Mappings that would take it, by name, cannot run: nobody can tell where the file belongs until they are mended.
    Broken(Vec<String>),
}

impl Catalog {
    /// A catalog of these mappings.
    #[must_use]
    pub fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Self(entries)
    }

    /// The mappings, by name.
    pub fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.0.iter()
    }

    /// All that is wrong with any of them.
    #[must_use]
    pub fn problems(&self) -> Problems {
        let broken = self.0.iter().filter_map(|entry| entry.plan.as_ref().err());
        let problems: Vec<Problem> = broken.flat_map(|broken| broken.problems.iter().cloned()).collect();
        Problems::new(problems)
    }

    /// The mapping of this name.
    ///
    /// # Errors
    /// [`MappingError::Unknown`], with the nearest name; or what is wrong with the mapping.
    pub fn get(&self, name: &str) -> Result<Arc<Plan>, MappingError> {
        let Some(entry) = self.0.iter().find(|entry| entry.name == name) else {
            let known: Vec<&str> = self.0.iter().map(|entry| entry.name.as_str()).collect();
            let help = match known.as_slice() {
                [] => "there are no mappings in mappings/inbound".to_owned(),
                known => expect::suggestion(name, known),
            };
            return Err(MappingError::Unknown { name: printable::text(name), help });
        };
        entry.plan.clone().map_err(|broken| broken.problems.into())
    }

    /// Which mapping takes a file of this name that came from `source`. Without a source, as for a file that a person
    /// names, all mappings count, those that take files only from certain sources too.
    #[must_use]
    pub fn choose(&self, file_name: &str, source: Option<&str>) -> Choice {
        let mut plans = Vec::new();
        let mut broken = Vec::new();
        for entry in self.0.iter().filter(|entry| entry.takes(file_name, source)) {
            match &entry.plan {
                Ok(plan) => plans.push(Arc::clone(plan)),
                Err(_) => broken.push(entry.name.clone()),
            }
        }
        if !broken.is_empty() {
            return Choice::Broken(broken);
        }
        match plans.as_slice() {
            [] => Choice::None,
            [only] => Choice::One(Arc::clone(only)),
            several if several.iter().all(|plan| plan.shared) => Choice::Several(plans),
            several => Choice::Ambiguous(several.iter().map(|plan| plan.name.clone()).collect()),
        }
    }
}

impl Entry {
    /// The mappings that its files wait for, as far as they can be read.
    #[must_use]
    pub fn waits_for(&self) -> &[String] {
        match &self.plan {
            Ok(plan) => &plan.waits_for,
            Err(broken) => &broken.waits_for,
        }
    }

    fn takes(&self, file_name: &str, source: Option<&str>) -> bool {
        let (matches, sources) = match &self.plan {
            Ok(plan) => (&plan.matches, &plan.sources),
            Err(broken) => (&broken.matches, &broken.sources),
        };
        let from_there =
            source.is_none_or(|source| sources.is_empty() || sources.iter().any(|known| known == source));
        from_there && matches.iter().any(|pattern| pattern.takes(file_name))
    }
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::*;
    use crate::mapping::compile::compile;

    fn catalog(mappings: &[(&str, &str)]) -> Catalog {
        let entry = |(name, head): &(&str, &str)| {
            let text = format!(
                "{head}\n[format]\ntype = 'csv'\n[target]\ntable = '{name}'\nkey = 'id'\n[columns]\nid = {{}}\n"
            );
            let plan = compile(name, name, &text, &IndexMap::new()).map(Arc::new);
            Entry { name: (*name).to_owned(), plan }
        };
        Catalog::new(mappings.iter().map(entry).collect())
    }

    fn chosen(choice: &Choice) -> String {
        let names =
            |plans: &[Arc<Plan>]| plans.iter().map(|plan| plan.name.clone()).collect::<Vec<_>>().join(" ");
        match choice {
            Choice::One(plan) => format!("one {}", plan.name),
            Choice::Several(plans) => format!("several {}", names(plans)),
            Choice::None => "none".to_owned(),
            Choice::Ambiguous(names) => format!("ambiguous {}", names.join(" ")),
            Choice::Broken(names) => format!("broken {}", names.join(" ")),
        }
    }

    #[test]
    fn a_file_goes_to_the_mapping_that_takes_its_name() {
        let catalog = catalog(&[
            ("orders", "match = 'orders_*.csv'"),
            ("copy", "match = 'orders_*.csv.bak'"),
            ("a", "match = 'stock*'\nshared = true"),
            ("b", "match = ['x', '*.stock', 'stock.csv']\nshared = true"),
            ("c", "match = '*.tsv'\nshared = true"),
            ("d", "match = 'prices.tsv'"),
            ("e", "match = 'lost*'\nno_such_key = 1"),
        ]);
        let table = [
            ("ORDERS_1.csv", "one orders"),
            ("orders_1.csv.bak", "one copy"),
            ("stock.csv", "several a b"),
            ("other.tsv", "one c"),
            ("prices.tsv", "ambiguous c d"),
            ("lost.csv", "broken e"),
            ("nothing", "none"),
        ];
        for (name, expected) in table {
            assert_eq!(chosen(&catalog.choose(name, None)), expected, "{name}");
        }
        assert_eq!(catalog.problems().len(), 1);
    }

    #[test]
    fn a_mapping_takes_files_only_from_the_sources_it_names() {
        let catalog = catalog(&[
            ("any", "match = 'stock*'\nshared = true"),
            ("share", "match = ['stock*', 'orders*']\nsource = 'share'\nshared = true"),
            ("two", "match = 'orders*'\nsource = ['acme', 'inbox']"),
            ("wrong", "match = 'orders*'\nsource = 'old'\nno_such_key = 1"),
        ]);
        let table = [
            ("stock.csv", Some("share"), "several any share"),
            ("stock.csv", Some("inbox"), "one any"),
            ("stock.csv", None, "several any share"),
            ("orders.csv", Some("share"), "one share"),
            ("orders.csv", Some("acme"), "one two"),
            ("orders.csv", Some("inbox"), "one two"),
            ("orders.csv", Some("Inbox"), "none"),
            ("orders.csv", Some("old"), "broken wrong"),
            ("orders.csv", None, "broken wrong"),
        ];
        for (name, source, expected) in table {
            assert_eq!(chosen(&catalog.choose(name, source)), expected, "{name} {source:?}");
        }
    }

    #[test]
    fn an_unknown_mapping_suggests_the_nearest() {
        let catalog =
            catalog(&[("orders", "match = 'a'"), ("customers", "match = 'b'"), ("bad", "match = 5")]);
        assert_eq!(catalog.get("orders").unwrap().name, "orders");
        let error = catalog.get("order").unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no mapping `order`; did you mean `orders`? possible: `bad`, `customers`, `orders`"
        );
        assert!(matches!(catalog.get("bad"), Err(MappingError::Problems(_))));
    }
}
