//! From a mapping's text to its plan: reading, checking the structure, and deciding what it all means.
//!
//! Every step goes on as far as it can, so that one run finds all there is to find; a plan comes out only when nothing
//! was found.

use std::{collections::HashMap, sync::Arc};

use indexmap::IndexMap;

use super::{
    arrival::{self, Mention},
    check::{self, Checked},
    checks,
    columns::{self, Around, Compiled, Computed},
    computed::Names,
    connection::Connection,
    document::{Document, Step},
    expect,
    findings::Findings,
    fingerprint::fingerprint,
    limits,
    lookups::Lookups,
    mirror,
    pattern::NamePattern,
    plan::{Check, Filter, Lookup, LookupTable, Plan},
    problem::{Problem, Problems},
    schema, target,
    written::{ColumnWritten, Texts, Written},
};
use crate::{
    formats::{FORMATS, Format, OptionProblem},
    model::value::ValueType,
};

/// More columns than this no table of SQLite holds.
const MAX_COLUMNS: usize = 2_000;

/// A mapping that cannot run.
#[derive(Clone, Debug)]
pub struct Broken {
    /// What is wrong with it.
    pub problems: Problems,
    /// The file names it would take, as far as they can be read.
    pub matches: Vec<NamePattern>,
    /// The sources it would take files from; empty: all, or nobody can tell.
    pub sources: Vec<String>,
    /// The mappings that it would wait for.
    pub waits_for: Vec<String>,
}

impl Broken {
    /// A mapping of which nothing can be read.
    pub(super) fn unreadable(problems: Problems) -> Self {
        Self { problems, matches: Vec::new(), sources: Vec::new(), waits_for: Vec::new() }
    }
}

/// A mapping that was read on its own, before it is held against the rest of its site.
#[derive(Clone, Debug)]
pub(super) struct ReadMapping {
    /// The file as problems name it.
    pub file: String,
    /// Its plan, or what is wrong with it.
    pub plan: Result<Arc<Plan>, Broken>,
    /// What it names of the rest of the site.
    pub mentions: Vec<Mention>,
}

impl ReadMapping {
    /// The mapping `name` from its text, as [`compile`] does it.
    pub fn new(name: &str, file: &str, source: &str, connections: &IndexMap<String, Connection>) -> Self {
        let (plan, mentions) = compile_and_mention(name, file, source, connections);
        Self { file: file.to_owned(), plan: plan.map(Arc::new), mentions }
    }

    /// The mappings that its files wait for, as far as they can be read.
    pub fn waits_for(&self) -> &[String] {
        match &self.plan {
            Ok(plan) => &plan.waits_for,
            Err(broken) => &broken.waits_for,
        }
    }

    /// A mapping whose text cannot be read.
    pub fn unreadable(file: &str, problems: Problems) -> Self {
        Self { file: file.to_owned(), plan: Err(Broken::unreadable(problems)), mentions: Vec::new() }
    }
}

/// Compiles the mapping `name` from its text; `file` names it in problems, `connections` are those of the site. The
/// sources and other mappings that it names are not looked for: only a site that is opened knows them.
///
/// # Errors
/// All that is wrong with it.
pub fn compile(
    name: &str,
    file: &str,
    source: &str,
    connections: &IndexMap<String, Connection>,
) -> Result<Plan, Broken> {
    compile_and_mention(name, file, source, connections).0
}

