//! What holds between the parts of a site: the names that a mapping uses of sources and of other mappings must be there,
//! and no mappings may wait for one another in a circle.
//!
//! What is wrong is a problem of the mapping that says it, like all its others.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::{
    arrival::{Mention, Mentioned},
    catalog::Entry,
    compile::{Broken, ReadMapping},
    expect,
    nearest::nearest,
    problem::{Problem, Problems},
};

/// More mappings of a circle are not named.
const NAMED: usize = 6;

/// For each mapping of a site, by name, those it waits for.
#[derive(Clone, Debug, Default)]
pub struct Waits<'a>(BTreeMap<&'a str, &'a [String]>);

impl<'a> Waits<'a> {
    /// Of these mappings; of two that have one name, the later one counts.
    pub fn of(mappings: impl Iterator<Item = (&'a str, &'a [String])>) -> Self {
        Self(mappings.collect())
    }

    /// The shortest way from one mapping over those it waits for to another, both included.
    fn way<'s>(&'s self, from: &'s str, to: &str) -> Option<Vec<&'s str>> {
        let mut before: BTreeMap<&str, Option<&str>> = BTreeMap::from([(from, None)]);
        let mut open = VecDeque::from([from]);
        while let Some(name) = open.pop_front() {
            if name == to {
                let step = |name: &&'s str| before.get(name).copied().flatten();
                let mut way: Vec<&str> = std::iter::successors(Some(name), step).collect();
                way.reverse();
                return Some(way);
            }
            for next in self.0.get(name).copied().unwrap_or_default() {
                before.entry(next).or_insert_with(|| {
                    open.push_back(next);
                    Some(name)
                });
            }
        }
        None
    }
}

/// The mapping as the site has it: broken if it names what is not there or makes a circle. `sources` are those of
/// `wharf.toml`, `waits` is of all mappings, this one included.
pub fn check(name: &str, read: &ReadMapping, sources: &[&str], waits: &Waits<'_>) -> Entry {
    let found = read.mentions.iter().filter_map(|mention| {
        let (message, help) = match mention.kind {
            Mentioned::Source => source(mention, sources)?,
            Mentioned::Mapping => mapping(name, mention, waits)?,
        };
        Some(Problem::at(&read.file, mention.place.clone(), &message, Some(&help)))
    });
    let found: Vec<Problem> = found.collect();
    let plan = match &read.plan {
        Ok(plan) if found.is_empty() => Ok(Arc::clone(plan)),
        Ok(plan) => Err(Broken {
            problems: Problems::new(found),
            matches: plan.matches.clone(),
            sources: plan.sources.clone(),
            waits_for: plan.waits_for.clone(),
        }),
        Err(broken) => {
            let problems = broken.problems.iter().cloned().chain(found).collect();
            Err(Broken { problems: Problems::new(problems), ..broken.clone() })
        }
    };
    let plan = plan.map_err(|mut broken| {
        // A source that is not there was meant to be another one, which may be any.
        if !broken.sources.iter().all(|name| sources.contains(&name.as_str())) {
            broken.sources.clear();
        }
        broken
    });
    Entry { name: name.to_owned(), plan }
}

/// What is wrong with a mention of a source, and what to do.
fn source(mention: &Mention, sources: &[&str]) -> Option<(String, String)> {
    let name = mention.name.as_str();
    if sources.contains(&name) {
        return None;
    }
    let help = match nearest(name, sources.iter().copied()) {
        Some(_) => expect::suggestion(name, sources),
        None => format!("add `[sources.{name}]` to wharf.toml; there are: {}", expect::listed(sources)),
    };
    Some((format!("there is no source `{name}` in wharf.toml"), help))
}

/// What is wrong with a mention of another mapping by the mapping `own`, and what to do.
fn mapping(own: &str, mention: &Mention, waits: &Waits<'_>) -> Option<(String, String)> {
    let name = mention.name.as_str();
    if name == own {
        return Some(("a mapping cannot wait for itself".to_owned(), "leave it out".to_owned()));
    }
    if !waits.0.contains_key(name) {
        let others: Vec<&str> = waits.0.keys().copied().filter(|known| *known != own).collect();
        let help = match others.as_slice() {
            [] => "there are no other mappings in mappings/inbound".to_owned(),
            others => expect::suggestion(name, others),
        };
        return Some((format!("there is no mapping `{name}`"), help));
    }
    let way = waits.way(name, own)?;
    let mut steps: Vec<String> = way
        .windows(2)
        .take(NAMED)
        .filter_map(|step| {
            let [from, to] = step else { return None };
            Some(format!("`{from}` waits for `{to}`"))
        })
        .collect();
    if way.len() > NAMED + 1 {
        steps.push("and so on".to_owned());
    }
    let message =
        format!("these mappings wait for one another: `{own}` waits for `{name}`, {}", steps.join(", "));
    Some((message, "one of them must go first: take a name out of its `waits_for`".to_owned()))
}