fn compile_and_mention(
    name: &str,
    file: &str,
    source: &str,
    connections: &IndexMap<String, Connection>,
) -> (Result<Plan, Broken>, Vec<Mention>) {
    let (document, mut problems) = match Document::parse(file, source) {
        Ok(parsed) => parsed,
        Err(problems) => return (Err(Broken::unreadable(problems)), Vec::new()),
    };
    let checked = check::check(schema::mapping(), &document);
    problems.extend(checked.problems.iter().cloned());
    let written = match serde_json::from_value::<Written>(checked.value.clone()) {
        Ok(written) => written,
        Err(error) => {
            problems.push(Problem::whole(file, &format!("this cannot be read: {error}"), None));
            return (Err(Broken::unreadable(Problems::new(problems))), Vec::new());
        }
    };
    let mut compiler = Compiler { checked: &checked, findings: Findings::new(&document) };
    let matches = compiler.matches(&written);
    let arrival = arrival::arrival(&written, &matches, &checked, &mut compiler.findings);
    let format = compiler.format(&written);
    let Body { columns, dependent, lookups, filter, checks } =
        compiler.body(&written, format.as_deref(), &matches, connections);
    let control_columns = compiler.controls(format.as_deref(), &columns);
    let rejects = limits::limits(&written.rejects, &mut compiler.findings);
    if let Some(target) = &written.target {
        target::check(target, connections, &mut compiler.findings);
    }
    let deletes = mirror::check(&written, &columns, &checked, &mut compiler.findings);
    problems.extend(compiler.findings.into_problems());

    let columns: Vec<Compiled> = columns.into_values().flatten().collect();
    let table = written.target.as_ref().and_then(|target| target::spec(target, &columns));
    let (true, Some(format), Some(table), Some(target)) =
        (problems.is_empty(), format, table, written.target)
    else {
        if problems.is_empty() {
            problems.push(Problem::whole(file, "this mapping cannot be run", None));
        }
        let problems = Problems::new(problems);
        let broken = Broken { problems, matches, sources: arrival.sources, waits_for: arrival.waits_for };
        return (Err(broken), arrival.mentions);
    };
    let plan = Plan {
        name: name.to_owned(),
        fingerprint: fingerprint(schema::mapping(), &checked.value),
        source: source.into(),
        matches,
        sources: arrival.sources,
        waits_for: arrival.waits_for,
        wait_limit: arrival.wait_limit,
        order: arrival.order,
        shared: written.shared,
        on_duplicate: written.on_duplicate,
        empty_file: written.empty_file,
        format,
        columns: columns.into_iter().map(|column| column.column).collect(),
        dependent,
        lookups,
        filter,
        checks,
        control_columns,
        connection: target.connection,
        table,
        duplicate_keys: target.duplicate_keys,
        rejects,
        deletes,
        shadow: target.shadow,
    };
    (Ok(plan), arrival.mentions)
}

struct Compiler<'a, 'd> {
    checked: &'a Checked,
    findings: Findings<'d>,
}

/// What a mapping says of records.
#[derive(Default)]
struct Body<'a> {
    columns: Columns<'a>,
    /// The columns that need others, in an order in which each stands behind those that it reads.
    dependent: Vec<usize>,
    lookups: Vec<LookupTable>,
    filter: Option<Filter>,
    checks: Vec<Check>,
}

/// Columns by name; none where one could not be compiled.
pub(super) type Columns<'a> = IndexMap<&'a str, Option<Compiled>>;

impl Compiler<'_, '_> {
    fn matches(&mut self, written: &Written) -> Vec<NamePattern> {
        let Some(texts) = &written.matches else { return Vec::new() };
        let mut patterns = Vec::new();
        for (index, text) in texts.as_slice().iter().enumerate() {
            let path: &[Step<'_>] = match texts {
                Texts::One(_) => &["match".into()],
                Texts::Many(_) => &["match".into(), index.into()],
            };
            match NamePattern::parse(text) {
                Ok(pattern) => patterns.push(pattern),
                Err(error) => self.findings.part(path, error.part, &error.message, None),
            }
        }
        patterns
    }

    fn format(&mut self, written: &Written) -> Option<Arc<dyn Format>> {
        let options = written.format.clone().filter(|_| self.checked.is_sound(&["format"]))?;
        let name = options.get("type")?.as_str()?;
        let entry = FORMATS.iter().find(|entry| entry.name == name)?;
        let problems = match (entry.build)(options) {
            Ok(format) => return Some(format),
            Err(problems) => problems,
        };
        for OptionProblem { path, message, help } in problems {
            let path: Vec<Step<'_>> = std::iter::once("format").chain(path).map(Step::Key).collect();
            self.findings.value(&path, &message, help.as_deref());
        }
        None
    }

    /// What is said of records: their columns, and what is said of them together.
    fn body<'w>(
        &mut self,
        written: &'w Written,
        format: Option<&dyn Format>,
        patterns: &[NamePattern],
        connections: &IndexMap<String, Connection>,
    ) -> Body<'w> {
        let Some(columns) = &written.columns else { return Body::default() };
        let own = written.target.as_ref().and_then(|target| target.connection.as_deref());
        let mut lookups = Lookups::new(own, connections);
        let found: Vec<Option<Lookup>> = columns
            .iter()
            .map(|(name, column)| lookups.compile(name, column, columns, &mut self.findings))
            .collect();
        let mut names = Names::new(columns, patterns);
        let computed = names.columns(columns, &found, &mut self.findings);
        let dependent = computed.iter().map(|(index, _)| *index).collect();
        let mut columns = self.columns(written, columns, computed, format);
        for (column, lookup) in columns.values_mut().zip(found) {
            if let Some(column) = column {
                column.column.lookup = lookup;
            }
        }
        let filter = checks::filter(written, &names, &mut self.findings);
        let checks = checks::checks(written, &names, &mut self.findings);
        Body { columns, dependent, lookups: lookups.into_tables(), filter, checks }
    }

    fn columns<'w>(
        &mut self,
        written: &'w Written,
        columns: &'w IndexMap<String, ColumnWritten>,
        computed: Vec<(usize, Option<Computed>)>,
        format: Option<&dyn Format>,
    ) -> Columns<'w> {
        let mut compiled = Columns::new();
        let mut computed: HashMap<usize, Option<Computed>> = computed.into_iter().collect();
        if columns.is_empty() && self.checked.is_present(&["columns"]) {
            let help = "write a line for each: `order_no = { from = \"Order No\" }`";
            self.findings.key(&["columns".into()], "there are no columns", Some(help));
        }
        if columns.len() > MAX_COLUMNS {
            let message = format!("there are more than {MAX_COLUMNS} columns");
            self.findings.key(&["columns".into()], &message, None);
        }
        let key = written.target.as_ref().and_then(|target| target.key.as_ref());
        let has_names = format.map(Format::has_names);
        for (index, (name, column)) in columns.iter().enumerate() {
            let around = Around {
                is_sound: self.checked.is_sound(&["columns", name]),
                is_key: key.is_some_and(|key| key.as_slice().contains(name)),
                has_names,
            };
            let findings = &mut self.findings;
            let column = if column.value.is_some() {
                let computed = computed.remove(&index).flatten();
                columns::compile_computed(name, column, around, computed, findings)
            } else {
                columns::compile(name, column, around, findings)
            };
            compiled.insert(name, column);
        }
        self.twins(columns);
        if let Some(key) = key.filter(|_| !columns.is_empty()) {
            let names: Vec<&str> = columns.keys().map(String::as_str).collect();
            target::check_key(key, &names, self.checked, &mut self.findings);
        }
        compiled
    }

    /// Columns whose names differ in case only: to a database they are one.
    fn twins(&mut self, columns: &IndexMap<String, ColumnWritten>) {
        let mut seen: HashMap<String, &str> = HashMap::new();
        for name in columns.keys() {
            if let Some(earlier) = seen.insert(name.to_lowercase(), name) {
                let message = format!("to a database, `{name}` and `{earlier}` are the same column");
                self.findings.key(
                    &["columns".into(), name.as_str().into()],
                    &message,
                    Some("rename one of the two"),
                );
            }
        }
    }

    /// The columns that the format's controls sum up: they must exist and be exact numbers.
    fn controls(&mut self, format: Option<&dyn Format>, columns: &Columns<'_>) -> Vec<usize> {
        let mut indices = Vec::new();
        for (index, control) in format.map(Format::controls).unwrap_or_default().iter().enumerate() {
            let path = ["format".into(), "controls".into(), index.into(), "column".into()];
            let name = control.column.as_str();
            match columns.get_full(name) {
                Some((position, _, Some(column))) => match column.column.value_type {
                    ValueType::Integer | ValueType::Decimal { .. } => indices.push(position),
                    other => {
                        let message =
                            format!("`{name}` is of type {other}: only integers and decimals are summed");
                        self.findings.value(&path, &message, None);
                    }
                },
                None if self.checked.is_present(&["columns"]) => {
                    let known: Vec<&str> = columns.keys().copied().collect();
                    let message = format!("there is no column `{name}` under `[columns]`");
                    self.findings.value(&path, &message, expect::key_suggestion_for(name, &known).as_deref());
                }
                _ => {}
            }
        }
        indices
    }
}
